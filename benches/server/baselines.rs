//! What Symbolon is compared with, as running processes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::load::{self, Target};
use crate::support::actors::Token;
use crate::support::http::{self, Request};
use crate::support::process::{Farewell, Process};
use crate::support::redis::{RedisOptions, RedisServer};
use crate::support::{ports, wait};

const START: Duration = Duration::from_secs(20);
/// The one caller that the baselines know.
const CALLER: (&str, &str) = ("caller", "secret");
const TOKENS: usize = 1000;

/// A running baseline.
pub struct Baseline {
    process: Process,
    address: SocketAddr,
    name: &'static str,
    _redis: Option<RedisServer>,
}

impl Baseline {
    /// One of `benches/baseline`.
    pub fn start(name: &'static str, variant: &str) -> Self {
        Self::start_built("baseline", name, variant)
    }

    /// The same with Symbolon's allocator.
    pub fn start_with_mimalloc(name: &'static str, variant: &str) -> Self {
        Self::start_built("baseline-mimalloc", name, variant)
    }

    fn start_built(program: &str, name: &'static str, variant: &str) -> Self {
        let redis = (!matches!(variant, "constant" | "memory")).then(redis);
        let address = ports::free_address();
        let mut command = Command::new(example(program));
        command.args([variant, &address.to_string()]);
        command.args(redis.as_ref().map(RedisServer::url));
        Self::spawn(command, name, address, redis)
    }

    /// node-oidc-provider with so many processes, if `scripts/bench` has installed it.
    pub fn node(name: &'static str, processes: usize) -> Option<Self> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/node-oidc-provider");
        if !directory.join("node_modules").is_dir() {
            return None;
        }
        let (redis, address) = (redis(), ports::free_address());
        let mut command = Command::new("node");
        command.arg("server.mjs").arg(address.port().to_string()).arg(processes.to_string()).arg(redis.url());
        command.current_dir(directory);
        Some(Self::spawn(command, name, address, Some(redis)))
    }

    fn spawn(
        mut command: Command,
        name: &'static str,
        address: SocketAddr,
        redis: Option<RedisServer>,
    ) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process::spawn(&mut command, Farewell::Kill, None);
        let baseline = Self { process, address, name, _redis: redis };
        wait::until_true(name, START, || std::net::TcpStream::connect(baseline.address).is_ok());
        baseline
    }

    /// The constant answer.
    pub fn constant(&mut self) -> Target {
        self.target("/constant", vec!["token=x".to_owned()])
    }

    /// Introspections of a thousand tokens, which are minted first.
    pub fn introspection(&mut self) -> Target {
        let tokens: Vec<String> = (0..TOKENS).map(|_| self.mint().0).collect();
        let target = self.target("/introspect", load::token_forms(&tokens));
        for token in &tokens {
            let request = Request::post(self.url("/introspect")).form(&[("token", token)]);
            let answer = request.basic(CALLER.0, CALLER.1).send().expect_status(200);
            assert_eq!(answer.json()["active"], true, "{} introspects", self.name);
        }
        target
    }

    /// Mints.
    pub fn minting(&mut self) -> Target {
        self.target("/token", vec!["grant_type=client_credentials".to_owned()])
    }

    fn mint(&self) -> Token {
        let form = [("grant_type", "client_credentials")];
        let answer = http::post_form(&self.url("/token"), &form, Some(CALLER)).expect_status(200).json();
        Token(answer["access_token"].as_str().expect("an access token").to_owned())
    }

    fn target(&mut self, path: &str, bodies: Vec<String>) -> Target {
        Target::new(self.name, self.url(path), self.process.family(), CALLER, bodies)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// A dump to disk in the middle of a run would be measured too.
pub fn redis() -> RedisServer {
    RedisServer::start_with(without_dumps())
}

pub fn without_dumps() -> RedisOptions {
    RedisOptions { extra: vec!["save \"\"".to_owned()], ..RedisOptions::default() }
}

/// An example of this package, built like the server under test, which it lies beside.
fn example(name: &str) -> PathBuf {
    let directory =
        Path::new(env!("CARGO_BIN_EXE_symbolon")).parent().expect("the binary lies in a directory");
    let path = directory.join("examples").join(name);
    assert!(path.is_file(), "{} is not built; run scripts/bench", path.display());
    path
}
