//! Redis down is not "inactive" (promise 7, S3, S4, S9, S11): 503 with `Retry-After`, readiness fails, liveness holds,
//! junk is still answered, and when Redis is back so are the replicas, by themselves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::scene::{
    PROMISED, SOON, Said, Scene, assert_alive, assert_unavailable, check_failing, measured, pause, readiness,
    said, timed, try_mint,
};
use crate::support::actors::Token;
use crate::support::deployment::Plan;
use crate::support::ports;
use crate::support::proxy::Proxy;
use crate::support::redis::{RedisOptions, RedisServer};
use crate::support::symbolon::{Server, ServerConfig, WaitFor};
use crate::support::wait;

fn two_replicas() -> Scene {
    Scene::of(durable(Plan::scaled(2)))
}

/// Keys survive a kill.
fn durable(plan: Plan) -> Plan {
    plan.redis(RedisOptions { appendonly: true, ..RedisOptions::default() })
}

/// Redis as good as gone, from the first request that meets it to long after every replica has noticed.
fn stays_honest_without_redis(scene: &Scene, live: &Token) {
    for (index, server) in scene.deployment.replicas().enumerate() {
        // The first requests may meet connections that are still up and, if Redis reads, a true answer. Every worker
        // has a connection of its own, and requests go round the workers.
        let unavailable = || match scene.ask(index, live) {
            Said::Unavailable => true,
            Said::Active => false,
            other => panic!("{other:?} of a live token on replica {index}"),
        };
        wait::until_true("every worker notices", 2 * PROMISED, || (0..8).all(|_| unavailable()));
        server.wait_until_ready(false, 2 * PROMISED);
    }
    for (index, server) in scene.deployment.replicas().enumerate() {
        let mut slowest = Duration::ZERO;
        for _ in 0..20 {
            let (answer, took) = timed(|| scene.ask(index, live));
            assert_eq!(answer, Said::Unavailable, "a live token on replica {index}");
            slowest = slowest.max(took);
        }
        println!("replica {index}: slowest of 20 introspections {slowest:?}");
        let (minted, took) = timed(|| try_mint(&scene.app, server));
        assert!(minted.is_none() && took < PROMISED, "a mint that cannot be kept took {took:?}");
        assert_alive(server);
        let junk = scene.api.introspect_request(server, "sya_junk").limit(PROMISED).send();
        assert_eq!(said(&junk), Said::Inactive, "junk needs no store");
        let ready = readiness(server).expect_status(503).text();
        assert!(ready.contains("[-]redis failed"), "{ready}");
        assert!(ready.contains("[+]sql ok"), "{ready}");
        assert!(check_failing(server, "redis"));
    }
}

/// The whole round: well, broken, honest, mended, well again without anybody's help.
fn survives(scene: &Scene, break_it: impl FnOnce(&Scene), mend_it: impl FnOnce(&Scene)) {
    let live = scene.live_token();
    let dead = scene.live_token();
    scene.app.revoke(scene.replica(1), &dead);
    break_it(scene);
    stays_honest_without_redis(scene, &live);
    mend_it(scene);
    let ((), took) = timed(|| scene.wait_for_recovery(&live));
    measured(&format!("recovered in {took:?}"));
    scene.everywhere(&dead, Said::Inactive);
    scene.live_token();
}

#[test]
fn a_killed_redis_is_ridden_out_and_found_again() {
    let scene = two_replicas();
    survives(&scene, |scene| scene.deployment.redis().kill(), |scene| scene.deployment.redis().restart());
}

