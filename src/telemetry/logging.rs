//! Log lines: text or JSON, on standard error. Nothing that is logged holds a secret; a grant is
//! named by its grant id.

use std::io::Write as _;

use env_logger::fmt::Formatter;
use log::Record;
use log::kv::{Error, Key, Value, VisitSource};
use serde_json::Map;

/// Installs the logger.
///
/// # Errors
/// When the filter cannot be read, or a logger is installed already.
pub fn install(filter: &str, json: bool) -> Result<(), String> {
    let mut builder = env_logger::Builder::new();
    check(filter)?;
    builder.parse_filters(filter);
    // Anybody can send bytes that are no HTTP; actix-http calls each an error.
    if !filter.contains("actix_http") {
        builder.filter_module("actix_http::h1::dispatcher", log::LevelFilter::Off);
    }
    builder.target(env_logger::Target::Stderr).write_style(env_logger::WriteStyle::Never);
    if json {
        builder.format(write_json);
    } else {
        builder.format_timestamp_millis();
    }
    builder.try_init().map_err(|error| error.to_string())
}

/// Checks a filter. `parse_filters` prints what it does not understand and goes on; a typing error
/// must stop the server instead.
///
/// # Errors
/// What is not understood, and what would be right.
pub fn check(filter: &str) -> Result<(), String> {
    for directive in filter.split(',').filter(|part| !part.is_empty()) {
        let level = directive.rsplit('=').next().unwrap_or_default();
        let is_level = level.parse::<log::LevelFilter>().is_ok();
        let is_module = !directive.contains('=')
            && directive.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
        if !is_level && (!is_module || !directive.contains("::")) {
            return Err(format!(
                "has {directive:?}; write a level (error, warn, info, debug, trace, off) or \
                 module=level, such as symbolon::changes=debug"
            ));
        }
    }
    Ok(())
}

fn write_json(formatter: &mut Formatter, record: &Record<'_>) -> std::io::Result<()> {
    let mut line = Map::new();
    line.insert("time".to_owned(), formatter.timestamp_millis().to_string().into());
    line.insert("level".to_owned(), record.level().as_str().to_ascii_lowercase().into());
    line.insert("target".to_owned(), record.target().into());
    line.insert("message".to_owned(), record.args().to_string().into());
    let mut fields = Fields(line);
    // Visiting fails only where the visitor does, and this one does not.
    record.key_values().visit(&mut fields).ok();
    let line = serde_json::to_string(&fields.0)?;
    writeln!(formatter, "{line}")
}

struct Fields(Map<String, serde_json::Value>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let value = match (value.to_u64(), value.to_f64()) {
            (Some(number), _) => number.into(),
            (None, Some(number)) => number.into(),
            (None, None) => value.to_string().into(),
        };
        self.0.insert(key.to_string(), value);
        Ok(())
    }
}
