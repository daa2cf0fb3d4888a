//! Restoring a backup into a data directory from which nobody serves.
//!
//! Everything is made ready in a directory beside the files that it replaces: checked, brought to
//! this version's schema, and recovered. Then names are changed, and until all are, a mark keeps
//! everybody from the data directory. Killed at any moment, what is there is what was there before,
//! or the mark, or what was restored.

use std::fs;
use std::path::{Path, PathBuf};

use super::manifest::Manifest;
use super::{BackupError, FILES, check_embedded, close, files, open};
use crate::admin::Reason;
use crate::config::{Config, ConfigError};
use crate::domain::calendar;
use crate::domain::clock::{Clock as _, SystemClock, Timestamp};
use crate::startup::stores::{lock_data_dir, make_data_dir};

/// Where a restore is made ready. What is left of one that was killed is in nobody's way.
const DRAFT: &str = "restore-draft";
/// The mark: as long as it is there, something may be missing.
const UNDER_WAY: &str = "restore-under-way";
/// What SQLite keeps beside a database.
const BESIDE: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// What was restored.
#[derive(Debug)]
pub struct Restored {
    /// The change that made an end of everything before.
    pub change: u64,
    /// Where the files are that were there before.
    pub set_aside: Option<PathBuf>,
}

/// Refuses a data directory in which a restore was cut short.
///
/// # Errors
/// When it is one: what to do.
pub fn interrupted(data_dir: &Path) -> Result<(), ConfigError> {
    match data_dir.join(UNDER_WAY).exists() {
        false => Ok(()),
        true => Err(ConfigError::new(
            "SYMBOLON_DATA_DIR",
            format!(
                "is {}, where a restore was cut short; run it again: symbolon restore DIRECTORY --replace",
                data_dir.display()
            ),
        )),
    }
}

/// Checks that a backup could be restored, and does nothing.
///
/// # Errors
/// Why it could not.
pub fn rehearse(config: &Config, backup: &Path, replace: bool) -> Result<Manifest, BackupError> {
    check_embedded(config)?;
    let manifest = Manifest::read(backup)?;
    manifest.check(backup, None)?;
    if config.data_dir.exists() {
        let _alone = lock_data_dir(&config.data_dir)?;
        check_room(&config.data_dir, replace)?;
    }
    Ok(manifest)
}

/// Restores a backup, and makes an end of everything that was issued before.
///
/// # Errors
/// When the backup is not good, somebody serves from the data directory, or it holds something and
/// `replace` does not say what to do with that.
pub async fn restore(
    config: &Config,
    backup: &Path,
    replace: bool,
    reason: Option<Reason>,
) -> Result<Restored, BackupError> {
    check_embedded(config)?;
    let manifest = Manifest::read(backup)?;
    make_data_dir(&config.data_dir)?;
    let _alone = lock_data_dir(&config.data_dir)?;
    check_room(&config.data_dir, replace)?;
    let draft = config.data_dir.join(DRAFT);
    if draft.exists() {
        fs::remove_dir_all(&draft).map_err(|error| BackupError::io("cannot remove", &draft, &error))?;
    }
    files::make_directory(&draft)?;
    let prepared = prepare(config, &manifest, backup, &draft, reason).await;
    if prepared.is_err() {
        fs::remove_dir_all(&draft).ok();
    }
    let change = prepared?;
    let set_aside = exchange(&config.data_dir, &draft)?;
    Ok(Restored { change, set_aside })
}

/// Whether the data directory is empty, or may be emptied.
fn check_room(data_dir: &Path, replace: bool) -> Result<(), BackupError> {
    if replace || present(data_dir).is_empty() && interrupted(data_dir).is_ok() {
        return Ok(());
    }
    let why = "holds an installation already; --replace puts its files aside, and keeps them";
    Err(BackupError::Failed(format!("{} {why}", data_dir.display())))
}

/// The files of an installation that a data directory holds.
fn present(data_dir: &Path) -> Vec<String> {
    let names = FILES.iter().flat_map(|name| BESIDE.map(|suffix| format!("{name}{suffix}")));
    names.filter(|name| data_dir.join(name).exists()).collect()
}

/// Makes copies of a backup's files ready to be served from; the change that recovered them.
async fn prepare(
    config: &Config,
    manifest: &Manifest,
    backup: &Path,
    draft: &Path,
    reason: Option<Reason>,
) -> Result<u64, BackupError> {
    manifest.check(backup, Some(draft))?;
    let stores = open(config, draft)?;
    stores.migrate_embedded().await?;
    let witness = stores.witness().read().await?;
    let position = stores.admin().because(reason).recover(witness).await?;
    stores.reset_witness(position).await?;
    // Whatever was made under them is dead, and the replica of then is another process.
    let feed = stores.feed(None);
    feed.forget_token_keys().await?;
    feed.forget_replicas().await?;
    drop(feed);
    close(stores).await?;
    files::sync_directory(draft)?;
    Ok(position.number.get())
}

/// Puts the files of a draft in their places, and what was there aside.
fn exchange(data_dir: &Path, draft: &Path) -> Result<Option<PathBuf>, BackupError> {
    let remove = |path: &Path, removed: std::io::Result<()>| {
        removed.map_err(|error| BackupError::io("cannot remove", path, &error))
    };
    let mark = data_dir.join(UNDER_WAY);
    if !mark.exists() {
        drop(files::make_file(&mark)?);
    }
    files::sync_directory(data_dir)?;
    let replaced = present(data_dir);
    let aside = match replaced.is_empty() {
        true => None,
        false => Some(put_aside(data_dir, &replaced)?),
    };
    for name in FILES {
        files::rename(&draft.join(name), &data_dir.join(name))?;
    }
    files::sync_directory(data_dir)?;
    remove(&mark, fs::remove_file(&mark))?;
    remove(draft, fs::remove_dir_all(draft))?;
    files::sync_directory(data_dir)?;
    Ok(aside)
}

fn put_aside(data_dir: &Path, names: &[String]) -> Result<PathBuf, BackupError> {
    let now = SystemClock.unix_millis();
    let moment = calendar::rfc3339(Timestamp::from_unix_seconds(now / 1000));
    // Colons are not for file names everywhere.
    let aside = data_dir.join(format!("replaced-{}-{:03}", moment.replace(':', ""), now.rem_euclid(1000)));
    files::make_directory(&aside)?;
    for name in names {
        files::rename(&data_dir.join(name), &aside.join(name))?;
    }
    files::sync_directory(&aside)?;
    Ok(aside)
}
