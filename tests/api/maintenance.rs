//! `migrate`, `token-key generate`, `recover`, and what `serve` refuses to start on.

use std::time::Duration;

use super::support::deployment::{Deployment, Plan};
use super::support::encoding;
use super::support::postgres::PostgresServer;
use super::support::redis::RedisServer;
use super::support::symbolon::{Environment, Server, ServerConfig, WaitFor};
use super::{Place, error_line, with_notes};

/// Longer than a server takes to see that it cannot start.
const START: Duration = Duration::from_secs(10);

fn over(database_url: String, redis: &RedisServer) -> Environment {
    Environment::from([
        ("SYMBOLON_DATABASE_URL".to_owned(), database_url),
        ("SYMBOLON_REDIS_URL".to_owned(), redis.url()),
        ("SYMBOLON_TOKEN_KEY".to_owned(), encoding::random_token_key()),
    ])
}

/// The last line of a server that could not start, and its exit status.
fn refusal(environment: &Environment) -> (Option<i32>, String) {
    let server = Server::start(&ServerConfig::serve().envs(environment).wait_for(WaitFor::Spawn));
    let ended = server.wait_for_end(START);
    let stderr = server.stderr();
    assert!(ended.is_some(), "it goes on:\n{stderr}");
    assert_eq!(server.stdout(), "");
    let line = stderr.lines().last().unwrap_or_default().to_owned();
    (ended.and_then(|status| status.code()), line)
}

#[test]
fn migrating_twice_is_migrating_once() {
    let database = PostgresServer::shared().database();
    let redis = RedisServer::start();
    let mut postgres = Place::new();
    postgres.environment.extend(over(database.url(), &redis));
    for place in [postgres, Place::new()] {
        let first = place.cli(&["migrate", "--json"]).success().json();
        assert!(first["migrations_run"].as_u64().unwrap() > 0, "{first}");
        let second = place.cli(&["migrate"]).success().stdout;
        assert!(second.contains("nothing to do"), "{second}");
        assert_eq!(place.cli(&["migrate", "--json"]).success().json()["migrations_run"], 0);
    }
}

#[test]
fn nothing_works_on_an_unmigrated_database_and_each_says_what_to_run() {
    let database = PostgresServer::shared().database();
    let redis = RedisServer::start();
    let environment = over(database.url(), &redis);
    let (status, line) = refusal(&environment);
    assert_eq!(status, Some(1), "{line}");
    assert!(line.starts_with("symbolon: ") && line.contains("older") && line.contains("symbolon migrate"));
    let mut place = Place::new();
    place.environment.extend(environment);
    for command in [
        &["client", "list"][..],
        &["resource-server", "list"],
        &["token", "inspect", "00000000000000001"],
        &["revoke", "--everything", "--yes"],
        &["recover", "--yes"],
    ] {
        let line = error_line(place.cli(command), 1);
        assert!(line.contains("symbolon migrate"), "{command:?}: {line}");
    }
}

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    let deployment = Deployment::scaled(0);
    let newer = "INSERT INTO __diesel_schema_migrations (version) VALUES ('29990101000000')";
    deployment.database().execute(newer);
    let (status, line) = refusal(deployment.environment());
    assert_eq!(status, Some(1));
    assert!(line.contains("newer") && line.contains("run a newer symbolon"), "{line}");
    for command in [&["migrate"][..], &["client", "list"]] {
        let line = error_line(deployment.cli(command), 1);
        assert!(line.contains("newer"), "{line}");
    }
}

#[test]
fn two_servers_do_not_serve_from_one_data_directory() {
    let deployment = Deployment::embedded();
    let (status, line) = refusal(deployment.environment());
    assert_eq!(status, Some(2));
    assert!(line.contains("SYMBOLON_DATA_DIR") && line.contains("serves already"), "{line}");
    assert!(deployment.replica(0).is_ready());
}

