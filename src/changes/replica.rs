//! A replica's lease: join, renew, leave; and evicting those who stopped renewing.
//!
//! The lease is the whole promise of an acknowledgement: whoever acknowledges a change either
//! sees that a replica has applied it, or waits until no lease that lacks it can still run. Each
//! step below is where it is because an interleaving breaks the promise otherwise; see "Why each
//! rule is there" in `docs/ARCHITECTURE.md`.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::change::RecordedChange;
use super::published::Published;
use super::store::{FeedError, FeedStore, Incarnation, Publish, Renewal, ReplicaRow, Replicas};
use crate::domain::base62;
use crate::domain::clock::{BootTime, CLOCK_SLACK, Clock};
use crate::domain::entropy::{self, Entropy};
use crate::domain::position::{ChangeNumber, Position};
use crate::domain::store::RECORD_VERSION;
use crate::domain::token_key::TokenKeys;
use crate::sql::SqlError;

/// How far the witness is known to have come: below it no record of a revoked grant is left in
/// the grant store. Shared between the mover, which writes it, and the replica.
#[derive(Clone, Debug, Default)]
pub struct WitnessPassed(Arc<Passed>);

#[derive(Debug, Default)]
struct Passed {
    number: AtomicU64,
    setbacks: AtomicU64,
    looks: AtomicU64,
}

impl WitnessPassed {
    pub fn get(&self) -> ChangeNumber {
        ChangeNumber::new(self.0.number.load(Ordering::Acquire))
    }

    /// How often the grant store went back in time.
    fn setbacks(&self) -> u64 {
        self.0.setbacks.load(Ordering::Acquire)
    }

    /// How often the witness was seen where it is said to be.
    fn looks(&self) -> u64 {
        self.0.looks.load(Ordering::Acquire)
    }

    pub(super) fn set(&self, number: ChangeNumber) {
        self.0.number.store(number.get(), Ordering::Release);
        self.0.looks.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn set_back(&self) {
        self.0.setbacks.fetch_add(1, Ordering::AcqRel);
        self.0.number.store(0, Ordering::Release);
    }
}

/// What a replica is made of.
pub struct ReplicaParts<V> {
    pub store: Arc<dyn FeedStore<V>>,
    pub replicas: Arc<dyn Replicas>,
    pub published: Arc<Published<V>>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    pub keys: Arc<TokenKeys>,
    pub witness: WitnessPassed,
    /// What people see: host and address.
    pub name: String,
    /// L of the design: how long an SQL outage is ridden out, and how long an acknowledgement
    /// waits for a replica that died.
    pub lease: Duration,
    /// How long a revocation stays in memory after the witness has passed it: longer than what a
    /// failover of the grant store can lose.
    pub memory: Duration,
}

/// One replica's lease, driven by one task.
pub struct Replica<V> {
    parts: ReplicaParts<V>,
    incarnation: Option<Incarnation>,
    beats: HashMap<Incarnation, Beat>,
    /// Where the witness stood at some times, the oldest first.
    checkpoints: VecDeque<(BootTime, ChangeNumber)>,
    setbacks: u64,
    looks: u64,
    /// When memory was tidied last, and a time after which the witness was seen once more.
    pruned: BootTime,
    looked: BootTime,
}

/// A replica's beat, and when the read that first showed it returned.
struct Beat {
    beat: u64,
    since: BootTime,
}

impl<V: Clone + Send + Sync + 'static> Replica<V> {
    pub fn new(parts: ReplicaParts<V>) -> Self {
        let (beats, checkpoints) = (HashMap::new(), VecDeque::new());
        let (pruned, looked) = (BootTime::default(), BootTime::default());
        Self { parts, incarnation: None, beats, checkpoints, setbacks: 0, looks: 0, pruned, looked }
    }

    pub const fn has_joined(&self) -> bool {
        self.incarnation.is_some()
    }

