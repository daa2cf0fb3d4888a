//! Load by wrk: 64 kept connections that ask as fast as they are answered.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use symbolon::domain::entropy::SystemEntropy;
use symbolon::domain::identifier::GrantId;
use symbolon::domain::token::{PlainToken, TokenKind};
use symbolon::domain::token_key::TokenKeys;
use tempfile::TempDir;

use crate::support::{encoding, scratch};

const CONNECTIONS: usize = 64;
const THREADS: usize = 2;
/// `/proc/PID/stat` counts in hundredths of a second (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// Each of wrk's threads has its own share of the bodies, and sends them one after the other, again and again.
const SCRIPT: &str = r#"
local threads = 0
function setup(thread)
    thread:set("id", threads)
    threads = threads + 1
end
function init()
    local headers = {
        ["Authorization"] = "@authorization@",
        ["Content-Type"] = "application/x-www-form-urlencoded",
    }
    requests, at = {}, 0
    local line = 0
    for body in io.lines("@directory@/bodies") do
        if line % @threads@ == id then table.insert(requests, wrk.format("POST", nil, headers, body)) end
        line = line + 1
    end
    if "@keep@" == "yes" then tokens = io.open("@directory@/tokens-" .. id, "a") end
end
function request()
    at = at % #requests + 1
    return requests[at]
end
if "@keep@" == "yes" then
    function response(_, _, body)
        tokens:write(body:match('"access_token":"([^"]+)"') or "?", "\n")
    end
end
function done(summary, latency)
    local errors = summary.errors
    print(("RESULT %d %d %d %d %d"):format(
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        errors.connect + errors.read + errors.write + errors.timeout + errors.status))
end
"#;

/// What to ask, of whom.
pub struct Target {
    /// What the tables call it.
    pub name: String,
    url: String,
    /// Whose processor time is counted.
    processes: Vec<u32>,
    directory: TempDir,
}

/// What one run of wrk saw.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub requests: f64,
    pub per_second: f64,
    pub p50: Duration,
    pub p99: Duration,
    /// Processor time of the server, per request, in microseconds.
    pub cpu_micros: f64,
}

impl Target {
    /// `bodies` are sent with these credentials, one after the other.
    pub fn new(
        name: &str,
        url: String,
        processes: Vec<u32>,
        credentials: (&str, &str),
        bodies: impl IntoIterator<Item = String>,
    ) -> Self {
        let mut bodies: Vec<String> = bodies.into_iter().collect();
        assert!(!bodies.is_empty(), "{name} has something to ask");
        // Every thread needs one.
        while bodies.len() < THREADS {
            bodies.extend_from_within(..);
        }
        let directory = scratch::directory("wrk");
        let target = Self { name: name.to_owned(), url, processes, directory };
        fs::write(target.directory.path().join("bodies"), bodies.join("\n"))
            .expect("the bodies can be written");
        for (file, keep) in [("load.lua", "no"), ("keep.lua", "yes")] {
            let script = SCRIPT
                .replace("@authorization@", &encoding::basic(credentials.0, credentials.1))
                .replace("@directory@", &target.directory.path().display().to_string())
                .replace("@threads@", &THREADS.to_string())
                .replace("@keep@", keep);
            fs::write(target.directory.path().join(file), script).expect("the script can be written");
        }
        target
    }

    /// What a script of its own asks, which finds `files` in `@directory@`, has `@threads@` threads, and prints the
    /// same line at its end.
    pub fn scripted(
        name: &str,
        url: String,
        processes: Vec<u32>,
        script: &str,
        files: &[(&str, String)],
    ) -> Self {
        let target = Self { name: name.to_owned(), url, processes, directory: scratch::directory("wrk") };
        let place = target.directory.path();
        let script = script.replace("@directory@", &place.display().to_string());
        let script = script.replace("@threads@", &THREADS.to_string());
        fs::write(place.join("load.lua"), script).expect("the script can be written");
        for (file, text) in files {
            fs::write(place.join(file), text).expect("what the script reads can be written");
        }
        target
    }

