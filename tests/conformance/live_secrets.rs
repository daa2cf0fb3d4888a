//! Two secrets are good while one replaces the other, and each for exactly as long as was said (X35).

use std::time::Duration;

use crate::expect::{json_200, stranger};
use crate::support::actors::{Client, ResourceServer};
use crate::support::wait;
use crate::world::{World, scaled};

/// Rotates and returns the new secret.
#[track_caller]
fn rotate(world: &World, what: &str, id: &str, overlap: Option<&str>) -> String {
    let mut arguments = vec![what, "rotate-secret", id, "--json"];
    arguments.extend(overlap.iter().flat_map(|overlap| ["--overlap", overlap]));
    let rotated = world.deployment.cli(&arguments).success().json();
    let name = if what == "client" { "client_secret" } else { "resource_server_secret" };
    rotated[name].as_str().unwrap().to_owned()
}

/// Whether a client's secret is good; the same on every replica.
#[track_caller]
fn client_is_good(world: &World, client: &Client) -> bool {
    let answers: Vec<_> =
        world.deployment.replicas().map(|replica| client.token_request(replica, &[]).send()).collect();
    let good = answers[0].status == 200;
    for answer in answers {
        if good {
            json_200(answer);
        } else {
            stranger(&answer);
        }
    }
    good
}

/// Whether a resource server's secret is good; the same on every replica.
#[track_caller]
fn server_is_good(world: &World, server: &ResourceServer) -> bool {
    let answers: Vec<_> =
        world.deployment.replicas().map(|replica| server.introspect_str(replica, "junk")).collect();
    let good = answers[0].status == 200;
    for answer in answers {
        if good {
            json_200(answer);
        } else {
            stranger(&answer);
        }
    }
    good
}

#[test]
fn x35_a_clients_old_secret_is_good_for_the_overlap_and_no_longer() {
    let world = scaled();
    let old = world.deployment.client("x35-client", "notes:read");
    let token = old.mint(world.server());
    let new = Client { secret: rotate(world, "client", &old.id, Some("5s")), ..old.clone() };
    assert_ne!(new.secret, old.secret);
    assert!(client_is_good(world, &new) && client_is_good(world, &old));
    // Both at once are a contradiction, though each is good.
    let both = old.token_request(world.server(), &[("client_secret", &new.secret)]).send();
    crate::expect::refused(&both, 400, "invalid_request");
    wait::until_true("the overlap is over", Duration::from_secs(12), || {
        old.token_request(world.server(), &[]).send().status == 401
    });
    assert!(!client_is_good(world, &old) && client_is_good(world, &new));
    assert!(world.notes.introspect(world.server(), &token).active(), "a new secret ends no token");
}

#[test]
fn x35_without_an_overlap_the_old_secret_ends_at_once() {
    let world = scaled();
    let old = world.deployment.client("x35-at-once", "notes:read");
    assert!(client_is_good(world, &old));
    let new = Client { secret: rotate(world, "client", &old.id, None), ..old.clone() };
    assert!(!client_is_good(world, &old) && client_is_good(world, &new));
}

#[test]
fn x35_a_third_secret_ends_the_first() {
    let world = scaled();
    let first = world.deployment.client("x35-third", "notes:read");
    let second = Client { secret: rotate(world, "client", &first.id, Some("1h")), ..first.clone() };
    let third = Client { secret: rotate(world, "client", &first.id, Some("1h")), ..first.clone() };
    assert!(
        !client_is_good(world, &first) && client_is_good(world, &second) && client_is_good(world, &third)
    );
    let fourth = Client { secret: rotate(world, "client", &first.id, Some("0s")), ..first.clone() };
    assert!(
        !client_is_good(world, &second) && !client_is_good(world, &third) && client_is_good(world, &fourth)
    );
}

#[test]
fn x35_a_resource_servers_old_secret_is_good_for_the_overlap_and_no_longer() {
    let world = scaled();
    let old = world.deployment.resource_server("x35-server", "urn:example:x35", "x35:use");
    let new = ResourceServer { secret: rotate(world, "resource-server", &old.id, Some("5s")), ..old.clone() };
    assert!(server_is_good(world, &new) && server_is_good(world, &old));
    wait::until_true("the overlap is over", Duration::from_secs(12), || {
        old.introspect_str(world.server(), "junk").status == 401
    });
    assert!(!server_is_good(world, &old) && server_is_good(world, &new));
    let next = ResourceServer { secret: rotate(world, "resource-server", &old.id, None), ..old.clone() };
    assert!(!server_is_good(world, &new) && server_is_good(world, &next));
}

#[test]
fn x35_a_disabled_clients_secrets_are_both_refused() {
    let world = scaled();
    let old = world.deployment.client("x35-disabled", "notes:read");
    let new = Client { secret: rotate(world, "client", &old.id, Some("1h")), ..old.clone() };
    world.deployment.cli(&["client", "disable", &old.id, "--json"]).success();
    assert!(!client_is_good(world, &old) && !client_is_good(world, &new));
    world.deployment.cli(&["client", "enable", &old.id, "--json"]).success();
    assert!(client_is_good(world, &old) && client_is_good(world, &new));
}
