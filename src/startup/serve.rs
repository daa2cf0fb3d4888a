//! Serving: from an opened configuration to a graceful end.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::admission::FeedAdmission;
use super::health::ReplicaHealth;
use super::limits;
use super::observed::ObservedGrants;
use super::people;
use super::quickstart::{self, Demo};
use super::replica::{ReplicaFeed, TaskWatch, wait_for_schema};
use super::sightings::{self, AllSightings};
use super::stores::{self, GrantBackend, Stores};
use super::warnings::warnings;
use crate::config::{Config, ConfigError};
use crate::directory::{ChangeFeed, GrantType, Users};
use crate::domain::token_key::TokenKeys;
use crate::grants::GrantStore;
use crate::grants::redis::{Connector, Link, RedisGrants};
use crate::http::pages::{self, Forms};
use crate::http::server::MakeWorker;
use crate::http::{Health, SharedState, WorkerState, server};
use crate::identity::Identity;
use crate::identity::login::Login;
use crate::oauth::{AuthorizationServer, Settings};
use crate::sql::SqlError;
use crate::sql::migrations::SchemaState;
use crate::telemetry::Metrics;

/// How long giving back the lease may take before it is left to be evicted.
const LEAVE_PATIENCE: Duration = Duration::from_secs(2);

/// How long the graceful stop takes at most, before the lease is given back.
const STOP_WITHIN: Duration = Duration::from_secs(12);

/// How long SQL work that hangs may hold up the end.
const SQL_PATIENCE: Duration = Duration::from_millis(500);

/// How long the whole stop takes at most: whoever stops the process must not kill it before.
pub const LONGEST_STOP: Duration = STOP_WITHIN.saturating_add(LEAVE_PATIENCE).saturating_add(SQL_PATIENCE);

