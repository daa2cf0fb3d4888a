//! The log: text or JSON lines on standard error.

use std::time::Duration;

use serde_json::Value;

use super::support::deployment::{Deployment, Plan};
use super::support::http;
use super::support::symbolon::{Server, ServerConfig};
use super::support::wait;
use super::{Place, error_line, with_notes};

/// What the log says of the request with this id, once it is written.
fn line_of(server: &Server, request_id: &str) -> String {
    wait::until("a refused request is logged", Duration::from_secs(5), || {
        server.stderr().lines().find(|line| line.contains(request_id)).map(str::to_owned)
    })
}

#[test]
fn json_lines_are_objects_and_carry_the_request_id() {
    let deployment = Plan::embedded().env("SYMBOLON_LOG_FORMAT", "json").env("SYMBOLON_LOG", "debug").start();
    let (api, app) = with_notes(&deployment);
    let server = deployment.replica(0);
    let token = app.mint(server);
    api.introspect(server, &token);
    let refused = http::post_form(
        &server.url("/token"),
        &[("grant_type", "client_credentials")],
        Some((&app.id, "x\n\"y")),
    );
    let id = refused.expect_status(401).header("x-request-id").unwrap().to_owned();
    let line: Value = serde_json::from_str(&line_of(server, &id)).unwrap();
    assert_eq!(line["request_id"], id.as_str());
    assert_eq!(line["endpoint"], "token");
    assert_eq!(line["level"], "info");
    assert!(line["message"].as_str().unwrap().contains("invalid_client"), "{line}");
    server.terminate();
    let log = server.stderr();
    assert!(log.lines().count() > 3, "{log}");
    for line in log.lines() {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for member in ["time", "level", "target", "message"] {
            assert!(object[member].is_string(), "no {member} in {line}");
        }
        assert!(["error", "warn", "info", "debug"].contains(&object["level"].as_str().unwrap()), "{line}");
        let time = object["time"].as_str().unwrap();
        assert!(time.len() == 24 && time.ends_with('Z') && time.contains('T'), "{line}");
    }
}

#[test]
fn no_log_line_holds_a_secret() {
    let deployment = Plan::scaled(1).env("SYMBOLON_LOG", "trace").start();
    let (api, app) = with_notes(&deployment);
    let server = deployment.replica(0);
    let token = app.mint(server);
    api.introspect(server, &token);
    app.revoke(server, &token);
    app.revoke_request(server, &token.as_str()[..59]).send();
    http::post_form(
        &server.url("/introspect"),
        &[("token", token.as_str())],
        Some((&api.id, "wrong-secret")),
    );
    http::get(&server.url(&format!("/introspect?token={}", token.as_str())));
    server.terminate();
    let log = server.stderr();
    assert!(log.contains("TRACE"), "everything was logged");
    let key = &deployment.environment()["SYMBOLON_TOKEN_KEY"];
    for secret in [&app.secret, &api.secret, &token.as_str()[21..], "wrong-secret", key] {
        let line = log.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{line:?}");
    }
}

#[test]
fn text_lines_name_time_level_and_target() {
    let deployment = Deployment::embedded();
    let server = deployment.replica(0);
    let refused = http::post_form(&server.url("/introspect"), &[("token", "x")], None);
    let id = refused.expect_status(401).header("x-request-id").unwrap().to_owned();
    let line = line_of(server, &id);
    assert!(line.starts_with("[20") && line.contains("Z INFO "), "{line}");
    assert!(line.contains("symbolon::http::observe]") && line.contains("endpoint=introspect"), "{line}");
}

#[test]
fn request_ids_are_never_given_twice() {
    let deployment = Deployment::scaled(2);
    let (_, app) = with_notes(&deployment);
    let ids = deployment.replicas().flat_map(|server| {
        [0, 1, 2].map(|_| {
            let answer = app.token_request(server, &[("scope", "nobody:owns")]).send();
            answer.expect_status(400).header("x-request-id").unwrap().to_owned()
        })
    });
    let mut ids: Vec<String> = ids.collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 6);
}

#[test]
fn the_filter_decides_what_is_logged() {
    let log_of = |filter: &str| {
        let server = Server::start(&ServerConfig::serve().env("SYMBOLON_LOG", filter));
        http::post_form(&server.url("/introspect"), &[("token", "x")], None).expect_status(401);
        server.terminate();
        server.stderr()
    };
    assert_eq!(log_of("error"), "");
    assert_eq!(log_of("off"), "");
    let only_http = log_of("warn,symbolon::http=info");
    assert!(only_http.contains("refused: ") && !only_http.contains("listening on"), "{only_http}");
    assert!(log_of("info").contains("listening on"));
}

#[test]
fn a_filter_that_cannot_be_read_stops_whoever_uses_it() {
    for filter in ["verbose", "symbolon=loud", "=", "symbolon::changes=debug,x"] {
        let place = Place::new().env("SYMBOLON_LOG", filter);
        for command in [&["serve"][..], &["client", "list"], &["config", "check"]] {
            let line = error_line(place.cli(command), 2);
            assert!(line.starts_with("SYMBOLON_LOG has ") && line.contains("module=level"), "{line}");
        }
    }
}
