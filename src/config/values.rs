//! Resolving settings to text, and reading text as values.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::{ConfigError, LogFormat, SETTINGS, Secret, Setting, Sources};
use crate::domain::clock::MAX_LEASE;
use crate::domain::duration;

/// No token outlives ten years: longer is a slip of the pen.
pub const MAX_LIFETIME: Duration = Duration::from_secs(10 * 365 * 86_400);
/// A request on a store that hangs is answered within 2 s.
const MAX_STORE_TIMEOUT: Duration = Duration::from_millis(1900);
/// The graceful stop takes 15 s at most, and requests under way need some of them.
const MAX_DRAIN_DELAY: Duration = Duration::from_secs(6);
/// More than this actix-server refuses, by a panic.
const MAX_WORKERS: usize = 512;
/// Each takes 19 MiB while it hashes.
const MAX_PASSWORD_THREADS: usize = 256;

struct Value {
    text: String,
    /// How whoever gave it wrote its name.
    origin: String,
}

/// Every setting's text and where it came from.
pub(super) struct Values {
    values: BTreeMap<&'static str, Value>,
}

impl Values {
    pub(super) fn resolve(sources: &Sources) -> Result<Self, ConfigError> {
        let mut values = BTreeMap::new();
        for setting in SETTINGS {
            if let Some(value) = resolve(setting, sources)? {
                values.insert(setting.name, value);
            }
        }
        Ok(Self { values })
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|value| value.text.as_str())
    }

    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    pub(super) fn secret(&self, name: &str) -> Option<Secret> {
        self.text(name).map(|text| Secret::new(text.to_owned()))
    }

    /// The value of a setting that has a default.
    pub(super) fn require<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        read(self.text(name).unwrap_or_default()).map_err(|why| self.error(name, &why))
    }

    pub(super) fn error(&self, name: &'static str, why: &str) -> ConfigError {
        let setting = SETTINGS.iter().find(|setting| setting.name == name);
        let variable = setting.map_or_else(|| name.to_owned(), Setting::variable);
        ConfigError::new(self.values.get(name).map_or(variable, |value| value.origin.clone()), why)
    }

    pub(super) fn describe(&self) -> Vec<(&'static str, String, String)> {
        let line = |setting: &Setting| {
            let (text, origin) = match self.values.get(setting.name) {
                Some(_) if setting.secret => ("********", None),
                Some(value) => (value.text.as_str(), Some(&value.origin)),
                None => ("(none)", None),
            };
            let origin = origin.or_else(|| self.values.get(setting.name).map(|value| &value.origin));
            (setting.name, text.to_owned(), origin.cloned().unwrap_or_else(|| "default".to_owned()))
        };
        SETTINGS.iter().map(line).collect()
    }
}

fn resolve(setting: &Setting, sources: &Sources) -> Result<Option<Value>, ConfigError> {
    let variable = setting.variable();
    if let Some(text) = sources.flags.get(setting.name) {
        return Ok(Some(Value { text: text.clone(), origin: format!("--{}", setting.flag()) }));
    }
    let file_variable = format!("{variable}_FILE");
    let given = |name: &str| sources.environment.get(name).filter(|text| !text.is_empty());
    match (given(&variable), given(&file_variable)) {
        (Some(_), Some(_)) => {
            return Err(ConfigError::new(
                variable,
                format!("is given together with {file_variable}; give one"),
            ));
        }
        (Some(text), None) => return Ok(Some(Value { text: text.clone(), origin: variable })),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                ConfigError::new(&file_variable, format!("names {path}, which cannot be read: {error}"))
            })?;
            return Ok(Some(Value { text: text.trim().to_owned(), origin: file_variable }));
        }
        (None, None) => {}
    }
    if let Some(text) = sources.file.get(setting.name) {
        let path = sources.file_path.as_ref().map(|path| path.display().to_string());
        let origin = format!("{} in {}", setting.name, path.unwrap_or_default());
        return Ok(Some(Value { text: text.clone(), origin }));
    }
    Ok(setting.default.map(|text| Value { text: text.to_owned(), origin: "default".to_owned() }))
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("is {text:?}, not an address with a port, such as 127.0.0.1:8080"))
}

pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("is empty".to_owned()) } else { Ok(text.into()) }
}

