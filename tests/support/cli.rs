//! The command line.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::process::{Farewell, Process};
use super::scratch;
use super::symbolon::{Environment, Symbolon};

/// Longer than a revocation waits for its acknowledgement.
const LIMIT: Duration = Duration::from_mins(1);

/// How a command ended and what it wrote.
#[derive(Clone, Debug)]
pub struct CliOutput {
    /// 0 done, 1 failed, 2 usage; `None` if a signal ended it.
    pub status: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl CliOutput {
    /// Fails, showing everything, unless the exit status is 0.
    #[track_caller]
    pub fn success(self) -> Self {
        self.expect_status(0)
    }

    /// Fails, showing everything, unless the exit status is this.
    #[track_caller]
    pub fn expect_status(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// The one JSON document that `--json` prints.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {:?}\nstderr:\n{}", self.stdout, self.stderr))
    }
}

/// Runs a command to its end, with nothing on standard input.
pub fn cli(environment: &Environment, arguments: &[&str]) -> CliOutput {
    cli_with_stdin(environment, arguments, "")
}

/// Runs a command to its end.
pub fn cli_with_stdin(environment: &Environment, arguments: &[&str], stdin: &str) -> CliOutput {
    RunningCli::start(environment, arguments, stdin).finish()
}

/// A command under way.
pub struct RunningCli {
    process: Process,
    directory: TempDir,
    line: String,
}

impl RunningCli {
    /// Starts it.
    pub fn start(environment: &Environment, arguments: &[&str], stdin: &str) -> Self {
        // Through files, so that no full pipe can stop a command that is waited for.
        let directory = scratch::directory("cli");
        let path = |stream: &str| directory.path().join(stream);
        fs::write(path("stdin"), stdin).expect("standard input can be written");
        let process = Process::spawn(
            Symbolon::command(environment, arguments)
                .current_dir(directory.path())
                .stdin(File::open(path("stdin")).expect("standard input can be read"))
                .stdout(File::create(path("stdout")).expect("standard output can be made"))
                .stderr(File::create(path("stderr")).expect("standard error can be made")),
            Farewell::Kill,
            Some(directory.path()),
        );
        Self { process, directory, line: arguments.join(" ") }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits for its end.
    pub fn finish(mut self) -> CliOutput {
        let ended = self.process.wait(LIMIT);
        let read = |stream: &str| read_lossy(&self.directory.path().join(stream));
        let output = CliOutput {
            status: ended.and_then(|status| status.code()),
            stdout: read("stdout"),
            stderr: read("stderr"),
        };
        assert!(ended.is_some(), "symbolon {} runs on after {LIMIT:?}: {output:?}", self.line);
        output
    }
}

/// A file's text, or nothing if there is none yet.
pub fn read_lossy(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
