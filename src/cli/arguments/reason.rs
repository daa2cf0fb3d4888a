//! `--reason`, on every command that changes something.

use clap::{Arg, ArgMatches, Args, FromArgMatches};

use crate::admin::Reason;
use crate::cli::CliError;

const ID: &str = "reason";
/// The commands that change something, of whatever group.
const CHANGING: [&str; 18] = [
    "create",
    "update",
    "rotate-secret",
    "disable",
    "enable",
    "delete",
    "set-password",
    "assign-role",
    "remove-role",
    "grant-permission",
    "remove-permission",
    "narrow",
    "shorten",
    "freeze",
    "thaw",
    "revoke",
    "recover",
    "restore",
];

/// Gives a command the flag, if it is one that changes something.
pub(super) fn add(command: clap::Command) -> clap::Command {
    if !CHANGING.contains(&command.get_name()) {
        return command;
    }
    let help = "Why, for whoever asks later: the audit keeps it";
    command.arg(Arg::new(ID).long("reason").value_name("TEXT").help(help).display_order(99))
}

/// The reason that was given with whichever command.
#[derive(Default)]
pub struct ReasonFlag(Option<String>);

impl ReasonFlag {
    /// # Errors
    /// When it is none. It is not repeated, for it may hold a secret.
    pub fn read(&self) -> Result<Option<Reason>, CliError> {
        let reason = self.0.as_deref().map(Reason::parse).transpose();
        reason.map_err(|error| CliError::Usage(format!("--reason: {error}")))
    }
}

impl FromArgMatches for ReasonFlag {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut level = Some(matches);
        while let Some(matches) = level {
            if let Ok(Some(reason)) = matches.try_get_one::<String>(ID) {
                return Ok(Self(Some(reason.clone())));
            }
            level = matches.subcommand().map(|(_, matches)| matches);
        }
        Ok(Self::default())
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for ReasonFlag {
    fn augment_args(command: clap::Command) -> clap::Command {
        command
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        command
    }
}
