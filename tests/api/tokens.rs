//! `token inspect`: what an admin finds out about a token that leaked.

use std::time::Duration;

use serde_json::Value;
use symbolon::domain::entropy::SystemEntropy;
use symbolon::domain::identifier::GrantId;
use symbolon::domain::token::{PlainToken, TokenKind};
use symbolon::domain::token_key::TokenKeys;

use super::support::actors::Token;
use super::support::cli::cli_with_stdin;
use super::support::deployment::Deployment;
use super::support::wait;
use super::{Place, SCOPE, error_line, with_notes};

fn inspect(deployment: &Deployment, part: &str) -> Value {
    deployment.cli(&["token", "inspect", part, "--json"]).success().json()
}

fn is_alive(deployment: &Deployment, token: &Token) -> bool {
    inspect(deployment, token.as_str())["alive"].as_bool().unwrap()
}

/// Why a resource server sees a token as inactive; nothing if it does not.
fn inactive_at(deployment: &Deployment, token: &Token, resource_server: &str) -> Option<String> {
    let arguments = ["token", "inspect", token.as_str(), "--as", resource_server, "--json"];
    let document = deployment.cli(&arguments).success().json();
    document["inactive_there_because"].as_str().map(str::to_owned)
}

/// A well-formed token of this grant that the server has not made.
pub(super) fn forge(grant: &str) -> Token {
    let keys = TokenKeys::from_secrets([[7; 32]]).unwrap();
    let grant = GrantId::from_digits(grant.as_bytes()).unwrap();
    let forged = PlainToken::generate(TokenKind::Access, grant, &keys, &SystemEntropy).unwrap();
    Token(forged.expose().to_owned())
}

#[test]
fn any_part_that_holds_the_grant_id_leads_to_the_grant() {
    let deployment = Deployment::embedded();
    let (api, app) = with_notes(&deployment);
    let token = app.mint(deployment.replica(0));
    let by_grant = inspect(&deployment, token.grant_id());
    assert_eq!(by_grant["grant_id"], token.grant_id());
    assert_eq!(by_grant["alive"], true);
    assert_eq!(by_grant["grant"]["client_id"], app.id.as_str());
    assert_eq!(by_grant["grant"]["scope"], SCOPE);
    assert_eq!(by_grant["grant"]["audience"][0], api.id.as_str());
    let jti = api.introspect(deployment.replica(0), &token).claim("jti").clone();
    assert_eq!(by_grant["grant"]["access_tokens"][0]["jti"], jti);
    for length in [21, 22, 37, 59, 60] {
        assert_eq!(inspect(&deployment, &token.as_str()[..length]), by_grant, "{length} characters");
    }
    let people = deployment.cli(&["token", "inspect", token.as_str(), "--as", "api"]).success().stdout;
    for words in [token.grant_id(), "alive", &app.id, SCOPE, &api.id, "active at api"] {
        assert!(people.contains(words), "{people}");
    }
    let secret = &token.as_str()[21..];
    assert!(!people.contains(secret), "what is shown is safe to show: {people}");
}

#[test]
fn what_is_too_short_or_malformed_is_refused_with_the_reason() {
    let place = Place::new();
    place.cli(&["migrate"]).success();
    let token = forge("00000000000000001");
    let mut altered = token.as_str().to_owned();
    altered.replace_range(30..31, if altered.as_bytes()[30] == b'0' { "1" } else { "0" });
    let short = "give a whole token, its first 21 characters or more, or the 17 characters of a grant id";
    for length in [0, 3, 4, 16, 20] {
        let part = &token.as_str()[..length];
        let line = error_line(place.cli(&["token", "inspect", part]), 2);
        assert_eq!(line, format!("{length} characters are too few: {short}"));
    }
    for (part, says) in [
        (altered.as_str(), "checksum"),
        (&format!("{}0", token.as_str()), "has 60 characters, this one has 61"),
        (&token.as_str()[..59].replace("sya_", "syx_"), "begins with sya_"),
        ("sya_0000000000000000-000", "only digits and letters"),
        ("zzzzzzzzzzzzzzzzz", "begins with sya_"),
    ] {
        let line = error_line(place.cli(&["token", "inspect", part]), 2);
        assert!(line.contains(says), "{part}: {line}");
        assert!(!line.contains(&part[4..]), "no part of a secret is shown: {line}");
    }
}

