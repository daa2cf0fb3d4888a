//! What is known of a grant or a login session, for an admin on call: whose it is, what of it lives, and why a resource
//! server sees it inactive. Holds no secret.

use std::sync::Arc;

use super::tokens::{
    SHORTENED, client_dead_because, dead_because, is_shortened, session_dead_because, token_dead_because,
};
use super::{Admin, AdminError};
use crate::changes::{Bonds, Restrictions};
use crate::directory::introspected::{self, LastIntrospected};
use crate::directory::{Client, ResourceServer, Snapshot, UserFacts, users};
use crate::domain::clock::Timestamp;
use crate::domain::identifier::{ClientId, GrantId, ResourceServerId, UserId};
use crate::domain::scope::Scope;
use crate::domain::token::{TokenKind, TokenPart, TokenString};
use crate::grants::login_session::LoginSessionRecord;
use crate::grants::{AccessToken, GrantReader, GrantRecord};

/// What is known of a grant or a login session.
#[derive(Debug)]
pub struct Finding {
    pub grant_id: GrantId,
    /// What the grant store has of a grant.
    pub record: Option<GrantRecord>,
    /// What it has of a login session: of the one that was asked about, or of that in which the grant was given.
    pub session: Option<LoginSessionRecord>,
    /// What an admin restricted it to.
    pub restrictions: Restrictions,
    /// Why no token of the grant will be active anywhere any more, or not the one that was asked about; `None` when it
    /// lives.
    pub dead_because: Option<&'static str>,
    /// Whether the grant itself lives, and is not frozen: else none of its tokens is good.
    grant_is_good: bool,
    pub client: Option<Arc<Client>>,
    pub user: Option<UserFacts>,
    /// Those that are named here and that there are.
    pub resource_servers: Vec<Arc<ResourceServer>>,
    /// What of its scope the user lacks the permission for today.
    pub lacking: Scope,
    /// Where one of its access tokens was last active, as far as that was noted.
    pub last_introspected: Option<LastIntrospected>,
    /// How the resource server that was asked about sees it.
    pub there: Option<There>,
    pub now: Timestamp,
}

/// How a resource server sees a token.
#[derive(Debug)]
pub struct There {
    pub server: ResourceServer,
    /// What the token may do there; else why it is not active there.
    pub scope: Result<Scope, String>,
}

impl Finding {
    pub const fn is_frozen(&self) -> bool {
        self.restrictions.is_frozen()
    }

    /// One that is named here, if there is such a one.
    pub fn resource_server(&self, id: &ResourceServerId) -> Option<&ResourceServer> {
        self.resource_servers.iter().find(|server| server.id == *id).map(Arc::as_ref)
    }

    /// The grant's access tokens that are good now, and when each ends.
    pub fn access_tokens(&self) -> impl Iterator<Item = (&AccessToken, Timestamp)> {
        let record = self.record.iter().filter(|_| self.grant_is_good);
        let tokens = record.flat_map(|record| &record.access_tokens);
        let with_end = tokens.map(|token| (token, self.restrictions.end(token.expires_at)));
        with_end.filter(|(_, end)| self.now < *end)
    }
}

