//! What a command works with: the opened stores, a runtime, and waiting for confirmations.

use std::fmt;
use std::io::{ErrorKind, Read as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use zeroize::Zeroizing;

use super::{CliError, Output};
use crate::admin::{Admin, AdminError, Reason};
use crate::changes::{Acknowledgement, Recorded, Standing};
use crate::config::{Config, Sources};
use crate::domain::clock::MAX_LEASE;
use crate::domain::password::{MAX_PASSWORD_BYTES, Password, PasswordHash};
use crate::domain::token_key::TokenKeys;
use crate::identity::passwords::Passwords;
use crate::sql::migrations::SchemaState;
use crate::startup::{self, Stores};
use crate::telemetry::logging;

/// How long a command waits before it says for whom.
const A_MOMENT: Duration = Duration::from_secs(1);

/// An opened configuration.
pub struct Context {
    pub stores: Stores,
    pub admin: Admin,
    /// How many migrations the embedded stores lacked.
    pub migrated: usize,
    config: Config,
    runtime: Runtime,
}

/// Reads the configuration, and makes what a command runs on.
pub fn prepare(sources: &Sources) -> Result<(Config, Runtime), CliError> {
    let config = Config::load(sources)?;
    // A command speaks for itself; its log is for when something must be looked into.
    let filter = if config.log == "info" { "error" } else { config.log.as_str() };
    logging::install(filter, config.log_format == crate::config::LogFormat::Json)
        .map_err(|why| CliError::Usage(format!("SYMBOLON_LOG {why}")))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    Ok((config, runtime.map_err(|error| CliError::Failed(error.to_string()))?))
}

impl Context {
    /// Reads the configuration and opens its stores.
    pub fn open(sources: &Sources) -> Result<Self, CliError> {
        let (config, runtime) = prepare(sources)?;
        let stores = Stores::open(&config, runtime.handle().clone())?;
        // A running server keeps its schema: only what nobody serves from is migrated here.
        let migrated = match startup::lock_data_dir(&config.data_dir) {
            Ok(_alone) => runtime.block_on(stores.migrate_embedded()),
            Err(_served) => Ok(0),
        };
        let migrated = migrated.map_err(|error| CliError::Failed(error.to_string()))?;
        let admin = stores.admin();
        Ok(Self { stores, admin, migrated, config, runtime })
    }

    /// The same, for commands that need the schema of this version.
    pub fn open_migrated(sources: &Sources) -> Result<Self, CliError> {
        let context = Self::open(sources)?;
        match context.block_on(context.stores.schema_state()) {
            Ok(SchemaState::Current) => Ok(context),
            Ok(other) => Err(CliError::Failed(other.to_string())),
            Err(error) => Err(CliError::Failed(error.to_string())),
        }
    }

    /// The same, for commands about what was issued: a store that is not there has issued nothing,
    /// and is the wrong one.
    pub fn open_existing(sources: &Sources) -> Result<Self, CliError> {
        Stores::embedded_database_exists(&Config::load(sources)?).map_err(CliError::Failed)?;
        Self::open_migrated(sources)
    }

    /// The same, for a command that says why it does what it does.
    #[must_use]
    pub fn because(self, reason: Option<Reason>) -> Self {
        Self { admin: self.admin.because(reason), ..self }
    }

    /// Reads a new password for the user who logs in as `name` from standard input; one newline at
    /// its end is dropped. Returns what to keep of it.
    pub fn new_password(&self, name: &str) -> Result<PasswordHash, CliError> {
        let unsuitable = |why: &dyn fmt::Display| CliError::Usage(format!("--password-stdin: {why}"));
        let failed = |why: &dyn fmt::Display| CliError::Failed(why.to_string());
        // As long as a password may be, a newline, and one byte by which it would be too long.
        let most = MAX_PASSWORD_BYTES + 2;
        let mut text = Zeroizing::new(String::with_capacity(most));
        let read = std::io::stdin().take(most as u64).read_to_string(&mut text);
        match read {
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                return Err(unsuitable(&"it is not UTF-8, or longer than a password may be"));
            }
            Err(error) => return Err(failed(&format!("standard input cannot be read: {error}"))),
            Ok(_) => {}
        }
        let typed = text.strip_suffix('\n').unwrap_or(&text);
        let password = Password::parse(typed).map_err(|error| unsuitable(&error))?;
        let policy = startup::password_policy(&self.config)?;
        let passwords = Passwords::start(1, policy, Arc::clone(&self.stores.entropy));
        let passwords = passwords.map_err(|error| failed(&error))?;
        let hashed = self.block_on(passwords.hash_new(password, name)).map_err(|error| failed(&error))?;
        hashed.map_err(|error| unsuitable(&error))
    }

    /// The token keys of this installation, as far as they are known here.
    pub fn token_keys(&self) -> Result<Option<TokenKeys>, CliError> {
        Ok(startup::existing_token_keys(&self.config)?)
    }

    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Waits until every replica has confirmed a change, and says on the way who has not.
    pub fn settle(&self, recorded: Recorded, output: &Output) -> Result<Acknowledgement, CliError> {
        self.block_on(self.confirmed(recorded, output))
    }

    /// The same, for commands that do more than one thing.
    pub async fn confirmed(&self, recorded: Recorded, output: &Output) -> Result<Acknowledgement, CliError> {
        let waiting = async {
            let first = self.admin.settle(recorded, A_MOMENT).await?;
            if first.is_complete() {
                return Ok(first);
            }
            output.progress(&format!(
                "recorded as change {}; waiting for {} (at most the length of its lease)",
                recorded.number,
                first.pending().collect::<Vec<_>>().join(", ")
            ));
            self.admin.settle(recorded, MAX_LEASE + A_MOMENT).await
        };
        let settled = waiting.await.map_err(|error: AdminError| {
            CliError::Failed(format!(
                "the change is recorded, but who has confirmed it is not known: {error}"
            ))
        })?;
        if settled.is_complete() {
            return Ok(settled);
        }
        let pending: Vec<&str> = settled.pending().collect();
        Err(CliError::Failed(format!(
            "recorded as change {}, but not yet confirmed by {}",
            recorded.number,
            pending.join(", ")
        )))
    }
}

/// Who has confirmed, for people.
pub fn confirmations(acknowledgement: &Acknowledgement) -> String {
    let count =
        |wanted: Standing| acknowledgement.replicas.iter().filter(|(_, found)| *found == wanted).count();
    let (confirmed, expired) = (count(Standing::Applied), count(Standing::LeaseRanOut));
    let millis = acknowledgement.took.as_millis();
    match (confirmed, expired) {
        (0, 0) => "no replica is running on this database".to_owned(),
        (confirmed, 0) => format!("confirmed by {confirmed} replica(s) in {millis} ms"),
        (confirmed, expired) => format!(
            "confirmed by {confirmed} replica(s); the lease of {expired} more has run out ({millis} ms)"
        ),
    }
}

/// Who has confirmed, for programs.
pub fn confirmations_json(acknowledgement: &Acknowledgement) -> serde_json::Value {
    let replicas = acknowledgement.replicas.iter().map(|(name, standing)| {
        let standing = match standing {
            Standing::Applied => "applied",
            Standing::LeaseRanOut => "lease_ran_out",
            Standing::Pending => "pending",
        };
        serde_json::json!({ "replica": name, "standing": standing })
    });
    let replicas: Vec<_> = replicas.collect();
    serde_json::json!({ "replicas": replicas, "took_ms": u64::try_from(acknowledgement.took.as_millis()).unwrap_or(u64::MAX) })
}
