//! Following the feed: the task that renews a replica's lease when woken, and every so often; and
//! the tasks beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, oneshot, watch};

use super::replica::Replica;
use super::sql_feed::{CHANNEL, SqlFeed};
use super::store::{FeedError, History, ReplicaRow};
use super::witness::{WitnessError, WitnessMover};
use crate::sql::DatabaseUrl;

/// The longest pause between two renewals.
const RENEW_EVERY: Duration = Duration::from_secs(1);
/// How often SQLite is asked whether something was recorded by another process.
const POLL_EVERY: Duration = Duration::from_millis(100);
/// How long a listener that lost its connection waits before it tries again.
const LISTEN_AGAIN: Duration = Duration::from_millis(500);
/// How often memory is pruned, and rows are tidied.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// How long rows that are needed for nothing are kept, for people who look into the feed.
const KEEP_ROWS: Duration = Duration::from_secs(24 * 3600);

/// How a replica's lease and its witness stand, for health and metrics.
#[derive(Clone, Debug, Default)]
pub struct LeaseStatus {
    /// What went wrong at the last try to join or renew; `None` when it went well.
    pub lease_error: Option<FeedError>,
    /// What was wrong with the witness at the last look.
    pub witness_error: Option<WitnessError>,
    /// Whether this replica has a row, and so may hold a lease.
    pub joined: bool,
    /// All replicas, as last seen.
    pub replicas: Vec<ReplicaRow>,
}

impl LeaseStatus {
    /// What the witness proves against SQL. A store that cannot be asked takes nothing of it back.
    fn contradiction(&self) -> Option<FeedError> {
        self.witness_error.as_ref().and_then(WitnessError::contradiction)
    }

    fn note_witness(&mut self, error: Option<WitnessError>) -> bool {
        let undecided = error.as_ref().is_some_and(|error| error.contradiction().is_none());
        if self.witness_error == error || undecided && self.contradiction().is_some() {
            return false;
        }
        if let Some(error) = &error {
            log::warn!("the witness is not moved: {error}");
        }
        self.witness_error = error;
        true
    }
}

/// Asks a replica to load everything anew. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ReloadRequest {
    wanted: Arc<AtomicBool>,
    wake: Arc<Notify>,
}

impl ReloadRequest {
    pub fn ask(&self) {
        self.wanted.store(true, Ordering::Release);
        self.wake.notify_one();
    }
}

/// Drives one replica.
pub struct Tail<V> {
    replica: Replica<V>,
    history: Arc<dyn History>,
    witness: Arc<WitnessMover>,
    reload: ReloadRequest,
    renew_every: Duration,
    status: watch::Sender<LeaseStatus>,
    leave: oneshot::Receiver<oneshot::Sender<()>>,
}

/// The way to ask the tail how it is, and to stop it.
pub struct TailHandle {
    pub status: watch::Receiver<LeaseStatus>,
    pub reload: ReloadRequest,
    leave: oneshot::Sender<oneshot::Sender<()>>,
}

impl TailHandle {
    /// Gives the lease back and stops the tail. To be called when no request is under way.
    pub async fn leave(self) {
        let (done, left) = oneshot::channel();
        if self.leave.send(done).is_ok() {
            left.await.ok();
        }
    }
}

