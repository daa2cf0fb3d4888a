//! Backups of PostgreSQL and Redis, with their own tools: what `docs/BACKUP.md` says of each way to restore them, but for
//! a Redis that alone is older or empty, which is in [`old_data`](super::old_data).

use std::time::Duration;

use crate::people::{log_in, refused};
use crate::scene::{SOON, Said, Scene, ask, measured, readiness, try_mint};
use crate::support::actors::Token;
use crate::support::browser::{App, Tokens, User};
use crate::support::cli;
use crate::support::deployment::Plan;
use crate::support::encoding;
use crate::support::psql::Dump;
use crate::support::redis::{RedisDump, RedisOptions};
use crate::support::symbolon::{Environment, Server, ServerConfig, WaitFor};
use crate::support::wait;

const LEASE: Duration = Duration::from_secs(3);

/// An installation with a backup of each store, and what happened since.
struct Since {
    scene: Scene,
    postgres: Dump,
    redis: RedisDump,
    /// Revoked before the backup, after it, and never; issued after it.
    tokens: Vec<Token>,
    /// Disabled after the backup.
    mira: User,
    notes: App,
    session: Tokens,
}

/// PostgreSQL first: a Redis that has seen more than the database betrays that it was restored.
fn since() -> Since {
    let redis = RedisOptions { appendonly: true, ..RedisOptions::default() };
    let scene = Scene::of(Plan::scaled(2).lease("3s").redis(redis).env("SYMBOLON_DRAIN_DELAY", "0s"));
    let deployment = &scene.deployment;
    let (mira, notes) = (deployment.user("mira"), deployment.app("notes", "notes:read notes:write", &[]));
    let session = log_in(&mira, &notes, [scene.replica(0), scene.replica(1)]);
    let mut tokens = vec![scene.live_token(), scene.live_token(), scene.live_token()];
    scene.app.revoke(scene.replica(0), &tokens[0]);
    let (postgres, redis) = (deployment.database().dump(), deployment.redis().dump());
    scene.app.revoke(scene.replica(1), &tokens[1]);
    deployment.cli(&["user", "disable", "mira"]).success();
    deployment.client("later", "notes:read");
    tokens.push(scene.live_token());
    tokens.push(session.access.clone());
    scene.everywhere(&session.access, Said::Inactive);
    Since { scene, postgres, redis, tokens, mira, notes, session }
}

impl Since {
    #[track_caller]
    fn is_dead(&self) {
        for server in self.scene.deployment.replicas() {
            for token in &self.tokens {
                assert_eq!(ask(&self.scene.api, server, token), Said::Inactive, "{}", token.grant_id());
            }
            refused(&self.notes.refreshing(server, &self.session.refresh, &[]).send());
        }
    }

    /// The directory is that of the backup: what was done since has to be done again.
    #[track_caller]
    fn is_as_it_was(&self) {
        let deployment = &self.scene.deployment;
        assert!(!deployment.cli(&["client", "list"]).success().stdout.contains("later"));
        let tokens = log_in(&self.mira, &self.notes, [self.scene.replica(0), self.scene.replica(1)]);
        self.scene.everywhere(&tokens.access, Said::Active);
        deployment.cli(&["user", "disable", "mira"]).success();
        self.scene.everywhere(&tokens.access, Said::Inactive);
        self.scene.live_token();
    }
}

#[test]
fn a_postgres_that_alone_was_restored_is_answered_from_by_nobody_until_recover() {
    let since = since();
    let scene = &since.scene;
    scene.deployment.database().restore(&since.postgres);
    for (index, server) in scene.deployment.replicas().enumerate() {
        wait::until_true("the restore is noticed", LEASE + SOON, || {
            let ready = readiness(server);
            assert_ne!(scene.ask(index, &since.tokens[1]), Said::Active, "acknowledged before the restore");
            ready.status == 503 && ready.text().contains("symbolon recover")
        });
        wait::until_true("the lease ends", LEASE, || scene.ask(index, &since.tokens[2]) == Said::Unavailable);
        assert!(try_mint(&scene.app, server).is_none());
    }
    scene.deployment.cli(&["recover", "--yes", "--reason", "an old backup"]).success();
    for server in scene.deployment.replicas() {
        server.wait_until_ready(true, SOON);
    }
    since.is_dead();
    since.is_as_it_was();
    measured(&format!("{} tokens from before, 0 alive", since.tokens.len()));
}

