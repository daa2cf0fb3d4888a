//! `role …`

use std::process::ExitCode;

use serde_json::{Value, json};

use super::CliError;
use super::arguments::RoleCommand;
use super::context::{Context, confirmations};
use super::output::{Output, columns, say_what_follows, table};
use crate::directory::Role;
use crate::domain::calendar::rfc3339;
use crate::domain::identifier::RoleName;
use crate::domain::scope::Scope;

pub fn run(command: RoleCommand, context: &Context, output: &Output) -> Result<ExitCode, CliError> {
    let admin = &context.admin;
    match command {
        RoleCommand::Create(create) => {
            let name = RoleName::parse(&create.name)
                .map_err(|error| CliError::Usage(format!("{:?}: {error}", create.name)))?;
            let permissions = read_permissions(&create.permissions)?;
            let (role, recorded) = context.block_on(admin.create_role(name, permissions))?;
            let known = confirmations(&context.settle(recorded, output)?);
            output.result(&format!("{}\ncreated: {known}", describe(&role)), &document(&role))?;
        }
        RoleCommand::List(part) => {
            let after = part.after.clone().unwrap_or_default();
            let roles = context.block_on(admin.roles(after, part.limit))?;
            let row = |role: &Role| vec![role.name.to_string(), role.permissions.to_string()];
            let rows: Vec<_> = roles.iter().map(row).collect();
            let documents: Vec<_> = roles.iter().map(document).collect();
            output.result(&columns(&["NAME", "PERMISSIONS"], &rows), &json!(documents))?;
            say_what_follows(&part, roles.iter().map(|role| role.name.as_str()), output);
        }
        RoleCommand::Show(which) => {
            let role = context.block_on(admin.role(&which.name))?;
            output.result(&describe(&role), &document(&role))?;
        }
        RoleCommand::Update(update) => {
            let permissions = read_permissions(&update.permissions)?;
            let (role, recorded) = context.block_on(admin.update_role(&update.which.name, permissions))?;
            let known = confirmations(&context.settle(recorded, output)?);
            output.result(&format!("{}\nupdated: {known}", describe(&role)), &document(&role))?;
        }
        RoleCommand::Delete(which) => {
            let (role, recorded) = context.block_on(admin.delete_role(&which.name))?;
            let known = confirmations(&context.settle(recorded, output)?);
            let text = format!("role {} is deleted and nobody has it any more: {known}", role.name);
            output.result(&text, &json!({}))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads one permission.
pub fn read_permission(text: &str) -> Result<Scope, CliError> {
    let permission =
        Scope::parse(text).ok().filter(|scope| scope.words().count() == 1 && !text.contains(' '));
    permission.ok_or_else(|| {
        CliError::Usage(format!(
            "{text:?} is not a permission: write one word, such as notes:write, and repeat for more"
        ))
    })
}

fn read_permissions(texts: &[String]) -> Result<Scope, CliError> {
    let all: Result<Vec<Scope>, _> = texts.iter().map(|text| read_permission(text)).collect();
    let all = all?;
    Ok(all.iter().flat_map(Scope::words).collect())
}

fn describe(role: &Role) -> String {
    table(&[
        ("name", role.name.to_string()),
        ("permissions", role.permissions.to_string()),
        ("created", rfc3339(role.created_at)),
    ])
}

fn document(role: &Role) -> Value {
    json!({
        "name": role.name.as_str(),
        "permissions": role.permissions.words().collect::<Vec<_>>(),
        "created_at": role.created_at.unix_seconds(),
    })
}
