//! What an admin may do, for the command line and whatever comes beside it.
//!
//! Every act is one transaction: the directory's rows and the change that tells of them commit
//! together, or not at all. After that it waits until every replica has confirmed.

pub mod audit;
pub mod clients;
pub mod edits;
pub mod findings;
pub mod killing;
pub mod reach;
pub mod resource_servers;
pub mod roles;
pub mod search;
pub mod sets;
pub mod tokens;
pub mod users;
mod words;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use self::words::unless_secret;
pub use self::words::{Reason, UnsuitableReason};
use crate::changes::audit::Attempt;
use crate::changes::{
    Acknowledgement, Acknowledger, Author, Change, Entry, FeedError, History, KillScope, Recorded, Recorder,
    SqlFeed, WitnessError, WitnessMover, lock_sequence, record_in,
};
use crate::directory::DirectoryProjection;
use crate::domain::clock::Clock;
use crate::domain::entropy::{Entropy, EntropyUnavailable};
use crate::domain::identifier::MalformedIdentifier;
use crate::domain::secret::UnsuitableSecret;
use crate::grants::{MalformedRecord, StoreError};
use crate::sql::{Connection, Database, SqlError};

/// How long an act waits for the grant store at most; nothing rests on it.
const WITNESS_PATIENCE: Duration = Duration::from_secs(2);
/// How long replicas are looked at before it is considered how that goes.
const LOOK_FOR: Duration = Duration::from_secs(5);
/// How many times in a row SQL may fail meanwhile.
const MAX_FAILURES: u32 = 5;

