//! PostgreSQL over TLS: every connection of a replica is encrypted and its certificate checked, and what is wrong with
//! one is said in a line that holds no secret.

use std::path::Path;

use serde_json::Value;

use crate::scene::{Said, ask};
use crate::support::actors::{Client, ResourceServer};
use crate::support::authority::Authority;
use crate::support::cli;
use crate::support::encoding;
use crate::support::postgres::{PASSWORD, PostgresOptions, PostgresServer, USER};
use crate::support::redis::RedisServer;
use crate::support::symbolon::{Environment, Server, ServerConfig};

/// Nobody comes in over TCP but with TLS and the password.
const ONLY_ENCRYPTED: &str = "local all all trust\nhostssl all all all scram-sha-256\n";

/// A PostgreSQL that speaks TLS and nothing else, and a Redis.
struct Stores {
    authority: Authority,
    postgres: PostgresServer,
    redis: RedisServer,
}

impl Stores {
    fn start() -> Self {
        let authority = Authority::new();
        let postgres = PostgresServer::start_with(PostgresOptions {
            tls: Some(authority.files()),
            hba: Some(ONLY_ENCRYPTED.to_owned()),
            ..PostgresOptions::default()
        });
        Self { authority, postgres, redis: RedisServer::start() }
    }

    /// What a replica is told; the certificate is for `localhost`.
    fn environment(&self, host: &str, database: &str, parameters: &str, ca: Option<&Path>) -> Environment {
        let port = self.postgres.port();
        let url = format!("postgres://{USER}:{PASSWORD}@{host}:{port}/{database}{parameters}");
        let mut environment = Environment::from([
            ("SYMBOLON_DATABASE_URL".to_owned(), url),
            ("SYMBOLON_REDIS_URL".to_owned(), self.redis.url()),
            ("SYMBOLON_TOKEN_KEY".to_owned(), encoding::random_token_key()),
        ]);
        if let Some(ca) = ca {
            environment.insert("SYMBOLON_DATABASE_CA".to_owned(), ca.display().to_string());
        }
        environment
    }

    /// Our connections over TCP: those with TLS, and all.
    fn connections(&self) -> (u32, u32) {
        let counts = self.postgres.execute(
            "SELECT count(*) FILTER (WHERE ssl), count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
             WHERE application_name = 'symbolon'",
        );
        let (encrypted, all) = counts.split_once('|').unwrap();
        (encrypted.parse().unwrap(), all.parse().unwrap())
    }
}

/// The failure of the database that `config check --connect` shows.
#[track_caller]
fn refusal(environment: &Environment) -> String {
    let output = cli::cli(environment, &["config", "check", "--connect", "--json"]).expect_status(1);
    let document = output.json();
    let stores = document["stores"].as_array().unwrap();
    let database = stores.iter().find(|store| store["store"] == "database").unwrap();
    assert_eq!(database["ok"], false, "{document}");
    let migrating = cli::cli(environment, &["migrate"]).expect_status(1);
    assert_eq!(migrating.stderr.lines().count(), 1, "{}", migrating.stderr);
    for said in [&output.stdout, &output.stderr, &migrating.stderr] {
        assert!(!said.contains(&format!(":{PASSWORD}@")), "the password is shown: {said}");
    }
    let detail = database["detail"].as_str().unwrap().to_owned();
    println!("{detail}");
    detail
}

#[test]
fn replicas_work_over_an_encrypted_postgresql_and_leave_nothing_in_the_clear() {
    let stores = Stores::start();
    let database = stores.postgres.database();
    let ca = stores.authority.file("authority.pem");
    for parameters in ["?sslmode=require", "?sslmode=verify-full", ""] {
        // With an authority of its own, TLS goes without saying.
        let environment = stores.environment("localhost", database.name(), parameters, Some(&ca));
        cli::cli(&environment, &["migrate"]).success();
        cli::cli(&environment, &["config", "check", "--connect"]).success();
    }
    let environment = stores.environment("localhost", database.name(), "?sslmode=require", Some(&ca));
    let replicas = [0, 1].map(|_| Server::start(&ServerConfig::serve().envs(&environment)));
    let run = |arguments: &[&str]| cli::cli(&environment, arguments).success().json();
    let text = |document: &Value, member: &str| document[member].as_str().unwrap().to_owned();
    let made = run(&["resource-server", "create", "a", "--identifier", "urn:a", "--scope", "a", "--json"]);
    let api = ResourceServer {
        id: text(&made, "resource_server_id"),
        secret: text(&made, "resource_server_secret"),
    };
    let made = run(&["client", "create", "c", "--grant", "client_credentials", "--scope", "a", "--json"]);
    let app = Client { id: text(&made, "client_id"), secret: text(&made, "client_secret") };

    let token = app.mint(&replicas[0]);
    assert_eq!(ask(&api, &replicas[1], &token), Said::Active);
    app.revoke(&replicas[1], &token);
    assert_eq!(ask(&api, &replicas[0], &token), Said::Inactive, "the feed wakes replicas over TLS too");
    let (encrypted, all) = stores.connections();
    println!("{all} connections of two replicas, {encrypted} of them encrypted");
    // Each replica listens on one and works on others.
    assert!(encrypted == all && all >= 4, "{encrypted} of {all}");
}

