//! Opening the stores that the configuration names.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::runtime::Handle;

use super::backup;
use crate::admin::Admin;
use crate::changes::{Actor, Author, SqlFeed, WitnessMover};
use crate::config::{Config, ConfigError};
use crate::directory::{DirectoryProjection, UserCache};
use crate::domain::clock::{Clock, SystemClock};
use crate::domain::entropy::{Entropy, SystemEntropy};
use crate::domain::identifier::GrantId;
use crate::domain::position::Position;
use crate::domain::token_key::{self, TokenKeys};
use crate::grants::redis::{ControlPool, RedisUrl};
use crate::grants::sqlite::SqliteGrants;
use crate::grants::{EncodedRecord, GrantReader, StoreError, Witness};
use crate::sql::migrations::{self, SchemaState};
use crate::sql::{Database, DatabaseUrl, SqlError};
use crate::telemetry::logging;

/// How many connections a server keeps to SQL. Requests use none: these are for the lease, the
/// sequence, acknowledgements and health checks.
const SQL_CONNECTIONS: usize = 8;
/// The embedded grant store is on the path of every request.
const GRANT_CONNECTIONS: usize = 8;

/// How long comparing schemas may take; it waits for whoever is migrating.
const SCHEMA_PATIENCE: Duration = Duration::from_secs(15);

/// Where grants are kept.
#[derive(Clone)]
pub enum GrantBackend {
    Redis { url: RedisUrl, control: ControlPool },
    Sqlite(SqliteGrants),
}

/// The opened stores, and what goes with them.
#[derive(Clone)]
pub struct Stores {
    pub database: Database,
    pub grants: GrantBackend,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// What a replica remembers of users, kept exact by its feed.
    pub users: Arc<UserCache>,
    embedded_grants: Option<DatabaseUrl>,
}

