//! PostgreSQL that takes its time to commit: what is acknowledged is late and true, what is not says so, and nobody
//! serves under a lease whose renewal was not confirmed.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use crate::scene::{
    PROMISED, SOON, Said, Scene, ask, assert_alive, assert_unavailable, measured, pause, timed, try_mint,
};
use crate::support::actors::Token;
use crate::support::deployment::Plan;
use crate::support::postgres::{PostgresOptions, PostgresServer};
use crate::support::proxy::{Direction, Fate, Proxy};
use crate::support::wait;

const LEASE: Duration = Duration::from_secs(3);
const WAIT: Duration = Duration::from_secs(5);

fn plan() -> Plan {
    Plan::scaled(2).lease("3s").env("SYMBOLON_REVOKE_WAIT", "5s")
}

/// Every commit waits for a standby, which can be frozen.
fn with_a_standby() -> (Scene, PostgresServer) {
    let scene = Scene::of(plan().own_postgres());
    let primary = scene.deployment.postgres();
    let standby = primary.standby("standby", primary.address());
    primary.commit_waits_for("standby");
    (scene, standby)
}

fn no_hole(scene: &Scene) {
    let holes = "SELECT max(number) - min(number) + 1 - count(*), \
                 (SELECT number FROM feed) - max(number) FROM changes";
    assert_eq!(scene.deployment.database().execute(holes), "0|0", "the numbers have a hole");
}

#[test]
fn a_commit_that_hangs_for_less_than_the_lease_is_acknowledged_late_and_truly() {
    let (scene, standby) = with_a_standby();
    let live = scene.live_token();
    let mut latest = Duration::ZERO;
    for round in 0..5 {
        let dying = scene.live_token();
        standby.freeze();
        let (took, asked) = thread::scope(|scope| {
            let revoking = scope.spawn(|| {
                let (answer, took) = timed(|| scene.revoke(round % 2, &dying));
                answer.expect_status(200);
                for replica in [1, 0] {
                    assert_eq!(scene.ask(replica, &dying), Said::Inactive, "after the acknowledgement");
                }
                took
            });
            let (frozen, mut asked) = (Instant::now(), 0);
            while frozen.elapsed() < Duration::from_millis(1200) {
                assert!(!revoking.is_finished(), "acknowledged before the commit was confirmed");
                for replica in [0, 1] {
                    assert_eq!(scene.ask(replica, &live), Said::Active, "the lease is long enough");
                    asked += 1;
                }
                assert!(try_mint(&scene.app, scene.replica(0)).is_some(), "a mint needs no commit");
                pause(20);
            }
            standby.thaw();
            (revoking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), asked)
        });
        assert!(asked > 2 && took >= Duration::from_millis(1200) && took < WAIT, "{took:?}");
        latest = latest.max(took);
    }
    measured(&format!(
        "5 commits held for 1.2 s: all acknowledged, after {latest:.1?} at most; 0 requests failed"
    ));
}

#[test]
fn a_commit_that_hangs_for_longer_than_the_lease_is_not_acknowledged_and_ends_the_lease() {
    let (scene, standby) = with_a_standby();
    let live = scene.live_token();
    let dying: Vec<Token> = (0..6).map(|_| scene.live_token()).collect();
    let acknowledged = scene.live_token();
    scene.app.revoke(scene.replica(1), &acknowledged);
    standby.freeze();
    let frozen = Instant::now();
    let slowest = Mutex::new(Duration::ZERO);
    let last_active = thread::scope(|scope| {
        // The first ones wait for their commit, the rest for the lock of the head that it holds.
        for (index, token) in dying.iter().enumerate() {
            let (scene, slowest) = (&scene, &slowest);
            scope.spawn(move || {
                let request = scene.app.revoke_request(scene.replica(index % 2), token.as_str());
                let (answer, took) = timed(|| request.limit(2 * SOON).send());
                assert_unavailable(&answer);
                assert!(answer.text().contains("recorded"), "{}", answer.text());
                let mut slowest = slowest.lock().unwrap();
                *slowest = took.max(*slowest);
            });
        }
        let mut last_active = Duration::ZERO;
        while frozen.elapsed() < WAIT + PROMISED {
            for server in scene.deployment.replicas() {
                let began = frozen.elapsed();
                assert_ne!(ask(&scene.api, server, &acknowledged), Said::Active);
                match ask(&scene.api, server, &live) {
                    Said::Active => last_active = began,
                    Said::Unavailable => {}
                    other => panic!("{other:?} of a live token {began:?} into the freeze"),
                }
                assert_alive(server);
            }
            pause(20);
        }
        last_active
    });
    let slowest = slowest.into_inner().unwrap();
    assert!(last_active <= LEASE, "active {last_active:?} into the freeze: the renewals were not confirmed");
    assert!(slowest < WAIT + PROMISED, "the wait is {WAIT:?}, and an answer took {slowest:?}");
    standby.thaw();
    let ((), recovered) = timed(|| scene.wait_for_recovery(&live));
    for token in &dying {
        wait::until_true("asking again succeeds", SOON, || scene.revoke(1, token).status == 200);
        scene.everywhere(token, Said::Inactive);
    }
    no_hole(&scene);
    measured(&format!(
        "6 revocations under a frozen commit: 503 within {slowest:.1?} (wait {WAIT:?}), all done when asked again; \
         last active answer {last_active:.1?} into the freeze (lease {LEASE:?}); well {recovered:.1?} after it"
    ));
}