/// Why the server did not start, or stopped.
#[derive(Debug)]
pub enum ServeError {
    Config(ConfigError),
    Sql(SqlError),
    Schema(SchemaState),
    Other(String),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Sql(error) => error.fmt(f),
            Self::Schema(state) => state.fmt(f),
            Self::Other(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for ServeError {}

impl From<ConfigError> for ServeError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<SqlError> for ServeError {
    fn from(error: SqlError) -> Self {
        Self::Sql(error)
    }
}

fn other(error: impl fmt::Display) -> ServeError {
    ServeError::Other(error.to_string())
}

/// What is told once when the server answers.
pub type Announce<'a> = Box<dyn FnOnce(&Config, Option<&Demo>) + 'a>;

/// What is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Serve,
    /// With somebody to try things with: clients, a resource server, a user.
    Quickstart,
}

impl Mode {
    /// How long requests under way may take when the server stops.
    fn finish_within(self, config: &Config) -> Duration {
        match self {
            Self::Serve => STOP_WITHIN.saturating_sub(config.drain_delay),
            Self::Quickstart => Duration::from_secs(1),
        }
    }
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// When something prevents the server from starting: one clear line.
pub fn run(config: Config, mode: Mode, announce: Announce<'_>) -> Result<(), ServeError> {
    limits::open_many_files();
    // SQL work has threads of its own: a slow disk must not hold up requests.
    let sql = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("sql")
        .enable_all()
        .build()
        .map_err(other)?;
    let served = actix_web::rt::System::new().block_on(serve(config, mode, &sql, announce));
    // A statement that hangs must not hold up the end.
    sql.shutdown_timeout(SQL_PATIENCE);
    served
}

/// Serves until SIGTERM or SIGINT. SQL work and the feed's tasks run on `sql`, requests on actix's
/// workers.
///
/// # Errors
/// When something prevents the server from starting: one clear line.
async fn serve(config: Config, mode: Mode, sql: &Runtime, announce: Announce<'_>) -> Result<(), ServeError> {
    let mut stop = StopSignals::new().map_err(other)?;
    if mode == Mode::Quickstart {
        quickstart::check(&config)?;
    }
    let stores = Stores::open(&config, sql.handle().clone())?;
    for warning in warnings(&config)? {
        log::warn!("{warning}");
    }
    let embedded = config.redis_url.is_none() || config.database_url.is_none();
    let lock = if embedded { Some(stores::lock_data_dir(&config.data_dir)?) } else { None };
    let keys = Arc::new(stores::token_keys(&config)?);
    stores.migrate_embedded().await?;
    let demo = match mode {
        Mode::Serve => None,
        Mode::Quickstart => Some(quickstart::prepare(&config, &stores).await?),
    };

    let metrics = Metrics::new(&GrantType::ALL.map(GrantType::as_str)).map_err(other)?;
    let replica = ReplicaFeed::new(&config, &stores, &keys);
    let (feed, admission) = (replica.feed.clone(), replica.admission());
    let (links, all_sightings) = (Arc::default(), AllSightings::default());
    let checks = ReplicaHealth {
        stores: stores.clone(),
        published: Arc::clone(&replica.published),
        status: replica.handle.status.clone(),
        links: Arc::clone(&links),
        metrics: metrics.clone(),
    };
    let health = Health::new(Arc::new(checks), Arc::clone(&stores.clock));
    let shared = SharedState::new(
        metrics,
        Arc::clone(&stores.clock),
        config.trusted_proxies.clone(),
        health,
        stores.entropy.as_ref(),
    );
    let shared = Arc::new(shared.map_err(other)?);
    let login = Arc::new(people::login(&config, &stores, &keys)?);
    let workers = Workers {
        stores: stores.clone(),
        feed,
        keys,
        login,
        demo: demo.as_ref().map(|demo| Arc::new(demo.page())),
        admission,
        links,
        sightings: Arc::clone(&all_sightings),
        shared: Arc::clone(&shared),
    };
    let tls = stores::tls(&config)?.map(|(tls, reload)| {
        tokio::spawn(reload);
        tls
    });
    let main = server::main(
        config.listen,
        config.workers,
        tls,
        mode.finish_within(&config),
        &config.issuer,
        workers.maker(&config)?,
    );
    let main = main.map_err(|error| cannot_listen("SYMBOLON_LISTEN", config.listen, &error))?;
    let management = server::management(config.management_listen, Arc::clone(&shared))
        .map_err(|error| cannot_listen("SYMBOLON_MANAGEMENT_LISTEN", config.management_listen, &error))?;
    let (main_handle, management_handle) = (main.handle(), management.handle());
    let (main, management) = (tokio::spawn(main), tokio::spawn(management));
    log::info!("listening on {}, management on {}", config.listen, config.management_listen);

    let state = tokio::select! {
        state = wait_for_schema(&stores) => Some(state),
        () = stop.received() => None,
    };
    let failed = match state {
        None => None,
        Some(Ok(SchemaState::Current)) => {
            // The lock is on the data directory: with the database elsewhere it proves nothing.
            let alone = config.database_url.is_none();
            let (watch, mut ended) = TaskWatch::new(sql.handle().clone());
            let handle = replica.start(&config, &stores, alone, &watch);
            sightings::start(all_sightings, &stores, &shared.metrics, &watch);
            let announce = || announce(&config, demo.as_ref());
            let died = tokio::select! {
                () = serve_until_stopped(&config, &shared, &mut stop, announce, &main_handle) => None,
                died = ended.recv() => died,
            };
            tokio::time::timeout(LEAVE_PATIENCE, handle.leave()).await.ok();
            died.map(|task| ServeError::Other(format!("{task} died, and nothing works without it")))
        }
        Some(Ok(state)) => Some(ServeError::Schema(state)),
        Some(Err(error)) => Some(error.into()),
    };
    main_handle.stop(false).await;
    management_handle.stop(false).await;
    main.await.map_err(other)?.map_err(other)?;
    management.await.map_err(other)?.map_err(other)?;
    drop(lock);
    failed.map_or(Ok(()), Err)
}

/// Serves until a signal, then ends gracefully: readiness fails first, requests are taken for the
/// drain delay, those under way finish.
async fn serve_until_stopped(
    config: &Config,
    shared: &SharedState,
    stop: &mut StopSignals,
    announce: impl FnOnce(),
    server: &actix_web::dev::ServerHandle,
) {
    let announced = shared.health.wait_until_ready();
    tokio::select! {
        () = announced => {
            announce();
            stop.received().await;
        }
        () = stop.received() => {}
    }
    log::info!("stopping: not ready any more, requests are taken for {:?} more", config.drain_delay);
    shared.health.stop();
    tokio::select! {
        () = tokio::time::sleep(config.drain_delay) => {}
        () = stop.received() => log::info!("stopping at once"),
    }
    tokio::select! {
        () = server.stop(true) => {}
        () = stop.received() => server.stop(false).await,
    }
    log::info!("every request is answered; giving the lease back");
}

fn cannot_listen(variable: &str, address: std::net::SocketAddr, error: &std::io::Error) -> ServeError {
    let hint = match error.kind() {
        std::io::ErrorKind::AddrInUse => "; something listens there already: choose another port",
        std::io::ErrorKind::AddrNotAvailable => "; it is no address of this machine",
        std::io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege: choose a higher one",
        _ => "",
    };
    ConfigError::new(variable, format!("is {address}: cannot listen: {error}{hint}")).into()
}

/// What each worker's state is made of.
struct Workers {
    stores: Stores,
    feed: ChangeFeed,
    keys: Arc<TokenKeys>,
    login: Arc<Login>,
    demo: Option<Arc<pages::Demo>>,
    admission: Arc<FeedAdmission>,
    links: Arc<Mutex<Vec<Weak<Link>>>>,
    sightings: AllSightings,
    shared: Arc<SharedState>,
}

impl Workers {
    /// Makes a worker's state on the worker's own thread: its connection to Redis lives there.
    fn maker(self, config: &Config) -> Result<MakeWorker, ServeError> {
        let settings = Settings {
            issuer: config.issuer.as_str().into(),
            access_token_ttl: config.access_token_ttl,
            refresh_token_ttl: config.refresh_token_ttl,
            refresh_token_idle_ttl: config.refresh_token_idle_ttl,
            revoke_wait: config.revoke_wait,
        };
        let store_timeout = config.store_timeout;
        // What could fail is tried here, so that it cannot fail there.
        if let GrantBackend::Redis { url, .. } = &self.stores.grants {
            Connector::new(url).map_err(other)?;
        }
        Ok(Arc::new(move || {
            // Its own for each worker: what workers share, their cores pass to and fro.
            let settings = Settings { issuer: settings.issuer.as_ref().into(), ..settings.clone() };
            let grants = self.grants(store_timeout);
            let users = Users::new(Arc::clone(&self.stores.users), self.stores.database.clone());
            let server = AuthorizationServer::new(
                self.feed.clone(),
                Arc::clone(&grants),
                Arc::clone(&self.keys),
                Arc::clone(&self.stores.entropy),
                users.clone(),
                sightings::add(&self.sightings),
                Arc::new(settings),
            );
            let (database, login) = (self.stores.database.clone(), Arc::clone(&self.login));
            let identity = Identity::new(self.feed.clone(), grants, users, database, login);
            let forms = Forms::new(Arc::clone(&self.keys), Arc::clone(&self.stores.entropy));
            let (demo, shared) = (self.demo.clone(), Arc::clone(&self.shared));
            WorkerState { server, identity, forms, demo, shared }
        }))
    }

    fn grants(&self, store_timeout: Duration) -> Arc<dyn GrantStore> {
        let (inner, is_prompt): (Arc<dyn GrantStore>, bool) = match &self.stores.grants {
            GrantBackend::Sqlite(grants) => (Arc::new(grants.clone()), false),
            GrantBackend::Redis { url, .. } => {
                let (link, supervisor) = Link::new(url, Arc::clone(&self.admission) as _, store_timeout);
                tokio::spawn(supervisor);
                self.links.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&link));
                (Arc::new(RedisGrants::new(link)), true)
            }
        };
        let clock = Arc::clone(&self.stores.clock);
        Arc::new(ObservedGrants::new(inner, &self.shared.metrics, clock, is_prompt))
    }
}

/// SIGTERM and SIGINT.
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Takes them from now on.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next one.
    pub async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
