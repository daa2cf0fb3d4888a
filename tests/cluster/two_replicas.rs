//! Two server processes over one Redis and one PostgreSQL: every replica answers for every token, before and after
//! everything was restarted, and what was acknowledged is gone at once, everywhere (promises 1 and 2).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::scene::{Said, Scene, ask};
use crate::support::deployment::Plan;
use crate::support::redis::RedisOptions;

#[test]
fn a_token_is_minted_here_introspected_there_revoked_and_stays_so_when_everything_was_restarted() {
    let redis = RedisOptions { appendonly: true, ..RedisOptions::default() };
    let scene = Scene::of(Plan::scaled(2).redis(redis).own_postgres().env("SYMBOLON_DRAIN_DELAY", "0s"));
    let deployment = &scene.deployment;
    let (kept, by_client, by_resource_server, by_admin) =
        (scene.live_token(), scene.live_token(), scene.live_token(), scene.live_token());
    let claims = scene.api.introspect(scene.replica(1), &kept);
    assert_eq!(claims.claim("client_id"), scene.app.id.as_str());
    assert_eq!(claims.scope(), ["notes:read", "notes:write"]);

    scene.app.revoke(scene.replica(1), &by_client);
    scene.everywhere(&by_client, Said::Inactive);
    scene.api.revoke(scene.replica(0), &by_resource_server);
    scene.everywhere(&by_resource_server, Said::Inactive);
    deployment.cli(&["token", "revoke", by_admin.grant_id(), "--yes", "--json"]).success();
    scene.everywhere(&by_admin, Said::Inactive);
    scene.everywhere(&kept, Said::Active);

    for server in deployment.replicas() {
        assert!(server.terminate().status.success());
    }
    deployment.redis().restart();
    deployment.postgres().restart();
    for server in deployment.replicas() {
        server.restart();
    }
    for dead in [&by_client, &by_resource_server, &by_admin] {
        scene.everywhere(dead, Said::Inactive);
    }
    let again = scene.api.introspect(scene.replica(1), &kept);
    assert_eq!(again.0, claims.0, "the same answer, to the letter");
    let new = scene.app.mint(scene.replica(1));
    scene.everywhere(&new, Said::Active);
}

#[test]
fn no_introspection_that_begins_after_an_acknowledged_revocation_says_active() {
    const TOKENS: usize = 40;
    let scene = Scene::of(Plan::scaled(2));
    let next = AtomicUsize::new(0);
    let hammer = || {
        while let index @ ..TOKENS = next.fetch_add(1, Ordering::Relaxed) {
            let (here, there) = (index % 2, (index + 1) % 2);
            let token = scene.live_token();
            // The three who may: the client, the resource server, an admin; on either replica.
            match index % 8 {
                0..4 => scene.app.revoke(scene.replica(here), &token),
                4..7 => scene.api.revoke(scene.replica(here), &token),
                _ => drop(scene.deployment.cli(&["token", "revoke", token.as_str(), "--yes"]).success()),
            }
            for round in 0..20 {
                for replica in [there, here] {
                    let said = scene.ask(replica, &token);
                    assert_eq!(said, Said::Inactive, "round {round}, replica {replica}, token {index}");
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(hammer);
        }
    });
}

#[test]
fn killing_and_disabling_a_client_is_known_to_every_replica_before_it_is_acknowledged() {
    let scene = Scene::of(Plan::scaled(2));
    let (deployment, app) = (&scene.deployment, &scene.app);
    let other = deployment.client("other", "notes:read");
    let spared = other.mint(scene.replica(0));
    let tokens: Vec<_> = (0..10).map(|index| app.mint(scene.replica(index % 2))).collect();
    deployment.cli(&["revoke", "--client", &app.id, "--yes"]).success();
    for token in &tokens {
        scene.everywhere(token, Said::Inactive);
    }
    let reborn = scene.live_token();
    deployment.cli(&["client", "disable", &app.id]).success();
    scene.everywhere(&reborn, Said::Inactive);
    for server in deployment.replicas() {
        app.token_request(server, &[]).send().expect_status(401);
    }
    deployment.cli(&["client", "enable", &app.id]).success();
    scene.everywhere(&reborn, Said::Inactive);
    scene.live_token();
    for server in deployment.replicas() {
        assert_eq!(ask(&scene.api, server, &spared), Said::Active, "another client's token");
    }
    deployment.cli(&["revoke", "--everything", "--yes"]).success();
    scene.everywhere(&spared, Said::Inactive);
}
