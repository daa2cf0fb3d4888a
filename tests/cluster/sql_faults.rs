//! SQL down is ridden out for the lease, then answered with 503 (S8); what needs SQL is refused at once, and nobody
//! who is cut off from SQL ever makes an acknowledgement untrue.

use std::thread;
use std::time::{Duration, Instant};

use crate::scene::{
    PROMISED, SOON, Said, Scene, assert_alive, assert_unavailable, check_failing, measured, minted, pause,
    readiness, timed, try_mint,
};
use crate::support::actors::Token;
use crate::support::deployment::Plan;
use crate::support::http::Request;
use crate::support::proxy::Proxy;
use crate::support::wait;

const LEASE: Duration = Duration::from_secs(3);
/// What of a lease is left at the worst when SQL goes: it runs to 0.9 L and is renewed every L / 10. The rest is for
/// a machine that is busy with other tests.
const RIDDEN_OUT: Duration = Duration::from_millis(1500);
const REVOKE_WAIT: Duration = Duration::from_secs(6);

fn plan() -> Plan {
    Plan::scaled(2).lease("3s").env("SYMBOLON_REVOKE_WAIT", "6s")
}

/// The whole outage, which begins with `break_it` on both replicas alike.
fn survives(scene: &Scene, break_it: impl FnOnce(&Scene), mend_it: impl FnOnce(&Scene)) {
    let (live, dead, dying) = (scene.live_token(), scene.live_token(), scene.live_token());
    scene.app.revoke(scene.replica(0), &dead);
    let broken = Instant::now();
    break_it(scene);
    rides_out_the_lease(scene, &live, &dead, broken);
    let metric = |server| check_failing(server, "sql");
    for (index, server) in scene.deployment.replicas().enumerate() {
        assert_eq!(scene.ask(index, &live), Said::Unavailable);
        assert!(try_mint(&scene.app, server).is_none(), "a token was minted without a lease");
        let ready = readiness(server).expect_status(503).text();
        assert!(ready.contains("[-]sql failed") && ready.contains("[-]lease failed"), "{ready}");
        assert!(metric(server), "symbolon_check_failing does not name sql");
        assert_alive(server);
        let (answer, took) = timed(|| scene.revoke(index, &dying));
        assert_unavailable(&answer);
        assert!(
            took < REVOKE_WAIT + PROMISED,
            "without a lease nothing is waited for, and this took {took:?}"
        );
    }
    mend_it(scene);
    let ((), took) = timed(|| scene.wait_for_recovery(&live));
    measured(&format!("recovered in {took:?}"));
    for server in scene.deployment.replicas() {
        assert!(!metric(server));
    }
    scene.everywhere(&dead, Said::Inactive);
    scene.live_token();
    // What was refused and may have been recorded is safe to ask for again.
    scene.app.revoke(scene.replica(1), &dying);
    scene.everywhere(&dying, Said::Inactive);
}

/// Introspections and mints go on, then end with the lease at the latest.
fn rides_out_the_lease(scene: &Scene, live: &Token, dead: &Token, broken: Instant) {
    for replica in [0, 1] {
        assert_eq!(scene.ask(replica, live), Said::Active);
        assert_eq!(scene.ask(replica, dead), Said::Inactive);
        assert!(try_mint(&scene.app, scene.replica(replica)).is_some(), "minting goes on for the lease");
    }
    let mut last_active = [Duration::ZERO; 2];
    let mut told = false;
    while broken.elapsed() < LEASE + Duration::from_millis(500) {
        for (replica, last) in last_active.iter_mut().enumerate() {
            let begun = broken.elapsed();
            match scene.ask(replica, live) {
                Said::Active => *last = begun,
                Said::Unavailable => {}
                other => panic!("{other:?} of a live token on replica {replica}, {begun:?} into the outage"),
            }
            assert_ne!(scene.ask(replica, dead), Said::Active);
        }
        if !told && broken.elapsed() > Duration::from_millis(300) && broken.elapsed() < RIDDEN_OUT {
            // Taking every replica out of service would turn an SQL outage into one of everything.
            let server = scene.replica(0);
            let ready = Request::get(server.management_url("/readyz?verbose")).limit(PROMISED).send();
            if broken.elapsed() < RIDDEN_OUT {
                assert_eq!(ready.status, 200, "{}", ready.text());
                assert!(ready.text().contains("[-]sql failed, ridden out"), "{}", ready.text());
            }
            told = true;
        }
        pause(20);
    }
    measured(&format!("last active answers began {last_active:?} after SQL went"));
    for last in last_active {
        assert!(last > RIDDEN_OUT, "introspection ended {last:?} into the outage");
        assert!(last <= LEASE, "an introspection that began {last:?} into the outage was active");
    }
}

