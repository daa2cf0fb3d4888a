//! `resource-server …`

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::CliError;
use super::arguments::{CreateResourceServer, ResourceServerCommand, UpdateResourceServer};
use super::clients::old_secret;
use super::context::{Context, confirmations};
use super::output::{Output, columns, say_what_follows, table};
use crate::admin::AdminError;
use crate::admin::resource_servers::{NewResourceServer, ResourceServerUpdate};
use crate::directory::{ResourceServer, ScopeDescriptions};
use crate::domain::calendar::rfc3339;
use crate::domain::identifier::ResourceIdentifier;
use crate::domain::scope::Scope;

pub fn run(command: ResourceServerCommand, context: &Context, output: &Output) -> Result<ExitCode, CliError> {
    let admin = &context.admin;
    match command {
        ResourceServerCommand::Create(create) => return run_create(create, context, output),
        ResourceServerCommand::List(part) => {
            let after = part.after.clone().unwrap_or_default();
            let servers = context.block_on(admin.resource_servers(after, part.limit))?;
            let rows: Vec<_> = servers.iter().map(row).collect();
            let documents: Vec<_> = servers.iter().map(document).collect();
            output.result(
                &columns(&["ID", "NAME", "STATE", "IDENTIFIER", "SCOPE"], &rows),
                &json!(documents),
            )?;
            say_what_follows(&part, servers.iter().map(|server| server.name.as_str()), output);
        }
        ResourceServerCommand::Show(which) => {
            let server = context.block_on(admin.resource_server(&which.id))?;
            output.result(&describe(&server), &document(&server))?;
        }
        ResourceServerCommand::Update(update) => {
            let id = update.which.id.clone();
            let updated = admin.update_resource_server(&id, read_update(update)?);
            let (server, recorded) = context.block_on(updated)?;
            let known = confirmations(&context.settle(recorded, output)?);
            output.result(&format!("{}\nupdated: {known}", describe(&server)), &document(&server))?;
        }
        ResourceServerCommand::RotateSecret(rotate) => {
            let rotated = admin.rotate_resource_server_secret(&rotate.which.id, rotate.overlap);
            let (server, secret, recorded) = context.block_on(rotated)?;
            // Handed over before the wait: it cannot be shown again.
            let shown = secrets(&server, secret.expose());
            let text = format!("{shown}\nThe secret is shown this once; {}", old_secret(rotate.overlap));
            output.result(&text, &secrets_document(&server, secret.expose()))?;
            output.progress(&confirmations(&context.settle(recorded, output)?));
        }
        ResourceServerCommand::Disable(which) => {
            let (server, recorded) = context.block_on(admin.enable_resource_server(&which.id, false))?;
            let known = confirmations(&context.settle(recorded, output)?);
            output
                .result(&format!("resource server {} is disabled: {known}", server.id), &document(&server))?;
        }
        ResourceServerCommand::Enable(which) => {
            let (server, recorded) = context.block_on(admin.enable_resource_server(&which.id, true))?;
            let known = confirmations(&context.settle(recorded, output)?);
            output
                .result(&format!("resource server {} is enabled: {known}", server.id), &document(&server))?;
        }
        ResourceServerCommand::Delete(which) => {
            let (server, recorded) = context.block_on(admin.delete_resource_server(&which.id))?;
            let known = confirmations(&context.settle(recorded, output)?);
            output.result(&format!("resource server {} is deleted: {known}", server.id), &json!({}))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn run_create(
    create: CreateResourceServer,
    context: &Context,
    output: &Output,
) -> Result<ExitCode, CliError> {
    let if_not_exists = create.if_not_exists;
    let new = NewResourceServer {
        identifier: read_identifier(&create.identifier)?,
        scope: read_owned_scope(&create.scope)?,
        may_revoke: !create.no_revoke,
        scopes_needing_permission: read_needing(&create.scopes_needing_permission)?,
        include_roles: create.include_roles,
        scope_descriptions: read_descriptions(&create.scope_descriptions)?,
        name: create.name,
    };
    let name = new.name.clone();
    let (server, secret, recorded) = match context.block_on(context.admin.create_resource_server(new)) {
        Err(AdminError::Exists(why)) if if_not_exists => {
            match context.block_on(context.admin.resource_server(&name)) {
                Ok(server) if server.name == name => {
                    let text = format!(
                        "{}\nThere is one already; its secret is not kept, only its digest.",
                        describe(&server)
                    );
                    output.result(&text, &json!({ "resource_server_id": server.id.as_str() }))?;
                    return Ok(ExitCode::SUCCESS);
                }
                _ => return Err(CliError::Failed(why)),
            }
        }
        Err(AdminError::Exists(why)) => {
            return Err(CliError::Failed(format!("{why}; with --if-not-exists that is no failure")));
        }
        created => created?,
    };
    // Handed over before the wait: it cannot be shown again.
    let text = format!("{}\nThe secret is shown this once", secrets(&server, secret.expose()));
    output.result(&text, &secrets_document(&server, secret.expose()))?;
    output.progress(&confirmations(&context.settle(recorded, output)?));
    Ok(ExitCode::SUCCESS)
}

fn secrets(server: &ResourceServer, secret: &str) -> String {
    table(&[("resource_server_id", server.id.to_string()), ("resource_server_secret", secret.to_owned())])
}

fn secrets_document(server: &ResourceServer, secret: &str) -> Value {
    json!({ "resource_server_id": server.id.as_str(), "resource_server_secret": secret })
}

fn read_identifier(text: &str) -> Result<ResourceIdentifier, CliError> {
    ResourceIdentifier::parse(text)
        .map_err(|error| CliError::Usage(format!("--identifier {text:?}: {error}")))
}

/// A resource server that owns no scope would never see an active token.
fn read_owned_scope(text: &str) -> Result<Scope, CliError> {
    Scope::parse(text).map_err(|error| CliError::Usage(format!("--scope {text:?}: {error}")))
}

fn read_needing(words: &[String]) -> Result<Scope, CliError> {
    let read = |text: &String| match Scope::parse(text) {
        Ok(scope) if scope.words().eq([text.as_str()]) => Ok(scope),
        _ => Err(CliError::Usage(format!(
            "--scope-needs-permission {text:?}: write one scope, and repeat for more"
        ))),
    };
    let scopes: Vec<Scope> = words.iter().map(read).collect::<Result<_, _>>()?;
    Ok(scopes.iter().flat_map(Scope::words).collect())
}

fn read_descriptions(texts: &[String]) -> Result<ScopeDescriptions, CliError> {
    let mut descriptions = ScopeDescriptions::default();
    for text in texts {
        let usage = |why: String| CliError::Usage(format!("--scope-description {text:?}: {why}"));
        let (word, words) =
            text.split_once('=').ok_or_else(|| usage("write the scope, =, and what it means".to_owned()))?;
        descriptions.describe(word, words).map_err(|error| usage(error.to_string()))?;
    }
    Ok(descriptions)
}

fn read_update(update: UpdateResourceServer) -> Result<ResourceServerUpdate, CliError> {
    let either = |no: bool, yes: bool| match (no, yes) {
        (true, _) => Some(false),
        (_, true) => Some(true),
        _ => None,
    };
    let may_revoke = either(update.no_revoke, update.may_revoke);
    let include_roles = either(update.no_roles, update.include_roles);
    let needing = match update.no_scope_needs_permission || !update.scopes_needing_permission.is_empty() {
        true => Some(read_needing(&update.scopes_needing_permission)?),
        false => None,
    };
    let identifier = update.identifier.as_deref().map(read_identifier).transpose()?;
    let scope = update.scope.as_deref().map(read_owned_scope).transpose()?;
    let scope_descriptions = read_descriptions(&update.scope_descriptions)?;
    let kept = update.name.is_none()
        && identifier.is_none()
        && scope.is_none()
        && update.scope_descriptions.is_empty();
    if kept && may_revoke.is_none() && needing.is_none() && include_roles.is_none() {
        let why = "nothing to update: give --name, --identifier, --scope, --scope-needs-permission, \
                   --scope-description, --include-roles, --no-roles, --no-revoke or --may-revoke";
        return Err(CliError::Usage(why.to_owned()));
    }
    Ok(ResourceServerUpdate {
        name: update.name,
        identifier,
        scope,
        may_revoke,
        scopes_needing_permission: needing,
        include_roles,
        scope_descriptions,
    })
}

fn state(server: &ResourceServer) -> &'static str {
    if server.enabled { "enabled" } else { "disabled" }
}

fn row(server: &ResourceServer) -> Vec<String> {
    let (identifier, scope) = (server.identifier.to_string(), server.scope.to_string());
    vec![server.id.to_string(), server.name.clone(), state(server).to_owned(), identifier, scope]
}

fn describe(server: &ResourceServer) -> String {
    let mut rows = vec![
        ("resource_server_id", server.id.to_string()),
        ("name", server.name.clone()),
        ("identifier", server.identifier.to_string()),
        ("state", state(server).to_owned()),
        ("scope", server.scope.to_string()),
        ("needing permission", server.scopes_needing_permission.to_string()),
        ("is told roles", if server.include_roles { "yes" } else { "no" }.to_owned()),
        ("may revoke", if server.may_revoke { "yes" } else { "no" }.to_owned()),
        ("created", rfc3339(server.created_at)),
    ];
    for (word, text) in server.scope_descriptions.iter() {
        rows.push(("description", format!("{word}: {text}")));
    }
    if let Some(at) = server.credentials.previous_expires_at() {
        rows.push(("old secret ends", rfc3339(at)));
    }
    table(&rows)
}

fn document(server: &ResourceServer) -> Value {
    json!({
        "resource_server_id": server.id.as_str(),
        "name": server.name,
        "identifier": server.identifier.as_str(),
        "scope": server.scope.to_string(),
        "scopes_needing_permission": server.scopes_needing_permission.words().collect::<Vec<_>>(),
        "include_roles": server.include_roles,
        "scope_descriptions": server.scope_descriptions.iter().collect::<BTreeMap<_, _>>(),
        "may_revoke": server.may_revoke,
        "enabled": server.enabled,
        "created_at": server.created_at.unix_seconds(),
    })
}
