//! One process of a machine: a replica with its real feed, or a command line, which is a feed without a lease.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use symbolon::changes::{
    Acknowledger, ChangeFeed, History, Published, Recorder, Replica, ReplicaParts, Replicas, Sequence,
    Snapshot, WitnessMover,
};
use symbolon::domain::clock::{BootTime, Clock};
use symbolon::domain::entropy::Entropy;
use symbolon::domain::identifier::GrantId;
use symbolon::domain::position::{ChangeNumber, Position};
use symbolon::domain::store::StoreError;
use tokio::sync::Notify;

use crate::Shared;
use crate::broken::Broken;
use crate::connection::Connection;
use crate::grants::{MEMORY, Mark};
use crate::time::{LEASE, MachineClock, breathe, pause};

/// Between two renewals, at most.
const RENEW_EVERY: Duration = Duration::from_millis(100);

pub struct Process {
    pub machine: usize,
    pub shared: Arc<Shared>,
    pub clock: MachineClock,
    lease: Duration,
    pub connection: Arc<Connection>,
    pub published: Arc<Published<()>>,
    pub feed: ChangeFeed<()>,
    pub acknowledger: Acknowledger,
    pub mover: Arc<WitnessMover>,
    reload: AtomicBool,
    /// A script wants it to look for silent rows.
    pub looks: AtomicBool,
    /// To the grant store: up with this many restarts of it behind, or down.
    link: Mutex<Option<u64>>,
    /// No request is taken any more.
    pub leaving: AtomicBool,
    pub requests: AtomicU64,
    /// What a worker's loop keeps, against the rules.
    pub cached_snapshot: Mutex<Option<Arc<Snapshot<()>>>>,
    pub cached_clock: Mutex<Option<BootTime>>,
}

type Task = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn number(witness: Option<Position>) -> ChangeNumber {
    witness.map_or(ChangeNumber::ZERO, |witness| witness.number)
}

impl Process {
    /// The process and the task that commits what it records.
    pub fn start(
        shared: &Arc<Shared>,
        machine: usize,
        clock: &MachineClock,
        lease: Duration,
    ) -> (Arc<Self>, Task) {
        let connection = Arc::new(Connection {
            sql: Arc::clone(&shared.sql),
            machine,
            clock: clock.clone(),
            broken: shared.broken,
            earlier: Arc::default(),
        });
        let mark =
            Mark { store: Arc::clone(&shared.store), machine, broken: shared.broken, owed: Mutex::default() };
        let history: Arc<dyn History> = Arc::clone(&connection) as _;
        let recorder: Arc<dyn Recorder> = Arc::clone(&connection) as _;
        let replicas: Arc<dyn Replicas> = Arc::clone(&connection) as _;
        let mover = Arc::new(WitnessMover::new(Arc::new(mark), history));
        let shown: Arc<dyn Clock> = Arc::new(clock.clone());
        let (sequence, commits) = Sequence::new(recorder, Arc::clone(&shown), Arc::new(Notify::new()));
        let published = Arc::new(Published::default());
        let of_the_feed = Arc::new(Acknowledger::new(Arc::clone(&replicas), Arc::clone(&shown)));
        let process = Self {
            machine,
            shared: Arc::clone(shared),
            clock: clock.clone(),
            lease,
            connection,
            feed: ChangeFeed::new(
                Arc::clone(&published),
                Arc::clone(&shown),
                sequence,
                of_the_feed,
                Arc::clone(&mover),
            ),
            published,
            acknowledger: Acknowledger::new(replicas, shown),
            mover,
            reload: AtomicBool::new(false),
            looks: AtomicBool::new(false),
            link: Mutex::new(None),
            leaving: AtomicBool::new(false),
            requests: AtomicU64::new(0),
            cached_snapshot: Mutex::default(),
            cached_clock: Mutex::default(),
        };
        (Arc::new(process), Box::pin(commits))
    }

    pub fn replica(&self) -> Replica<()> {
        Replica::new(ReplicaParts {
            store: Arc::clone(&self.connection) as _,
            replicas: Arc::clone(&self.connection) as _,
            published: Arc::clone(&self.published),
            clock: Arc::new(self.clock.clone()),
            entropy: Arc::clone(&self.shared.rng) as Arc<dyn Entropy>,
            keys: Arc::clone(&self.shared.keys),
            witness: self.mover.passed(),
            name: format!("machine {}", self.machine),
            lease: self.lease,
            memory: if self.is(Broken::NoMemory) {
                Duration::ZERO
            } else if self.shared.finds_all {
                Duration::MAX
            } else {
                MEMORY
            },
        })
    }

    pub fn is(&self, broken: Broken) -> bool {
        self.shared.broken == Some(broken)
    }

    pub fn serves(&self) -> bool {
        self.link.lock().unwrap().is_some() && self.feed.current().is_ok()
    }

    async fn pause(&self, longest: Duration) {
        let micros = u64::try_from(longest.as_micros()).unwrap_or(1);
        pause(&self.clock, Duration::from_micros(self.shared.rng.below(micros))).await;
    }

