//! Configuration: the only reader of the environment.
//!
//! Every setting has one name, written three ways: `--token-key`, `SYMBOLON_TOKEN_KEY`, and
//! `token_key` in the file that `--config` names. A flag wins over the environment, the
//! environment over the file. An unknown name is an error that says which was probably meant.

mod settings;
mod sources;
mod values;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use zeroize::Zeroizing;

use crate::domain::token::CODE_LIFETIME;

pub use self::settings::{SETTINGS, Setting, Takes, Topic};
pub use self::sources::{Flags, Sources, process_environment};
pub use self::values::MAX_LIFETIME;
use self::values::Values;

/// One clear line: which value, why, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The name as the operator wrote it.
    pub name: String,
    pub why: String,
}

impl ConfigError {
    pub fn new(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self { name: name.into(), why: why.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.why)
    }
}

impl std::error::Error for ConfigError {}

/// A value that is never shown.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// The certificate and key that the main listener serves with.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// The effective configuration.
#[derive(Clone, Debug)]
pub struct Config {
    pub listen: SocketAddr,
    pub management_listen: SocketAddr,
    pub issuer: String,
    pub data_dir: PathBuf,
    /// `None`: SQLite in the data directory.
    pub database_url: Option<Secret>,
    pub database_ca: Option<PathBuf>,
    /// `None`: grants are kept in the data directory.
    pub redis_url: Option<Secret>,
    pub redis_ca: Option<PathBuf>,
    /// `None`: a key is made in the data directory.
    pub token_key: Option<Secret>,
    pub lease: Duration,
    pub revoke_wait: Duration,
    pub revoked_memory: Duration,
    pub audit_retention: Duration,
    pub store_timeout: Duration,
    pub access_token_ttl: Duration,
    pub refresh_token_ttl: Duration,
    pub refresh_token_idle_ttl: Duration,
    /// From 0 to 4; 0: only the length of a new password counts.
    pub password_score: u8,
    pub breached_passwords: Option<PathBuf>,
    pub password_threads: usize,
    pub login_session_ttl: Duration,
    pub login_session_idle_ttl: Duration,
    pub trusted_proxies: Vec<IpNet>,
    pub tls: Option<TlsFiles>,
    pub workers: usize,
    pub drain_delay: Duration,
    pub log: String,
    pub log_format: LogFormat,
}

impl Config {
    /// Reads and checks every setting.
    ///
    /// # Errors
    /// The first value that is wrong, why, and what would be right.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let values = Values::resolve(sources)?;
        let listen: SocketAddr = values.require("listen", values::address)?;
        let tls = match (values.path("tls_cert"), values.path("tls_key")) {
            (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
            (None, None) => None,
            (Some(_), None) => return Err(values.error("tls_key", "is missing beside SYMBOLON_TLS_CERT")),
            (None, Some(_)) => return Err(values.error("tls_cert", "is missing beside SYMBOLON_TLS_KEY")),
        };
        let issuer = match values.text("issuer") {
            Some(text) => values::issuer(text).map_err(|why| values.error("issuer", &why))?,
            None => format!("{}://{listen}", if tls.is_some() { "https" } else { "http" }),
        };
        let config = Self {
            listen,
            management_listen: values.require("management_listen", values::address)?,
            issuer,
            data_dir: values.require("data_dir", values::path)?,
            database_url: values.secret("database_url"),
            database_ca: values.path("database_ca"),
            redis_url: values.secret("redis_url"),
            redis_ca: values.path("redis_ca"),
            token_key: values.secret("token_key"),
            lease: values.require("lease", values::lease)?,
            revoke_wait: values.require("revoke_wait", values::positive)?,
            revoked_memory: values.require("revoked_memory", values::at_least_a_second)?,
            audit_retention: values.require("audit_retention", values::at_least_a_second)?,
            store_timeout: values.require("store_timeout", values::store_timeout)?,
            access_token_ttl: values.require("access_token_ttl", values::lifetime)?,
            refresh_token_ttl: values.require("refresh_token_ttl", values::lifetime)?,
            refresh_token_idle_ttl: values.require("refresh_token_idle_ttl", values::lifetime)?,
            password_score: values.require("password_score", values::password_score)?,
            breached_passwords: values.path("breached_passwords"),
            password_threads: values.require("password_threads", values::password_threads)?,
            login_session_ttl: values.require("login_session_ttl", values::lifetime)?,
            login_session_idle_ttl: values.require("login_session_idle_ttl", values::lifetime)?,
            trusted_proxies: values.require("trusted_proxies", values::networks)?,
            tls,
            workers: values.require("workers", values::workers)?,
            drain_delay: values.require("drain_delay", values::drain_delay)?,
            log: values.require("log", |text| Ok(text.to_owned()))?,
            log_format: values.require("log_format", values::log_format)?,
        };
        config.check(&values)?;
        Ok(config)
    }

    /// What must hold between settings.
    fn check(&self, values: &Values) -> Result<(), ConfigError> {
        if self.redis_url.is_some() && self.token_key.is_none() {
            let why = "is required with Redis, the same on every replica; make one with: symbolon token-key generate";
            return Err(values.error("token_key", why));
        }
        if self.is_postgres() && self.redis_url.is_none() {
            let why = "is required with PostgreSQL: replicas share their grants in Redis";
            return Err(values.error("redis_url", why));
        }
        if !self.listen.ip().is_loopback()
            && self.issuer.starts_with("http://")
            && values.text("issuer").is_none()
        {
            let why = format!(
                "is required when listening on {}: the https URL by which clients reach this server",
                self.listen
            );
            return Err(values.error("issuer", &why));
        }
        Ok(())
    }

    pub fn is_postgres(&self) -> bool {
        self.database_url.as_ref().is_some_and(|url| url.expose().starts_with("postgres"))
    }

    /// The longest that a grant or a login session made under this configuration may live, by the
    /// server's defaults.
    pub fn longest_lifetime(&self) -> Duration {
        let grant = self.access_token_ttl.max(self.refresh_token_ttl) + CODE_LIFETIME;
        grant.max(self.login_session_ttl)
    }

    /// Every setting with its effective value and where that came from; secrets masked.
    ///
    /// # Errors
    /// When the sources cannot be read.
    pub fn describe(&self, sources: &Sources) -> Result<Vec<(&'static str, String, String)>, ConfigError> {
        let mut described = Values::resolve(sources)?.describe();
        for (name, value, origin) in &mut described {
            match *name {
                "issuer" => value.clone_from(&self.issuer),
                "workers" => *value = self.workers.to_string(),
                "password_threads" => *value = self.password_threads.to_string(),
                "database_url" | "redis_url" | "token_key" if origin == "default" => {
                    "(in the data directory)".clone_into(value);
                }
                _ => {}
            }
        }
        Ok(described)
    }
}
