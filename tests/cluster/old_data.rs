//! Stores that go back in time (S2, S9): Redis may lie about the past, and nothing that was revoked or killed comes
//! back; SQL that has lost commits is noticed, and `symbolon recover` makes an end of everything from before.

use std::time::Duration;

use crate::scene::{PROMISED, SOON, Said, Scene, ask, assert_alive, measured, readiness, try_mint};
use crate::support::actors::{Client, Token};
use crate::support::deployment::Plan;
use crate::support::redis::{RedisDump, RedisOptions, RedisServer};
use crate::support::symbolon::{Server, ServerConfig, WaitFor};
use crate::support::wait;

const LEASE: Duration = Duration::from_secs(3);

/// An installation whose Redis was dumped before some of its tokens died.
struct Past {
    scene: Scene,
    dump: RedisDump,
    live: Token,
    dead: Vec<Token>,
}

/// What a token died of does not matter to a Redis that has it back.
fn past(plan: Plan) -> Past {
    let scene = Scene::of(plan.redis(RedisOptions { appendonly: true, ..RedisOptions::default() }));
    let deployment = &scene.deployment;
    let doomed = deployment.client("doomed", "notes:read");
    let live = scene.live_token();
    let revoked = [scene.live_token(), scene.live_token(), scene.live_token()];
    let killed = [doomed.mint(scene.replica(0)), doomed.mint(scene.replica(1))];
    let dump = deployment.redis().dump();
    scene.app.revoke(scene.replica(0), &revoked[0]);
    scene.api.revoke(scene.replica(1), &revoked[1]);
    deployment.cli(&["token", "revoke", revoked[2].as_str(), "--yes"]).success();
    deployment.cli(&["revoke", "--client", &doomed.id, "--yes"]).success();
    let dead = [revoked.as_slice(), killed.as_slice()].concat();
    for token in &dead {
        scene.everywhere(token, Said::Inactive);
    }
    Past { scene, dump, live, dead }
}

impl Past {
    /// Fails if a replica calls anything active that is dead.
    #[track_caller]
    fn nothing_comes_back(&self) {
        for server in self.scene.deployment.replicas() {
            for token in &self.dead {
                assert_ne!(ask(&self.scene.api, server, token), Said::Active, "{} is dead", token.grant_id());
            }
        }
    }

    /// Until long after every connection was made anew, verified, and everything put right.
    #[track_caller]
    fn nothing_comes_back_at_all(&self) {
        wait::stays_true(PROMISED, || {
            self.nothing_comes_back();
            true
        });
        self.scene.wait_for_recovery(&self.live);
        for token in &self.dead {
            self.scene.everywhere(token, Said::Inactive);
        }
        self.scene.live_token();
        measured(&format!("{} dead tokens, 0 came back", self.dead.len()));
    }
}

#[test]
fn s9_a_redis_that_is_restored_to_an_older_dump_brings_no_dead_token_back() {
    for memory in ["1h", "1s"] {
        let past = past(Plan::scaled(2).env("SYMBOLON_REVOKED_MEMORY", memory));
        past.scene.deployment.redis().restore(&past.dump);
        past.nothing_comes_back();
        past.nothing_comes_back_at_all();
        // The records of the revoked were deleted once more, so that it does not rest on memory for ever.
        let redis = past.scene.deployment.redis();
        let keys = || redis.command(&["DBSIZE"]).integer();
        let before = keys();
        past.scene.deployment.redis().restore(&past.dump);
        past.nothing_comes_back_at_all();
        measured(&format!("memory {memory}: {before} keys before, {} after", keys()));
    }
}

#[test]
fn s9_replicas_that_start_over_an_older_redis_bring_no_dead_token_back() {
    let past = past(Plan::scaled(2).env("SYMBOLON_DRAIN_DELAY", "0s"));
    for server in past.scene.deployment.replicas() {
        server.terminate();
    }
    past.scene.deployment.redis().restore(&past.dump);
    for server in past.scene.deployment.replicas() {
        server.restart();
        for token in &past.dead {
            assert_ne!(ask(&past.scene.api, server, token), Said::Active, "right after the start");
        }
    }
    past.nothing_comes_back_at_all();
}