#[test]
fn an_address_in_use_is_named() {
    let deployment = Deployment::embedded();
    let place = Place::new()
        .env("SYMBOLON_LISTEN", deployment.replica(0).address().to_string())
        .env("SYMBOLON_MANAGEMENT_LISTEN", "127.0.0.1:0");
    let ended = place.cli(&["serve", "--log", "error"]);
    let line = error_line(ended, 2);
    assert!(line.starts_with("SYMBOLON_LISTEN is 127.0.0.1:") && line.contains("choose another port"));
}

#[test]
fn a_generated_token_key_is_one_that_a_server_takes() {
    let place = Place::new();
    let key = place.cli(&["token-key", "generate"]).success().stdout;
    let other = place.cli(&["token-key", "generate", "--json"]).success().json();
    let other = other["token_key"].as_str().unwrap();
    assert_eq!(key.lines().count(), 1);
    assert_ne!(key.trim(), other);
    assert!(!place.path().join("data").exists(), "it is shown, not kept");
    // Two keys, as during a rotation: the server takes the list as it is printed.
    let list = format!("{key}{other}");
    let deployment = Plan::embedded().env("SYMBOLON_TOKEN_KEY", list).start();
    let (api, app) = with_notes(&deployment);
    let server = deployment.replica(0);
    assert!(api.introspect(server, &app.mint(server)).active());
    assert!(!deployment.data_dir().join("token.key").exists(), "the one that was given is used");
}

#[test]
fn the_embedded_token_key_is_made_once_and_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let deployment = Deployment::embedded();
    let path = deployment.data_dir().join("token.key");
    let key = std::fs::read(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let (api, app) = with_notes(&deployment);
    let server = deployment.replica(0);
    let token = app.mint(server);
    server.restart();
    assert_eq!(std::fs::read(&path).unwrap(), key);
    assert!(api.introspect(server, &token).active());
}

#[test]
fn recover_kills_what_was_issued_before_and_only_when_it_is_told_to() {
    let deployment = Deployment::scaled(1);
    let (api, app) = with_notes(&deployment);
    let server = deployment.replica(0);
    let token = app.mint(server);
    let dry = deployment.cli(&["recover", "--dry-run"]).success().stdout;
    assert!(dry.starts_with("would revoke every token issued until now"), "{dry}");
    assert_eq!(deployment.cli(&["recover", "--dry-run", "--json"]).success().json()["dry_run"], true);
    let line = error_line(deployment.cli(&["recover"]), 2);
    assert!(line.contains("--yes"), "{line}");
    assert!(api.introspect(server, &token).active());
    let recovered = deployment.cli(&["recover", "--yes", "--reason", "restored", "--json"]).success().json();
    let number = recovered["change"].as_u64().unwrap();
    assert!(!api.introspect(server, &token).active());
    assert!(api.introspect(server, &app.mint(server)).active());
    let sql = format!("SELECT kind, reason FROM changes WHERE number = {number}");
    assert_eq!(deployment.database().execute(&sql), "recover|restored");
}

#[test]
fn stores_that_are_not_embedded_are_backed_up_with_their_own_tools_and_the_page_is_named() {
    let place = Place::new();
    let (backup, refused) = (place.path().join("backup").display().to_string(), "docs/BACKUP.md");
    for (setting, value) in
        [("SYMBOLON_REDIS_URL", "redis://127.0.0.1:1"), ("SYMBOLON_DATABASE_URL", "sqlite:elsewhere.sqlite3")]
    {
        let place = Place::new().env(setting, value).env("SYMBOLON_TOKEN_KEY", encoding::random_token_key());
        for command in [&["backup", &backup][..], &["restore", &backup, "--yes"]] {
            let line = error_line(place.cli(command), 2);
            assert!(line.contains(setting) && line.contains(refused), "{line}");
        }
    }
    // And of nothing there is no backup.
    let line = error_line(place.cli(&["backup", &backup]), 1);
    assert!(line.contains("there is no database") && line.contains("SYMBOLON_DATA_DIR"), "{line}");
    assert!(!place.path().join("backup").exists() && !place.path().join("data").exists());
}
