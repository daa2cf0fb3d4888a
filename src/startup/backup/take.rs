//! Taking a backup, beside a server that serves.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::manifest::Manifest;
use super::{BackupError, DATABASE, FILES, GRANTS, files};
use crate::changes::History as _;
use crate::domain::calendar;
use crate::domain::position::{ChangeHash, Position};
use crate::grants::sqlite::SqliteGrants;
use crate::sql::{Database, DatabaseUrl};
use crate::startup::stores::{GrantBackend, Stores};

/// What the name of a copy begins with until nobody can serve from it. What is left of a backup that was killed has no
/// name under which anybody looks for an installation.
const UNFINISHED: &str = "unfinished-";

/// Copies the embedded stores into a directory that is not there yet.
///
/// # Errors
/// When it cannot be made or the stores cannot be copied; nothing is left of it then.
pub async fn take(stores: &Stores, directory: &Path) -> Result<Manifest, BackupError> {
    files::make_directory(directory)?;
    let taken = fill(stores, directory).await;
    if taken.is_err() {
        // It holds what we have put there, and nothing else.
        fs::remove_dir_all(directory).ok();
    }
    taken
}

async fn fill(stores: &Stores, directory: &Path) -> Result<Manifest, BackupError> {
    let taken_at = calendar::rfc3339(stores.clock.now());
    copy(stores, directory).await?;
    let change = forbid_serving(stores, directory).await?;
    files::sync_directory(directory)?;
    for name in FILES {
        files::rename(&unfinished(directory, name), &directory.join(name))?;
    }
    let manifest = Manifest::write(directory, taken_at, change)?;
    files::sync_directory(directory.parent().unwrap_or(directory))?;
    Ok(manifest)
}

fn unfinished(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{UNFINISHED}{name}"))
}

/// The grants first: the copy of the feed then knows every change that they have gone through, as
/// the feed beside a Redis that was restored to an older dump does.
async fn copy(stores: &Stores, directory: &Path) -> Result<(), BackupError> {
    let GrantBackend::Sqlite(grants) = &stores.grants else { return Ok(()) };
    for name in [GRANTS, DATABASE] {
        let path = unfinished(directory, name);
        // Made by us, so that nobody else may read it.
        drop(files::make_file(&path)?);
        match name {
            GRANTS => grants.copy_into(&path).await?,
            _ => stores.database.copy_into(&path).await?,
        }
    }
    Ok(())
}

/// Puts the copy's witness beyond its feed. Returns the last change of the copy.
async fn forbid_serving(stores: &Stores, directory: &Path) -> Result<u64, BackupError> {
    let open = |url| Database::new(&url, 1, stores.database.runtime().clone());
    let feed = open(DatabaseUrl::Sqlite(unfinished(directory, DATABASE)))?;
    let grants = open(DatabaseUrl::SqliteGrants(unfinished(directory, GRANTS)))?;
    let head = stores.feed_in(&feed).head().await?.position;
    let beyond = Position { number: head.number.next(), hash: ChangeHash::default(), ..head };
    let grants = SqliteGrants::new(grants, Arc::clone(&stores.clock));
    grants.reset_witness(beyond).await?;
    grants.settle().await?;
    feed.settle().await?;
    Ok(head.number.get())
}
