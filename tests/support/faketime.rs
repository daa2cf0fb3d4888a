//! A wrong wall clock for one process, by libfaketime. Clocks that only run on (monotonic, boot time) stay true.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::scratch;

/// A wall clock that can be set while its process runs.
pub struct WallClock {
    directory: TempDir,
}

impl WallClock {
    /// A clock that is so many seconds off.
    pub fn off_by(seconds: i64) -> Self {
        let clock = Self { directory: scratch::directory("clock") };
        clock.set(seconds);
        clock
    }

    /// Sets it so many seconds off; it jumps there at once.
    pub fn set(&self, seconds: i64) {
        // Renamed into place: nobody may read half an offset.
        let (new, place) = (self.directory.path().join("new"), self.path());
        fs::write(&new, format!("{seconds:+}\n")).expect("the offset can be written");
        fs::rename(new, place).expect("the offset can be put in place");
    }

    /// What a process with this clock is started with.
    pub fn environment(&self) -> Vec<(String, String)> {
        let mut environment = preload();
        environment.push(("FAKETIME_TIMESTAMP_FILE".to_owned(), self.path().display().to_string()));
        environment.push(("FAKETIME_NO_CACHE".to_owned(), "1".to_owned()));
        environment
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("offset")
    }
}

/// What a process is started with whose clock is off by so many seconds, for good.
pub fn off_by(seconds: i64) -> Vec<(String, String)> {
    let mut environment = preload();
    environment.push(("FAKETIME".to_owned(), format!("{seconds:+}")));
    environment
}

fn preload() -> Vec<(String, String)> {
    let environment =
        [("LD_PRELOAD", library().display().to_string()), ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned())];
    environment.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// Debian keeps it in a folder named after the architecture.
fn library() -> PathBuf {
    let below = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    below
        .chain([PathBuf::from("/usr/lib")])
        .map(|place| place.join("faketime/libfaketimeMT.so.1"))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("libfaketime is not installed; run scripts/setup"))
}
