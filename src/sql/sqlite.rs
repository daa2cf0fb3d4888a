//! The embedded database: a file, opened with the settings that make its promises hold.

use std::path::Path;
use std::time::Duration;

use diesel::sqlite::SqliteConnection;
use diesel_async::pooled_connection::deadpool::{BuildError, Pool};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use futures_util::FutureExt as _;

use super::{SqliteConn, WAIT_FOR_CONNECTION};

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
