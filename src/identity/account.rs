//! What a user sees of their own: where they are logged in, and what they gave clients. All of it can be ended.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::sessions::LoginSession;
use super::visitor::within;
use super::{Identity, Unavailable, Visitor};
use crate::changes::audit::Attempt;
use crate::changes::{Actor, Change, Entry, KillScope, Restrictions};
use crate::directory::{Consent, Snapshot, consents};
use crate::domain::clock::Timestamp;
use crate::domain::identifier::{ClientId, GrantId, UserId};
use crate::domain::scope::Scope;
use crate::grants::index::{self, Listed, Listing};
use crate::grants::{GrantRecord, StoreError};

/// Everything of a user's that lives.
#[derive(Debug)]
pub struct Account {
    /// The newest first.
    pub sessions: Vec<LoginSession>,
    /// By name.
    pub applications: Vec<Application>,
    /// A list is full: there may be sessions or grants that are not shown, which end earlier.
    pub may_be_more: bool,
}

/// A client that was allowed something.
#[derive(Debug)]
pub struct Application {
    pub client: ClientId,
    pub name: String,
    /// What it was allowed, whether it has tokens or not.
    pub scope: Scope,
    /// What it was given tokens by; the last used first.
    pub grants: Vec<LiveGrant>,
}

/// What a client has tokens by.
#[derive(Debug)]
pub struct LiveGrant {
    pub id: GrantId,
    pub scope: Scope,
    /// When it was last given a token.
    pub used_at: Timestamp,
    /// The login session in which it was given.
    pub session: Option<GrantId>,
    /// It allows nothing for now.
    pub is_frozen: bool,
}

impl Identity {
    /// What a visitor has that lives.
    ///
    /// # Errors
    /// When a store cannot be asked.
    pub async fn account(&self, visitor: &Visitor) -> Result<Account, Unavailable> {
        let now = self.feed.clock().now();
        let sessions = self.login.sessions().of(self.grants.as_ref(), &visitor.user.id, now);
        let (sessions, grants, consents) =
            within(futures_util::future::join3(sessions, self.grants_of(visitor), self.consents_of(visitor)))
                .await?;
        let ((mut sessions, more_sessions), (grants, more_grants)) = (sessions?, grants?);
        let consents = consents?;
        let applications = self.feed.with_current(|known| {
            sessions.retain(|session| session.is_live(known));
            applications(known, now, grants, consents)
        })?;
        Ok(Account { sessions, applications, may_be_more: more_sessions || more_grants })
    }

    /// What is listed of what a visitor gave, and whether there may be more.
    pub(super) async fn grants_of(
        &self,
        visitor: &Visitor,
    ) -> Result<(Vec<(GrantId, GrantRecord)>, bool), StoreError> {
        let store = self.grants.as_ref();
        let Listed { ids, is_full } = index::listed(store, Listing::Grants.of(&visitor.user.id)).await?;
        let records = futures_util::future::try_join_all(ids.iter().map(|id| store.load(*id))).await?;
        let found = ids.into_iter().zip(records).filter_map(|(id, record)| Some((id, record?)));
        let decoded = found.map(|(id, record)| Ok((id, record.decode().map_err(StoreError::new)?)));
        Ok((decoded.collect::<Result<_, StoreError>>()?, is_full))
    }

    async fn consents_of(&self, visitor: &Visitor) -> Result<Vec<Consent>, Unavailable> {
        let user = visitor.user.id.clone();
        let read =
            self.database.read(move |conn| Box::pin(async move { consents::of_user(conn, &user).await }));
        Ok(read.await?)
    }

    /// Ends one of the visitor's login sessions and all that was given in it. `false` when they have no such session.
    ///
    /// # Errors
    /// When that is not known to be so; the end may have been recorded, and asking again is safe.
    pub async fn end_own_session(&self, visitor: &Visitor, id: GrantId) -> Result<bool, Unavailable> {
        let now = self.feed.clock().now();
        let Some(encoded) = within(self.grants.load(id)).await?? else { return Ok(false) };
        // A grant or a count of failures is no session.
        let session = LoginSession::at(id, encoded, now).ok().flatten();
        match session {
            Some(session) if session.record.subject == visitor.user.id => {
                self.end_session(&session, visitor.address).await.map(|()| true)
            }
            Some(_) => Ok(self.refuse(visitor, "kill-login-session", id).await),
            None => Ok(false),
        }
    }

