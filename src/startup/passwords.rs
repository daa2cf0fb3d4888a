//! What the configuration says about passwords.

use crate::config::{Config, ConfigError};
use crate::identity::passwords::{BreachedPasswords, PasswordPolicy};

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
