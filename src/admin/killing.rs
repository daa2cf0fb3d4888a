//! Killing what leaked, a batch at a time: what each entry was before, and one transaction for all.

use std::collections::HashMap;
use std::sync::Arc;

use super::tokens::{dead_because, session_dead_because};
use super::{Admin, AdminError};
use crate::changes::{Change, FeedStore, KillScope, Recorded, lock_sequence, record_in};
use crate::directory::Snapshot;
use crate::domain::clock::Timestamp;
use crate::domain::token::{TokenKind, TokenPart};
use crate::domain::token_key::TokenKeys;
use crate::grants::login_session::LoginSessionRecord;
use crate::grants::{EncodedRecord, GrantRecord};

const REVOKED: &str = "the grant is revoked";
const SESSION_OVER: &str = "the login session was ended";

/// What the grant store has under an id.
#[derive(Clone, Debug)]
pub enum Stored {
    Record(EncodedRecord),
    Nothing,
    /// It could not be asked. Killing does not rest on it.
    Unknown,
}

/// One entry of a list of what leaked.
#[derive(Clone, Debug)]
pub struct Leaked {
    pub part: TokenPart,
    pub stored: Stored,
}

/// What became of an entry. It is dead now, whichever it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Revoked,
    /// Why it was dead before.
    AlreadyDead(&'static str),
}

/// What entries are judged by, taken once for a whole list.
pub struct Judge {
    known: Option<Snapshot>,
    /// `None` when there may be live tokens under other keys.
    keys: Option<Arc<TokenKeys>>,
}

impl Judge {
    /// Whether this installation may have made the token. Only of a whole one can that be told, and
    /// only by whoever holds every key under which live tokens may exist: in doubt it is ours.
    pub fn may_be_ours(&self, part: &TokenPart) -> bool {
        match (part, &self.keys) {
            (TokenPart::Whole(token), Some(keys)) => token.made_by(keys).is_some(),
            _ => true,
        }
    }

    /// Whether what was dead before could not be asked for.
    pub const fn knows_nothing(&self) -> bool {
        self.known.is_none()
    }

    /// Whether no token of another key can be told from a forgery.
    pub const fn lacks_keys(&self) -> bool {
        self.keys.is_none()
    }

    /// Why nothing of the entry is active anywhere; `None` when something may be.
    pub fn dead_because(&self, leaked: &Leaked, now: Timestamp) -> Option<&'static str> {
        let id = leaked.part.grant_id();
        let known = self.known.as_ref()?;
        let record = match &leaked.stored {
            Stored::Unknown => return known.revoked.contains(&id).then_some(REVOKED),
            Stored::Nothing => None,
            Stored::Record(record) => Some(record),
        };
        if let Some(Ok(session)) = record.map(LoginSessionRecord::decode) {
            return session_dead_because(known, now, id, &session);
        }
        // A record that is not understood may be alive.
        let record: Option<GrantRecord> = match record.map(EncodedRecord::decode) {
            Some(Err(_)) => return None,
            Some(Ok(record)) => Some(record),
            None => None,
        };
        dead_because(known, now, id, record.as_ref(), None)
    }
}

/// The changes that kill a grant, or a login session with all that was given in it; whether or not the grant
/// store has it now: it may come back. Which of the two an id is only its record, or a token of ours, can tell; while
/// neither does, it may be either.
fn changes_for(leaked: &Leaked, proved: Option<TokenKind>) -> Vec<Change> {
    let id = leaked.part.grant_id();
    let stored = match &leaked.stored {
        Stored::Record(record) => Some(record),
        Stored::Nothing | Stored::Unknown => None,
    };
    // A record that is not understood must not be in the way of killing it.
    let record = stored.and_then(|stored| stored.decode().ok());
    let session = stored.and_then(|stored| LoginSessionRecord::decode(stored).ok());
    let is_grant = record.is_some() || proved.is_some_and(|kind| kind != TokenKind::LoginSession);
    let is_session = session.is_some() || proved == Some(TokenKind::LoginSession);
    let mut changes = Vec::with_capacity(2);
    if is_grant || !is_session {
        let ends_at = record.as_ref().map(|record| record.expires_at);
        changes.push(Change::GrantRevoked { grant: id, ends_at });
    }
    if is_session || !is_grant {
        changes.push(Change::Killed(KillScope::login_session(id)));
    }
    changes
}

