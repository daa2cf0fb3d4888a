//! The embedded database: a file, opened with the settings that make its promises hold.

use std::path::Path;
use std::time::Duration;

use diesel::sqlite::SqliteConnection;
use diesel_async::pooled_connection::deadpool::{BuildError, Pool};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use futures_util::FutureExt as _;

use super::{SqlError, SqliteConn, WAIT_FOR_CONNECTION};

/// WAL lets readers and the one writer work side by side. `synchronous=FULL` makes a commit
/// durable before it returns: with NORMAL a power failure could take back an acknowledged
/// revocation.
pub(super) const DURABLE: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; \
                                  PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;";
/// The same, but commits wait for no disk.
pub(super) const QUICK: &str = "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; \
                                PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;";

pub(super) fn pool(
    path: &Path,
    pragmas: &'static str,
    connections: usize,
) -> Result<Pool<SqliteConn>, BuildError> {
    let mut config = ManagerConfig::default();
    config.recycling_method = RecyclingMethod::Fast;
    config.custom_setup = Box::new(move |path| {
        let path = path.to_owned();
        async move {
            let open = tokio::task::spawn_blocking(move || open(&path, pragmas));
            let conn = open.await.map_err(|e| diesel::ConnectionError::BadConnection(e.to_string()))??;
            Ok(SyncConnectionWrapper::new(conn))
        }
        .boxed()
    });
    let manager = AsyncDieselConnectionManager::new_with_config(path.to_string_lossy().into_owned(), config);
    Pool::builder(manager)
        .max_size(connections)
        .runtime(deadpool::Runtime::Tokio1)
        .wait_timeout(Some(WAIT_FOR_CONNECTION))
        .create_timeout(Some(Duration::from_secs(5)))
        .build()
}

/// Opens the file, making it when it is missing.
pub(super) fn open(path: &str, pragmas: &str) -> diesel::ConnectionResult<SqliteConnection> {
    use diesel::connection::{Connection as _, SimpleConnection as _};
    let mut conn = SqliteConnection::establish(path)?;
    conn.batch_execute(pragmas).map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
    Ok(conn)
}

/// Writes what one moment's reader sees of the file into `to`, an empty file, while others go on
/// writing. A file that is not there is not made.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), SqlError> {
    use diesel::RunQueryDsl as _;
    let to = to.to_str().ok_or_else(|| SqlError::unavailable("the copy's path is not UTF-8"))?;
    if !from.exists() {
        return Err(SqlError::unavailable(format!("there is no file {}", from.display())));
    }
    let mut conn = open(&from.to_string_lossy(), DURABLE).map_err(SqlError::unavailable)?;
    let copied = diesel::sql_query("VACUUM INTO ?").bind::<diesel::sql_types::Text, _>(to).execute(&mut conn);
    copied.map(drop).map_err(SqlError::unavailable)
}

/// Puts all of a database that nobody has open into its one file, durably: no file beside it holds a
/// part of it afterwards.
pub(super) fn settle(path: &Path) -> Result<(), SqlError> {
    let conn = open(&path.to_string_lossy(), "PRAGMA journal_mode = DELETE");
    drop(conn.map_err(SqlError::unavailable)?);
    let log = path.with_extension("sqlite3-wal");
    if log.exists() {
        return Err(SqlError::unavailable(format!("{} is still in use", path.display())));
    }
    std::fs::File::open(path).and_then(|file| file.sync_all()).map_err(SqlError::unavailable)
}
