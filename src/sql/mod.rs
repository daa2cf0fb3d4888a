//! SQL: connections, transactions, schema and migrations, on SQLite and PostgreSQL.
//!
//! Queries are written once and run on either backend: [`on!`] expands the body for both
//! connection types. Every unit of work runs on a runtime of its own, as a task that nobody
//! cancels: a caller that goes away leaves a whole transaction behind, never half of one.

mod error;
pub mod migrations;
mod postgres;
pub mod schema;
mod sqlite;

use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::sqlite::SqliteConnection;
use diesel_async::pooled_connection::deadpool::{Object, Pool};
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

pub use self::error::SqlError;
pub use self::postgres::{Notifications, PostgresUrl};

/// A SQLite connection whose calls run on the blocking threads of the runtime.
pub type SqliteConn = SyncConnectionWrapper<SqliteConnection>;

/// How long a unit of work waits for a free connection before SQL counts as unavailable.
const WAIT_FOR_CONNECTION: Duration = Duration::from_secs(1);

/// How long a unit of work may take in PostgreSQL, whose own limits hold only while it runs.
const WRITE_LIMIT: Duration = Duration::from_secs(8);
const READ_LIMIT: Duration = Duration::from_secs(3);
const LOAD_LIMIT: Duration = Duration::from_secs(300);

/// SQLite's writers wait without an order: the next may be anybody who tries within this.
const BETWEEN_BATCHES: Duration = Duration::from_millis(20);

/// Loading reads only, so nobody waits for it: it may take longer than a writer.
const LOAD_PATIENCE: &str =
    "SET LOCAL statement_timeout = '300s'; SET LOCAL idle_in_transaction_session_timeout = '300s'";

/// Where the database is.
#[derive(Clone, Debug)]
pub enum DatabaseUrl {
    /// A SQLite file with the directory and the change feed.
    Sqlite(PathBuf),
    /// The embedded grant store: a SQLite file whose commits survive the process, and a power
    /// failure up to the last checkpoint. Losing a grant makes its tokens inactive, nothing else.
    SqliteGrants(PathBuf),
    Postgres(Box<PostgresUrl>),
}

impl DatabaseUrl {
    /// Reads `sqlite:PATH` or `postgres://user:password@host:port/database`.
    ///
    /// # Errors
    /// What is wrong and what would be right; never shows the text itself, which may hold a
    /// password.
    pub fn parse(text: &str, ca: Option<PathBuf>) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() {
                return Err("names no file; write sqlite:PATH".to_owned());
            }
            return Ok(Self::Sqlite(path.into()));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return PostgresUrl::parse(text, ca).map(|url| Self::Postgres(Box::new(url)));
        }
        Err("is neither postgres://user:password@host:port/database nor sqlite:PATH".to_owned())
    }
}

/// One pooled connection of either backend.
pub enum Connection {
    Sqlite(Box<Object<SqliteConn>>),
    Postgres(Box<Object<AsyncPgConnection>>),
}

/// Runs a query on whichever backend `$conn` is: `on!(conn, c => query.execute(c).await)`.
macro_rules! on {
    ($conn:expr, $c:ident => $body:expr) => {
        match $conn {
            $crate::sql::Connection::Sqlite($c) => $body,
            $crate::sql::Connection::Postgres($c) => $body,
        }
    };
}
pub(crate) use on;

impl Connection {
    /// Runs statements that both backends understand, without parameters.
    ///
    /// # Errors
    /// When SQL fails.
    pub async fn batch(&mut self, statements: &str) -> Result<(), SqlError> {
        Ok(on!(self, c => c.batch_execute(statements).await)?)
    }
}

/// What a transaction sees and holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Isolation {
    /// One snapshot, read only.
    ReadSnapshot,
    /// The same, for reading everything there is.
    LoadSnapshot,
    /// One snapshot, and writes.
    WriteSnapshot,
    /// Each statement sees what has committed; writers wait for each other's locks.
    Write,
}

/// A database and the runtime its work runs on. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    pool: DatabasePool,
    runtime: Handle,
    url: DatabaseUrl,
}

#[derive(Clone)]
enum DatabasePool {
    Sqlite(Pool<SqliteConn>),
    Postgres(Pool<AsyncPgConnection>),
}

/// A unit of work: a closure over one connection, inside one transaction.
pub type Unit<T> = Box<dyn for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<T, SqlError>> + Send>;

impl Database {
    /// Prepares a pool of at most `connections`; nothing is connected yet.
    ///
    /// # Errors
    /// When the TLS configuration cannot be made.
    pub fn new(url: &DatabaseUrl, connections: usize, runtime: Handle) -> Result<Self, SqlError> {
        let pool = match url {
            DatabaseUrl::Sqlite(path) => {
                let pool = sqlite::pool(path, sqlite::DURABLE, connections);
                DatabasePool::Sqlite(pool.map_err(SqlError::unavailable)?)
            }
            DatabaseUrl::SqliteGrants(path) => {
                let pool = sqlite::pool(path, sqlite::QUICK, connections);
                DatabasePool::Sqlite(pool.map_err(SqlError::unavailable)?)
            }
            DatabaseUrl::Postgres(url) => {
                DatabasePool::Postgres(postgres::pool(url, connections).map_err(SqlError::unavailable)?)
            }
        };
        Ok(Self { pool, runtime, url: url.clone() })
    }

