//! A whole installation: stores, replicas, and who uses them.
//!
//! ```ignore
//! let deployment = Deployment::scaled(2);
//! let api = deployment.resource_server("api", "https://api.example", "notes:read notes:write");
//! let app = deployment.client("app", "notes:read notes:write");
//! let token = app.mint(deployment.replica(0));
//! assert!(api.introspect(deployment.replica(1), &token).active());
//! app.revoke(deployment.replica(0), &token);
//! assert!(!api.introspect(deployment.replica(1), &token).active());
//! ```

use std::ops::Deref;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use super::actors::{Client, ResourceServer};
use super::cli::{self, CliOutput};
use super::encoding;
use super::postgres::{PostgresOptions, PostgresServer};
use super::proxy::Proxy;
use super::psql::Database;
use super::redis::{RedisOptions, RedisServer};
use super::scratch;
use super::symbolon::{Environment, Server, ServerConfig};

/// What every replica of a scaled deployment calls itself, as if a load balancer stood before them.
pub const ISSUER: &str = "https://auth.example";

/// What is to be deployed.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// `None` is the embedded default.
    replicas: Option<usize>,
    environment: Environment,
    under: Vec<String>,
    redis: RedisOptions,
    own_postgres: Option<PostgresOptions>,
    proxied: bool,
}

impl Plan {
    /// One process with embedded stores.
    pub fn embedded() -> Self {
        Self::default()
    }

    /// So many processes over one Redis and one PostgreSQL.
    pub fn scaled(replicas: usize) -> Self {
        Self { replicas: Some(replicas), ..Self::default() }
    }

    /// A variable for the servers and the command line.
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// `SYMBOLON_LEASE`.
    pub fn lease(self, lease: &str) -> Self {
        self.env("SYMBOLON_LEASE", lease)
    }

    /// Servers are started by this program, as [`ServerConfig::under`] says.
    pub fn under(mut self, program: &[&str]) -> Self {
        self.under = program.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// How Redis is set up.
    pub fn redis(mut self, options: RedisOptions) -> Self {
        self.redis = options;
        self
    }

    /// A PostgreSQL of its own, for a test that stops, freezes or restores it.
    pub fn own_postgres(self) -> Self {
        self.own_postgres_with(PostgresOptions::default())
    }

    /// A PostgreSQL of its own, set up like this.
    pub fn own_postgres_with(mut self, options: PostgresOptions) -> Self {
        self.own_postgres = Some(options);
        self
    }

    /// Every replica reaches its stores through proxies of its own. The command line goes directly.
    pub fn proxied(mut self) -> Self {
        self.proxied = true;
        self
    }

    /// Starts everything; returns when every replica is ready.
    pub fn start(self) -> Deployment {
        let Some(replicas) = self.replicas else { return Deployment::start_embedded(self) };
        let redis = RedisServer::start_with(self.redis.clone());
        let postgres = match self.own_postgres.clone() {
            Some(options) => Postgres::Own(Box::new(PostgresServer::start_with(options))),
            None => Postgres::Shared(PostgresServer::shared()),
        };
        let database = postgres.database();
        let mut environment = Environment::from([
            ("SYMBOLON_DATABASE_URL".to_owned(), database.url()),
            ("SYMBOLON_REDIS_URL".to_owned(), redis.url()),
            ("SYMBOLON_TOKEN_KEY".to_owned(), encoding::random_token_key()),
            ("SYMBOLON_ISSUER".to_owned(), ISSUER.to_owned()),
        ]);
        environment.extend(self.environment);
        cli::cli(&environment, &["migrate", "--json"]).success();
        let stores = Stores::Scaled(Box::new(Scaled { redis, database, postgres, proxied: self.proxied }));
        let under = self.under;
        let mut deployment = Deployment { replicas: Vec::new(), environment, under, stores };
        for _ in 0..replicas {
            deployment.add_replica();
        }
        deployment
    }
}

/// Everything that was started. It goes when this is dropped.
pub struct Deployment {
    // In this order: servers go before their stores.
    replicas: Vec<Replica>,
    environment: Environment,
    under: Vec<String>,
    stores: Stores,
}

struct Replica {
    server: Server,
    paths: Option<Paths>,
}

struct Paths {
    redis: Proxy,
    sql: Proxy,
}

enum Stores {
    Embedded { directory: TempDir },
    Scaled(Box<Scaled>),
}

struct Scaled {
    redis: RedisServer,
    // Before the server that it lives in.
    database: Database,
    postgres: Postgres,
    proxied: bool,
}

enum Postgres {
    Shared(&'static PostgresServer),
    Own(Box<PostgresServer>),
}

impl Deref for Postgres {
    type Target = PostgresServer;

    fn deref(&self) -> &PostgresServer {
        match self {
            Postgres::Shared(server) => server,
            Postgres::Own(server) => server,
        }
    }
}

impl Deployment {
    /// One process with embedded stores.
    pub fn embedded() -> Self {
        Plan::embedded().start()
    }

    /// So many processes over one Redis of their own and a database of the shared PostgreSQL.
    pub fn scaled(replicas: usize) -> Self {
        Plan::scaled(replicas).start()
    }

