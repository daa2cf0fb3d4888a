//! `token inspect`

use std::io::BufRead as _;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::CliError;
use super::arguments::InspectToken;
use super::context::Context;
use super::output::{Output, table};
use crate::admin::findings::{Finding, There};
use crate::domain::calendar::rfc3339;
use crate::domain::clock::Timestamp;
use crate::domain::identifier::ResourceServerId;
use crate::domain::scope::Scope;
use crate::domain::token::TokenPart;
use crate::grants::login_session::LoginSessionRecord;
use crate::grants::{AccessToken, Code, CodeState, GrantRecord, RefreshChain};

pub fn run(inspect: &InspectToken, context: &Context, output: &Output) -> Result<ExitCode, CliError> {
    let text = match inspect.part.as_str() {
        "-" => read_line()?,
        part => part.to_owned(),
    };
    let part = TokenPart::parse(text.trim()).map_err(|error| CliError::Usage(error.to_string()))?;
    let reader = context.stores.reader();
    let found = context.admin.find(reader.as_ref(), &part, inspect.at.as_deref());
    let finding = context.block_on(found)?;
    output.result(&describe(&finding), &document(&finding))?;
    Ok(ExitCode::SUCCESS)
}

fn read_line() -> Result<String, CliError> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.map_err(|error| CliError::Failed(format!("the token cannot be read: {error}")))?;
    Ok(line)
}

/// In a word, and why.
pub fn state(finding: &Finding) -> String {
    match finding.dead_because {
        Some(why) => format!("dead: {why}"),
        None if finding.is_frozen() => "frozen: inactive everywhere until it is thawed".to_owned(),
        None => "alive".to_owned(),
    }
}