    pub const fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    pub const fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Reads in one snapshot of the database.
    ///
    /// # Errors
    /// When SQL cannot be reached or the unit fails.
    pub async fn read<T, F>(&self, unit: F) -> Result<T, SqlError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<T, SqlError>> + Send + 'static,
    {
        self.transact(Isolation::ReadSnapshot, Box::new(unit)).await
    }

    /// Reads in one snapshot of the database, and may take minutes for it.
    ///
    /// # Errors
    /// When SQL cannot be reached or the unit fails.
    pub async fn read_everything<T, F>(&self, unit: F) -> Result<T, SqlError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<T, SqlError>> + Send + 'static,
    {
        self.transact(Isolation::LoadSnapshot, Box::new(unit)).await
    }

    /// Reads and writes in one snapshot of the database; a row that another transaction has
    /// changed since fails the unit.
    ///
    /// # Errors
    /// When SQL cannot be reached or the unit fails.
    pub async fn write_snapshot<T, F>(&self, unit: F) -> Result<T, SqlError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<T, SqlError>> + Send + 'static,
    {
        self.transact(Isolation::WriteSnapshot, Box::new(unit)).await
    }

    /// Writes; returns once the commit is durable.
    ///
    /// # Errors
    /// When SQL cannot be reached or the unit fails, with nothing written;
    /// [`SqlError::Uncertain`] when the commit's outcome is not known.
    pub async fn write<T, F>(&self, unit: F) -> Result<T, SqlError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Connection) -> BoxFuture<'c, Result<T, SqlError>> + Send + 'static,
    {
        self.transact(Isolation::Write, Box::new(unit)).await
    }

    /// The pause between two batches of work for which nobody waits: whoever waits for the writer has a turn before the
    /// next.
    pub async fn give_way(&self) {
        tokio::time::sleep(BETWEEN_BATCHES).await;
    }

    /// The server's wall clock in Unix milliseconds; `None` for SQLite, which has none of its own.
    /// Proves that SQL can be asked.
    ///
    /// # Errors
    /// When it cannot.
    pub async fn wall_clock(&self) -> Result<Option<i64>, SqlError> {
        use diesel::sql_types::BigInt;
        use diesel_async::RunQueryDsl;
        self.read(|conn| {
            Box::pin(async move {
                match conn {
                    Connection::Sqlite(c) => {
                        let one = diesel::dsl::sql::<BigInt>("SELECT 1");
                        Ok(one.get_result::<i64>(c).await.map(|_| None)?)
                    }
                    Connection::Postgres(c) => {
                        let now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
                        Ok(diesel::dsl::sql::<BigInt>(now).get_result::<i64>(c).await.map(Some)?)
                    }
                }
            })
        })
        .await
    }

    /// The wall clock by which retention goes, in Unix seconds: what is still needed by either the
    /// server's clock or `own` is kept, so that no replica whose clock is wrong can forget for all.
    /// SQLite has no clock of its own.
    ///
    /// # Errors
    /// When SQL fails.
    pub async fn now(conn: &mut Connection, own: i64) -> Result<i64, SqlError> {
        Ok(server_now(conn).await?.map_or(own, |server| server.min(own)))
    }

    /// The wall clock by which a lifetime that begins now is dated, in Unix seconds: the later of
    /// the server's and `own`, so that nobody whose clock is behind dates an end too early.
    ///
    /// # Errors
    /// When SQL fails.
    pub async fn latest_now(conn: &mut Connection, own: i64) -> Result<i64, SqlError> {
        Ok(server_now(conn).await?.map_or(own, |server| server.max(own)))
    }

    /// Writes what one moment's reader sees of a SQLite file into `to`, an empty file, while others go
    /// on writing.
    ///
    /// # Errors
    /// When either file fails, or the database is no file.
    pub async fn copy_into(&self, to: &Path) -> Result<(), SqlError> {
        let (DatabaseUrl::Sqlite(from) | DatabaseUrl::SqliteGrants(from)) = self.url.clone() else {
            return Err(SqlError::Refused("a PostgreSQL database is no file; use pg_dump".to_owned()));
        };
        let to = to.to_owned();
        let copied = self.runtime.spawn_blocking(move || sqlite::copy(&from, &to));
        copied.await.map_err(SqlError::unavailable)?
    }

    /// Closes a SQLite file that nobody else has open, and puts all of it into that one file.
    ///
    /// # Errors
    /// When somebody has it open, or the file fails.
    pub async fn settle(self) -> Result<(), SqlError> {
        let Self { pool, runtime, url } = self;
        drop(pool);
        let (DatabaseUrl::Sqlite(path) | DatabaseUrl::SqliteGrants(path)) = url else { return Ok(()) };
        runtime.spawn_blocking(move || sqlite::settle(&path)).await.map_err(SqlError::unavailable)?
    }

    async fn transact<T: Send + 'static>(&self, isolation: Isolation, unit: Unit<T>) -> Result<T, SqlError> {
        let pool = self.pool.clone();
        let task = self.runtime.spawn(async move {
            let conn = match &pool {
                DatabasePool::Sqlite(pool) => {
                    Connection::Sqlite(Box::new(pool.get().await.map_err(SqlError::unavailable)?))
                }
                DatabasePool::Postgres(pool) => {
                    Connection::Postgres(Box::new(pool.get().await.map_err(SqlError::unavailable)?))
                }
            };
            let lent = Lent { conn: Some(conn), in_transaction: false };
            match &pool {
                // A file answers, and its units must not be dropped halfway.
                DatabasePool::Sqlite(_) => lent.transaction(isolation, unit).await,
                DatabasePool::Postgres(_) => {
                    let limit = match isolation {
                        Isolation::ReadSnapshot => READ_LIMIT,
                        Isolation::LoadSnapshot => LOAD_LIMIT,
                        Isolation::WriteSnapshot | Isolation::Write => WRITE_LIMIT,
                    };
                    let outcome = tokio::time::timeout(limit, lent.transaction(isolation, unit)).await;
                    outcome
                        .unwrap_or_else(|_| Err(SqlError::Uncertain("it does not answer in time".to_owned())))
                }
            }
        });
        // A panic inside the unit has rolled back with its connection.
        task.await.map_err(SqlError::unavailable)?
    }
}

