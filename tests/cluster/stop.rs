//! Stopping: readiness fails first while requests are still taken, those under way are answered, the lease is given
//! back, and the process ends with 0 in time. So replicas can be replaced one by one and nobody notices (S10).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::scene::{
    PROMISED, SOON, Said, Scene, ask, assert_alive, assert_unavailable, pause, readiness, timed, try_mint,
};
use crate::support::actors::{Client, ResourceServer, Token};
use crate::support::deployment::Plan;
use crate::support::encoding;
use crate::support::ports;
use crate::support::process::Signal;
use crate::support::symbolon::{Server, ServerConfig, WaitFor};
use crate::support::wait;
use crate::support::wire::{Wire, post};

/// "Exit within 15 s".
const STOP: Duration = Duration::from_secs(15);

fn replica_rows(scene: &Scene) -> String {
    scene.deployment.database().execute("SELECT count(*) FROM replicas")
}

#[test]
fn a_stopping_replica_is_not_ready_first_still_answers_gives_its_lease_back_and_exits_with_0() {
    let scene = Scene::of(Plan::scaled(2).env("SYMBOLON_DRAIN_DELAY", "4s"));
    let token = scene.live_token();
    assert_eq!(replica_rows(&scene), "2");
    let (server, begun) = (scene.replica(0), Instant::now());
    server.ask_to_stop();
    server.wait_until_ready(false, PROMISED);
    let failed = begun.elapsed();
    assert!(readiness(server).text().contains("[-]running failed"), "{}", readiness(server).text());
    // Load balancers look every second or so; until they have, requests still come here.
    assert!(scene.app.mint(server).as_str().starts_with("sya_"));
    assert_alive(server);
    let mut answered = 0;
    while begun.elapsed() < Duration::from_secs(2) {
        assert_eq!(scene.ask(0, &token), Said::Active, "{:?} into the stop", begun.elapsed());
        answered += 1;
        pause(20);
    }
    let status = server.wait_for_end(STOP.saturating_sub(begun.elapsed())).expect("it ends within 15 s");
    println!("not ready after {failed:?}, {answered} answers since, ended after {:?}", begun.elapsed());
    assert!(status.success(), "{status}");
    assert_eq!(replica_rows(&scene), "1", "the lease is given back");
    // So nobody waits for the one that left.
    let (answer, took) = timed(|| scene.revoke(1, &token));
    answer.expect_status(200);
    assert!(took < PROMISED, "{took:?}: the lease is 30 s and was given back");
}

#[test]
fn s10_whoever_keeps_a_connection_is_told_to_close_it_before_it_is_cut() {
    let scene = Scene::of(Plan::scaled(1).env("SYMBOLON_DRAIN_DELAY", "3s"));
    let token = scene.live_token();
    // A client that keeps its connection, as load balancers do.
    let mut kept = Wire::to(scene.replica(0).address());
    let form = encoding::form(&[("token", token.as_str())]);
    let request = post("/introspect", &scene.api.id, &scene.api.secret, &form);
    for _ in 0..5 {
        let answer = kept.exchange(&request).expect_status(200);
        assert_ne!(answer.header("connection"), Some("close"));
    }
    scene.replica(0).ask_to_stop();
    scene.replica(0).wait_until_ready(false, PROMISED);
    // A request that meets the end of its connection is lost, and nobody may send a POST twice by himself.
    let mut answers = 0;
    loop {
        kept.write(&request);
        let answer =
            kept.try_read().ok().flatten().unwrap_or_else(|| {
                panic!("the connection was cut after {answers} answers that did not say so")
            });
        let answer = answer.expect_status(200);
        answers += 1;
        if answer.header("connection") == Some("close") {
            break;
        }
        pause(10);
    }
    println!("told to close with answer {answers} of the drain");
    let status = scene.replica(0).wait_for_end(STOP).expect("it ends");
    assert!(status.success(), "{status}");
}

#[test]
fn a_revocation_under_way_is_finished_before_the_end() {
    let scene = Scene::of(Plan::scaled(2).lease("4s").env("SYMBOLON_DRAIN_DELAY", "500ms"));
    let token = scene.live_token();
    // Frozen, it delays the acknowledgement by its lease: longer than the drain.
    scene.replica(1).freeze();
    thread::scope(|scope| {
        let revoking = scope.spawn(|| timed(|| scene.revoke(0, &token)));
        wait::until_true("the revocation has begun", SOON, || scene.ask(0, &token) == Said::Inactive);
        scene.replica(0).ask_to_stop();
        let (answer, took) = revoking.join().expect("a revocation under way is answered");
        println!("answered {took:?} after it was asked for");
        answer.expect_status(200);
    });
    let status = scene.replica(0).wait_for_end(STOP).expect("it ends");
    assert!(status.success(), "{status}");
    scene.replica(1).thaw();
    wait::until_true("the thawed replica says inactive", SOON, || {
        let said = scene.ask(1, &token);
        assert_ne!(said, Said::Active);
        said == Said::Inactive
    });
}

