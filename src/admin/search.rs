//! Looking for grants by whose they are and when they were issued.
//!
//! What a user gave is listed in the grant store. For a client, or a time, the whole store is walked through: nothing
//! is written at a mint so that somebody might look for it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::findings::{client_name, grant_dead_because};
use super::{Admin, AdminError};
use crate::changes::Restrictions;
use crate::directory::{UserFacts, users};
use crate::domain::clock::Timestamp;
use crate::domain::identifier::{ClientId, GrantId, UserId};
use crate::grants::index::{self, Listing};
use crate::grants::{EncodedRecord, GrantReader, GrantRecord, Walk};

/// What is looked for: all of it must hold.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub user: Option<UserId>,
    pub client: Option<ClientId>,
    /// Given in this login session.
    pub session: Option<GrantId>,
    /// It, or a token of it that is still kept, was issued then or later,
    pub since: Option<Timestamp>,
    /// and before this.
    pub until: Option<Timestamp>,
    /// Those that are dead too, as far as the store still has them.
    pub dead: bool,
}

impl Wanted {
    fn admits(&self, record: &GrantRecord) -> bool {
        let same = |wanted: Option<bool>| wanted.unwrap_or(true);
        same(self.client.as_ref().map(|client| record.client == *client))
            && same(self.user.as_ref().map(|user| record.subject() == Some(user)))
            && same(self.session.map(|session| record.session() == Some(session)))
            && self.admits_time_of(record)
    }

    fn admits_time_of(&self, record: &GrantRecord) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return true;
        }
        let refreshed = record.user.iter().flat_map(|user| &user.refresh).map(|chain| chain.rotated_at);
        let tokens = record.access_tokens.iter().map(|token| token.issued_at);
        let mut moments = record.issued_at().into_iter().chain(tokens).chain(refreshed);
        moments
            .any(|at| self.since.is_none_or(|since| since <= at) && self.until.is_none_or(|until| at < until))
    }
}

/// A grant that was looked for.
#[derive(Clone, Debug)]
pub struct Listed {
    pub grant_id: GrantId,
    pub record: GrantRecord,
    pub client_name: Option<String>,
    pub user_name: Option<String>,
    pub dead_because: Option<&'static str>,
    pub is_frozen: bool,
}

/// A search under way.
pub struct Search {
    wanted: Wanted,
    reader: Arc<dyn GrantReader>,
    source: Source,
    /// A walk may meet a record twice.
    listed: HashSet<GrantId>,
    /// How many records were looked at.
    pub looked_at: usize,
    /// How many of them this version does not understand.
    pub not_understood: usize,
    /// The list of the user's grants is full: there may be others, which end earlier.
    pub is_cut: bool,
}

enum Source {
    Ids(Vec<GrantId>),
    Walk(Walk),
}

impl Admin {
    /// Begins to look for grants.
    ///
    /// # Errors
    /// When the grant store cannot be asked.
    pub async fn search(&self, reader: Arc<dyn GrantReader>, wanted: Wanted) -> Result<Search, AdminError> {
        let mut is_cut = false;
        let source = match &wanted.user {
            None => Source::Walk(Walk::new(Arc::clone(&reader), Arc::clone(&self.clock))),
            Some(user) => {
                let list = reader.read(Listing::Grants.of(user)).await?;
                let listed = index::read(list.as_ref())?;
                is_cut = listed.is_full;
                Source::Ids(listed.ids)
            }
        };
        let listed = HashSet::new();
        Ok(Search { wanted, reader, source, listed, looked_at: 0, not_understood: 0, is_cut })
    }

    /// Goes on with a search; `None` at its end. May find nothing although more follows.
    ///
    /// # Errors
    /// When a store cannot be asked.
    pub async fn go_on(&self, search: &mut Search) -> Result<Option<Vec<Listed>>, AdminError> {
        let Some(page) = search.next_page().await? else { return Ok(None) };
        search.looked_at += page.len();
        let mut found = Vec::new();
        for (id, record) in page {
            match record.decode() {
                Ok(record) if search.wanted.admits(&record) && search.listed.insert(id) => {
                    found.push((id, record));
                }
                Ok(_) => {}
                Err(_) if record.is_no_grant() => {}
                Err(_) => search.not_understood += 1,
            }
        }
        let mut listed = self.describe(found).await?;
        listed.retain(|grant| search.wanted.dead || grant.dead_because.is_none());
        Ok(Some(listed))
    }

    async fn describe(&self, found: Vec<(GrantId, GrantRecord)>) -> Result<Vec<Listed>, AdminError> {
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let known = self.feed.load_about(found.iter().map(|(id, _)| *id).collect()).await?;
        let subjects = found.iter().filter_map(|(_, record)| record.subject().cloned()).collect();
        let users = self.facts_of(subjects).await?;
        let now = self.clock.now();
        let listed = found.into_iter().map(|(grant_id, record)| {
            let user = record.subject().and_then(|id| users.get(id));
            Listed {
                dead_because: grant_dead_because(&known, now, grant_id, &record, user),
                is_frozen: known.restricted.of(&grant_id).is_some_and(Restrictions::is_frozen),
                client_name: client_name(&known, &record.client),
                user_name: user.map(|user| user.name.to_string()),
                grant_id,
                record,
            }
        });
        Ok(listed.collect())
    }

    async fn facts_of(&self, ids: BTreeSet<UserId>) -> Result<BTreeMap<UserId, UserFacts>, AdminError> {
        let read = self.database.read(move |conn| {
            Box::pin(async move {
                let mut found = BTreeMap::new();
                for id in ids {
                    if let Some(facts) = users::facts(conn, &id).await? {
                        found.insert(id, facts);
                    }
                }
                Ok(found)
            })
        });
        Ok(read.await?)
    }
}

impl Search {
    async fn next_page(&mut self) -> Result<Option<Vec<(GrantId, EncodedRecord)>>, AdminError> {
        match &mut self.source {
            Source::Walk(walk) => Ok(walk.next().await?),
            Source::Ids(ids) if ids.is_empty() => Ok(None),
            Source::Ids(ids) => {
                let ids = std::mem::take(ids);
                let records = self.reader.read_many(&ids).await?;
                Ok(Some(
                    ids.into_iter().zip(records).filter_map(|(id, record)| Some((id, record?))).collect(),
                ))
            }
        }
    }
}