type Row = (&'static str, String);

fn describe(finding: &Finding) -> String {
    let mut rows = vec![("grant", finding.grant_id.to_string()), ("state", state(finding))];
    match (&finding.record, &finding.session) {
        (Some(record), _) => describe_grant(&mut rows, finding, record),
        (None, Some(session)) => describe_session(&mut rows, finding, session),
        (None, None) => {}
    }
    if let Some(There { server, scope }) = &finding.there {
        rows.push((
            "there",
            match scope {
                Ok(scope) => format!("active at {} with \"{scope}\"", server.name),
                Err(why) => format!("inactive at {}: {why}", server.name),
            },
        ));
    }
    table(&rows)
}

fn describe_grant(rows: &mut Vec<Row>, finding: &Finding, record: &GrantRecord) {
    let name = finding.client.as_ref().map(|client| client.name.as_str());
    rows.push(("client", named(record.client.as_str(), name)));
    rows.extend(record.subject().map(|subject| ("user", named(subject.as_str(), user_name(finding)))));
    rows.push(("scope", record.scope.to_string()));
    if !finding.lacking.is_empty() {
        rows.push(("lacking", format!("{} (its user has no such permission today)", finding.lacking)));
    }
    rows.push(("audience", servers(finding, &record.audience)));
    rows.extend(record.issued_at().map(|at| ("issued", rfc3339(at))));
    rows.extend(record.address.map(|address| ("issued from", address.to_string())));
    rows.push(("ends", rfc3339(record.expires_at)));
    describe_restrictions(rows, finding);
    if let Some(user) = &record.user {
        rows.extend(user.code.as_ref().map(|code| ("code", code_in_words(code, finding.now))));
        rows.extend(user.refresh.as_ref().map(|chain| ("refresh token", refresh_in_words(chain))));
    }
    rows.extend(finding.access_tokens().map(|good| ("access token", token_in_words(finding, good))));
    if let Some(last) = &finding.last_introspected {
        let server = servers(finding, std::slice::from_ref(&last.server));
        rows.push(("last active", format!("{} at {server}", rfc3339(last.at))));
    }
    if let Some(id) = record.session() {
        let session = finding.session.as_ref().map(|session| format!(", {}", session_in_words(session)));
        rows.push(("login session", format!("{id}{}", session.unwrap_or_default())));
    }
}

fn describe_restrictions(rows: &mut Vec<Row>, finding: &Finding) {
    let held = &finding.restrictions;
    rows.extend(held.scope.as_ref().map(|scope| ("narrowed to", format!("\"{scope}\""))));
    rows.extend(held.ends_at.map(|end| ("shortened to", rfc3339(end))));
    if let Some(since) = held.frozen_at.filter(|_| held.is_frozen()) {
        rows.push(("frozen", format!("since {}", rfc3339(since))));
    }
}

fn describe_session(rows: &mut Vec<Row>, finding: &Finding, session: &LoginSessionRecord) {
    rows.push(("what", "a login session".to_owned()));
    rows.push(("user", named(session.subject.as_str(), user_name(finding))));
    rows.extend(
        Some(&session.browser)
            .filter(|browser| !browser.is_empty())
            .map(|browser| ("browser", browser.clone())),
    );
    rows.extend(session.address.map(|address| ("address", address.to_string())));
    rows.push(("began", rfc3339(session.created_at)));
    rows.push(("last seen", rfc3339(session.last_seen)));
    rows.push(("ends", rfc3339(session.expires_at())));
}

fn user_name(finding: &Finding) -> Option<&str> {
    finding.user.as_ref().map(|user| user.name.as_str())
}

/// An id, and the name that people know it by; what was deleted has none.
fn named(id: &str, name: Option<&str>) -> String {
    name.map_or_else(|| id.to_owned(), |name| format!("{id} ({name})"))
}

fn servers(finding: &Finding, ids: &[ResourceServerId]) -> String {
    let name = |id| finding.resource_server(id).map(|server| server.name.as_str());
    ids.iter().map(|id| named(id.as_str(), name(id))).collect::<Vec<_>>().join(", ")
}

fn code_in_words(code: &Code, now: Timestamp) -> String {
    match code.state {
        CodeState::Consumed => "redeemed".to_owned(),
        CodeState::Pending { .. } if code.expires_at <= now => "expired, never redeemed".to_owned(),
        CodeState::Pending { .. } => format!("waits to be redeemed until {}", rfc3339(code.expires_at)),
    }
}

fn refresh_in_words(chain: &RefreshChain) -> String {
    let (number, since, end) = (chain.number, rfc3339(chain.rotated_at), rfc3339(chain.idle_end()));
    format!("number {number}, issued {since}, ends {end} unless it is used")
}

fn token_in_words(finding: &Finding, (token, end): (&AccessToken, Timestamp)) -> String {
    let (jti, issued, ends) = (token.digest.jti(), rfc3339(token.issued_at), rfc3339(end));
    let part = token.restriction.as_ref().map(|part| {
        let audience = servers(finding, &part.audience);
        format!(", for \"{}\" at {audience} only", part.scope)
    });
    format!("{jti}, issued {issued}, ends {ends}{}", part.unwrap_or_default())
}

fn session_in_words(session: &LoginSessionRecord) -> String {
    let from = session.address.map(|address| format!(" from {address}")).unwrap_or_default();
    let with = Some(session.browser.as_str()).filter(|browser| !browser.is_empty());
    let with = with.map(|browser| format!(", {browser}")).unwrap_or_default();
    let (began, seen) = (rfc3339(session.created_at), rfc3339(session.last_seen));
    format!("since {began}{from}{with}, last seen {seen}")
}

/// The same for programs. `docs/FINDING.md` lists the members.
fn document(finding: &Finding) -> Value {
    let there = finding.there.as_ref();
    json!({
        "grant_id": finding.grant_id.to_string(),
        "alive": finding.dead_because.is_none(),
        "dead_because": finding.dead_because,
        "frozen": finding.is_frozen(),
        "inactive_there_because": there.and_then(|there| there.scope.as_ref().err()),
        "scope_there": there.and_then(|there| there.scope.as_ref().ok()).map(Scope::as_str),
        "grant": finding.record.as_ref().map(|record| grant_document(finding, record)),
        "login_session": finding.session.as_ref().map(|session| session_document(finding, session)),
    })
}

/// A grant, for programs.
pub fn grant_document(finding: &Finding, record: &GrantRecord) -> Value {
    let held = &finding.restrictions;
    let user = record.user.as_ref();
    let code = user.and_then(|user| user.code.as_ref()).map(|code| {
        let is_pending = matches!(code.state, CodeState::Pending { .. });
        json!({
            "state": if is_pending { "pending" } else { "redeemed" },
            "expires_at": code.expires_at.unix_seconds(),
        })
    });
    let refresh = user.and_then(|user| user.refresh.as_ref()).map(|chain| {
        json!({
            "number": chain.number,
            "issued_at": chain.rotated_at.unix_seconds(),
            "expires_at": chain.idle_end().unix_seconds(),
        })
    });
    json!({
        "client_id": record.client.as_str(),
        "client_name": finding.client.as_ref().map(|client| &client.name),
        "user_id": record.subject().map(ToString::to_string),
        "user_name": record.subject().and_then(|_| user_name(finding)),
        "login_session": record.session().map(|session| session.to_string()),
        "scope": record.scope.as_str(),
        "scope_without_permission": finding.lacking.as_str(),
        "audience": record.audience.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "audience_names": names(finding, &record.audience),
        "issued_at": record.issued_at().map(Timestamp::unix_seconds),
        "issued_from": record.address.map(|address| address.to_string()),
        "expires_at": record.expires_at.unix_seconds(),
        "narrowed_to": held.scope.as_ref().map(Scope::as_str),
        "shortened_to": held.ends_at.map(Timestamp::unix_seconds),
        "code": code,
        "refresh_token": refresh,
        "last_introspected": finding.last_introspected.as_ref().map(|last| {
            let name = finding.resource_server(&last.server).map(|server| &server.name);
            json!({
                "at": last.at.unix_seconds(),
                "resource_server_id": last.server.as_str(),
                "resource_server_name": name,
            })
        }),
        "access_tokens": finding.access_tokens().map(|good| token_document(finding, record, good)).collect::<Vec<_>>(),
    })
}

fn token_document(finding: &Finding, record: &GrantRecord, (token, end): (&AccessToken, Timestamp)) -> Value {
    let audience = record.audience_of(token);
    json!({
        "jti": token.digest.jti(),
        "issued_at": token.issued_at.unix_seconds(),
        "expires_at": end.unix_seconds(),
        "scope": record.scope_of(token).as_str(),
        "audience": audience.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "audience_names": names(finding, audience),
    })
}

/// The names of resource servers; `null` for one that was deleted.
fn names<'f>(finding: &'f Finding, ids: &[ResourceServerId]) -> Vec<Option<&'f str>> {
    ids.iter().map(|id| finding.resource_server(id).map(|server| server.name.as_str())).collect()
}

fn session_document(finding: &Finding, session: &LoginSessionRecord) -> Value {
    json!({
        "user_id": session.subject.as_str(),
        "user_name": user_name(finding),
        "browser": session.browser,
        "address": session.address.map(|address| address.to_string()),
        "created_at": session.created_at.unix_seconds(),
        "last_seen": session.last_seen.unix_seconds(),
        "expires_at": session.expires_at().unix_seconds(),
    })
}
