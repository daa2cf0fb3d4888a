//! The command line: one file for each group of commands.
//!
//! A mistake gets one clear line on standard error. Exit 0: done. 1: failed. 2: misused.

mod arguments;
mod audit;
mod backup;
mod clients;
mod context;
mod edit;
mod healthcheck;
mod inspect;
mod list_tokens;
mod maintenance;
mod output;
mod resource_servers;
mod revoke;
mod revoke_tokens;
mod roles;
mod serve;
mod tokens;
mod users;

use std::process::ExitCode;

use clap::FromArgMatches as _;

use self::arguments::{Arguments, Command};
use self::context::Context;
use self::output::Output;
use crate::admin::AdminError;
use crate::config::{self, ConfigError, Sources};
use crate::startup::{ServeError, leave_no_core};

/// Why a command failed.
#[derive(Debug)]
pub enum CliError {
    /// The command was misused: exit 2.
    Usage(String),
    /// It failed: exit 1.
    Failed(String),
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<AdminError> for CliError {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Invalid(why) => Self::Usage(why),
            error => Self::Failed(error.to_string()),
        }
    }
}

impl From<ServeError> for CliError {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Config(error) => error.into(),
            error => Self::Failed(error.to_string()),
        }
    }
}

/// Runs the command that this process was started with.
pub fn run() -> ExitCode {
    leave_no_core();
    let command = arguments::command();
    let matches = match command.try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return arguments::exit(&error),
    };
    let output = Output::new(matches.get_flag("json"));
    let outcome = Arguments::from_arg_matches(&matches)
        .map_err(|error| CliError::Usage(error.to_string()))
        .and_then(|arguments| dispatch(arguments, &output));
    match outcome {
        Ok(code) => code,
        Err(CliError::Usage(why)) => {
            Output::error(&why);
            ExitCode::from(2)
        }
        Err(CliError::Failed(why)) => {
            Output::error(&why);
            ExitCode::from(1)
        }
    }
}

fn dispatch(arguments: Arguments, output: &Output) -> Result<ExitCode, CliError> {
    let Arguments { command, config, settings, reason, json: _ } = arguments;
    let reason = reason.read()?;
    // Needed before there is a configuration.
    let sources = match command {
        Command::TokenKey(_) => Sources::default(),
        _ => Sources::gather(settings.0, config::process_environment(), config)?,
    };
    match command {
        Command::Serve => serve::serve(&sources, crate::startup::Mode::Serve, output),
        Command::Quickstart => serve::serve(&sources, crate::startup::Mode::Quickstart, output),
        Command::Config(command) => maintenance::config(&command, &sources, output),
        Command::Healthcheck(command) => healthcheck::run(&command, &sources, output),
        Command::Migrate => maintenance::migrate(&Context::open(&sources)?, output),
        Command::Recover(command) => {
            maintenance::recover(&command, &Context::open_existing(&sources)?.because(reason), output)
        }
        Command::Backup(command) => backup::take(&command, &sources, output),
        Command::Restore(command) => backup::restore(&command, &sources, reason, output),
        Command::Client(command) => {
            clients::run(command, &Context::open_migrated(&sources)?.because(reason), output)
        }
        Command::ResourceServer(command) => {
            resource_servers::run(command, &Context::open_migrated(&sources)?.because(reason), output)
        }
        Command::User(command) => {
            users::run(command, &Context::open_migrated(&sources)?.because(reason), output)
        }
        Command::Role(command) => {
            roles::run(command, &Context::open_migrated(&sources)?.because(reason), output)
        }
        Command::Token(command) => {
            tokens::run(command, &Context::open_existing(&sources)?.because(reason), output)
        }
        Command::Revoke(command) => {
            revoke::run(&command, &Context::open_existing(&sources)?.because(reason), output)
        }
        Command::Audit(command) => {
            audit::run(&command, &Context::open_existing(&sources)?.because(reason), output)
        }
        Command::TokenKey(command) => maintenance::token_key(&command, output),
    }
}
