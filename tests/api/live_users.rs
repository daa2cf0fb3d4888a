//! A user's token at introspection: what it says of the user, and that it says what is so today.

use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use symbolon::changes::{History as _, SqlFeed};
use symbolon::directory::DirectoryProjection;
use symbolon::domain::clock::{Clock as _, SystemClock};
use symbolon::domain::entropy::SystemEntropy;
use symbolon::domain::identifier::{ClientId, GrantId, ResourceServerId, UserId};
use symbolon::domain::scope::Scope;
use symbolon::domain::token::{PlainToken, TokenKind};
use symbolon::domain::token_key::TokenKeys;
use symbolon::grants::sqlite::SqliteGrants;
use symbolon::grants::{AccessToken, GrantRecord, GrantStore as _, UserGrant};
use symbolon::sql::{Database, DatabaseUrl};

use super::SCOPE;
use super::support::actors::{Client, ResourceServer, Token};
use super::support::deployment::{Deployment, Plan};
use super::support::encoding::random_token_key;

/// An embedded server with a user, alice, whose tokens are put into the store of grants directly.
struct World {
    deployment: Deployment,
    api: ResourceServer,
    app: Client,
    alice: UserId,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new(flags: &[&str]) -> Self {
        let plan = Plan::embedded().env("SYMBOLON_TOKEN_KEY", random_token_key());
        let deployment = plan.start();
        let api = deployment.resource_server_with("api", "https://api.example", SCOPE, flags);
        let app = deployment.client("app", SCOPE);
        let made = deployment.cli(&["user", "create", "Alice@Example.com", "--json"]).success().json();
        let alice = UserId::parse(made["user_id"].as_str().unwrap()).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        Self { deployment, api, app, alice, runtime }
    }

    fn open(&self, url: &DatabaseUrl) -> Database {
        Database::new(url, 1, self.runtime.handle().clone()).unwrap()
    }

    /// A token that the app has for alice, as of now.
    fn token(&self) -> Token {
        let data = self.deployment.data_dir();
        let directory = self.open(&DatabaseUrl::Sqlite(data.join("symbolon.sqlite3")));
        let feed = SqlFeed::new(directory, DirectoryProjection::default(), Arc::new(SystemClock), None);
        let grants = self.open(&DatabaseUrl::SqliteGrants(data.join("grants.sqlite3")));
        let grants = SqliteGrants::new(grants, Arc::new(SystemClock));
        let keys = TokenKeys::parse(&self.deployment.environment()["SYMBOLON_TOKEN_KEY"]).unwrap();
        let id = GrantId::generate(&SystemEntropy).unwrap();
        let token = PlainToken::generate(TokenKind::Access, id, &keys, &SystemEntropy).unwrap();
        let now = SystemClock.now();
        let expires_at = now + Duration::from_secs(600);
        self.runtime.block_on(async {
            let record = GrantRecord {
                born: feed.head().await.unwrap().position.number,
                expires_at,
                client: ClientId::parse(&self.app.id).unwrap(),
                scope: Scope::parse(SCOPE).unwrap(),
                audience: vec![ResourceServerId::parse(&self.api.id).unwrap()],
                access_tokens: vec![AccessToken {
                    digest: token.digest(),
                    issued_at: now,
                    expires_at,
                    attempt: 1,
                    restriction: None,
                }],
                user: Some(UserGrant {
                    subject: self.alice.clone(),
                    session: None,
                    salt: [7; 16],
                    attempt: 1,
                    code: None,
                    refresh: None,
                    given_at: None,
                }),
                address: None,
            };
            assert!(grants.insert(id, &record.encode(), expires_at).await.unwrap());
        });
        Token(token.expose().to_owned())
    }

    fn says(&self, token: &Token) -> Value {
        self.api.introspect(self.deployment.replica(0), token).0
    }

    fn scope(&self, token: &Token) -> String {
        self.says(token)["scope"].as_str().unwrap_or("(inactive)").to_owned()
    }

    fn cli(&self, arguments: &[&str]) {
        self.deployment.cli(arguments).success();
    }
}

#[test]
fn a_users_token_says_whose_it_is() {
    let world = World::new(&[]);
    let said = world.says(&world.token());
    assert_eq!((&said["active"], &said["username"]), (&json!(true), &json!("Alice@Example.com")));
    assert_eq!(said["sub"], world.alice.as_str());
    assert_eq!(said["client_id"], world.app.id.as_str());
    assert!(said.get("roles").is_none(), "nobody asked for them: {said}");
    let own = world.says(&world.app.mint(world.deployment.replica(0)));
    assert_eq!(own["sub"], own["client_id"]);
    assert!(own.get("username").is_none() && own.get("roles").is_none(), "{own}");
}

