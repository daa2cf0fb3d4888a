//! What a request costs the stores, and what is said when they do not answer (I3, I15, I16, X2, D8).

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use symbolon::domain::token::TokenKind;

use crate::expect::{inactive, refused, stranger};
use crate::forge;
use crate::monitor::Monitor;
use crate::support::deployment::Plan;
use crate::support::http::Request;
use crate::support::wait;
use crate::world::World;

/// An installation that nobody else talks to while its commands are counted.
fn quiet() -> MutexGuard<'static, World> {
    static WORLD: OnceLock<Mutex<World>> = OnceLock::new();
    let world = WORLD.get_or_init(|| {
        let plan = Plan::scaled(1).proxied().lease("2s").env("SYMBOLON_REVOKE_WAIT", "1s");
        Mutex::new(World::new(plan.start()))
    });
    let world = world.lock().unwrap_or_else(PoisonError::into_inner);
    recover(&world);
    world
}

/// Mends both paths, and waits until every worker has its connection again.
fn recover(world: &World) {
    world.deployment.redis_path(0).pass();
    world.deployment.sql_path(0).pass();
    wait::until_true("every worker answers again", Duration::from_secs(20), || {
        (0..8).all(|_| {
            let minted = world.app.token_request(world.server(), &[]).send();
            let unknown = forge::unknown(&world.deployment, TokenKind::Access);
            minted.status == 200 && world.notes.introspect_str(world.server(), &unknown).status == 200
        })
    });
}

/// The commands on keys of grants while `requests` run: `"GET" "g:…"`.
fn grant_commands(world: &World, requests: impl FnOnce()) -> Vec<String> {
    let monitor = Monitor::start(world.deployment.redis());
    requests();
    let seen = monitor.finish();
    seen.lines().filter(|line| line.contains("\"g:")).map(str::to_owned).collect()
}

/// How often each command ran meanwhile, apart from what the harness sends.
fn commands(world: &World, requests: impl FnOnce()) -> Vec<(String, u64)> {
    let redis = world.deployment.redis();
    redis.command(&["CONFIG", "RESETSTAT"]);
    requests();
    let own = ["info", "auth", "ping", "config|resetstat", "hello", "client|setinfo"];
    redis.command_calls().into_iter().filter(|(name, _)| !own.contains(&name.as_str())).collect()
}

#[test]
fn x2_junk_costs_no_command() {
    let world = quiet();
    let (server, token) = (world.server(), world.app.mint(world.server()));
    let junk: Vec<String> = (1..60)
        .map(|length| token.0[..length].to_owned())
        .chain([
            format!("{}0", token.0),
            token.0.to_lowercase(),
            "x".repeat(1_000),
            forge::checksummed(&format!("sya_{}", "0".repeat(50))),
            forge::checksummed(&forge::body(&token).replace(token.grant_id(), "00000000000000001")),
            forge::unknown(&world.deployment, TokenKind::Refresh),
            forge::unknown(&world.deployment, TokenKind::LoginSession),
        ])
        .collect();
    let ask = || {
        for text in &junk {
            inactive(world.notes.introspect_str(server, text));
        }
    };
    assert_eq!(grant_commands(&world, ask), Vec::<String>::new());
    let ran = commands(&world, ask);
    assert!(
        ran.iter().all(|(name, calls)| name != "mget" && *calls < 5),
        "{ran:?} for {} questions",
        junk.len()
    );
}

#[test]
fn i1_a_good_token_costs_exactly_one_get() {
    const TIMES: usize = 50;
    let world = quiet();
    let token = world.app.mint(world.server());
    let seen = grant_commands(&world, || {
        for _ in 0..TIMES {
            assert!(world.notes.introspect(world.server(), &token).active());
        }
    });
    assert_eq!(seen.len(), TIMES, "{seen:#?}");
    assert!(seen.iter().all(|line| line.contains("] \"GET\" \"g:")), "{seen:#?}");
}

#[test]
fn i3_who_does_not_authenticate_costs_no_command() {
    let world = quiet();
    let token = world.app.mint(world.server());
    let seen = grant_commands(&world, || {
        for secret in ["", "wrong", world.mail.secret.as_str()] {
            let request = Request::post(world.server().url("/introspect")).form(&[("token", token.as_str())]);
            stranger(&request.basic(&world.notes.id, secret).send());
        }
        let request = Request::post(world.server().url("/introspect")).form(&[("token", token.as_str())]);
        stranger(&request.basic(&world.app.id, &world.app.secret).send());
    });
    assert_eq!(seen, Vec::<String>::new());
}

#[test]
fn x23_a_key_of_redis_holds_no_more_than_the_grant_id() {
    let world = quiet();
    let token = world.app.mint(world.server());
    let key = [b"g:".as_slice(), forge::grant_id(&token).as_bytes()].concat();
    let redis = world.deployment.redis();
    assert!(redis.command(&[b"PTTL".as_slice(), &key]).integer() > 0, "every record has an end");
    let bytes = redis.command(&[b"MEMORY".as_slice(), b"USAGE", &key]).integer();
    assert!(bytes <= 256, "{bytes} bytes for one token");
    for name in redis.command(&["KEYS", "*"]).array() {
        let name = name.bytes();
        assert!(name == b"symbolon:witness" || name.starts_with(b"g:") && name.len() == 14, "{name:?}");
    }
}

/// RFC 7009 §2.2.1 and D8: not knowing is 503 with a time to come back, never `{"active":false}` and never 200.
#[test]
fn i15_a_redis_that_does_not_answer_is_503() {
    let world = quiet();
    let (server, path) = (world.server(), world.deployment.redis_path(0));
    let token = world.app.mint(server);
    path.stall();
    for _ in 0..3 {
        let asked = Instant::now();
        refused(&world.notes.introspect_str(server, token.as_str()), 503, "temporarily_unavailable");
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    }
    refused(&world.app.token_request(server, &[]).send(), 503, "temporarily_unavailable");
    inactive(world.notes.introspect_str(server, "junk"));
    let nobody = Request::post(server.url("/token")).form(&[("grant_type", "client_credentials")]);
    stranger(&nobody.basic("nobody", "x").send());
    path.refuse();
    refused(&world.notes.introspect_str(server, token.as_str()), 503, "temporarily_unavailable");
    recover(&world);
    assert!(world.notes.introspect(server, &token).active());
}

/// CVE-2020-15223: 200 while the revocation was not written.
#[test]
fn v9_a_revocation_that_is_not_written_is_503_and_never_200() {
    let world = quiet();
    let (server, path) = (world.server(), world.deployment.sql_path(0));
    let token = world.app.mint(server);
    path.stall();
    let asked = Instant::now();
    refused(&world.app.revoke_request(server, token.as_str()).send(), 503, "temporarily_unavailable");
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    path.refuse();
    refused(&world.app.revoke_request(server, token.as_str()).send(), 503, "temporarily_unavailable");
    recover(&world);
    world.app.revoke(server, &token);
    inactive(world.notes.introspect_str(server, token.as_str()));
}