#[test]
fn an_admin_can_revoke_while_redis_is_away_and_it_holds_when_redis_is_back() {
    let scene = two_replicas();
    let (live, dying) = (scene.live_token(), scene.live_token());
    let redis = scene.deployment.redis();
    redis.kill();
    for index in [0, 1] {
        // Whose token it is stands in Redis, so a client cannot be answered.
        let (answer, took) = timed(|| scene.revoke(index, &dying));
        assert_unavailable(&answer);
        assert!(took < PROMISED, "{took:?}");
    }
    let (output, took) =
        timed(|| scene.deployment.cli(&["token", "revoke", dying.as_str(), "--yes", "--json"]));
    measured(&format!("an admin's revocation without Redis: {took:?}"));
    assert_eq!(output.success().json()["confirmed"]["replicas"].as_array().map(Vec::len), Some(2));
    redis.restart();
    // It has the record still.
    for _ in 0..20 {
        assert!([0, 1].iter().all(|index| scene.ask(*index, &dying) != Said::Active));
    }
    scene.wait_for_recovery(&live);
    scene.everywhere(&dying, Said::Inactive);
}

#[test]
fn a_frozen_redis_is_answered_for_in_time_and_found_again() {
    let scene = two_replicas();
    let live = scene.live_token();
    let redis = scene.deployment.redis();
    redis.freeze();
    // These meet connections that look well.
    for replica in [0, 1] {
        let (said, took) = timed(|| scene.ask(replica, &live));
        measured(&format!("first introspection on a frozen Redis: {said:?} in {took:?}"));
        assert_eq!(said, Said::Unavailable);
        assert!(took < PROMISED, "250 ms by default, {took:?} even on a busy machine is too long");
    }
    redis.thaw();
    scene.wait_for_recovery(&live);
    redis.freeze();
    let (minted, took) = timed(|| try_mint(&scene.app, scene.replica(0)));
    measured(&format!("first mint on a frozen Redis: {took:?}"));
    assert!(minted.is_none() && took < PROMISED);
    redis.thaw();
    scene.wait_for_recovery(&live);
    survives(&scene, |scene| scene.deployment.redis().freeze(), |scene| scene.deployment.redis().thaw());
}

#[test]
fn a_path_to_redis_that_is_cut_refused_or_silent_is_the_same_as_no_redis() {
    let scene = Scene::of(durable(Plan::scaled(2).proxied()));
    let refused: fn(&Proxy) = Proxy::refuse;
    for (name, fault) in [("refused", refused), ("cut", Proxy::reset), ("silent", Proxy::stall)] {
        println!("the path is {name}");
        survives(
            &scene,
            |scene| [0, 1].iter().for_each(|index| fault(scene.deployment.redis_path(*index))),
            |scene| [0, 1].iter().for_each(|index| scene.deployment.redis_path(*index).pass()),
        );
    }
}

#[test]
fn one_replica_without_redis_answers_503_while_the_other_goes_on() {
    let scene = Scene::of(durable(Plan::scaled(2).proxied()));
    let live = scene.live_token();
    scene.deployment.redis_path(1).stall();
    wait::until_true("replica 1 notices", 2 * PROMISED, || scene.ask(1, &live) == Said::Unavailable);
    assert_eq!(scene.ask(0, &live), Said::Active);
    // The grant store has no part in an acknowledgement.
    let (answer, took) = timed(|| scene.revoke(0, &live));
    answer.expect_status(200);
    measured(&format!("acknowledged in {took:?} while one replica has no Redis"));
    assert_ne!(scene.ask(1, &live), Said::Active);
    scene.deployment.redis_path(1).pass();
    wait::until_true("replica 1 is back", SOON, || {
        let said = scene.ask(1, &live);
        assert_ne!(said, Said::Active);
        said == Said::Inactive
    });
}

#[test]
fn a_redis_that_was_made_a_replica_is_not_served_from() {
    let scene = two_replicas();
    // Of a primary that is not there: it keeps its data and answers reads, on open connections too.
    let nobody = ports::free_port().to_string();
    survives(
        &scene,
        |scene| {
            assert!(!scene.deployment.redis().command(&["REPLICAOF", "127.0.0.1", &nobody]).is_error());
        },
        |scene| assert!(!scene.deployment.redis().command(&["REPLICAOF", "NO", "ONE"]).is_error()),
    );
}