impl Stores {
    /// Opens the stores; nothing is connected yet. SQL work will run on `runtime`.
    ///
    /// # Errors
    /// Which setting is wrong, why, and what would be right.
    pub fn open(config: &Config, runtime: Handle) -> Result<Self, ConfigError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        if config.redis_url.is_none() || config.database_url.is_none() {
            make_data_dir(&config.data_dir)?;
            backup::interrupted(&config.data_dir)?;
        }
        let url = database_url(config)?;
        if let DatabaseUrl::Sqlite(path) = &url {
            make_private(path)?;
        }
        let database = Database::new(&url, SQL_CONNECTIONS, runtime.clone())
            .map_err(|error| ConfigError::new("SYMBOLON_DATABASE_URL", error.to_string()))?;
        let (grants, embedded_grants) = if let Some(url) = redis_url(config)? {
            let control = ControlPool::new(&url);
            let control = control.map_err(|error| ConfigError::new("SYMBOLON_REDIS_URL", error.0))?;
            (GrantBackend::Redis { url, control }, None)
        } else {
            let url = DatabaseUrl::SqliteGrants(config.data_dir.join("grants.sqlite3"));
            make_private(&config.data_dir.join("grants.sqlite3"))?;
            let database = Database::new(&url, GRANT_CONNECTIONS, runtime)
                .map_err(|error| ConfigError::new("SYMBOLON_DATA_DIR", error.to_string()))?;
            (GrantBackend::Sqlite(SqliteGrants::new(database, Arc::clone(&clock))), Some(url))
        };
        let (entropy, users) = (Arc::new(SystemEntropy), Arc::default());
        Ok(Self { database, grants, clock, entropy, users, embedded_grants })
    }

    /// Where the embedded database is, if it is embedded and has been made.
    pub fn embedded_database_exists(config: &Config) -> Result<(), String> {
        let path = config.data_dir.join("symbolon.sqlite3");
        if config.database_url.is_some() || path.exists() {
            return Ok(());
        }
        Err(format!("there is no database at {}; give the server's SYMBOLON_DATA_DIR", path.display()))
    }

    /// Migrates the stores that live in the data directory: they belong to this process alone.
    /// Returns how many migrations they lacked.
    ///
    /// # Errors
    /// When SQL fails, or a schema is newer than this version.
    pub async fn migrate_embedded(&self) -> Result<usize, SqlError> {
        let mut ran = 0;
        if let DatabaseUrl::Sqlite(_) = self.database.url() {
            ran += migrations::run(self.database.url()).await?;
        }
        if let Some(url) = &self.embedded_grants {
            ran += migrations::run(url).await?;
        }
        Ok(ran)
    }

    /// How the database's schema compares with this version's.
    ///
    /// # Errors
    /// When SQL cannot be reached.
    pub async fn schema_state(&self) -> Result<SchemaState, SqlError> {
        let state = tokio::time::timeout(SCHEMA_PATIENCE, migrations::state(self.database.url())).await;
        state.unwrap_or_else(|_| Err(SqlError::unavailable("it does not answer in time")))
    }

    /// The change feed, for a replica that answers for tokens (with its keys) or for the command
    /// line (without).
    pub fn feed(&self, keys: Option<Arc<TokenKeys>>) -> SqlFeed<DirectoryProjection> {
        let projection = DirectoryProjection::new(Arc::clone(&self.users));
        SqlFeed::new(self.database.clone(), projection, Arc::clone(&self.clock), keys)
    }

    /// The change feed in a copy of the database.
    pub fn feed_in(&self, copy: &Database) -> SqlFeed<DirectoryProjection> {
        SqlFeed::new(copy.clone(), DirectoryProjection::new(Arc::default()), Arc::clone(&self.clock), None)
    }

    /// The grant store's witness.
    pub fn witness(&self) -> Arc<dyn Witness> {
        match &self.grants {
            GrantBackend::Redis { control, .. } => Arc::new(control.clone()),
            GrantBackend::Sqlite(grants) => Arc::new(grants.clone()),
        }
    }

    /// Puts the witness where `recover` wants it.
    ///
    /// # Errors
    /// When the grant store did not confirm.
    pub async fn reset_witness(&self, position: Position) -> Result<(), StoreError> {
        match &self.grants {
            GrantBackend::Redis { control, .. } => control.reset_witness(position).await,
            GrantBackend::Sqlite(grants) => grants.reset_witness(position).await,
        }
    }

    /// The grant store, for the command line.
    pub fn reader(&self) -> Arc<dyn GrantReader> {
        match &self.grants {
            GrantBackend::Redis { control, .. } => Arc::new(control.clone()),
            GrantBackend::Sqlite(grants) => Arc::new(grants.clone()),
        }
    }

    /// What the grant store has under an id, for the command line.
    ///
    /// # Errors
    /// When the grant store cannot be asked.
    pub async fn load_grant(&self, id: GrantId) -> Result<Option<EncodedRecord>, StoreError> {
        self.reader().read(id).await
    }

    /// The same of many, in the order of `ids`.
    ///
    /// # Errors
    /// When the grant store cannot be asked.
    pub async fn load_grants(&self, ids: &[GrantId]) -> Result<Vec<Option<EncodedRecord>>, StoreError> {
        self.reader().read_many(ids).await
    }

    /// The hands of an admin at a command line.
    pub fn admin(&self) -> Admin {
        let feed = self.feed(None);
        let mover = WitnessMover::new(self.witness(), Arc::new(feed.clone()));
        let (clock, entropy) = (Arc::clone(&self.clock), Arc::clone(&self.entropy));
        Admin::new(self.database.clone(), feed, clock, entropy, mover, operator())
    }
}

/// Whoever runs this command, as the operating system knows them.
fn operator() -> Author {
    let (machine, user) = (rustix::system::uname(), rustix::process::getuid());
    Actor::command_line().on_machine(&machine.nodename().to_string_lossy(), user.as_raw())
}

pub(super) fn database_url(config: &Config) -> Result<DatabaseUrl, ConfigError> {
    let Some(url) = &config.database_url else {
        return Ok(DatabaseUrl::Sqlite(config.data_dir.join("symbolon.sqlite3")));
    };
    DatabaseUrl::parse(url.expose(), config.database_ca.clone())
        .map_err(|why| ConfigError::new("SYMBOLON_DATABASE_URL", why))
}

pub(super) fn redis_url(config: &Config) -> Result<Option<RedisUrl>, ConfigError> {
    let Some(url) = &config.redis_url else { return Ok(None) };
    RedisUrl::parse(url.expose(), config.redis_ca.as_deref())
        .map(Some)
        .map_err(|why| ConfigError::new("SYMBOLON_REDIS_URL", why))
}

