//! Bytes that two servers in a row may understand differently, and clients that never finish (X24, X25).

use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::expect::json_200;
use crate::support::deployment::Plan;
use crate::support::http::{self, Request};
use crate::support::smuggling::{CHUNKS, HEAD, LENGTHS, REQUEST_LINES, SMUGGLED};
use crate::wire::{Wire, post};
use crate::world::{World, embedded};

/// Sends bytes; exactly one answer with one of these statuses comes back, and the connection ends.
#[track_caller]
fn refused_and_closed(world: &World, what: &str, bytes: &[u8], statuses: &[u16]) {
    let mut wire = Wire::to(world.server().address());
    wire.write(bytes);
    let status = wire.read().status;
    assert!(statuses.contains(&status), "{what}: {status}");
    let begun = Instant::now();
    let more = wire.try_read();
    assert!(matches!(more, Ok(None) | Err(_)), "{what}: a second answer: {more:?}");
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{what}: the connection is open after {:?}",
        begun.elapsed()
    );
}

#[test]
fn x24_two_lengths_are_never_guessed_between() {
    let world = embedded();
    for (what, headers, body) in LENGTHS {
        refused_and_closed(
            world,
            what,
            format!("{HEAD}{headers}\r\n{body}{SMUGGLED}").as_bytes(),
            &[400, 501],
        );
    }
}

#[test]
fn x24_malformed_chunks_end_the_connection() {
    let world = embedded();
    let (app, head) = (&world.app, format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n"));
    for (what, body) in CHUNKS {
        refused_and_closed(world, what, format!("{head}{body}{SMUGGLED}").as_bytes(), &[400]);
    }
    // And a good one is read.
    let form = "grant_type=client_credentials";
    let credentials = format!("&client_id={}&client_secret={}", app.id, app.secret);
    let body =
        format!("{:x}\r\n{form}\r\n{:X};ext=1\r\n{credentials}\r\n0\r\n\r\n", form.len(), credentials.len());
    let mut wire = Wire::to(world.server().address());
    json_200(wire.exchange(format!("{head}{body}")));
    json_200(wire.exchange(format!("{head}{body}")));
}

#[test]
fn x24_request_lines_that_are_none() {
    let world = embedded();
    for (what, line) in REQUEST_LINES {
        refused_and_closed(world, what, line.as_bytes(), &[400]);
    }
}

#[test]
fn x24_too_many_and_too_large_headers_are_refused() {
    let world = embedded();
    let many = (0..1_000).map(|n| format!("X-{n}: y\r\n")).collect::<Vec<_>>().concat();
    let large = |length| format!("X-Large: {}\r\n", "y".repeat(length));
    let several = (0..9).map(|n| format!("X-{n}: {}\r\n", "y".repeat(8_000))).collect::<Vec<_>>().concat();
    for (what, headers) in [
        ("1000 headers", many),
        ("nine headers of 8 kB", several),
        ("a header of 66 kB", large(66_000)),
        ("a header of 130 kB", large(130_000)),
        ("a header of 200 kB", large(200_000)),
    ] {
        for line in ["GET /livez", "GET /nothing", "GET /login", "POST /introspect", "POST /livez"] {
            let bytes = format!("{line} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n{headers}\r\n");
            refused_and_closed(world, &format!("{line}: {what}"), bytes.as_bytes(), &[400, 431]);
        }
        let management = Request::get(world.server().management_url("/livez"));
        let answer = management.header("x-large", &"y".repeat(66_000)).send();
        assert_eq!((answer.status, answer.header("connection")), (431, Some("close")));
    }
    let lawful = format!("GET /livez HTTP/1.1\r\nHost: x\r\n{}\r\n", large(65_000));
    assert_eq!(Wire::to(world.server().address()).exchange(lawful).status, 200);
    let answer =
        http::raw(world.server().address(), SMUGGLED.as_bytes(), Duration::from_millis(200)).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "others are served on");
}

