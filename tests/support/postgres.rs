//! A real PostgreSQL that can be killed, frozen and set back in time.
//!
//! Most tests share one server per test binary ([`PostgresServer::shared`]) and take a database of their own from
//! it. A test that stops, freezes or restores the server starts its own.

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use tempfile::TempDir;

use super::authority::TlsFiles;
use super::process::{Farewell, Process, Signal};
use super::psql::{self, Database, Psql};
use super::{ports, scratch, wait};

const START: Duration = Duration::from_secs(30);
/// The user that every URL names.
pub const USER: &str = "symbolon";
/// Its password.
pub const PASSWORD: &str = "symbolon";

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// Whether a commit waits until it is durable. Off (`-F`) is for tests that only need rows.
    pub fsync: bool,
    /// Whether the password in the URL is asked for (SCRAM), or anybody on loopback is let in.
    pub check_password: bool,
    /// What it shows to those who ask for TLS; without it, it speaks none.
    pub tls: Option<TlsFiles>,
    /// The whole of `pg_hba.conf`: who may come in, and how.
    pub hba: Option<String>,
    /// Further settings, `name=value`.
    pub settings: Vec<String>,
    /// Variables of the server process.
    pub environment: Vec<(String, String)>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            fsync: true,
            check_password: false,
            tls: None,
            hba: None,
            settings: Vec::new(),
            environment: Vec::new(),
        }
    }
}

/// A running PostgreSQL. It dies when this is dropped, or with the test process.
pub struct PostgresServer {
    // Before the directory, so that the process is gone when the directory goes.
    process: Mutex<Option<Process>>,
    options: PostgresOptions,
    owner: Option<Owner>,
    port: u16,
    directory: TempDir,
}

/// The whole server as it was at one moment.
pub struct PostgresBackup {
    directory: TempDir,
}

/// PostgreSQL refuses to run as root.
#[derive(Clone, Copy)]
struct Owner {
    user: u32,
    group: u32,
}

impl PostgresServer {
    /// The server that the tests of this binary share. Do not stop, freeze or restore it.
    pub fn shared() -> &'static Self {
        // A static is never dropped; the watchdog of its process ends it.
        static SHARED: OnceLock<PostgresServer> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A server with durable commits.
    pub fn start() -> Self {
        Self::start_with(PostgresOptions::default())
    }

    /// A server as asked for.
    pub fn start_with(options: PostgresOptions) -> Self {
        let server = Self::unborn(options);
        server.initialise();
        server.spawn();
        server
    }

