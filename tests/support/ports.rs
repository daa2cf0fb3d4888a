//! Free loopback ports that stay free while a server is down.
//!
//! The kernel gives outgoing connections a port from the ephemeral range. A port from there could be taken while a
//! test has its server stopped, so the harness takes ports from below it.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Mutex;

const LOWEST: u16 = 10_000;
const ATTEMPTS: usize = 1_000;

/// Ports already given out by this process, which may not have been bound yet.
static TAKEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());

/// A loopback port that nobody listens on now and that this process has not given out before.
pub fn free_port() -> u16 {
    let mut taken = TAKEN.lock().unwrap();
    for _ in 0..ATTEMPTS {
        let candidate = random_below_ephemeral();
        if !taken.contains(&candidate) && TcpListener::bind((Ipv4Addr::LOCALHOST, candidate)).is_ok() {
            taken.push(candidate);
            return candidate;
        }
    }
    panic!("no free port found on the loopback address");
}

/// A loopback address with a free port.
pub fn free_address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()))
}

fn random_below_ephemeral() -> u16 {
    let highest = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse::<u16>().ok())
        .filter(|first_ephemeral| *first_ephemeral > LOWEST + 1_000)
        .unwrap_or(32_768);
    // Test binaries of two runs on one machine must not walk the same ports in the same order.
    let random = RandomState::new().build_hasher().finish();
    let span = u64::from(highest - LOWEST);
    LOWEST + u16::try_from(random % span).unwrap()
}
