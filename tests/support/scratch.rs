//! Temporary directories, in memory where the machine has room for it.

use std::path::{Path, PathBuf};
use std::{env, process};

use tempfile::{Builder, TempDir};

/// What a PostgreSQL server may need while it recovers; below it a memory-backed place is too small.
const ROOM: u64 = 1 << 30;

/// A fresh directory. On memory-backed storage a durable commit costs microseconds, so tests stay quick without
/// switching durability off.
pub fn directory(what: &str) -> TempDir {
    Builder::new()
        .prefix(&format!("symbolon-{what}-{}-", process::id()))
        .tempdir_in(place())
        .expect("a temporary directory can be made")
}

fn place() -> PathBuf {
    let memory = Path::new("/dev/shm");
    match rustix::fs::statvfs(memory) {
        Ok(stat) if stat.f_bavail * stat.f_frsize >= ROOM => memory.to_path_buf(),
        _ => env::temp_dir(),
    }
}
