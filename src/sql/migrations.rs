//! Migrations: which the database has, which this version knows, and running those it lacks.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use diesel::backend::Backend;
use diesel::migration::MigrationSource;
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use diesel_async::{AsyncConnection as _, AsyncPgConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{DatabaseUrl, SqlError, postgres, sqlite};

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const GRANTS: EmbeddedMigrations = embed_migrations!("migrations/grants");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// The advisory lock under which one replica migrates while others wait: "symbolon" in ASCII.
const LOCK: &str = "SELECT pg_advisory_lock(8320809903166844782)";

/// How often, and after which pause, a SQLite file that somebody else holds is tried again.
const LOCKED_ATTEMPTS: u32 = 100;
const LOCKED_PAUSE: Duration = Duration::from_millis(50);

/// How the database's schema compares with the one this version was built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaState {
    Current,
    /// So many migrations have not been run.
    Older {
        missing: usize,
    },
    /// So many migrations were run that this version does not know.
    Newer {
        unknown: usize,
    },
}

impl fmt::Display for SchemaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Current => f.write_str("the schema is current"),
            Self::Older { missing } => {
                write!(
                    f,
                    "the schema is older than this version by {missing} migration(s); run: symbolon migrate"
                )
            }
            Self::Newer { unknown } => {
                write!(
                    f,
                    "the schema is newer than this version by {unknown} migration(s); run a newer symbolon"
                )
            }
        }
    }
}

/// Compares the database's schema with this version's.
///
/// # Errors
/// When SQL cannot be reached.
pub async fn state(url: &DatabaseUrl) -> Result<SchemaState, SqlError> {
    with_harness(url, Work::Compare).await.map(|(state, _)| state)
}

/// Runs the migrations that the database lacks; returns how many there were. Safe to run from
/// several places at once.
///
/// # Errors
/// When SQL cannot be reached, a migration fails, or the schema is newer than this version.
pub async fn run(url: &DatabaseUrl) -> Result<usize, SqlError> {
    let (state, ran) = with_harness(url, Work::Run).await?;
    match state {
        SchemaState::Current => Ok(ran),
        other => Err(SqlError::Refused(other.to_string())),
    }
}

#[derive(Clone, Copy)]
enum Work {
    Compare,
    Run,
}

async fn with_harness(url: &DatabaseUrl, work: Work) -> Result<(SchemaState, usize), SqlError> {
    match url.clone() {
        DatabaseUrl::Sqlite(path) => with_file(path, sqlite::DURABLE, || SQLITE, work).await,
        DatabaseUrl::SqliteGrants(path) => with_file(path, sqlite::QUICK, || GRANTS, work).await,
        DatabaseUrl::Postgres(url) => {
            let conn = connect(&url).await?;
            // The wrapper blocks on the runtime, which only a blocking thread may do.
            blocking(move || {
                let mut conn = AsyncConnectionWrapper::<AsyncPgConnection>::from(conn);
                perform(&mut conn, || POSTGRES, work)
            })
            .await
        }
    }
}

async fn with_file(
    path: PathBuf,
    pragmas: &'static str,
    known: fn() -> EmbeddedMigrations,
    work: Work,
) -> Result<(SchemaState, usize), SqlError> {
    let mut attempts = 0;
    loop {
        let path = path.clone();
        let outcome = blocking(move || {
            let mut conn = sqlite::open(&path.to_string_lossy(), pragmas).map_err(SqlError::unavailable)?;
            // One migrates while others wait: they then find the work done.
            conn.immediate_transaction(|conn| perform(conn, known, work))
        });
        match outcome.await {
            // Making a fresh file a WAL one does not wait for others who do the same.
            Err(SqlError::Unavailable(why)) if why.contains("locked") && attempts < LOCKED_ATTEMPTS => {
                attempts += 1;
                tokio::time::sleep(LOCKED_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

async fn connect(url: &postgres::PostgresUrl) -> Result<AsyncPgConnection, SqlError> {
    use diesel_async::SimpleAsyncConnection as _;
    let mut conn = url.connect_patiently().await.map_err(SqlError::unavailable)?;
    conn.set_prepared_statement_cache_size(diesel::connection::CacheSize::Disabled);
    // Given back when this connection closes.
    conn.batch_execute(LOCK).await?;
    Ok(conn)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SqlError> + Send + 'static,
) -> Result<T, SqlError> {
    tokio::task::spawn_blocking(work).await.map_err(SqlError::unavailable)?
}

fn perform<DB, C>(
    conn: &mut C,
    known: fn() -> EmbeddedMigrations,
    work: Work,
) -> Result<(SchemaState, usize), SqlError>
where
    DB: Backend,
    C: MigrationHarness<DB>,
    EmbeddedMigrations: MigrationSource<DB>,
{
    let before = compare(conn, &known())?;
    match (work, before) {
        (Work::Run, SchemaState::Older { missing }) => {
            conn.run_pending_migrations(known()).map_err(SqlError::unavailable)?;
            Ok((compare(conn, &known())?, missing))
        }
        _ => Ok((before, 0)),
    }
}

fn compare<DB, C>(conn: &mut C, known: &EmbeddedMigrations) -> Result<SchemaState, SqlError>
where
    DB: Backend,
    C: MigrationHarness<DB>,
    EmbeddedMigrations: MigrationSource<DB>,
{
    let known = MigrationSource::<DB>::migrations(known).map_err(SqlError::unavailable)?;
    let applied = conn.applied_migrations().map_err(SqlError::unavailable)?;
    let unknown =
        applied.iter().filter(|version| known.iter().all(|m| m.name().version() != **version)).count();
    let missing =
        known.iter().filter(|m| applied.iter().all(|version| m.name().version() != *version)).count();
    Ok(match (unknown, missing) {
        (0, 0) => SchemaState::Current,
        (0, missing) => SchemaState::Older { missing },
        (unknown, _) => SchemaState::Newer { unknown },
    })
}
