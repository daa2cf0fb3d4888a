//! A replica's feed: its tasks, and the handle that its workers use.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};

use super::admission::FeedAdmission;
use super::stores::Stores;
use crate::changes::{
    Acknowledger, Actor, ChangeFeed, History, Published, Replica, ReplicaParts, Sequence, SqlFeed, Tail,
    TailHandle, WitnessMover, record_longest_lifetime, wake_on_changes,
};
use crate::config::Config;
use crate::directory::{DirectoryProjection, DirectoryView};
use crate::domain::token_key::TokenKeys;
use crate::sql::migrations::SchemaState;
use crate::sql::{DatabaseUrl, SqlError};

/// A replica, put together but not joined yet.
pub struct ReplicaFeed {
    pub feed: ChangeFeed<DirectoryView>,
    pub published: Arc<Published<DirectoryView>>,
    pub mover: Arc<WitnessMover>,
    pub handle: TailHandle,
    sql: SqlFeed<DirectoryProjection>,
    tail: Tail<DirectoryView>,
    wake: Arc<Notify>,
    committing: BoxFuture<'static, ()>,
}

impl ReplicaFeed {
    pub fn new(config: &Config, stores: &Stores, keys: &Arc<TokenKeys>) -> Self {
        let sql = stores.feed(Some(Arc::clone(keys)));
        let store = Arc::new(sql.clone());
        let history: Arc<dyn History> = Arc::clone(&store) as Arc<dyn History>;
        let published = Arc::new(Published::default());
        let mover = Arc::new(WitnessMover::new(stores.witness(), Arc::clone(&history)));
        let wake = Arc::new(Notify::new());
        let replica = Replica::new(ReplicaParts {
            store: Arc::clone(&store) as _,
            replicas: Arc::clone(&store) as _,
            published: Arc::clone(&published),
            clock: Arc::clone(&stores.clock),
            entropy: Arc::clone(&stores.entropy),
            keys: Arc::clone(keys),
            witness: mover.passed(),
            name: replica_name(config),
            lease: config.lease,
            memory: config.revoked_memory,
        });
        let (tail, handle) = Tail::new(replica, history, Arc::clone(&mover), Arc::clone(&wake), config.lease);
        let clock = || Arc::clone(&stores.clock);
        let (sequence, committing) = Sequence::new(Arc::clone(&store) as _, clock(), Arc::clone(&wake));
        let acknowledger = Arc::new(Acknowledger::new(store, clock()));
        let feed =
            ChangeFeed::new(Arc::clone(&published), clock(), sequence, acknowledger, Arc::clone(&mover));
        Self { feed, published, mover, handle, sql, tail, wake, committing: Box::pin(committing) }
    }

    pub fn admission(&self) -> Arc<FeedAdmission> {
        Arc::new(FeedAdmission {
            mover: Arc::clone(&self.mover),
            published: Arc::clone(&self.published),
            reload: self.handle.reload.clone(),
        })
    }

    /// Starts the replica's tasks; returns the handle to ask and stop them. `alone` says that no
    /// other replica can live: rows that are there were left by a process that died.
    pub fn start(self, config: &Config, stores: &Stores, alone: bool, watch: &TaskWatch) -> TailHandle {
        watch.spawn("the listener for changes", wake_on_changes(self.sql.clone(), self.wake));
        watch.spawn("the keeper of the witness", self.tail.witness_keeper());
        watch.spawn("the housekeeper of the change feed", self.tail.housekeeper());
        watch.spawn("the sequence of changes", self.committing);
        let keeper = Actor::replica(&replica_name(config)).into();
        watch.spawn("the keeper of the audit", self.sql.clone().keep_audit(config.audit_retention, keeper));
        let (sql, tail, lifetime) = (self.sql, self.tail, config.longest_lifetime());
        let database = stores.database.clone();
        watch.spawn("the tail of the change feed", async move {
            // Before the first token: how long revocations must be kept.
            loop {
                let noted = database.write(move |conn| Box::pin(record_longest_lifetime(conn, lifetime)));
                match noted.await {
                    Ok(()) => break,
                    Err(error) => log::warn!("not joined yet: {error}"),
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            if alone && let Err(error) = sql.forget_replicas().await {
                log::warn!("rows of replicas that died are not deleted: {error}");
            }
            tail.run().await;
        });
        self.handle
    }
}

/// Watches over tasks that must not end while the server serves: one that panics would leave a
/// replica that looks alive and does nothing.
pub struct TaskWatch {
    runtime: Handle,
    ended: mpsc::UnboundedSender<&'static str>,
}

impl TaskWatch {
    /// The watch, and where it tells of tasks that ended.
    pub fn new(runtime: Handle) -> (Self, mpsc::UnboundedReceiver<&'static str>) {
        let (ended, told) = mpsc::unbounded_channel();
        (Self { runtime, ended }, told)
    }

    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let task = self.runtime.spawn(task);
        let ended = self.ended.clone();
        self.runtime.spawn(async move {
            // Ending without a fault is how tasks end when the server stops.
            if let Err(error) = task.await {
                log::error!("{name} died: {error}");
                // Nobody listens any more once the server stops.
                ended.send(name).ok();
            }
        });
    }
}

fn replica_name(config: &Config) -> String {
    let host = rustix::system::uname();
    format!("{}/{} pid {}", host.nodename().to_string_lossy(), config.listen, std::process::id())
}

/// Waits until the database can be asked, then says how its schema compares with this version's.
pub async fn wait_for_schema(stores: &Stores) -> Result<SchemaState, SqlError> {
    loop {
        match stores.schema_state().await {
            Err(SqlError::Unavailable(why)) if matches!(stores.database.url(), DatabaseUrl::Postgres(_)) => {
                log::warn!("waiting for the database: {why}");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            other => return other,
        }
    }
}
