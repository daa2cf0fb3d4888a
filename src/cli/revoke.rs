//! `revoke --client`, `revoke --user` and `revoke --everything`

use std::process::ExitCode;

use serde_json::json;

use super::CliError;
use super::arguments::{Destructive, RevokeEverything};
use super::context::{Context, confirmations, confirmations_json};
use super::output::Output;
use crate::changes::KillScope;

pub fn run(revoke: &RevokeEverything, context: &Context, output: &Output) -> Result<ExitCode, CliError> {
    let (scope, whose) = match (&revoke.whose.client, &revoke.whose.user) {
        (Some(which), _) => {
            let client = context.block_on(context.admin.client(which))?;
            (KillScope::Client(client.id.clone()), format!("of client {} ({})", client.id, client.name))
        }
        (None, Some(which)) => {
            let user = context.block_on(context.admin.user(which))?.user;
            (KillScope::Subject(user.id.clone()), format!("of user {} ({})", user.name, user.id))
        }
        (None, None) => (KillScope::Everything, "of everybody".to_owned()),
    };
    if revoke.destructive.dry_run {
        let text = format!("would revoke every token {whose} issued until now");
        output.result(&text, &json!({ "dry_run": true }))?;
        return Ok(ExitCode::SUCCESS);
    }
    if !may_proceed(&revoke.destructive, &format!("Revoke every token {whose}?"))? {
        return Ok(ExitCode::FAILURE);
    }
    let recorded = context.block_on(context.admin.kill(scope, revoke.destructive.reason.clone()))?;
    let settled = context.settle(recorded, output)?;
    let text =
        format!("every token {whose} issued before now is dead everywhere: {}", confirmations(&settled));
    let document = json!({ "change": recorded.number.get(), "confirmed": confirmations_json(&settled) });
    output.result(&text, &document)?;
    Ok(ExitCode::SUCCESS)
}

/// Whether to go on with something that cannot be undone: `--yes`, or a person who says so.
///
/// # Errors
/// When there is nobody to ask.
pub fn may_proceed(destructive: &Destructive, question: &str) -> Result<bool, CliError> {
    if destructive.yes {
        return Ok(true);
    }
    match Output::confirm(question) {
        Some(true) => Ok(true),
        Some(false) => {
            Output::error("nothing was done");
            Ok(false)
        }
        None => Err(CliError::Usage(
            "this cannot be undone and there is no terminal to ask on; add --yes".to_owned(),
        )),
    }
}
