//! What the configuration says about people.

use std::sync::Arc;

use super::stores::Stores;
use crate::config::{Config, ConfigError};
use crate::domain::token_key::TokenKeys;
use crate::identity::login::Login;
use crate::identity::passwords::{BreachedPasswords, PasswordPolicy, Passwords};
use crate::identity::sessions::{Lifetimes, LoginSessions};
use crate::identity::throttle::Throttle;

/// The rules for new passwords.
///
/// # Errors
/// When the list of breached passwords cannot be read.
pub fn password_policy(config: &Config) -> Result<PasswordPolicy, ConfigError> {
    let breached = config.breached_passwords.as_deref().map(|path| {
        BreachedPasswords::open(path).map_err(|error| {
            let why = format!("names {}, which cannot be read: {error}", path.display());
            ConfigError::new("SYMBOLON_BREACHED_PASSWORDS", why)
        })
    });
    Ok(PasswordPolicy::new(config.password_score, breached.transpose()?))
}

/// What logs people in, for all workers; its threads are started.
///
/// # Errors
/// Which setting cannot be followed, and why.
pub fn login(config: &Config, stores: &Stores, keys: &Arc<TokenKeys>) -> Result<Login, ConfigError> {
    let entropy = &stores.entropy;
    let policy = password_policy(config)?;
    let passwords = Passwords::start(config.password_threads, policy, Arc::clone(entropy));
    let passwords = passwords.map_err(|error| {
        let why = format!("is {}: a thread cannot be started: {error}", config.password_threads);
        ConfigError::new("SYMBOLON_PASSWORD_THREADS", why)
    })?;
    let lifetimes = Lifetimes { idle: config.login_session_idle_ttl, absolute: config.login_session_ttl };
    Ok(Login::new(
        stores.database.clone(),
        Arc::new(passwords),
        Throttle::new(Arc::clone(keys), Arc::clone(&stores.clock)),
        LoginSessions::new(Arc::clone(keys), Arc::clone(entropy), lifetimes),
        Arc::clone(&stores.clock),
    ))
}
