//! Wall clocks that are off by minutes, or that jump (X39): whose clock disagrees with the stores' is not ready, no
//! token outlives its end by more than the stores keep it, leases and acknowledgements do not notice, and nobody
//! forgets for all.

use std::time::{Duration, Instant, SystemTime};

use crate::people::SCOPE;
use crate::scene::{
    PROMISED, SOON, Said, Scene, ask, assert_alive, measured, minted, pause, readiness, timed, try_mint,
};
use crate::support::actors::Token;
use crate::support::browser::Browser;
use crate::support::deployment::Plan;
use crate::support::faketime::{self, WallClock};
use crate::support::postgres::PostgresOptions;
use crate::support::symbolon::{Server, ServerConfig, WaitFor};
use crate::support::wait;

const FIVE_MINUTES: i64 = 300;
const TWO_MONTHS: i64 = 60 * 86_400;
const LEASE: Duration = Duration::from_secs(3);
const SESSION: &str = "__Host-symbolon-session";
/// How long a store keeps a record past its end, and a second for rounding.
const KEPT: Duration = Duration::from_secs(6);

/// One more replica of a scene, with a clock of its own.
fn replica(scene: &Scene, clock: &WallClock) -> Server {
    let mut config = ServerConfig::serve().envs(scene.deployment.environment()).wait_for(WaitFor::Liveness);
    for (name, value) in clock.environment() {
        config = config.env(&name, value);
    }
    Server::start(&config)
}

fn tells_of_clocks(server: &Server, whose: &str) -> bool {
    let ready = readiness(server);
    let text = ready.text();
    ready.status == 503 && text.contains(&format!("the clock of {whose}")) && text.contains("apart")
}

fn holds_a_lease(server: &Server) -> bool {
    readiness(server).text().contains("[+]lease ok")
}

fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
    i64::try_from(since.as_secs()).expect("it is before the end of time")
}

/// Tokens that are dead: most by a revocation, one by a freeze and one by the end of its login session. The records of
/// these two stay where they are.
fn dead_tokens(scene: &Scene, server: &Server) -> Vec<Token> {
    let mut dead: Vec<Token> = (0..4).map(|_| scene.app.mint(server)).collect();
    for token in dead.iter().skip(1) {
        scene.app.revoke(server, token);
    }
    scene.deployment.cli(&["token", "freeze", dead[0].grant_id(), "--yes"]).success();
    let (mira, notes) = (scene.deployment.user("mira"), scene.deployment.app("notes", SCOPE, &[]));
    let (mut browser, ask) = (Browser::new(), notes.ask().with("scope", SCOPE));
    let answer = browser.allow(scene.replica(0), &mira, &ask);
    let during = notes.redeem(server, &ask, &answer);
    let session = &browser.cookies[SESSION][..21];
    scene.deployment.cli(&["revoke", "--session", session, "--yes"]).success();
    dead.push(during.access);
    dead
}

/// Revokes on this server, and asks all the others at once.
fn revocations_hold(scene: &Scene, servers: &[&Server]) -> Duration {
    let mut slowest = Duration::ZERO;
    for server in servers {
        let token = scene.app.mint(servers[0]);
        let (answer, took) = timed(|| scene.app.revoke_request(server, token.as_str()).send());
        answer.expect_status(200);
        slowest = slowest.max(took);
        for other in servers {
            assert_eq!(ask(&scene.api, other, &token), Said::Inactive, "acknowledged");
        }
    }
    assert!(slowest < LEASE, "{slowest:?}: leases do not go by wall clocks");
    slowest
}

#[test]
fn x39_replicas_whose_clocks_are_minutes_off_are_not_ready_and_no_token_outlives_its_end_there() {
    let scene = Scene::of(Plan::scaled(1).lease("3s"));
    let brief = scene.deployment.client_with("brief", "notes:read", &["--access-token-ttl", "5s"]);
    let (fast, slow) = (WallClock::off_by(FIVE_MINUTES), WallClock::off_by(-FIVE_MINUTES));
    let (right, ahead, behind) = (scene.replica(0), replica(&scene, &fast), replica(&scene, &slow));
    for server in [&ahead, &behind] {
        wait::until_true("it says how far off it is", SOON, || tells_of_clocks(server, "Redis"));
        assert!(readiness(server).text().contains("300."), "{}", readiness(server).text());
        assert!(!server.is_ready(), "no load balancer sends anybody here");
        assert_alive(server);
    }
    assert!(right.is_ready());
    // Whoever goes there all the same.
    let live = scene.app.mint(right);
    for server in [right, &ahead, &behind] {
        wait::until_true("it holds a lease", SOON, || ask(&scene.api, server, &live) == Said::Active);
    }
    let slowest = revocations_hold(&scene, &[right, &ahead, &behind]);
    let from_the_future = scene.app.mint(&ahead);
    let shown = scene.api.introspect(right, &from_the_future);
    let issued = shown.claim("iat").as_i64().expect("a number");
    assert!(issued <= unix_now(), "issued in the future: {issued}");

    // Over by the fast clock, and not by the others: it has to be revoked all the same.
    let fresh = minted(&brief.token_request(right, &[]).send());
    brief.revoke(&ahead, &fresh);
    assert_eq!(ask(&scene.api, right, &fresh), Said::Inactive, "acknowledged by one whose clock is fast");

    let begun = Instant::now();
    let short = minted(&brief.token_request(right, &[]).send());
    let end = scene.api.introspect(right, &short).claim("exp").as_i64().expect("a number");
    assert_eq!(ask(&scene.api, &ahead, &short), Said::Inactive, "over, by that clock");
    let mut last_active = [0, 0];
    while begun.elapsed() < Duration::from_secs(5) + 2 * KEPT {
        let before = unix_now();
        for (server, last) in [right, &behind].into_iter().zip(&mut last_active) {
            if ask(&scene.api, server, &short) == Said::Active {
                *last = before - end;
            }
        }
        pause(50);
    }
    let kept = i64::try_from(KEPT.as_secs()).expect("seconds");
    assert!(last_active[0] <= 0, "active {} s past its end where the clock is right", last_active[0]);
    assert!(last_active[1] <= kept, "active {} s past its end where the clock is slow", last_active[1]);
    measured(&format!(
        "clocks 300 s ahead and behind: not ready, 3 of 3 revocations acknowledged within {slowest:.0?}; \
         last active {} s past the end at most, on the slow one",
        last_active[1].max(0)
    ));
}

