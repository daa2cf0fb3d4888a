//! What an admin changes shows at the very next introspection, on every replica (X34).

use crate::expect::{inactive, json_200, refused, stranger};
use crate::support::actors::{Client, ResourceServer, Token};
use crate::support::cli::CliOutput;
use crate::world::{World, scaled};

/// A client and a resource server of a test's own.
struct Pair {
    world: &'static World,
    client: Client,
    server: ResourceServer,
}

impl Pair {
    fn new(name: &str) -> Self {
        let world = scaled();
        let scope = format!("{name}:read {name}:write");
        let server =
            world.deployment.resource_server(&format!("{name}-api"), &format!("urn:live:{name}"), &scope);
        let client = world.deployment.client(&format!("{name}-app"), &scope);
        Self { world, client, server }
    }

    /// A token, made on one replica and good on both.
    #[track_caller]
    fn token(&self) -> Token {
        let token = self.client.mint(self.world.server());
        self.lives(&token);
        token
    }

    #[track_caller]
    fn cli(&self, arguments: &[&str]) -> CliOutput {
        let all = [arguments, &["--json"]].concat();
        self.world.deployment.cli(&all).success()
    }

    #[track_caller]
    fn lives(&self, token: &Token) {
        for replica in self.world.deployment.replicas() {
            assert!(self.server.introspect(replica, token).active());
        }
    }

    #[track_caller]
    fn is_dead(&self, token: &Token) {
        for replica in self.world.deployment.replicas() {
            inactive(self.server.introspect_str(replica, token.as_str()));
        }
    }

    #[track_caller]
    fn scope_is(&self, token: &Token, words: &[&str]) {
        for replica in self.world.deployment.replicas() {
            assert_eq!(self.server.introspect(replica, token).scope(), words);
        }
    }
}

#[test]
fn x34_narrowing_a_client_narrows_the_tokens_it_holds() {
    let pair = Pair::new("narrow");
    let token = pair.token();
    pair.scope_is(&token, &["narrow:read", "narrow:write"]);
    pair.cli(&["client", "update", &pair.client.id, "--scope", "narrow:read"]);
    pair.scope_is(&token, &["narrow:read"]);
    for replica in pair.world.deployment.replicas() {
        let beyond = pair.client.token_request(replica, &[("scope", "narrow:write")]).send();
        refused(&beyond, 400, "invalid_scope");
        assert_eq!(json_200(pair.client.token_request(replica, &[]).send())["scope"], "narrow:read");
    }
    pair.cli(&["client", "update", &pair.client.id, "--scope", ""]);
    pair.is_dead(&token);
    // Widening gives back what the grant held, and no more.
    pair.cli(&["client", "update", &pair.client.id, "--scope", "narrow:read narrow:write shared"]);
    pair.scope_is(&token, &["narrow:read", "narrow:write"]);
}

#[test]
fn x34_narrowing_a_resource_server_narrows_what_it_sees() {
    let pair = Pair::new("owned");
    let token = pair.token();
    pair.cli(&["resource-server", "update", &pair.server.id, "--scope", "owned:write"]);
    pair.scope_is(&token, &["owned:write"]);
    pair.cli(&["resource-server", "update", &pair.server.id, "--scope", "owned:other"]);
    pair.is_dead(&token);
    for replica in pair.world.deployment.replicas() {
        let answer = pair.client.token_request(replica, &[("resource", "urn:live:owned")]).send();
        refused(&answer, 400, "invalid_target");
    }
}

/// An audience is fixed when a token is made: owning its scope later opens no older token.
#[test]
fn x34_a_resource_server_that_comes_later_sees_no_older_token() {
    let pair = Pair::new("later");
    let token = pair.token();
    let newcomer = pair.world.deployment.resource_server("later-newcomer", "urn:live:newcomer", "later:read");
    for replica in pair.world.deployment.replicas() {
        inactive(newcomer.introspect_str(replica, token.as_str()));
        refused(&newcomer.revoke_request(replica, token.as_str()).send(), 400, "invalid_grant");
        assert!(newcomer.introspect(replica, &pair.client.mint(replica)).active());
    }
    pair.lives(&token);
}

