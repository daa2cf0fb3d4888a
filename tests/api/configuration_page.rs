//! `docs/CONFIGURATION.md` is made from the table of settings, and says what the code does.
//!
//! `UPDATE_DOCS=1 cargo test --test api configuration_page` writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

use symbolon::config::{Config, ConfigError, Flags, SETTINGS, Setting, Sources, Takes, Topic};

/// What is the same whatever the settings are. `{settings}` and `{variables}` are put in.
const FRAME: &str = include_str!("configuration_page.md");

fn page_path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/CONFIGURATION.md")
}

fn page() -> String {
    FRAME.replace("{settings}\n", &settings()).replace("{variables}\n", &variables())
}

fn settings() -> String {
    let mut text = String::new();
    for (topic, title, about) in [
        (Topic::Serving, "Serving", "Where requests arrive, and from whom."),
        (
            Topic::Stores,
            "Stores",
            "Nothing given, both are SQLite files in the data directory, and there is one server.",
        ),
        (Topic::Tokens, "Tokens", "What tokens are made with, and how long they live."),
        (Topic::Revocation, "Revocation", "How certain, and how patient, an acknowledgement is."),
        (Topic::People, "People", "What their passwords must be like, and how long they stay logged in."),
        (Topic::Running, "Running", "Threads, patience, stopping, logs."),
    ] {
        write!(text, "### {title}\n\n{about}\n").unwrap();
        for setting in SETTINGS.iter().filter(|setting| setting.topic == topic) {
            describe(&mut text, setting);
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

fn describe(text: &mut String, setting: &Setting) {
    // What stands in brackets is for the help, which has no line for the default.
    let (what, otherwise) = match setting.help.split_once(" [") {
        Some((what, rest)) => (what, Some(rest.trim_end_matches(']').trim_start_matches("default: "))),
        None => (setting.help, None),
    };
    let default = match (setting.default, otherwise) {
        (Some(""), _) | (None, None) => "none".to_owned(),
        (Some(value), Some(meaning)) if meaning.starts_with(value) => {
            format!("`{value}`{}", &meaning[value.len()..])
        }
        (Some(value), _) => format!("`{value}`"),
        (None, Some(meaning)) => meaning.to_owned(),
    };
    write!(text, "\n#### `{}`\n\n{what}.\n", setting.name).unwrap();
    if !setting.advice.is_empty() {
        writeln!(text, "{}", setting.advice).unwrap();
    }
    write!(text, "\n- Value: {}\n- Default: {default}\n", value(setting.takes)).unwrap();
}

fn value(takes: Takes) -> String {
    match takes {
        Takes::Address => "an IP address and a port, such as `127.0.0.1:8080` or `[::]:8080`".to_owned(),
        Takes::Issuer => "an `https://` URL without query and fragment; on a loopback host also `http://`".to_owned(),
        Takes::Path => "a path".to_owned(),
        Takes::StoreUrl => "a URL; secret".to_owned(),
        Takes::TokenKeys => {
            "keys separated by commas or newlines, each base64 (either alphabet, padded or not) of at least 32 bytes; secret"
                .to_owned()
        }
        Takes::Duration { least, most: Some(most) } => format!("a duration from {least} to {most}"),
        Takes::Duration { least, most: None } => format!("a duration of at least {least}"),
        Takes::Networks => "addresses and networks separated by commas, such as `10.0.0.0/8, 192.0.2.7`".to_owned(),
        Takes::Number { most } => format!("a number from 0 to {most}"),
        Takes::LogFilter => "levels, for everything or for a module, separated by commas".to_owned(),
        Takes::OneOf(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or "),
    }
}

/// One row each, for those who look for a name.
fn variables() -> String {
    let mut text = "| variable | flag | in the file |\n|---|---|---|\n".to_owned();
    for setting in SETTINGS {
        let variable = setting.variable();
        let file = if setting.secret { format!(", `{variable}_FILE`") } else { String::new() };
        writeln!(text, "| `{variable}`{file} | `--{}` | `{}` |", setting.flag(), setting.name).unwrap();
    }
    text
}

#[test]
#[expect(clippy::disallowed_methods, reason = "whether to write is asked of the test, not of the server")]
fn the_configuration_page_is_what_the_code_says() {
    let page = page();
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(page_path(), &page).unwrap();
    }
    let written = fs::read_to_string(page_path()).unwrap_or_default();
    let differs = page.lines().zip(written.lines()).find(|(one, other)| one != other);
    assert!(
        page == written,
        "docs/CONFIGURATION.md is out of date; UPDATE_DOCS=1 cargo test --test api configuration_page writes it anew\n\
         {differs:?}"
    );
}

fn load(flags: Flags) -> Result<Config, ConfigError> {
    Config::load(&Sources::of_texts(flags, BTreeMap::new(), None)?)
}

/// Whether a value of one setting is accepted.
fn accepts(setting: &Setting, value: &str) -> bool {
    match load(Flags::from([(setting.name, value.to_owned())])) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.name, format!("--{}", setting.flag()), "{error}");
            false
        }
    }
}

