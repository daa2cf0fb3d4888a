//! `token inspect` and `token revoke`

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::ExitCode;

use serde_json::{Value, json};

use super::CliError;
use super::arguments::{InspectToken, RevokeTokens, TokenCommand};
use super::context::{Context, confirmations, confirmations_json};
use super::output::{Output, table};
use super::revoke::may_proceed;
use crate::admin::tokens::Inspection;
use crate::changes::Recorded;
use crate::domain::calendar::rfc3339;
use crate::domain::clock::Timestamp;
use crate::domain::identifier::GrantId;
use crate::domain::token::TokenPart;
use crate::grants::EncodedRecord;

pub fn run(command: TokenCommand, context: &Context, output: &Output) -> Result<ExitCode, CliError> {
    match command {
        TokenCommand::Inspect(inspect) => run_inspect(&inspect, context, output),
        TokenCommand::Revoke(revoke) => run_revoke(&revoke, context, output),
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

/// One thing that was asked to be revoked.
struct Wanted {
    /// As it may be shown: never more than kind and grant id.
    shown: String,
    /// What is wrong with it, if it leads to no grant and no login session.
    part: Result<TokenPart, String>,
}

fn run_revoke(revoke: &RevokeTokens, context: &Context, output: &Output) -> Result<ExitCode, CliError> {
    let wanted = read_wanted(revoke)?;
    if wanted.is_empty() {
        return Err(CliError::Usage("nothing to revoke: no token was given".to_owned()));
    }
    let grants = wanted.iter().filter(|wanted| wanted.part.is_ok()).count();
    let question = format!("Revoke {grants} grant(s) or login session(s), everywhere?");
    if revoke.destructive.dry_run {
        return dry_run(&wanted, context, output);
    }
    if grants > 0 && !may_proceed(&revoke.destructive, &question)? {
        return Ok(ExitCode::FAILURE);
    }
    let mut last: Option<Recorded> = None;
    let mut verdicts = Vec::new();
    for wanted in &wanted {
        let verdict = match &wanted.part {
            Err(why) => Err(why.clone()),
            Ok(part) => {
                let reason = revoke.destructive.reason.clone();
                let stored = stored(context, part.grant_id());
                context
                    .block_on(context.admin.revoke(part, stored, reason))
                    .map_err(|error| error.to_string())
            }
        };
        if let Ok(recorded) = &verdict {
            // The last number acknowledged means all before it are.
            let newer = last.is_none_or(|last| last.number < recorded.number);
            last = if newer { Some(*recorded) } else { last };
        }
        verdicts.push((wanted, verdict));
    }
    let settled = last.map(|recorded| context.settle(recorded, output)).transpose()?;
    let known = settled.as_ref().map(confirmations).unwrap_or_default();
    let mut lines = Vec::new();
    let mut documents = Vec::new();
    for (wanted, verdict) in &verdicts {
        match verdict {
            Ok(_) => lines.push(format!("{}  revoked", wanted.shown)),
            Err(why) => lines.push(format!("{}  not revoked: {why}", wanted.shown)),
        }
        documents.push(json!({
            "grant_id": wanted.part.as_ref().ok().map(|part| part.grant_id().to_string()),
            "revoked": verdict.is_ok(),
            "error": verdict.as_ref().err(),
        }));
    }
    if !known.is_empty() {
        lines.push(known.clone());
    }
    let confirmed = settled.as_ref().map(confirmations_json);
    output.result(&lines.join("\n"), &json!({ "grants": documents, "confirmed": confirmed }))?;
    let all = verdicts.iter().all(|(_, verdict)| verdict.is_ok());
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the grant store has, as far as it can be asked: killing does not rest on it.
fn stored(context: &Context, grant: GrantId) -> Option<EncodedRecord> {
    match context.block_on(context.stores.load_grant(grant)) {
        Ok(stored) => stored,
        Err(error) => {
            log::warn!("{error}");
            None
        }
    }
}

fn dry_run(wanted: &[Wanted], context: &Context, output: &Output) -> Result<ExitCode, CliError> {
    let mut lines = Vec::new();
    let mut documents = Vec::new();
    for wanted in wanted {
        let (line, document) = match &wanted.part {
            Err(why) => (format!("would not revoke: {why}"), json!({ "error": why })),
            Ok(part) => {
                let stored = stored(context, part.grant_id());
                let part = TokenPart::GrantId(part.grant_id());
                let inspected = context.admin.inspect(&part, stored, None);
                let inspection = context.block_on(inspected)?;
                let line = match inspection.dead_because {
                    None => "would revoke".to_owned(),
                    Some(why) => format!("is dead already ({why}); would revoke all the same"),
                };
                (line, document(&inspection))
            }
        };
        lines.push(format!("{}  {line}", wanted.shown));
        documents.push(document);
    }
    output.result(&lines.join("\n"), &json!({ "dry_run": true, "grants": documents }))?;
    let all = wanted.iter().all(|wanted| wanted.part.is_ok());
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read_wanted(revoke: &RevokeTokens) -> Result<Vec<Wanted>, CliError> {
    let mut texts = Vec::new();
    if let Some(path) = &revoke.file {
        let file = File::open(path)
            .map_err(|error| CliError::Usage(format!("--file {}: {error}", path.display())))?;
        texts.extend(read_lines(BufReader::new(file))?);
    }
    for part in &revoke.parts {
        match part.as_str() {
            "-" => texts.extend(read_lines(std::io::stdin().lock())?),
            part => texts.push(part.to_owned()),
        }
    }
    let texts = texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty());
    Ok(texts.zip(1..).map(|(text, entry)| Wanted::parse(text, entry)).collect())
}

impl Wanted {
    fn parse(text: &str, entry: usize) -> Self {
        match TokenPart::parse(text) {
            Ok(part) => Self { shown: part.grant_id().to_string(), part: Ok(part) },
            // What it is, nobody knows: it is not repeated.
            Err(error) => Self { shown: format!("entry {entry}"), part: Err(error.to_string()) },
        }
    }
}

fn read_lines(reader: impl BufRead) -> Result<Vec<String>, CliError> {
    let lines: Result<Vec<_>, _> = reader.lines().collect();
    lines.map_err(|error| CliError::Failed(format!("the tokens cannot be read: {error}")))
}
