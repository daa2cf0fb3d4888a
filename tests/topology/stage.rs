//! The topology of the compose file as processes: what it names is read from it, not repeated here.

use std::net::SocketAddr;
use std::ops::Deref;

use serde_json::Value;

use crate::balancer::Balancer;
use crate::files::{Compose, Variables};
use crate::secrets::Secrets;
use crate::support::actors::{Client, ResourceServer};
use crate::support::cli::{self, CliOutput};
use crate::support::postgres::{PostgresOptions, PostgresServer};
use crate::support::redis::{RedisOptions, RedisServer};
use crate::support::symbolon::{Environment, Server, ServerConfig};

/// Everything that `docker compose up` starts, and somebody to use it.
pub struct Stage {
    // In this order: the load balancer goes before the servers, these before their stores.
    pub balancer: Balancer,
    pub replicas: Vec<Server>,
    pub api: ResourceServer,
    pub app: Client,
    pub redis: RedisServer,
    pub postgres: PostgresServer,
    pub secrets: Secrets,
    pub environment: Environment,
}

impl Stage {
    /// So many replicas, each as the compose file has it.
    pub fn with(replicas: usize) -> Self {
        Self::start(replicas, &[], |configuration| configuration)
    }

    /// With further variables, and with the load balancer's configuration changed.
    pub fn start(replicas: usize, variables: &[(&str, &str)], change: impl Fn(String) -> String) -> Self {
        let compose = Compose::read();
        let secrets = Secrets::make();
        let redis = start_redis(&compose, &secrets);
        let postgres = start_postgres(&compose, &secrets);
        secrets.replace("redis_url", "redis:6379", &redis.address().to_string());
        secrets.replace("database_url", "postgres:5432", &postgres.address().to_string());

        let mut environment = environment(&compose, &secrets);
        environment.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let run = |arguments: &[&str]| cli::cli(&environment, arguments).success();
        run(&["config", "check"]);
        let command = compose.command("migrate");
        run(&command.iter().map(String::as_str).collect::<Vec<_>>());
        run(&["config", "check", "--connect"]);
        let servers: Vec<Server> =
            (0..replicas).map(|_| Server::start(&ServerConfig::serve().envs(&environment))).collect();
        let addresses: Vec<SocketAddr> = servers.iter().map(Server::address).collect();
        let balancer = Balancer::before(&addresses, change);
        let (api, app) = actors(run);
        Self { balancer, replicas: servers, api, app, redis, postgres, secrets, environment }
    }
}

fn actors(run: impl Fn(&[&str]) -> CliOutput) -> (ResourceServer, Client) {
    let text = |document: &Value, member: &str| document[member].as_str().unwrap().to_owned();
    let made =
        run(&["resource-server", "create", "api", "--identifier", "urn:api", "--scope", "a", "--json"]);
    let made = made.json();
    let api = ResourceServer {
        id: text(&made, "resource_server_id"),
        secret: text(&made, "resource_server_secret"),
    };
    let made = run(&["client", "create", "app", "--grant", "client_credentials", "--scope", "a", "--json"]);
    let made = made.json();
    (api, Client { id: text(&made, "client_id"), secret: text(&made, "client_secret") })
}

/// What the compose file tells a replica, with the secrets where they are here.
pub fn environment(compose: &Compose, secrets: &Secrets) -> Environment {
    let Variables(variables) = compose.environment("replica-1");
    let mount = compose.mount("replica-1", "symbolon-secrets");
    let mut environment: Environment = variables
        .into_iter()
        .map(|(name, value)| (name, value.replace(&mount, &secrets.volume("symbolon").display().to_string())))
        .collect();
    // The harness chooses the ports. Replicas write no file: the container's are read-only.
    environment.remove("SYMBOLON_LISTEN");
    environment.remove("SYMBOLON_MANAGEMENT_LISTEN");
    environment.insert("SYMBOLON_DATA_DIR".to_owned(), "/dev/null/none".to_owned());
    environment
}

/// Redis with the flags of the compose file.
fn start_redis(compose: &Compose, secrets: &Secrets) -> RedisServer {
    let command = compose.command("redis");
    let (program, flags) = command.split_first().unwrap();
    assert_eq!(program, "redis-server");
    let pairs: Vec<(&str, &str)> =
        flags.chunks(2).map(|pair| (pair[0].strip_prefix("--").unwrap(), pair[1].as_str())).collect();
    let extra = pairs.iter().filter(|(name, _)| *name != "aclfile");
    let password = secrets.read("symbolon", "redis_url");
    let password = password.split([':', '@']).nth(2).unwrap().to_owned();
    RedisServer::start_with(RedisOptions {
        user: Some(("symbolon".to_owned(), password)),
        acl_file: Some(secrets.volume("redis").join("users.acl")),
        extra: extra.map(|(name, value)| format!("{name} {value}")).collect(),
        ..RedisOptions::default()
    })
}

/// PostgreSQL as its image makes it: the user, the password and the database that the variables name.
fn start_postgres(compose: &Compose, secrets: &Secrets) -> PostgresServer {
    let postgres =
        PostgresServer::start_with(PostgresOptions { check_password: true, ..PostgresOptions::default() });
    let variables = compose.environment("postgres");
    let (user, database) = (&variables["POSTGRES_USER"], &variables["POSTGRES_DB"]);
    assert_eq!(user, crate::support::postgres::USER);
    let password = secrets.read("postgres", "password");
    postgres.execute(&format!("ALTER USER {user} PASSWORD '{password}'"));
    postgres.execute(&format!("CREATE DATABASE {database}"));
    postgres
}

impl Deref for Variables {
    type Target = std::collections::BTreeMap<String, String>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