/// The server's wall clock in Unix seconds; `None` for SQLite, which has none of its own.
async fn server_now(conn: &mut Connection) -> Result<Option<i64>, SqlError> {
    use diesel::sql_types::BigInt;
    use diesel_async::RunQueryDsl;
    match conn {
        Connection::Sqlite(_) => Ok(None),
        Connection::Postgres(c) => {
            let now = diesel::dsl::sql::<BigInt>("SELECT extract(epoch FROM now())::bigint");
            Ok(Some(now.get_result::<i64>(c).await?))
        }
    }
}

/// A connection of the pool. It goes back only between transactions: one whose transaction may be
/// open (the unit panicked, or could not be rolled back) is closed instead, which rolls back.
struct Lent {
    conn: Option<Connection>,
    in_transaction: bool,
}

impl Drop for Lent {
    fn drop(&mut self) {
        if self.in_transaction
            && let Some(conn) = self.conn.take()
        {
            match conn {
                Connection::Sqlite(conn) => drop(Object::take(*conn)),
                Connection::Postgres(conn) => drop(Object::take(*conn)),
            }
        }
    }
}

impl Lent {
    async fn transaction<T>(mut self, isolation: Isolation, unit: Unit<T>) -> Result<T, SqlError> {
        let Self { conn: Some(conn), in_transaction } = &mut self else {
            return Err(SqlError::unavailable("no connection"));
        };
        *in_transaction = true;
        let (outcome, is_over) = transaction(conn, isolation, unit).await;
        *in_transaction = !is_over;
        outcome
    }
}

/// Runs the unit; whether the transaction is known to be over comes along.
async fn transaction<T>(
    conn: &mut Connection,
    isolation: Isolation,
    unit: Unit<T>,
) -> (Result<T, SqlError>, bool) {
    let begin = match (isolation, &*conn) {
        (Isolation::ReadSnapshot | Isolation::LoadSnapshot, Connection::Sqlite(_)) => "BEGIN DEFERRED",
        (_, Connection::Sqlite(_)) => "BEGIN IMMEDIATE",
        (Isolation::ReadSnapshot | Isolation::LoadSnapshot, Connection::Postgres(_)) => {
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        }
        // What the promises rest on is said again here: a pooler between may have dropped what was
        // said when the connection was made.
        (Isolation::WriteSnapshot, Connection::Postgres(_)) => concat!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL synchronous_commit = on; ",
            "SET LOCAL idle_in_transaction_session_timeout = '1s'"
        ),
        (Isolation::Write, Connection::Postgres(_)) => concat!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = on; ",
            "SET LOCAL idle_in_transaction_session_timeout = '1s'"
        ),
    };
    if let Err(error) = conn.batch(begin).await {
        return (Err(error), false);
    }
    if let (Isolation::LoadSnapshot, Connection::Postgres(_)) = (isolation, &*conn)
        && let Err(error) = conn.batch(LOAD_PATIENCE).await
    {
        return (Err(error), false);
    }
    match unit(conn).await {
        Ok(value) => match conn.batch("COMMIT").await {
            Ok(()) => (Ok(value), true),
            Err(error) => (Err(SqlError::Uncertain(error.to_string())), abandon(conn).await),
        },
        Err(error) => (Err(error), abandon(conn).await),
    }
}

/// Rolls back; whether that worked.
async fn abandon(conn: &mut Connection) -> bool {
    let rolled_back = conn.batch("ROLLBACK").await;
    if let Err(error) = &rolled_back {
        log::debug!("rollback failed: {error}");
    }
    rolled_back.is_ok()
}
