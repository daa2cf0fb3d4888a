//! `token narrow`, `token shorten`, `token freeze` and `token thaw`

use std::io::BufRead as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::CliError;
use super::arguments::{EditCommand, EditedTokens};
use super::context::{Context, confirmations, confirmations_json};
use super::output::Output;
use super::revoke::may_proceed;
use crate::admin::edits::Held;
use crate::changes::Edit;
use crate::domain::calendar::rfc3339;
use crate::domain::clock::Timestamp;
use crate::domain::identifier::GrantId;
use crate::domain::token::{TokenKind, TokenPart};
use crate::domain::token_key::TokenKeys;
use crate::grants::GrantRecord;
use crate::grants::login_session::LoginSessionRecord;

/// What became of one thing that was asked for.
struct Verdict {
    /// As it may be shown: never more than the grant id.
    shown: String,
    held: Result<Held, Refusal>,
}

/// Why a grant is not edited.
struct Refusal {
    grant: Option<GrantId>,
    why: String,
}

pub fn run(command: &EditCommand, context: &Context, output: &Output) -> Result<ExitCode, CliError> {
    let (edit, which) = read(command, context)?;
    let verdicts = judge(&edit, &which.parts, context)?;
    if !which.destructive.dry_run {
        note_refusals(&edit, &verdicts, context);
    }
    let wanted: Vec<Held> =
        verdicts.iter().filter_map(|verdict| verdict.held.as_ref().ok().cloned()).collect();
    if which.destructive.dry_run || wanted.is_empty() {
        let done = if which.destructive.dry_run { format!("would be {}", done(&edit)) } else { done(&edit) };
        return tell(&verdicts, &done, None, which.destructive.dry_run, output);
    }
    let question = format!("{} {} grant(s), everywhere?", verb(&edit), wanted.len());
    let may = match edit {
        Edit::Narrow(_) | Edit::Shorten(_) => may_proceed(&which.destructive, &question)?,
        Edit::Freeze => which.destructive.yes || confirm(&question)?,
        Edit::Thaw => true,
    };
    if !may {
        return Ok(ExitCode::FAILURE);
    }
    let recorded = context.block_on(context.admin.edit(&wanted, &edit))?;
    let settled = context.settle(recorded, output)?;
    let verdicts = after(verdicts, context)?;
    let confirmed = (confirmations(&settled), confirmations_json(&settled));
    tell(&verdicts, &done(&edit), Some(confirmed), false, output)
}

fn read<'c>(command: &'c EditCommand, context: &Context) -> Result<(Edit, &'c EditedTokens), CliError> {
    Ok(match command {
        EditCommand::Narrow(narrow) => (Edit::Narrow(narrow.scope.clone()), &narrow.which),
        EditCommand::Shorten(shorten) => {
            let given = shorten.end.ends_at;
            let end = given.or_else(|| shorten.end.ends_in.map(|left| context.stores.clock.now() + left));
            let end = end.ok_or_else(|| CliError::Usage("--ends-in or --ends-at is missing".to_owned()))?;
            (Edit::Shorten(end), &shorten.which)
        }
        EditCommand::Freeze(which) => (Edit::Freeze, which),
        EditCommand::Thaw(which) => (Edit::Thaw, which),
    })
}

/// Asks before something that can be undone, but stops somebody's work.
fn confirm(question: &str) -> Result<bool, CliError> {
    let Some(answer) = Output::confirm(question) else {
        return Err(CliError::Usage("there is no terminal to ask on; add --yes".to_owned()));
    };
    if !answer {
        Output::error("nothing was done");
    }
    Ok(answer)
}

const fn verb(edit: &Edit) -> &'static str {
    match edit {
        Edit::Narrow(_) => "Narrow",
        Edit::Shorten(_) => "Shorten",
        Edit::Freeze => "Freeze",
        Edit::Thaw => "Thaw",
    }
}

fn done(edit: &Edit) -> String {
    match edit {
        Edit::Narrow(_) => "narrowed".to_owned(),
        Edit::Shorten(end) => format!("shortened to end at {}", rfc3339(*end)),
        Edit::Freeze => "frozen".to_owned(),
        Edit::Thaw => "thawed".to_owned(),
    }
}

/// Finds each grant, and what speaks against editing it.
fn judge(edit: &Edit, parts: &[String], context: &Context) -> Result<Vec<Verdict>, CliError> {
    let keys = context.token_keys()?;
    let mut verdicts = Vec::new();
    let mut found = Vec::new();
    for (text, entry) in read_parts(parts)?.iter().zip(1..) {
        match find(text, keys.as_ref(), context) {
            Ok((grant, record)) => {
                found.push((grant, record));
                verdicts.push((grant.to_string(), None));
            }
            // What it is, nobody knows: it is not repeated.
            Err(refusal) => {
                let shown = refusal.grant.map_or_else(|| format!("entry {entry}"), |grant| grant.to_string());
                verdicts.push((shown, Some(refusal)));
            }
        }
    }
    if verdicts.is_empty() {
        return Err(CliError::Usage("no token was given".to_owned()));
    }
    let now = context.stores.clock.now();
    let mut held = context.block_on(context.admin.held(found))?.into_iter();
    let judged = verdicts.into_iter().filter_map(|(shown, refusal)| {
        let held =
            if let Some(refusal) = refusal { Err(refusal) } else { unless_objected(held.next()?, edit, now) };
        Some(Verdict { shown, held })
    });
    Ok(judged.collect())
}

