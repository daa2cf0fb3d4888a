//! `client …`

use super::support::actors::Client;
use super::support::cli::cli_with_stdin;
use super::support::deployment::Deployment;
use super::{Place, SCOPE, assert_refused, error_line, is_written_below, members, with_notes};

const SECRET: &str = "a-secret-of-somebody-s-own-0123456789";

#[test]
fn a_secret_is_shown_once_and_kept_nowhere() {
    let place = Place::new();
    let create = ["client", "create", "app", "--grant", "client_credentials", "--scope", SCOPE];
    let created = place.cli(&[&create[..], &["--json"]].concat()).success().json();
    assert_eq!(members(&created), ["client_id", "client_secret"]);
    let secret = created["client_secret"].as_str().unwrap();
    let shown = place.cli(&["client", "show", "app", "--json"]).success();
    let listed = place.cli(&["client", "list", "--json"]).success();
    assert_eq!(shown.json()["client_id"], created["client_id"]);
    assert_eq!(listed.json()[0], shown.json());
    assert!(!shown.stdout.contains(secret) && !listed.stdout.contains(secret));
    assert!(is_written_below(place.path(), created["client_id"].as_str().unwrap()));
    assert!(!is_written_below(place.path(), secret), "only a digest is kept");
}

#[test]
fn people_read_the_same_as_programs() {
    let place = Place::new();
    let created = place
        .cli(&["client", "create", "app", "--grant", "client_credentials", "--scope", "notes:read"])
        .success();
    let secret = created.stdout.split_whitespace().find(|word| word.starts_with("syk_")).unwrap();
    assert_eq!(secret.len(), 53);
    assert!(created.stdout.contains("shown this once"), "{}", created.stdout);
    let note = "note: no resource server owns notes:read";
    assert!(created.stderr.contains(note), "a scope that nobody owns is of no use: {}", created.stderr);
    let shown = place.cli(&["client", "show", "app"]).success().stdout;
    for words in
        ["app", "confidential", "enabled", "client_credentials", "notes:read", "the server's default"]
    {
        assert!(shown.contains(words), "{shown}");
    }
    let listed = place.cli(&["client", "list"]).success().stdout;
    assert!(listed.starts_with("ID ") && listed.lines().count() == 2, "{listed}");
}

#[test]
fn a_public_client_has_no_secret() {
    let place = Place::new();
    let created = place.cli(&["client", "create", "spa", "--public", "--json"]).success().json();
    assert_eq!(members(&created), ["client_id"]);
    assert_eq!(place.cli(&["client", "show", "spa", "--json"]).success().json()["public"], true);
    assert_refused(
        2,
        |arguments| place.cli(arguments),
        &[
            (
                &["client", "create", "other", "--public", "--grant", "client_credentials"],
                &["public", "client_credentials"],
            ),
            (
                &["client", "update", "spa", "--grant", "client_credentials"],
                &["public", "client_credentials"],
            ),
            (&["client", "rotate-secret", "spa"], &["a public client has no secret"]),
        ],
    );
}

#[test]
fn an_id_and_a_secret_may_be_brought_along() {
    let deployment = Deployment::embedded();
    deployment.resource_server("api", "https://api.example", SCOPE);
    let create = |name: &str, stdin: &str| {
        let arguments =
            ["client", "create", name, "--client-id", name, "--secret-stdin", "--scope", SCOPE, "--json"];
        let arguments = [&arguments[..], &["--grant", "client_credentials"]].concat();
        cli_with_stdin(deployment.environment(), &arguments, stdin)
    };
    for (name, stdin) in [("with-newline", format!("{SECRET}\n")), ("without", SECRET.to_owned())] {
        assert_eq!(create(name, &stdin).success().json()["client_id"], name);
        Client { id: name.to_owned(), secret: SECRET.to_owned() }.mint(deployment.replica(0));
    }
    for (stdin, says) in [
        (format!("{SECRET}\n\n"), "A-Z, a-z, 0-9, - and _"),
        (format!("{SECRET}\r\n"), "A-Z, a-z, 0-9, - and _"),
        ("short".to_owned(), "32 to 256 characters, this one has 5"),
        (String::new(), "this one has 0"),
    ] {
        let line = error_line(create("refused", &stdin), 2);
        assert!(line.contains("--secret-stdin") && line.contains(says), "{line}");
        assert!(!line.contains(SECRET), "{line}");
    }
    error_line(deployment.cli(&["client", "show", "refused"]), 1);
}