/// The changes of a batch, each once, and which of them each entry needs.
#[derive(Default)]
struct Batch {
    changes: Vec<Change>,
    places: HashMap<(&'static str, String), usize>,
    needed: Vec<Needed>,
}

/// What one entry needs: places among the changes of its batch.
struct Needed {
    places: Vec<usize>,
    /// Whether an entry before it needed all of them.
    is_repeated: bool,
}

impl Batch {
    fn of(judge: &Judge, leaked: &[Leaked]) -> Self {
        let mut batch = Self::default();
        for entry in leaked {
            let before = batch.changes.len();
            let changes =
                changes_for(entry, judge.keys.as_ref().and_then(|keys| entry.part.proved_kind(keys)));
            let places = changes.into_iter().map(|change| batch.place(change)).collect();
            batch.needed.push(Needed { places, is_repeated: batch.changes.len() == before });
        }
        batch
    }

    fn place(&mut self, change: Change) -> usize {
        let next = self.changes.len();
        let place = *self.places.entry(change.columns()).or_insert(next);
        if place == next {
            self.changes.push(change);
        }
        place
    }
}

impl Admin {
    /// Gets ready to judge a list. `keys` are those of this installation, as far as they are known here. Of single
    /// revocations only `with_revocations` knows beforehand: there may be millions, and recording tells as well.
    pub async fn judge(&self, keys: Option<TokenKeys>, with_revocations: bool) -> Judge {
        let known = match with_revocations {
            true => self.feed.load().await,
            false => self.feed.load_about(Vec::new()).await,
        };
        // It says what was dead before, and must not be in the way of killing the rest.
        let known = known.inspect_err(|error| log::warn!("what is dead is not known: {error}")).ok();
        let mut keys = keys.map(Arc::new);
        if let Some(held) = &keys
            && !matches!(self.feed.needs_more_than(Arc::clone(held)).await, Ok(false))
        {
            keys = None;
        }
        Judge { known, keys }
    }

    /// Kills all of these, in one transaction. A verdict for each, and what has to be confirmed.
    ///
    /// # Errors
    /// When SQL fails; all of them may have been recorded or none, and asking again is safe.
    pub async fn revoke_all(
        &self,
        judge: &Judge,
        leaked: &[Leaked],
    ) -> Result<(Vec<Verdict>, Recorded), AdminError> {
        let now = self.clock.now();
        let Batch { changes, needed, .. } = Batch::of(judge, leaked);
        let dead: Vec<_> =
            changes.iter().map(|change| change.killed().map_or(REVOKED, |_| SESSION_OVER)).collect();
        let entries = changes.into_iter().map(self.entry()).collect();
        let written = self.database.write(move |conn| {
            Box::pin(async move {
                let before = lock_sequence(conn).await?;
                Ok((before, record_in(conn, entries, now).await?))
            })
        });
        let (before, numbers) = written.await?;
        let recorded =
            Recorded { number: numbers.iter().max().copied().unwrap_or_default(), since: self.clock.boot() };
        let verdict = |(entry, needed): (&Leaked, Needed)| {
            // Recorded before, or named before in the same list.
            let was =
                |place: &&usize| needed.is_repeated || numbers.get(**place).is_some_and(|at| *at <= before);
            match needed.places.iter().find(was).and_then(|place| dead.get(*place)) {
                Some(why) => Verdict::AlreadyDead(why),
                None => judge.dead_because(entry, now).map_or(Verdict::Revoked, Verdict::AlreadyDead),
            }
        };
        Ok((leaked.iter().zip(needed).map(verdict).collect(), recorded))
    }
}
