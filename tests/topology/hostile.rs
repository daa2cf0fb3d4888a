//! What an attacker sends to the load balancer (X24, X30): two servers in a row read every byte alike, or the first one
//! refuses it.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use crate::balancer::{Balancer, Passed};
use crate::stage::Stage;
use crate::support::http::{self, Request};
use crate::support::smuggling::{CHUNKS, HEAD, LENGTHS, REQUEST_LINES};
use crate::support::symbolon::Server;
use crate::support::wait;
use crate::support::wire::{Wire, post};

/// What is smuggled: an endpoint that nobody else asks for here, and that counts its requests.
const SMUGGLED: &str = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
/// What haproxy may send on, for the standard reads it in one way only, and it frames the message anew: of both lengths
/// the chunks count, and the connection ends (RFC 9112 §6.3); equal lengths are one; folded lines are joined. What stands
/// behind it is then never read, or a request of its own for both servers.
const SENT_ON: &[&str] = &[
    "CL and TE",
    "TE and CL",
    "CL 0 and TE",
    "twice the same CL",
    "a CL of two",
    "folded TE",
    "a folded header",
    "a NUL in a header",
    "a bare LF",
];
const PATIENCE: Duration = Duration::from_secs(10);

/// Requests for the smuggled endpoint that a replica has answered.
fn seen_by(server: &Server) -> u64 {
    let metrics = http::get(&server.management_url("/metrics")).expect_status(200).text();
    let counts = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix("symbolon_http_requests_total{endpoint=\"openapi\"")?;
        rest.rsplit_once(' ')?.1.parse::<u64>().ok()
    });
    counts.sum()
}

/// What the load balancer sent on, by its own log.
fn sent_by(balancer: &Balancer) -> Vec<Passed> {
    balancer.passed().into_iter().filter(|passed| passed.server.starts_with("replica-")).collect()
}

fn smuggled(sent: &[Passed]) -> u64 {
    u64::try_from(sent.iter().filter(|passed| passed.path == "/openapi.json").count()).unwrap()
}

fn minted(sent: &[Passed]) -> usize {
    sent.iter().filter(|passed| passed.path == "/token" && passed.status == 200).count()
}

/// The statuses of all answers on one connection, which the load balancer has to end.
fn answers(address: SocketAddr, what: &str, bytes: &[u8]) -> Vec<u16> {
    let mut wire = Wire::to(address);
    wire.write(bytes);
    let mut statuses = Vec::new();
    loop {
        match wire.try_read() {
            Ok(Some(answer)) => statuses.push(answer.status),
            Ok(None) => return statuses,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return statuses,
            Err(error) => panic!("{what}: the connection is open after {statuses:?}: {error}"),
        }
    }
}