impl Admin {
    /// Finds out about a grant or a login session. `at` names a resource server to answer for.
    ///
    /// # Errors
    /// When a store cannot be asked, a record is not understood, or there is no such resource server.
    pub async fn find(
        &self,
        reader: &dyn GrantReader,
        part: &TokenPart,
        at: Option<&str>,
    ) -> Result<Finding, AdminError> {
        let caller = match at {
            Some(which) => Some(self.resource_server(which).await?),
            None => None,
        };
        let grant_id = part.grant_id();
        let stored = reader.read(grant_id).await?;
        let own = stored.as_ref().and_then(|stored| LoginSessionRecord::decode(stored).ok());
        let record = match (&own, &stored) {
            (None, Some(stored)) => Some(stored.decode()?),
            _ => None,
        };
        let session = match (own, record.as_ref().and_then(GrantRecord::session)) {
            (Some(own), _) => Some(own),
            (None, Some(id)) => {
                reader.read(id).await?.and_then(|stored| LoginSessionRecord::decode(&stored).ok())
            }
            (None, None) => None,
        };
        let known = self.feed.load_about(vec![grant_id]).await?;
        let subject = match &record {
            Some(record) => record.subject(),
            None => session.as_ref().map(|session| &session.subject),
        };
        let user = match subject {
            Some(id) => self.user_facts(id.clone()).await?,
            None => None,
        };
        let seen = self.database.read(move |conn| Box::pin(introspected::of(conn, grant_id)));
        let last_introspected = seen.await?;
        let facts = Facts { known: &known, now: self.clock.now(), user: user.as_ref(), part };
        let grant_dead_because = match (&record, &session) {
            (None, Some(session)) => session_dead_because(&known, facts.now, grant_id, session),
            (record, _) => facts.grant_dead_because(record.as_ref()),
        };
        let of_token = || record.as_ref().and_then(|record| facts.token_dead_because(record));
        let dead_because = grant_dead_because.or_else(of_token);
        let lacking = record.as_ref().map(|record| facts.lacking(record)).unwrap_or_default();
        let there = caller.map(|server| {
            let scope = match (&record, &session) {
                (None, Some(_)) => Err("a login session is no access token".to_owned()),
                (record, _) => facts.scope_at(&server, record.as_ref(), dead_because),
            };
            There { server, scope }
        });
        let client = record.as_ref().and_then(|record| known.view.find_client(record.client.as_str()));
        let audience = record.iter().flat_map(|record| &record.audience);
        let seen_at = last_introspected.iter().map(|last| &last.server);
        let known_as = |id: &ResourceServerId| known.view.find_resource_server(id.as_str()).cloned();
        let servers = audience.chain(seen_at).filter_map(known_as);
        let restrictions = known.restricted.of(&grant_id).cloned().unwrap_or_default();
        Ok(Finding {
            grant_id,
            grant_is_good: grant_dead_because.is_none() && !restrictions.is_frozen(),
            restrictions,
            dead_because,
            client: client.cloned(),
            resource_servers: servers.collect(),
            lacking,
            last_introspected,
            there,
            now: facts.now,
            record,
            session,
            user,
        })
    }

    async fn user_facts(&self, id: UserId) -> Result<Option<UserFacts>, AdminError> {
        let read = self.database.read(move |conn| Box::pin(async move { users::facts(conn, &id).await }));
        Ok(read.await?)
    }
}

/// What a token is judged by, as an introspection would judge it.
struct Facts<'f> {
    known: &'f Snapshot,
    now: Timestamp,
    user: Option<&'f UserFacts>,
    part: &'f TokenPart,
}

impl Facts<'_> {
    fn token(&self) -> Option<&TokenString> {
        match self.part {
            TokenPart::Whole(token) => Some(token),
            TokenPart::Prefix(..) | TokenPart::GrantId(_) => None,
        }
    }

    fn grant_dead_because(&self, record: Option<&GrantRecord>) -> Option<&'static str> {
        let id = self.part.grant_id();
        match record {
            None => dead_because(self.known, self.now, id, None, None),
            Some(record) => grant_dead_because(self.known, self.now, id, record, self.user),
        }
    }

    fn token_dead_because(&self, record: &GrantRecord) -> Option<&'static str> {
        self.token().and_then(|token| token_dead_because(record, token, self.now))
    }

    /// What of a grant's scope its user lacks the permission for, at any of its resource servers.
    fn lacking(&self, record: &GrantRecord) -> Scope {
        let servers =
            record.audience.iter().filter_map(|id| self.known.view.find_resource_server(id.as_str()));
        servers
            .map(|server| self.lacking_at(server, &record.scope))
            .fold(Scope::default(), |all, some| all.union(&some))
    }

    fn lacking_at(&self, server: &ResourceServer, scope: &Scope) -> Scope {
        let Some(user) = self.user else { return Scope::default() };
        let needing = scope.intersection(&server.scope).intersection(&server.scopes_needing_permission);
        needing.words().filter(|word| !self.known.view.permits(user, word)).collect()
    }

    /// What the token, or else a token for the whole grant, may do at a resource server; or why it is not active there.
    fn scope_at(
        &self,
        caller: &ResourceServer,
        record: Option<&GrantRecord>,
        dead_because: Option<&'static str>,
    ) -> Result<Scope, String> {
        let held = self.known.restricted.of(&self.part.grant_id());
        if !caller.enabled {
            return Err("the resource server is disabled, and may ask about nothing".to_owned());
        }
        if let Some(why) = self.part.kind().and_then(no_access_token) {
            return Err(why.to_owned());
        }
        let (None, Some(record)) = (dead_because, record) else {
            return Err(dead_because.unwrap_or_default().to_owned());
        };
        if held.is_some_and(Restrictions::is_frozen) {
            return Err("the grant is frozen, and is inactive everywhere until it is thawed".to_owned());
        }
        let token = self.token().and_then(|token| record.access_token(&token.digest()));
        if token.is_none() && record.access_tokens.iter().all(|token| token.expires_at <= self.now) {
            return Err("the grant lives, but has no access token that is still good".to_owned());
        }
        let scope = in_audience(record, token, caller)?;
        let scope = self.usable(record, scope, caller)?;
        let narrowed = held.map_or_else(|| scope.clone(), |held| held.narrow(&scope));
        if narrowed.is_empty() {
            return Err(format!("the grant was narrowed, and \"{scope}\" is no longer part of it"));
        }
        let lacking = self.lacking_at(caller, &narrowed);
        let backed: Scope = narrowed.words().filter(|word| !lacking.contains(word)).collect();
        match backed.is_empty() {
            true => Err(format!("its user lacks the permission for \"{lacking}\" today")),
            false => Ok(backed),
        }
    }

    /// What of a scope the resource server owns, and the client may still use.
    fn usable(&self, record: &GrantRecord, scope: &Scope, caller: &ResourceServer) -> Result<Scope, String> {
        let owned = scope.intersection(&caller.scope);
        if owned.is_empty() {
            return Err(format!("the resource server owns none of the token's scope \"{scope}\""));
        }
        let client = self.known.view.find_client(record.client.as_str());
        let usable = client.map(|client| owned.intersection(&client.scope)).unwrap_or_default();
        match usable.is_empty() {
            true => Err(format!("its client may not use the scope \"{owned}\" any more")),
            false => Ok(usable),
        }
    }
}

