//! What people at a command line, a scraper and a log reader meet: the commands, `/metrics`, the log.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to stop, and says where"
)]

#[path = "../support/mod.rs"]
mod support;

mod audit;
mod clients;
mod config;
mod configuration_page;
mod edits;
mod finding;
mod healthcheck;
mod help;
mod leak_response;
mod lists;
mod live_users;
mod login_sessions;
mod logs;
mod maintenance;
mod metrics;
mod people;
mod resource_servers;
mod revoke;
mod revoke_sets;
mod revoke_tokens;
mod tokens;

use std::path::Path;

use serde_json::Value;
use support::cli::{self, CliOutput};
use support::deployment::Deployment;
use support::scratch;
use support::symbolon::Environment;
use tempfile::TempDir;

/// A data directory that no server uses, for commands that need none.
struct Place {
    directory: TempDir,
    environment: Environment,
}

impl Place {
    fn new() -> Self {
        let directory = scratch::directory("place");
        let data = directory.path().join("data").display().to_string();
        Self { directory, environment: Environment::from([("SYMBOLON_DATA_DIR".to_owned(), data)]) }
    }

    /// One more variable.
    fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file beside the data directory and returns its path.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn cli(&self, arguments: &[&str]) -> CliOutput {
        cli::cli(&self.environment, arguments)
    }
}

/// The one line on standard error of a command that ended so; nothing stands on standard output.
#[track_caller]
fn error_line(output: CliOutput, status: i32) -> String {
    let output = output.expect_status(status);
    assert_eq!(output.stdout, "", "stderr: {}", output.stderr);
    let line = output.stderr.strip_suffix('\n').unwrap_or_default();
    assert!(line.starts_with("symbolon: ") && !line.contains('\n'), "{:?}", output.stderr);
    line.trim_start_matches("symbolon: ").to_owned()
}

/// Runs each command and checks that its one error line says all of these.
#[track_caller]
fn assert_refused(status: i32, run: impl Fn(&[&str]) -> CliOutput, rows: &[(&[&str], &[&str])]) {
    for (arguments, says) in rows {
        let line = error_line(run(arguments), status);
        for words in *says {
            assert!(line.contains(words), "{arguments:?}: {line:?} does not say {words:?}");
        }
    }
}

/// The members of a JSON object, in order.
fn members(document: &Value) -> Vec<&str> {
    document.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Whether any file below a directory holds this text.
fn is_written_below(directory: &Path, text: &str) -> bool {
    std::fs::read_dir(directory).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => is_written_below(&path, text),
            false => std::fs::read(&path)
                .is_ok_and(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes())),
        }
    })
}

/// The scope of the demonstration that most tests use.
const SCOPE: &str = "notes:read notes:write";

/// A resource server that owns [`SCOPE`] and a client that may ask for it.
fn with_notes(deployment: &Deployment) -> (support::actors::ResourceServer, support::actors::Client) {
    (deployment.resource_server("api", "https://api.example", SCOPE), deployment.client("app", SCOPE))
}