#[test]
fn a_stopped_postgres_is_ridden_out_for_the_lease_and_found_again() {
    let scene = Scene::of(plan().own_postgres());
    survives(
        &scene,
        |scene| scene.deployment.postgres().stop(),
        |scene| scene.deployment.postgres().restart(),
    );
    println!("killed");
    survives(
        &scene,
        |scene| scene.deployment.postgres().kill(),
        |scene| scene.deployment.postgres().restart(),
    );
}

#[test]
fn a_frozen_postgres_is_ridden_out_for_the_lease_and_found_again() {
    let scene = Scene::of(plan().own_postgres());
    survives(
        &scene,
        |scene| scene.deployment.postgres().freeze(),
        |scene| scene.deployment.postgres().thaw(),
    );
}

#[test]
fn a_path_to_postgres_that_is_refused_or_silent_is_the_same_as_no_postgres() {
    let scene = Scene::of(plan().proxied());
    for (name, fault) in [("refused", Proxy::refuse as fn(&Proxy)), ("silent", Proxy::stall)] {
        println!("the path is {name}");
        survives(
            &scene,
            |scene| [0, 1].iter().for_each(|index| fault(scene.deployment.sql_path(*index))),
            |scene| [0, 1].iter().for_each(|index| scene.deployment.sql_path(*index).pass()),
        );
    }
}

#[test]
fn a_revocation_without_sql_is_refused_at_once_or_within_its_wait_and_says_what_it_may_have_done() {
    // A lease that outlives the test, so that it is not the lease which refuses.
    let scene = Scene::of(Plan::scaled(2).own_postgres().env("SYMBOLON_REVOKE_WAIT", "3s"));
    let (stopped, frozen, repeated) = (scene.live_token(), scene.live_token(), scene.live_token());
    scene.app.revoke(scene.replica(0), &repeated);
    let postgres = scene.deployment.postgres();
    postgres.stop();
    let (answer, took) = timed(|| scene.revoke(0, &stopped));
    measured(&format!("a revocation with PostgreSQL stopped: 503 in {took:?}"));
    assert_unavailable(&answer);
    assert!(answer.text().contains("may have been recorded"), "{}", answer.text());
    assert!(took < PROMISED, "nobody listens there, and the answer took {took:?}");
    postgres.restart();
    wait::until_true("both hold leases again", SOON, || {
        scene.deployment.replicas().all(|server| server.is_ready() && !check_failing(server, "sql"))
    });

    postgres.freeze();
    // A revocation that hangs while it is recorded, and one that hangs while it is waited for: this replica has not
    // acknowledged that one itself.
    thread::scope(|scope| {
        for (replica, token) in [(0, &frozen), (1, &repeated)] {
            let scene = &scene;
            scope.spawn(move || {
                let request = scene.app.revoke_request(scene.replica(replica), token.as_str());
                let (answer, took) = timed(|| request.limit(SOON).try_send());
                println!("a revocation with PostgreSQL frozen: {took:?}");
                let answer = answer.unwrap_or_else(|error| panic!("no answer within {SOON:?}: {error}"));
                assert_unavailable(&answer);
                let text = answer.text();
                assert!(text.contains("recorded"), "{text}");
                assert!(took < Duration::from_secs(3) + PROMISED, "its wait is 3 s, and it took {took:?}");
            });
        }
    });
    assert_eq!(scene.ask(1, &repeated), Said::Inactive);
    postgres.thaw();
    for token in [&stopped, &frozen, &repeated] {
        wait::until_true("asking again succeeds", SOON, || scene.revoke(1, token).status == 200);
        scene.everywhere(token, Said::Inactive);
    }
}

