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
    pub takes: Takes,
    pub topic: Topic,
    /// What it decides, in a line.
    pub help: &'static str,
    /// When an operator changes it, and what follows; empty when the line above says all.
    pub advice: &'static str,
}

/// What may be written as a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// An IP address and a port.
    Address,
    /// An `https://` URL; on a loopback host also `http://`.
    Issuer,
    /// A path on this machine.
    Path,
    StoreUrl,
    TokenKeys,
    /// From the shortest to the longest that is accepted.
    Duration {
        least: &'static str,
        most: Option<&'static str>,
    },
    /// Addresses and networks, separated by commas.
    Networks,
    /// From 0 to this.
    Number {
        most: usize,
    },
    LogFilter,
    OneOf(&'static [&'static str]),
}

/// What a setting is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    Serving,
    Stores,
    Tokens,
    Revocation,
    People,
    Running,
}

impl Setting {
    pub fn variable(&self) -> String {
        format!("SYMBOLON_{}", self.name.to_ascii_uppercase())
    }

    pub fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    const fn new(name: &'static str, topic: Topic, takes: Takes, help: &'static str) -> Self {
        Self { name, default: None, secret: false, takes, topic, help, advice: "" }
    }

    const fn default(self, text: &'static str) -> Self {
        Self { default: Some(text), ..self }
    }

    const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    const fn advice(self, advice: &'static str) -> Self {
        Self { advice, ..self }
    }
}

use Takes::{Address, Duration, Issuer, LogFilter, Networks, Number, OneOf, Path, StoreUrl};
use Topic::{People, Revocation, Running, Serving, Stores, Tokens};

