//! What killing a set would reach, counted beforehand.

use std::sync::Arc;

use super::tokens::{dead_because, session_dead_because};
use super::{Admin, AdminError};
use crate::changes::{Bonds, FeedStore, KillScope};
use crate::directory::Snapshot;
use crate::domain::clock::Timestamp;
use crate::domain::identifier::{GrantId, UserId};
use crate::grants::index::{self, Listed, Listing};
use crate::grants::login_session::LoginSessionRecord;
use crate::grants::{EncodedRecord, GrantReader, StoreError, Walk};

/// What lives of a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    pub grants: u64,
    pub access_tokens: u64,
    pub login_sessions: u64,
    /// Whether there may be more: of one user only so many are listed, and some may be records of a newer version.
    pub may_be_more: bool,
}

/// Counts what lives of a set.
struct Count<'a> {
    scope: &'a KillScope,
    known: Snapshot,
    now: Timestamp,
    reach: Reach,
}

impl Count<'_> {
    fn look_at(&mut self, id: GrantId, record: &EncodedRecord) {
        if let Ok(session) = LoginSessionRecord::decode(record) {
            let is_live = session_dead_because(&self.known, self.now, id, &session).is_none();
            if is_live && self.scope.reaches(&Bonds::of_session(id, &session.subject)) {
                self.reach.login_sessions += 1;
            }
            return;
        }
        let grant = match record.decode() {
            Ok(grant) => grant,
            // A list, or a count of failures.
            Err(_) if record.is_no_grant() => return,
            Err(_) => {
                self.reach.may_be_more = true;
                return;
            }
        };
        let is_live = dead_because(&self.known, self.now, id, Some(&grant), None).is_none();
        if is_live && self.scope.reaches(&grant.bonds()) {
            let live = grant.access_tokens.iter().filter(|token| token.expires_at > self.now);
            self.reach.grants += 1;
            self.reach.access_tokens += u64::try_from(live.count()).unwrap_or(u64::MAX);
        }
    }
}

impl Admin {
    /// What killing a set would reach now. Of `owner`, if it is all one user's, that is read from what is listed of them;
    /// else the whole store is walked through, which takes its time: `progress` is told how many records were seen.
    ///
    /// # Errors
    /// When a store cannot be asked.
    pub async fn reach(
        &self,
        reader: Arc<dyn GrantReader>,
        scope: &KillScope,
        owner: Option<&UserId>,
        progress: impl Fn(u64) + Send + Sync,
    ) -> Result<Reach, AdminError> {
        let known = self.feed.load().await?;
        let mut count = Count { scope, known, now: self.clock.now(), reach: Reach::default() };
        if let Some(owner) = owner {
            for listing in [Listing::Grants, Listing::LoginSessions] {
                let Listed { ids, is_full } = index::read(reader.read(listing.of(owner)).await?.as_ref())?;
                count.reach.may_be_more |= is_full;
                let records = reader.read_many(&ids).await?;
                for (id, record) in ids.iter().zip(&records) {
                    if let Some(record) = record {
                        count.look_at(*id, record);
                    }
                }
            }
            return Ok(count.reach);
        }
        self.walk(reader, &mut count, progress).await?;
        Ok(count.reach)
    }

    async fn walk(
        &self,
        reader: Arc<dyn GrantReader>,
        count: &mut Count<'_>,
        progress: impl Fn(u64),
    ) -> Result<(), StoreError> {
        let mut walk = Walk::new(reader, Arc::clone(&self.clock));
        let mut seen = 0;
        while let Some(page) = walk.next().await? {
            for (id, record) in &page {
                count.look_at(*id, record);
            }
            seen += u64::try_from(page.len()).unwrap_or(u64::MAX);
            progress(seen);
        }
        Ok(())
    }
}