#[test]
fn a_revocation_that_cannot_be_acknowledged_before_the_end_is_answered_all_the_same() {
    // The default lease of 30 s: the wait of 10 s is over first, and that is told.
    let scene = Scene::of(Plan::scaled(2));
    let token = scene.live_token();
    scene.replica(1).freeze();
    thread::scope(|scope| {
        let revoking = scope.spawn(|| {
            let request = scene.app.revoke_request(scene.replica(0), token.as_str());
            timed(|| request.try_send())
        });
        wait::until_true("the revocation has begun", SOON, || scene.ask(0, &token) == Said::Inactive);
        let begun = Instant::now();
        scene.replica(0).ask_to_stop();
        let (answer, took) = revoking.join().expect("the client is there");
        let answer =
            answer.unwrap_or_else(|error| panic!("cut off without an answer after {took:?}: {error}"));
        println!("answered {} after {took:?}", answer.status);
        assert_unavailable(&answer);
        assert!(answer.text().contains("recorded"), "{}", answer.text());
        let status =
            scene.replica(0).wait_for_end(STOP.saturating_sub(begun.elapsed())).expect("it ends in time");
        assert!(status.success(), "{status}");
    });
}

#[test]
fn a_second_signal_stops_at_once() {
    let scene = Scene::of(Plan::scaled(1).env("SYMBOLON_DRAIN_DELAY", "6s"));
    let server = scene.replica(0);
    server.ask_to_stop();
    server.wait_until_ready(false, PROMISED);
    assert!(wait::stays_true(Duration::from_millis(300), || server.wait_for_end(Duration::ZERO).is_none()));
    let ending = server.end_with(Signal::INT);
    println!("ended {:?} after the second signal", ending.took);
    assert!(ending.status.success(), "{}", ending.status);
    assert!(ending.took < Duration::from_secs(3), "{:?} is not at once", ending.took);
    assert_eq!(replica_rows(&scene), "0", "the lease is given back all the same");
}

#[test]
fn a_replica_stops_in_time_whichever_store_hangs() {
    let scene = Scene::of(Plan::scaled(2).proxied().env("SYMBOLON_DRAIN_DELAY", "500ms"));
    scene.live_token();
    scene.deployment.redis_path(0).stall();
    scene.deployment.sql_path(1).stall();
    for server in scene.deployment.replicas() {
        let ending = server.terminate();
        println!("ended after {:?}", ending.took);
        assert!(ending.status.success() && ending.took < STOP, "{ending:?}");
    }
}

#[test]
fn a_replica_that_waits_for_sql_at_its_start_lives_is_not_ready_and_can_be_stopped() {
    let deployment = Plan::scaled(0).start();
    let nowhere = format!("postgres://symbolon:symbolon@127.0.0.1:{}/nowhere", ports::free_port());
    let config = ServerConfig::serve()
        .envs(deployment.environment())
        .env("SYMBOLON_DATABASE_URL", nowhere)
        .wait_for(WaitFor::Liveness);
    for signal in [Signal::TERM, Signal::INT] {
        let server = Server::start(&config);
        assert_alive(&server);
        let ready = readiness(&server);
        assert_eq!(ready.status, 503);
        assert!(ready.text().contains("[-]sql failed"), "{}", ready.text());
        let ending = server.end_with(signal);
        assert!(ending.status.success(), "{signal:?}: {}", ending.status);
        assert!(ending.took < PROMISED, "{signal:?}: nothing is under way, and it took {:?}", ending.took);
    }
}

#[test]
fn a_replica_that_hears_nothing_from_sql_at_its_start_can_be_stopped_too() {
    let scene = Scene::of(Plan::scaled(1).proxied());
    scene.deployment.sql_path(0).stall();
    let config = ServerConfig::serve().envs(scene.replica(0).environment()).wait_for(WaitFor::Liveness);
    let server = Server::start(&config);
    assert_eq!(readiness(&server).status, 503);
    assert_alive(&server);
    let ending = server.terminate();
    println!("ended after {:?}", ending.took);
    assert!(ending.status.success() && ending.took < Duration::from_secs(5), "{ending:?}");
}