impl<V: Clone + Send + Sync + 'static> Tail<V> {
    pub fn new(
        replica: Replica<V>,
        history: Arc<dyn History>,
        witness: Arc<WitnessMover>,
        wake: Arc<Notify>,
        lease: Duration,
    ) -> (Self, TailHandle) {
        let (status, seen) = watch::channel(LeaseStatus::default());
        let (ask, asked) = oneshot::channel();
        let renew_every = (lease / 10).min(RENEW_EVERY);
        let reload = ReloadRequest { wanted: Arc::default(), wake };
        let handle = TailHandle { status: seen, reload: reload.clone(), leave: ask };
        (Self { replica, history, witness, reload, renew_every, status, leave: asked }, handle)
    }

    /// Joins, and rejoins when the lease is lost; renews until asked to leave.
    pub async fn run(mut self) {
        // Judged once before there can be a lease.
        let judged = self.witness.catch_up().await.err();
        self.status.send_if_modified(|status| status.note_witness(judged));
        let mut tidy = tokio::time::interval(TIDY_EVERY);
        // What is loaded now has nothing to forget yet.
        tidy.reset();
        tidy.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut look_around = tokio::time::interval(self.renew_every);
        look_around.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.step().await;
            tokio::select! {
                biased;
                done = &mut self.leave => {
                    if let Err(error) = self.replica.leave().await {
                        log::warn!("the lease could not be given back: {error}");
                    }
                    if let Ok(done) = done {
                        done.send(()).ok();
                    }
                    return;
                }
                _ = tidy.tick() => {
                    // While SQL is away nothing is forgotten, and its absence is shown by the lease.
                    self.replica.prune().await.ok();
                }
                _ = look_around.tick() => self.look_around().await,
                () = self.reload.wake.notified() => {}
                () = tokio::time::sleep(self.renew_every) => {}
            }
        }
    }

    /// One renewal, after a join where there is no lease to renew.
    async fn step(&mut self) {
        let error = self.join_or_renew().await.err();
        let joined = self.replica.has_joined();
        self.status.send_if_modified(|status| std::mem::replace(&mut status.joined, joined) != joined);
        self.status.send_if_modified(|status| {
            let changed = status.lease_error != error;
            if changed {
                match &error {
                    Some(error) => log::error!("the lease is not renewed: {error}"),
                    None => log::info!("the lease is renewed again"),
                }
                status.lease_error = error;
            }
            changed
        });
        if self.status.borrow().lease_error.is_some() && !self.replica.has_joined() {
            tokio::time::sleep(self.renew_every.min(Duration::from_millis(200))).await;
        }
    }

    async fn join_or_renew(&mut self) -> Result<(), FeedError> {
        let contradiction = self.status.borrow().contradiction();
        if let Some(error) = contradiction {
            // The grant store proves that SQL has lost what this replica rests on.
            self.replica.suspend();
            return Err(error);
        }
        // A row that is gone, or a gap, calls for one more step at once; more than that waits.
        for _ in 0..3 {
            if !self.replica.has_joined() {
                self.replica.join().await?;
            }
            if self.replica.renew().await? {
                break;
            }
        }
        if self.reload.wanted.swap(false, Ordering::AcqRel)
            && let Err(error) = self.replica.reload().await
        {
            self.reload.wanted.store(true, Ordering::Release);
            return Err(error);
        }
        Ok(())
    }

    async fn look_around(&mut self) {
        // Errors are those of the lease, and shown there.
        if let Ok(replicas) = self.replica.evict_the_silent().await {
            self.status.send_modify(|status| status.replicas = replicas);
        }
    }

    /// A task beside the tail that deletes rows which nobody needs, and notes that tokens are made
    /// under this replica's key.
    pub fn housekeeper(&self) -> impl Future<Output = ()> + Send + use<V> {
        let (history, status) = (Arc::clone(&self.history), self.status.clone());
        async move {
            let mut failing = false;
            while !status.is_closed() {
                if !status.borrow().joined {
                    // Without a lease no token is made, and nothing is known of what others need.
                    tokio::time::sleep(RENEW_EVERY).await;
                    continue;
                }
                let kept = async {
                    history.note_key_use().await?;
                    history.purge(KEEP_ROWS).await
                };
                match kept.await {
                    Ok(0) => failing = false,
                    Ok(rows) => {
                        failing = false;
                        log::info!("deleted {rows} rows of the change feed that nobody needs");
                    }
                    Err(error) if !failing => {
                        failing = true;
                        log::warn!("the change feed is not tidied: {error}");
                    }
                    Err(error) => log::debug!("the change feed is not tidied: {error}"),
                }
                tokio::time::sleep(TIDY_EVERY).await;
            }
        }
    }

    /// A task beside the tail that keeps the witness up with the feed, every second.
    pub fn witness_keeper(&self) -> impl Future<Output = ()> + Send + use<V> {
        let (witness, status) = (Arc::clone(&self.witness), self.status.clone());
        async move {
            while !status.is_closed() {
                let error = witness.catch_up().await.err();
                status.send_if_modified(|status| status.note_witness(error));
                tokio::time::sleep(RENEW_EVERY).await;
            }
        }
    }
}

/// Wakes whoever waits when something is recorded by another process: by NOTIFY on PostgreSQL, by
/// a cheap poll on SQLite.
pub async fn wake_on_changes<P: super::Projection>(feed: SqlFeed<P>, wake: Arc<Notify>) {
    match feed.database.url().clone() {
        DatabaseUrl::Postgres(url) => loop {
            match url.listen(CHANNEL).await {
                Ok(mut notifications) => {
                    // Something may have been recorded while nobody listened.
                    wake.notify_one();
                    while notifications.next().await.is_some() {
                        wake.notify_one();
                    }
                }
                Err(error) => log::debug!("no notifications: {error}"),
            }
            tokio::time::sleep(LISTEN_AGAIN).await;
        },
        DatabaseUrl::Sqlite(_) | DatabaseUrl::SqliteGrants(_) => {
            let mut last = None;
            loop {
                if let Ok(head) = feed.head().await
                    && last.replace(head.position.number) != Some(head.position.number)
                {
                    wake.notify_one();
                }
                tokio::time::sleep(POLL_EVERY).await;
            }
        }
    }
}
