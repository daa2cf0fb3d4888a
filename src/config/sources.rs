//! Where settings come from: flags, the environment, a file.
#![expect(clippy::disallowed_methods, reason = "this is the one reader of the environment")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{ConfigError, SETTINGS};

/// Settings given as flags, by name.
pub type Flags = BTreeMap<&'static str, String>;

const PREFIX: &str = "SYMBOLON_";
/// Names the configuration file, like `--config`.
const CONFIG_VARIABLE: &str = "SYMBOLON_CONFIG";

/// The environment of this process, as far as it is ours.
pub fn process_environment() -> BTreeMap<String, String> {
    let ours = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        let name = name.into_string().ok()?;
        // A value that is not UTF-8 is kept, lossily: its check will say what is wrong with it.
        name.starts_with(PREFIX).then(|| (name, value.to_string_lossy().into_owned()))
    };
    std::env::vars_os().filter_map(ours).collect()
}

/// Shows nothing: what was given may hold secrets.
impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sources(…)")
    }
}

/// What was given, before anything is checked.
#[derive(Clone, Default)]
pub struct Sources {
    pub(super) flags: Flags,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) file: BTreeMap<String, String>,
    pub(super) file_path: Option<PathBuf>,
}

impl Sources {
    /// Gathers all three; the file is the one that `config` or `SYMBOLON_CONFIG` names.
    ///
    /// # Errors
    /// For a name that is no setting, and for a file that cannot be read.
    pub fn gather(
        flags: Flags,
        mut environment: BTreeMap<String, String>,
        config: Option<PathBuf>,
    ) -> Result<Self, ConfigError> {
        let from_environment = environment.remove(CONFIG_VARIABLE).filter(|path| !path.is_empty());
        let file_path = config.or_else(|| from_environment.map(PathBuf::from));
        let file = match file_path {
            None => None,
            Some(path) => match std::fs::read_to_string(&path) {
                Ok(text) => Some((path, text)),
                Err(error) => {
                    let why = format!("cannot be read: {error}");
                    return Err(ConfigError::new(path.display().to_string(), why));
                }
            },
        };
        Self::of_texts(flags, environment, file)
    }

    /// The same of a file that was read already: its path, and its text.
    ///
    /// # Errors
    /// For a name that is no setting, and for a text that is no list of settings.
    pub fn of_texts(
        flags: Flags,
        environment: BTreeMap<String, String>,
        file: Option<(PathBuf, String)>,
    ) -> Result<Self, ConfigError> {
        let (file_path, text) = file.unzip();
        let file = match (&file_path, text) {
            (Some(path), Some(text)) => read_settings(path, &text)?,
            _ => BTreeMap::new(),
        };
        let known: Vec<String> = SETTINGS
            .iter()
            .flat_map(|setting| {
                let file = setting.secret.then(|| format!("{}_FILE", setting.variable()));
                std::iter::once(setting.variable()).chain(file)
            })
            .collect();
        for name in environment.keys() {
            if !known.contains(name) {
                return Err(unknown(name, &known));
            }
        }
        Ok(Self { flags, environment, file, file_path })
    }
}

fn read_settings(path: &Path, text: &str) -> Result<BTreeMap<String, String>, ConfigError> {
    let error = |why: String| ConfigError::new(path.display().to_string(), why);
    // The parser's own message would show the line, and a line may hold a secret.
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
        let line = e.span().map_or(0, |span| text.get(..span.start).map_or(0, |t| t.lines().count().max(1)));
        error(format!("is not TOML: {} (near line {line})", e.message()))
    })?;
    let names: Vec<String> = SETTINGS.iter().map(|setting| setting.name.to_owned()).collect();
    let mut values = BTreeMap::new();
    for (name, value) in table {
        if !names.contains(&name) {
            let ConfigError { name, why } = unknown(&name, &names);
            return Err(error(format!("has {name}, which {why}")));
        }
        let value = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Array(items) => {
                let items: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
                items
                    .ok_or_else(|| {
                        error(format!("has {name}, which is a list of other things than strings"))
                    })?
                    .join(",")
            }
            _ => {
                return Err(error(format!(
                    "has {name}, which is neither a string, a number nor a list of strings"
                )));
            }
        };
        values.insert(name, value);
    }
    Ok(values)
}

fn unknown(name: &str, known: &[String]) -> ConfigError {
    // What all names begin with makes none of them nearer.
    let bare = |name: &str| name.strip_prefix(PREFIX).unwrap_or(name).to_ascii_lowercase();
    let near = |other: &str| strsim::jaro_winkler(&bare(name), &bare(other));
    let nearest = known.iter().max_by(|a, b| near(a).total_cmp(&near(b)));
    let nearest = nearest.map(String::as_str).unwrap_or_default();
    ConfigError::new(name, format!("is no setting; did you mean {nearest}?"))
}
