//! A real redis-server that can be killed, frozen and set back in time.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;
use std::{fs, io};

use tempfile::TempDir;

use super::authority::TlsFiles;
use super::process::{Farewell, Process, Signal};
use super::resp::{Reply, RespClient};
use super::{ports, scratch, wait};

const START: Duration = Duration::from_secs(10);
const COMMAND: Duration = Duration::from_secs(10);

/// How a server is set up. The default keeps its keys over a clean stop and loses them when killed.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// A password for the default user.
    pub password: Option<String>,
    /// A user with a password; the default user is then switched off.
    pub user: Option<(String, String)>,
    /// A file that says who may do what. It knows [`Self::user`], whom the harness then logs in as.
    pub acl_file: Option<PathBuf>,
    /// Whether keys survive a kill: every write is on disk before it is answered.
    pub appendonly: bool,
    /// What Redis does when its memory is full.
    pub maxmemory_policy: String,
    /// A second, encrypted port.
    pub tls: Option<TlsFiles>,
    /// A port of the caller's choice.
    pub port: Option<u16>,
    /// Further lines of redis.conf.
    pub extra: Vec<String>,
    /// Variables of the server process.
    pub environment: Vec<(String, String)>,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            password: None,
            user: None,
            acl_file: None,
            appendonly: false,
            maxmemory_policy: "noeviction".to_owned(),
            tls: None,
            port: None,
            extra: Vec::new(),
            environment: Vec::new(),
        }
    }
}

/// The keys of a moment.
#[derive(Clone)]
pub struct RedisDump(Vec<u8>);

/// A running redis-server. It dies when this is dropped.
pub struct RedisServer {
    // Before the directory, so that the process is gone when the directory goes.
    process: Mutex<Option<Process>>,
    options: RedisOptions,
    port: u16,
    tls_port: Option<u16>,
    directory: TempDir,
}

impl RedisServer {
    /// A server without a password.
    pub fn start() -> Self {
        Self::start_with(RedisOptions::default())
    }

    /// A server as asked for.
    pub fn start_with(options: RedisOptions) -> Self {
        let server = Self {
            process: Mutex::new(None),
            port: options.port.unwrap_or_else(ports::free_port),
            tls_port: options.tls.as_ref().map(|_| ports::free_port()),
            directory: scratch::directory("redis"),
            options,
        };
        server.write_configuration();
        server.spawn(&[]);
        server
    }

    /// The port, which stays the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// What `SYMBOLON_REDIS_URL` takes.
    pub fn url(&self) -> String {
        format!("redis://{}127.0.0.1:{}", self.userinfo(), self.port)
    }

    /// The same for the encrypted port.
    pub fn tls_url(&self) -> String {
        let port = self.tls_port.expect("RedisOptions::tls was given");
        format!("rediss://{}localhost:{port}", self.userinfo())
    }

    /// Where the server keeps its files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Starts it again on the same port, with what is on disk.
    pub fn restart(&self) {
        self.stop();
        self.spawn(&[]);
    }

    /// Ends it politely; it saves its keys.
    pub fn stop(&self) {
        if let Some(mut process) = self.process.lock().unwrap().take() {
            process.thaw();
            process.signal(Signal::TERM);
            process.wait(START).expect("redis-server stops when asked to");
        }
    }

    /// Ends it as a power cut would. `restart` brings it back.
    pub fn kill(&self) {
        if let Some(mut process) = self.process.lock().unwrap().take() {
            process.kill();
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

    /// Runs one command on a connection of its own; an error of Redis is a [`Reply::Error`].
    pub fn command<A: AsRef<[u8]>>(&self, arguments: &[A]) -> Reply {
        self.client()
            .and_then(|mut client| client.command(arguments))
            .unwrap_or_else(|error| panic!("redis-server on port {}: {error}", self.port))
    }

    /// A connection that is kept, as the user that the URL names.
    pub fn client(&self) -> io::Result<RespClient> {
        RespClient::connect(self.address(), self.credentials(), COMMAND)
    }

    /// How often each command ran since the last `CONFIG RESETSTAT`, by its name in small letters. Leave out what the
    /// harness itself sends (`info`, `auth`, `ping`) when you compare.
    pub fn command_calls(&self) -> BTreeMap<String, u64> {
        let stats = self.command(&["INFO", "commandstats"]).text();
        let parse = |line: &str| {
            let (name, numbers) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name.to_owned(), numbers.split(',').next()?.parse().ok()?))
        };
        stats.lines().filter_map(parse).collect()
    }

    /// All keys and their values as they are now.
    pub fn dump(&self) -> RedisDump {
        let reply = self.command(&["SAVE"]);
        assert!(!reply.is_error(), "SAVE: {reply:?}");
        RedisDump(fs::read(self.dump_path()).expect("SAVE wrote the dump"))
    }

