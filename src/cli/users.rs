//! `user …`

use std::process::ExitCode;

use serde_json::{Value, json};

use super::CliError;
use super::arguments::{CreateUser, ListPart, SetPassword, UserCommand};
use super::context::{Context, confirmations};
use super::output::{Output, columns, say_what_follows, table};
use super::roles::read_permission;
use crate::admin::AdminError;
use crate::admin::users::{Entitle, NewUser, UserOverview};
use crate::changes::Recorded;
use crate::domain::calendar::rfc3339;
use crate::domain::login_name::LoginName;
use crate::domain::scope::Scope;

pub fn run(command: UserCommand, context: &Context, output: &Output) -> Result<ExitCode, CliError> {
    let admin = &context.admin;
    match command {
        UserCommand::Create(create) => return run_create(&create, context, output),
        UserCommand::SetPassword(set) => return run_set_password(&set, context, output),
        UserCommand::List(list) => return run_list(&list, context, output),
        UserCommand::Show(which) => {
            let user = context.block_on(admin.user(&which.name))?;
            output.result(&describe(&user), &document(&user))?;
        }
        UserCommand::Disable(which) => {
            let altered = context.block_on(admin.enable_user(&which.name, false))?;
            say(altered, "is disabled and everything given for them is revoked", context, output)?;
        }
        UserCommand::Enable(which) => {
            let altered = context.block_on(admin.enable_user(&which.name, true))?;
            say(altered, "is enabled; what was given before stays revoked", context, output)?;
        }
        UserCommand::Delete(which) => {
            let (user, recorded) = context.block_on(admin.delete_user(&which.name))?;
            let known = confirmations(&context.settle(recorded, output)?);
            let text = format!(
                "user {} ({}) is deleted and everything given for them is revoked: {known}",
                user.name, user.id
            );
            output.result(&text, &json!({}))?;
        }
        UserCommand::AssignRole(both) => {
            let altered = admin.entitle(&both.which.name, Entitle::AssignRole(both.role.clone()));
            say(context.block_on(altered)?, &format!("has the role {:?}", both.role), context, output)?;
        }
        UserCommand::RemoveRole(both) => {
            let altered = admin.entitle(&both.which.name, Entitle::RemoveRole(both.role.clone()));
            say(context.block_on(altered)?, &format!("has not the role {:?}", both.role), context, output)?;
        }
        UserCommand::GrantPermission(both) => {
            let permission = read_permission(&both.permission)?;
            let altered = admin.entitle(&both.which.name, Entitle::Grant(permission.clone()));
            let now = format!("has the permission {permission} directly");
            say(context.block_on(altered)?, &now, context, output)?;
        }
        UserCommand::RemovePermission(both) => {
            let permission = read_permission(&both.permission)?;
            let altered = admin.entitle(&both.which.name, Entitle::Withdraw(permission.clone()));
            let altered = context.block_on(altered)?;
            let now = format!("has not the permission {permission} directly");
            let left = through_roles(&altered.0, &permission, context)?;
            say(altered, &format!("{now}{left}"), context, output)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Says how a user stands now, once every replica knows.
fn say(
    (user, recorded): (UserOverview, Recorded),
    now: &str,
    context: &Context,
    output: &Output,
) -> Result<(), CliError> {
    let known = confirmations(&context.settle(recorded, output)?);
    output.result(&format!("user {} {now}: {known}", user.user.name), &document(&user))
}

/// A permission that was taken back may still come with a role.
fn through_roles(user: &UserOverview, permission: &Scope, context: &Context) -> Result<String, CliError> {
    let roles = context.block_on(context.admin.all_roles())?;
    let grants = roles.iter().filter(|role| {
        user.entitlements.roles.contains(&role.name) && role.permissions.intersects(permission)
    });
    let grants: Vec<_> = grants.map(|role| role.name.to_string()).collect();
    Ok(match grants.is_empty() {
        true => String::new(),
        false => format!(", but still by the role {}", grants.join(", ")),
    })
}

fn read_name(text: &str) -> Result<LoginName, CliError> {
    LoginName::parse(text).map_err(|error| CliError::Usage(format!("{text:?}: {error}")))
}

fn run_create(create: &CreateUser, context: &Context, output: &Output) -> Result<ExitCode, CliError> {
    let name = read_name(&create.name)?;
    let password = match create.password_stdin {
        true => Some(context.new_password(name.as_str())?),
        false => None,
    };
    let new = NewUser { name, password, must_change_password: create.must_change_password };
    let (user, recorded) = match context.block_on(context.admin.create_user(new)) {
        Err(AdminError::Exists(_)) if create.if_not_exists => {
            let user = context.block_on(context.admin.user(&create.name))?;
            let text = format!("{}\nThere is one already; nothing was changed.", describe(&user));
            output.result(&text, &document(&user))?;
            return Ok(ExitCode::SUCCESS);
        }
        Err(AdminError::Exists(why)) => {
            return Err(CliError::Failed(format!("{why}; with --if-not-exists that is no failure")));
        }
        created => created?,
    };
    let known = confirmations(&context.settle(recorded, output)?);
    output.result(&format!("{}\ncreated: {known}", describe(&user)), &document(&user))?;
    if user.user.password.is_none() {
        output.progress("note: without a password nobody can log in; see: symbolon user set-password");
    }
    Ok(ExitCode::SUCCESS)
}

fn run_set_password(set: &SetPassword, context: &Context, output: &Output) -> Result<ExitCode, CliError> {
    // The name counts: no password may be the name of its user.
    let user = context.block_on(context.admin.user(&set.which.name))?.user;
    let password = context.new_password(user.name.as_str())?;
    let altered = context.admin.set_password(user.id.as_str(), password, set.must_change_password);
    let altered = context.block_on(altered)?;
    say(altered, "has another password, and their login sessions have ended", context, output)?;
    Ok(ExitCode::SUCCESS)
}

fn run_list(list: &ListPart, context: &Context, output: &Output) -> Result<ExitCode, CliError> {
    let after = list.after.as_deref().map(read_name).transpose()?;
    let users = context.block_on(context.admin.users(after, list.limit))?;
    let rows: Vec<_> = users.iter().map(row).collect();
    let documents: Vec<_> = users.iter().map(document).collect();
    output.result(&columns(&["ID", "NAME", "STATE", "ROLES"], &rows), &json!(documents))?;
    say_what_follows(list, users.iter().map(|user| user.user.name.as_str()), output);
    Ok(ExitCode::SUCCESS)
}

fn state(user: &UserOverview) -> &'static str {
    if user.user.enabled { "enabled" } else { "disabled" }
}

fn roles(user: &UserOverview) -> Vec<&str> {
    user.entitlements.roles.iter().map(crate::domain::identifier::RoleName::as_str).collect()
}

fn row(user: &UserOverview) -> Vec<String> {
    let (id, name) = (user.user.id.to_string(), user.user.name.to_string());
    vec![id, name, state(user).to_owned(), roles(user).join(", ")]
}

fn describe(user: &UserOverview) -> String {
    let password = match (user.user.password_changed_at, user.user.must_change_password) {
        (None, _) => "none".to_owned(),
        (Some(at), false) => format!("set {}", rfc3339(at)),
        (Some(at), true) => format!("set {}, to be changed at the next login", rfc3339(at)),
    };
    table(&[
        ("user_id", user.user.id.to_string()),
        ("name", user.user.name.to_string()),
        ("state", state(user).to_owned()),
        ("roles", roles(user).join(", ")),
        ("permissions", user.entitlements.permissions.to_string()),
        ("password", password),
        ("created", rfc3339(user.user.created_at)),
    ])
}

fn document(user: &UserOverview) -> Value {
    json!({
        "user_id": user.user.id.as_str(),
        "name": user.user.name.as_str(),
        "enabled": user.user.enabled,
        "roles": roles(user),
        "permissions": user.entitlements.permissions.words().collect::<Vec<_>>(),
        "password_changed_at": user.user.password_changed_at.map(crate::domain::clock::Timestamp::unix_seconds),
        "must_change_password": user.user.must_change_password,
        "created_at": user.user.created_at.unix_seconds(),
    })
}
