//! The grant store: records under a witness, in a server that lies about the past.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use symbolon::domain::identifier::GrantId;
use symbolon::domain::position::Position;
use symbolon::domain::store::{StoreError, Witness};

use crate::broken::Broken;
use crate::server::{Lost, Server};

/// How much a failover loses at most.
pub const LAG: Duration = Duration::from_millis(500);
/// How long revocations stay in memory after the witness has passed them.
pub const MEMORY: Duration = Duration::from_secs(2);

impl From<Lost> for StoreError {
    fn from(_: Lost) -> Self {
        Self::new("no answer")
    }
}

#[derive(Clone, Default)]
struct Copy {
    records: BTreeSet<GrantId>,
    witness: Option<Position>,
}

#[derive(Default)]
pub struct Store {
    primary: Copy,
    /// What a follower may have instead: each state with the time from which on it was the primary's.
    past: VecDeque<(u64, Copy)>,
    dump: Copy,
    /// Restoring a dump breaks all connections: this counts those times.
    pub restarts: u64,
    pub now: u64,
}

impl Store {
    pub fn insert(&mut self, grant: GrantId) {
        self.primary.records.insert(grant);
        self.keep();
    }

    pub fn holds(&self, grant: &GrantId) -> bool {
        self.primary.records.contains(grant)
    }

    pub fn witness(&self) -> Option<Position> {
        self.primary.witness
    }

    fn keep(&mut self) {
        self.past.push_back((self.now, self.primary.clone()));
        let lag = u64::try_from(LAG.as_micros()).unwrap_or(0);
        // The last state before the lag began is still one that a follower may have.
        while self.past.get(1).is_some_and(|(since, _)| since + lag <= self.now) {
            self.past.pop_front();
        }
    }

    /// A follower is promoted under open connections; it lags by up to [`LAG`]. `choose` picks among the
    /// states that it can have.
    pub fn fail_over(&mut self, choose: impl FnOnce(usize) -> usize) {
        self.keep();
        let chosen = choose(self.past.len());
        self.past.truncate(chosen + 1);
        if let Some((_, copy)) = self.past.back() {
            self.primary = copy.clone();
        }
    }

    pub fn dump(&mut self) {
        self.dump = self.primary.clone();
    }

    pub fn restore(&mut self) {
        self.primary = self.dump.clone();
        self.restarts += 1;
        self.past.clear();
        self.keep();
    }

    pub fn flush(&mut self) {
        self.primary = Copy::default();
        self.keep();
    }
}

/// One process's mover of the witness.
pub struct Mark {
    pub store: Arc<Server<Store>>,
    pub machine: usize,
    pub broken: Option<Broken>,
    pub owed: Mutex<Vec<GrantId>>,
}

#[async_trait]
impl Witness for Mark {
    async fn read(&self) -> Result<Option<Position>, StoreError> {
        self.store.call(self.machine, "read-witness", |store| Ok(store.witness())).await
    }

    async fn advance(
        &self,
        from: Option<Position>,
        to: Position,
        revoked: &[GrantId],
    ) -> Result<bool, StoreError> {
        let late = self.broken == Some(Broken::DeletionsAfterTheWitness);
        let mut delete = if late { std::mem::take(&mut *self.owed.lock().unwrap()) } else { Vec::new() };
        if late {
            self.owed.lock().unwrap().extend(revoked);
        } else {
            delete.extend(revoked);
        }
        let advance = self.store.call(self.machine, "advance", move |store| {
            if store.primary.witness != from {
                return Ok(false);
            }
            for grant in &delete {
                store.primary.records.remove(grant);
            }
            store.primary.witness = Some(to);
            store.keep();
            Ok(true)
        });
        advance.await
    }
}