    fn start_embedded(plan: Plan) -> Self {
        let directory = scratch::directory("data");
        let place = directory.path().join("data").display().to_string();
        let mut environment = Environment::from([("SYMBOLON_DATA_DIR".to_owned(), place)]);
        environment.extend(plan.environment);
        let stores = Stores::Embedded { directory };
        let mut deployment = Self { replicas: Vec::new(), environment, under: plan.under, stores };
        let server = Server::start(&deployment.server_config());
        deployment.replicas.push(Replica { server, paths: None });
        deployment
    }

    fn server_config(&self) -> ServerConfig {
        let under: Vec<&str> = self.under.iter().map(String::as_str).collect();
        ServerConfig::serve().envs(&self.environment).under(&under)
    }

    /// Starts one more replica and returns its number.
    pub fn add_replica(&mut self) -> usize {
        let scaled = self.scaled_stores();
        let paths = scaled.proxied.then(|| Paths {
            redis: Proxy::to(scaled.redis.address()),
            sql: Proxy::to(scaled.postgres.address()),
        });
        let mut config = self.server_config();
        if let Some(paths) = &paths {
            config = config
                .env("SYMBOLON_REDIS_URL", paths.redis.url(&self.environment["SYMBOLON_REDIS_URL"]))
                .env("SYMBOLON_DATABASE_URL", paths.sql.url(&self.environment["SYMBOLON_DATABASE_URL"]));
        }
        self.replicas.push(Replica { server: Server::start(&config), paths });
        self.replicas.len() - 1
    }

    /// One of the servers.
    pub fn replica(&self, index: usize) -> &Server {
        &self.replicas[index].server
    }

    /// All servers.
    pub fn replicas(&self) -> impl Iterator<Item = &Server> {
        self.replicas.iter().map(|replica| &replica.server)
    }

    /// The path from a replica to Redis, of a plan with [`Plan::proxied`].
    pub fn redis_path(&self, index: usize) -> &Proxy {
        &self.paths(index).redis
    }

    /// The path from a replica to PostgreSQL, of a plan with [`Plan::proxied`].
    pub fn sql_path(&self, index: usize) -> &Proxy {
        &self.paths(index).sql
    }

    /// The Redis of a scaled deployment.
    pub fn redis(&self) -> &RedisServer {
        &self.scaled_stores().redis
    }

    /// The PostgreSQL of a scaled deployment. Stop, freeze or restore it only under [`Plan::own_postgres`].
    pub fn postgres(&self) -> &PostgresServer {
        &self.scaled_stores().postgres
    }

    /// The database of a scaled deployment.
    pub fn database(&self) -> &Database {
        &self.scaled_stores().database
    }

    /// The data directory of an embedded deployment.
    pub fn data_dir(&self) -> PathBuf {
        match &self.stores {
            Stores::Embedded { directory } => directory.path().join("data"),
            Stores::Scaled(_) => panic!("a scaled deployment has no data directory"),
        }
    }

    /// What the command line and the servers are given.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Runs the command line in this deployment.
    pub fn cli(&self, arguments: &[&str]) -> CliOutput {
        cli::cli(&self.environment, arguments)
    }

    /// Registers a resource server that owns a scope.
    #[track_caller]
    pub fn resource_server(&self, name: &str, identifier: &str, scope: &str) -> ResourceServer {
        self.resource_server_with(name, identifier, scope, &[])
    }

    /// Registers a resource server, with further arguments.
    #[track_caller]
    pub fn resource_server_with(
        &self,
        name: &str,
        identifier: &str,
        scope: &str,
        further: &[&str],
    ) -> ResourceServer {
        let mut arguments =
            vec!["resource-server", "create", name, "--identifier", identifier, "--scope", scope];
        arguments.extend_from_slice(further);
        arguments.push("--json");
        let created = self.cli(&arguments).success().json();
        ResourceServer {
            id: text(&created, "resource_server_id"),
            secret: text(&created, "resource_server_secret"),
        }
    }

    /// Registers a confidential client for `client_credentials`.
    #[track_caller]
    pub fn client(&self, name: &str, scope: &str) -> Client {
        self.client_with(name, scope, &[])
    }

    /// Registers a client for `client_credentials`, with further arguments.
    #[track_caller]
    pub fn client_with(&self, name: &str, scope: &str, further: &[&str]) -> Client {
        let mut arguments = vec!["client", "create", name, "--grant", "client_credentials", "--scope", scope];
        arguments.extend_from_slice(further);
        arguments.push("--json");
        let created = self.cli(&arguments).success().json();
        let secret = created["client_secret"].as_str().unwrap_or_default().to_owned();
        Client { id: text(&created, "client_id"), secret }
    }

    fn scaled_stores(&self) -> &Scaled {
        match &self.stores {
            Stores::Scaled(scaled) => scaled,
            Stores::Embedded { .. } => panic!("an embedded deployment has neither Redis nor PostgreSQL"),
        }
    }

    fn paths(&self, index: usize) -> &Paths {
        self.replicas[index].paths.as_ref().expect("the deployment was planned with Plan::proxied")
    }
}

#[track_caller]
fn text(document: &Value, member: &str) -> String {
    document[member].as_str().unwrap_or_else(|| panic!("no {member} in {document}")).to_owned()
}