#[test]
fn a_redis_that_is_demoted_to_an_older_copy_under_open_connections_brings_no_dead_token_back() {
    let past = past(Plan::scaled(2));
    let older = RedisServer::start();
    older.restore(&past.dump);
    let redis = past.scene.deployment.redis();
    let port = older.port().to_string();
    assert!(!redis.command(&["REPLICAOF", "127.0.0.1", &port]).is_error());
    // The connections stay open, and under them the data becomes the older copy's.
    wait::until_true("the older data have arrived", SOON, || {
        past.nothing_comes_back();
        redis.command(&["INFO", "replication"]).text().contains("master_link_status:up")
    });
    wait::until_true("the demotion is noticed", 2 * PROMISED, || {
        past.nothing_comes_back();
        [0, 1].map(|index| past.scene.ask(index, &past.live)) == [Said::Unavailable; 2]
    });
    assert!(!redis.command(&["REPLICAOF", "NO", "ONE"]).is_error());
    past.nothing_comes_back_at_all();
}

#[test]
fn a_redis_that_was_emptied_and_then_restored_brings_no_dead_token_back() {
    let past = past(Plan::scaled(2));
    past.scene.deployment.redis().command(&["FLUSHALL"]);
    for index in [0, 1] {
        wait::until_true("lost is inactive", SOON, || past.scene.ask(index, &past.live) == Said::Inactive);
    }
    past.nothing_comes_back();
    past.scene.deployment.redis().restore(&past.dump);
    past.nothing_comes_back_at_all();
}

#[test]
fn a_redis_that_restarts_or_goes_back_while_sql_is_away_is_served_from_truly_or_not_at_all() {
    let past = past(Plan::scaled(2).own_postgres());
    let (deployment, scene) = (&past.scene.deployment, &past.scene);
    deployment.postgres().stop();
    // The lease of 30 s lets both outages be ridden out together.
    deployment.redis().kill();
    deployment.redis().restart();
    for index in [0, 1] {
        wait::until_true("Redis is served from again", SOON, || {
            let said = scene.ask(index, &past.live);
            assert_ne!(said, Said::Inactive);
            said == Said::Active
        });
    }
    past.nothing_comes_back();
    deployment.redis().restore(&past.dump);
    let truly = wait::stays_true(PROMISED, || {
        past.nothing_comes_back();
        [0, 1].map(|index| scene.ask(index, &past.live)).iter().all(|said| *said != Said::Inactive)
    });
    assert!(truly, "a live token was called inactive");
    deployment.postgres().restart();
    past.nothing_comes_back_at_all();
}

/// An installation whose PostgreSQL lost everything since a moment: a failover to a standby that lagged behind.
struct Lost {
    scene: Scene,
    other: Client,
    /// Good, revoked and killed ones. The database that is left calls them all good.
    tokens: Vec<Token>,
    dead: Vec<Token>,
}

fn lost() -> Lost {
    let scene = Scene::of(Plan::scaled(2).lease("3s").own_postgres());
    let deployment = &scene.deployment;
    let other = deployment.client("other", "notes:read");
    let kept = scene.live_token();
    let dead = vec![scene.live_token(), other.mint(scene.replica(0)), other.mint(scene.replica(1))];
    let backup = deployment.postgres().backup();
    scene.app.revoke(scene.replica(0), &dead[0]);
    deployment.cli(&["revoke", "--client", &other.id, "--yes"]).success();
    for token in &dead {
        scene.everywhere(token, Said::Inactive);
    }
    deployment.postgres().restore(&backup);
    let tokens = [vec![kept], dead.clone()].concat();
    Lost { scene, other, tokens, dead }
}

