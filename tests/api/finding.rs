//! `token inspect` and `token list`: what an admin on call is told of a token, and how they find those of a user, of a
//! client, of a time.

use serde_json::{Value, json};

use super::support::actors::{Client, ResourceServer, Token};
use super::support::browser::{App, Browser, Tokens, User};
use super::support::deployment::Deployment;
use super::{SCOPE, error_line, with_notes};

/// An installation with somebody who uses an app.
struct Stage {
    deployment: Deployment,
    api: ResourceServer,
    client: Client,
    app: App,
    mira: User,
}

impl Stage {
    fn set(deployment: Deployment) -> Self {
        let (api, client) = with_notes(&deployment);
        let (app, mira) = (deployment.app("reader", SCOPE, &[]), deployment.user("mira"));
        Self { deployment, api, client, app, mira }
    }

    fn log_in(&self) -> Tokens {
        let ask = self.app.ask().with("scope", SCOPE);
        let answer = Browser::new().allow(self.deployment.replica(0), &self.mira, &ask);
        self.app.redeem(self.deployment.replica(0), &ask, &answer)
    }

    fn inspect(&self, token: &Token) -> Value {
        self.deployment.cli(&["token", "inspect", token.as_str(), "--json"]).success().json()
    }

    /// Why a resource server sees a token inactive; it says nothing else then.
    fn inactive_at(&self, token: &str, which: &str) -> String {
        let document =
            self.deployment.cli(&["token", "inspect", token, "--as", which, "--json"]).success().json();
        assert!(document["scope_there"].is_null(), "{document}");
        document["inactive_there_because"].as_str().unwrap_or_else(|| panic!("{document}")).to_owned()
    }

    fn list(&self, arguments: &[&str]) -> Value {
        self.deployment.cli(&[&["token", "list", "--json"], arguments].concat()).success().json()
    }

    /// The grants in a list, sorted.
    fn listed(&self, arguments: &[&str]) -> Vec<String> {
        ids(&self.list(arguments))
    }
}