#[test]
fn a_redis_that_is_still_loading_is_waited_for() {
    const KEYS: usize = 150;
    // 20 ms a key, and answering `-LOADING` after each.
    let slowly = ["key-load-delay 20000", "loading-process-events-interval-bytes 1024", "rdbcompression no"];
    let redis = RedisOptions { extra: slowly.map(str::to_owned).to_vec(), ..RedisOptions::default() };
    let scene = Scene::of(Plan::scaled(2).redis(redis));
    let live = scene.live_token();
    let store = scene.deployment.redis();
    for index in 0..KEYS {
        store.command(&[b"SET".as_slice(), format!("ballast:{index}").as_bytes(), &[b'x'; 2000]]);
    }
    let is_loading = || {
        let pong = store.client().and_then(|mut client| client.command(&["PING"]));
        pong.is_ok_and(|reply| reply.is_error() && reply.text().starts_with("LOADING"))
    };
    let mut seen = 0;
    thread::scope(|scope| {
        let restarting = scope.spawn(|| store.restart());
        while !restarting.is_finished() {
            let before = is_loading();
            let answers = [0, 1].map(|replica| scene.ask(replica, &live));
            let minted = try_mint(&scene.app, scene.replica(0));
            assert_alive(scene.replica(1));
            // It may have finished loading while it was asked: then the answer may be the true one.
            if before && is_loading() {
                assert_eq!(answers, [Said::Unavailable; 2]);
                assert!(minted.is_none());
                seen += 1;
            }
            assert!(!answers.contains(&Said::Inactive) && !answers.contains(&Said::Nothing), "{answers:?}");
            pause(50);
        }
    });
    measured(&format!("asked {seen} times while Redis was loading"));
    assert!(seen > 5, "Redis was seen loading {seen} times only");
    scene.wait_for_recovery(&live);
}

#[test]
fn a_redis_without_memory_refuses_mints_and_still_answers_truly() {
    let scene = two_replicas();
    let live = scene.live_token();
    let dying = scene.live_token();
    let redis = scene.deployment.redis();
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    for server in scene.deployment.replicas() {
        let answer = scene.app.token_request(server, &[]).limit(PROMISED).send();
        assert_unavailable(&answer);
        server.wait_until_ready(false, 2 * PROMISED);
        let ready = readiness(server).expect_status(503).text();
        assert!(ready.contains("[-]redis failed") && ready.contains("memory"), "{ready}");
        assert_alive(server);
    }
    // Reading needs no memory, and revoking needs no Redis.
    scene.everywhere(&live, Said::Active);
    scene.app.revoke(scene.replica(0), &dying);
    scene.everywhere(&dying, Said::Inactive);
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    scene.wait_for_recovery(&live);
    scene.everywhere(&dying, Said::Inactive);
    scene.live_token();
}

#[test]
fn a_redis_that_takes_no_writes_for_want_of_replicas_is_still_read_from() {
    let scene = two_replicas();
    let live = scene.live_token();
    let redis = scene.deployment.redis();
    redis.command(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    let over = AtomicBool::new(false);
    let said = thread::scope(|scope| {
        for server in scene.deployment.replicas() {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    assert!(try_mint(&scene.app, server).is_none(), "Redis has no replica to write to");
                }
            });
        }
        let said: Vec<Said> = (0..400).map(|turn| scene.ask(turn % 2, &live)).collect();
        over.store(true, Ordering::Relaxed);
        said
    });
    let doubted = said.iter().filter(|said| **said != Said::Active).count();
    assert_eq!(doubted, 0, "a refused write makes no read doubtful: {said:?}");
    redis.command(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    scene.wait_for_recovery(&live);
    scene.live_token();
}

