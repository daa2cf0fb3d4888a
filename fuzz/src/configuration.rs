//! Flags, variables and a configuration file, as an operator might mistype them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use symbolon::config::{Config, ConfigError, Flags, MAX_LIFETIME, SETTINGS, Secret, Setting, Sources};
use symbolon::domain::clock::MAX_LEASE;
use symbolon::domain::duration;

/// Stands for a secret in what the fuzzer writes, and is looked for in all that is shown.
const SECRET: &str = "hunter2hunter2";

/// Lines of `--flag=value` and `NAME=value`, and after a line `---` a file.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (lines, file) = text.split_once("---\n").unwrap_or((text, ""));
    let Some((flags, environment)) = read_lines(lines) else { return };
    let discreet = is_only_in_secrets(&flags, &environment, file);
    let path = || PathBuf::from("symbolon.toml");
    let sources = Sources::of_texts(flags, environment, Some((path(), file.to_owned())));
    let loaded = sources.and_then(|sources| Ok((Config::load(&sources)?, sources)));
    match loaded {
        Ok((config, sources)) => accepted(&config, &sources, discreet),
        Err(error) => refused(&error, discreet),
    }
}

fn read_lines(lines: &str) -> Option<(Flags, BTreeMap<String, String>)> {
    let (mut flags, mut environment) = (Flags::new(), BTreeMap::new());
    for line in lines.lines() {
        let (name, value) = line.split_once('=')?;
        match name.strip_prefix("--") {
            Some(flag) => {
                let setting = SETTINGS.iter().find(|setting| setting.flag() == flag)?;
                flags.insert(setting.name, value.to_owned());
            }
            // Another file, which is not the fuzzer's to choose.
            None if name.ends_with("_FILE") => return None,
            None => {
                environment.insert(name.to_owned(), value.to_owned());
            }
        }
    }
    Some((flags, environment))
}

/// Whether the secret stands only in values of settings that are never shown.
fn is_only_in_secrets(flags: &Flags, environment: &BTreeMap<String, String>, file: &str) -> bool {
    let secret = |is: &dyn Fn(&Setting) -> bool| SETTINGS.iter().any(|setting| setting.secret && is(setting));
    let good_flags = flags
        .iter()
        .all(|(name, value)| !value.contains(SECRET) || secret(&|setting: &Setting| setting.name == *name));
    let good_variables = environment.iter().all(|(name, value)| {
        !name.contains(SECRET)
            && (!value.contains(SECRET) || secret(&|setting: &Setting| setting.variable() == *name))
    });
    let good_line = |line: &str| {
        let (name, value) = line.split_once('=').unwrap_or(("", line));
        !name.contains(SECRET)
            && (!value.contains(SECRET) || secret(&|setting: &Setting| setting.name == name.trim()))
    };
    let over_lines = file.contains("\"\"\"") || file.contains("'''");
    good_flags && good_variables && (!file.contains(SECRET) || !over_lines && file.lines().all(good_line))
}

fn refused(error: &ConfigError, discreet: bool) {
    let shown = error.to_string();
    assert!(!shown.is_empty());
    assert!(!discreet || !shown.contains(SECRET), "an error shows the secret: {shown}");
    assert!(!shown.contains('\n'), "an error of two lines: {shown:?}");
}

fn accepted(config: &Config, sources: &Sources, discreet: bool) {
    let described = config.describe(sources).expect("what was loaded can be described");
    let shown = format!("{config:?}{described:?}");
    assert!(!discreet || !shown.contains(SECRET), "the configuration shows a secret");
    is_within_bounds(config);

    // Written out in full, as flags, it is the same configuration.
    let value = |name: &'static str, text: String, origin: &str| match (name, origin) {
        (_, "default") => None,
        ("database_url", _) => config.database_url.as_ref().map(|url| url.expose().to_owned()),
        ("redis_url", _) => config.redis_url.as_ref().map(|url| url.expose().to_owned()),
        ("token_key", _) => config.token_key.as_ref().map(|key| key.expose().to_owned()),
        _ => Some(text),
    };
    let flags =
        described.into_iter().filter_map(|(name, text, origin)| Some((name, value(name, text, &origin)?)));
    let again = Sources::of_texts(flags.collect(), [].into(), None).expect("its own names are known");
    let again = Config::load(&again).unwrap_or_else(|error| panic!("not accepted again: {error}"));
    assert_eq!(format!("{again:?}"), format!("{config:?}"));
    for (one, other) in [
        (&config.database_url, &again.database_url),
        (&config.redis_url, &again.redis_url),
        (&config.token_key, &again.token_key),
    ] {
        assert_eq!(one.as_ref().map(Secret::expose), other.as_ref().map(Secret::expose));
    }
}

fn is_within_bounds(config: &Config) {
    let second = Duration::from_secs(1);
    assert!((second..=MAX_LEASE).contains(&config.lease));
    for lifetime in [config.access_token_ttl, config.refresh_token_ttl] {
        assert!((second..=MAX_LIFETIME).contains(&lifetime));
    }
    assert!(config.revoked_memory >= second && config.revoke_wait > Duration::ZERO);
    // Callers are answered within 2 s.
    assert!(config.store_timeout > Duration::ZERO && config.store_timeout < 2 * second);
    assert!((1..=512).contains(&config.workers));
    for written in
        [config.lease, config.revoke_wait, config.revoked_memory, config.store_timeout, config.drain_delay]
    {
        assert_eq!(duration::parse(&duration::format(written)), Ok(written));
    }
    // RFC 8414 §2: "a URL that uses the "https" scheme and has no query or fragment components"
    let issuer = url::Url::parse(&config.issuer).expect("an issuer is a URL");
    assert!(issuer.query().is_none() && issuer.fragment().is_none(), "{issuer}");
    let loopback = match issuer.host().expect("an issuer has a host") {
        url::Host::Ipv4(ip) => ip.is_loopback(),
        url::Host::Ipv6(ip) => ip.is_loopback(),
        url::Host::Domain(name) => name == "localhost",
    };
    assert!(issuer.scheme() == "https" || issuer.scheme() == "http" && loopback, "{issuer}");
    assert!(config.redis_url.is_none() || config.token_key.is_some());
    assert!(!config.is_postgres() || config.redis_url.is_some());
}