    /// What `Tail::run` does, with dice in place of its timers.
    pub async fn keep_the_lease(self: Arc<Self>) {
        let mut replica = self.replica();
        let rng = Arc::clone(&self.shared.rng);
        loop {
            let step = self.join_or_renew(&mut replica).await;
            self.shared.note(|| format!("machine {}: lease {step:?}, {}", self.machine, self.standing()));
            if self.leaving.load(Ordering::Relaxed) {
                if self.is(Broken::DeleteBeforeDrain) {
                    self.delete_before_drain().await;
                }
                while self.requests.load(Ordering::Relaxed) > 0 {
                    breathe().await;
                }
                replica.leave().await.ok();
                return;
            }
            if self.looks.load(Ordering::Relaxed) || rng.percent(self.shared.looks_around) {
                replica.evict_the_silent().await.ok();
                self.looks.store(false, Ordering::Relaxed);
            }
            if rng.percent(25) || self.is(Broken::NoMemory) {
                replica.prune().await.ok();
            }
            if rng.percent(2) {
                self.connection.purge(Duration::ZERO).await.ok();
            }
            self.pause(RENEW_EVERY).await;
        }
    }

    async fn join_or_renew(&self, replica: &mut Replica<()>) -> Result<(), symbolon::changes::FeedError> {
        if !replica.has_joined() {
            replica.join().await?;
        }
        if self.reload.swap(false, Ordering::Relaxed)
            && let Err(error) = replica.reload().await
        {
            self.reload.store(true, Ordering::Relaxed);
            return Err(error);
        }
        replica.renew().await.map(drop)
    }

    async fn delete_before_drain(&self) {
        use symbolon::changes::FeedStore as _;
        let incarnation = self.connection.earlier.lock().unwrap().incarnation.clone();
        if let Some(incarnation) = incarnation {
            self.connection.leave(&incarnation).await.ok();
            pause(&self.clock, LEASE / 2).await;
        }
    }

    pub fn standing(&self) -> String {
        let Some(newest) = self.published.newest() else { return "nothing published".to_owned() };
        let left = newest.deadline - self.clock.shown();
        let (at, floor, passed) = (newest.position.number, newest.memory_floor, self.mover.passed().get());
        format!("at {at}, floor {floor}, witness {passed}, lease left {left:?}")
    }

    /// What `Tail::witness_keeper` does.
    pub async fn keep_the_witness(self: Arc<Self>) {
        loop {
            self.mover.catch_up().await.ok();
            self.pause(RENEW_EVERY * 2).await;
        }
    }

    /// The supervisor of a worker's connection to the grant store.
    pub async fn keep_the_link(self: Arc<Self>) {
        loop {
            if let Ok((restarts, witness)) = self.connect().await {
                self.set_link(Some(restarts));
                self.watch(restarts, witness).await;
                self.set_link(None);
            }
            self.pause(RENEW_EVERY).await;
        }
    }

    fn set_link(&self, link: Option<u64>) {
        self.shared.note(|| format!("machine {}: link {link:?}", self.machine));
        *self.link.lock().unwrap() = link;
    }

    async fn verify(&self, restarts: Option<u64>) -> Result<(u64, Option<Position>), StoreError> {
        let verified = self.shared.store.call(self.machine, "verify", move |store| {
            if restarts.is_some_and(|restarts| restarts != store.restarts) {
                return Err(StoreError::new("the connection is broken"));
            }
            Ok((store.restarts, store.witness()))
        });
        verified.await
    }

    async fn connect(&self) -> Result<(u64, Option<Position>), String> {
        let (restarts, found) = self.verify(None).await.map_err(|error| error.to_string())?;
        self.admit(found).await?;
        Ok((restarts, found))
    }

    /// What `FeedAdmission` does: the witness is judged; a store that is older than the memory is not served
    /// from until the replica remembers everything again.
    async fn admit(&self, found: Option<Position>) -> Result<(), String> {
        if self.is(Broken::BehindIsServed) {
            return Ok(());
        }
        self.mover.judge(found).await.map_err(|error| error.to_string())?;
        if number(found) < self.memory_floor() {
            self.reload.store(true, Ordering::Relaxed);
            return Err("restored to an older state".to_owned());
        }
        Ok(())
    }

    fn memory_floor(&self) -> ChangeNumber {
        self.published.newest().map_or(ChangeNumber::ZERO, |newest| newest.memory_floor)
    }

    /// Verifies the connection now and then; returns when it is good no more.
    async fn watch(&self, restarts: u64, mut witness: Option<Position>) {
        loop {
            self.pause(RENEW_EVERY * 2).await;
            if *self.link.lock().unwrap() != Some(restarts) {
                return;
            }
            let Ok((_, found)) = self.verify(Some(restarts)).await else { return };
            let went_back = number(found) < number(witness);
            if (went_back || number(found) < self.memory_floor()) && self.admit(found).await.is_err() {
                return;
            }
            witness = found;
        }
    }

    /// A request's one way to the grant store.
    pub async fn ask<T: Send + 'static>(
        &self,
        what: &'static str,
        unit: impl FnOnce(&mut crate::grants::Store) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let Some(restarts) = *self.link.lock().unwrap() else { return Err(StoreError::new("down")) };
        let asked = self.shared.store.call(self.machine, what, move |store| {
            if store.restarts == restarts { Ok(unit(store)) } else { Err(StoreError::new("broken")) }
        });
        let asked = asked.await;
        if asked.is_err() {
            let mut link = self.link.lock().unwrap();
            if *link == Some(restarts) {
                *link = None;
            }
        }
        asked
    }

    pub async fn find(&self, grant: GrantId) -> Result<bool, StoreError> {
        if self.shared.finds_all {
            return Ok(true);
        }
        self.ask("get", move |store| store.holds(&grant)).await
    }
}
