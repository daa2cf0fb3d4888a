//! The settings: one row each. The command line, the environment, the file and the help are all
//! made from this table.

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// As in the configuration file; the flag and the variable are derived from it.
    pub name: &'static str,
    /// What holds when nobody says anything; `None` means that the setting is absent then.
    pub default: Option<&'static str>,
    /// Never shown; may also be given as the content of a file that `SYMBOLON_…_FILE` names.
    pub secret: bool,
    pub help: &'static str,
}

impl Setting {
    pub fn variable(&self) -> String {
        format!("SYMBOLON_{}", self.name.to_ascii_uppercase())
    }

    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }
}

const fn setting(name: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { name, default: Some(default), secret: false, help }
}

const fn optional(name: &'static str, help: &'static str) -> Setting {
    Setting { name, default: None, secret: false, help }
}

const fn secret(name: &'static str, help: &'static str) -> Setting {
    Setting { name, default: None, secret: true, help }
}

/// All of them, in the order in which an operator thinks of them.
pub const SETTINGS: &[Setting] = &[
    setting("listen", "127.0.0.1:8080", "Address of the OAuth endpoints"),
    setting("management_listen", "127.0.0.1:9080", "Address of /livez, /readyz and /metrics"),
    optional(
        "issuer",
        "The URL by which clients reach this server [default: http:// and the listen address]",
    ),
    setting("data_dir", "./symbolon-data", "Directory of the embedded stores and their token key"),
    secret(
        "database_url",
        "postgres://user:password@host:port/database [default: SQLite in the data directory]",
    ),
    optional(
        "database_ca",
        "PEM file to check PostgreSQL's certificate against [default: the system's roots]",
    ),
    secret(
        "redis_url",
        "redis:// or rediss:// user:password@host:port/db [default: grants in the data directory]",
    ),
    optional("redis_ca", "PEM file to check Redis's certificate against [default: the system's roots]"),
    secret("token_key", "Token keys, base64, separated by commas; the first is current. Required with Redis"),
    setting(
        "lease",
        "30s",
        "How long an SQL outage is ridden out, and how long an acknowledgement may wait for a replica that died",
    ),
    setting("revoke_wait", "10s", "How long /revoke waits until every replica has confirmed"),
    setting(
        "revoked_memory",
        "1h",
        "How long a revocation is remembered after its record was deleted: longer than a Redis failover can lose",
    ),
    setting(
        "store_timeout",
        "250ms",
        "How long an introspection waits for the grant store before it answers 503",
    ),
    setting("access_token_ttl", "15m", "Lifetime of access tokens whose client has none of its own"),
    setting("refresh_token_ttl", "30d", "Lifetime of grants with refresh tokens"),
    setting(
        "trusted_proxies",
        "",
        "Addresses or networks, separated by commas, from which plain http is accepted",
    ),
    optional(
        "tls_cert",
        "PEM file with the certificate chain of the OAuth endpoints; read again when it changes",
    ),
    optional("tls_key", "PEM file with the private key of that certificate"),
    setting("workers", "0", "Threads that serve requests [0: one for each core]"),
    setting(
        "drain_delay",
        "2s",
        "How long requests are still taken after SIGTERM, while /readyz already fails",
    ),
    setting(
        "log",
        "info",
        "What is logged: error, warn, info, debug, trace, or by module: symbolon::changes=debug",
    ),
    setting("log_format", "text", "How log lines look: text or json"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_three_ways() {
        let token_key = SETTINGS.iter().find(|setting| setting.name == "token_key").unwrap();
        assert_eq!(token_key.variable(), "SYMBOLON_TOKEN_KEY");
        assert_eq!(token_key.flag(), "token-key");
    }

    #[test]
    fn no_two_settings_share_a_name_and_every_one_is_explained() {
        for (index, setting) in SETTINGS.iter().enumerate() {
            assert!(SETTINGS[..index].iter().all(|other| other.name != setting.name));
            assert!(!setting.help.is_empty());
        }
    }
}
