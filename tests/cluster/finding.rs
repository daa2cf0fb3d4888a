//! What an admin on call is told about a token, wherever it was minted and seen.

use symbolon::domain::identifier::GrantId;

use crate::scene::{SOON, Said, Scene};
use crate::support::actors::Token;
use crate::support::deployment::Plan;
use crate::support::wait;

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
