//! Replicas come and go behind the load balancer while requests go on.

use std::time::{Duration, Instant};

use crate::load::{Tally, under_load};
use crate::stage::Stage;
use crate::support::http::{Request, Response};
use crate::support::wait;

/// "Exit within 15 s".
const STOP: Duration = Duration::from_secs(15);
const SOON: Duration = Duration::from_secs(20);

fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

fn introspect(stage: &Stage, token: &str) -> Response {
    let request = Request::post(stage.balancer.url("/introspect")).form(&[("token", token)]);
    request.basic(&stage.api.id, &stage.api.secret).send()
}

/// How often a request was sent again, by the load balancer's own log.
fn sent_again(stage: &Stage) -> usize {
    stage.balancer.passed().iter().filter(|passed| passed.retries.trim_start_matches('+') != "0").count()
}

/// Stops each replica as orchestrators do, and starts it again, so many times in turn.
fn roll(stage: &Stage, rounds: usize, tally: &Tally) {
    for round in 0..rounds {
        for (index, server) in stage.replicas.iter().enumerate() {
            server.ask_to_stop();
            let status = server.wait_for_end(STOP).expect("a replica ends within 15 s");
            assert!(status.success(), "replica {index}: {status}");
            server.restart();
            println!("round {round}, replica {index}: {} requests so far", tally.answered());
        }
    }
}

fn rolls_without_a_failed_request(replicas: usize) {
    let stage = Stage::with(replicas);
    let tally = under_load(&stage, 6, |tally| {
        pause(500);
        roll(&stage, 2, tally);
        pause(500);
    });
    let (answered, failed) = (tally.answered(), tally.failures());
    println!(
        "{replicas} replicas, each restarted twice: {answered} requests, {} failed, {} sent again by haproxy",
        failed.len(),
        sent_again(&stage)
    );
    assert!(failed.is_empty(), "{failed:?}");
    assert!(answered > 300, "{answered} requests are no load");
    for number in 1..=replicas {
        let name = format!("replica-{number}");
        assert!(stage.balancer.passed().iter().any(|passed| passed.server == name), "{name} served nobody");
    }
}

#[test]
fn two_replicas_are_restarted_one_by_one_under_load_and_no_request_fails() {
    rolls_without_a_failed_request(2);
}

#[test]
fn three_replicas_are_restarted_one_by_one_under_load_and_no_request_fails() {
    rolls_without_a_failed_request(3);
}

/// A killed replica takes with it the requests that it had. Those that may be sent twice are; a token request is not, and
/// its client is told to try again, or finds its kept connection closed.
#[test]
fn a_killed_replica_costs_no_introspection_and_no_revocation() {
    const VISITORS: usize = 6;
    const KILLS: usize = 4;
    // A short lease: a revocation waits for the replica that died, and is 503 if that takes longer than 10 s.
    let stage = Stage::start(2, &[("SYMBOLON_LEASE", "2s")], |configuration| configuration);
    let tally = under_load(&stage, VISITORS, |tally| {
        for kill in 0..KILLS {
            pause(1_500);
            let server = &stage.replicas[kill % 2];
            server.kill();
            pause(700);
            server.restart();
            println!("kill {kill}: {} requests so far, {} failed", tally.answered(), tally.failures().len());
        }
        pause(500);
    });
    let failed = tally.failures();
    println!(
        "{KILLS} kills: {} requests, {} token requests failed, {} requests sent again by haproxy",
        tally.answered(),
        failed.len(),
        sent_again(&stage)
    );
    for failure in &failed {
        assert_eq!(failure.path, "/token", "only what must not be sent twice may fail: {failure:?}");
        // Where the replica's connection was reset under a request that was not the first on its client's, haproxy ends the
        // client's connection without a word: that too says that nothing was answered (RFC 9112 §9.3.1).
        let is_told = failure.status == Some(502) && failure.what.contains("temporarily_unavailable");
        assert!(is_told || failure.status.is_none(), "{failure:?}");
    }
    assert!(failed.len() <= KILLS * VISITORS, "{failed:?}");
    assert!(tally.answered() > 200, "{} requests are no load", tally.answered());
    assert!(sent_again(&stage) > 0, "no kill hit a request");
}