#[test]
fn x34_a_new_identifier_is_the_audience_at_once() {
    let pair = Pair::new("rename");
    let token = pair.token();
    pair.cli(&["resource-server", "update", &pair.server.id, "--identifier", "urn:live:renamed"]);
    for replica in pair.world.deployment.replicas() {
        assert_eq!(pair.server.introspect(replica, &token).claim("aud"), "urn:live:renamed");
        let old = pair.client.token_request(replica, &[("resource", "urn:live:rename")]).send();
        refused(&old, 400, "invalid_target");
        json_200(pair.client.token_request(replica, &[("resource", "urn:live:renamed")]).send());
    }
}

#[test]
fn x34_a_disabled_client_is_refused_everything_and_its_tokens_stay_dead() {
    let pair = Pair::new("disable");
    let token = pair.token();
    pair.cli(&["client", "disable", &pair.client.id]);
    pair.is_dead(&token);
    for replica in pair.world.deployment.replicas() {
        stranger(&pair.client.token_request(replica, &[]).send());
        stranger(&pair.client.revoke_request(replica, token.as_str()).send());
    }
    pair.cli(&["client", "enable", &pair.client.id]);
    pair.is_dead(&token);
    for replica in pair.world.deployment.replicas() {
        pair.lives(&pair.client.mint(replica));
    }
}

#[test]
fn x34_a_disabled_resource_server_may_ask_nothing() {
    let pair = Pair::new("closed");
    let token = pair.token();
    pair.cli(&["resource-server", "disable", &pair.server.id]);
    for replica in pair.world.deployment.replicas() {
        stranger(&pair.server.introspect_str(replica, token.as_str()));
        stranger(&pair.server.revoke_request(replica, token.as_str()).send());
    }
    pair.cli(&["resource-server", "enable", &pair.server.id]);
    pair.lives(&token);
}

#[test]
fn x34_a_deleted_client_and_its_successor_of_the_same_id() {
    let pair = Pair::new("delete");
    let create = [
        "client",
        "create",
        "delete-chosen",
        "--grant",
        "client_credentials",
        "--scope",
        "delete:read",
        "--client-id",
        "delete-chosen",
    ];
    let chosen = || {
        let made = pair.cli(&create).json();
        Client { id: "delete-chosen".to_owned(), secret: made["client_secret"].as_str().unwrap().to_owned() }
    };
    let old = chosen();
    let token = old.mint(pair.world.server());
    pair.lives(&token);
    pair.cli(&["client", "delete", "delete-chosen"]);
    pair.is_dead(&token);
    for replica in pair.world.deployment.replicas() {
        stranger(&old.token_request(replica, &[]).send());
    }
    let new = chosen();
    pair.is_dead(&token);
    for replica in pair.world.deployment.replicas() {
        stranger(&old.token_request(replica, &[]).send());
        pair.lives(&new.mint(replica));
    }
}

#[test]
fn x34_a_deleted_resource_server_is_nobody() {
    let pair = Pair::new("gone");
    let token = pair.token();
    pair.cli(&["resource-server", "delete", &pair.server.id]);
    for replica in pair.world.deployment.replicas() {
        stranger(&pair.server.introspect_str(replica, token.as_str()));
        let answer = pair.client.token_request(replica, &[("resource", "urn:live:gone")]).send();
        refused(&answer, 400, "invalid_target");
    }
}

#[test]
fn x34_another_lifetime_holds_for_the_next_token() {
    let pair = Pair::new("brief");
    pair.cli(&["client", "update", &pair.client.id, "--access-token-ttl", "2m"]);
    for replica in pair.world.deployment.replicas() {
        assert_eq!(json_200(pair.client.token_request(replica, &[]).send())["expires_in"], 120);
    }
    pair.cli(&["client", "update", &pair.client.id, "--access-token-ttl", "default"]);
    for replica in pair.world.deployment.replicas() {
        assert_eq!(json_200(pair.client.token_request(replica, &[]).send())["expires_in"], 900);
    }
}

