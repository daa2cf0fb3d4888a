//! The command line.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::leaks::Secrets;
use super::process::{Farewell, Process, Signal};
use super::scratch;
use super::symbolon::{Environment, LOG, Symbolon};

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

/// Commands that say a secret once, on standard output, to who asked for it.
const TELLING: [&[&str]; 5] = [
    &["client", "create"],
    &["client", "rotate-secret"],
    &["resource-server", "create"],
    &["resource-server", "rotate-secret"],
    &["token-key", "generate"],
];

/// Runs a command to its end. It logs all there is to log, which is searched for secrets, as is what it says.
#[track_caller]
pub fn cli_with_stdin(environment: &Environment, arguments: &[&str], stdin: &str) -> CliOutput {
    RunningCli::start(environment, arguments, stdin).finish()
}

/// A command under way.
pub struct RunningCli {
    process: Process,
    directory: TempDir,
    line: String,
    secrets: Secrets,
    tells_a_secret: bool,
    is_traced: bool,
}

impl RunningCli {
    /// Starts it.
    pub fn start(environment: &Environment, arguments: &[&str], stdin: &str) -> Self {
        // Through files, so that no full pipe can stop a command that is waited for.
        let directory = scratch::directory("cli");
        let path = |stream: &str| directory.path().join(stream);
        fs::write(path("stdin"), stdin).expect("standard input can be written");
        let mut traced = environment.clone();
        // `config` shows what it is told.
        let is_traced = !environment.contains_key(LOG.0) && !arguments.contains(&"config");
        if is_traced {
            traced.insert(LOG.0.to_owned(), LOG.1.to_owned());
            traced.insert("SYMBOLON_LOG_FORMAT".to_owned(), "json".to_owned());
        }
        let process = Process::spawn(
            Symbolon::command(&traced, arguments)
                .current_dir(directory.path())
                .stdin(File::open(path("stdin")).expect("standard input can be read"))
                .stdout(File::create(path("stdout")).expect("standard output can be made"))
                .stderr(File::create(path("stderr")).expect("standard error can be made")),
            Farewell::Kill,
            Some(directory.path()),
        );
        let mut secrets = Secrets::of(environment);
        if arguments.contains(&"--secret-stdin") {
            let brought = stdin.lines().filter(|line| line.len() >= 32);
            brought.for_each(|secret| secrets.add("a secret that was brought along", secret));
        }
        if arguments.contains(&"--password-stdin") {
            let brought = stdin.lines().filter(|line| line.len() >= 15);
            brought.for_each(|password| secrets.add("a password", password));
        }
        let tells_a_secret = TELLING.iter().any(|telling| arguments.starts_with(telling))
            || arguments.contains(&"--rotate-secret");
        Self { process, directory, line: arguments.join(" "), secrets, tells_a_secret, is_traced }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends it a signal.
    pub fn signal(&mut self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Stops it where it is; returns when it has stopped.
    pub fn freeze(&mut self) {
        self.process.freeze();
    }

    /// Lets it go on.
    pub fn thaw(&mut self) {
        self.process.thaw();
    }

    /// Whether it is over.
    pub fn has_ended(&mut self) -> bool {
        self.process.ended().is_some()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn finish(mut self) -> CliOutput {
        let ended = self.process.wait(LIMIT);
        let read = |stream: &str| read_lossy(&self.directory.path().join(stream));
        let mut output = CliOutput {
            status: ended.and_then(|status| status.code()),
            stdout: read("stdout"),
            stderr: read("stderr"),
        };
        assert!(ended.is_some(), "symbolon {} runs on after {LIMIT:?}: {output:?}", self.line);
        self.secrets.look_in("standard error of a command", output.stderr.as_bytes());
        if !self.tells_a_secret {
            self.secrets.look_in("standard output of a command", output.stdout.as_bytes());
        }
        if self.is_traced {
            output.stderr = output.stderr.split_inclusive('\n').filter(|line| !is_log_line(line)).collect();
        }
        output
    }
}

/// What was logged, apart from what the command says itself.
fn is_log_line(line: &str) -> bool {
    let line = serde_json::from_str::<Value>(line).unwrap_or_default();
    line["level"].is_string() && line["target"].is_string() && line["message"].is_string()
}

/// A file's text, or nothing if there is none yet.
pub fn read_lossy(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
