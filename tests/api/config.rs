//! `config check`, and where settings come from.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use super::support::cli;
use super::support::deployment::Deployment;
use super::support::encoding;
use super::support::ports;
use super::support::postgres::PostgresServer;
use super::support::redis::{RedisOptions, RedisServer};
use super::support::symbolon::{Server, ServerConfig};
use super::{Place, error_line};

fn setting(place: &Place, arguments: &[&str], name: &str) -> (String, String) {
    let arguments = [&["config", "check", "--json"], arguments].concat();
    let document = place.cli(&arguments).success().json();
    let text = |member: &str| document["settings"][name][member].as_str().unwrap().to_owned();
    (text("value"), text("from"))
}

#[test]
fn the_effective_configuration_is_shown_without_a_store() {
    let place = Place::new();
    let shown = place.cli(&["config", "check"]).success().stdout;
    for row in [
        &["listen", "127.0.0.1:8080", "default"][..],
        &["management_listen", "127.0.0.1:9080", "default"],
        &["issuer", "http://127.0.0.1:8080", "default"],
        &["lease", "30s", "default"],
        &["log_format", "text", "default"],
    ] {
        let line = shown.lines().find(|line| line.split_whitespace().next() == Some(row[0])).unwrap();
        assert_eq!(line.split_whitespace().collect::<Vec<_>>(), row);
    }
    assert!(shown.ends_with("The configuration is good.\n"), "{shown}");
    assert!(!place.path().join("data").exists(), "looking makes nothing");
}

#[test]
fn a_flag_beats_the_environment_and_that_the_file() {
    let place = Place::new().env("SYMBOLON_LEASE", "8s").env("SYMBOLON_REVOKE_WAIT", "9s");
    let file = place.file("symbolon.toml", "lease = \"5s\"\nrevoke_wait = \"6s\"\nlog = \"warn\"\n");
    let from = |arguments: &[&str], name: &str| {
        setting(&place, &[&["--config", file.as_str()], arguments].concat(), name)
    };
    let (value, origin) = from(&["--lease", "7s"], "lease");
    assert_eq!((value.as_str(), origin.as_str()), ("7s", "--lease"));
    let (value, origin) = from(&[], "revoke_wait");
    assert_eq!((value.as_str(), origin.as_str()), ("9s", "SYMBOLON_REVOKE_WAIT"));
    let (value, origin) = from(&[], "log");
    assert_eq!(value, "warn");
    assert!(origin.starts_with("log in ") && origin.contains(&file), "{origin}");
    assert_eq!(from(&[], "store_timeout").1, "default");
}

#[test]
fn a_setting_may_stand_before_the_command_or_after_it() {
    let place = Place::new();
    let before = place.cli(&["--lease", "7s", "config", "check", "--json"]).success().json();
    assert_eq!(before["settings"]["lease"]["value"], "7s");
    assert_eq!(setting(&place, &["--lease", "7s"], "lease").0, "7s");
    let both = place.cli(&["--lease", "6s", "config", "check", "--lease", "7s", "--json"]).success().json();
    assert_eq!(both["settings"]["lease"]["value"], "7s", "the last one counts");
}

#[test]
fn the_file_may_be_named_by_the_environment() {
    let place = Place::new();
    let file =
        place.file("symbolon.toml", "trusted_proxies = [\"10.0.0.0/8\", \"192.0.2.1\"]\nworkers = 3\n");
    let place = place.env("SYMBOLON_CONFIG", file);
    assert_eq!(setting(&place, &[], "trusted_proxies").0, "10.0.0.0/8,192.0.2.1");
    assert_eq!(setting(&place, &[], "workers").0, "3");
}

#[test]
fn secrets_come_from_files_and_are_masked() {
    let key = encoding::random_token_key();
    let (redis, database) = ("redis://u:hunter2@127.0.0.1:1/0", "postgres://u:hunter2@127.0.0.1:1/d");
    let place = Place::new();
    let (key_file, redis_file) = (place.file("key", &format!("{key}\n")), place.file("redis", redis));
    let place = place
        .env("SYMBOLON_TOKEN_KEY_FILE", key_file.as_str())
        .env("SYMBOLON_REDIS_URL_FILE", redis_file)
        .env("SYMBOLON_DATABASE_URL", database);
    for arguments in [&["config", "check"][..], &["config", "check", "--json"]] {
        let shown = place.cli(arguments).success().stdout;
        assert!(shown.contains("SYMBOLON_TOKEN_KEY_FILE") && shown.contains("********"), "{shown}");
        assert!(!shown.contains(&key) && !shown.contains("hunter2"), "{shown}");
    }
    let line = error_line(place.env("SYMBOLON_TOKEN_KEY", key.as_str()).cli(&["config", "check"]), 2);
    assert!(line.contains("SYMBOLON_TOKEN_KEY_FILE") && line.contains("give one"), "{line}");
    let unreadable = Place::new().env("SYMBOLON_TOKEN_KEY_FILE", "no-such-file");
    let line = error_line(unreadable.cli(&["config", "check"]), 2);
    assert!(line.contains("SYMBOLON_TOKEN_KEY_FILE names no-such-file"), "{line}");
}

