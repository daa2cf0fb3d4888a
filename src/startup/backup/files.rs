//! Files and directories that are there for good once a function has returned, and for their owner
//! alone.

use std::fmt::Write as _;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::BackupError;

const BUFFER: usize = 1 << 18;

/// Makes a directory that is not there yet.
pub(super) fn make_directory(path: &Path) -> Result<(), BackupError> {
    let made = DirBuilder::new().mode(0o700).create(path);
    made.map_err(|error| BackupError::io("cannot make", path, &error))
}

/// Makes an empty file that is not there yet.
pub(super) fn make_file(path: &Path) -> Result<File, BackupError> {
    let made = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path);
    made.map_err(|error| BackupError::io("cannot make", path, &error))
}

/// Makes durable which names a directory holds.
pub(super) fn sync_directory(path: &Path) -> Result<(), BackupError> {
    // The parent of a bare name is the directory that we stand in.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let synced = File::open(path).and_then(|directory| directory.sync_all());
    synced.map_err(|error| BackupError::io("cannot write", path, &error))
}

/// Moves a file within a file system.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), BackupError> {
    std::fs::rename(from, to).map_err(|error| BackupError::io("cannot move", from, &error))
}

/// How long a file is, and its SHA-256 in hexadecimal.
pub(super) fn measure(path: &Path) -> Result<(u64, String), BackupError> {
    pass_on(path, &mut io::sink()).map_err(|error| BackupError::io("cannot read", path, &error))
}

/// Copies a file to a place where there is none; returns what [`measure`] would say of the bytes
/// that were copied.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(u64, String), BackupError> {
    let mut copy = make_file(to)?;
    let copied = pass_on(from, &mut copy).and_then(|measured| copy.sync_all().map(|()| measured));
    copied.map_err(|error| BackupError::io("cannot copy", from, &error))
}

fn pass_on(from: &Path, to: &mut impl Write) -> io::Result<(u64, String)> {
    let mut from = File::open(from)?;
    let (mut bytes, mut hash) = (0, Sha256::new());
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = from.read(&mut buffer)?;
        let Some(read) = buffer.get(..length).filter(|read| !read.is_empty()) else { break };
        hash.update(read);
        to.write_all(read)?;
        bytes += read.len() as u64;
    }
    let mut digits = String::with_capacity(64);
    for byte in hash.finalize() {
        write!(digits, "{byte:02x}").map_err(io::Error::other)?;
    }
    Ok((bytes, digits))
}
