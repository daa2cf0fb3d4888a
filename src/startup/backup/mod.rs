//! Backups of the embedded default: two files of SQLite, and a manifest that says what they are.
//!
//! - [`take()`] copies the files of a data directory, from which a server may go on serving.
//! - [`restore()`] puts them into a data directory from which nobody serves.
//!
//! A data directory carries nothing that could show what was acknowledged after the backup. So after
//! a restore everything that was issued before is dead, as [`recover`](crate::changes::recover) makes
//! it; and lest somebody serve from the copies without that, the witness in a backup stands beyond
//! the end of its own feed, as it does when a database has lost commits: a server that finds them
//! says what to do, and answers for nothing. Until it stands there the copies have names that no
//! server looks for, so nobody serves from a backup that was cut short either.

mod files;
mod manifest;
mod restore;
mod take;

use std::fmt;
use std::path::Path;

pub use self::manifest::Manifest;
pub use self::restore::{Restored, interrupted, rehearse, restore};
pub use self::take::take;
use super::stores::{GrantBackend, Stores};
use crate::config::{Config, ConfigError};
use crate::sql::SqlError;

/// The directory with its change feed, and the grants.
const DATABASE: &str = "symbolon.sqlite3";
const GRANTS: &str = "grants.sqlite3";
/// What a backup holds beside its manifest.
const FILES: [&str; 2] = [DATABASE, GRANTS];

/// Why there is no backup, or nothing was restored.
#[derive(Debug)]
pub enum BackupError {
    /// What is configured has no such backups.
    Config(ConfigError),
    Failed(String),
}

impl BackupError {
    fn io(what: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::Failed(format!("{what} {}: {error}", path.display()))
    }
}

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for BackupError {}

impl From<ConfigError> for BackupError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

macro_rules! failed {
    ($($error:ty),*) => {
        $(impl From<$error> for BackupError {
            fn from(error: $error) -> Self {
                Self::Failed(error.to_string())
            }
        })*
    };
}

failed!(SqlError, crate::changes::FeedError, crate::grants::StoreError, crate::admin::AdminError);

/// Refuses what is not the embedded default.
///
/// # Errors
/// Which setting names a store of its own, and what to read.
pub fn check_embedded(config: &Config) -> Result<(), ConfigError> {
    let elsewhere = [
        ("SYMBOLON_DATABASE_URL", config.database_url.is_some()),
        ("SYMBOLON_REDIS_URL", config.redis_url.is_some()),
    ];
    let named = elsewhere.into_iter().find_map(|(setting, is_set)| is_set.then_some(setting));
    named.map_or(Ok(()), |setting| {
        Err(ConfigError::new(
            setting,
            "names a store that is backed up with its own tools; docs/BACKUP.md says how, and in which order",
        ))
    })
}

/// The stores of a data directory as this command alone uses them.
fn open(config: &Config, data_dir: &Path) -> Result<Stores, BackupError> {
    let config = Config { data_dir: data_dir.to_owned(), ..config.clone() };
    Ok(Stores::open(&config, tokio::runtime::Handle::current())?)
}

/// Closes the stores of a data directory that nobody else has open: each is one file afterwards.
async fn close(stores: Stores) -> Result<(), BackupError> {
    let Stores { database, grants, .. } = stores;
    if let GrantBackend::Sqlite(grants) = grants {
        grants.settle().await?;
    }
    Ok(database.settle().await?)
}