/// Every ambiguous message, each followed by a request that must not be hidden in it.
fn ambiguous() -> Vec<(String, String)> {
    let lengths = LENGTHS
        .iter()
        .map(|(what, headers, body)| ((*what).to_owned(), format!("{HEAD}{headers}\r\n{body}{SMUGGLED}")));
    let chunks = CHUNKS.iter().map(|(what, body)| {
        ((*what).to_owned(), format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n{body}{SMUGGLED}"))
    });
    let lines = REQUEST_LINES
        .iter()
        .map(|(what, line)| ((*what).to_owned(), line.replace("/livez", "/openapi.json") + SMUGGLED));
    lengths.chain(chunks).chain(lines).collect()
}

/// Connections of different clients are mixed on those to the replicas as far as haproxy can: an answer that one message
/// leaves behind would then be another client's.
fn nothing_is_smuggled(change: impl Fn(String) -> String) {
    let stage = Stage::start(1, &[], change);
    let (address, server) = (stage.balancer.address(), &stage.replicas[0]);
    let whole = post("/token", &stage.app.id, &stage.app.secret, "grant_type=client_credentials");
    let mut refused = 0;
    for (what, bytes) in ambiguous() {
        let (before, seen) = (sent_by(&stage.balancer), seen_by(server));
        let statuses = answers(address, &what, bytes.as_bytes());
        // Somebody else's request right behind it gets its own answer.
        let mut other = Wire::to(address);
        for _ in 0..2 {
            let answer = other.exchange(&whole).expect_status(200);
            assert!(answer.json()["access_token"].is_string(), "{what}: {}", answer.text());
        }
        let after = wait::until("what was sent is written down", PATIENCE, || {
            Some(sent_by(&stage.balancer)).filter(|after| minted(after) == minted(&before) + 2)
        });
        let (sent, seen) = (smuggled(&after) - smuggled(&before), seen_by(server) - seen);
        let sent_on = after.len() - before.len() - 2;
        println!("{what}: {statuses:?}, {sent_on} requests sent on");
        assert_eq!(seen, sent, "{what}: the replica saw requests that the load balancer did not send");
        assert!(statuses.len() <= sent_on.max(1), "{what}: {statuses:?} for {sent_on} requests");
        assert!(matches!(statuses.first(), None | Some(400 | 501)), "{what}: {statuses:?}");
        assert!(sent_on == 0 || SENT_ON.contains(&what.as_str()), "{what}: it was sent on");
        refused += usize::from(sent_on == 0);
    }
    println!("{refused} ambiguous messages were refused, {} sent on", ambiguous().len() - refused);
    // The count counts: the same request, alone, is seen by both.
    let (sent, seen) = (smuggled(&sent_by(&stage.balancer)), seen_by(server));
    Wire::to(address).exchange(SMUGGLED).expect_status(200);
    wait::until_true("both have counted it", PATIENCE, || {
        (smuggled(&sent_by(&stage.balancer)) - sent, seen_by(server) - seen) == (1, 1)
    });
}

#[test]
fn x24_nothing_is_smuggled_through_the_load_balancer() {
    nothing_is_smuggled(|configuration| configuration);
}

#[test]
fn x24_nothing_is_smuggled_when_all_clients_share_one_connection() {
    nothing_is_smuggled(|configuration| {
        configuration.replace("    balance roundrobin", "    balance roundrobin\n    http-reuse always")
    });
}

#[test]
fn x24_too_many_and_too_large_headers_are_refused_before_a_replica() {
    let stage = Stage::with(2);
    let many = (0..1_000).map(|n| format!("X-{n}: y\r\n")).collect::<Vec<_>>().concat();
    let large = format!("X-Large: {}\r\n", "y".repeat(200_000));
    let long = "y".repeat(20_000);
    for (what, head) in [
        ("1000 headers", format!("GET /openapi.json HTTP/1.1\r\nHost: x\r\n{many}\r\n")),
        ("a header of 200 kB", format!("GET /openapi.json HTTP/1.1\r\nHost: x\r\n{large}\r\n")),
        ("a target of 20 kB", format!("GET /openapi.json?{long} HTTP/1.1\r\nHost: x\r\n\r\n")),
    ] {
        let seen: u64 = stage.replicas.iter().map(seen_by).sum();
        let statuses = answers(stage.balancer.address(), what, head.as_bytes());
        println!("{what}: {statuses:?}");
        assert!(statuses.iter().all(|status| matches!(status, 400 | 414 | 431)), "{what}: {statuses:?}");
        assert_eq!(stage.replicas.iter().map(seen_by).sum::<u64>(), seen, "{what}");
    }
}

#[test]
fn x30_no_header_changes_the_issuer_behind_the_load_balancer() {
    let stage = Stage::with(2);
    let issuer = &stage.environment["SYMBOLON_ISSUER"];
    let token = stage.app.mint(&stage.replicas[0]);
    for (name, value) in [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-port", "443"),
        ("x-forwarded-prefix", "/evil"),
        ("x-real-ip", "127.0.0.1"),
        ("forwarded", "for=127.0.0.1;host=evil.example;proto=https"),
        ("x-original-url", "/openapi.json"),
        ("x-rewrite-url", "/openapi.json"),
    ] {
        // As often as there are replicas.
        for _ in &stage.replicas {
            let request = Request::get(stage.balancer.url("/.well-known/oauth-authorization-server"));
            let metadata = request.header(name, value).send().expect_status(200).json();
            assert_eq!(metadata["issuer"], issuer.as_str(), "{name}");
            assert_eq!(metadata["token_endpoint"], format!("{issuer}/token"), "{name}");
            let request = Request::post(stage.balancer.url("/introspect"))
                .form(&[("token", token.as_str())])
                .basic(&stage.api.id, &stage.api.secret);
            let answer = request.header(name, value).send().expect_status(200).json();
            assert_eq!(
                (&answer["active"], &answer["iss"]),
                (&true.into(), &issuer.as_str().into()),
                "{name}"
            );
        }
    }
}

/// What somebody puts into a query by mistake is refused, and stays out of this log too.
#[test]
fn x23_no_query_and_no_body_is_in_the_load_balancers_log() {
    let stage = Stage::with(2);
    let token = stage.app.mint(&stage.replicas[0]);
    Request::get(stage.balancer.url(&format!("/introspect?token={}", token.as_str()))).send();
    let request = Request::post(stage.balancer.url("/introspect")).form(&[("token", token.as_str())]);
    request.basic(&stage.api.id, &stage.api.secret).send().expect_status(200);
    wait::until_true("the requests are written down", PATIENCE, || {
        stage.balancer.passed().iter().filter(|passed| passed.path == "/introspect").count() >= 2
    });
    let log = stage.balancer.log();
    assert!(!log.contains(token.as_str()) && !log.contains(&stage.api.secret), "a secret is in the log");
}
