//! Clients that never finish hold a connection to the load balancer for a few seconds, and none to a replica (X25).

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::stage::Stage;
use crate::support::smuggling::HEAD;
use crate::support::wire::{Wire, post};

/// More than a replica would like to serve.
const CLIENTS: usize = 200;
const GONE: Duration = Duration::from_secs(12);

/// Connections to this address that are open, from the side that accepted them.
fn connections_to(address: SocketAddr) -> usize {
    const ESTABLISHED: &str = "01";
    let local = format!("0100007F:{:04X}", address.port());
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let open = table.lines().filter(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.len() > 3 && words[1] == local && words[3] == ESTABLISHED
    });
    open.count()
}

#[test]
fn x25_slow_clients_hold_no_replica_and_are_sent_away() {
    let stage = Stage::with(1);
    let (address, replica) = (stage.balancer.address(), stage.replicas[0].address());
    let whole = post("/token", &stage.app.id, &stage.app.secret, "grant_type=client_credentials");
    let end = whole.find("\r\n\r\n").unwrap();
    let chunked = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n");
    let beginnings = [
        ("a head", whole[..end].to_owned(), "x"),
        ("a body", whole[..end + 6].to_owned(), "x"),
        ("a silent body", whole[..end + 4].to_owned(), ""),
        ("chunks", format!("{chunked}1\r\nx\r\n"), "1\r\nx\r\n"),
        ("nothing at all", String::new(), ""),
    ];
    let begun = Instant::now();
    let mut clients: Vec<(usize, Wire)> = (0..CLIENTS)
        .map(|number| {
            let kind = number % beginnings.len();
            let mut wire = Wire::to(address);
            wire.write(&beginnings[kind].1);
            (kind, wire)
        })
        .collect();
    let (mut most, mut served, mut longest) = (0, 0, Duration::ZERO);
    while begun.elapsed() < Duration::from_secs(3) {
        if served % 10 == 0 {
            for (kind, wire) in &mut clients {
                wire.write(beginnings[*kind].2);
            }
        }
        let asked = Instant::now();
        Wire::to(address).exchange(&whole).expect_status(200);
        longest = longest.max(asked.elapsed());
        served += 1;
        most = most.max(connections_to(replica));
        std::thread::sleep(Duration::from_millis(50));
    }
    println!(
        "{CLIENTS} slow clients: at most {most} connections to the replica; {served} others served, the slowest in {longest:?}"
    );
    // Those of the health check and of the honest client; none is a slow one's.
    assert!(most < 10, "{most} connections to the replica");
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    for (kind, mut wire) in clients {
        let what = beginnings[kind].0;
        let left = GONE.saturating_sub(begun.elapsed()).max(Duration::from_millis(1));
        let status = wire.try_read().ok().flatten().map(|answer| answer.status);
        assert!(matches!(status, Some(408 | 400) | None), "{what}: {status:?}");
        assert!(wire.closes_within(left), "{what}: still open after {:?}", begun.elapsed());
    }
    println!("all of them were sent away after {:?}", begun.elapsed());
    assert!(begun.elapsed() < GONE, "{:?}", begun.elapsed());
}

/// Past what the load balancer holds back, a body goes on to the replica, which has its own limit and lets go.
#[test]
fn x25_an_endless_body_is_cut_off_behind_the_load_balancer() {
    let stage = Stage::with(1);
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let mut wires = ["/token", "/introspect", "/revoke"].map(|path| {
        let mut wire = Wire::to(stage.balancer.address());
        wire.write(HEAD.replace("/token", path) + "Transfer-Encoding: chunked\r\n\r\n");
        for _ in 0..40 {
            wire.write(&chunk);
        }
        (path, wire)
    });
    for (path, wire) in &mut wires {
        assert_eq!(wire.read().status, 413, "{path}");
    }
    let begun = Instant::now();
    for (path, wire) in &mut wires {
        // As long as the load balancer waits for a client that is silent.
        assert!(wire.closes_within(Duration::from_secs(30)), "{path}");
    }
    println!("closed {:?} after the answer", begun.elapsed());
}

#[test]
fn x25_a_thousand_idle_connections_are_no_hindrance() {
    let stage = Stage::with(1);
    let address = stage.balancer.address();
    let idle: Vec<Wire> = (0..1_000).map(|_| Wire::to(address)).collect();
    let whole = post("/token", &stage.app.id, &stage.app.secret, "grant_type=client_credentials");
    let begun = Instant::now();
    Wire::to(address).exchange(&whole).expect_status(200);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(connections_to(stage.replicas[0].address()) < 10, "idle clients have no connection to a replica");
    drop(idle);
}

/// What the server itself cannot do (docs/RFC-COVERAGE.md, what is missing), the load balancer does.
#[test]
fn x25_a_slow_head_on_a_kept_connection_is_sent_away_by_the_load_balancer() {
    let stage = Stage::with(1);
    let whole = post("/token", &stage.app.id, &stage.app.secret, "grant_type=client_credentials");
    let mut wire = Wire::to(stage.balancer.address());
    wire.exchange(&whole).expect_status(200);
    wire.write("GET /livez HTT");
    assert!(wire.closes_within(Duration::from_secs(15)), "half a request line holds the connection");
}
