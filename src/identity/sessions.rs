//! Login sessions: the browsers in which users are logged in.
//!
//! A session is a record in the grant store under a grant id of its own, and a `sys_` token in the browser. It ends
//! when it is not seen for a while, at its absolute end, and by the change feed: ending it is recorded as
//! `KillScope::login_session`, which ends all that was given during it too.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Unavailable;
use crate::changes::{Bonds, Snapshot};
use crate::domain::clock::Timestamp;
use crate::domain::entropy::Entropy;
use crate::domain::identifier::{GrantId, UserId};
use crate::domain::position::ChangeNumber;
use crate::domain::token::{PlainToken, TokenKind, TokenString};
use crate::domain::token_key::TokenKeys;
use crate::grants::index::{self, Listed, Listing};
use crate::grants::login_session::LoginSessionRecord;
use crate::grants::{EncodedRecord, GrantStore, StoreError};

/// That a session was seen is written down no more often than once in this part of its idle lifetime.
const SEEN_PARTS: u32 = 20;

/// How often a token is renewed when others change the session at the same time.
const RACES: usize = 20;

/// How long a login session lives.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// Without being seen.
    pub idle: Duration,
    /// At most.
    pub absolute: Duration,
}

/// Who logs in, and from where.
#[derive(Clone, Debug)]
pub struct Visit {
    pub subject: UserId,
    pub address: Option<IpAddr>,
    /// A few words for the browser, by which its owner knows it again.
    pub browser: String,
}

/// A login session that is there. Whether the feed says that it lives, [`LoginSession::is_live`] tells.
#[derive(Clone, Debug)]
pub struct LoginSession {
    pub id: GrantId,
    pub record: LoginSessionRecord,
    encoded: EncodedRecord,
}

impl LoginSession {
    /// To be asked after the last await, of the snapshot that is current then.
    pub fn is_live<V>(&self, snapshot: &Snapshot<V>) -> bool {
        let bonds = Bonds::of_session(self.id, &self.record.subject);
        snapshot.is_live(&self.id, &bonds, self.record.born)
    }

    pub(super) fn at(
        id: GrantId,
        encoded: EncodedRecord,
        now: Timestamp,
    ) -> Result<Option<Self>, StoreError> {
        let record = LoginSessionRecord::decode(&encoded).map_err(StoreError::new)?;
        let lasts = now < record.expires_at();
        Ok(lasts.then_some(Self { id, record, encoded }))
    }
}

/// Begins login sessions and finds them again.
pub struct LoginSessions {
    keys: Arc<TokenKeys>,
    entropy: Arc<dyn Entropy>,
    lifetimes: Lifetimes,
}

impl LoginSessions {
    pub const fn new(keys: Arc<TokenKeys>, entropy: Arc<dyn Entropy>, lifetimes: Lifetimes) -> Self {
        Self { keys, entropy, lifetimes }
    }

    /// A new session, whatever the browser came with: nobody can prepare one for somebody else. `born` is the position
    /// that was known before the password was checked.
    ///
    /// # Errors
    /// When the store did not confirm, or there are no random bytes.
    pub async fn begin(
        &self,
        store: &dyn GrantStore,
        visit: Visit,
        born: ChangeNumber,
        now: Timestamp,
    ) -> Result<(LoginSession, PlainToken), Unavailable> {
        let Lifetimes { idle, absolute } = self.lifetimes;
        loop {
            let id = GrantId::generate(self.entropy.as_ref())?;
            let token = PlainToken::generate(TokenKind::LoginSession, id, &self.keys, self.entropy.as_ref())?;
            let record = LoginSessionRecord {
                digest: token.digest(),
                born,
                subject: visit.subject.clone(),
                created_at: now,
                last_seen: now,
                idle,
                ends_at: now + absolute,
                address: visit.address,
                browser: visit.browser.clone(),
            };
            // Listed first: nothing is there that was never listed.
            index::list(store, Listing::LoginSessions.of(&record.subject), id, record.ends_at, now).await?;
            let encoded = record.encode();
            if store.insert(id, &encoded, record.expires_at()).await? {
                return Ok((LoginSession { id, record, encoded }, token));
            }
        }
    }

