//! `token inspect` and `token revoke`: what an admin does with a token that leaked.

use std::time::Duration;

use serde_json::Value;
use symbolon::domain::entropy::SystemEntropy;
use symbolon::domain::identifier::GrantId;
use symbolon::domain::token::{PlainToken, TokenKind};
use symbolon::domain::token_key::TokenKeys;

use super::support::actors::Token;
use super::support::cli::{CliOutput, cli_with_stdin};
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

fn revoke_from(deployment: &Deployment, stdin: &str, arguments: &[&str]) -> CliOutput {
    let arguments = [&["token", "revoke"], arguments].concat();
    cli_with_stdin(deployment.environment(), &arguments, stdin)
}

/// A well-formed token of this grant that the server has not made.
fn forge(grant: &str) -> Token {
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

#[test]
fn revoke_takes_any_part_and_gives_a_verdict_for_each() {
    let deployment = Deployment::embedded();
    let (api, app) = with_notes(&deployment);
    let server = deployment.replica(0);
    let tokens: Vec<Token> = (0..3).map(|_| app.mint(server)).collect();
    let spared = app.mint(server);
    let parts = [tokens[0].as_str(), &tokens[1].as_str()[..21], tokens[2].grant_id()];
    let revoked =
        deployment.cli(&["token", "revoke", parts[0], parts[1], parts[2], "--yes"]).success().stdout;
    let lines: Vec<&str> = revoked.lines().collect();
    for (line, token) in lines.iter().zip(&tokens) {
        assert_eq!(*line, format!("{}  revoked", token.grant_id()));
        assert!(!api.introspect(server, token).active());
    }
    assert!(lines[3].contains("confirmed by 1 replica(s)"), "{revoked}");
    assert!(api.introspect(server, &spared).active());
    // Again, which is safe, and for programs.
    let again = deployment.cli(&["token", "revoke", parts[0], "--yes", "--json"]).success().json();
    assert_eq!(again["grants"][0]["grant_id"], tokens[0].grant_id());
    assert_eq!(again["grants"][0]["revoked"], true);
    assert_eq!(again["confirmed"]["replicas"][0]["standing"], "applied");
}

#[test]
fn revoke_reads_standard_input_and_files_and_reports_what_it_could_not_read() {
    let deployment = Deployment::embedded();
    let (api, app) = with_notes(&deployment);
    let server = deployment.replica(0);
    let place = Place::new();
    let tokens: Vec<Token> = (0..3).map(|_| app.mint(server)).collect();
    let list = place.file("leaked", &format!("{}\r\n\n  {}  \n", tokens[0].as_str(), tokens[1].as_str()));
    revoke_from(&deployment, "", &["--file", &list, "--yes"]).success();
    assert!(tokens[..2].iter().all(|token| !api.introspect(server, token).active()));

    let junk = "syr_thisIsNoTokenOfOurs";
    let stdin = format!("{junk}-but-a-secret-perhaps\n{}\n", tokens[2].as_str());
    let mixed = revoke_from(&deployment, &stdin, &["-", "--yes"]).expect_status(1);
    assert!(!api.introspect(server, &tokens[2]).active(), "a bad line does not save the good ones");
    let lines: Vec<&str> = mixed.stdout.lines().collect();
    assert!(lines[0].starts_with("entry 1  not revoked: "), "{}", mixed.stdout);
    assert_eq!(lines[1], format!("{}  revoked", tokens[2].grant_id()));
    assert!(!mixed.stdout.contains("syr_this"), "{}", mixed.stdout);
    let document = revoke_from(&deployment, &stdin, &["-", "--yes", "--json"]).expect_status(1).json();
    assert_eq!(document["grants"][0]["revoked"], false);
    assert!(document["grants"][0]["error"].as_str().unwrap().contains("only digits and letters"));
    assert_eq!(document["grants"][1]["revoked"], true);

    let nothing = error_line(revoke_from(&deployment, "\n \n", &["-", "--yes"]), 2);
    assert!(nothing.contains("no token was given"), "{nothing}");
    let missing = error_line(deployment.cli(&["token", "revoke", "--file", "no-such-file", "--yes"]), 2);
    assert!(missing.contains("--file no-such-file"), "{missing}");
    error_line(deployment.cli(&["token", "revoke"]), 2);
}

#[test]
fn nothing_is_revoked_by_a_dry_run_or_without_consent() {
    let deployment = Deployment::embedded();
    let (api, app) = with_notes(&deployment);
    let server = deployment.replica(0);
    let token = app.mint(server);
    let dry = deployment.cli(&["token", "revoke", token.as_str(), "--dry-run"]).success();
    assert_eq!(dry.stdout, format!("{}  would revoke\n", token.grant_id()));
    let dry = deployment.cli(&["token", "revoke", token.as_str(), "--dry-run", "--yes", "--json"]).success();
    assert_eq!(dry.json()["dry_run"], true);
    assert_eq!(dry.json()["grants"][0]["alive"], true);
    // Standard input is no terminal here: there is nobody to ask.
    let line = error_line(deployment.cli(&["token", "revoke", token.as_str()]), 2);
    assert!(line.contains("--yes"), "{line}");
    assert!(api.introspect(server, &token).active());
    deployment.cli(&["token", "revoke", token.as_str(), "--yes"]).success();
    let dry = deployment.cli(&["token", "revoke", token.as_str(), "--dry-run"]).success().stdout;
    assert!(dry.contains("dead already"), "{dry}");
}

#[test]
fn a_revocation_is_recorded_with_its_reason_and_holds_for_a_grant_that_redis_does_not_have() {
    let deployment = Deployment::scaled(1);
    let (api, app) = with_notes(&deployment);
    let server = deployment.replica(0);
    let token = app.mint(server);
    let lost = "00000000000000001";
    let reason = "seen in a paste; it's 'quoted'";
    let revoke = ["token", "revoke", token.as_str(), lost, "--yes", "--reason", reason];
    deployment.cli(&revoke).success();
    assert!(!api.introspect(server, &token).active());
    for grant in [token.grant_id(), lost] {
        let sql =
            format!("SELECT actor, reason FROM changes WHERE kind = 'revoke-grant' AND target = '{grant}'");
        assert_eq!(deployment.database().execute(&sql), format!("command line|{reason}"));
    }
    assert_eq!(inspect(&deployment, lost)["dead_because"], "the grant is revoked");
}