fn ids(list: &Value) -> Vec<String> {
    let grants = list["grants"].as_array().unwrap();
    let mut ids: Vec<_> = grants.iter().map(|grant| grant["grant_id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

fn sorted(tokens: &[&Token]) -> Vec<String> {
    let mut ids: Vec<_> = tokens.iter().map(|token| token.grant_id().to_owned()).collect();
    ids.sort();
    ids
}

#[test]
fn inspect_shows_owner_and_origin_and_every_live_token_of_a_grant_and_no_secret() {
    let stage = Stage::set(Deployment::embedded());
    let server = stage.deployment.replica(0);
    let first = stage.log_in();
    let narrowed = stage.app.refreshing(server, &first.refresh, &[("scope", "notes:read")]).send();
    let second = narrowed.expect_status(200).json();
    let found = stage.inspect(&first.access);
    let grant = &found["grant"];
    assert_eq!((&found["alive"], &found["frozen"]), (&json!(true), &json!(false)));
    assert_eq!((&grant["client_name"], &grant["user_name"]), (&json!("reader"), &json!("mira")));
    assert_eq!((&grant["scope"], &grant["audience_names"]), (&json!(SCOPE), &json!(["api"])));
    assert_eq!(grant["issued_from"], "127.0.0.1");
    let tokens = grant["access_tokens"].as_array().unwrap();
    let scopes: Vec<_> = tokens.iter().map(|token| token["scope"].as_str().unwrap()).collect();
    assert_eq!(scopes, [SCOPE, "notes:read"]);
    assert!(grant["issued_at"].as_i64().unwrap() <= tokens[0]["issued_at"].as_i64().unwrap());
    assert_eq!((&grant["refresh_token"]["number"], &grant["code"]["state"]), (&json!(2), &json!("redeemed")));
    assert_eq!(found["login_session"]["user_name"], "mira");
    assert_eq!(found["login_session"]["address"], "127.0.0.1");
    let session = grant["login_session"].as_str().unwrap();
    let of_session = stage.deployment.cli(&["token", "inspect", session, "--json"]).success().json();
    assert_eq!(of_session["login_session"], found["login_session"]);
    assert!(of_session["grant"].is_null());

    let people = stage.deployment.cli(&["token", "inspect", first.refresh.as_str()]).success().stdout;
    for words in ["reader", "mira", "(api)", "from 127.0.0.1", "number 2", "for \"notes:read\" at", session] {
        assert!(people.contains(words), "{words}: {people}");
    }
    let new = second["access_token"].as_str().unwrap();
    for secret in [first.access.as_str(), first.refresh.as_str(), new] {
        assert!(!people.contains(&secret[21..]) && !found.to_string().contains(&secret[21..]), "{people}");
    }
}

#[test]
fn inspect_says_what_became_of_the_client_and_of_the_user() {
    let stage = Stage::set(Deployment::embedded());
    let (deployment, tokens) = (&stage.deployment, stage.log_in());
    let why = || stage.inspect(&tokens.access)["dead_because"].as_str().unwrap_or_default().to_owned();
    assert_eq!(why(), "");
    deployment.cli(&["user", "disable", "mira"]).success();
    assert_eq!(why(), "its user is disabled");
    deployment.cli(&["user", "enable", "mira"]).success();
    assert_eq!(why(), "everything of its user was revoked after it was issued");
    deployment.cli(&["client", "disable", "reader"]).success();
    assert_eq!(why(), "its client is disabled");
    deployment.cli(&["client", "enable", "reader"]).success();
    deployment.cli(&["user", "delete", "mira"]).success();
    assert_eq!(why(), "its user is deleted");
    let own = stage.client.mint(deployment.replica(0));
    deployment.cli(&["revoke", "--everything", "--yes"]).success();
    let killed = stage.inspect(&own)["dead_because"].clone();
    assert_eq!(killed, "everything of everybody was revoked after it was issued");
}

#[test]
fn no_access_token_of_a_grant_that_is_dead_or_frozen_is_called_good() {
    let stage = Stage::set(Deployment::embedded());
    let (deployment, server) = (&stage.deployment, stage.deployment.replica(0));
    let first = stage.log_in();
    let second = stage.app.refresh(server, &first.refresh);
    let third = stage.app.refresh(server, &second.refresh);
    let good = |part: &Token| {
        let people = deployment.cli(&["token", "inspect", part.as_str()]).success().stdout;
        let document = stage.inspect(part);
        let listed = document["grant"]["access_tokens"].as_array().unwrap().clone();
        assert_eq!(people.matches("\naccess token").count(), listed.len(), "{people}");
        let active = stage.api.introspect(server, &third.access).active();
        assert_eq!(active, !listed.is_empty(), "{document}");
        listed
    };
    assert_eq!(good(&third.access).len(), 3);
    // The token that was asked about is dead; what belongs to its grant is not.
    assert_eq!(stage.inspect(&first.refresh)["alive"], false);
    assert_eq!(good(&first.refresh).len(), 3);

    deployment.cli(&["token", "freeze", first.access.as_str(), "--yes"]).success();
    assert!(good(&first.access).is_empty());
    deployment.cli(&["token", "thaw", first.access.as_str()]).success();
    let end = good(&first.access)[0]["expires_at"].as_i64().unwrap();
    deployment.cli(&["token", "shorten", first.access.as_str(), "--ends-in", "5m", "--yes"]).success();
    assert!(good(&first.access)[0]["expires_at"].as_i64().unwrap() < end - 60, "it ends with its grant");
    deployment.cli(&["revoke", "--user", "mira", "--yes"]).success();
    assert!(good(&first.access).is_empty());
}

#[test]
fn a_login_session_without_a_known_browser_is_described_without_one() {
    let stage = Stage::set(Deployment::embedded());
    let tokens = stage.log_in();
    let of_grant = stage.deployment.cli(&["token", "inspect", tokens.access.as_str()]).success().stdout;
    assert!(of_grant.contains(" from 127.0.0.1, last seen "), "{of_grant}");
    let document = stage.inspect(&tokens.access);
    assert_eq!(document["login_session"]["browser"], "");
    let session = document["grant"]["login_session"].as_str().unwrap();
    let of_session = stage.deployment.cli(&["token", "inspect", session]).success().stdout;
    assert!(of_session.lines().any(|line| line.starts_with("address")), "{of_session}");
    assert!(!of_session.contains("browser"), "{of_session}");
}

#[test]
fn a_resource_server_that_sees_a_living_token_inactive_is_told_exactly_why() {
    let stage = Stage::set(Deployment::embedded());
    let (deployment, server) = (&stage.deployment, stage.deployment.replica(0));
    deployment.resource_server("mail", "https://mail.example", "mail:send");
    let tokens = stage.log_in();
    let (access, refresh) = (tokens.access.as_str(), tokens.refresh.as_str());
    let says = |part: &str, which: &str, words: &str| {
        let why = stage.inactive_at(part, which);
        assert!(why.contains(words), "{why}");
        if part == access && which == "api" {
            assert!(!stage.api.introspect(server, &tokens.access).active(), "{why}");
        }
    };
    assert!(stage.api.introspect(server, &tokens.access).active());
    says(access, "mail", "not in its audience");
    says(refresh, "api", "a refresh token is no access token");
    let session = stage.inspect(&tokens.access)["grant"]["login_session"].as_str().unwrap().to_owned();
    says(&session, "api", "a login session is no access token");

    let needs = ["--scope-needs-permission", "notes:read", "--scope-needs-permission", "notes:write"];
    deployment.cli(&[&["resource-server", "update", "api"], &needs[..]].concat()).success();
    says(access, "api", "lacks the permission for \"notes:read notes:write\"");
    assert_eq!(stage.inspect(&tokens.access)["grant"]["scope_without_permission"], SCOPE);
    deployment.cli(&["user", "grant-permission", "mira", "notes:read"]).success();
    let there = ["token", "inspect", access, "--as", "api", "--json"];
    assert_eq!(deployment.cli(&there).success().json()["scope_there"], "notes:read");
    deployment.cli(&["resource-server", "update", "api", "--no-scope-needs-permission"]).success();

    deployment.cli(&["client", "update", "reader", "--scope", "mail:send"]).success();
    says(access, "api", "client may not use the scope \"notes:read notes:write\"");
    deployment.cli(&["client", "update", "reader", "--scope", SCOPE]).success();
    deployment.cli(&["resource-server", "update", "api", "--scope", "other"]).success();
    says(access, "api", "owns none of the token's scope");
    deployment.cli(&["resource-server", "update", "api", "--scope", SCOPE]).success();
    deployment.cli(&["resource-server", "disable", "api"]).success();
    let why = stage.inactive_at(access, "api");
    assert!(why.contains("disabled"), "{why}");
    deployment.cli(&["resource-server", "enable", "api"]).success();

    deployment.cli(&["token", "freeze", access, "--yes"]).success();
    says(access, "api", "frozen");
    let frozen = stage.inspect(&tokens.access);
    assert_eq!((&frozen["frozen"], &frozen["alive"]), (&json!(true), &json!(true)));
    deployment.cli(&["token", "thaw", access]).success();
    deployment.cli(&["token", "narrow", access, "--scope", "notes:read", "--yes"]).success();
    assert_eq!(deployment.cli(&there).success().json()["scope_there"], "notes:read");
    assert_eq!(stage.inspect(&tokens.access)["grant"]["narrowed_to"], "notes:read");
    deployment.cli(&["resource-server", "update", "api", "--scope", "notes:write"]).success();
    says(access, "api", "the grant was narrowed");
}

#[test]
fn a_token_for_a_part_of_its_grant_is_told_apart_from_the_grant() {
    let stage = Stage::set(Deployment::embedded());
    let (deployment, server) = (&stage.deployment, stage.deployment.replica(0));
    deployment.resource_server("mail", "https://mail.example", "mail:send");
    let both = deployment.client("both", "notes:read mail:send");
    let app = deployment.app("both app", "notes:read mail:send", &[]);
    let ask = app.ask().with("scope", "notes:read mail:send");
    let answer = Browser::new().allow(server, &stage.mira, &ask);
    let whole = app.redeem(server, &ask, &answer);
    let part = app.refreshing(server, &whole.refresh, &[("resource", "https://mail.example")]).send();
    let part = part.expect_status(200).json()["access_token"].as_str().unwrap().to_owned();
    let why = stage.inactive_at(&part, "api");
    assert!(why.contains("asked for with a part of its grant"), "{why}");
    let wider = deployment.cli(&["token", "inspect", whole.access.as_str(), "--as", "api", "--json"]);
    assert_eq!(wider.success().json()["scope_there"], "notes:read");
    let own = both.mint_with(server, &[("resource", "https://mail.example")]);
    assert!(stage.inactive_at(own.as_str(), "api").contains("not in its audience"));
}

fn lists(deployment: Deployment) {
    let stage = Stage::set(deployment);
    let server = stage.deployment.replica(0);
    let other = stage.deployment.client("other", "notes:read");
    let (first, second) = (stage.log_in(), stage.log_in());
    let minted: Vec<Token> = (0..3).map(|_| stage.client.mint(server)).collect();
    let foreign = other.mint(server);
    let of_user = sorted(&[&first.access, &second.access]);
    assert_eq!(stage.listed(&["--user", "MIRA"]), of_user);
    assert_eq!(stage.listed(&["--client", &stage.client.id]), sorted(&minted.iter().collect::<Vec<_>>()));
    assert_eq!(stage.listed(&["--client", "other"]), sorted(&[&foreign]));
    assert_eq!(stage.listed(&["--client", "reader", "--user", "mira"]), of_user);
    assert!(stage.listed(&["--client", "other", "--user", "mira"]).is_empty());
    assert_eq!(stage.listed(&["--since", "10m"]).len(), 6);
    assert!(stage.listed(&["--until", "10m"]).is_empty());
    assert!(stage.listed(&["--since", "2999-01-01T00:00:00Z"]).is_empty());
    let session = stage.inspect(&second.access)["grant"]["login_session"].as_str().unwrap().to_owned();
    assert_eq!(stage.listed(&["--session", &session]), sorted(&[&second.access]));

    let few = stage.list(&["--client", "app", "--limit", "2"]);
    assert_eq!((ids(&few).len(), &few["complete"]), (2, &json!(false)));
    let all = stage.list(&["--client", "app", "--limit", "3"]);
    assert_eq!((ids(&all).len(), &all["complete"]), (3, &json!(true)));
    stage.deployment.cli(&["user", "disable", "mira"]).success();
    assert!(stage.listed(&["--user", "mira"]).is_empty());
    let dead = stage.list(&["--user", "mira", "--dead"]);
    assert_eq!(ids(&dead), of_user);
    assert_eq!(dead["grants"][0]["dead_because"], "its user is disabled");
    let people = stage.deployment.cli(&["token", "list", "--user", "mira", "--dead"]).success().stdout;
    assert_eq!(people.lines().count(), 2, "{people}");
    for words in ["dead: its user is disabled", "client reader", "user mira", "from 127.0.0.1", SCOPE] {
        assert!(people.contains(words), "{words}: {people}");
    }
    let nothing = stage.deployment.cli(&["token", "list", "--client", "other", "--until", "1h"]).success();
    assert_eq!((nothing.stdout.as_str(), nothing.stderr.as_str()), ("", "nothing was found\n"));
}

#[test]
fn list_finds_by_user_client_session_and_time_in_the_embedded_store() {
    lists(Deployment::embedded());
}

#[test]
fn list_finds_by_user_client_session_and_time_in_redis() {
    lists(Deployment::scaled(1));
}

#[test]
fn a_list_of_nobody_knows_what_is_refused() {
    let deployment = Deployment::embedded();
    with_notes(&deployment);
    let refused = |arguments: &[&str], status| {
        error_line(deployment.cli(&[&["token", "list"], arguments].concat()), status)
    };
    assert!(refused(&[], 2).contains("--client"));
    assert!(refused(&["--since", "yesterday"], 2).contains("24h"));
    assert!(refused(&["--session", "short"], 2).contains("too few"));
    assert!(refused(&["--user", "nobody"], 1).contains("nobody"));
    assert!(refused(&["--client", "nobody"], 1).contains("nobody"));
    assert!(refused(&["--client", "app", "--limit", "0"], 2).contains("limit"));
}