/// Replica 1 alone loses SQL; what replica 0 acknowledges then is late, and true.
fn acknowledged_late_and_truly(fault: fn(&Proxy)) {
    let scene = Scene::of(plan().proxied());
    let (live, dying) = (scene.live_token(), scene.live_token());
    fault(scene.deployment.sql_path(1));
    let (answer, took) = thread::scope(|scope| {
        let revoking = scope.spawn(|| timed(|| scene.revoke(0, &dying)));
        // Before the acknowledgement the one that was cut off may still say active.
        while !revoking.is_finished() {
            assert_ne!(scene.ask(1, &live), Said::Inactive);
        }
        revoking.join().expect("the revocation is answered")
    });
    answer.expect_status(200);
    measured(&format!("acknowledged in {took:?} with a lease of {LEASE:?}"));
    assert!(
        took > RIDDEN_OUT,
        "the one that was cut off could still say active, {took:?} after the revocation"
    );
    assert!(took < LEASE + PROMISED, "{took:?} is longer than a lease");
    for _ in 0..50 {
        assert_eq!(scene.ask(1, &dying), Said::Unavailable, "the one that was cut off knows nothing now");
        assert_eq!(scene.ask(1, &live), Said::Unavailable);
        assert_eq!(scene.ask(0, &dying), Said::Inactive);
        assert_eq!(scene.ask(0, &live), Said::Active);
    }
    // With the dead weight gone, the next one is quick.
    let next = scene.app.mint(scene.replica(0));
    let (answer, took) = timed(|| scene.revoke(0, &next));
    answer.expect_status(200);
    measured(&format!("and the next in {took:?}"));
    assert!(took < RIDDEN_OUT, "the row of the one that was cut off is gone, and this took {took:?}");
    scene.deployment.sql_path(1).pass();
    wait::until_true("the one that was cut off is back", SOON, || {
        let said = [scene.ask(1, &dying), scene.ask(1, &next)];
        assert!(!said.contains(&Said::Active), "{said:?}");
        said == [Said::Inactive; 2]
    });
    scene.wait_for_recovery(&live);
}

#[test]
fn a_revocation_while_one_replica_is_refused_by_sql_is_acknowledged_late_and_truly() {
    acknowledged_late_and_truly(Proxy::refuse);
}

#[test]
fn a_revocation_while_one_replica_hears_nothing_from_sql_is_acknowledged_late_and_truly() {
    acknowledged_late_and_truly(Proxy::stall);
}

#[test]
fn a_token_of_a_client_that_a_replica_has_not_heard_is_enabled_is_not_called_inactive_there() {
    // A lease that outlives the test: replica 1 goes on by what it knew.
    let scene = Scene::of(Plan::scaled(2).proxied());
    let deployment = &scene.deployment;
    deployment.cli(&["client", "disable", &scene.app.id]).success();
    deployment.sql_path(1).stall();
    thread::scope(|scope| {
        // Confirmed when replica 1 has heard of it.
        let enabling = scope.spawn(|| deployment.cli(&["client", "enable", &scene.app.id]));
        let token = wait::until("replica 0 has heard of it", SOON, || {
            let answer = scene.app.token_request(scene.replica(0), &[]).send();
            (answer.status == 200).then(|| minted(&answer))
        });
        assert_eq!(scene.ask(0, &token), Said::Active);
        for _ in 0..20 {
            assert_eq!(scene.ask(1, &token), Said::Unavailable, "replica 0 has given it out");
        }
        deployment.sql_path(1).pass();
        enabling.join().expect("the command ends").success();
        scene.everywhere(&token, Said::Active);
    });
}