    /// Replaces everything by an older dump, as an operator would: the server is restarted with it.
    pub fn restore(&self, dump: &RedisDump) {
        self.kill();
        // Redis prefers its append-only file to a dump, so that has to go, and to be switched on after loading.
        let _ = fs::remove_dir_all(self.directory.path().join("appendonlydir"));
        let _ = fs::remove_file(self.directory.path().join("appendonly.aof"));
        fs::write(self.dump_path(), &dump.0).expect("the dump can be written");
        self.spawn(&["--appendonly", "no"]);
        if self.options.appendonly {
            let reply = self.command(&["CONFIG", "SET", "appendonly", "yes"]);
            assert!(!reply.is_error(), "CONFIG SET appendonly: {reply:?}");
            wait::until_true("the append-only file is written", START, || {
                self.command(&["INFO", "persistence"]).text().contains("aof_rewrite_in_progress:0")
            });
        }
    }

    fn with_process(&self, verb: impl FnOnce(&mut Process)) {
        verb(self.process.lock().unwrap().as_mut().expect("redis-server is running"));
    }

    fn dump_path(&self) -> PathBuf {
        self.directory.path().join("dump.rdb")
    }

    fn credentials(&self) -> Option<(&str, &str)> {
        match (&self.options.user, &self.options.password) {
            (Some((user, password)), _) => Some((user, password)),
            (None, Some(password)) => Some(("default", password)),
            (None, None) => None,
        }
    }

    fn userinfo(&self) -> String {
        match (&self.options.user, &self.options.password) {
            (Some((user, password)), _) => format!("{user}:{password}@"),
            (None, Some(password)) => format!(":{password}@"),
            (None, None) => String::new(),
        }
    }

    fn write_configuration(&self) {
        let mut lines = format!(
            "bind 127.0.0.1\nport {}\ndir {}\nsave 3600 1\nmaxmemory-policy {}\n",
            self.port,
            self.directory.path().display(),
            self.options.maxmemory_policy,
        );
        if self.options.appendonly {
            lines.push_str("appendonly yes\nappendfsync always\n");
        }
        if let Some(file) = &self.options.acl_file {
            writeln!(lines, "aclfile {}", file.display()).unwrap();
        } else if let Some((user, password)) = &self.options.user {
            writeln!(lines, "user default off\nuser {user} on >{password} ~* &* +@all").unwrap();
        }
        if let Some(password) = &self.options.password {
            writeln!(lines, "requirepass {password}").unwrap();
        }
        if let (Some(port), Some(files)) = (self.tls_port, &self.options.tls) {
            let (certificate, key) = (files.certificate.display(), files.key.display());
            let authority = files.authority.display();
            writeln!(lines, "tls-port {port}\ntls-cert-file {certificate}\ntls-key-file {key}").unwrap();
            writeln!(lines, "tls-ca-cert-file {authority}\ntls-auth-clients no").unwrap();
        }
        if major_version() >= 7 {
            lines.push_str("enable-debug-command yes\n");
        }
        for line in &self.options.extra {
            writeln!(lines, "{line}").unwrap();
        }
        fs::write(self.directory.path().join("redis.conf"), lines).expect("redis.conf can be written");
    }

    fn spawn(&self, arguments: &[&str]) {
        let log = fs::File::create(self.directory.path().join("redis.log")).expect("the log can be made");
        let mut process = Process::spawn(
            Command::new("redis-server")
                .arg(self.directory.path().join("redis.conf"))
                .args(arguments)
                .envs(self.options.environment.iter().cloned())
                .stdin(Stdio::null())
                .stdout(log.try_clone().expect("a second handle on the log"))
                .stderr(log),
            Farewell::Kill,
            Some(self.directory.path()),
        );
        wait::until("redis-server answers", START, || {
            if let Some(status) = process.ended() {
                let log = fs::read_to_string(self.directory.path().join("redis.log")).unwrap_or_default();
                panic!("redis-server ended with {status}:\n{log}");
            }
            // While it loads its dump it answers -LOADING.
            let pong = self.client().and_then(|mut client| client.command(&["PING"])).ok()?;
            (!pong.is_error()).then_some(())
        });
        *self.process.lock().unwrap() = Some(process);
    }
}

fn major_version() -> u32 {
    static VERSION: OnceLock<u32> = OnceLock::new();
    *VERSION.get_or_init(|| {
        let output =
            Command::new("redis-server").arg("--version").output().expect("redis-server is installed");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text.split_once("v=").and_then(|(_, rest)| rest.split('.').next()?.parse().ok());
        version.unwrap_or_else(|| panic!("no version in {text:?}"))
    })
}
