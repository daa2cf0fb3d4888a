//! Taking a backup, beside a server that serves.

use std::fs;
use std::path::Path;

use super::manifest::Manifest;
use super::{BackupError, DATABASE, GRANTS, close, files, open};
use crate::changes::History as _;
use crate::config::Config;
use crate::domain::calendar;
use crate::domain::position::{ChangeHash, Position};
use crate::startup::stores::{GrantBackend, Stores};

/// Copies the embedded stores into a directory that is not there yet.
///
/// # Errors
/// When it cannot be made or the stores cannot be copied; nothing is left of it then.
pub async fn take(stores: &Stores, config: &Config, directory: &Path) -> Result<Manifest, BackupError> {
    files::make_directory(directory)?;
    let taken = fill(stores, config, directory).await;
    if taken.is_err() {
        // It holds what we have put there, and nothing else.
        fs::remove_dir_all(directory).ok();
    }
    taken
}

async fn fill(stores: &Stores, config: &Config, directory: &Path) -> Result<Manifest, BackupError> {
    let taken_at = calendar::rfc3339(stores.clock.now());
    copy(stores, directory).await?;
    let change = forbid_serving(config, directory).await?;
    let manifest = Manifest::write(directory, taken_at, change)?;
    files::sync_directory(directory.parent().unwrap_or(directory))?;
    Ok(manifest)
}

/// The grants first: the copy of the feed then knows every change that they have gone through, as
/// the feed beside a Redis that was restored to an older dump does.
async fn copy(stores: &Stores, directory: &Path) -> Result<(), BackupError> {
    let GrantBackend::Sqlite(grants) = &stores.grants else { return Ok(()) };
    for name in [GRANTS, DATABASE] {
        let path = directory.join(name);
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
async fn forbid_serving(config: &Config, directory: &Path) -> Result<u64, BackupError> {
    let copies = open(config, directory)?;
    let head = copies.feed(None).head().await?.position;
    let beyond = Position { number: head.number.next(), hash: ChangeHash::default(), ..head };
    copies.reset_witness(beyond).await?;
    close(copies).await?;
    Ok(head.number.get())
}
