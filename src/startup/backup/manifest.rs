//! What a backup says of itself. It is written last, so a backup that was cut short has none.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{BackupError, FILES, files};

const NAME: &str = "backup.json";
/// The form of a backup that this version makes and reads.
const FORMAT: u32 = 1;

/// The manifest of a backup.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Manifest {
    format: u32,
    /// Which Symbolon took it.
    pub version: String,
    /// When, in UTC (RFC 3339).
    pub taken_at: String,
    /// The last change that it holds.
    pub change: u64,
    files: Vec<FileEntry>,
}

/// One of its files.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct FileEntry {
    name: String,
    bytes: u64,
    /// In hexadecimal.
    sha256: String,
}

impl Manifest {
    /// Describes the files of a backup, and writes that down beside them.
    pub(super) fn write(directory: &Path, taken_at: String, change: u64) -> Result<Self, BackupError> {
        let describe = |name: &str| {
            let (bytes, sha256) = files::measure(&directory.join(name))?;
            Ok(FileEntry { name: name.to_owned(), bytes, sha256 })
        };
        let described = FILES.into_iter().map(describe).collect::<Result<_, BackupError>>()?;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let manifest = Self { format: FORMAT, version, taken_at, change, files: described };
        let path = directory.join(NAME);
        let text = serde_json::to_string_pretty(&manifest);
        let text = text.map_err(|error| BackupError::Failed(error.to_string()))?;
        let mut file = files::make_file(&path)?;
        let written = writeln!(file, "{text}").and_then(|()| file.sync_all());
        written.map_err(|error| BackupError::io("cannot write", &path, &error))?;
        files::sync_directory(directory)?;
        Ok(manifest)
    }

    /// Reads the manifest of a backup.
    ///
    /// # Errors
    /// When there is none: what was found is no backup, or was cut short.
    pub fn read(directory: &Path) -> Result<Self, BackupError> {
        let path = directory.join(NAME);
        let text = fs::read_to_string(&path).map_err(|error| {
            let why = format!("is no complete backup: {} cannot be read: {error}", path.display());
            BackupError::Failed(format!("{} {why}", directory.display()))
        })?;
        let manifest: Self = serde_json::from_str(&text).map_err(|error| {
            BackupError::Failed(format!("{} is not the manifest of a backup: {error}", path.display()))
        })?;
        if manifest.format != FORMAT {
            let why = format!("has form {}, and this version reads {FORMAT}", manifest.format);
            return Err(BackupError::Failed(format!("{} {why}", path.display())));
        }
        Ok(manifest)
    }

    /// How many bytes its files have.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Checks every file against what was written down, copying it into `to` if one is given.
    ///
    /// # Errors
    /// When one is missing, torn or altered.
    pub(super) fn check(&self, directory: &Path, to: Option<&Path>) -> Result<(), BackupError> {
        // Only what a backup is known to have is looked for, whatever names stand in the manifest.
        for name in FILES {
            let path = directory.join(name);
            let (bytes, sha256) = match to {
                None => files::measure(&path)?,
                Some(to) => files::copy(&path, &to.join(name))?,
            };
            let entry = self.files.iter().find(|entry| entry.name == name);
            if !entry.is_some_and(|entry| entry.bytes == bytes && entry.sha256 == sha256) {
                let why = "is not what was backed up: its length or its SHA-256 differ from the manifest";
                return Err(BackupError::Failed(format!("{} {why}", path.display())));
            }
        }
        Ok(())
    }
}