#[test]
fn a_leaked_token_is_read_from_standard_input() {
    let deployment = Deployment::embedded();
    let (_, app) = with_notes(&deployment);
    let token = app.mint(deployment.replica(0));
    for stdin in [token.as_str().to_owned(), format!("  {}\r\n", token.as_str())] {
        let arguments = ["token", "inspect", "-", "--json"];
        let read = cli_with_stdin(deployment.environment(), &arguments, &stdin).success().json();
        assert_eq!(read["grant_id"], token.grant_id());
    }
    error_line(deployment.cli(&["token", "inspect", "-"]), 2);
}

#[test]
fn inspect_tells_why_a_grant_is_dead() {
    let deployment = Deployment::embedded();
    let (api, app) = with_notes(&deployment);
    let server = deployment.replica(0);
    let why = |token: &Token| {
        let document = inspect(&deployment, token.as_str());
        assert_eq!(document["alive"], document["dead_because"].is_null());
        assert!(!api.introspect(server, token).active(), "{document}");
        document["dead_because"].as_str().unwrap().to_owned()
    };
    assert!(why(&forge("00000000000000001")).contains("no such grant"));
    let token = app.mint(server);
    assert!(why(&forge(token.grant_id())).contains("none of its access tokens"));
    app.revoke(server, &token);
    assert_eq!(why(&token), "the grant is revoked");

    let short = deployment.client_with("short", SCOPE, &["--access-token-ttl", "1s"]);
    let token = short.mint(server);
    wait::until_true("the token expires", Duration::from_secs(5), || !is_alive(&deployment, &token));
    let ended = why(&token);
    assert!(ended.contains("ended") || ended.contains("expired"), "{ended}");

    let token = app.mint(server);
    deployment.cli(&["client", "disable", "app"]).success();
    assert!(why(&token).contains("client"));
    deployment.cli(&["client", "enable", "app"]).success();
    assert!(why(&token).contains("revoked after it was issued"));
    let token = app.mint(server);
    deployment.cli(&["client", "delete", "app"]).success();
    assert!(why(&token).contains("client"));
}

#[test]
fn inspect_tells_why_a_resource_server_sees_a_living_token_inactive() {
    let deployment = Deployment::embedded();
    let (api, app) = with_notes(&deployment);
    deployment.resource_server("mail", "https://mail.example", "mail:send");
    let server = deployment.replica(0);
    let token = app.mint(server);
    for which in ["api", "https://api.example", &api.id] {
        assert_eq!(inactive_at(&deployment, &token, which), None);
    }
    assert!(inactive_at(&deployment, &token, "mail").unwrap().contains("audience"));
    deployment.cli(&["resource-server", "disable", "api"]).success();
    assert!(inactive_at(&deployment, &token, "api").unwrap().contains("disabled"));
    deployment.cli(&["resource-server", "enable", "api"]).success();
    deployment.cli(&["client", "update", "app", "--scope", "mail:send"]).success();
    assert!(inactive_at(&deployment, &token, "api").unwrap().contains("scope"));
    assert!(!api.introspect(server, &token).active());
    assert!(is_alive(&deployment, &token));
    app.revoke(server, &token);
    assert_eq!(inactive_at(&deployment, &token, "api").unwrap(), "the grant is revoked");
    let line = error_line(deployment.cli(&["token", "inspect", token.as_str(), "--as", "nobody"]), 1);
    assert!(line.contains("\"nobody\""), "{line}");
}