#[test]
fn an_unknown_name_is_refused_with_the_nearest() {
    for (name, nearest) in [
        ("SYMBOLON_LISTN", "SYMBOLON_LISTEN"),
        ("SYMBOLON_TOKEN_KEYS", "SYMBOLON_TOKEN_KEY"),
        ("SYMBOLON_ACCES_TOKEN_TTL", "SYMBOLON_ACCESS_TOKEN_TTL"),
        ("SYMBOLON_DATABASE_URI", "SYMBOLON_DATABASE_URL"),
        ("SYMBOLON_LOG_LEVEL", "SYMBOLON_LOG"),
        ("SYMBOLON_TTL", "SYMBOLON_TLS_CERT"),
    ] {
        let line = error_line(Place::new().env(name, "x").cli(&["config", "check"]), 2);
        assert!(line.starts_with(&format!("{name} is no setting; did you mean ")), "{line}");
        // What all names begin with must not make one of them the nearest to everything.
        if name != "SYMBOLON_TTL" {
            assert!(line.ends_with(&format!("{nearest}?")), "{line}");
        }
    }
    let place = Place::new();
    let file = place.file("symbolon.toml", "lese = \"5s\"\n");
    let line = error_line(place.cli(&["config", "check", "--config", &file]), 2);
    assert!(line.contains(&file) && line.ends_with("has lese, which is no setting; did you mean lease?"));
    let line = error_line(place.cli(&["config", "check", "--leese", "5s"]), 2);
    assert!(line.contains("'--leese'") && line.contains("'--lease'"), "{line}");
}

#[test]
fn a_file_that_cannot_be_used_is_named_without_what_it_holds() {
    let place = Place::new();
    let broken = place.file("broken.toml", "lease = \"5s\"\ntoken_key = \"hunter2\n");
    let line = error_line(place.cli(&["config", "check", "--config", &broken]), 2);
    assert!(line.contains(&broken) && line.contains("is not TOML"), "{line}");
    assert!(!line.contains("hunter2"), "{line}");
    let wrong = place.file("wrong.toml", "lease = true\n");
    let line = error_line(place.cli(&["config", "check", "--config", &wrong]), 2);
    assert!(line.contains("has lease, which is neither a string, a number nor"), "{line}");
    let line = error_line(place.cli(&["config", "check", "--config", "no-such-file"]), 2);
    assert!(line.contains("no-such-file cannot be read"), "{line}");
}

#[test]
fn a_bad_value_is_named_with_why_and_what_would_be_right() {
    let key = encoding::random_token_key();
    for (name, value, says) in [
        ("SYMBOLON_LISTEN", "8080", "such as 127.0.0.1:8080"),
        ("SYMBOLON_MANAGEMENT_LISTEN", "localhost:9080", "such as 127.0.0.1:8080"),
        ("SYMBOLON_ISSUER", "http://auth.example", "must be https"),
        ("SYMBOLON_ISSUER", "https://auth.example/?x", "no query"),
        ("SYMBOLON_DATABASE_URL", "mysql://h/d", "postgres://user:password@host:port/database"),
        ("SYMBOLON_REDIS_URL", "localhost:6379", "redis://"),
        ("SYMBOLON_TOKEN_KEY", "hunter2", "key 1"),
        ("SYMBOLON_TOKEN_KEY", "c2hvcnQ=", "at least 32"),
        ("SYMBOLON_LEASE", "30", "30s"),
        ("SYMBOLON_LEASE", "500ms", "1s or more"),
        ("SYMBOLON_REVOKE_WAIT", "0s", "longer"),
        ("SYMBOLON_REVOKED_MEMORY", "1", "write it like"),
        ("SYMBOLON_STORE_TIMEOUT", "3s", "1900ms or less"),
        ("SYMBOLON_ACCESS_TOKEN_TTL", "0s", "1s or more"),
        ("SYMBOLON_REFRESH_TOKEN_TTL", "99999d", "10 years"),
        ("SYMBOLON_TRUSTED_PROXIES", "10.0.0.0/8,proxy", "10.0.0.0/8"),
        ("SYMBOLON_TLS_CERT", "cert.pem", "SYMBOLON_TLS_KEY is missing"),
        ("SYMBOLON_WORKERS", "many", "number of threads"),
        ("SYMBOLON_DRAIN_DELAY", "1m", "6s or less"),
        ("SYMBOLON_LOG", "verbose", "error, warn, info, debug, trace"),
        ("SYMBOLON_LOG_FORMAT", "xml", "text or json"),
    ] {
        let mut place = Place::new();
        if name == "SYMBOLON_REDIS_URL" || name == "SYMBOLON_DATABASE_URL" {
            place = place.env("SYMBOLON_TOKEN_KEY", key.as_str());
        }
        let line = error_line(place.env(name, value).cli(&["config", "check"]), 2);
        assert!(line.contains(name) && line.contains(says), "{name}={value}: {line}");
        let secret = ["SYMBOLON_TOKEN_KEY", "SYMBOLON_DATABASE_URL", "SYMBOLON_REDIS_URL"].contains(&name);
        assert!(!secret || !line.contains(value), "no secret is shown: {line}");
    }
    let place = Place::new().env("SYMBOLON_TLS_CERT", "no-cert.pem").env("SYMBOLON_TLS_KEY", "no-key.pem");
    for command in [&["config", "check"][..], &["serve"]] {
        let line = error_line(place.cli(command), 2);
        assert!(line.contains("SYMBOLON_TLS_CERT") && line.contains("no-cert.pem"), "{line}");
    }
    for (command, flag) in [("check", "--lease"), ("check", "--issuer")] {
        let line = error_line(Place::new().cli(&["config", command, flag, "x"]), 2);
        assert!(line.starts_with(&format!("{flag} is \"x\"")), "the name is the one that was used: {line}");
    }
}