/// Why an act failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminError {
    /// What was asked for makes no sense: why, and what would.
    Invalid(String),
    NotFound(String),
    /// There is one already.
    Exists(String),
    Sql(SqlError),
    Feed(FeedError),
    Store(StoreError),
    Witness(WitnessError),
    Record(MalformedRecord),
    Entropy(EntropyUnavailable),
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why) | Self::NotFound(why) | Self::Exists(why) => f.write_str(why),
            Self::Sql(error) => error.fmt(f),
            Self::Feed(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Witness(error) => error.fmt(f),
            Self::Record(error) => error.fmt(f),
            Self::Entropy(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AdminError {}

macro_rules! from {
    ($($variant:ident($error:ty),)*) => {
        $(impl From<$error> for AdminError {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        })*
    };
}

from! {
    Sql(SqlError),
    Feed(FeedError),
    Store(StoreError),
    Witness(WitnessError),
    Record(MalformedRecord),
    Entropy(EntropyUnavailable),
}

impl From<MalformedIdentifier> for AdminError {
    fn from(error: MalformedIdentifier) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<UnsuitableSecret> for AdminError {
    fn from(error: UnsuitableSecret) -> Self {
        Self::Invalid(error.to_string())
    }
}

/// Why a unit of work that asked for something impossible failed; `None` when it was not that.
fn refusal(error: &SqlError) -> Option<&str> {
    match error {
        SqlError::NotFound => Some("there is none"),
        SqlError::Duplicate(_) => Some("there is one already"),
        SqlError::Refused(why) => Some(why),
        SqlError::Unavailable(_) | SqlError::Uncertain(_) | SqlError::Unintelligible(_) => None,
    }
}

/// The hands of an admin: one for each command.
pub struct Admin {
    database: Database,
    feed: SqlFeed<DirectoryProjection>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    acknowledger: Acknowledger,
    witness: WitnessMover,
    author: Author,
    /// Why, on every change that is recorded.
    reason: Option<Reason>,
}

/// What a unit of work did to the directory, and the changes that tell of it.
struct Act<T> {
    value: T,
    changes: Vec<Change>,
    /// More than the name of the act says, for the audit: which role was given.
    detail: Option<String>,
}

impl<T> Act<T> {
    const fn new(value: T, changes: Vec<Change>) -> Self {
        Self { value, changes, detail: None }
    }
}

impl Admin {
    pub fn new(
        database: Database,
        feed: SqlFeed<DirectoryProjection>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        witness: WitnessMover,
        author: impl Into<Author>,
    ) -> Self {
        let acknowledger = Acknowledger::new(Arc::new(feed.clone()), Arc::clone(&clock));
        let author = author.into();
        Self { database, feed, clock, entropy, acknowledger, witness, author, reason: None }
    }

    /// The same hands, which say why they do what they do.
    #[must_use]
    pub fn because(self, reason: Option<Reason>) -> Self {
        Self { reason, ..self }
    }

    /// What is recorded of a change: that it was this admin, and why.
    fn entry(&self) -> impl Fn(Change) -> Entry + Send + use<> {
        let (author, reason) = (self.author.clone(), self.reason.clone().map(String::from));
        move |change| Entry::new(change, author.clone()).because(reason.clone())
    }

    /// Runs a unit of work and records its changes, in one transaction. `action` names what is done to `target`; kills that
    /// go with it keep their own names. That it was refused is recorded too.
    async fn act<T, F>(
        &self,
        action: &'static str,
        target: &str,
        unit: F,
    ) -> Result<(T, Recorded), AdminError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<Act<T>, SqlError>> + Send + 'static,
    {
        let (entry, now) = (self.entry(), self.clock.now());
        let acted = self.database.write(move |conn| {
            Box::pin(async move {
                // First of all: whoever changes the directory waits here, in one order, and so alters
                // what the one before has made.
                lock_sequence(conn).await?;
                let Act { value, changes, detail } = unit(conn).await?;
                let entry = |change: Change| match change.killed().is_some() {
                    true => entry(change),
                    false => Entry { action: Some(action), detail: detail.clone(), ..entry(change) },
                };
                let numbers = record_in(conn, changes.into_iter().map(entry).collect(), now).await?;
                Ok((value, numbers.into_iter().max().unwrap_or_default()))
            })
        });
        let (value, number) = match acted.await {
            Ok(acted) => acted,
            Err(error) => {
                if let Some(why) = refusal(&error) {
                    self.note_refusal(action, target, why).await;
                }
                return Err(error.into());
            }
        };
        Ok((value, Recorded { number, since: self.clock.boot() }))
    }

    /// What somebody looked for before they would do `action` to it; that there is none is recorded as a refusal.
    ///
    /// # Errors
    /// Those of `found`.
    pub async fn unless_refused<T>(
        &self,
        action: &'static str,
        target: &str,
        found: Result<T, AdminError>,
    ) -> Result<T, AdminError> {
        if let Err(error @ (AdminError::Invalid(_) | AdminError::NotFound(_))) = &found {
            self.note_refusal(action, target, &error.to_string()).await;
        }
        found
    }

    /// Records that something was refused, as far as that can be done: it is refused all the same.
    pub async fn note_refusal(&self, action: &'static str, target: &str, why: &str) {
        self.note_refusals(action, vec![(target.to_owned(), why.to_owned())]).await;
    }

    /// The same of several, in one transaction: what each was about, and why it was refused.
    pub async fn note_refusals(&self, action: &'static str, refused: Vec<(String, String)>) {
        if refused.is_empty() {
            return;
        }
        let attempt = |(target, why): (String, String)| {
            let (author, target) = (self.author.clone(), unless_secret(&target));
            Attempt { author, action, target, why }
        };
        if let Err(error) = self.feed.record_attempts(refused.into_iter().map(attempt).collect()).await {
            log::error!("that {action} was refused is not in the audit: {error}");
        }
    }

    /// Records a change that touches nothing but the feed.
    async fn record(&self, change: Change) -> Result<Recorded, AdminError> {
        self.record_all(vec![change]).await
    }

    /// The same of several, of which all are recorded or none.
    async fn record_all(&self, changes: Vec<Change>) -> Result<Recorded, AdminError> {
        let numbers = self.feed.record(changes.into_iter().map(self.entry()).collect()).await?;
        let number = numbers.into_iter().max().unwrap_or_default();
        Ok(Recorded { number, since: self.clock.boot() })
    }

    /// Kills every grant of a set that was born before now.
    ///
    /// # Errors
    /// When SQL fails; the kill may have been recorded, and asking again is safe.
    pub async fn kill(&self, scope: KillScope) -> Result<Recorded, AdminError> {
        self.record(Change::Killed(scope)).await
    }

    /// Waits until every replica has confirmed, at most for `patience`; and moves the witness past
    /// the change if the grant store can be reached.
    ///
    /// # Errors
    /// When SQL keeps failing. The change is recorded all the same.
    pub async fn settle(
        &self,
        recorded: Recorded,
        patience: Duration,
    ) -> Result<Acknowledgement, AdminError> {
        let passing = self.witness.pass(recorded.number);
        if let Ok(Err(error)) = tokio::time::timeout(WITNESS_PATIENCE, passing).await {
            log::debug!("the witness is not moved past change {}: {error}", recorded.number);
        }
        let mut failures = 0;
        loop {
            let waited = self.clock.boot() - recorded.since;
            match self.acknowledger.wait(recorded, patience.min(waited + LOOK_FOR)).await {
                Ok(acknowledgement) if acknowledgement.is_complete() || waited >= patience => {
                    return Ok(acknowledgement);
                }
                Ok(_) => failures = 0,
                Err(error) if failures >= MAX_FAILURES => return Err(error.into()),
                Err(_) => failures += 1,
            }
        }
    }

    /// Says that the database was restored to an older state; see [`crate::changes::recover`].
    /// Returns the new position, which the witness must then be set to.
    ///
    /// # Errors
    /// When SQL fails, or the grant store's witness cannot be read.
    pub async fn recover(
        &self,
        seen: Option<crate::domain::position::Position>,
    ) -> Result<crate::domain::position::Position, AdminError> {
        let head = self.feed.head().await?;
        let seen = seen.map_or(head.position.number, |seen| seen.number);
        let entry = self.entry()(Change::Recovered);
        Ok(crate::changes::recover(&self.database, entry, seen, self.clock.now()).await?)
    }
}