#[test]
fn sslmode_prefer_is_tls_where_the_server_has_it_and_plain_where_it_has_not() {
    let stores = Stores::start();
    let database = stores.postgres.database();
    let ca = stores.authority.file("authority.pem");
    let plain = PostgresServer::shared().database();
    let works = |environment: &Environment| {
        cli::cli(environment, &["migrate"]).success();
        cli::cli(environment, &["config", "check", "--connect"]).success();
    };
    for sslmode in ["?sslmode=allow", "?sslmode=prefer"] {
        works(&stores.environment("localhost", database.name(), sslmode, Some(&ca)));
        let mut without_tls = stores.environment("localhost", database.name(), "", Some(&ca));
        without_tls.insert("SYMBOLON_DATABASE_URL".to_owned(), format!("{}{sslmode}", plain.url()));
        works(&without_tls);
    }
    let environment = stores.environment("localhost", database.name(), "?sslmode=prefer", Some(&ca));
    let _replica = Server::start(&ServerConfig::serve().envs(&environment));
    let (encrypted, all) = stores.connections();
    assert!(encrypted == all && all >= 2, "{encrypted} of {all}");
}

#[test]
fn a_certificate_of_a_strange_authority_or_for_another_name_is_refused_and_so_is_plain_text() {
    let (stores, stranger) = (Stores::start(), Authority::new());
    let database = stores.postgres.database();
    let (ca, strange) = (stores.authority.file("authority.pem"), stranger.file("authority.pem"));
    let environment = |host: &str, parameters: &str, ca: Option<&Path>| {
        stores.environment(host, database.name(), parameters, ca)
    };
    for sslmode in ["?sslmode=require", "?sslmode=verify-full"] {
        // Otherwise than libpq's, "require" checks the certificate: TLS with anybody hides nothing.
        for authority in [Some(strange.as_path()), None] {
            let said = refusal(&environment("localhost", sslmode, authority));
            assert!(said.contains("invalid peer certificate"), "{said}");
        }
        let said = refusal(&environment("127.0.0.1", sslmode, Some(&ca)));
        assert!(said.contains("invalid peer certificate") && said.contains("localhost"), "{said}");
    }
    for plain in ["?sslmode=disable", ""] {
        let said = refusal(&environment("localhost", plain, None));
        assert!(said.contains("pg_hba.conf") && said.contains("no encryption"), "{said}");
    }
    // What anybody can turn off hides nothing from a strange authority either.
    let said = refusal(&environment("localhost", "?sslmode=prefer", Some(&strange)));
    assert!(said.contains("invalid peer certificate"), "{said}");
    let missing = stores.authority.file("missing.pem");
    let output = cli::cli(&environment("localhost", "?sslmode=require", Some(&missing)), &["migrate"]);
    assert!(!output.stderr.contains(&format!(":{PASSWORD}@")) && output.stderr.contains("missing.pem"));
    assert_eq!(stores.connections(), (0, 0), "nobody came in");
}

#[test]
fn a_server_that_speaks_no_tls_is_refused_by_whoever_asks_for_it() {
    let postgres = PostgresServer::shared();
    let database = postgres.database();
    let redis = RedisServer::start();
    let environment = Environment::from([
        ("SYMBOLON_DATABASE_URL".to_owned(), format!("{}?sslmode=require", database.url())),
        ("SYMBOLON_REDIS_URL".to_owned(), redis.url()),
        ("SYMBOLON_TOKEN_KEY".to_owned(), encoding::random_token_key()),
    ]);
    let said = refusal(&environment);
    assert!(said.contains("does not support TLS"), "{said}");
}