#[test]
fn the_configuration_page_names_the_bounds_that_hold() {
    let further = |text: &str, millis: i64| {
        let duration = symbolon::domain::duration::parse(text).unwrap();
        let millis = i64::try_from(duration.as_millis()).unwrap() + millis;
        format!("{millis}ms")
    };
    for setting in SETTINGS {
        match setting.takes {
            Takes::Duration { least, most } => {
                assert!(accepts(setting, least), "{} refuses {least}", setting.name);
                let shorter = further(least, -1);
                assert!(!accepts(setting, &shorter), "{} accepts {shorter}", setting.name);
                let most = most.unwrap_or("36500d");
                assert!(accepts(setting, most), "{} refuses {most}", setting.name);
                if matches!(setting.takes, Takes::Duration { most: Some(_), .. }) {
                    let longer = further(most, 1);
                    assert!(!accepts(setting, &longer), "{} accepts {longer}", setting.name);
                }
            }
            Takes::Number { most } => {
                assert!(accepts(setting, "0") && accepts(setting, &most.to_string()));
                assert!(!accepts(setting, &(most + 1).to_string()) && !accepts(setting, "-1"));
            }
            Takes::OneOf(words) => {
                assert!(words.iter().all(|word| accepts(setting, word)) && !accepts(setting, "other"));
            }
            Takes::Address => assert!(accepts(setting, "[::1]:1") && !accepts(setting, "localhost:1")),
            Takes::Networks => {
                assert!(accepts(setting, "10.0.0.0/8, 192.0.2.7") && !accepts(setting, "proxy"));
            }
            Takes::Issuer => {
                assert!(accepts(setting, "https://a.example") && !accepts(setting, "http://a.example"));
            }
            Takes::Path | Takes::StoreUrl | Takes::TokenKeys | Takes::LogFilter => {}
        }
        assert_eq!(
            matches!(setting.takes, Takes::StoreUrl | Takes::TokenKeys),
            setting.secret,
            "{}",
            setting.name
        );
    }
}

/// The text between a fence of this language and its end, of every such fence.
fn fenced<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let opening = format!("```{language}\n");
    page.split(&opening).skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect()
}

#[test]
fn the_examples_of_the_configuration_page_can_be_used_as_they_are() {
    let files = fenced(FRAME, "toml");
    assert!(!files.is_empty());
    for file in files {
        let path = PathBuf::from("symbolon.toml");
        let sources =
            Sources::of_texts(Flags::new(), BTreeMap::new(), Some((path, file.to_owned()))).unwrap();
        let key = ("token_key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned());
        let urls =
            [("redis_url", "redis://127.0.0.1".to_owned()), ("database_url", "postgres://h/d".to_owned())];
        Config::load(&sources).unwrap_or_else(|error| panic!("{error}: {file}"));
        load(urls.into_iter().chain([key]).collect()).unwrap();
    }
    // Every variable that is named anywhere is one that is read.
    let names = FRAME.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
    for name in names.filter(|name| name.starts_with("SYMBOLON_") && name.len() > "SYMBOLON_".len()) {
        let known = SETTINGS.iter().any(|setting| {
            setting.variable() == name || setting.secret && format!("{}_FILE", setting.variable()) == name
        });
        assert!(known || name == "SYMBOLON_CONFIG", "{name} is no setting");
    }
}