/// All of them, in the order in which an operator thinks of them.
pub const SETTINGS: &[Setting] = &[
    Setting::new("listen", Serving, Address, "Address of the OAuth endpoints").default("127.0.0.1:8080").advice(
        "Off loopback the issuer has to be given, and requests come over TLS (`tls_cert`, `tls_key`) or through a \
         trusted proxy: a secret that crossed a network in plain is refused, and so is its request.",
    ),
    Setting::new("management_listen", Serving, Address, "Address of /livez, /readyz and /metrics")
        .default("127.0.0.1:9080")
        .advice(
            "Whoever reaches it reads the metrics and why a replica is not ready, so bind it where your monitoring \
             reaches it and the world does not. `/livez` and `/readyz` answer on the main address as well.",
        ),
    Setting::new(
        "issuer",
        Serving,
        Issuer,
        "The URL by which clients reach this server [default: http:// and the listen address]",
    )
    .advice(
        "Stands in the metadata and as `iss` in every answer, letter by letter as written here, on every replica the \
         same. It is never taken from a request's headers. A path in it is served too: the load balancer need not \
         cut it off.",
    ),
    Setting::new(
        "data_dir",
        Stores,
        Path,
        "Directory of the embedded stores and their token key",
    )
    .default("./symbolon-data")
    .advice(
        "Used when there is no `redis_url` or no `database_url`. It is made if need be, readable by its owner alone, \
         and locked by the one server that serves from it. On a disk of its own machine: SQLite and network file \
         systems do not agree.",
    ),
    Setting::new(
        "database_url",
        Stores,
        StoreUrl,
        "postgres://user:password@host:port/database [default: SQLite in the data directory]",
    )
    .secret()
    .advice(
        "Clients, resource servers and the change feed. `?sslmode=require` means TLS with the certificate checked; \
         with `prefer` anybody on the network can turn it off, which is warned of. Needs `redis_url` beside it. \
         `sqlite:PATH` puts the embedded database elsewhere.",
    ),
    Setting::new(
        "database_ca",
        Stores,
        Path,
        "PEM file to check PostgreSQL's certificate against [default: the system's roots]",
    )
    .advice("With it, TLS is required unless the URL says `sslmode=disable` or `prefer`."),
    Setting::new(
        "redis_url",
        Stores,
        StoreUrl,
        "redis:// or rediss:// user:password@host:port/db [default: grants in the data directory]",
    )
    .secret()
    .advice(
        "The grants: which tokens exist. `rediss://` is TLS. Redis has to run with `maxmemory-policy noeviction`, or a \
         replica is not ready: evicting a record would log somebody out. Needs `token_key`.",
    ),
    Setting::new("redis_ca", Stores, Path, "PEM file to check Redis's certificate against [default: the system's roots]"),
    Setting::new(
        "token_key",
        Tokens,
        Takes::TokenKeys,
        "Token keys, base64, separated by commas; the first is current. Required with Redis",
    )
    .secret()
    .advice(
        "The same on every replica, and in no store: `symbolon token-key generate` makes one. To rotate, add the new \
         key at the end of every replica's list, then move it to the front everywhere, and drop the old one when its \
         last token has ended. Without Redis a key is made in the data directory.",
    ),
    Setting::new(
        "access_token_ttl",
        Tokens,
        Duration { least: "1s", most: Some("3650d") },
        "Lifetime of access tokens whose client has none of its own",
    )
    .default("15m")
    .advice(
        "Revocation does not need short lifetimes here: it holds at the next introspection. Shorter means more mints; \
         longer, more memory in Redis.",
    ),
    Setting::new(
        "refresh_token_ttl",
        Tokens,
        Duration { least: "1s", most: Some("3650d") },
        "Lifetime of grants with refresh tokens",
    )
    .default("30d")
    .advice(
        "A user logs in again at its end, however often the client refreshed. Also how long a revocation is kept in SQL \
         when the end of its grant is not known.",
    ),
    Setting::new(
        "refresh_token_idle_ttl",
        Tokens,
        Duration { least: "1s", most: Some("3650d") },
        "How long a refresh token is good unless it is used",
    )
    .default("14d")
    .advice("Each refresh begins it anew. A change holds for grants that are made from then on."),
    Setting::new(
        "lease",
        Revocation,
        Duration { least: "1s", most: Some("1h") },
        "How long an SQL outage is ridden out, and how long an acknowledgement may wait for a replica that died",
    )
    .default("30s")
    .advice(
        "The one knob between the two: replicas answer for so long (nine tenths of it, to be exact) without SQL, and a \
         revocation waits for so long for a replica that died without saying goodbye. Graceful stops cost nothing. \
         Replicas may differ while you change it.",
    ),
    Setting::new(
        "revoke_wait",
        Revocation,
        Duration { least: "1ms", most: None },
        "How long /revoke waits until every replica has confirmed",
    )
    .default("10s")
    .advice(
        "After it the answer is 503, \"recorded, not yet confirmed everywhere\": asking again waits for the \
         same revocation. Longer than `lease`, it outlasts a replica that died; load balancers must wait longer still.",
    ),
    Setting::new(
        "revoked_memory",
        Revocation,
        Duration { least: "1s", most: None },
        "How long a revocation is remembered after its record was deleted: longer than a Redis failover can lose",
    )
    .default("1h")
    .advice("Until then it takes memory in every replica. A replica that finds its Redis set back further than it \
             remembers reads all revocations again before it serves."),
    Setting::new(
        "audit_retention",
        Running,
        Duration { least: "1s", most: None },
        "How long rows of the audit are kept",
    )
    .default("400d")
    .advice(
        "Older ones are deleted from the oldest on; what is left can be proved all the same. Export them first if \
         somebody may ask for them later. Of several replicas the one with the shortest decides.",
    ),
    Setting::new(
        "password_score",
        People,
        Number { most: 4 },
        "zxcvbn score with which a new password may have 8 to 14 characters [0: none may]",
    )
    .default("0")
    .advice(
        "Passwords of 15 characters or more are taken whatever they are made of. 3 takes shorter ones that would stand \
         a hundred million guesses, 4 those that would stand ten thousand million. Passwords that are in use stay good.",
    ),
    Setting::new("breached_passwords", People, Path, "File of passwords that nobody may choose any more").advice(
        "One a line, or their SHA-1 in hexadecimal in ascending order, as Have I Been Pwned offers them (with or without \
         counts). It is looked through whenever a password is set, and never loaded, so it may be as large as it likes \
         and be replaced at any time. While it cannot be read no password can be set.",
    ),
    Setting::new(
        "password_threads",
        People,
        Number { most: 256 },
        "Threads that hash passwords [0: one for two cores]",
    )
    .default("0")
    .advice(
        "Each hashes some 60 passwords a second, in 19 MiB of memory (twice that where every core is busy), and gives \
         way to all other threads. 64 logins wait for each of them; the next is answered 503 at once.",
    ),
    Setting::new(
        "login_session_ttl",
        People,
        Duration { least: "1s", most: Some("3650d") },
        "How long somebody stays logged in in a browser at most",
    )
    .default("30d")
    .advice(
        "Then the password is asked for again. Tokens that applications were given meanwhile go on by their own \
         lifetimes; logging out ends those as well.",
    ),
    Setting::new(
        "login_session_idle_ttl",
        People,
        Duration { least: "1s", most: Some("3650d") },
        "How long somebody stays logged in in a browser that does not come back",
    )
    .default("14d")
    .advice("Each visit to a page begins it anew. Both hold for sessions that begin from then on."),
    Setting::new(
        "store_timeout",
        Running,
        Duration { least: "1ms", most: Some("1900ms") },
        "How long an introspection waits for the grant store before it answers 503",
    )
    .default("250ms")
    .advice("Callers are answered within 2 s whatever happens, which bounds it."),
    Setting::new(
        "trusted_proxies",
        Serving,
        Networks,
        "Addresses or networks, separated by commas, from which plain http and X-Forwarded-For are accepted",
    )
    .default("")
    .advice(
        "The load balancers in front, by the addresses their connections come from. They may take TLS off, and say in \
         `X-Forwarded-For` whose requests they pass on: failed logins are counted by that address. Of several addresses \
         the last that is no trusted proxy's counts, so they append theirs. Nothing else that stands in headers \
         (`X-Forwarded-Host`, `X-Forwarded-Proto`, `Forwarded`) is believed, or needed.",
    ),
    Setting::new(
        "tls_cert",
        Serving,
        Path,
        "PEM file with the certificate chain of the OAuth endpoints; read again when it changes",
    )
    .advice("Both files are looked at every 2 s; a pair that does not fit is reported and the old one serves on."),
    Setting::new("tls_key", Serving, Path, "PEM file with the private key of that certificate"),
    Setting::new("workers", Running, Number { most: 512 }, "Threads that serve requests [0: one for each core]")
        .default("0")
        .advice("Each has a connection to Redis of its own. More of them than cores make the slowest answers slower."),
    Setting::new(
        "drain_delay",
        Running,
        Duration { least: "0s", most: Some("6s") },
        "How long requests are still taken after SIGTERM, while /readyz already fails",
    )
    .default("2s")
    .advice(
        "As long as your load balancer takes to notice: its interval between probes, times one more than the failures \
         it wants. A second signal skips it. The whole stop takes 15 s at most: grant 20 s before SIGKILL.",
    ),
    Setting::new(
        "log",
        Running,
        LogFilter,
        "What is logged: error, warn, info, debug, trace, or by module: symbolon::changes=debug",
    )
    .default("info")
    .advice(
        "Several are separated by commas: `warn,symbolon::changes=debug`. No level logs a token or a secret; a grant is \
         named by its grant id.",
    ),
    Setting::new("log_format", Running, OneOf(&["text", "json"]), "How log lines look: text or json")
        .default("text")
        .advice("On standard error, either way; `json` is one object a line."),
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
