use super::super::{Config, Flags};
use super::*;

fn load(environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let pairs = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::load(&Sources::gather(Flags::new(), pairs.collect(), None)?)
}

fn error(environment: &[(&str, &str)]) -> String {
    load(environment).unwrap_err().to_string()
}

#[test]
fn defaults_are_those_of_the_contract() {
    let config = load(&[]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.management_listen.to_string(), "127.0.0.1:9080");
    assert_eq!(config.issuer, "http://127.0.0.1:8080");
    assert_eq!(config.lease, Duration::from_secs(30));
    assert_eq!(config.revoke_wait, Duration::from_secs(10));
    assert_eq!(config.revoked_memory, Duration::from_secs(3600));
    assert_eq!(config.access_token_ttl, Duration::from_secs(900));
    assert_eq!(config.refresh_token_ttl, Duration::from_secs(30 * 86_400));
}

#[test]
fn the_issuer_follows_the_listen_address() {
    let config = load(&[("SYMBOLON_LISTEN", "127.0.0.1:7000")]).unwrap();
    assert_eq!(config.issuer, "http://127.0.0.1:7000");
}

#[test]
fn a_wrong_value_is_named_with_what_would_be_right() {
    for (name, value, says) in [
        ("SYMBOLON_LISTEN", "8080", "such as 127.0.0.1:8080"),
        ("SYMBOLON_LEASE", "30", "write it like"),
        ("SYMBOLON_LEASE", "500ms", "1s or more"),
        ("SYMBOLON_STORE_TIMEOUT", "3s", "1900ms or less"),
        ("SYMBOLON_ACCESS_TOKEN_TTL", "0s", "1s or more"),
        ("SYMBOLON_ACCESS_TOKEN_TTL", "9999999d", "10 years"),
        ("SYMBOLON_TRUSTED_PROXIES", "10.0.0.0/8,proxy", "\"proxy\""),
        ("SYMBOLON_TRUSTED_PROXIES", "010.0.0.0/8", "neither an address nor a network"),
        ("SYMBOLON_ISSUER", "http://auth.example", "must be https"),
        ("SYMBOLON_ISSUER", "https://auth.example?x", "no query"),
        ("SYMBOLON_ISSUER", "auth.example", "not a URL"),
        ("SYMBOLON_LOG_FORMAT", "xml", "text or json"),
        ("SYMBOLON_WORKERS", "-1", "number of threads"),
        ("SYMBOLON_TLS_CERT", "cert.pem", "missing beside"),
        ("SYMBOLON_LISTEN", "0.0.0.0:8080", "is required when listening on 0.0.0.0:8080"),
        ("SYMBOLON_REDIS_URL", "redis://h", "symbolon token-key generate"),
        ("SYMBOLON_DATABASE_URL", "postgres://h/d", "is required with PostgreSQL"),
    ] {
        let error = error(&[(name, value)]);
        assert!(error.starts_with("SYMBOLON_") && error.contains(says), "{name}={value}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn an_unknown_variable_names_the_nearest() {
    let error = error(&[("SYMBOLON_LISTN", "127.0.0.1:1")]);
    assert_eq!(error, "SYMBOLON_LISTN is no setting; did you mean SYMBOLON_LISTEN?");
}

#[test]
fn an_empty_variable_counts_as_absent() {
    assert_eq!(load(&[("SYMBOLON_LEASE", "")]).unwrap().lease, Duration::from_secs(30));
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("symbolon.toml");
    std::fs::write(&path, "lease = \"5s\"\nrevoke_wait = \"6s\"\nlog = \"warn\"\n").unwrap();
    let flags = Flags::from([("lease", "7s".to_owned())]);
    let environment =
        [("SYMBOLON_LEASE", "8s"), ("SYMBOLON_REVOKE_WAIT", "9s")].map(|(n, v)| (n.to_owned(), v.to_owned()));
    let sources = Sources::gather(flags, environment.into(), Some(path)).unwrap();
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.lease, Duration::from_secs(7));
    assert_eq!(config.revoke_wait, Duration::from_secs(9));
    assert_eq!(config.log, "warn");
}

#[test]
fn an_unknown_key_in_the_file_names_the_nearest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("symbolon.toml");
    std::fs::write(&path, "lese = \"5s\"\n").unwrap();
    let error = Sources::gather(Flags::new(), BTreeMap::new(), Some(path)).unwrap_err().to_string();
    assert!(error.ends_with("has lese, which is no setting; did you mean lease?"), "{error}");
}

#[test]
fn a_secret_may_come_from_a_file_and_is_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    std::fs::write(&path, "hunter2-key\n").unwrap();
    let path = path.display().to_string();
    let pairs = [("SYMBOLON_TOKEN_KEY_FILE".to_owned(), path.clone())];
    let sources = Sources::gather(Flags::new(), pairs.into(), None).unwrap();
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.token_key.as_ref().unwrap().expose(), "hunter2-key");
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(!format!("{:?}", config.describe(&sources).unwrap()).contains("hunter2"));
    let both = error(&[("SYMBOLON_TOKEN_KEY_FILE", &path), ("SYMBOLON_TOKEN_KEY", "x")]);
    assert!(both.contains("give one"), "{both}");
}