    /// Loads everything and inserts a row under a fresh name. There is no lease yet: only a
    /// renewal, in a later transaction, gives one. A change that committed between the load and
    /// the row was not waited for by its acknowledger, and the renewal brings it.
    ///
    /// # Errors
    /// When SQL fails, or holds what this replica cannot apply.
    pub async fn join(&mut self) -> Result<(), FeedError> {
        let position = self.load(BootTime::default()).await?;
        let row = ReplicaRow {
            incarnation: self.draw_incarnation()?,
            name: self.parts.name.clone(),
            applied: position,
            beat: 0,
            lease: self.parts.lease,
            record_version: RECORD_VERSION,
        };
        self.parts.store.join(&row).await?;
        self.incarnation = Some(row.incarnation);
        Ok(())
    }

    fn draw_incarnation(&self) -> Result<Incarnation, FeedError> {
        let bytes: [u8; 16] = entropy::random(self.parts.entropy.as_ref()).map_err(SqlError::unavailable)?;
        let mut digits = [0; 22];
        base62::encode(&bytes, &mut digits);
        Ok(Incarnation(String::from_utf8_lossy(&digits).into_owned()))
    }

    /// Renews the lease: `t0` is noted before anything is read, and the lease runs to
    /// `t0 + 0.9 L` only once the commit is confirmed. A row that is gone drops the lease at once.
    /// Returns whether the lease was renewed; if not, the next step (joining or renewing) is due now.
    ///
    /// # Errors
    /// When SQL fails or contradicts itself, or a change cannot be applied; the lease is then what
    /// it was.
    pub async fn renew(&mut self) -> Result<bool, FeedError> {
        let Some(incarnation) = self.incarnation.clone() else { return Ok(false) };
        let t0 = self.parts.clock.boot();
        let Some(from) = self.parts.published.newest() else { return Ok(false) };
        let (deadline, publisher) = (from.deadline, self.publisher(from.position));
        if !from.remembers_enough(self.parts.clock.now()) {
            log::warn!("the wall clock was set back; remembering again what had seemed to be over");
            self.load(deadline).await?;
            return Ok(false);
        }
        match self.parts.store.renew(&incarnation, from, publisher).await? {
            Renewal::Confirmed => {
                // 0.9: clocks of two machines may run at slightly different speeds.
                self.parts.published.set_deadline(t0 + self.parts.lease.mul_f64(0.9));
                return Ok(true);
            }
            Renewal::RowGone => {
                log::warn!("this replica's lease was taken away while it did not renew; joining anew");
                self.drop_lease();
            }
            Renewal::Reload => {
                log::info!("the change feed has a gap after this replica's position; reloading");
                self.load(deadline).await?;
            }
        }
        Ok(false)
    }

    async fn load(&mut self, deadline: BootTime) -> Result<ChangeNumber, FeedError> {
        let mut loaded = self.parts.store.load().await?;
        loaded.deadline = deadline;
        let number = loaded.position.number;
        if let Some(newest) = self.parts.published.newest() {
            if newest.position.feed != loaded.position.feed {
                return Err(FeedError::ForeignFeed);
            }
            let same = newest.position.number == number;
            if newest.position.number > number || same && newest.position.hash != loaded.position.hash {
                return Err(FeedError::LostCommits { seen: newest.position.number, head: number });
            }
        }
        self.parts.published.publish(loaded);
        // Everything is remembered again, and for its full time.
        self.checkpoints.clear();
        Ok(number)
    }

    /// Loads everything anew under the lease that there is, and so remembers every revocation
    /// again: what a grant store calls for whose data are older than this replica's memory.
    ///
    /// # Errors
    /// When SQL fails or contradicts itself; the state is then what it was.
    pub async fn reload(&mut self) -> Result<(), FeedError> {
        let deadline = self.parts.published.newest().map(|newest| newest.deadline);
        self.load(deadline.unwrap_or_default()).await.map(drop)
    }

