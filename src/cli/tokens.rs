//! `token …`

use std::io::BufRead;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::CliError;
use super::arguments::{InspectToken, TokenCommand};
use super::context::Context;
use super::output::{Output, table};
use super::revoke_tokens;
use crate::admin::tokens::Inspection;
use crate::domain::calendar::rfc3339;
use crate::domain::clock::Timestamp;
use crate::domain::token::TokenPart;

pub fn run(command: TokenCommand, context: &Context, output: &Output) -> Result<ExitCode, CliError> {
    match command {
        TokenCommand::Inspect(inspect) => run_inspect(&inspect, context, output),
        TokenCommand::Revoke(revoke) => revoke_tokens::run(&revoke, context, output),
        TokenCommand::Edit(edit) => super::edit::run(&edit, context, output),
    }
}

fn run_inspect(inspect: &InspectToken, context: &Context, output: &Output) -> Result<ExitCode, CliError> {
    let text = match inspect.part.as_str() {
        "-" => read_lines(std::io::stdin().lock())?.into_iter().next().unwrap_or_default(),
        part => part.to_owned(),
    };
    let part = TokenPart::parse(text.trim()).map_err(|error| CliError::Usage(error.to_string()))?;
    let stored = context.block_on(context.stores.load_grant(part.grant_id()));
    let stored = stored.map_err(|error| CliError::Failed(error.to_string()))?;
    let inspected = context.admin.inspect(&part, stored, inspect.at.as_deref());
    let inspection = context.block_on(inspected)?;
    output.result(&describe(&inspection, inspect.at.as_deref()), &document(&inspection))?;
    Ok(ExitCode::SUCCESS)
}

fn describe(inspection: &Inspection, at: Option<&str>) -> String {
    let state = inspection.dead_because.map_or_else(|| "alive".to_owned(), |why| format!("dead: {why}"));
    let mut rows = vec![("grant", inspection.grant_id.to_string()), ("state", state)];
    if let Some(record) = &inspection.record {
        let audience: Vec<_> = record.audience.iter().map(ToString::to_string).collect();
        rows.push(("client", record.client.to_string()));
        if let Some(subject) = record.subject() {
            rows.push(("user", subject.to_string()));
        }
        if let Some(session) = record.session() {
            rows.push(("login session", session.to_string()));
        }
        rows.push(("scope", record.scope.to_string()));
        rows.push(("audience", audience.join(" ")));
        rows.extend(record.issued_at().map(|at| ("issued", rfc3339(at))));
        rows.extend(record.address.map(|address| ("issued from", address.to_string())));
        rows.push(("ends", rfc3339(record.expires_at)));
    }
    if let Some(session) = &inspection.session {
        rows.push(("what", "a login session".to_owned()));
        rows.push(("user", session.subject.to_string()));
        rows.push(("browser", session.browser.clone()));
        rows.extend(session.address.map(|address| ("address", address.to_string())));
        rows.push(("began", rfc3339(session.created_at)));
        rows.push(("last seen", rfc3339(session.last_seen)));
        rows.push(("ends", rfc3339(session.expires_at())));
    }
    if let Some(at) = at {
        let there = inspection.inactive_there_because;
        rows.push((
            "there",
            there.map_or_else(|| format!("active at {at}"), |why| format!("inactive at {at}: {why}")),
        ));
    }
    table(&rows)
}

fn document(inspection: &Inspection) -> Value {
    let record = inspection.record.as_ref().map(|record| {
        let tokens: Vec<_> = record
            .access_tokens
            .iter()
            .map(|token| {
                json!({
                    "jti": token.digest.jti(),
                    "issued_at": token.issued_at.unix_seconds(),
                    "expires_at": token.expires_at.unix_seconds(),
                })
            })
            .collect();
        json!({
            "client_id": record.client.as_str(),
            "user_id": record.subject().map(ToString::to_string),
            "login_session": record.session().map(|session| session.to_string()),
            "scope": record.scope.to_string(),
            "audience": record.audience.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "issued_at": record.issued_at().map(Timestamp::unix_seconds),
            "issued_from": record.address.map(|address| address.to_string()),
            "expires_at": record.expires_at.unix_seconds(),
            "access_tokens": tokens,
        })
    });
    let session = inspection.session.as_ref().map(|session| {
        json!({
            "user_id": session.subject.as_str(),
            "browser": session.browser,
            "address": session.address.map(|address| address.to_string()),
            "created_at": session.created_at.unix_seconds(),
            "last_seen": session.last_seen.unix_seconds(),
            "expires_at": session.expires_at().unix_seconds(),
        })
    });
    json!({
        "grant_id": inspection.grant_id.to_string(),
        "alive": inspection.dead_because.is_none(),
        "dead_because": inspection.dead_because,
        "inactive_there_because": inspection.inactive_there_because,
        "grant": record,
        "login_session": session,
    })
}

fn read_lines(reader: impl BufRead) -> Result<Vec<String>, CliError> {
    let lines: Result<Vec<_>, _> = reader.lines().collect();
    lines.map_err(|error| CliError::Failed(format!("the tokens cannot be read: {error}")))
}