/// Holds the confirmation of every commit back.
fn hold_commits(path: &Proxy, held: Duration) {
    path.filter(move |direction, piece| {
        // CommandComplete of COMMIT: its tag ends with a zero byte.
        if direction == Direction::Answer && piece.windows(7).any(|word| word == b"COMMIT\0") {
            thread::sleep(held);
        }
        Fate::Pass
    });
}

#[test]
fn confirmations_of_commits_that_come_late_make_acknowledgements_late_and_end_the_lease_of_nobody_else() {
    let scene = Scene::of(plan().proxied());
    let live = scene.live_token();
    hold_commits(scene.deployment.sql_path(0), Duration::from_millis(600));
    let mut late = Duration::ZERO;
    for _ in 0..3 {
        let dying = scene.live_token();
        let (answer, took) = timed(|| scene.revoke(0, &dying));
        answer.expect_status(200);
        scene.everywhere(&dying, Said::Inactive);
        assert!(took >= Duration::from_millis(600), "acknowledged before its commit was confirmed: {took:?}");
        late = late.max(took);
    }
    // Longer than the lease: its renewals are in SQL, and it does not know.
    hold_commits(scene.deployment.sql_path(0), 2 * LEASE);
    wait::until_true("its lease ends", LEASE + PROMISED, || scene.ask(0, &live) == Said::Unavailable);
    let mut latest = Duration::ZERO;
    for _ in 0..3 {
        let dying = scene.app.mint(scene.replica(1));
        let (answer, took) = timed(|| scene.revoke(1, &dying));
        answer.expect_status(200);
        latest = latest.max(took);
        assert!(took < LEASE + PROMISED, "{took:?} is longer than a lease");
        assert_eq!(scene.ask(1, &dying), Said::Inactive);
        assert_ne!(scene.ask(0, &dying), Said::Active, "acknowledged");
        assert_eq!(scene.ask(1, &live), Said::Active);
    }
    hold_commits(scene.deployment.sql_path(0), Duration::ZERO);
    scene.wait_for_recovery(&live);
    no_hole(&scene);
    measured(&format!(
        "confirmations 0.6 s late: 3 acknowledged within {late:.1?}; two leases late: that replica says 503, \
         3 on the other acknowledged within {latest:.1?}"
    ));
}

#[test]
fn commits_of_a_tenth_of_a_second_each_are_shared_and_every_acknowledgement_is_true() {
    const WORKERS: usize = 8;
    const EACH: usize = 5;
    let settings = vec!["commit_delay=100000".to_owned(), "commit_siblings=0".to_owned()];
    let options = PostgresOptions { settings, ..PostgresOptions::default() };
    let scene = Scene::of(plan().own_postgres_with(options));
    let live = scene.live_token();
    let mut took = thread::scope(|scope| {
        let working: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let scene = &scene;
                scope.spawn(move || {
                    let revoke = |_| {
                        let token = scene.app.mint(scene.replica(worker % 2));
                        let (answer, took) = timed(|| scene.revoke(worker % 2, &token));
                        answer.expect_status(200);
                        assert_eq!(scene.ask((worker + 1) % 2, &token), Said::Inactive, "acknowledged");
                        took
                    };
                    (0..EACH).map(revoke).collect::<Vec<_>>()
                })
            })
            .collect();
        let joined = working
            .into_iter()
            .map(|one| one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        joined.flatten().collect::<Vec<Duration>>()
    });
    took.sort_unstable();
    assert!(took[0] >= Duration::from_millis(90), "the commits were not slow: {took:?}");
    scene.everywhere(&live, Said::Active);
    no_hole(&scene);
    measured(&format!(
        "{} revocations, all acknowledged and true; median {:.0?}, slowest {:.0?}",
        took.len(),
        took[took.len() / 2],
        took[took.len() - 1]
    ));
}