/// Of what names no grant, nothing is noted: it may be anything.
fn note_refusals(edit: &Edit, verdicts: &[Verdict], context: &Context) {
    let refused = verdicts.iter().filter_map(|verdict| verdict.held.as_ref().err());
    let refused =
        refused.filter_map(|Refusal { grant, why }| Some((grant.as_ref()?.to_string(), why.clone())));
    context.block_on(context.admin.note_refusals(edit.kind(), refused.collect()));
}

fn unless_objected(held: Held, edit: &Edit, now: Timestamp) -> Result<Held, Refusal> {
    match held.objection(edit, now) {
        Some(why) => Err(Refusal { grant: Some(held.grant_id), why }),
        None => Ok(held),
    }
}

/// The same verdicts, with what holds now.
fn after(verdicts: Vec<Verdict>, context: &Context) -> Result<Vec<Verdict>, CliError> {
    let edited = verdicts.iter().filter_map(|verdict| verdict.held.as_ref().ok());
    let edited = edited.map(|held| (held.grant_id, held.record.clone())).collect();
    let mut held = context.block_on(context.admin.held(edited))?.into_iter();
    let refresh = |verdict: Verdict| match verdict.held {
        Ok(before) => Verdict { held: Ok(held.next().unwrap_or(before)), ..verdict },
        Err(_) => verdict,
    };
    Ok(verdicts.into_iter().map(refresh).collect())
}

fn read_parts(parts: &[String]) -> Result<Vec<String>, CliError> {
    let mut texts = Vec::new();
    for part in parts {
        if part == "-" {
            for line in std::io::stdin().lock().lines() {
                let failed = |error| CliError::Failed(format!("the tokens cannot be read: {error}"));
                texts.push(line.map_err(failed)?);
            }
        } else {
            texts.push(part.clone());
        }
    }
    let texts = texts.iter().map(|text| text.trim().to_owned());
    Ok(texts.filter(|text| !text.is_empty()).collect())
}

/// The grant that a text leads to, with what the grant store has of it as far as that can be asked.
fn find(
    text: &str,
    keys: Option<&TokenKeys>,
    context: &Context,
) -> Result<(GrantId, Option<GrantRecord>), Refusal> {
    let part = TokenPart::parse(text).map_err(|error| Refusal { grant: None, why: error.to_string() })?;
    let grant = part.grant_id();
    let refuse = |why: &str| Refusal { grant: Some(grant), why: why.to_owned() };
    let proved = keys.and_then(|keys| part.proved_kind(keys));
    let stored = match context.block_on(context.stores.load_grant(grant)) {
        Ok(stored) => stored,
        Err(_) if proved.is_some_and(|kind| kind != TokenKind::LoginSession) => None,
        Err(error) => {
            let unknown = "without it nobody can tell whether this is a grant or a login session; to end either, revoke it";
            return Err(refuse(&format!("{error}; {unknown}")));
        }
    };
    let is_session = match &stored {
        Some(stored) => LoginSessionRecord::decode(stored).is_ok(),
        None => part.kind() == Some(TokenKind::LoginSession),
    };
    if is_session {
        return Err(refuse("it is a login session, which can only be ended: token revoke"));
    }
    let record = stored.map(|stored| stored.decode()).transpose();
    Ok((grant, record.map_err(|error| refuse(&error.to_string()))?))
}

fn tell(
    verdicts: &[Verdict],
    done: &str,
    confirmed: Option<(String, Value)>,
    dry_run: bool,
    output: &Output,
) -> Result<ExitCode, CliError> {
    let mut lines: Vec<String> = verdicts.iter().map(|verdict| line(verdict, done)).collect();
    let mut document = json!({ "grants": verdicts.iter().map(described).collect::<Vec<_>>() });
    let confirmed = confirmed.map(|(words, replicas)| {
        lines.push(words);
        replicas
    });
    if let Some(document) = document.as_object_mut() {
        if dry_run {
            document.insert("dry_run".to_owned(), true.into());
        } else {
            document.insert("confirmed".to_owned(), json!(confirmed));
        }
    }
    output.result(&lines.join("\n"), &document)?;
    let all = verdicts.iter().all(|verdict| verdict.held.is_ok());
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn line(Verdict { shown, held }: &Verdict, done: &str) -> String {
    match held {
        Ok(held) => {
            let unknown = if held.record.is_none() { "; the grant store did not show it" } else { "" };
            format!("{shown}  {done}: {}{unknown}", summary(held))
        }
        Err(refusal) => format!("{shown}  not done: {}", refusal.why),
    }
}

/// What holds of a grant, in few words.
fn summary(held: &Held) -> String {
    let scope = held.scope().map_or_else(|| "its scope".to_owned(), |scope| format!("\"{scope}\""));
    let end = held.ends_at().map_or_else(|| "its end".to_owned(), rfc3339);
    let allows = if held.is_frozen() { "allows nothing until it is thawed, then" } else { "allows" };
    format!("it {allows} {scope} until {end}")
}

fn described(Verdict { held, .. }: &Verdict) -> Value {
    match held {
        Ok(held) => json!({
            "grant_id": held.grant_id.to_string(),
            "scope": held.scope().map(|scope| scope.to_string()),
            "expires_at": held.ends_at().map(Timestamp::unix_seconds),
            "frozen": held.is_frozen(),
            "in_store": held.record.is_some(),
            "error": null,
        }),
        Err(refusal) => json!({
            "grant_id": refusal.grant.map(|grant| grant.to_string()),
            "error": refusal.why,
        }),
    }
}