#[test]
fn roles_are_those_of_today() {
    let world = World::new(&["--include-roles"]);
    let token = world.token();
    assert_eq!(world.says(&token)["roles"], json!([]));
    for role in ["editor", "Night shift"] {
        world.cli(&["role", "create", role]);
        world.cli(&["user", "assign-role", "alice@example.com", role]);
    }
    assert_eq!(world.says(&token)["roles"], json!(["Night shift", "editor"]));
    world.cli(&["user", "remove-role", "alice@example.com", "Night shift"]);
    assert_eq!(world.says(&token)["roles"], json!(["editor"]));
    world.cli(&["role", "delete", "editor"]);
    assert_eq!(world.says(&token)["roles"], json!([]));
    world.cli(&["role", "create", "editor"]);
    assert_eq!(world.says(&token)["roles"], json!([]), "another role of the same name is not hers");
    let own = world.says(&world.app.mint(world.deployment.replica(0)));
    assert!(own.get("roles").is_none(), "a client has none: {own}");
    world.cli(&["resource-server", "update", "api", "--no-roles"]);
    assert!(world.says(&token).get("roles").is_none());
}

#[test]
fn a_scope_that_needs_a_permission_is_there_while_the_user_has_it() {
    let world = World::new(&["--scope-needs-permission", "notes:write"]);
    let token = world.token();
    assert_eq!(world.scope(&token), "notes:read");
    world.cli(&["user", "grant-permission", "alice@example.com", "notes:write"]);
    assert_eq!(world.scope(&token), SCOPE);
    world.cli(&["user", "remove-permission", "alice@example.com", "notes:write"]);
    assert_eq!(world.scope(&token), "notes:read");
    world.cli(&["role", "create", "editor", "--permission", "notes:write"]);
    world.cli(&["user", "assign-role", "alice@example.com", "editor"]);
    assert_eq!(world.scope(&token), SCOPE);
    world.cli(&["role", "update", "editor", "--no-permissions"]);
    assert_eq!(world.scope(&token), "notes:read");
    world.cli(&["role", "update", "editor", "--permission", "notes:write"]);
    assert_eq!(world.scope(&token), SCOPE);
    world.cli(&["role", "delete", "editor"]);
    assert_eq!(world.scope(&token), "notes:read");
    // With nothing left the token is inactive here, and comes back with the permission.
    world.cli(&["resource-server", "update", "api", "--scope", "notes:write"]);
    assert_eq!(world.says(&token), json!({ "active": false }));
    world.cli(&["user", "grant-permission", "alice@example.com", "notes:write"]);
    assert_eq!(world.scope(&token), "notes:write");
    world.cli(&["resource-server", "update", "api", "--no-scope-needs-permission"]);
    world.cli(&["user", "remove-permission", "alice@example.com", "notes:write"]);
    assert_eq!(world.scope(&token), "notes:write");
    let own = world.says(&world.app.mint(world.deployment.replica(0)));
    assert_eq!(own["scope"], "notes:write", "a client needs no permission");
}

#[test]
fn x34_a_disabled_user_has_no_token_and_enabling_revives_none() {
    let world = World::new(&[]);
    let token = world.token();
    assert_eq!(world.says(&token)["active"], true);
    world.cli(&["user", "disable", "alice@example.com"]);
    assert_eq!(world.says(&token), json!({ "active": false }));
    let born_while_disabled = world.token();
    assert_eq!(world.says(&born_while_disabled), json!({ "active": false }));
    world.cli(&["user", "enable", "alice@example.com"]);
    assert_eq!(world.says(&token), json!({ "active": false }));
    let token = world.token();
    assert_eq!(world.says(&token)["active"], true);
    world.cli(&["revoke", "--user", "alice@example.com", "--yes"]);
    assert_eq!(world.says(&token), json!({ "active": false }));
    let token = world.token();
    world.cli(&["user", "delete", "alice@example.com"]);
    assert_eq!(world.says(&token), json!({ "active": false }));
    world.cli(&["user", "create", "alice@example.com"]);
    assert_eq!(world.says(&token), json!({ "active": false }), "who takes the name is somebody else");
}

#[test]
fn a_user_who_cannot_be_read_is_a_503_unless_remembered() {
    let world = World::new(&[]);
    let token = world.token();
    let server = world.deployment.replica(0);
    let rename = |statement: &'static str| {
        let directory =
            world.open(&DatabaseUrl::Sqlite(world.deployment.data_dir().join("symbolon.sqlite3")));
        let renamed = directory.write(move |conn| Box::pin(async move { conn.batch(statement).await }));
        world.runtime.block_on(renamed).unwrap();
    };
    rename("ALTER TABLE users RENAME TO out_of_reach");
    let answer = world.api.introspect_str(server, token.as_str());
    assert_eq!(answer.status, 503, "unknown is not inactive");
    assert!(answer.header("retry-after").is_some());
    rename("ALTER TABLE out_of_reach RENAME TO users");
    assert_eq!(world.says(&token)["active"], true, "a failure is not remembered");
    rename("ALTER TABLE users RENAME TO out_of_reach");
    assert_eq!(world.says(&token)["active"], true, "who is remembered needs no SQL");
}