#[test]
fn creating_twice_fails_unless_that_is_fine() {
    let place = Place::new();
    let create = ["client", "create", "app", "--client-id", "app-id", "--json"];
    place.cli(&create).success();
    let line = error_line(place.cli(&create), 1);
    assert!(line.contains("already") && line.contains("--if-not-exists"), "{line}");
    let again = place.cli(&[&create[..], &["--if-not-exists"]].concat()).success().json();
    assert_eq!(members(&again), ["client_id"], "the secret is not kept, so it is not shown");
    assert_eq!(again["client_id"], "app-id");
    let by_name = place.cli(&["client", "create", "app", "--if-not-exists", "--json"]).success().json();
    assert_eq!(by_name["client_id"], "app-id");
    // The name is taken by another one: who relies on the id must hear of it.
    let other = place.cli(&["client", "create", "app", "--client-id", "other", "--if-not-exists"]);
    let line = error_line(other, 1);
    assert!(line.contains("already"), "{line}");
}

#[test]
fn a_client_is_found_by_its_id_and_by_its_name() {
    let place = Place::new();
    let id = place.cli(&["client", "create", "app", "--json"]).success().json();
    let id = id["client_id"].as_str().unwrap();
    for which in [id, "app"] {
        assert_eq!(place.cli(&["client", "show", which, "--json"]).success().json()["client_id"], id);
    }
    for command in ["show", "rotate-secret", "disable", "enable", "delete"] {
        let line = error_line(place.cli(&["client", command, "nobody"]), 1);
        assert!(line.contains("\"nobody\"") && line.contains("symbolon client list"), "{line}");
    }
}

#[test]
fn what_is_updated_shows_at_the_next_request() {
    let deployment = Deployment::embedded();
    let (api, app) = with_notes(&deployment);
    let server = deployment.replica(0);
    let token = app.mint(server);
    let update = |arguments: &[&str]| {
        deployment.cli(&[&["client", "update", "app"], arguments, &["--json"]].concat()).success().json()
    };
    assert_eq!(update(&["--scope", "notes:read"])["scope"], "notes:read");
    assert_eq!(api.introspect(server, &token).scope(), ["notes:read"], "a token is narrowed at once");
    assert_eq!(update(&["--access-token-ttl", "5m"])["access_token_ttl"], 300);
    let lifetime = || app.token_request(server, &[]).send().json()["expires_in"].clone();
    assert_eq!(lifetime(), 300);
    assert!(update(&["--access-token-ttl", "default"])["access_token_ttl"].is_null());
    assert_eq!(lifetime(), 900);
    assert_eq!(update(&["--name", "renamed"])["name"], "renamed");
    assert!(api.introspect(server, &token).active());
}

#[test]
fn an_old_secret_lasts_as_long_as_its_overlap() {
    let deployment = Deployment::embedded();
    let (_, app) = with_notes(&deployment);
    let server = deployment.replica(0);
    let rotate = |overlap: &[&str]| {
        let arguments = [&["client", "rotate-secret", "app"], overlap, &["--json"]].concat();
        let rotated = deployment.cli(&arguments).success().json();
        assert_eq!(members(&rotated), ["client_id", "client_secret"]);
        Client { id: app.id.clone(), secret: rotated["client_secret"].as_str().unwrap().to_owned() }
    };
    let second = rotate(&["--overlap", "1h"]);
    app.mint(server);
    second.mint(server);
    let shown = deployment.cli(&["client", "show", "app"]).success().stdout;
    assert!(shown.contains("old secret ends"), "{shown}");
    let third = rotate(&[]);
    third.mint(server);
    for old in [&app, &second] {
        old.token_request(server, &[]).send().expect_status(401);
    }
}