/// A frozen replica keeps its connections and answers none: after 3 s the other one is asked.
#[test]
fn a_frozen_replica_delays_introspections_and_fails_none() {
    let stage = Stage::with(2);
    let token = stage.app.mint(&stage.replicas[0]);
    stage.replicas[1].freeze();
    let begun = Instant::now();
    let (mut asked, mut longest) = (0, Duration::ZERO);
    while begun.elapsed() < Duration::from_secs(10) {
        let before = Instant::now();
        let answer = introspect(&stage, token.as_str()).expect_status(200);
        assert_eq!(answer.json()["active"], true);
        longest = longest.max(before.elapsed());
        asked += 1;
    }
    stage.replicas[1].thaw();
    println!("{asked} introspections while one of two replicas was frozen, the longest took {longest:?}");
    assert!(longest < Duration::from_secs(8), "{longest:?}");
    assert!(asked > 20, "it stays in service: {asked} introspections in 10 s");
}

/// Replicas ride an SQL outage out, so the load balancer must not take them out of service for it: it would be an outage
/// of everything.
#[test]
fn a_frozen_database_takes_no_replica_out_of_service() {
    let stage = Stage::with(2);
    let token = stage.app.mint(&stage.replicas[0]);
    stage.postgres.freeze();
    let begun = Instant::now();
    let mut asked = 0;
    // Well within the lease of 30 s, and longer than it takes to fail twice.
    while begun.elapsed() < Duration::from_secs(10) {
        let answer = introspect(&stage, token.as_str()).expect_status(200);
        assert_eq!(answer.json()["active"], true, "{:?} into the outage", begun.elapsed());
        asked += 1;
        pause(20);
    }
    let ready = Request::get(stage.balancer.url("/readyz")).send();
    stage.postgres.thaw();
    assert_eq!(ready.status, 200);
    let served = |name: &str| stage.balancer.passed().iter().filter(|passed| passed.server == name).count();
    println!(
        "{asked} introspections without SQL, by replica: {} and {}",
        served("replica-1"),
        served("replica-2")
    );
    assert!(
        served("replica-1") > asked / 4 && served("replica-2") > asked / 4,
        "one was taken out of service"
    );
}

/// Down is not inactive, in front of the replicas too; and clients read it as they read the server's own.
#[test]
fn without_any_replica_the_load_balancer_says_503_as_the_server_would() {
    let stage = Stage::with(2);
    let token = stage.app.mint(&stage.replicas[0]);
    for server in &stage.replicas {
        server.kill();
    }
    let answer = introspect(&stage, token.as_str());
    let error = answer.oauth_error();
    assert_eq!((answer.status, error.as_deref()), (503, Some("temporarily_unavailable")));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    for server in &stage.replicas {
        server.restart();
    }
    wait::until_true("it serves again by itself", SOON, || introspect(&stage, token.as_str()).status == 200);
}

/// Redis stops politely and comes back with every token that its append-only file holds.
#[test]
fn tokens_outlive_a_restart_of_redis_with_its_flags() {
    let stage = Stage::with(2);
    let token = stage.app.mint(&stage.replicas[0]);
    stage.redis.kill();
    pause(200);
    stage.redis.restart();
    // Each worker of each replica connects anew by itself, at its own pace.
    wait::until_true("the token is active again, whoever is asked", SOON, || {
        (0..40).all(|_| {
            let answer = introspect(&stage, token.as_str());
            assert!(answer.status == 503 || answer.json()["active"] == true, "{}", answer.text());
            answer.status == 200
        })
    });
}