/// The scope of a token, if it is meant for this resource server.
fn in_audience<'r>(
    record: &'r GrantRecord,
    token: Option<&'r AccessToken>,
    caller: &ResourceServer,
) -> Result<&'r Scope, String> {
    let (scope, audience) = token.map_or((&record.scope, record.audience.as_slice()), |token| {
        (record.scope_of(token), record.audience_of(token))
    });
    if audience.contains(&caller.id) {
        return Ok(scope);
    }
    Err(match record.audience.contains(&caller.id) {
        true => "this token was asked for with a part of its grant: this resource server is not in its own audience",
        false => "the token is not meant for this resource server: it is not in its audience",
    }
    .to_owned())
}

/// Why a token of this kind is active nowhere, whatever becomes of its grant.
const fn no_access_token(kind: TokenKind) -> Option<&'static str> {
    match kind {
        TokenKind::Access => None,
        TokenKind::Refresh => Some("a refresh token is no access token"),
        TokenKind::AuthorizationCode => Some("an authorization code is no access token"),
        TokenKind::LoginSession => Some("a login session is no access token"),
        TokenKind::Device => Some("a device code is no access token"),
    }
}

/// Why no token of a grant will be active anywhere any more; `None` when it lives. Says what is so today before what was
/// done to it.
pub(super) fn grant_dead_because(
    known: &Snapshot,
    now: Timestamp,
    id: GrantId,
    record: &GrantRecord,
    user: Option<&UserFacts>,
) -> Option<&'static str> {
    if known.revoked.contains(&id) || record.expires_at <= now {
        return dead_because(known, now, id, Some(record), None);
    }
    let of_user = || record.subject().and_then(|_| user_dead_because(user));
    client_dead_because(known, record)
        .or_else(of_user)
        .or_else(|| killed_because(known, id, record))
        .or_else(|| is_shortened(known, now, id, record).then_some(SHORTENED))
}

pub(super) fn client_name(known: &Snapshot, id: &ClientId) -> Option<String> {
    known.view.find_client(id.as_str()).map(|client| client.name.clone())
}

const fn user_dead_because(user: Option<&UserFacts>) -> Option<&'static str> {
    match user {
        None => Some("its user is deleted"),
        Some(user) if !user.enabled => Some("its user is disabled"),
        Some(_) => None,
    }
}

/// Which of the sets that a grant belongs to was killed after it was issued.
fn killed_because(known: &Snapshot, id: GrantId, record: &GrantRecord) -> Option<&'static str> {
    let Bonds { client, subject, session } = record.bonds();
    let none = Bonds::default();
    let sets = [
        (none, "everything of everybody was revoked after it was issued"),
        (Bonds { client, ..none }, "everything of its client was revoked after it was issued"),
        (Bonds { subject, ..none }, "everything of its user was revoked after it was issued"),
        (Bonds { subject, session, ..none }, "its login session was ended"),
        (
            Bonds { client, subject, ..none },
            "what its user allowed its client was revoked after it was issued",
        ),
    ];
    sets.into_iter().find(|(bonds, _)| !known.is_live(&id, bonds, record.born)).map(|(_, why)| why)
}