    /// A streaming standby of this server, which calls itself `name` and hears of it at `address`.
    pub fn standby(&self, name: &str, address: SocketAddr) -> Self {
        let source =
            format!("host={} port={} user={USER} application_name={name}", address.ip(), address.port());
        let settings =
            vec![format!("primary_conninfo={source}"), "wal_retrieve_retry_interval=100ms".to_owned()];
        let standby = Self::unborn(PostgresOptions { settings, ..self.options.clone() });
        let output = standby
            .command("pg_basebackup")
            .args(["--host", "127.0.0.1", "--port", &self.port.to_string(), "--username", USER])
            .args(["--checkpoint=fast", "--no-sync", "--wal-method=stream", "--pgdata"])
            .arg(standby.cluster())
            .output()
            .expect("pg_basebackup starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "pg_basebackup failed:\n{errors}");
        fs::write(standby.cluster().join("standby.signal"), "").expect("a file can be made");
        standby.spawn();
        wait::until_true("the standby streams", START, || self.streams_to(name));
        standby
    }

    /// Whether a standby of this name follows, and has everything.
    pub fn streams_to(&self, name: &str) -> bool {
        let caught_up = "state = 'streaming' AND replay_lsn = pg_current_wal_lsn()";
        self.execute(&format!(
            "SELECT count(*) FROM pg_stat_replication WHERE application_name = '{name}' AND {caught_up}"
        )) == "1"
    }

    /// From now on a commit waits for the standby of this name; for none if it is empty.
    pub fn commit_waits_for(&self, name: &str) {
        self.execute(&format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'"));
        self.execute("SELECT pg_reload_conf()");
        wait::until_true("the setting is in force", START, || {
            self.execute("SHOW synchronous_standby_names") == name
        });
    }

    /// Makes a standby the primary.
    pub fn promote(&self) {
        assert_eq!(self.execute("SELECT pg_promote(true, 30)"), "t", "the standby is promoted");
    }

    fn unborn(options: PostgresOptions) -> Self {
        let directory = scratch::directory("postgres");
        let owner = Owner::for_this_process();
        if let Some(owner) = owner {
            chown(directory.path(), Some(owner.user), Some(owner.group))
                .expect("root may give a directory away");
        }
        Self { process: Mutex::new(None), options, owner, port: ports::free_port(), directory }
    }

    /// The port, which stays the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The URL of the server's first database, which tests leave alone.
    pub fn url(&self) -> String {
        psql::url(self.port, "postgres")
    }

    /// A fresh, empty database.
    pub fn database(&self) -> Database {
        self.psql().create_database()
    }

    /// Runs SQL in the server's first database; rows come back a line each, columns separated by `|`.
    pub fn execute(&self, sql: &str) -> String {
        self.psql().execute("postgres", sql)
    }

    /// Ends it politely: open transactions are rolled back, connections closed.
    pub fn stop(&self) {
        if let Some(mut process) = self.process.lock().unwrap().take() {
            process.thaw();
            process.signal(Signal::INT);
            process.wait(START).expect("PostgreSQL stops when asked to");
        }
    }

    /// Starts it again on the same port, with what is on disk.
    pub fn restart(&self) {
        self.stop();
        self.spawn();
    }

    /// Ends it as a power cut would. `restart` brings it back.
    pub fn kill(&self) {
        if let Some(mut process) = self.process.lock().unwrap().take() {
            process.kill();
            self.release_memory();
        }
    }

    /// Stops it where it is: connections stay open and nothing is answered.
    pub fn freeze(&self) {
        self.with_process(Process::freeze);
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.with_process(Process::thaw);
    }

    /// A copy of everything, taken while the server stands still for a moment, as a snapshot of its disk would be.
    pub fn backup(&self) -> PostgresBackup {
        let directory = scratch::directory("postgres-backup");
        let was_running = self.process.lock().unwrap().is_some();
        if was_running {
            self.freeze();
        }
        copy(&self.cluster(), directory.path());
        if was_running {
            self.thaw();
        }
        PostgresBackup { directory }
    }

    /// Goes back to a backup, and starts with it: what a failover to a standby that lagged behind looks like.
    pub fn restore(&self, backup: &PostgresBackup) {
        self.kill();
        fs::remove_dir_all(self.cluster()).expect("the cluster can be removed");
        copy(&backup.directory.path().join("cluster"), self.directory.path());
        let _ = fs::remove_file(self.cluster().join("postmaster.pid"));
        self.spawn();
    }

    fn with_process(&self, verb: impl FnOnce(&mut Process)) {
        verb(self.process.lock().unwrap().as_mut().expect("PostgreSQL is running"));
    }

    fn cluster(&self) -> PathBuf {
        self.directory.path().join("cluster")
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("postgres.log")
    }

    fn initialise(&self) {
        let password_file = self.directory.path().join("password");
        fs::write(&password_file, PASSWORD).expect("the password can be written");
        let host = if self.options.check_password { "scram-sha-256" } else { "trust" };
        let output = self
            .command("initdb")
            .args([
                "--username",
                USER,
                "--auth-local=trust",
                "--auth-host",
                host,
                "--encoding=UTF8",
                "--locale=C",
            ])
            .args(["--no-sync", "--no-instructions", "--wal-segsize=4"])
            .arg("--pwfile")
            .arg(&password_file)
            .arg("--pgdata")
            .arg(self.cluster())
            .output()
            .expect("initdb starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "initdb failed:\n{errors}");
        if let Some(hba) = &self.options.hba {
            fs::write(self.cluster().join("pg_hba.conf"), hba).expect("pg_hba.conf can be written");
        }
        if let Some(files) = &self.options.tls {
            self.place(&files.certificate, "server.crt");
            self.place(&files.key, "server.key");
        }
    }

    /// Puts a file where PostgreSQL looks for it, its own and for nobody else to read.
    fn place(&self, from: &Path, name: &str) {
        let to = self.cluster().join(name);
        fs::copy(from, &to).expect("a file of the authority can be copied");
        fs::set_permissions(&to, Permissions::from_mode(0o600)).expect("a copy has permissions");
        if let Some(owner) = self.owner {
            chown(&to, Some(owner.user), Some(owner.group)).expect("root may give a file away");
        }
    }

    fn spawn(&self) {
        let log = fs::File::create(self.log_path()).expect("the log can be made");
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.cluster()).args(["-p", &self.port.to_string()]);
        let sockets = format!("unix_socket_directories={}", self.directory.path().display());
        let fixed = [
            "listen_addresses=127.0.0.1",
            &sockets,
            "max_connections=200",
            // Inside the data directory, so that a killed server leaves nothing behind.
            "dynamic_shared_memory_type=mmap",
            "shared_buffers=32MB",
            "min_wal_size=32MB",
            "max_wal_size=128MB",
            "fsync=on",
        ];
        for setting in fixed {
            command.args(["-c", setting]);
        }
        if self.options.tls.is_some() {
            command.args(["-c", "ssl=on"]);
        }
        if !self.options.fsync {
            command.arg("-F");
        }
        for setting in &self.options.settings {
            command.args(["-c", setting]);
        }
        command.envs(self.options.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a second handle on the log")).stderr(log);
        let mut process = Process::spawn(&mut command, Farewell::Quit, Some(self.directory.path()));
        wait::until("PostgreSQL answers", START, || {
            if let Some(status) = process.ended() {
                let log = fs::read_to_string(self.log_path()).unwrap_or_default();
                panic!("PostgreSQL ended with {status}:\n{log}");
            }
            self.psql().answers().then_some(())
        });
        *self.process.lock().unwrap() = Some(process);
    }

    /// A killed server leaves a few bytes of System V memory, which its last file names.
    fn release_memory(&self) {
        let left = fs::read_to_string(self.cluster().join("postmaster.pid")).unwrap_or_default();
        if let Some(segment) = left.lines().nth(6).and_then(|line| line.split_whitespace().nth(1)) {
            let _ = Command::new("ipcrm").args(["-m", segment]).stderr(Stdio::null()).status();
        }
    }

    fn psql(&self) -> Psql {
        Psql::new(self.directory.path(), self.port)
    }

    /// A program of PostgreSQL's, run as somebody whom it accepts.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(psql::program(name));
        command.current_dir(self.directory.path()).env_clear().env("LC_ALL", "C");
        if let Some(owner) = self.owner {
            command.uid(owner.user).gid(owner.group);
        }
        command
    }
}

impl Owner {
    fn for_this_process() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let users = fs::read_to_string("/etc/passwd").expect("the user list can be read");
        let line =
            users.lines().find(|line| line.starts_with("postgres:")).expect("there is a user postgres");
        let mut numbers = line.split(':').skip(2).map(|field| field.parse().expect("a user has numbers"));
        let (Some(user), Some(group)) = (numbers.next(), numbers.next()) else {
            panic!("not a user: {line}")
        };
        Some(Self { user, group })
    }
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("--archive").arg(from).arg(to).status().expect("cp starts");
    assert!(status.success(), "{} cannot be copied", from.display());
}
