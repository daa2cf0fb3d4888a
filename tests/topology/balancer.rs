//! haproxy with the configuration of `deploy/`, in front of processes instead of containers.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::files::{Balancing, read};
use crate::support::cli::read_lossy;
use crate::support::http::Request;
use crate::support::process::{Farewell, Process};
use crate::support::{ports, scratch, wait};

const START: Duration = Duration::from_secs(20);

/// A running haproxy. It dies when this is dropped.
pub struct Balancer {
    // Before the directory, so that the process is gone when the directory goes.
    _process: Process,
    address: SocketAddr,
    directory: TempDir,
}

/// A line of its log: a request and where it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    pub server: String,
    pub status: u16,
    pub retries: String,
    pub path: String,
}

impl Balancer {
    /// Starts it before these replicas; returns when it sends requests to one of them.
    pub fn before(replicas: &[SocketAddr], change: impl Fn(String) -> String) -> Self {
        let directory = scratch::directory("haproxy");
        let address = ports::free_address();
        let text = change(configuration(address, replicas));
        let path = directory.path().join("haproxy.cfg");
        fs::write(&path, text).expect("the configuration can be written");
        let log = |name: &str| File::create(directory.path().join(name)).expect("a log can be made");
        let mut process = Process::spawn(
            Command::new(program())
                .args(["-db", "-f"])
                .arg(&path)
                .stdin(Stdio::null())
                .stdout(log("stdout"))
                .stderr(log("stderr")),
            Farewell::Kill,
            Some(directory.path()),
        );
        wait::until("haproxy finds a replica ready", START, || {
            if let Some(status) = process.ended() {
                panic!("haproxy ended with {status}:\n{}", read_lossy(&directory.path().join("stderr")));
            }
            let probe = Request::get(format!("http://{address}/readyz")).limit(START).try_send();
            probe.is_ok_and(|answer| answer.status == 200).then_some(())
        });
        Self { _process: process, address, directory }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn log(&self) -> String {
        read_lossy(&self.directory.path().join("stdout"))
    }

    /// Every request that it has written down.
    pub fn passed(&self) -> Vec<Passed> {
        self.log().lines().filter_map(passed).collect()
    }
}

/// Debian keeps it where only root looks.
fn program() -> &'static str {
    let debian = "/usr/sbin/haproxy";
    if Path::new(debian).exists() { debian } else { "haproxy" }
}

/// The file of the repository, with our addresses in place of the containers' names.
fn configuration(address: SocketAddr, replicas: &[SocketAddr]) -> String {
    let text = read("deploy/haproxy.cfg");
    let Balancing { bind, servers, .. } = Balancing::parse(&text);
    let (first, _) = &servers[0];
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["bind", ..] => lines.push(line.replace(&bind, &address.to_string())),
            // As many as there are, in place of the first.
            ["server", name, _, further @ ..] if name == first => {
                let further = further.join(" ");
                let named = replicas.iter().zip(1..);
                lines.extend(named.map(|(replica, n)| format!("    server replica-{n} {replica} {further}")));
            }
            ["server", ..] => {}
            _ => lines.push(line.to_owned()),
        }
    }
    lines.join("\n") + "\n"
}

/// After the `log-format` of the file: client, backend/server, timers, status, how it ended, retries, method, path.
fn passed(line: &str) -> Option<Passed> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, target, _, status, _, retries, _, path] = words.as_slice() else { return None };
    let (_, server) = target.split_once('/')?;
    Some(Passed {
        server: server.to_owned(),
        status: status.parse().ok()?,
        retries: retries.strip_prefix("retries=")?.to_owned(),
        path: (*path).to_owned(),
    })
}
