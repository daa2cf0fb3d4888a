//! What is wrong with a configuration that is used all the same: `serve` logs it, and `config check` shows it.

use super::stores::{database_url, redis_url};
use crate::config::{Config, ConfigError};
use crate::sql::DatabaseUrl;

/// Everything that whoever wrote this configuration had better know.
///
/// # Errors
/// When the URL of a store is none.
pub fn warnings(config: &Config) -> Result<Vec<&'static str>, ConfigError> {
    let mut found = Vec::new();
    let mut warn = |applies: bool, warning| found.extend(applies.then_some(warning));
    if let DatabaseUrl::Postgres(url) = database_url(config)?
        && !url.is_local()
    {
        warn(
            !url.offers_tls(),
            "PostgreSQL is reached over a network without TLS; add sslmode=require to its URL",
        );
        warn(
            url.offers_tls() && !url.requires_tls(),
            "PostgreSQL is reached over a network with TLS that anybody on it can turn off; write \
             sslmode=require in its URL",
        );
        warn(!url.has_password(), "PostgreSQL is reached over a network without a password");
    }
    if let Some(url) = redis_url(config)?.filter(|url| !url.is_local()) {
        warn(!url.has_tls(), "Redis is reached over a network without TLS; write rediss:// in its URL");
        warn(!url.has_password(), "Redis is reached over a network without a password");
    }
    warn(
        !config.listen.ip().is_loopback() && config.tls.is_none() && config.trusted_proxies.is_empty(),
        "neither SYMBOLON_TLS_CERT nor SYMBOLON_TRUSTED_PROXIES is set: every request that comes over a network \
         is refused, for its secrets travelled in plain",
    );
    Ok(found)
}
