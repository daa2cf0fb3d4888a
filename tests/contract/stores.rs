//! The two grant stores, each over a real server or file of its own.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use symbolon::domain::clock::{Clock as _, SystemClock, Timestamp};
use symbolon::domain::entropy::SystemEntropy;
use symbolon::domain::identifier::GrantId;
use symbolon::domain::position::{ChangeNumber, Position};
use symbolon::grants::redis::{ControlPool, Link, RedisGrants, RedisUrl};
use symbolon::grants::sqlite::SqliteGrants;
use symbolon::grants::{Admission, EncodedRecord, GrantReader, GrantStore, StoreError, Witness};
use symbolon::sql::{Database, DatabaseUrl, migrations};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::support::redis::RedisServer;
use crate::support::scratch;
use crate::{eventually, runtime};

/// How many workers share a store.
const WORKERS: usize = 4;
/// A slow machine is no reason to take a link down in a case that is about something else.
pub const UNHURRIED: Duration = Duration::from_secs(1);
/// How long a link may take to come up again.
pub const RECOVERY: Duration = Duration::from_secs(5);

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Redis,
    Sqlite,
}

/// One store, as several workers use it.
pub struct Store {
    pub workers: Vec<Arc<dyn GrantStore>>,
    pub witness: Arc<dyn Witness>,
    pub reader: Arc<dyn GrantReader>,
    links: Vec<Worker>,
    place: Place,
}

enum Place {
    Redis(Box<RedisServer>),
    Sqlite(TempDir),
}

impl Store {
    /// An empty store that nobody else uses.
    pub async fn fresh(kind: Kind) -> Self {
        match kind {
            Kind::Redis => Self::open(Place::Redis(Box::new(RedisServer::start()))).await,
            Kind::Sqlite => Self::open(Place::Sqlite(scratch::directory("grants"))).await,
        }
    }

    /// The first worker's view of it.
    pub fn grants(&self) -> &dyn GrantStore {
        self.workers[0].as_ref()
    }

    /// The file of an embedded store.
    pub fn file(&self) -> PathBuf {
        match &self.place {
            Place::Sqlite(directory) => directory.path().join("grants.db"),
            Place::Redis(server) => panic!("a Redis on port {} is no file", server.port()),
        }
    }

    /// The same data after everything was stopped and started again.
    pub async fn restart(self) -> Self {
        let Self { workers, witness, reader, links, place } = self;
        drop((workers, witness, reader, links));
        if let Place::Redis(server) = &place {
            server.restart();
        }
        Self::open(place).await
    }

    async fn open(place: Place) -> Self {
        match &place {
            Place::Redis(server) => {
                let url = RedisUrl::parse(&server.url(), None).unwrap();
                let mut links = Vec::new();
                for _ in 0..WORKERS {
                    links.push(Worker::connect(&url, UNHURRIED).await);
                }
                let workers = links.iter().map(|worker| Arc::clone(&worker.grants) as _).collect();
                let control = ControlPool::new(&url).unwrap();
                let (witness, reader) = (Arc::new(control.clone()), Arc::new(control));
                Self { workers, witness, reader, links, place }
            }
            Place::Sqlite(directory) => {
                let url = DatabaseUrl::SqliteGrants(directory.path().join("grants.db"));
                migrations::run(&url).await.unwrap();
                let open = || {
                    let database = Database::new(&url, 4, runtime().handle().clone()).unwrap();
                    SqliteGrants::new(database, Arc::new(SystemClock))
                };
                // The server, and the command line beside it.
                let (server, command_line) = (open(), open());
                let workers = vec![
                    Arc::new(server.clone()) as Arc<dyn GrantStore>,
                    Arc::new(command_line.clone()),
                    Arc::new(server.clone()),
                    Arc::new(command_line),
                ];
                let reader = Arc::new(server.clone());
                Self { workers, witness: Arc::new(server), reader, links: Vec::new(), place }
            }
        }
    }
}

/// A worker's grants over its own link, with the task that keeps the link good.
pub struct Worker {
    pub grants: Arc<RedisGrants>,
    pub link: Arc<Link>,
    admission: Arc<AdmitAll>,
    supervisor: JoinHandle<()>,
}

impl Worker {
    /// A link that need not come up.
    pub fn new(url: &RedisUrl, read_timeout: Duration) -> Self {
        let admission = Arc::new(AdmitAll::default());
        let (link, supervisor) = Link::new(url, Arc::clone(&admission) as _, read_timeout);
        let supervisor = runtime().spawn(supervisor);
        Self { grants: Arc::new(RedisGrants::new(Arc::clone(&link))), link, admission, supervisor }
    }

    /// A link that is up.
    pub async fn connect(url: &RedisUrl, read_timeout: Duration) -> Self {
        let worker = Self::new(url, read_timeout);
        eventually("the link comes up", RECOVERY, async || worker.link.check().ok()).await;
        worker
    }

    /// The witness found on each connection so far.
    pub fn found(&self) -> Vec<Option<Position>> {
        self.admission.found.lock().unwrap().clone()
    }

    /// From now on a store must have a witness at least here.
    pub fn forget_below(&self, floor: ChangeNumber) {
        self.admission.floor.store(floor.get(), Ordering::SeqCst);
    }

    /// Why the link stays down.
    pub async fn refusal(&self) -> StoreError {
        let not_yet = "not connected to Redis yet";
        eventually("the link is refused", RECOVERY, async || {
            self.link.check().err().filter(|error| error.0 != not_yet)
        })
        .await
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.supervisor.abort();
    }
}

/// Serves from whatever it finds, and remembers what that was.
#[derive(Default)]
struct AdmitAll {
    found: Mutex<Vec<Option<Position>>>,
    floor: AtomicU64,
}

#[async_trait]
impl Admission for AdmitAll {
    async fn admit(&self, witness: Option<Position>) -> Result<(), String> {
        self.found.lock().unwrap().push(witness);
        Ok(())
    }

    fn memory_floor(&self) -> ChangeNumber {
        ChangeNumber::new(self.floor.load(Ordering::SeqCst))
    }
}

/// A grant id that nobody has.
pub fn new_id() -> GrantId {
    GrantId::generate(&SystemEntropy).unwrap()
}

/// A record of these bytes: no store looks into one.
pub fn record(bytes: impl Into<Vec<u8>>) -> EncodedRecord {
    EncodedRecord::from_bytes(bytes.into())
}

/// An end that no case lives to see.
pub fn far() -> Timestamp {
    SystemClock.now() + Duration::from_secs(3600)
}
