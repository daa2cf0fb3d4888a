//! `revoke`: everything of a client, a user, a login session, a consent, or of everybody

use std::process::ExitCode;

use serde_json::{Value, json};

use super::CliError;
use super::arguments::{Destructive, RevokeEverything};
use super::clients::old_secret;
use super::context::{Context, confirmations, confirmations_json};
use super::output::{Output, table};
use crate::admin::reach::Reach;
use crate::admin::sets::AndClient;
use crate::changes::{KillScope, Recorded};
use crate::domain::identifier::{GrantId, UserId};
use crate::domain::secret::PlainSecret;
use crate::domain::token::{TokenKind, TokenPart};
use crate::grants::login_session::LoginSessionRecord;

/// What is to be revoked.
struct Target {
    scope: KillScope,
    /// Whose all of it is, if it is one user's.
    owner: Option<UserId>,
    /// For people.
    what: String,
}

pub fn run(revoke: &RevokeEverything, context: &Context, output: &Output) -> Result<ExitCode, CliError> {
    let target = read(revoke, context)?;
    if revoke.destructive.dry_run {
        return dry_run(&target, context, output);
    }
    if !may_proceed(&revoke.destructive, &format!("Revoke {}?", target.what))? {
        return Ok(ExitCode::FAILURE);
    }
    let (recorded, secret) = kill(revoke, &target.scope, context)?;
    let mut document = json!({ "change": recorded.number.get() });
    if let (Some(secret), KillScope::Client(id)) = (&secret, &target.scope) {
        // Handed over before the wait: it cannot be shown again. A document is one, and comes after it.
        let rows = [("client_id", id.to_string()), ("client_secret", secret.expose().to_owned())];
        let note = format!("The secret is shown this once; {}", old_secret(revoke.also.overlap));
        output.text(&format!("{}\n{note}", table(&rows)))?;
        document = json!({
            "change": recorded.number.get(),
            "client_id": id.as_str(),
            "client_secret": secret.expose(),
        });
    }
    let settled = context.settle(recorded, output);
    let confirmed = settled.as_ref().map_or(Value::Null, confirmations_json);
    if let Some(document) = document.as_object_mut() {
        document.insert("confirmed".to_owned(), confirmed);
    }
    match settled {
        Ok(settled) => {
            let text = format!("{} is dead everywhere: {}", target.what, confirmations(&settled));
            output.result(&text, &document)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            if secret.is_some() {
                output.document(&document)?;
            }
            Err(error)
        }
    }
}

fn read(revoke: &RevokeEverything, context: &Context) -> Result<Target, CliError> {
    let whose = &revoke.whose;
    let admin = &context.admin;
    // Nobody asked for anything to be done.
    let is_dry = revoke.destructive.dry_run;
    let user = |action, which: &str| {
        context.block_on(async {
            let found = admin.user(which).await.map(|found| found.user);
            if is_dry { found } else { admin.unless_refused(action, which, found).await }
        })
    };
    let client = |action, which: &str| {
        context.block_on(async {
            let found = admin.client(which).await;
            if is_dry { found } else { admin.unless_refused(action, which, found).await }
        })
    };
    if let Some(which) = &whose.client {
        let client = client("kill-client", which)?;
        let what = format!("every token of client {} ({}) issued before now", client.id, client.name);
        return Ok(Target { scope: KillScope::Client(client.id), owner: None, what });
    }
    if let Some(which) = &whose.user {
        let user = user("kill-subject", which)?;
        let what =
            format!("every token and login session of user {} ({}) from before now", user.name, user.id);
        return Ok(Target { scope: KillScope::Subject(user.id.clone()), owner: Some(user.id), what });
    }
    if let Some(which) = &whose.sessions_of {
        let user = user("kill-login-sessions", which)?;
        let what = format!(
            "every login session of user {} ({}) from before now, with all that was given in it,",
            user.name, user.id
        );
        return Ok(Target { scope: KillScope::LoginSessionsOf(user.id.clone()), owner: Some(user.id), what });
    }
    if let Some(part) = &whose.session {
        return read_session(part, context);
    }
    if let Some([user_name, which]) = whose.consent.as_deref() {
        let (user, client) = (user("kill-consent", user_name)?, client("kill-consent", which)?);
        let what = format!(
            "every token that client {} ({}) was given for user {} ({}) before now",
            client.id, client.name, user.name, user.id
        );
        let scope = KillScope::Consent(user.id.clone(), client.id);
        return Ok(Target { scope, owner: Some(user.id), what });
    }
    let what = "every token and login session of everybody from before now".to_owned();
    Ok(Target { scope: KillScope::Everything, owner: None, what })
}

