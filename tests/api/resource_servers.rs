//! `resource-server …`

use serde_json::json;

use super::support::actors::ResourceServer;
use super::support::deployment::Deployment;
use super::{Place, SCOPE, assert_refused, error_line, is_written_below, members, with_notes};

const CREATE: &[&str] =
    &["resource-server", "create", "api", "--identifier", "https://api.example", "--scope", SCOPE];

#[test]
fn a_secret_is_shown_once_and_kept_nowhere() {
    let place = Place::new();
    let created = place.cli(&[CREATE, &["--json"]].concat()).success().json();
    assert_eq!(members(&created), ["resource_server_id", "resource_server_secret"]);
    let (id, secret) = (&created["resource_server_id"], created["resource_server_secret"].as_str().unwrap());
    assert!(id.as_str().unwrap().starts_with("rs_"), "ids of clients and resource servers never collide");
    let shown = place.cli(&["resource-server", "show", "api", "--json"]).success();
    let listed = place.cli(&["resource-server", "list", "--json"]).success();
    assert_eq!(&shown.json()["resource_server_id"], id);
    assert_eq!(listed.json()[0], shown.json());
    assert!(!shown.stdout.contains(secret) && !listed.stdout.contains(secret));
    assert!(is_written_below(place.path(), id.as_str().unwrap()));
    assert!(!is_written_below(place.path(), secret), "only a digest is kept");
}

#[test]
fn it_is_found_by_its_id_its_name_and_its_identifier() {
    let place = Place::new();
    let created = place.cli(&[CREATE, &["--json"]].concat()).success().json();
    let id = created["resource_server_id"].as_str().unwrap();
    for which in [id, "api", "https://api.example"] {
        let shown = place.cli(&["resource-server", "show", which, "--json"]).success().json();
        assert_eq!(shown["resource_server_id"], id, "{which}");
    }
    let shown = place.cli(&["resource-server", "show", "api"]).success().stdout;
    for words in [id, "https://api.example", "notes:read notes:write", "enabled", "may revoke"] {
        assert!(shown.contains(words), "{shown}");
    }
    for command in ["show", "rotate-secret", "disable", "enable", "delete"] {
        let line = error_line(place.cli(&["resource-server", command, "nobody"]), 1);
        assert!(line.contains("\"nobody\"") && line.contains("symbolon resource-server list"), "{line}");
    }
}

#[test]
fn creating_twice_fails_unless_that_is_fine() {
    let place = Place::new();
    let created = place.cli(&[CREATE, &["--json"]].concat()).success().json();
    let line = error_line(place.cli(CREATE), 1);
    assert!(line.contains("already") && line.contains("--if-not-exists"), "{line}");
    let again = place.cli(&[CREATE, &["--if-not-exists", "--json"]].concat()).success().json();
    assert_eq!(members(&again), ["resource_server_id"], "the secret is not kept, so it is not shown");
    assert_eq!(again["resource_server_id"], created["resource_server_id"]);
    // The identifier is taken by one of another name: that is not the one that was asked for.
    let other = ["resource-server", "create", "other", "--identifier", "https://api.example"];
    let line = error_line(place.cli(&[&other[..], &["--scope", SCOPE, "--if-not-exists"]].concat()), 1);
    assert!(line.contains("identifier") && line.contains("already"), "{line}");
}

#[test]
fn what_is_updated_shows_at_the_next_introspection() {
    let deployment = Deployment::embedded();
    let (api, app) = with_notes(&deployment);
    let server = deployment.replica(0);
    let token = app.mint(server);
    let update = |arguments: &[&str]| {
        let arguments = [&["resource-server", "update", "api"], arguments, &["--json"]].concat();
        deployment.cli(&arguments).success().json()
    };
    assert_eq!(update(&["--scope", "notes:write"])["scope"], "notes:write");
    assert_eq!(api.introspect(server, &token).scope(), ["notes:write"]);
    assert_eq!(update(&["--identifier", "https://new.example"])["identifier"], "https://new.example");
    assert_eq!(api.introspect(server, &token).claim("aud"), "https://new.example");
    assert_eq!(update(&["--name", "renamed"])["name"], "renamed");
    assert!(api.introspect(server, &token).active());
}