#[test]
fn x39_a_clock_that_jumps_takes_its_replica_out_of_service_and_neither_lease_nor_revocation_notices() {
    let scene = Scene::of(Plan::scaled(1).lease("3s"));
    let clock = WallClock::off_by(0);
    let jumping = replica(&scene, &clock);
    jumping.wait_until_ready(true, SOON);
    let live = scene.app.mint(&jumping);
    let dead = dead_tokens(&scene, &jumping);
    let rows = || {
        scene.deployment.database().execute("SELECT count(*), (SELECT purged_number FROM feed) FROM changes")
    };
    let (mut slowest, mut noticed) = (Duration::ZERO, Duration::ZERO);
    // By the last one everything here is over, and for longer than the feed keeps what nobody needs.
    for offset in [FIVE_MINUTES, -FIVE_MINUTES, TWO_MONTHS] {
        let before = rows();
        clock.set(offset);
        let ((), took) = timed(|| {
            wait::until_true("the jump is noticed", SOON, || tells_of_clocks(&jumping, "Redis"));
        });
        noticed = noticed.max(took);
        assert_alive(&jumping);
        // One whose clock is set back looks first for what it forgot by the other clock.
        wait::until_true("its lease holds", SOON, || holds_a_lease(&jumping));
        // Longer than a lease, in which it is renewed; and the feed is tidied at a start.
        let asked = wait::stays_true(LEASE + PROMISED, || {
            let said = ask(&scene.api, &jumping, &live);
            // By a clock that is months ahead it is over.
            assert_eq!(said, if offset > FIVE_MINUTES { Said::Inactive } else { Said::Active });
            for server in [scene.replica(0), &jumping] {
                assert!(dead.iter().all(|token| ask(&scene.api, server, token) == Said::Inactive));
            }
            assert_eq!(scene.ask(0, &live), Said::Active, "where the clock is right");
            pause(50);
            true
        });
        assert!(asked);
        slowest = slowest.max(revocations_hold(&scene, &[scene.replica(0), &jumping]));
        if offset > FIVE_MINUTES {
            jumping.kill();
            jumping.restart_until(WaitFor::Liveness);
            wait::until_true("it joined", SOON, || holds_a_lease(&jumping));
            pause(1500);
        }
        let purged = rows().split('|').nth(1).map(str::to_owned);
        assert_eq!(purged.as_deref(), before.split('|').nth(1), "it deleted what others need");
        clock.set(0);
        wait::until_true("it is ready again by itself", SOON, || {
            for token in &dead {
                assert_ne!(ask(&scene.api, &jumping, token), Said::Active, "forgotten by the wrong clock");
            }
            jumping.is_ready()
        });
        assert!(dead.iter().all(|token| ask(&scene.api, &jumping, token) == Said::Inactive));
    }
    measured(&format!(
        "3 jumps: not ready within {noticed:.1?}, ready again by itself; lease held throughout; \
         6 of 6 revocations acknowledged within {slowest:.0?}; 0 rows purged early"
    ));
}

#[test]
fn a_database_whose_clock_is_minutes_off_is_named_and_no_replica_is_ready() {
    for offset in [FIVE_MINUTES, -FIVE_MINUTES] {
        let environment = faketime::off_by(offset);
        let postgres = PostgresOptions { environment, ..PostgresOptions::default() };
        let deployment = Plan::scaled(0).own_postgres_with(postgres).lease("3s").start();
        let api = deployment.resource_server("api", "https://api.example", "notes:read");
        let app = deployment.client("app", "notes:read");
        let scene = Scene { deployment, api, app };
        let config = ServerConfig::serve().envs(scene.deployment.environment()).wait_for(WaitFor::Liveness);
        let server = Server::start(&config);
        let live = wait::until("it holds a lease", SOON, || try_mint(&scene.app, &server));
        wait::until_true("the store is named", SOON, || tells_of_clocks(&server, "the database"));
        assert!(wait::stays_true(PROMISED, || !server.is_ready()));
        // Nothing that is kept in it goes by its clock alone.
        assert_eq!(ask(&scene.api, &server, &live), Said::Active);
        scene.app.revoke(&server, &live);
        assert_eq!(ask(&scene.api, &server, &live), Said::Inactive);
    }
    measured("PostgreSQL 300 s ahead, then behind: named by readiness both times; answers stayed true");
}