fn read_duration(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|error| format!("is {text:?}, {error}"))
}

pub(super) fn positive(text: &str) -> Result<Duration, String> {
    match read_duration(text)? {
        Duration::ZERO => Err(format!("is {text}, it must be longer")),
        duration => Ok(duration),
    }
}

pub(super) fn at_least_a_second(text: &str) -> Result<Duration, String> {
    let duration = read_duration(text)?;
    if duration < Duration::from_secs(1) {
        return Err(format!("is {text}, it must be 1s or more"));
    }
    Ok(duration)
}

/// The longest lease is also the longest that an acknowledgement may wait for a replica that died.
pub(super) fn lease(text: &str) -> Result<Duration, String> {
    let lease = at_least_a_second(text)?;
    if lease > MAX_LEASE {
        return Err(format!("is {text}, it must be {} or less", duration::format(MAX_LEASE)));
    }
    Ok(lease)
}

pub(super) fn lifetime(text: &str) -> Result<Duration, String> {
    let duration = at_least_a_second(text)?;
    if duration > MAX_LIFETIME {
        return Err(format!("is {text}, it must be 10 years (3650d) or less"));
    }
    Ok(duration)
}

pub(super) fn store_timeout(text: &str) -> Result<Duration, String> {
    let duration = positive(text)?;
    if duration > MAX_STORE_TIMEOUT {
        return Err(format!("is {text}, it must be 1900ms or less, for callers are answered within 2s"));
    }
    Ok(duration)
}

pub(super) fn drain_delay(text: &str) -> Result<Duration, String> {
    let duration = read_duration(text)?;
    if duration > MAX_DRAIN_DELAY {
        return Err(format!("is {text}, it must be 6s or less, for the whole stop takes 15s at most"));
    }
    Ok(duration)
}

/// "The authorization server's issuer identifier is a URL that uses the "https" scheme and has no
/// query or fragment components." (RFC 8414 §2). On a loopback host http will do.
pub(super) fn issuer(text: &str) -> Result<String, String> {
    let wrong = |why: &str| format!("is {text:?}, {why}");
    let url = url::Url::parse(text).map_err(|_| wrong("not a URL such as https://auth.example"))?;
    if text.contains(['?', '#']) {
        return Err(wrong("it must have no query and no fragment"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it must hold no user name and no password"));
    }
    let loopback = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => return Err(wrong("it names no host")),
    };
    match url.scheme() {
        "https" => Ok(text.to_owned()),
        "http" if loopback => Ok(text.to_owned()),
        "http" => Err(wrong("it must be https, for its host is not a loopback address")),
        _ => Err(wrong("it must be https")),
    }
}

pub(super) fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let network = |part: &str| {
        let (address, length) = part.split_once('/').map_or((part, None), |(ip, length)| (ip, Some(length)));
        // `IpNet` alone would read 010.0.0.0 as ten, where others read eight.
        let address = address.parse::<IpAddr>().ok();
        let network = address.and_then(|address| match length {
            None => Some(IpNet::from(address)),
            Some(_) => part.parse().ok(),
        });
        network.ok_or_else(|| {
            format!("has {part:?}, which is neither an address nor a network such as 10.0.0.0/8")
        })
    };
    parts.map(network).collect()
}

pub(super) fn workers(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(0) => Ok(std::thread::available_parallelism().map_or(1, |cores| cores.get().min(MAX_WORKERS))),
        Ok(workers) if workers <= MAX_WORKERS => Ok(workers),
        _ => Err(format!("is {text:?}, not a number of threads from 0 to {MAX_WORKERS}")),
    }
}

pub(super) fn password_threads(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(0) => Ok(std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))),
        Ok(threads) if threads <= MAX_PASSWORD_THREADS => Ok(threads),
        _ => Err(format!("is {text:?}, not a number of threads from 0 to {MAX_PASSWORD_THREADS}")),
    }
}

/// The scores of zxcvbn end at 4.
pub(super) fn password_score(text: &str) -> Result<u8, String> {
    let score = text.parse::<u8>().ok().filter(|score| *score <= 4);
    score.ok_or_else(|| format!("is {text:?}, not a score from 0 to 4"))
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("is {text:?}, it must be text or json")),
    }
}

#[cfg(test)]
mod tests;