    /// The session of a token, unless it has ended by time. Nothing that we did not make is looked up.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn find(
        &self,
        store: &dyn GrantStore,
        token: &[u8],
        now: Timestamp,
    ) -> Result<Option<LoginSession>, StoreError> {
        let Ok(token) = TokenString::parse(token) else { return Ok(None) };
        if token.kind() != TokenKind::LoginSession || token.made_by(&self.keys).is_none() {
            return Ok(None);
        }
        let Some(encoded) = store.load(token.grant_id()).await? else { return Ok(None) };
        let session = LoginSession::at(token.grant_id(), encoded, now)?;
        Ok(session.filter(|session| session.record.digest == token.digest()))
    }

    /// Writes down that a session was seen, if that was not done lately: it lives on.
    ///
    /// # Errors
    /// When the store did not confirm.
    pub async fn see(
        &self,
        store: &dyn GrantStore,
        session: &LoginSession,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let LoginSession { id, record, encoded } = session;
        if now - record.last_seen < record.idle / SEEN_PARTS {
            return Ok(());
        }
        let seen = LoginSessionRecord { last_seen: now, ..record.clone() };
        // Whoever came first has seen it too; and what was ended meanwhile stays ended.
        store.compare_and_swap(*id, encoded, &seen.encode(), seen.expires_at()).await?;
        Ok(())
    }

    /// Gives a session whose user proved who they are once more another token: the one before is no way in. `None` if it
    /// was ended meanwhile.
    ///
    /// # Errors
    /// When the store did not confirm, or there are no random bytes.
    pub async fn renew(
        &self,
        store: &dyn GrantStore,
        session: &LoginSession,
        now: Timestamp,
    ) -> Result<Option<(LoginSession, PlainToken)>, Unavailable> {
        let id = session.id;
        let token = PlainToken::generate(TokenKind::LoginSession, id, &self.keys, self.entropy.as_ref())?;
        // Whoever sees the session at the same time changes its record.
        for _ in 0..RACES {
            let Some(found) = store.load(id).await? else { return Ok(None) };
            let Some(LoginSession { record, encoded, .. }) = LoginSession::at(id, found, now)? else {
                return Ok(None);
            };
            let record =
                LoginSessionRecord { digest: token.digest(), created_at: now, last_seen: now, ..record };
            let renewed = record.encode();
            if store.compare_and_swap(id, &encoded, &renewed, record.expires_at()).await? {
                return Ok(Some((LoginSession { id, record, encoded: renewed }, token)));
            }
        }
        Err(StoreError::new("a login session is changed faster than it can be read").into())
    }

    /// A user's sessions that have not ended by time, the newest first; and whether there may be others.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn of(
        &self,
        store: &dyn GrantStore,
        subject: &UserId,
        now: Timestamp,
    ) -> Result<(Vec<LoginSession>, bool), StoreError> {
        let Listed { ids, is_full } = index::listed(store, Listing::LoginSessions.of(subject)).await?;
        let records = futures_util::future::try_join_all(ids.iter().map(|id| store.load(*id))).await?;
        let mut sessions = Vec::new();
        for (id, encoded) in ids.into_iter().zip(records) {
            let Some(encoded) = encoded else { continue };
            sessions.extend(LoginSession::at(id, encoded, now)?);
        }
        sessions.sort_by_key(|session| std::cmp::Reverse(session.record.created_at));
        Ok((sessions, is_full))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::changes::{KillScope, Kills};
    use crate::domain::token::TokenDigest;

    fn snapshot(kills: &[(KillScope, u64)]) -> Snapshot<()> {
        let mut known = Kills::default();
        for (scope, number) in kills {
            known.raise(scope, ChangeNumber::new(*number));
        }
        Snapshot { kills: known, ..Snapshot::default() }
    }

    #[test]
    fn a_session_ends_by_the_feed_alone_with_its_user_with_all_of_theirs_and_with_everything() {
        let (mira, noor) = (UserId::parse("usr_mira").unwrap(), UserId::parse("usr_noor").unwrap());
        let [this, other] = [1, 2].map(|number| GrantId::from_bytes([number; GrantId::BYTES]));
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        let record = LoginSessionRecord {
            digest: TokenDigest::from_bytes([0; 16]),
            born: ChangeNumber::new(5),
            subject: mira.clone(),
            created_at: now,
            last_seen: now,
            idle: Duration::from_secs(60),
            ends_at: now + Duration::from_secs(600),
            address: None,
            browser: String::new(),
        };
        let session = LoginSession { id: this, encoded: record.encode(), record };
        let lives = |scope: KillScope, number| session.is_live(&snapshot(&[(scope, number)]));
        for scope in
            [KillScope::Subject(mira.clone()), KillScope::LoginSessionsOf(mira), KillScope::Everything]
        {
            assert!(!lives(scope.clone(), 6), "{scope:?}");
            assert!(lives(scope, 5));
        }
        assert!(!lives(KillScope::login_session(this), 6));
        assert!(lives(KillScope::login_session(other), 6));
        assert!(lives(KillScope::Subject(noor), 6));
    }
}