    /// The lines of a file that a script of its own has left.
    pub fn left(&self, file: &str) -> Vec<String> {
        lines(&self.directory.path().join(file))
    }

    /// Asks for so long. Any answer that is not 200, and any connection that breaks, ends the benchmark.
    pub fn run(&self, seconds: u64) -> Run {
        self.run_script("load.lua", seconds)
    }

    /// The same, keeping the tokens in the answers, which [`Self::kept`] then returns.
    pub fn run_and_keep(&self, seconds: u64) -> Run {
        self.run_script("keep.lua", seconds)
    }

    /// Every token that was kept.
    pub fn kept(&self) -> Vec<String> {
        let files = (0..THREADS).map(|id| self.directory.path().join(format!("tokens-{id}")));
        files.flat_map(|file| lines(&file)).filter(|token| token.starts_with("sya_")).collect()
    }

    fn run_script(&self, script: &str, seconds: u64) -> Run {
        let before = self.cpu();
        let output = Command::new("wrk")
            .args([
                &format!("-t{THREADS}"),
                &format!("-c{CONNECTIONS}"),
                &format!("-d{seconds}s"),
                "--timeout=10s",
                "-s",
            ])
            .arg(self.directory.path().join(script))
            .arg(&self.url)
            .output()
            .expect("wrk is installed; scripts/bench does that");
        let cpu = self.cpu().saturating_sub(before);
        let text = String::from_utf8_lossy(&output.stdout);
        let numbers: Vec<f64> = text
            .lines()
            .find_map(|line| line.strip_prefix("RESULT "))
            .unwrap_or_else(|| {
                panic!("wrk on {}: {text}{}", self.name, String::from_utf8_lossy(&output.stderr))
            })
            .split(' ')
            .map(|number| number.parse().expect("a number"))
            .collect();
        let &[requests, micros, p50, p99, errors] = numbers.as_slice() else {
            panic!("five numbers: {text}")
        };
        assert!(errors == 0.0, "{} had {errors} errors:\n{text}", self.name);
        Run {
            requests,
            per_second: requests / micros * 1e6,
            p50: Duration::from_secs_f64(p50 / 1e6),
            p99: Duration::from_secs_f64(p99 / 1e6),
            cpu_micros: cpu.as_secs_f64() * 1e6 / requests,
        }
    }

    fn cpu(&self) -> Duration {
        self.processes.iter().map(|process| cpu_time(*process)).sum()
    }
}

/// What a process has used of the processors since it began.
fn cpu_time(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("the server runs");
    // The name, in brackets, may hold anything.
    let (_, fields) = stat.rsplit_once(") ").expect("a name in brackets");
    let ticks = |field: usize| fields.split(' ').nth(field - 3).and_then(|text| text.parse::<u32>().ok());
    TICK * (ticks(14).expect("utime") + ticks(15).expect("stime"))
}

/// A figure of `/proc/PID/status`, in bytes.
pub fn resident_bytes(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the server runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// The form of an introspection, for each token.
pub fn token_forms<T: AsRef<str>>(tokens: &[T]) -> Vec<String> {
    tokens.iter().map(|token| encoding::form(&[("token", token.as_ref())])).collect()
}

/// Texts that nobody takes for tokens who checks the checksum; and forgeries, of which only the tag is wrong.
pub fn junk_forms() -> Vec<String> {
    let keys = TokenKeys::from_secrets([[7; 32]]).expect("a key");
    let forged = (0..500).map(|_| {
        let grant = GrantId::generate(&SystemEntropy).expect("random bytes");
        let token = PlainToken::generate(TokenKind::Access, grant, &keys, &SystemEntropy);
        token.expect("random bytes").expose().to_owned()
    });
    let junk = (0..500).map(|number| format!("sya_{number:056}"));
    token_forms(&forged.chain(junk).collect::<Vec<_>>())
}

fn lines(file: &Path) -> Vec<String> {
    let file = fs::File::open(file).map(BufReader::new);
    file.and_then(|file| file.lines().collect()).unwrap_or_default()
}
