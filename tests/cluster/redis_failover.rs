//! Redis fails over for real: a primary with a replica that lags, behind one service address. What was revoked stays
//! dead although the deletion never reached the new primary; what it never heard of is inactive, not an error.

use std::time::Duration;

use crate::scene::{PROMISED, SOON, Said, Scene, ask, measured, pause, timed};
use crate::support::actors::Token;
use crate::support::deployment::Plan;
use crate::support::proxy::Proxy;
use crate::support::redis::RedisServer;
use crate::support::wait;

const ROUNDS: usize = 5;

/// A Redis that follows another one through a path that can be cut.
struct Follower {
    stream: Proxy,
    redis: RedisServer,
}

impl Follower {
    fn of(primary: &RedisServer) -> Self {
        let stream = Proxy::to(primary.address());
        let redis = RedisServer::start();
        let port = stream.address().port().to_string();
        assert!(!redis.command(&["REPLICAOF", "127.0.0.1", &port]).is_error());
        let follower = Self { stream, redis };
        follower.catch_up(primary);
        follower
    }

    fn catch_up(&self, primary: &RedisServer) {
        wait::until_true("the replica has every key", SOON, || {
            self.redis.command(&["INFO", "replication"]).text().contains("master_link_status:up")
                && self.redis.command(&["DBSIZE"]).integer() == primary.command(&["DBSIZE"]).integer()
        });
    }

    fn promote(&self) {
        assert!(!self.redis.command(&["REPLICAOF", "NO", "ONE"]).is_error());
    }
}

#[track_caller]
fn dead_everywhere(scene: &Scene, dead: &[Token]) {
    for server in scene.deployment.replicas() {
        for token in dead {
            assert_ne!(ask(&scene.api, server, token), Said::Active, "{} was revoked", token.grant_id());
        }
    }
}

/// Every worker has a connection of its own, and one that is idle meets its end only with its next request.
#[track_caller]
fn inactive_everywhere<'t>(scene: &Scene, tokens: impl IntoIterator<Item = &'t Token>) {
    for token in tokens {
        for server in scene.deployment.replicas() {
            wait::until_true("it is known to be dead", SOON, || match ask(&scene.api, server, token) {
                Said::Inactive => true,
                Said::Unavailable => false,
                other => panic!("{other:?} of {}, which is dead", token.grant_id()),
            });
        }
    }
}

#[test]
fn a_failover_to_a_replica_that_missed_deletions_and_mints_brings_nothing_back_and_fails_nothing() {
    let scene = Scene::of(Plan::scaled(2).proxied());
    let mut primary: Option<Follower> = None;
    let (mut dead, mut lost, mut slowest) = (Vec::new(), Vec::new(), Duration::ZERO);
    for _ in 0..ROUNDS {
        let current = primary.as_ref().map_or(scene.deployment.redis(), |follower| &follower.redis);
        let live = scene.live_token();
        let revoked: Vec<Token> = (0..6).map(|_| scene.live_token()).collect();
        let next = Follower::of(current);
        next.stream.refuse();
        let records = next.redis.command(&["DBSIZE"]).integer();
        for (index, token) in revoked.iter().enumerate() {
            scene.app.revoke(scene.replica(index % 2), token);
        }
        dead.extend(revoked);
        let missed = [scene.app.mint(scene.replica(0)), scene.app.mint(scene.replica(1))];
        assert_eq!(next.redis.command(&["DBSIZE"]).integer(), records, "it hears of nothing");
        current.kill();
        next.promote();
        for index in [0, 1] {
            scene.deployment.redis_path(index).retarget(next.redis.address());
        }
        let ((), took) = timed(|| {
            for server in scene.deployment.replicas() {
                wait::until_true("the new primary is served from", SOON, || {
                    dead_everywhere(&scene, &dead);
                    server.is_ready() && ask(&scene.api, server, &live) == Said::Active
                });
            }
        });
        slowest = slowest.max(took);
        lost.extend(missed);
        inactive_everywhere(&scene, dead.iter().chain(&lost));
        // What Redis lost may be revoked all the same.
        scene.app.revoke(scene.replica(0), &lost[lost.len() - 1]);
        primary = Some(next);
    }
    scene.live_token();
    measured(&format!(
        "{ROUNDS} failovers; {} revocations whose deletion was lost, 0 came back; {} lost mints, all inactive; \
         both replicas ready within {slowest:.1?}",
        dead.len(),
        lost.len()
    ));
}

#[test]
fn replicas_that_see_two_different_redises_for_a_while_agree_on_what_was_revoked() {
    let scene = Scene::of(Plan::scaled(2).proxied());
    let live = scene.live_token();
    let revoked: Vec<Token> = (0..6).map(|_| scene.live_token()).collect();
    let follower = Follower::of(scene.deployment.redis());
    follower.stream.refuse();
    follower.promote();
    // The address of one replica alone leads to the new primary; the old one lives on.
    scene.deployment.redis_path(0).retarget(follower.redis.address());
    scene.wait_for_recovery(&live);
    for (index, token) in revoked.iter().enumerate() {
        scene.app.revoke(scene.replica(index % 2), token);
        dead_everywhere(&scene, &revoked[..=index]);
    }
    let asked = wait::stays_true(PROMISED, || {
        dead_everywhere(&scene, &revoked);
        pause(20);
        true
    });
    assert!(asked);
    scene.deployment.redis().kill();
    scene.deployment.redis_path(1).retarget(follower.redis.address());
    scene.wait_for_recovery(&live);
    inactive_everywhere(&scene, &revoked);
    measured(&format!(
        "{} revocations under a split, all dead on both sides of it and after it",
        revoked.len()
    ));
}