    /// Publishes rows that follow `from`, if that is still what is published: a renewal that was
    /// given up may come to this late.
    fn publisher(&self, from: Position) -> Publish<V> {
        let published = Arc::clone(&self.parts.published);
        let keys = Arc::clone(&self.parts.keys);
        Arc::new(move |rows: &[RecordedChange], view: V| {
            let Some(newest) = published.newest() else { return Ok(Position::default()) };
            if rows.is_empty() || newest.position != from {
                return Ok(newest.position);
            }
            let next = newest.apply(rows, view, &keys)?;
            Ok(published.publish(next).position)
        })
    }

    /// Ends the lease at once, until the next renewal: what this replica knows may not be acted on.
    pub fn suspend(&self) {
        self.parts.published.set_deadline(BootTime::default());
    }

    fn drop_lease(&mut self) {
        self.suspend();
        self.incarnation = None;
    }

    /// Gives the lease back. To be called when no request is taken any more and those begun are
    /// answered: the lease is dropped first, and only then is the row deleted.
    ///
    /// # Errors
    /// When SQL fails; the row is then evicted by others in time.
    pub async fn leave(&mut self) -> Result<(), FeedError> {
        let Some(incarnation) = self.incarnation.clone() else { return Ok(()) };
        self.drop_lease();
        self.parts.store.leave(&incarnation).await
    }

    /// Deletes the rows of replicas whose beat has stood still for the length of their lease, on
    /// this replica's clock, since the read that first showed that beat returned. Returns all rows
    /// that were read.
    ///
    /// # Errors
    /// When SQL fails.
    pub async fn evict_the_silent(&mut self) -> Result<Vec<ReplicaRow>, FeedError> {
        let rows = self.parts.replicas.replicas().await?;
        let read_by_all = rows.iter().map(|row| row.record_version).min().unwrap_or(0);
        self.parts.published.set_record_version(read_by_all);
        let now = self.parts.clock.boot();
        self.beats.retain(|incarnation, _| rows.iter().any(|row| row.incarnation == *incarnation));
        for row in &rows {
            let known =
                self.beats.entry(row.incarnation.clone()).or_insert(Beat { beat: row.beat, since: now });
            if known.beat != row.beat {
                *known = Beat { beat: row.beat, since: now };
            } else if now - known.since >= row.lease
                && self.incarnation.as_ref() != Some(&row.incarnation)
                && self.parts.replicas.evict(&row.incarnation, row.beat).await?
            {
                log::warn!("replica {} has not renewed its lease; its row is deleted", row.name);
            }
        }
        Ok(rows)
    }

    /// Forgets revocations that the witness had passed for longer than the memory, and those and
    /// restrictions of grants and login sessions that have ended. To be called about once a minute.
    ///
    /// The time counts from the witness, not from the revocation: a failover can lose a deletion
    /// that was made a moment ago, however old the revocation is. A store that went back in time
    /// is deleted from anew, so the time begins anew too. And it ends at the last look at the
    /// witness: whoever was frozen, or could not ask, does not know whether the store went back.
    ///
    /// # Errors
    /// When SQL, whose clock has a say in what has ended, cannot be asked; nothing is then forgotten.
    pub async fn prune(&mut self) -> Result<(), FeedError> {
        let ended = self.parts.store.retention_clock().await? - CLOCK_SLACK;
        let Some(newest) = self.parts.published.newest() else { return Ok(()) };
        let now = self.parts.clock.boot();
        let setbacks = self.parts.witness.setbacks();
        if self.setbacks != setbacks {
            self.setbacks = setbacks;
            self.checkpoints.clear();
        }
        let looks = self.parts.witness.looks();
        if self.looks != looks {
            self.looks = looks;
            self.looked = self.pruned;
        }
        self.pruned = now;
        self.checkpoints.push_back((now, self.parts.witness.get()));
        let mut floor = newest.memory_floor;
        while let Some((at, passed)) = self.checkpoints.front()
            && self.looked - *at > self.parts.memory
        {
            floor = floor.max(*passed);
            self.checkpoints.pop_front();
        }
        let mut next = newest.as_ref().clone();
        next.forget(ended, floor);
        self.parts.published.publish(next);
        Ok(())
    }
}