    /// Notes that a visitor reached for what is somebody else's, which they are told is not there.
    async fn refuse(&self, visitor: &Visitor, action: &'static str, id: GrantId) -> bool {
        let (author, target) = (visitor.author(), id.to_string());
        self.feed.note(Attempt { author, action, target, why: "it is another user's".to_owned() }).await;
        false
    }

    /// Ends every login session of a user, and all that was given in them.
    pub(super) async fn end_sessions_of(
        &self,
        user: &UserId,
        address: Option<IpAddr>,
    ) -> Result<(), Unavailable> {
        let change = Change::Killed(KillScope::LoginSessionsOf(user.clone()));
        self.record(Entry::new(change, Actor::user(user).at(address))).await
    }

    /// Revokes something that the visitor gave a client. `false` when they gave no such thing.
    ///
    /// # Errors
    /// When it is not known to be dead everywhere; that may have been recorded, and asking again is safe.
    pub async fn revoke_own_grant(&self, visitor: &Visitor, grant: GrantId) -> Result<bool, Unavailable> {
        let Some(record) = within(self.grants.load(grant)).await?? else { return Ok(false) };
        // A login session or a count of failures is no grant.
        let Ok(record) = record.decode() else { return Ok(false) };
        if record.subject() != Some(&visitor.user.id) {
            return Ok(self.refuse(visitor, "revoke-grant", grant).await);
        }
        let change = Change::GrantRevoked { grant, ends_at: Some(record.expires_at) };
        self.record(Entry::new(change, visitor.author())).await?;
        Ok(true)
    }
}

fn applications(
    known: &Snapshot,
    now: Timestamp,
    grants: Vec<(GrantId, GrantRecord)>,
    consents: Vec<Consent>,
) -> Vec<Application> {
    let mut found: BTreeMap<ClientId, (Scope, Vec<LiveGrant>)> = BTreeMap::new();
    for Consent { client, scope, .. } in consents {
        found.entry(client).or_default().0 = scope;
    }
    for (id, record) in grants {
        let Some(used_at) = last_used(&record, now) else { continue };
        let held = known.restricted.of(&id);
        let in_time = held.is_none_or(|held| now < held.end(record.expires_at));
        if in_time && known.is_live(&id, &record.bonds(), record.born) {
            let session = record.session();
            let is_frozen = held.is_some_and(Restrictions::is_frozen);
            let left = held.map_or_else(|| record.scope.clone(), |held| held.narrow(&record.scope));
            let (scope, live) = found.entry(record.client).or_default();
            *scope = scope.union(&left);
            live.push(LiveGrant { id, scope: left, used_at, session, is_frozen });
        }
    }
    let application = |(client, (scope, mut grants)): (ClientId, (Scope, Vec<LiveGrant>))| {
        // One that was deleted has nothing any more.
        let name = known.view.find_client(client.as_str())?.name.clone();
        grants.sort_by_key(|grant| std::cmp::Reverse(grant.used_at));
        Some(Application { client, name, scope, grants })
    };
    let mut applications: Vec<_> = found.into_iter().filter_map(application).collect();
    applications.sort_by(|one, other| one.name.cmp(&other.name));
    applications
}

/// When a token was last given by a grant that has some left; `None` for one that has none.
fn last_used(record: &GrantRecord, now: Timestamp) -> Option<Timestamp> {
    let user = record.user.as_ref()?;
    let refreshed = user.refresh.iter().filter(|chain| now < chain.idle_end()).map(|chain| chain.rotated_at);
    let issued = record.access_tokens.iter().filter(|token| now < token.expires_at);
    let last = refreshed.chain(issued.map(|token| token.issued_at)).max()?;
    (now < record.expires_at).then_some(last)
}
