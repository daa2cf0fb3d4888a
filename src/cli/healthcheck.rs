//! `healthcheck`: asks this server's own management listener how it is, for images that hold neither a
//! shell nor curl.
//!
//! Ready is the default: what starts after this server wants to know whether it answers. Whoever kills
//! what is unhealthy must ask `--live` instead: a store that is down is mended by no restart.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use super::CliError;
use super::arguments::Healthcheck;
use super::output::Output;
use crate::config::{Config, Sources};

/// Longer than `/readyz` waits for a store that hangs, shorter than anybody waits for this command.
const PATIENCE: Duration = Duration::from_secs(3);
/// No answer of ours is longer.
const LONGEST_ANSWER: u64 = 64 * 1024;

pub fn run(command: &Healthcheck, sources: &Sources, output: &Output) -> Result<ExitCode, CliError> {
    let address = reachable(Config::load(sources)?.management_listen);
    let (path, healthy, unhealthy) = match command.live {
        true => ("/livez", "alive", "not alive"),
        false => ("/readyz?verbose", "ready", "not ready"),
    };
    let answer = get(address, path).map_err(|error| {
        CliError::Failed(format!("{unhealthy}: nothing answers on {address} ({})", explain(&error)))
    })?;
    match status(&answer) {
        Some(200) => {
            output.result(healthy, &json!({ "status": healthy }))?;
            Ok(ExitCode::SUCCESS)
        }
        Some(503) => Err(CliError::Failed(format!("{unhealthy}: {}", failures(&answer)))),
        _ => Err(CliError::Failed(format!(
            "{unhealthy}: what answers on {address} is no management listener of symbolon"
        ))),
    }
}

/// Where a listener is reached from its own machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(LONGEST_ANSWER).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => format!("silent for {PATIENCE:?}"),
        _ => error.to_string(),
    }
}

fn status(answer: &str) -> Option<u16> {
    answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

/// The checks that fail, in one line.
fn failures(answer: &str) -> String {
    let failures: Vec<&str> = answer.lines().filter_map(|line| line.strip_prefix("[-]")).collect();
    if failures.is_empty() { "it does not say why".to_owned() } else { failures.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_reached_over_loopback() {
        for (listen, expected) in [
            ("0.0.0.0:9080", "127.0.0.1:9080"),
            ("[::]:9080", "[::1]:9080"),
            ("127.0.0.1:9080", "127.0.0.1:9080"),
            ("10.1.2.3:9081", "10.1.2.3:9081"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()), expected.parse().unwrap(), "{listen}");
        }
    }

    #[test]
    fn what_fails_is_told_in_one_line() {
        let answer = "HTTP/1.1 503 Service Unavailable\r\n\r\n[+]sql ok\n[-]redis failed: gone\n[-]lease failed: none\n";
        assert_eq!(status(answer), Some(503));
        assert_eq!(failures(answer), "redis failed: gone; lease failed: none");
        assert_eq!(status("SSH-2.0-OpenSSH"), None);
        assert_eq!(status(""), None);
    }
}
