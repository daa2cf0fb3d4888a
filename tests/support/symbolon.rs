//! One server process.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::cli::read_lossy;
use super::http::{Request, Response};
use super::leaks::Secrets;
use super::process::{Farewell, Process, Signal};
use super::{ports, scratch, wait};

const START: Duration = Duration::from_secs(30);
/// Longer than the 15 s that a graceful stop may take.
const STOP: Duration = Duration::from_secs(30);
/// Another process may bind a port between its choice and its use.
const ATTEMPTS: usize = 5;

/// The `SYMBOLON_*` variables of a process; nothing else of the test's environment reaches it.
pub type Environment = BTreeMap<String, String>;

/// The binary under test.
pub struct Symbolon;

impl Symbolon {
    /// Cargo has built it before any test runs.
    pub fn build() -> &'static Path {
        Path::new(env!("CARGO_BIN_EXE_symbolon"))
    }

    /// A command line with exactly this environment.
    pub fn command(environment: &Environment, arguments: &[&str]) -> Command {
        let mut command = Command::new(Self::build());
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(environment);
        command
    }
}

/// What a process logs unless a test says otherwise: all there is, so that all of it is searched for secrets.
pub const LOG: (&str, &str) = ("SYMBOLON_LOG", "trace");

/// When a start counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitFor {
    /// `/readyz` answers 200.
    Readiness,
    /// `/livez` answers 200: for a server that is meant not to become ready.
    Liveness,
    /// The process runs.
    Spawn,
}

/// How a server is to be started.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    arguments: Vec<String>,
    environment: Environment,
    /// A program that becomes the server, and its arguments.
    under: Vec<String>,
    wait_for: WaitFor,
}

impl ServerConfig {
    /// `symbolon serve`.
    pub fn serve() -> Self {
        Self {
            arguments: vec!["serve".to_owned()],
            environment: Environment::new(),
            under: Vec::new(),
            wait_for: WaitFor::Readiness,
        }
    }

    /// `symbolon quickstart`.
    pub fn quickstart() -> Self {
        Self { arguments: vec!["quickstart".to_owned()], ..Self::serve() }
    }

    /// A further argument.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// A variable.
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// Many variables.
    pub fn envs(mut self, environment: &Environment) -> Self {
        self.environment.extend(environment.clone());
        self
    }

    /// Started by this program with these arguments, which are followed by those of the server. It has to `exec` it.
    pub fn under(mut self, program: &[&str]) -> Self {
        self.under = program.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// When the start counts as done.
    pub fn wait_for(mut self, wait_for: WaitFor) -> Self {
        self.wait_for = wait_for;
        self
    }
}

/// How a server ended when it was asked to.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// Its exit status.
    pub status: ExitStatus,
    /// How long it took.
    pub took: Duration,
}

/// A running server. It dies when this is dropped.
pub struct Server {
    // Before the directory, so that the process is gone when the directory goes.
    process: Mutex<Option<Process>>,
    config: ServerConfig,
    listen: SocketAddr,
    management: SocketAddr,
    /// How much of standard error and standard output has been searched for secrets.
    searched: Mutex<[u64; 2]>,
    directory: TempDir,
}

impl Server {
    /// Starts it on free ports and waits until it is ready. Without `SYMBOLON_DATA_DIR` it gets a directory of its
    /// own. Fails the test, showing what the server wrote, if it does not come up.
    pub fn start(config: &ServerConfig) -> Self {
        let mut attempt = 1;
        loop {
            match Self::try_start(config) {
                Ok(server) => return server,
                Err(log) if attempt < ATTEMPTS && log.to_lowercase().contains("in use") => attempt += 1,
                Err(log) => panic!("symbolon {} did not come up:\n{log}", config.arguments.join(" ")),
            }
        }
    }

    fn try_start(config: &ServerConfig) -> Result<Self, String> {
        let mut config = config.clone();
        let directory = scratch::directory("server");
        let (listen, management) = (ports::free_address(), ports::free_address());
        let own_data = directory.path().join("data").display().to_string();
        config.environment.insert("SYMBOLON_LISTEN".to_owned(), listen.to_string());
        config.environment.insert("SYMBOLON_MANAGEMENT_LISTEN".to_owned(), management.to_string());
        config.environment.entry("SYMBOLON_DATA_DIR".to_owned()).or_insert(own_data);
        let server = Self {
            process: Mutex::new(None),
            config,
            listen,
            management,
            searched: Mutex::default(),
            directory,
        };
        server.spawn(server.config.wait_for)?;
        Ok(server)
    }