#[test]
fn a_replica_that_starts_before_its_stores_serves_once_they_are_there() {
    let scene = Scene::of(Plan::scaled(1).proxied());
    let token = scene.live_token();
    let (redis, sql) = (scene.deployment.redis_path(0), scene.deployment.sql_path(0));
    redis.refuse();
    sql.refuse();
    let config = ServerConfig::serve().envs(scene.replica(0).environment()).wait_for(WaitFor::Liveness);
    let late = Server::start(&config);
    assert_eq!(ask(&scene.api, &late, &token), Said::Unavailable);
    sql.pass();
    assert!(wait::stays_true(Duration::from_millis(1500), || !late.is_ready()), "it is ready without Redis");
    redis.pass();
    late.wait_until_ready(true, SOON);
    assert_eq!(ask(&scene.api, &late, &token), Said::Active);
}

/// A load balancer's view of two replicas, and what came of the requests it passed on.
#[derive(Default)]
struct Balancer {
    ready: [AtomicBool; 2],
    over: AtomicBool,
    answered: AtomicUsize,
    retried: AtomicUsize,
}

impl Balancer {
    fn probe(&self, scene: &Scene) {
        while !self.over.load(Ordering::Relaxed) {
            for (index, ready) in self.ready.iter().enumerate() {
                ready.store(scene.replica(index).is_ready(), Ordering::Relaxed);
            }
            pause(50);
        }
    }

    /// Sends to a replica that is ready, and once more to the other if that one is just going.
    #[track_caller]
    fn pass_on<T>(&self, turn: usize, what: &str, request: impl Fn(usize) -> Option<T>) -> T {
        let preferred = turn % 2;
        let first = if self.ready[preferred].load(Ordering::Relaxed) { preferred } else { 1 - preferred };
        let answer = request(first).or_else(|| {
            self.retried.fetch_add(1, Ordering::Relaxed);
            request(1 - first)
        });
        self.answered.fetch_add(1, Ordering::Relaxed);
        answer.unwrap_or_else(|| panic!("{what} failed on both replicas"))
    }

    fn load(&self, scene: &Scene, app: &Client, api: &ResourceServer) {
        let long_lived = scene.app.mint(scene.replica(0));
        let mut turn = 0;
        while !self.over.load(Ordering::Relaxed) {
            turn += 1;
            let token: Token = self.pass_on(turn, "a mint", |index| try_mint(app, scene.replica(index)));
            for token in [&token, &long_lived] {
                let said = self.pass_on(turn + 1, "an introspection", |index| {
                    Some(ask(api, scene.replica(index), token))
                        .filter(|said| !matches!(said, Said::Nothing | Said::Unavailable))
                });
                assert_eq!(said, Said::Active, "turn {turn}");
            }
            self.pass_on(turn, "a revocation", |index| {
                let request = app.revoke_request(scene.replica(index), token.as_str());
                request.try_send().ok().filter(|answer| answer.status == 200)
            });
            let said = self.pass_on(turn + 1, "an introspection", |index| {
                Some(ask(api, scene.replica(index), &token))
                    .filter(|said| !matches!(said, Said::Nothing | Said::Unavailable))
            });
            assert_eq!(said, Said::Inactive, "turn {turn}: after its revocation");
        }
    }
}

#[test]
fn s10_replicas_are_replaced_one_by_one_under_load_and_no_request_fails() {
    let scene = Scene::of(Plan::scaled(2).env("SYMBOLON_DRAIN_DELAY", "2s"));
    let balancer = Balancer::default();
    thread::scope(|scope| {
        scope.spawn(|| balancer.probe(&scene));
        let load: Vec<_> =
            (0..3).map(|_| scope.spawn(|| balancer.load(&scene, &scene.app, &scene.api))).collect();
        for round in 0..4 {
            let server = scene.replica(round % 2);
            server.ask_to_stop();
            if server.wait_for_end(STOP).is_none_or(|status| !status.success()) {
                balancer.over.store(true, Ordering::Relaxed);
                panic!("replica {} did not end well", round % 2);
            }
            server.restart();
            pause(300);
        }
        balancer.over.store(true, Ordering::Relaxed);
        for load in load {
            load.join().expect("no request failed");
        }
    });
    let (answered, retried) = (balancer.answered.into_inner(), balancer.retried.into_inner());
    println!("{answered} requests, {retried} of them asked again elsewhere, 0 failed");
    assert!(answered > 200, "{answered} requests are no load");
}