#[test]
fn disabling_kills_and_enabling_revives_nothing() {
    let deployment = Deployment::embedded();
    let (api, app) = with_notes(&deployment);
    let server = deployment.replica(0);
    let token = app.mint(server);
    let disabled = deployment.cli(&["client", "disable", "app", "--json"]).success().json();
    assert_eq!(disabled["enabled"], false);
    assert!(!api.introspect(server, &token).active());
    app.token_request(server, &[]).send().expect_status(401);
    let enabled = deployment.cli(&["client", "enable", "app"]).success().stdout;
    assert!(enabled.contains("its old tokens stay revoked"), "{enabled}");
    assert!(!api.introspect(server, &token).active());
    assert!(api.introspect(server, &app.mint(server)).active());
}

#[test]
fn a_deleted_client_s_tokens_stay_dead_when_its_id_is_used_again() {
    let deployment = Deployment::embedded();
    let (api, _) = with_notes(&deployment);
    let server = deployment.replica(0);
    let before = deployment.client_with("job", SCOPE, &["--client-id", "job"]);
    let token = before.mint(server);
    assert_eq!(deployment.cli(&["client", "delete", "job", "--json"]).success().stdout, "{}\n");
    error_line(deployment.cli(&["client", "show", "job"]), 1);
    assert!(!api.introspect(server, &token).active());
    let after = deployment.client_with("job", SCOPE, &["--client-id", "job"]);
    assert!(!api.introspect(server, &token).active());
    assert!(api.introspect(server, &after.mint(server)).active());
    before.token_request(server, &[]).send().expect_status(401);
}

#[test]
fn every_change_tells_who_has_confirmed_it() {
    let deployment = Deployment::embedded();
    with_notes(&deployment);
    for change in [
        &["client", "create", "other"][..],
        &["client", "update", "app", "--scope", "notes:read"],
        &["client", "rotate-secret", "app"],
        &["client", "disable", "app"],
        &["client", "enable", "app"],
        &["client", "delete", "app"],
    ] {
        let said = deployment.cli(change).success();
        let said = said.stdout + &said.stderr;
        assert!(said.contains("confirmed by 1 replica(s)"), "{change:?}: {said}");
    }
    deployment.replica(0).terminate();
    let said = deployment.cli(&["client", "disable", "other"]).success().stdout;
    assert!(said.contains("no replica is running"), "{said}");
}

#[test]
fn a_mistake_is_named_with_what_would_be_right() {
    let place = Place::new();
    place.cli(&["client", "create", "app"]).success();
    assert_refused(
        2,
        |arguments| place.cli(arguments),
        &[
            (&["client", "create", ""], &["a name has 1 to 200 characters"]),
            (&["client", "create", "a\nb"], &["control character"]),
            (&["client", "create", "x", "--grant", "password"], &["\"password\"", "client_credentials"]),
            (
                &["client", "create", "x", "--scope", "a  b"],
                &["--scope", "\"a  b\"", "notes:read notes:write"],
            ),
            (&["client", "create", "x", "--client-id", "a b"], &["--client-id", "A-Z, a-z, 0-9, - and _"]),
            (&["client", "create", "x", "--client-id", "rs_x"], &["--client-id", "rs_", "resource servers"]),
            (&["client", "create", "x", "--client-id", "usr_x"], &["--client-id", "usr_", "users"]),
            (&["client", "create", "x", "--access-token-ttl", "15"], &["--access-token-ttl", "15", "15m"]),
            (&["client", "create", "x", "--access-token-ttl", "0s"], &["--access-token-ttl", "1s or more"]),
            (&["client", "update", "app"], &["nothing to update", "--scope"]),
            (&["client", "update", "app", "--name", ""], &["1 to 200 characters"]),
            (
                &["client", "update", "app", "--access-token-ttl", "500ms"],
                &["--access-token-ttl", "1s or more"],
            ),
            (
                &["client", "update", "app", "--access-token-ttl", "soon"],
                &["--access-token-ttl", "soon", "15m"],
            ),
            (&["client", "rotate-secret", "app", "--overlap", "24"], &["--overlap", "24", "24h"]),
            (&["client", "create"], &["<NAME>"]),
            (&["client", "show"], &["<ID>"]),
        ],
    );
    assert_eq!(place.cli(&["client", "list", "--json"]).success().json().as_array().unwrap().len(), 1);
}