    /// The URL of a path on the main listener.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.listen)
    }

    /// The URL of a path on the management listener.
    pub fn management_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.management)
    }

    /// The main listener, for raw bytes.
    pub fn address(&self) -> SocketAddr {
        self.listen
    }

    /// Its environment, for a command line beside it.
    pub fn environment(&self) -> &Environment {
        &self.config.environment
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process().as_ref().expect("the server is running").id()
    }

    /// What it wrote to standard error since its first start.
    pub fn stderr(&self) -> String {
        read_lossy(&self.log("stderr"))
    }

    /// What it wrote to standard output since its first start.
    pub fn stdout(&self) -> String {
        read_lossy(&self.log("stdout"))
    }

    /// Fails the test if a secret stands in what it has written since this was asked last, or in its metrics.
    #[track_caller]
    pub fn look_for_secrets(&self) {
        let secrets = Secrets::of(&self.config.environment);
        if self.process().as_ref().is_some_and(|process| !process.is_frozen()) {
            let metrics =
                Request::get(self.management_url("/metrics")).limit(Duration::from_secs(1)).try_send();
            secrets.look_in("/metrics", &metrics.map(|answer| answer.body).unwrap_or_default());
        }
        // What a quickstart prints is for who has started it.
        let is_told = self.config.arguments.iter().any(|argument| argument == "quickstart");
        let streams = if is_told { &["stderr"][..] } else { &["stderr", "stdout"] };
        let mut searched = self.searched.lock().unwrap_or_else(PoisonError::into_inner);
        for (stream, searched) in streams.iter().zip(searched.iter_mut()) {
            *searched =
                secrets.look_in_file_from(&format!("the server's {stream}"), &self.log(stream), *searched);
        }
    }

    /// `/readyz` on the main listener now.
    pub fn is_ready(&self) -> bool {
        answers_200(&self.url("/readyz"))
    }

    /// Waits until `/readyz` answers 200 (`true`) or anything else (`false`).
    pub fn wait_until_ready(&self, ready: bool, limit: Duration) {
        wait::until_true(&format!("readiness is {ready}"), limit, || self.is_ready() == ready);
    }

    /// SIGTERM, and how it ended.
    pub fn terminate(&self) -> Ending {
        self.end_with(Signal::TERM)
    }

    /// A signal that ends it politely (SIGTERM, SIGINT), and how it ended.
    pub fn end_with(&self, signal: Signal) -> Ending {
        let begun = Instant::now();
        let mut process = self.process().take().expect("the server is running");
        process.signal(signal);
        let status = process.wait(STOP);
        let took = begun.elapsed();
        match status {
            Some(status) => Ending { status, took },
            None => panic!("the server runs on {took:?} after {signal:?}:\n{}", self.stderr()),
        }
    }

    /// Sends SIGTERM and returns at once: for what happens during a graceful stop.
    pub fn ask_to_stop(&self) {
        self.with_process(|process| process.signal(Signal::TERM));
    }

    /// How it ended by itself, within `limit`.
    pub fn wait_for_end(&self, limit: Duration) -> Option<ExitStatus> {
        self.process().as_mut().expect("the server was not killed").wait(limit)
    }

    /// SIGKILL.
    pub fn kill(&self) {
        if let Some(mut process) = self.process().take() {
            process.kill();
        }
    }

    /// Stops it where it is.
    pub fn freeze(&self) {
        self.with_process(Process::freeze);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.with_process(Process::thaw);
    }

    /// Starts it again, on the same ports and data, ending it first if it still runs.
    pub fn restart(&self) {
        self.restart_until(self.config.wait_for);
    }

    /// The same, for a server that is not to become what it was at its first start.
    pub fn restart_until(&self, wait_for: WaitFor) {
        if self.process().is_some() {
            self.terminate();
        }
        self.spawn(wait_for).unwrap_or_else(|log| panic!("the server did not come up again:\n{log}"));
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_process(&self, verb: impl FnOnce(&mut Process)) {
        verb(self.process().as_mut().expect("the server is running"));
    }

    /// Where what it writes to a stream is kept.
    pub fn log(&self, stream: &str) -> PathBuf {
        self.directory.path().join(stream)
    }

    fn append_to(&self, stream: &str) -> Stdio {
        let file = OpenOptions::new().create(true).append(true).open(self.log(stream));
        Stdio::from(file.expect("a log file can be opened"))
    }

    fn spawn(&self, wait_for: WaitFor) -> Result<(), String> {
        let arguments: Vec<&str> = self.config.arguments.iter().map(String::as_str).collect();
        let mut environment = self.config.environment.clone();
        environment.entry(LOG.0.to_owned()).or_insert_with(|| LOG.1.to_owned());
        let mut process = Process::spawn(
            under(&self.config.under, &Symbolon::command(&environment, &arguments))
                .current_dir(self.directory.path())
                .stdin(Stdio::null())
                .stdout(self.append_to("stdout"))
                .stderr(self.append_to("stderr")),
            Farewell::Kill,
            Some(self.directory.path()),
        );
        let probe = match wait_for {
            WaitFor::Readiness => Some(self.url("/readyz")),
            WaitFor::Liveness => Some(self.url("/livez")),
            WaitFor::Spawn => None,
        };
        if let Some(url) = probe {
            wait::try_until(START, || match process.ended() {
                Some(status) => Some(Err(format!("ended with {status}\n{}", self.stderr()))),
                None => answers_200(&url).then_some(Ok(())),
            })
            .unwrap_or_else(|| Err(format!("no 200 from {url} within {START:?}\n{}", self.stderr())))?;
        }
        *self.process() = Some(process);
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- standard error of the server on {}:\n{}---", self.listen, tail(&self.stderr()));
        } else {
            self.look_for_secrets();
        }
    }
}

/// The command that runs another one, in the environment of that one.
pub fn under(program: &[impl AsRef<OsStr>], command: &Command) -> Command {
    let words = program.iter().map(AsRef::as_ref).chain([command.get_program()]).chain(command.get_args());
    let mut words = words.map(OsStr::to_owned);
    let mut outer = Command::new(words.next().expect("a command has a program"));
    outer.args(words).env_clear();
    outer.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    outer
}

/// The end of a log: the rest of one at its most detailed would bury it.
fn tail(log: &str) -> &str {
    const SHOWN: usize = 64 << 10;
    let from = log.len().saturating_sub(SHOWN);
    &log[log.ceil_char_boundary(from)..]
}

fn answers_200(url: &str) -> bool {
    let answer = Request::get(url).limit(Duration::from_secs(2)).try_send();
    matches!(answer, Ok(Response { status: 200, .. }))
}