#[test]
fn x25_an_endless_body_is_cut_off() {
    let world = embedded();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for path in ["/token", "/introspect", "/revoke", "/nothing", "/livez"] {
        let mut wire = Wire::to(world.server().address());
        wire.write(HEAD.replace("/token", path) + "Transfer-Encoding: chunked\r\n\r\n");
        for _ in 0..40 {
            wire.write(&chunk);
        }
        let status = wire.read().status;
        let expected = match path {
            "/nothing" => 404,
            "/livez" => 405,
            _ => 413,
        };
        assert_eq!(status, expected, "{path}");
        assert!(wire.closes_within(Duration::from_secs(8)), "{path}");
    }
}

/// A head or a body that arrives a byte at a time holds a connection for a few seconds, and nobody else's.
#[test]
fn x25_slow_clients_are_sent_away() {
    let world = embedded();
    let (app, address) = (&world.app, world.server().address());
    let whole = post("/token", &app.id, &app.secret, "grant_type=client_credentials");
    let end = whole.find("\r\n\r\n").unwrap();
    let chunked = |body: &str| format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n{body}");
    let slow = |beginning: &str, drip: &str| {
        let begun = Instant::now();
        let mut wire = Wire::to(address);
        wire.write(beginning);
        while begun.elapsed() < Duration::from_secs(4) {
            std::thread::sleep(Duration::from_millis(500));
            wire.write(drip);
        }
        let status = wire.try_read().ok().flatten().map(|answer| answer.status);
        assert!(wire.closes_within(Duration::from_secs(8)), "still open after {:?}", begun.elapsed());
        (status, begun.elapsed())
    };
    let (in_head, in_body) = ([Some(408), None], [Some(400), Some(408)]);
    std::thread::scope(|threads| {
        let clients = [
            ("a silent head", whole[..end].to_owned(), "", in_head),
            ("a dripping head", whole[..end].to_owned(), "x", in_head),
            ("a dripping body", whole[..end + 6].to_owned(), "x", in_body),
            ("a silent body", whole[..end + 4].to_owned(), "", in_body),
            ("dripping chunks", chunked("1\r\nx\r\n"), "1\r\nx\r\n", in_body),
            ("a silent chunk", chunked("ff\r\nx"), "", in_body),
            ("nothing at all", String::new(), "", in_head),
        ];
        let clients = clients.map(|(what, beginning, drip, statuses)| {
            (what, statuses, threads.spawn(move || slow(&beginning, drip)))
        });
        // Meanwhile others are served as ever.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(3) {
            let asked = Instant::now();
            app.mint(world.server());
            assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        }
        for (what, statuses, client) in clients {
            let (status, took) = client.join().unwrap_or_else(|_| panic!("{what} holds its connection"));
            assert!(statuses.contains(&status), "{what}: {status:?}");
            assert!(took < Duration::from_secs(15), "{what}: {took:?}");
        }
    });
}

/// A second request on a kept connection is no way to hold it for ever.
#[test]
#[ignore = "actix-http gives a deadline only to the first head on a connection; docs/RFC-COVERAGE.md, what is missing"]
fn x25_a_slow_head_on_a_kept_connection_is_sent_away_too() {
    let world = embedded();
    let mut wire = Wire::to(world.server().address());
    assert_eq!(wire.exchange(SMUGGLED).status, 200);
    wire.write("GET /livez HTT");
    assert!(wire.closes_within(Duration::from_secs(15)), "half a request line holds the connection");
}

/// More than a shell allows a process by default: the server takes what it may have.
#[test]
fn x25_ten_thousand_idle_connections_are_no_hindrance() {
    const IDLE: u64 = 10_000;
    let allowed = getrlimit(Resource::Nofile);
    let enough = allowed.maximum.is_none_or(|most| most > IDLE + 1_000);
    assert!(enough, "this machine allows a process {:?} files, which are too few to ask", allowed.maximum);
    // The server alone is started with few: other tests run beside this one.
    let own = World::new(Plan::embedded().under(&["prlimit", "--nofile=1024:"]).start());
    setrlimit(Resource::Nofile, Rlimit { current: allowed.maximum, ..allowed }).unwrap();
    let server = own.server();
    let mut idle: Vec<Wire> = (0..IDLE).map(|_| Wire::to(server.address())).collect();
    // Half of them have been answered once, and are kept.
    for wire in idle.iter_mut().step_by(2) {
        assert_eq!(wire.exchange(SMUGGLED).status, 200);
    }
    let begun = Instant::now();
    let token = own.app.mint(server);
    assert!(own.notes.introspect(server, &token).active());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(idle);
}

