//! Symbolon as it is measured: replicas with two workers each, over a Redis and a PostgreSQL of their own.

use std::sync::Arc;
use std::time::Duration;

use symbolon::changes::{Actor, Change, Entry, Recorder as _, SqlFeed};
use symbolon::directory::DirectoryProjection;
use symbolon::domain::clock::{Clock as _, SystemClock};
use symbolon::domain::entropy::{self, SystemEntropy};
use symbolon::domain::identifier::GrantId;
use symbolon::sql::{Database, DatabaseUrl};

use crate::baselines;
use crate::load::{self, Target};
use crate::support::actors::{Client, ResourceServer, Token};
use crate::support::deployment::{Deployment, Plan};
use crate::support::redis::RedisServer;

pub const WORKERS: &str = "2";
/// Longer than the benchmark runs.
const LIFETIME: &str = "6h";
const SCOPE: &str = "notes:read notes:write";
/// Rows in one transaction; PostgreSQL takes 65,535 parameters in a statement.
const BATCH: usize = 500;

/// Replicas, and somebody who uses them.
pub struct Installation {
    pub deployment: Deployment,
    pub api: ResourceServer,
    pub app: Client,
}

impl Installation {
    pub fn start(replicas: usize) -> Self {
        let plan = Plan::scaled(replicas).redis(baselines::without_dumps()).own_postgres();
        let plan = plan.env("SYMBOLON_WORKERS", WORKERS).env("SYMBOLON_ACCESS_TOKEN_TTL", LIFETIME);
        let deployment = plan.env("SYMBOLON_LOG", "warn").start();
        let api = deployment.resource_server("api", "https://api.example", SCOPE);
        let app = deployment.client("app", SCOPE);
        Self { deployment, api, app }
    }

    /// Tokens one by one, each from the first replica.
    pub fn mint(&self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.app.mint(self.deployment.replica(0)).0).collect()
    }

    /// Mints until Redis holds so many tokens. Returns about `wanted` of them, from the beginning, the middle and the
    /// end.
    pub fn fill(&self, count: usize, wanted: usize) -> Vec<String> {
        let minting = self.minting("filling");
        let mut sample = Vec::new();
        for third in 1..=3 {
            let before = minting.kept().len();
            while minting.kept().len() - before < wanted / 3 {
                minting.run_and_keep(1);
            }
            sample.extend(minting.kept().split_off(before).into_iter().take(wanted / 3));
            while self.tokens_in_redis() < count * third / 3 {
                minting.run(1 + (count / 500_000) as u64);
            }
        }
        sample
    }

    pub fn tokens_in_redis(&self) -> usize {
        // Beside the tokens there is the witness.
        let keys = self.deployment.redis().command(&["DBSIZE"]).integer();
        usize::try_from(keys).expect("a count").saturating_sub(1)
    }

    /// `used_memory` of Redis, in bytes.
    pub fn redis_memory(&self) -> u64 {
        used_memory(self.deployment.redis())
    }

    /// Introspections of these tokens, of the first replica.
    pub fn introspection(&self, name: &str, tokens: &[String]) -> Target {
        self.target(name, "/introspect", (&self.api.id, &self.api.secret), load::token_forms(tokens))
    }

    /// Introspections of what is no token.
    pub fn junk(&self, name: &str) -> Target {
        self.target(name, "/introspect", (&self.api.id, &self.api.secret), load::junk_forms())
    }

    pub fn minting(&self, name: &str) -> Target {
        let form = vec!["grant_type=client_credentials".to_owned()];
        self.target(name, "/token", (&self.app.id, &self.app.secret), form)
    }

    /// Revocations of these tokens, each once.
    pub fn revocation(&self, name: &str, tokens: &[String]) -> Target {
        self.target(name, "/revoke", (&self.app.id, &self.app.secret), load::token_forms(tokens))
    }

    /// An inactive token is answered faster, and would flatter.
    pub fn assert_active(&self, tokens: &[String]) {
        assert!(tokens.iter().all(|token| self.is_active(token)), "every token that is asked for lives");
    }

    pub fn is_active(&self, token: &str) -> bool {
        self.api.introspect(self.deployment.replica(0), &Token(token.to_owned())).active()
    }

    /// Records revocations of grants that nobody has.
    pub fn revoke_strangers(&self, count: usize) {
        self.revoke_grants(&strangers(count));
    }

    /// Records revocations, as the server itself records them.
    pub fn revoke_grants(&self, grants: &[GrantId]) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        let url = DatabaseUrl::parse(&self.deployment.database().url(), None).expect("a URL");
        let database = Database::new(&url, 2, runtime.handle().clone()).expect("a database");
        let clock = Arc::new(SystemClock);
        let feed = SqlFeed::new(database, DirectoryProjection::default(), Arc::clone(&clock) as _, None);
        let ends_at = clock.now() + Duration::from_hours(6);
        let revoked = |grant: &GrantId| {
            let change = Change::GrantRevoked { grant: *grant, ends_at: Some(ends_at) };
            Entry::new(change, Actor::command_line())
        };
        for batch in grants.chunks(BATCH) {
            let entries = batch.iter().map(revoked).collect();
            runtime.block_on(feed.record(entries)).expect("the rows are recorded");
        }
    }

    fn target(&self, name: &str, path: &str, credentials: (&str, &str), bodies: Vec<String>) -> Target {
        let server = self.deployment.replica(0);
        Target::new(name, server.url(path), vec![server.id()], credentials, bodies)
    }
}

/// Ids of grants that nobody has.
pub fn strangers(count: usize) -> Vec<GrantId> {
    let stranger = |_| GrantId::from_bytes(entropy::random(&SystemEntropy).expect("random bytes"));
    (0..count).map(stranger).collect()
}

/// `used_memory` of a Redis, in bytes.
pub fn used_memory(redis: &RedisServer) -> u64 {
    let info = redis.command(&["INFO", "memory"]).text();
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).expect("used_memory");
    used.trim().parse().expect("a number")
}
