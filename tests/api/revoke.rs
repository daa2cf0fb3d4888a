//! `revoke --client` and `revoke --everything`

use std::time::Duration;

use super::support::deployment::{Deployment, Plan};
use super::{SCOPE, assert_refused, error_line, with_notes};

#[test]
fn everything_of_a_client_dies_and_nothing_else() {
    let deployment = Deployment::embedded();
    let (api, app) = with_notes(&deployment);
    let other = deployment.client("other", SCOPE);
    let server = deployment.replica(0);
    let (tokens, spared) = ([app.mint(server), app.mint(server)], other.mint(server));
    let revoked = deployment.cli(&["revoke", "--client", "app", "--yes"]).success().stdout;
    assert!(revoked.contains(&app.id) && revoked.contains("confirmed by 1 replica(s)"), "{revoked}");
    assert!(tokens.iter().all(|token| !api.introspect(server, token).active()));
    assert!(api.introspect(server, &spared).active());
    assert!(api.introspect(server, &app.mint(server)).active(), "what comes after it lives");
}

#[test]
fn everything_of_everybody_dies() {
    let deployment = Deployment::embedded();
    let (api, app) = with_notes(&deployment);
    let other = deployment.client("other", SCOPE);
    let server = deployment.replica(0);
    let tokens = [app.mint(server), other.mint(server)];
    let revoked = deployment.cli(&["revoke", "--everything", "--yes", "--json"]).success().json();
    assert!(revoked["change"].as_u64().unwrap() > 0, "{revoked}");
    assert_eq!(revoked["confirmed"]["replicas"][0]["standing"], "applied");
    assert!(tokens.iter().all(|token| !api.introspect(server, token).active()));
    assert!(api.introspect(server, &app.mint(server)).active());
}

#[test]
fn nothing_is_revoked_by_a_dry_run_or_without_consent() {
    let deployment = Deployment::embedded();
    let (api, app) = with_notes(&deployment);
    let server = deployment.replica(0);
    let token = app.mint(server);
    let dry = deployment.cli(&["revoke", "--client", "app", "--dry-run"]).success().stdout;
    assert!(dry.contains("would revoke") && dry.contains(&app.id), "{dry}");
    let dry = deployment.cli(&["revoke", "--everything", "--dry-run", "--yes", "--json"]).success().json();
    assert_eq!(dry["dry_run"], true);
    for whose in [&["--everything"][..], &["--client", "app"]] {
        let line = error_line(deployment.cli(&[&["revoke"], whose].concat()), 2);
        assert!(line.contains("--yes"), "{line}");
    }
    assert!(api.introspect(server, &token).active());
    assert_refused(
        2,
        |arguments| deployment.cli(arguments),
        &[
            (&["revoke", "--yes"], &["--client", "--everything"]),
            (&["revoke", "--client", "app", "--everything", "--yes"], &["--client", "--everything"]),
        ],
    );
    let line = error_line(deployment.cli(&["revoke", "--client", "nobody", "--yes"]), 1);
    assert!(line.contains("\"nobody\""), "{line}");
    assert!(api.introspect(server, &token).active());
}

#[test]
fn every_replica_is_named_and_the_reason_is_kept() {
    let deployment = Deployment::scaled(2);
    let (api, app) = with_notes(&deployment);
    let token = app.mint(deployment.replica(0));
    assert!(api.introspect(deployment.replica(1), &token).active());
    let revoke = ["revoke", "--client", "app", "--yes", "--reason", "offboarded", "--json"];
    let revoked = deployment.cli(&revoke).success().json();
    let replicas = revoked["confirmed"]["replicas"].as_array().unwrap();
    for server in deployment.replicas() {
        let address = server.address().to_string();
        let named = |row: &&serde_json::Value| row["replica"].as_str().unwrap().contains(&address);
        assert_eq!(replicas.iter().find(named).unwrap()["standing"], "applied", "{revoked}");
        assert!(!api.introspect(server, &token).active());
    }
    let sql = format!("SELECT kind, actor, reason FROM changes WHERE number = {}", revoked["change"]);
    assert_eq!(deployment.database().execute(&sql), "kill-client|command line|offboarded");
}

#[test]
fn a_frozen_replica_delays_the_answer_by_its_lease_at_most_and_is_named() {
    let deployment = Plan::scaled(2).lease("3s").start();
    let (api, app) = with_notes(&deployment);
    let token = app.mint(deployment.replica(0));
    let frozen = deployment.replica(1);
    frozen.freeze();
    let revoked = deployment.cli(&["revoke", "--everything", "--yes"]).success();
    frozen.thaw();
    let waiting = revoked.stderr.lines().next().unwrap_or_default();
    assert!(waiting.contains("waiting for"), "a person is told why it takes so long: {}", revoked.stderr);
    assert!(waiting.contains(&frozen.address().to_string()), "{waiting}");
    assert!(revoked.stdout.contains("is dead everywhere: confirmed by 1 replica(s)"), "{}", revoked.stdout);
    let answer = api.introspect_str(frozen, token.as_str());
    assert!(answer.status == 503 || answer.json()["active"] == false, "{}", answer.text());
    frozen.wait_until_ready(true, Duration::from_secs(10));
    assert!(!api.introspect(frozen, &token).active());
}