#[test]
fn x24_old_and_odd_but_lawful_requests_are_answered() {
    let world = embedded();
    let mut wire = Wire::to(world.server().address());
    // An expectation is met before the body comes.
    let app = &world.app;
    let whole = post("/token", &app.id, &app.secret, "grant_type=client_credentials");
    let (head, body) = whole.split_once("\r\n\r\n").unwrap();
    let waiting = wire.exchange(format!("{head}\r\nExpect: 100-continue\r\n\r\n"));
    assert_eq!(waiting.status, 100);
    json_200(wire.exchange(body));
    // An absolute target, and blank lines before it.
    let absolute = whole.replace("POST /token", "POST http://other.example/token");
    json_200(wire.exchange(format!("\r\n\r\n{absolute}")));
    // RFC 9112 §2.2: "a recipient MAY recognize a single LF as a line terminator". One request, one answer.
    assert_eq!(wire.exchange(whole.replace("\r\n", "\n")).expect_status(200).json()["token_type"], "Bearer");
    assert_eq!(wire.exchange(SMUGGLED).status, 200);
    // Without keep-alive the server closes.
    let last = whole.replace("Host: localhost", "Host: localhost\r\nConnection: close");
    assert_eq!(wire.exchange(last).expect_status(200).header("connection"), Some("close"));
    assert!(wire.closes_within(Duration::from_secs(5)));
    let old =
        http::raw(world.server().address(), b"GET /livez HTTP/1.0\r\n\r\n", Duration::from_secs(2)).unwrap();
    assert!(
        old.starts_with(b"HTTP/1.0 200 ") || old.starts_with(b"HTTP/1.1 200 "),
        "{}",
        String::from_utf8_lossy(&old)
    );
}

/// The HTTP client of the JDK offers h2c on every plain connection. The offer is not taken, and the request answered.
#[test]
fn x24_an_offer_to_upgrade_is_not_taken() {
    let world = embedded();
    let app = &world.app;
    let offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n";
    let plain = post("/token", &app.id, &app.secret, "grant_type=client_credentials");
    let offering = plain.replace("Content-Type", &format!("{offer}Content-Type"));
    let answer = Wire::to(world.server().address()).exchange(offering).expect_status(200);
    assert!(answer.json()["access_token"].as_str().unwrap().starts_with("sya_"));
    assert!(answer.header("upgrade").is_none());
}

#[test]
fn x28_there_is_no_proxy_here() {
    let world = embedded();
    let mut wire = Wire::to(world.server().address());
    wire.write("CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n");
    let answer = wire.read();
    assert!(matches!(answer.status, 400 | 404 | 405), "{}", answer.status);
    assert!(wire.closes_within(Duration::from_secs(8)));
    for target in ["http://evil.example/livez", "https://evil.example/livez"] {
        let answer = Wire::to(world.server().address())
            .exchange(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "ok\n"),
            "answered here, and not fetched there"
        );
    }
}

/// Anybody can send bytes that are no HTTP: that is no error of ours.
#[test]
fn x41_malformed_bytes_wake_no_operator() {
    let own = Plan::embedded().start();
    let server = own.replica(0);
    let logged = server.stderr().len();
    for bytes in [
        "GARBAGE\x01\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: a\r\nBad\x01: evil\r\n\r\n",
        "GET http://[evil HTTP/1.1\r\n\r\n",
    ] {
        assert!(
            http::raw(server.address(), bytes.as_bytes(), Duration::from_secs(2))
                .unwrap()
                .starts_with(b"HTTP/1.1 400 ")
        );
    }
    let text = server.stderr();
    assert!(!text[logged..].contains("ERROR") && !text[logged..].contains("WARN"), "{}", &text[logged..]);
}
