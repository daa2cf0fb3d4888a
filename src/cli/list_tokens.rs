//! `token list`

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::CliError;
use super::arguments::{ListTokens, Moment};
use super::context::Context;
use super::output::Output;
use crate::admin::search::{Listed, Search, Wanted};
use crate::domain::calendar::rfc3339;
use crate::domain::clock::{BootTime, Timestamp};
use crate::domain::token::TokenPart;
use crate::grants::login_session::LoginSessionRecord;

/// How often a long search says how far it is.
const SAY_EVERY: Duration = Duration::from_secs(1);

pub fn run(list: &ListTokens, context: &Context, output: &Output) -> Result<ExitCode, CliError> {
    let wanted = read_wanted(list, context)?;
    let limit = usize::try_from(list.limit).unwrap_or(usize::MAX);
    let mut search = context.block_on(context.admin.search(context.stores.reader(), wanted))?;
    let mut told = Told::new(context);
    let mut documents = Vec::new();
    let mut found = 0;
    let mut is_complete = true;
    'search: while let Some(page) = context.block_on(context.admin.go_on(&mut search))? {
        for grant in page {
            if found == limit {
                is_complete = false;
                break 'search;
            }
            found += 1;
            output.text(&describe(&grant))?;
            documents.extend(output.is_json().then(|| document(&grant)));
        }
        told.tell(&search, found, context, output);
    }
    output.document(&json!({ "grants": documents, "complete": is_complete && !search.is_cut && search.not_understood == 0 }))?;
    say_what_is_missing(&search, found, is_complete, output);
    Ok(ExitCode::SUCCESS)
}

fn read_wanted(list: &ListTokens, context: &Context) -> Result<Wanted, CliError> {
    let admin = &context.admin;
    let user = list.which.user.as_ref().map(|which| context.block_on(admin.user(which))).transpose()?;
    let client = list.which.client.as_ref().map(|which| context.block_on(admin.client(which))).transpose()?;
    let session = list.which.session.as_deref().map(TokenPart::parse).transpose();
    let session = session.map_err(|error| CliError::Usage(format!("--session: {error}")))?;
    let session = session.map(|part| part.grant_id());
    let mut user = user.map(|user| user.user.id);
    // Whose a login session is says where to look.
    if let (None, Some(id)) = (&user, session) {
        let stored = context.block_on(context.stores.load_grant(id));
        let stored = stored.map_err(|error| CliError::Failed(error.to_string()))?;
        user =
            stored.and_then(|stored| LoginSessionRecord::decode(&stored).ok()).map(|session| session.subject);
    }
    let now = context.stores.clock.now();
    let moment = |moment: Option<Moment>| moment.map(|moment| moment.at(now));
    let (since, until) = (moment(list.which.since), moment(list.which.until));
    Ok(Wanted {
        user,
        client: client.map(|client| client.id.clone()),
        session,
        since,
        until,
        dead: list.dead,
    })
}

fn state(grant: &Listed) -> String {
    match grant.dead_because {
        Some(why) => format!("dead: {why}"),
        None if grant.is_frozen => "frozen".to_owned(),
        None => "alive".to_owned(),
    }
}

/// One line. Those that come later are not known yet, so nothing is lined up but what has one length.
fn describe(grant: &Listed) -> String {
    let record = &grant.record;
    let issued = record.issued_at().map_or_else(|| "unknown".to_owned(), rfc3339);
    let client = grant.client_name.as_deref().unwrap_or(record.client.as_str());
    let user = record.subject().map(|id| grant.user_name.clone().unwrap_or_else(|| id.to_string()));
    let user = user.map(|user| format!("  user {user}")).unwrap_or_default();
    let from = record.address.map(|address| format!("  from {address}")).unwrap_or_default();
    format!(
        "{}  issued {issued:20}  ends {}  {}  client {client}{user}{from}  \"{}\"",
        grant.grant_id,
        rfc3339(record.expires_at),
        state(grant),
        record.scope
    )
}

fn document(grant: &Listed) -> Value {
    let record = &grant.record;
    json!({
        "grant_id": grant.grant_id.to_string(),
        "alive": grant.dead_because.is_none(),
        "dead_because": grant.dead_because,
        "frozen": grant.is_frozen,
        "client_id": record.client.as_str(),
        "client_name": grant.client_name,
        "user_id": record.subject().map(ToString::to_string),
        "user_name": grant.user_name,
        "login_session": record.session().map(|session| session.to_string()),
        "scope": record.scope.as_str(),
        "audience": record.audience.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "issued_at": record.issued_at().map(Timestamp::unix_seconds),
        "issued_from": record.address.map(|address| address.to_string()),
        "expires_at": record.expires_at.unix_seconds(),
    })
}

fn say_what_is_missing(search: &Search, found: usize, is_complete: bool, output: &Output) {
    if !is_complete {
        output.progress(&format!("note: these are the first {found}; there are more: --limit"));
    }
    if search.is_cut {
        output.progress(
            "note: the list of this user's grants is full, and may lack those that end first; \
             symbolon revoke --user reaches them all",
        );
    }
    if search.not_understood > 0 {
        let count = search.not_understood;
        output.progress(&format!("note: {count} record(s) are of a newer version and were passed over"));
    }
    if is_complete && found == 0 {
        output.progress("nothing was found");
    }
}

/// Tells a person at a terminal how far a search is.
struct Told {
    last: BootTime,
    is_wanted: bool,
}

impl Told {
    fn new(context: &Context) -> Self {
        Self { last: context.stores.clock.boot(), is_wanted: std::io::stderr().is_terminal() }
    }

    fn tell(&mut self, search: &Search, found: usize, context: &Context, output: &Output) {
        let now = context.stores.clock.boot();
        if self.is_wanted && now - self.last >= SAY_EVERY {
            self.last = now;
            output.progress(&format!("looked at {}, found {found}", search.looked_at));
        }
    }
}