/// Not ready, alive, and saying what to do; in its log, too.
fn asks_for_recover(server: &Server) {
    wait::until_true("the loss is noticed", LEASE + SOON, || {
        let ready = readiness(server);
        ready.status == 503 && ready.text().contains("symbolon recover")
    });
    wait::until_true("the log says so too", SOON, || server.stderr().contains("symbolon recover"));
    assert_alive(server);
}

/// After `recover --yes`: the past is dead, the future works.
fn recovers(lost: &Lost, replicas: &[&Server]) {
    let (scene, api) = (&lost.scene, &lost.scene.api);
    let output = scene.deployment.cli(&["recover", "--yes", "--reason", "an old backup", "--json"]).success();
    assert!(output.json()["change"].as_u64().is_some_and(|number| number > 0), "{output:?}");
    for server in replicas {
        for token in &lost.tokens {
            assert_ne!(ask(api, server, token), Said::Active, "recover had ended with 0");
        }
        server.wait_until_ready(true, SOON);
        for token in &lost.tokens {
            assert_eq!(ask(api, server, token), Said::Inactive, "a token from before the recovery");
        }
    }
    measured(&format!("{} tokens from before, all inactive on both after `recover`", lost.tokens.len()));
    for (minter, asked) in [(0, 1), (1, 0)] {
        let new = lost.other.mint(replicas[minter]);
        assert_eq!(ask(api, replicas[asked], &new), Said::Active);
        lost.other.revoke(replicas[asked], &new);
        assert_eq!(ask(api, replicas[minter], &new), Said::Inactive);
    }
}

#[test]
fn a_postgres_that_lost_commits_is_noticed_by_those_who_saw_them_and_recovered_from() {
    let lost = lost();
    let scene = &lost.scene;
    for server in scene.deployment.replicas() {
        asks_for_recover(server);
        for token in &lost.dead {
            assert_ne!(ask(&scene.api, server, token), Said::Active, "acknowledged before the loss");
        }
    }
    for (index, server) in scene.deployment.replicas().enumerate() {
        wait::until_true("the lease ends", LEASE, || scene.ask(index, &lost.tokens[0]) == Said::Unavailable);
        assert!(try_mint(&scene.app, server).is_none());
    }
    let refused = scene.deployment.cli(&["recover"]).expect_status(2);
    assert!(refused.stderr.contains("--yes"), "{refused:?}");
    let replicas: Vec<&Server> = scene.deployment.replicas().collect();
    recovers(&lost, &replicas);
}

#[test]
fn a_postgres_that_lost_commits_is_betrayed_by_the_witness_to_those_who_start_afterwards() {
    let lost = lost();
    let scene = &lost.scene;
    for server in scene.deployment.replicas() {
        server.kill();
    }
    let config = ServerConfig::serve().envs(scene.deployment.environment()).wait_for(WaitFor::Liveness);
    let started = [Server::start(&config), Server::start(&config)];
    for server in &started {
        asks_for_recover(server);
        for token in &lost.tokens {
            assert_eq!(ask(&scene.api, server, token), Said::Unavailable);
        }
        assert!(
            try_mint(&scene.app, server).is_none(),
            "a token was minted over a database that lost commits"
        );
    }
    recovers(&lost, &started.iter().collect::<Vec<_>>());
}

#[test]
fn a_redis_beside_a_database_that_was_made_anew_is_not_served_from() {
    let scene = Scene::of(Plan::scaled(1));
    let live = scene.live_token();
    scene.app.revoke(scene.replica(0), &live);
    wait::until_true("the witness is written", SOON, || {
        scene.deployment.redis().command(&["DBSIZE"]).integer() > 0
    });
    let anew = Plan::scaled(0).start();
    let config = ServerConfig::serve()
        .envs(scene.deployment.environment())
        .env("SYMBOLON_DATABASE_URL", anew.database().url())
        .wait_for(WaitFor::Liveness);
    let server = Server::start(&config);
    asks_for_recover(&server);
}