#[test]
fn both_stores_restored_are_safe_when_recover_is_run_before_anybody_serves() {
    let since = since();
    let deployment = &since.scene.deployment;
    for server in deployment.replicas() {
        server.terminate();
    }
    deployment.redis().restore(&since.redis);
    deployment.database().restore(&since.postgres);
    deployment.cli(&["recover", "--yes"]).success();
    for server in deployment.replicas() {
        server.restart();
    }
    since.is_dead();
    since.is_as_it_was();
    measured(&format!("{} tokens from before, 0 alive", since.tokens.len()));
}

#[test]
fn a_postgres_that_was_restored_beside_an_empty_redis_is_safe_when_recover_is_run_before_anybody_serves() {
    let since = since();
    let deployment = &since.scene.deployment;
    for server in deployment.replicas() {
        server.terminate();
    }
    deployment.redis().command(&["FLUSHALL"]);
    deployment.database().restore(&since.postgres);
    deployment.cli(&["recover", "--yes"]).success();
    for server in deployment.replicas() {
        server.restart();
    }
    // Even with an old dump on top of it.
    deployment.redis().restore(&since.redis);
    for server in deployment.replicas() {
        server.wait_until_ready(true, SOON);
    }
    wait::until_true("every worker has found the restored Redis", SOON, || {
        let asked = [0, 1].map(|index| since.scene.ask(index, &since.tokens[2]));
        assert!(!asked.contains(&Said::Active));
        asked == [Said::Inactive; 2]
    });
    since.is_as_it_was();
}

/// The environment with another key than the one that was lost.
fn with_a_new_key(scene: &Scene) -> Environment {
    let mut environment = scene.deployment.environment().clone();
    environment.insert("SYMBOLON_TOKEN_KEY".to_owned(), encoding::random_token_key());
    environment
}

#[test]
fn without_the_token_key_nobody_serves_until_recover_is_told_that_it_is_lost() {
    let scene = Scene::of(Plan::scaled(1));
    let old = scene.live_token();
    scene.replica(0).terminate();
    let environment = with_a_new_key(&scene);
    let server = Server::start(&ServerConfig::serve().envs(&environment).wait_for(WaitFor::Liveness));
    wait::until_true("it says what it lacks", SOON, || readiness(&server).text().contains("fingerprint"));
    assert_eq!(ask(&scene.api, &server, &old), Said::Unavailable);
    // That alone is not what it lacks.
    cli::cli(&environment, &["recover", "--yes"]).success();
    assert!(wait::stays_true(Duration::from_secs(1), || !server.is_ready()));
    let dry = cli::cli(&environment, &["recover", "--token-key-lost", "--dry-run"]).success();
    assert!(dry.stdout.contains("would revoke every token") && !server.is_ready(), "{dry:?}");
    cli::cli(&environment, &["recover", "--token-key-lost", "--yes"]).success();
    server.wait_until_ready(true, SOON);
    assert_eq!(ask(&scene.api, &server, &old), Said::Inactive);
    let new = try_mint(&scene.app, &server).expect("a token");
    assert_eq!(ask(&scene.api, &server, &new), Said::Active);
    // Found again, the old key brings nothing back, and its replica lacks the new one.
    scene.replica(0).restart_until(WaitFor::Liveness);
    wait::until_true("it says what it lacks", SOON, || {
        readiness(scene.replica(0)).text().contains("fingerprint")
    });
    assert_eq!(ask(&scene.api, scene.replica(0), &old), Said::Unavailable);
}