#[test]
fn a_password_that_is_changed_and_changed_back_locks_nobody_out_for_ever() {
    let scene = two_replicas();
    let live = scene.live_token();
    let redis = scene.deployment.redis();
    // This connection, like those of the replicas, was let in before.
    let mut insider = redis.client().expect("Redis listens");
    let mut tell = |command: &[&str]| {
        let reply = insider.command(command).expect("Redis answers");
        assert!(!reply.is_error(), "{command:?}: {reply:?}");
    };
    tell(&["CONFIG", "SET", "requirepass", "another-one"]);
    // Redis still takes the open connections, and so the answers are true ones.
    scene.everywhere(&live, Said::Active);
    tell(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    stays_honest_without_redis(&scene, &live);
    let ready = readiness(scene.replica(0)).text();
    assert!(ready.contains("password"), "{ready}");
    assert!(!ready.contains("another-one"), "{ready}");
    // Long enough for every back-off to have grown to its longest.
    pause(1500);
    tell(&["CONFIG", "SET", "requirepass", ""]);
    scene.wait_for_recovery(&live);
    scene.live_token();
}

#[test]
fn a_wrong_password_from_the_start_is_said_and_never_shown() {
    let redis = RedisServer::start_with(RedisOptions {
        password: Some("right".to_owned()),
        ..RedisOptions::default()
    });
    let deployment = Plan::scaled(0).start();
    let wrong = redis.url().replace("right", "wr0ng-and-secret");
    let config = ServerConfig::serve()
        .envs(deployment.environment())
        .env("SYMBOLON_REDIS_URL", wrong)
        .wait_for(WaitFor::Liveness);
    let server = Server::start(&config);
    wait::until_true("the reason is told", SOON, || {
        let answer = readiness(&server);
        answer.status == 503 && answer.text().contains("password")
    });
    assert_alive(&server);
    assert!(!readiness(&server).text().contains("wr0ng"));
    assert!(!server.stderr().contains("wr0ng"), "the log shows the password");
    // As an operator would mend it on the side of Redis.
    redis.command(&["CONFIG", "SET", "requirepass", "wr0ng-and-secret"]);
    server.wait_until_ready(true, SOON);
}

#[test]
fn a_flushed_redis_makes_tokens_inactive_and_nothing_else() {
    let scene = two_replicas();
    let (live, dead) = (scene.live_token(), scene.live_token());
    scene.app.revoke(scene.replica(0), &dead);
    scene.deployment.redis().command(&["FLUSHALL"]);
    for replica in [0, 1] {
        // A connection under which the data went back is given up and made anew: 503 for a moment at most.
        wait::until_true("the replica says inactive", SOON, || match scene.ask(replica, &live) {
            Said::Inactive => true,
            Said::Unavailable => false,
            other => panic!("{other:?} of a token that Redis has lost"),
        });
    }
    let never_active = wait::stays_true(PROMISED, || {
        [0, 1].map(|replica| scene.ask(replica, &dead)).iter().all(|said| *said != Said::Active)
    });
    assert!(never_active, "a revoked token came back");
    let new = wait::until("a mint works again", SOON, || try_mint(&scene.app, scene.replica(0)));
    scene.wait_for_recovery(&new);
    scene.everywhere(&live, Said::Inactive);
    scene.app.revoke(scene.replica(1), &new);
    scene.everywhere(&new, Said::Inactive);
}

#[test]
fn s4_a_redis_that_may_evict_tokens_is_not_ready_and_says_why() {
    let scene = two_replicas();
    let live = scene.live_token();
    let redis = scene.deployment.redis();
    for policy in ["allkeys-lru", "volatile-ttl"] {
        redis.command(&["CONFIG", "SET", "maxmemory-policy", policy]);
        for server in scene.deployment.replicas() {
            server.wait_until_ready(false, PROMISED);
            let ready = readiness(server).expect_status(503).text();
            assert!(ready.contains(policy) && ready.contains("noeviction"), "{ready}");
            assert!(check_failing(server, "redis"));
            assert_alive(server);
        }
        redis.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
        scene.wait_for_recovery(&live);
    }
}