#[test]
fn what_belongs_together_is_asked_for_together() {
    let key = encoding::random_token_key();
    let line = error_line(Place::new().env("SYMBOLON_REDIS_URL", "redis://h").cli(&["config", "check"]), 2);
    assert!(line.contains("SYMBOLON_TOKEN_KEY") && line.contains("symbolon token-key generate"), "{line}");
    let place = Place::new().env("SYMBOLON_DATABASE_URL", "postgres://h/d").env("SYMBOLON_TOKEN_KEY", key);
    let line = error_line(place.cli(&["config", "check"]), 2);
    assert!(line.contains("SYMBOLON_REDIS_URL is required with PostgreSQL"), "{line}");
    let line = error_line(Place::new().env("SYMBOLON_LISTEN", "0.0.0.0:8080").cli(&["config", "check"]), 2);
    assert!(line.contains("SYMBOLON_ISSUER is required") && line.contains("https"), "{line}");
}

/// How it would be said to whoever set a place up like this, as `config check` shows it and as `serve` logs it.
fn warnings(place: &Place) -> Vec<String> {
    let document = place.cli(&["config", "check", "--json"]).success().json();
    let listed = document["warnings"].as_array().unwrap();
    let listed: Vec<_> = listed.iter().map(|warning| warning.as_str().unwrap().to_owned()).collect();
    let shown = place.cli(&["config", "check"]).success().stdout;
    assert!(shown.ends_with("\nThe configuration is good.\n"), "{shown}");
    let lines = shown.lines().filter_map(|line| line.strip_prefix("warning: "));
    assert_eq!(lines.collect::<Vec<_>>(), listed);
    // Nothing can be served where somebody else listens, so this ends by itself.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut environment = place.environment.clone();
    environment.insert("SYMBOLON_LISTEN".to_owned(), taken.local_addr().unwrap().to_string());
    environment.insert("SYMBOLON_LOG".to_owned(), "warn".to_owned());
    let logged = cli::cli(&environment, &["serve"]).expect_status(2).stderr;
    assert_eq!(logged.matches(" is reached over a network ").count(), listed.len(), "{logged}");
    for warning in &listed {
        assert!(logged.contains(warning.as_str()), "{warning}: {logged}");
    }
    listed
}