#[test]
fn x34_the_right_to_revoke_is_taken_and_given_at_once() {
    let pair = Pair::new("right");
    let token = pair.token();
    pair.cli(&["resource-server", "update", &pair.server.id, "--no-revoke"]);
    for replica in pair.world.deployment.replicas() {
        let answer = pair.server.revoke_request(replica, token.as_str()).send();
        refused(&answer, 400, "unauthorized_client");
    }
    pair.lives(&token);
    pair.cli(&["resource-server", "update", &pair.server.id, "--may-revoke"]);
    pair.server.revoke(pair.world.server(), &token);
    pair.is_dead(&token);
}

#[test]
fn v1_the_command_line_revokes_a_token_by_any_part_of_it() {
    let pair = Pair::new("part");
    let revoke = |part: &str| pair.cli(&["token", "revoke", part, "--yes", "--reason", "leaked"]);
    for part in [
        |token: &Token| token.0.clone(),
        |token: &Token| token.0[..21].to_owned(),
        |token: &Token| token.grant_id().to_owned(),
    ] {
        let (token, bystander) = (pair.token(), pair.token());
        revoke(&part(&token));
        pair.is_dead(&token);
        pair.lives(&bystander);
    }
}

#[test]
fn x34_everything_of_a_client_dies_and_nothing_else() {
    let pair = Pair::new("kill");
    let tokens: Vec<Token> = (0..5).map(|_| pair.token()).collect();
    let scope = ["--scope", "kill:read"];
    let bystander = pair.world.deployment.client("kill-bystander", scope[1]).mint(pair.world.server());
    pair.lives(&bystander);
    pair.cli(&["revoke", "--client", &pair.client.id, "--yes"]);
    for token in &tokens {
        pair.is_dead(token);
    }
    pair.lives(&bystander);
    pair.lives(&pair.token());
}

/// In an installation of its own: it kills what the other tests hold.
#[test]
fn x34_everything_of_everybody_dies() {
    let deployment = crate::support::deployment::Deployment::scaled(2);
    let api = deployment.resource_server("api", "urn:example:api", "api:use");
    let clients = ["one", "two"].map(|name| deployment.client(name, "api:use"));
    let replicas: Vec<_> = deployment.replicas().collect();
    let tokens: Vec<Token> =
        clients.iter().flat_map(|client| replicas.iter().map(|replica| client.mint(replica))).collect();
    deployment.cli(&["revoke", "--everything", "--dry-run", "--json"]).success();
    deployment.cli(&["revoke", "--everything", "--json"]).expect_status(2);
    assert!(tokens.iter().all(|token| api.introspect(replicas[0], token).active()));
    deployment.cli(&["revoke", "--everything", "--yes", "--json"]).success();
    for replica in &replicas {
        for token in &tokens {
            inactive(api.introspect_str(replica, token.as_str()));
        }
        let next = clients[0].mint(replica);
        assert!(replicas.iter().all(|replica| api.introspect(replica, &next).active()));
    }
}

#[test]
fn x26_a_lifetime_is_between_a_second_and_ten_years() {
    let world = scaled();
    for ttl in
        ["0s", "999ms", "-1s", "1", "", "3651d", "99999999999d", "213503982334601d", "999999999999999999999d"]
    {
        let name = format!("x26-{ttl}");
        let given = format!("--access-token-ttl={ttl}");
        let create =
            ["client", "create", &name, "--grant", "client_credentials", "--scope", "notes:read", &given];
        let refused = world.deployment.cli(&create).expect_status(2);
        assert_eq!(refused.stderr.trim_end().lines().count(), 1, "{}", refused.stderr);
        world.deployment.cli(&["client", "update", &world.app.id, &given]).expect_status(2);
    }
}