pub(super) fn make_data_dir(path: &Path) -> Result<(), ConfigError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| {
        ConfigError::new("SYMBOLON_DATA_DIR", format!("is {}, which cannot be made: {error}", path.display()))
    })
}

/// Makes a file that only its owner may read, if it is not there yet; SQLite's files beside it are
/// made like it.
fn make_private(path: &Path) -> Result<(), ConfigError> {
    let made = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    made.map(drop).map_err(|error| {
        ConfigError::new(
            "SYMBOLON_DATA_DIR",
            format!("holds {}, which cannot be written: {error}", path.display()),
        )
    })
}

/// Held by the one process that serves from a data directory.
#[derive(Debug)]
pub struct DataDirLock {
    _file: File,
}

/// Takes the data directory for this process.
///
/// # Errors
/// When another process serves from it.
pub fn lock_data_dir(path: &Path) -> Result<DataDirLock, ConfigError> {
    let error = |why: String| ConfigError::new("SYMBOLON_DATA_DIR", why);
    let lock = path.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&lock);
    let file = file.map_err(|e| error(format!("cannot be locked: {}: {e}", lock.display())))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|cause| match cause {
        Errno::WOULDBLOCK => error(format!(
            "is {}, from which another symbolon serves already; stop that one first",
            path.display()
        )),
        cause => error(format!("cannot be locked: {}: {cause}", lock.display())),
    })?;
    Ok(DataDirLock { _file: file })
}

/// The TLS configuration of the main listener, and the task that keeps its certificate up to date.
///
/// # Errors
/// When the files cannot be used: which, and why.
pub fn tls(
    config: &Config,
) -> Result<Option<(rustls::ServerConfig, impl Future<Output = ()> + Send + use<>)>, ConfigError> {
    let configured = config.tls.clone().map(crate::http::tls::configure).transpose();
    configured.map_err(|why| ConfigError::new("SYMBOLON_TLS_CERT", format!("cannot be used: {why}")))
}

/// Checks what can be checked of a configuration without connecting to anything or making anything.
///
/// # Errors
/// Which setting is wrong, why, and what would be right.
pub fn check(config: &Config) -> Result<(), ConfigError> {
    if config.token_key.is_some() {
        token_keys(config)?;
    }
    logging::check(&config.log).map_err(|why| ConfigError::new("SYMBOLON_LOG", why))?;
    database_url(config)?;
    redis_url(config)?;
    tls(config).map(drop)
}

/// The token keys: the configured ones or, for the embedded default, one kept in the data
/// directory.
///
/// # Errors
/// Which setting is wrong, and why.
pub fn token_keys(config: &Config) -> Result<TokenKeys, ConfigError> {
    if let Some(keys) = &config.token_key {
        return TokenKeys::parse(keys.expose()).map_err(|error| {
            ConfigError::new("SYMBOLON_TOKEN_KEY", format!("is not a list of keys: {error}"))
        });
    }
    let path = config.data_dir.join("token.key");
    let error = |why: String| ConfigError::new("SYMBOLON_DATA_DIR", format!("{}: {why}", path.display()));
    if let Err(cause) = make_key_file(&path) {
        return Err(error(format!("the token key cannot be made: {cause}")));
    }
    let mut text = zeroize::Zeroizing::new(String::new());
    File::open(&path)
        .and_then(|mut file| file.read_to_string(&mut text))
        .map_err(|cause| error(format!("the token key cannot be read: {cause}")))?;
    TokenKeys::parse(&text).map_err(|cause| error(cause.to_string()))
}

/// The same for the command line, which makes no key: `None` where no server has made one yet.
///
/// # Errors
/// Which setting is wrong, and why.
pub fn existing_token_keys(config: &Config) -> Result<Option<TokenKeys>, ConfigError> {
    match config.token_key.is_some() || config.data_dir.join("token.key").exists() {
        true => token_keys(config).map(Some),
        false => Ok(None),
    }
}

/// Writes a new key beside the final name and links it there: never half a key, never over another.
fn make_key_file(path: &Path) -> std::io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let key = token_key::generate(&SystemEntropy).map_err(std::io::Error::other)?;
    let draft = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&draft)?;
    file.write_all(key.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft)?;
    if let Some(directory) = path.parent() {
        // Its fingerprint will be durable in SQL: so must the key be.
        File::open(directory)?.sync_all()?;
    }
    match linked {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    }
}