fn read_session(part: &str, context: &Context) -> Result<Target, CliError> {
    let part =
        TokenPart::parse(part.trim()).map_err(|error| CliError::Usage(format!("--session: {error}")))?;
    let id = part.grant_id();
    let stored = context.block_on(context.stores.load_grant(id));
    let stored = match stored {
        Ok(stored) => stored,
        Err(_) if part.kind() == Some(TokenKind::LoginSession) => None,
        Err(error) => {
            let why =
                "without it nobody can tell whether this is a login session; see: symbolon token revoke";
            return Err(CliError::Failed(format!("{error}; {why}")));
        }
    };
    let session = stored.as_ref().and_then(|stored| LoginSessionRecord::decode(stored).ok());
    let is_other = part.kind().is_some_and(|kind| kind != TokenKind::LoginSession);
    if is_other || (session.is_none() && stored.is_some()) {
        let why = "--session: this is no login session; see: symbolon token revoke";
        return Err(CliError::Usage(why.to_owned()));
    }
    let what = describe_session(id, session.as_ref());
    Ok(Target { scope: KillScope::login_session(id), owner: session.map(|session| session.subject), what })
}

fn describe_session(id: GrantId, session: Option<&LoginSessionRecord>) -> String {
    let whose = session.map(|session| format!(" of user {}", session.subject)).unwrap_or_default();
    format!("login session {id}{whose}, with all that was given in it,")
}

/// Records it, with what is to be done in the same step.
fn kill(
    revoke: &RevokeEverything,
    scope: &KillScope,
    context: &Context,
) -> Result<(Recorded, Option<PlainSecret>), CliError> {
    let admin = &context.admin;
    let and = match (revoke.also.disable, revoke.also.rotate_secret) {
        (true, _) => Some(AndClient::Disable),
        (_, true) => Some(AndClient::RotateSecret { overlap: revoke.also.overlap }),
        _ => None,
    };
    match (scope, and) {
        (KillScope::Client(id), Some(and)) => {
            let (_, secret, recorded) = context.block_on(admin.kill_client(id, and))?;
            Ok((recorded, secret))
        }
        (KillScope::Subject(id), _) if revoke.also.must_change_password => {
            Ok((context.block_on(admin.kill_user_and_password(id))?, None))
        }
        (KillScope::Consent(user, client), _) => {
            Ok((context.block_on(admin.withdraw_consent(user, client))?, None))
        }
        _ => Ok((context.block_on(admin.kill(scope.clone()))?, None)),
    }
}

fn dry_run(target: &Target, context: &Context, output: &Output) -> Result<ExitCode, CliError> {
    let progress = |seen: u64| output.status(&format!("{seen} records looked at"));
    let reader = context.stores.reader();
    let reach = context.admin.reach(reader, &target.scope, target.owner.as_ref(), progress);
    let reach = context.block_on(reach);
    output.end_status();
    let Reach { grants, access_tokens, login_sessions, may_be_more } = reach?;
    let or_more = if may_be_more { ", or more," } else { "" };
    let text = format!(
        "would revoke {}: {grants} grant(s) with {access_tokens} live access token(s) and {login_sessions} login \
         session(s){or_more} now",
        target.what
    );
    let document = json!({
        "dry_run": true,
        "grants": grants,
        "access_tokens": access_tokens,
        "login_sessions": login_sessions,
        "may_be_more": may_be_more,
    });
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