#[test]
fn its_scopes_can_be_put_in_words() {
    let place = Place::new();
    let described = |change: &[&str]| {
        place.cli(change).success();
        place.cli(&["resource-server", "show", "api", "--json"]).success().json()["scope_descriptions"]
            .clone()
    };
    let [read, write] = ["notes:read=Read your notes", "notes:write=Write = change them"];
    let create = [CREATE, &["--scope-description", read, "--scope-description", write]].concat();
    let both = json!({ "notes:read": "Read your notes", "notes:write": "Write = change them" });
    assert_eq!(described(&create), both);
    let update = ["resource-server", "update", "api"];
    let with = |further: &[&'static str]| described(&[&update, further].concat());
    assert_eq!(with(&["--scope-description", "notes:write="]), json!({ "notes:read": "Read your notes" }));
    let foreign = place.cli(&[&update[..], &["--scope-description", "invoices:read=Read"]].concat());
    assert!(error_line(foreign, 2).contains("\"invoices:read\", which is not a scope"));
    assert_eq!(with(&["--scope", "notes:write"]), json!({}));
}

#[test]
fn the_right_to_revoke_is_taken_and_given_back() {
    let deployment = Deployment::embedded();
    let api = deployment.resource_server_with("api", "https://api.example", SCOPE, &["--no-revoke"]);
    let app = deployment.client("app", SCOPE);
    let server = deployment.replica(0);
    let token = app.mint(server);
    let refused = api.revoke_request(server, token.as_str()).send();
    assert_eq!(refused.oauth_error().as_deref(), Some("unauthorized_client"), "{}", refused.text());
    assert!(api.introspect(server, &token).active());
    let update = |flag: &str| {
        let updated = deployment.cli(&["resource-server", "update", "api", flag, "--json"]).success();
        updated.json()["may_revoke"].clone()
    };
    assert_eq!(update("--may-revoke"), true);
    api.revoke(server, &token);
    assert!(!api.introspect(server, &token).active());
    assert_eq!(update("--no-revoke"), false);
    assert!(!api.revoke_request(server, app.mint(server).as_str()).send().oauth_error().unwrap().is_empty());
}

#[test]
fn an_old_secret_lasts_as_long_as_its_overlap() {
    let deployment = Deployment::embedded();
    let (api, app) = with_notes(&deployment);
    let server = deployment.replica(0);
    let token = app.mint(server);
    let rotate = |overlap: &[&str]| {
        let arguments = [&["resource-server", "rotate-secret", "api"], overlap, &["--json"]].concat();
        let rotated = deployment.cli(&arguments).success().json();
        assert_eq!(members(&rotated), ["resource_server_id", "resource_server_secret"]);
        let secret = rotated["resource_server_secret"].as_str().unwrap().to_owned();
        ResourceServer { id: api.id.clone(), secret }
    };
    let second = rotate(&["--overlap", "1h"]);
    assert!(api.introspect(server, &token).active() && second.introspect(server, &token).active());
    let third = rotate(&[]);
    assert!(third.introspect(server, &token).active());
    for old in [&api, &second] {
        old.introspect_str(server, token.as_str()).expect_status(401);
    }
}

#[test]
fn a_disabled_one_may_ask_about_nothing_and_a_deleted_one_is_nobody() {
    let deployment = Deployment::embedded();
    let (api, app) = with_notes(&deployment);
    let server = deployment.replica(0);
    let token = app.mint(server);
    let disabled = deployment.cli(&["resource-server", "disable", "api", "--json"]).success().json();
    assert_eq!(disabled["enabled"], false);
    api.introspect_str(server, token.as_str()).expect_status(401);
    deployment.cli(&["resource-server", "enable", "api"]).success();
    assert!(api.introspect(server, &token).active());
    assert_eq!(deployment.cli(&["resource-server", "delete", "api", "--json"]).success().stdout, "{}\n");
    api.introspect_str(server, token.as_str()).expect_status(401);
    error_line(deployment.cli(&["resource-server", "show", "api"]), 1);
    // Another one under the same name and identifier is another one.
    let successor = deployment.resource_server("api", "https://api.example", SCOPE);
    assert_ne!(successor.id, api.id);
    assert!(!successor.introspect(server, &token).active());
}

#[test]
fn every_change_tells_who_has_confirmed_it() {
    let deployment = Deployment::embedded();
    for change in [
        CREATE,
        &["resource-server", "update", "api", "--scope", "notes:read"],
        &["resource-server", "rotate-secret", "api"],
        &["resource-server", "disable", "api"],
        &["resource-server", "enable", "api"],
        &["resource-server", "delete", "api"],
    ] {
        let said = deployment.cli(change).success();
        let said = said.stdout + &said.stderr;
        assert!(said.contains("confirmed by 1 replica(s)"), "{change:?}: {said}");
    }
}

#[test]
fn a_mistake_is_named_with_what_would_be_right() {
    let place = Place::new();
    place.cli(CREATE).success();
    let create = ["resource-server", "create", "x"];
    let with = |further: &[&'static str]| [&create[..], further].concat();
    let (fragment, relative) = (
        with(&["--identifier", "https://x.example#f", "--scope", "a"]),
        with(&["--identifier", "api", "--scope", "a"]),
    );
    let (empty, unnamed) = (
        with(&["--identifier", "https://x.example", "--scope", ""]),
        with(&["--identifier", "https://x.example"]),
    );
    assert_refused(
        2,
        |arguments| place.cli(arguments),
        &[
            (&fragment, &["--identifier", "https://x.example#f", "such as https://api.example"]),
            (&relative, &["--identifier", "\"api\"", "absolute URI"]),
            (&empty, &["--scope", "\"\"", "notes:read notes:write"]),
            (&unnamed, &["--scope"]),
            (&["resource-server", "update", "api"], &["nothing to update", "--identifier"]),
            (
                &["resource-server", "update", "api", "--no-revoke", "--may-revoke"],
                &["--no-revoke", "--may-revoke"],
            ),
            (&["resource-server", "update", "api", "--scope", ""], &["--scope"]),
            (
                &["resource-server", "update", "api", "--scope-description", "notes:read"],
                &["--scope-description", "=", "what it means"],
            ),
            (
                &["resource-server", "update", "api", "--scope-description", "notes:read=a\nb"],
                &["--scope-description", "one line"],
            ),
            (&["resource-server", "rotate-secret", "api", "--overlap", "1"], &["--overlap", "24h"]),
        ],
    );
    let listed = place.cli(&["resource-server", "list", "--json"]).success().json();
    assert_eq!(listed.as_array().unwrap().len(), 1);
}
