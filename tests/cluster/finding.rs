//! What an admin on call is told about a token, wherever it was minted and seen.

use std::time::Duration;

use serde_json::Value;
use symbolon::domain::identifier::GrantId;

use crate::scene::{SOON, Said, Scene};
use crate::support::actors::Token;
use crate::support::deployment::Plan;
use crate::support::http::Request;
use crate::support::wait;

/// What is noted is written every 10 s.
const WRITTEN: Duration = Duration::from_secs(30);

/// Where and when an admin sees that a token was last active.
fn last_introspected(scene: &Scene, token: &Token) -> Value {
    let inspected = scene.deployment.cli(&["token", "inspect", token.as_str(), "--json"]).success().json();
    inspected["grant"]["last_introspected"].clone()
}

/// The first byte of a grant's record: its version.
fn record_version(scene: &Scene, token: &Token) -> u8 {
    let grant = GrantId::from_digits(token.grant_id().as_bytes()).expect("a grant id");
    let key = [b"g:".as_slice(), grant.as_bytes()].concat();
    scene.deployment.redis().command(&[b"GET".as_slice(), &key]).bytes()[0]
}

#[test]
fn an_address_is_kept_once_no_replica_is_left_that_could_not_read_it() {
    let scene = Scene::of(Plan::scaled(2).lease("2s"));
    let issued_from = |token: &Token| {
        let inspected =
            scene.deployment.cli(&["token", "inspect", token.as_str(), "--json"]).success().json();
        inspected["grant"]["issued_from"].clone()
    };
    let traced = scene.live_token();
    assert_eq!((record_version(&scene, &traced), issued_from(&traced)), (3, "127.0.0.1".into()));
    // As a replica of the version before joins; and lives, for nobody looks at its beat for a while.
    let old = "INSERT INTO replicas (incarnation, name, applied, beat, lease_ms) VALUES ('old', 'old', 0, 0, 3600000)";
    scene.deployment.database().execute(old);
    let untraced = wait::until("the old replica is noticed", SOON, || {
        let token = scene.live_token();
        (record_version(&scene, &token) == 1).then_some(token)
    });
    assert!(issued_from(&untraced).is_null());
    scene.everywhere(&traced, Said::Active);
    scene.deployment.database().execute("DELETE FROM replicas WHERE incarnation = 'old'");
    wait::until_true("all replicas are new", SOON, || record_version(&scene, &scene.live_token()) == 3);
    scene.everywhere(&untraced, Said::Active);
}

#[test]
fn where_a_token_was_last_active_is_known_whichever_replica_was_asked() {
    let scene = Scene::of(Plan::scaled(2));
    let mail = scene.deployment.resource_server("mail", "https://mail.example", "mail:send notes:read");
    let app = scene.deployment.client("both", "notes:read mail:send");
    let (here, there) = (app.mint(scene.replica(0)), app.mint(scene.replica(1)));
    let (unseen, refused) = (app.mint(scene.replica(0)), app.mint_scope(scene.replica(0), "notes:read"));
    assert!(scene.api.introspect(scene.replica(0), &here).active());
    assert!(mail.introspect(scene.replica(1), &there).active());
    scene.app.revoke_request(scene.replica(0), refused.as_str()).send();
    app.revoke(scene.replica(0), &refused);
    assert!(!scene.api.introspect(scene.replica(1), &refused).active());
    let seen = |token: &Token, server: &str| {
        wait::until_true("the sighting is written", WRITTEN, || {
            last_introspected(&scene, token)["resource_server_name"] == server
        });
        last_introspected(&scene, token)["at"].as_i64().unwrap()
    };
    let first = seen(&here, "api");
    seen(&there, "mail");
    assert!(last_introspected(&scene, &unseen).is_null());
    assert!(last_introspected(&scene, &refused).is_null(), "an inactive answer is no sighting");
    let people = scene.deployment.cli(&["token", "inspect", here.as_str()]).success().stdout;
    assert!(people.contains("last active") && people.contains("(api)"), "{people}");
    // Later, and by the other replica.
    assert!(mail.introspect(scene.replica(1), &here).active());
    assert!(seen(&here, "mail") >= first);
}

#[test]
fn introspection_does_not_care_that_sightings_cannot_be_written() {
    let scene = Scene::of(Plan::scaled(1).own_postgres().lease("60s"));
    let token = scene.live_token();
    scene.deployment.postgres().stop();
    let left_out = || {
        let metrics = Request::get(scene.replica(0).management_url("/metrics")).send().text();
        let line =
            metrics.lines().find_map(|line| line.strip_prefix("symbolon_introspections_not_noted_total "));
        line.unwrap().parse::<u64>().unwrap()
    };
    wait::until_true("a sighting is given up", WRITTEN, || {
        assert_eq!(scene.ask(0, &token), Said::Active);
        left_out() > 0
    });
    scene.deployment.postgres().restart();
    scene.wait_for_recovery(&token);
    wait::until_true("sightings are written again", WRITTEN, || {
        scene.ask(0, &token);
        !last_introspected(&scene, &token).is_null()
    });
}
