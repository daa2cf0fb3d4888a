//! `client …`

use std::collections::BTreeSet;
use std::io::Read as _;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::CliError;
use super::arguments::{ClientCommand, CreateClient, OwnLifetime, UpdateClient, read_scope};
use super::context::{Context, confirmations};
use super::output::{Output, columns, say_what_follows, table};
use crate::admin::AdminError;
use crate::admin::clients::{ClientUpdate, NewClient};
use crate::config::MAX_LIFETIME;
use crate::directory::{Client, GrantType};
use crate::domain::calendar::rfc3339;
use crate::domain::duration;
use crate::domain::identifier::ClientId;
use crate::domain::origin::Origin;
use crate::domain::redirect_uri::RedirectUri;
use crate::domain::secret::PlainSecret;

pub fn run(command: ClientCommand, context: &Context, output: &Output) -> Result<ExitCode, CliError> {
    let admin = &context.admin;
    match command {
        ClientCommand::Create(create) => return run_create(create, context, output),
        ClientCommand::List(part) => {
            let clients =
                context.block_on(admin.clients(part.after.clone().unwrap_or_default(), part.limit))?;
            let rows: Vec<_> = clients.iter().map(row).collect();
            let documents: Vec<_> = clients.iter().map(document).collect();
            output.result(&columns(&["ID", "NAME", "STATE", "GRANTS", "SCOPE"], &rows), &json!(documents))?;
            say_what_follows(&part, clients.iter().map(|client| client.name.as_str()), output);
        }
        ClientCommand::Show(which) => {
            let client = context.block_on(admin.client(&which.id))?;
            output.result(&describe(&client), &document(&client))?;
        }
        ClientCommand::Update(update) => {
            let id = update.which.id.clone();
            let (client, recorded) = context.block_on(admin.update_client(&id, read_update(update)?))?;
            let known = confirmations(&context.settle(recorded, output)?);
            output.result(&format!("{}\nupdated: {known}", describe(&client)), &document(&client))?;
        }
        ClientCommand::RotateSecret(rotate) => {
            let rotated = admin.rotate_client_secret(&rotate.which.id, rotate.overlap);
            let (client, secret, recorded) = context.block_on(rotated)?;
            // Handed over before the wait: it cannot be shown again.
            let rows = [("client_id", client.id.to_string()), ("client_secret", secret.expose().to_owned())];
            let text =
                format!("{}\nThe secret is shown this once; {}", table(&rows), old_secret(rotate.overlap));
            let document = json!({ "client_id": client.id.as_str(), "client_secret": secret.expose() });
            output.result(&text, &document)?;
            output.progress(&confirmations(&context.settle(recorded, output)?));
        }
        ClientCommand::Disable(which) => {
            let (client, recorded) = context.block_on(admin.enable_client(&which.id, false))?;
            let known = confirmations(&context.settle(recorded, output)?);
            let text = format!("client {} is disabled and all its tokens are revoked: {known}", client.id);
            output.result(&text, &document(&client))?;
        }
        ClientCommand::Enable(which) => {
            let (client, recorded) = context.block_on(admin.enable_client(&which.id, true))?;
            let known = confirmations(&context.settle(recorded, output)?);
            let text = format!("client {} is enabled; its old tokens stay revoked: {known}", client.id);
            output.result(&text, &document(&client))?;
        }
        ClientCommand::Delete(which) => {
            let (client, recorded) = context.block_on(admin.delete_client(&which.id))?;
            let known = confirmations(&context.settle(recorded, output)?);
            let text = format!("client {} is deleted and all its tokens are revoked: {known}", client.id);
            output.result(&text, &json!({}))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn run_create(create: CreateClient, context: &Context, output: &Output) -> Result<ExitCode, CliError> {
    let if_not_exists = create.if_not_exists;
    let new = read_new(create)?;
    // The id where one was chosen, else the name.
    let same = new.id.as_ref().map_or_else(|| new.name.clone(), ToString::to_string);
    let by_id = new.id.is_some();
    let created = context.block_on(context.admin.create_client(new));
    let (client, secret, recorded) = match created {
        Err(AdminError::Exists(why)) if if_not_exists => {
            match context.block_on(context.admin.client(&same)) {
                Ok(client) if (if by_id { client.id.as_str() } else { client.name.as_str() }) == same => {
                    let text = format!(
                        "{}\nThere is one already; its secret is not kept, only its digest.",
                        describe(&client)
                    );
                    output.result(&text, &json!({ "client_id": client.id.as_str() }))?;
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
    let mut rows = vec![("client_id", client.id.to_string())];
    let mut result = json!({ "client_id": client.id.as_str() });
    let mut note = "A public client has no secret";
    if let Some(secret) = &secret {
        rows.push(("client_secret", secret.expose().to_owned()));
        if let Some(result) = result.as_object_mut() {
            result.insert("client_secret".to_owned(), secret.expose().into());
        }
        note = "The secret is shown this once";
    }
    // Handed over before the wait: it cannot be shown again.
    output.result(&format!("{}\n{note}", table(&rows)), &result)?;
    output.progress(&confirmations(&context.settle(recorded, output)?));
    if client.grant_types.is_empty() {
        output
            .progress("note: it has no grant type and can get no token; see: symbolon client update --grant");
    }
    warn_of_orphans(&client, context, output)?;
    Ok(ExitCode::SUCCESS)
}

/// A scope that no resource server owns is of no use to anybody yet.
fn warn_of_orphans(client: &Client, context: &Context, output: &Output) -> Result<(), CliError> {
    let servers = context.block_on(context.admin.all_resource_servers())?;
    let owned = |word: &&str| servers.iter().any(|server| server.scope.contains(word));
    let orphans: Vec<&str> = client.scope.words().filter(|word| !owned(word)).collect();
    if !orphans.is_empty() {
        output.progress(&format!(
            "note: no resource server owns {}; tokens with it are active nowhere until one does",
            orphans.join(" ")
        ));
    }
    Ok(())
}

/// What becomes of the secret that was replaced.
pub fn old_secret(overlap: Duration) -> String {
    match overlap.is_zero() {
        true => "the old one is refused from now on".to_owned(),
        false => format!("the old one is good for {} more", duration::format(overlap)),
    }
}

fn read_grants(grants: &[String]) -> Result<BTreeSet<GrantType>, CliError> {
    let read = |text: &String| {
        GrantType::parse(text).ok_or_else(|| {
            let known: Vec<_> = GrantType::ALL.iter().map(|grant| grant.as_str()).collect();
            CliError::Usage(format!("--grant {text:?} is not supported; write {}", known.join(" or ")))
        })
    };
    grants.iter().map(read).collect()
}

fn read_new(create: CreateClient) -> Result<NewClient, CliError> {
    create.access_token_ttl.map(check_ttl).transpose()?;
    create.refresh_retry_window.map(check_retry_window).transpose()?;
    let id = create.client_id.as_deref().map(ClientId::parse).transpose();
    let secret = match create.secret_stdin {
        true => Some(read_secret()?),
        false => None,
    };
    Ok(NewClient {
        name: create.name,
        id: id.map_err(|error| CliError::Usage(format!("--client-id: {error}")))?,
        public: create.public,
        grant_types: read_grants(&create.grants)?,
        scope: read_scope(&create.scope)?,
        access_token_ttl: create.access_token_ttl,
        redirect_uris: read_redirect_uris(&create.redirect_uris)?,
        refresh_retry_window: create.refresh_retry_window,
        origins: read_origins(&create.origins)?,
        secret,
    })
}

/// Reads a secret from standard input; one newline at its end is dropped.
fn read_secret() -> Result<PlainSecret, CliError> {
    let mut text = zeroize::Zeroizing::new(String::new());
    let read = std::io::stdin().take(64 * 1024).read_to_string(&mut text);
    read.map_err(|error| CliError::Failed(format!("standard input cannot be read: {error}")))?;
    let secret = text.strip_suffix('\n').unwrap_or(&text);
    PlainSecret::bring(secret).map_err(|error| CliError::Usage(format!("--secret-stdin: {error}")))
}

fn check_ttl(ttl: Duration) -> Result<(), CliError> {
    if ttl.as_secs() == 0 || ttl > MAX_LIFETIME {
        let why =
            format!("--access-token-ttl must be 1s or more, and {} or less", duration::format(MAX_LIFETIME));
        return Err(CliError::Usage(why));
    }
    Ok(())
}

/// Whoever holds a stolen refresh token could use it as long, unnoticed.
const MAX_RETRY_WINDOW: Duration = Duration::from_secs(3600);

fn check_retry_window(window: Duration) -> Result<(), CliError> {
    if window > MAX_RETRY_WINDOW {
        let most = duration::format(MAX_RETRY_WINDOW);
        return Err(CliError::Usage(format!("--refresh-retry-window must be {most} or less")));
    }
    Ok(())
}

fn read_redirect_uris(uris: &[String]) -> Result<Vec<RedirectUri>, CliError> {
    let read = |text: &String| {
        RedirectUri::parse(text).map_err(|why| CliError::Usage(format!("--redirect-uri {text:?}: {why}")))
    };
    uris.iter().map(read).collect()
}

fn read_origins(origins: &[String]) -> Result<BTreeSet<Origin>, CliError> {
    let read = |text: &String| {
        Origin::parse(text).map_err(|why| CliError::Usage(format!("--origin {text:?}: {why}")))
    };
    origins.iter().map(read).collect()
}

fn read_update(update: UpdateClient) -> Result<ClientUpdate, CliError> {
    let ttl = update.access_token_ttl.map(|OwnLifetime(ttl)| ttl);
    ttl.flatten().map(check_ttl).transpose()?;
    let grants = if update.grants.is_empty() { None } else { Some(read_grants(&update.grants)?) };
    let scope = update.scope.as_deref().map(read_scope).transpose()?;
    let uris = &update.redirect_uris;
    let redirect_uris = if uris.is_empty() { None } else { Some(read_redirect_uris(uris)?) };
    let origins = match update.origins.is_empty() && !update.no_origin {
        true => None,
        false => Some(read_origins(&update.origins)?),
    };
    let window = update.refresh_retry_window.map(|OwnLifetime(window)| window);
    window.flatten().map(check_retry_window).transpose()?;
    let read = ClientUpdate {
        name: update.name,
        grant_types: grants,
        scope,
        access_token_ttl: ttl,
        redirect_uris,
        refresh_retry_window: window,
        origins,
    };
    if read == ClientUpdate::default() {
        let why = "nothing to update: give --name, --grant, --scope, --access-token-ttl, --redirect-uri, \
                   --refresh-retry-window, --origin or --no-origin";
        return Err(CliError::Usage(why.to_owned()));
    }
    Ok(read)
}

fn state(client: &Client) -> &'static str {
    if client.enabled { "enabled" } else { "disabled" }
}

fn grants(client: &Client) -> String {
    client.grant_types.iter().map(|grant| grant.as_str()).collect::<Vec<_>>().join(" ")
}

fn row(client: &Client) -> Vec<String> {
    let scope = client.scope.to_string();
    vec![client.id.to_string(), client.name.clone(), state(client).to_owned(), grants(client), scope]
}

fn redirect_uris(client: &Client) -> Vec<&str> {
    client.redirect_uris.iter().map(RedirectUri::as_str).collect()
}

fn origins(client: &Client) -> Vec<&str> {
    client.origins.iter().map(Origin::as_str).collect()
}

fn describe(client: &Client) -> String {
    let kind = if client.credentials.is_some() { "confidential" } else { "public" };
    let ttl = client.access_token_ttl.map_or_else(|| "the server's default".to_owned(), duration::format);
    let mut rows = vec![
        ("client_id", client.id.to_string()),
        ("name", client.name.clone()),
        ("kind", kind.to_owned()),
        ("state", state(client).to_owned()),
        ("grants", grants(client)),
        ("scope", client.scope.to_string()),
        ("access token ttl", ttl),
        ("redirect uris", redirect_uris(client).join(" ")),
        ("refresh retry window", duration::format(client.retry_window())),
        ("origins", origins(client).join(" ")),
        ("created", rfc3339(client.created_at)),
    ];
    if let Some(at) = client.credentials.as_ref().and_then(crate::directory::Credentials::previous_expires_at)
    {
        rows.push(("old secret ends", rfc3339(at)));
    }
    table(&rows)
}

fn document(client: &Client) -> Value {
    json!({
        "client_id": client.id.as_str(),
        "name": client.name,
        "public": client.credentials.is_none(),
        "enabled": client.enabled,
        "grant_types": client.grant_types.iter().map(|grant| grant.as_str()).collect::<Vec<_>>(),
        "scope": client.scope.to_string(),
        "access_token_ttl": client.access_token_ttl.map(|ttl| ttl.as_secs()),
        "redirect_uris": redirect_uris(client),
        "refresh_retry_window": client.retry_window().as_secs(),
        "origins": origins(client),
        "created_at": client.created_at.unix_seconds(),
    })
}