#[test]
fn stores_that_others_on_the_network_can_read_are_warned_of_and_used() {
    let key = encoding::random_token_key();
    let warned = |database: &str, redis: &str, words: &[&str]| {
        let place = Place::new()
            .env("SYMBOLON_DATABASE_URL", database)
            .env("SYMBOLON_REDIS_URL", redis)
            .env("SYMBOLON_TOKEN_KEY", key.as_str());
        let found = warnings(&place);
        assert_eq!(found.len(), words.len(), "{found:?}");
        for (warning, words) in found.iter().zip(words) {
            assert!(warning.contains(words) && !warning.contains("hunter2"), "{warning}");
        }
    };
    let (here, redis_here) = ("postgres://127.0.0.1:1/d", "redis://localhost:1");
    let (safe, redis_safe) =
        ("postgres://u:hunter2@10.9.9.9/d?sslmode=require", "rediss://:hunter2@10.9.9.9");
    warned(here, redis_here, &[]);
    warned("postgres://127.0.0.1:1/d?sslmode=prefer", redis_here, &[]);
    warned(safe, redis_safe, &[]);
    warned(safe, "redis://10.9.9.9", &["Redis is reached over a network without TLS", "without a password"]);
    warned(here, "rediss://10.9.9.9", &["Redis is reached over a network without a password"]);
    for (sslmode, words) in [
        ("", "without TLS"),
        ("?sslmode=disable", "without TLS"),
        ("?sslmode=prefer", "anybody on it can turn off"),
        ("?sslmode=allow", "anybody on it can turn off"),
    ] {
        warned(&format!("postgres://u:hunter2@10.9.9.9/d{sslmode}"), redis_safe, &[words]);
    }
    warned("postgres://u@db.example/d", redis_here, &["without TLS", "without a password"]);
    let unreachable = Place::new().env("SYMBOLON_LISTEN", "0.0.0.0:8080");
    let unreachable = unreachable.env("SYMBOLON_ISSUER", "https://auth.example");
    let document = unreachable.cli(&["config", "check", "--json"]).success().json();
    assert!(document["warnings"][0].as_str().unwrap().contains("every request that comes over a network"));
}

#[test]
fn connect_tries_every_store_and_says_what_is_wrong() {
    let embedded = Place::new().cli(&["config", "check", "--connect"]).success().stdout;
    assert!(embedded.contains("[+] database: ") && embedded.contains("[+] grant store: "), "{embedded}");

    let deployment = Deployment::scaled(0);
    let living = deployment.cli(&["config", "check", "--connect", "--json"]).success().json();
    let stores: Vec<_> = living["stores"].as_array().unwrap().iter().map(|store| &store["ok"]).collect();
    assert_eq!((stores, &living["warnings"]), (vec![&true.into(); 2], &json!([])));
    deployment.redis().freeze();
    let frozen = deployment.cli(&["config", "check", "--connect"]).expect_status(1).stdout;
    assert!(frozen.contains("[+] database: ") && frozen.contains("[-] grant store: "), "{frozen}");
    deployment.redis().thaw();

    let unmigrated = PostgresServer::shared().database();
    let evicting = RedisServer::start_with(RedisOptions {
        maxmemory_policy: "allkeys-lru".into(),
        ..RedisOptions::default()
    });
    let wrong = Place::new()
        .env("SYMBOLON_DATABASE_URL", unmigrated.url())
        .env("SYMBOLON_REDIS_URL", evicting.url())
        .env("SYMBOLON_TOKEN_KEY", encoding::random_token_key());
    let found = wrong.cli(&["config", "check", "--connect"]).expect_status(1).stdout;
    assert!(found.contains("[-] database: ") && found.contains("symbolon migrate"), "{found}");
    assert!(found.contains("allkeys-lru") && found.contains("noeviction"), "{found}");

    let (nobody, nobody_else) = (ports::free_address(), ports::free_address());
    let dead = Place::new()
        .env("SYMBOLON_DATABASE_URL", format!("postgres://u:hunter2@{nobody}/d"))
        .env("SYMBOLON_REDIS_URL", format!("redis://u:hunter2@{nobody_else}"))
        .env("SYMBOLON_TOKEN_KEY", encoding::random_token_key());
    let found = dead.cli(&["config", "check", "--connect", "--json"]).expect_status(1);
    let document = found.json();
    for store in document["stores"].as_array().unwrap() {
        assert_eq!(store["ok"], false);
        assert!(store["detail"].as_str().unwrap().to_lowercase().contains("refused"), "{store}");
    }
    assert!(!found.stdout.contains("hunter2"), "{}", found.stdout);
}

#[test]
fn a_data_directory_that_cannot_be_made_is_named() {
    let place = Place::new();
    let file = place.file("in-the-way", "");
    let below = format!("{file}/data");
    let line = error_line(place.env("SYMBOLON_DATA_DIR", below.as_str()).cli(&["client", "list"]), 2);
    assert!(line.contains("SYMBOLON_DATA_DIR") && line.contains(&below), "{line}");
    let place = Place::new();
    place.cli(&["client", "list"]).success();
    let mode = std::fs::metadata(place.path().join("data")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "nobody else looks into it");
}

/// The library below panics beyond its own bound: ours must not lie above it.
#[test]
fn as_many_workers_as_are_accepted_can_be_started() {
    let server = Server::start(&ServerConfig::serve().env("SYMBOLON_WORKERS", "512"));
    assert!(server.is_ready());
}