#[test]
fn redirect_uris_and_the_retry_window_are_registered_shown_and_changed() {
    let place = Place::new();
    let (one, other) = ("https://app.example/callback", "http://127.0.0.1/callback");
    let create =
        ["client", "create", "app", "--client-id", "app", "--public", "--grant", "authorization_code"];
    let more = ["--grant", "refresh_token", "--redirect-uri", one, "--redirect-uri", other];
    place.cli(&[&create[..], &more, &["--refresh-retry-window", "10s"]].concat()).success();
    let shown = || place.cli(&["client", "show", "app", "--json"]).success().json();
    assert_eq!(shown()["redirect_uris"], serde_json::json!([one, other]));
    assert_eq!(shown()["grant_types"], serde_json::json!(["authorization_code", "refresh_token"]));
    assert_eq!(shown()["refresh_retry_window"], 10);
    let text = place.cli(&["client", "show", "app"]).success().stdout;
    assert!(text.contains(&format!("{one} {other}")) && text.contains("10s"), "{text}");

    place.cli(&["client", "update", "app", "--redirect-uri", other]).success();
    assert_eq!(shown()["redirect_uris"], serde_json::json!([other]));
    place.cli(&["client", "update", "app", "--refresh-retry-window", "default"]).success();
    assert_eq!(shown()["refresh_retry_window"], 60);
    assert_eq!(shown()["redirect_uris"], serde_json::json!([other]), "what is not named stays");
}

#[test]
fn origins_are_registered_shown_changed_and_taken_away() {
    let place = Place::new();
    let (one, other) = ("https://app.example", "http://localhost:3000");
    place
        .cli(&[
            "client",
            "create",
            "app",
            "--client-id",
            "app",
            "--public",
            "--origin",
            one,
            "--origin",
            other,
        ])
        .success();
    let shown = || place.cli(&["client", "show", "app", "--json"]).success().json()["origins"].clone();
    assert_eq!(shown(), serde_json::json!([other, one]));
    let text = place.cli(&["client", "show", "app"]).success().stdout;
    assert!(text.contains(&format!("{other} {one}")), "{text}");
    place.cli(&["client", "update", "app", "--name", "App"]).success();
    assert_eq!(shown(), serde_json::json!([other, one]), "what is not named stays");
    place.cli(&["client", "update", "app", "--origin", one]).success();
    assert_eq!(shown(), serde_json::json!([one]));
    place.cli(&["client", "update", "app", "--no-origin"]).success();
    assert_eq!(shown(), serde_json::json!([]));
    assert_refused(
        2,
        |arguments| place.cli(arguments),
        &[
            (&["client", "create", "b", "--origin", "*"], &["--origin", "wildcard"]),
            (&["client", "create", "b", "--origin", "http://app.example"], &["--origin", "https"]),
            (&["client", "create", "b", "--origin", "null"], &["--origin", "https://app.example"]),
            (
                &["client", "create", "b", "--origin", "https://App.example/"],
                &["--origin", "browsers write", "https://app.example"],
            ),
            (&["client", "update", "app", "--origin", one, "--no-origin"], &["--no-origin"]),
        ],
    );
}

#[test]
fn a_client_that_answers_cannot_reach_is_refused() {
    let place = Place::new();
    place.cli(&["client", "create", "app", "--client-id", "app"]).success();
    let create = ["client", "create", "other", "--grant", "authorization_code"];
    let with = |uri: &'static str| [&create[..], &["--redirect-uri", uri]].concat();
    assert_refused(
        2,
        |arguments| place.cli(arguments),
        &[
            (&create, &["--redirect-uri"]),
            (&["client", "update", "app", "--grant", "authorization_code"], &["--redirect-uri"]),
            (&with("https://app.example/#x"), &["--redirect-uri", "no fragment"]),
            (&with("http://app.example/"), &["--redirect-uri", "https"]),
            (&with("javascript:alert(1)"), &["--redirect-uri", "scheme"]),
            (&["client", "update", "app", "--refresh-retry-window", "2h"], &["--refresh-retry-window", "1h"]),
        ],
    );
}
