//! The commands and their arguments.

mod audit;
mod backup;
mod edits;
mod finding;
mod lists;
mod people;
mod reason;
mod resource_servers;
mod revoking;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::StyledStr;
use clap::{Arg, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

pub use self::audit::{AuditCommand, ListAudit, VerifyAudit, WhichRows};
pub use self::backup::{Recover, RestoreBackup, TakeBackup};
pub use self::edits::{EditCommand, EditedTokens};
pub use self::finding::{InspectToken, ListTokens, Moment};
pub use self::lists::ListPart;
pub use self::people::{CreateUser, RoleCommand, SetPassword, UserCommand};
pub use self::reason::ReasonFlag;
pub use self::resource_servers::{CreateResourceServer, ResourceServerCommand, UpdateResourceServer};
pub use self::revoking::{RevokeEverything, RevokeTokens};
use crate::config::{Flags, SETTINGS, Setting};
use crate::domain::{duration, scope};

/// A stateful OAuth 2.0 authorization server.
#[derive(Parser)]
#[command(name = "symbolon", version, arg_required_else_help = true)]
pub struct Arguments {
    // First: reading the command takes it, and the settings after it, out of the matches.
    #[command(flatten)]
    pub settings: SettingFlags,
    #[command(flatten)]
    pub reason: ReasonFlag,
    #[command(subcommand)]
    pub command: Command,
    /// Configuration file (TOML)
    #[arg(long, global = true, value_name = "PATH", help_heading = "Settings", display_order = 100)]
    pub config: Option<PathBuf>,
    /// Print one JSON document on standard output
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Subcommand)]
pub enum Command {
    /// Try it: embedded stores, a page that walks through a login, and commands to paste
    Quickstart,
    /// Run the server
    Serve,
    /// Bring the database's schema up to this version's
    Migrate,
    /// Make and change clients
    #[command(subcommand)]
    Client(ClientCommand),
    /// Make and change resource servers
    #[command(subcommand)]
    ResourceServer(ResourceServerCommand),
    /// Make and change users
    #[command(subcommand)]
    User(UserCommand),
    /// Make and change roles
    #[command(subcommand)]
    Role(RoleCommand),
    /// Find and kill single tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Revoke everything of a client, a user, a login session, a consent, or of everybody
    Revoke(RevokeEverything),
    /// Who did what, and the proof of it
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Token keys
    #[command(subcommand)]
    TokenKey(TokenKeyCommand),
    /// The effective configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Ask the server with this configuration whether it is ready; exit 1 when it is not
    Healthcheck(Healthcheck),
    /// Back up the embedded default, beside the running server
    Backup(TakeBackup),
    /// Restore a backup of the embedded default; every token that was issued before is dead then
    Restore(RestoreBackup),
    /// After the database (or the data directory) was restored to an older state: revoke everything
    /// that was issued before, and go on
    Recover(Recover),
}

#[derive(Subcommand)]
pub enum ClientCommand {
    /// Make a client; its secret is shown once
    Create(CreateClient),
    /// List clients by name, a part at a time
    List(ListPart),
    /// Show a client
    Show(Which),
    /// Change a client
    Update(UpdateClient),
    /// Give a client a new secret, shown once
    RotateSecret(RotateSecret),
    /// Disable a client and revoke all its tokens
    Disable(Which),
    /// Enable a client; its old tokens stay revoked
    Enable(Which),
    /// Delete a client and revoke all its tokens
    Delete(Which),
}

#[derive(Args)]
pub struct Which {
    /// Its id, or its name
    #[arg(value_name = "ID")]
    pub id: String,
}

#[derive(Args)]
pub struct CreateClient {
    /// A name for people
    pub name: String,
    /// A grant type that it may use; may be repeated
    #[arg(long = "grant", value_name = "GRANT_TYPE")]
    pub grants: Vec<String>,
    /// The scope that it may ask for, in one string: "notes:read notes:write"
    #[arg(long, default_value = "")]
    pub scope: String,
    /// It cannot keep a secret (a browser or mobile application)
    #[arg(long)]
    pub public: bool,
    /// Lifetime of its access tokens, such as 15m [default: the server's]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub access_token_ttl: Option<Duration>,
    /// Where answers to its authorization requests may be sent; may be repeated
    #[arg(long = "redirect-uri", value_name = "URI")]
    pub redirect_uris: Vec<String>,
    /// How long its last refresh token may be presented again [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub refresh_retry_window: Option<Duration>,
    /// An origin (scheme and host, as browsers write it) whose pages may read what it is answered;
    /// may be repeated
    #[arg(long = "origin", value_name = "ORIGIN")]
    pub origins: Vec<String>,
    /// Choose its id [default: one is made]
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,
    /// Read its secret from standard input [default: one is made]
    #[arg(long)]
    pub secret_stdin: bool,
    /// Succeed if it exists: a client with the id chosen or, without one, of this name; its secret
    /// is not shown
    #[arg(long)]
    pub if_not_exists: bool,
}

#[derive(Args)]
pub struct UpdateClient {
    #[command(flatten)]
    pub which: Which,
    /// A new name for people
    #[arg(long)]
    pub name: Option<String>,
    /// The grant types that it may use from now on; may be repeated
    #[arg(long = "grant", value_name = "GRANT_TYPE")]
    pub grants: Vec<String>,
    /// The scope that it may ask for from now on; tokens it holds are narrowed to it
    #[arg(long)]
    pub scope: Option<String>,
    /// Lifetime of its access tokens, or "default"
    #[arg(long, value_name = "DURATION", value_parser = read_own_lifetime)]
    pub access_token_ttl: Option<OwnLifetime>,
    /// Where answers to its authorization requests may be sent from now on; may be repeated
    #[arg(long = "redirect-uri", value_name = "URI")]
    pub redirect_uris: Vec<String>,
    /// How long it may present its last refresh token again, or "default"
    #[arg(long, value_name = "TIME", value_parser = read_own_lifetime)]
    pub refresh_retry_window: Option<OwnLifetime>,
    /// An origin whose pages may read what it is answered from now on; may be repeated
    #[arg(long = "origin", value_name = "ORIGIN")]
    pub origins: Vec<String>,
    /// No page may from now on
    #[arg(long, conflicts_with = "origins")]
    pub no_origin: bool,
}

/// A client's own lifetime, or none. A type of its own: as text, clap would take it for the setting
/// of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnLifetime(pub Option<Duration>);

fn read_own_lifetime(text: &str) -> Result<OwnLifetime, duration::MalformedDuration> {
    match text {
        "default" => Ok(OwnLifetime(None)),
        text => duration::parse(text).map(|lifetime| OwnLifetime(Some(lifetime))),
    }
}

#[derive(Args)]
pub struct RotateSecret {
    #[command(flatten)]
    pub which: Which,
    /// How long the old secret stays good, such as 24h
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration::parse)]
    pub overlap: Duration,
}

#[derive(Subcommand)]
pub enum TokenCommand {
    /// Show whose a token is, and whether it lives
    Inspect(InspectToken),
    /// List what was given by a user, to a client, in a login session, or in a time
    List(ListTokens),
    /// Revoke tokens and their whole grants, everywhere
    Revoke(RevokeTokens),
    #[command(flatten)]
    Edit(EditCommand),
}

#[derive(Clone, Args)]
pub struct Destructive {
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

#[derive(Subcommand)]
pub enum TokenKeyCommand {
    /// Make a token key
    Generate,
}

#[derive(Subcommand)]
pub enum ConfigCommand {
    /// Check the configuration and show it, secrets masked
    Check {
        /// Try every store, and say what is wrong
        #[arg(long)]
        connect: bool,
    },
}

#[derive(Args)]
pub struct Healthcheck {
    /// Ask only whether the process answers: for whoever restarts what is unhealthy
    #[arg(long)]
    pub live: bool,
}

/// Every setting as a flag, made from the table of settings.
#[derive(Default)]
pub struct SettingFlags(pub Flags);

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Flags::new();
        let mut level = Some(matches);
        // A setting may stand before the command or after it; the last one counts.
        while let Some(matches) = level {
            for setting in SETTINGS {
                if let Ok(Some(value)) = matches.try_get_one::<String>(&setting_id(setting)) {
                    flags.insert(setting.name, value.clone());
                }
            }
            level = matches.subcommand().map(|(_, matches)| matches);
        }
        Ok(Self(flags))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for SettingFlags {
    fn augment_args(command: clap::Command) -> clap::Command {
        add_settings(command, false)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

/// Never the id of a command's own argument.
fn setting_id(setting: &Setting) -> String {
    format!("setting {}", setting.name)
}

/// Adds the settings to one command, except those whose name it has given to an argument of its
/// own: `client create --access-token-ttl` is about the client.
fn add_settings(command: clap::Command, shown: bool) -> clap::Command {
    let taken: Vec<String> =
        command.get_arguments().filter_map(|argument| argument.get_long()).map(str::to_owned).collect();
    let free = SETTINGS.iter().zip(101..).filter(|(setting, _)| !taken.contains(&setting.flag()));
    free.fold(command, |command, (setting, order)| {
        let default = setting.default.filter(|text| !text.is_empty());
        let default = default.map(|text| format!(" [default: {text}]")).unwrap_or_default();
        let variable = setting.variable();
        let source = match setting.secret {
            // A flag shows in the process list, a variable to whoever may read the environment.
            true => format!("{variable}, or {variable}_FILE naming a file, which is better"),
            false => variable,
        };
        let help = format!("{} [{source}]{default}", setting.help);
        command.arg(
            Arg::new(setting_id(setting))
                .long(setting.flag())
                .value_name("VALUE")
                .hide(!shown)
                .display_order(order)
                .help(StyledStr::from(help))
                .help_heading("Settings"),
        )
    })
}

/// The whole command line. Only the commands that run the server show its settings: elsewhere they
/// work, but would bury what the command is about.
pub fn command() -> clap::Command {
    add_settings_below(Arguments::command())
}

fn add_settings_below(command: clap::Command) -> clap::Command {
    command.mut_subcommands(|subcommand| {
        let serves = matches!(subcommand.get_name(), "serve" | "quickstart");
        add_settings_below(reason::add(add_settings(subcommand, serves)))
    })
}

/// Prints what is wrong with the arguments, or the help that was asked for.
pub fn exit(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind;
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            print(error);
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            print(error);
            ExitCode::from(2)
        }
        ErrorKind::UnknownArgument if !names_a_flag(error) => {
            super::output::Output::error(
                "an argument too many; it is not repeated here, for it may be a secret",
            );
            ExitCode::from(2)
        }
        _ => {
            // The first paragraph says what is wrong; the rest is for those who call --help.
            let text = error.to_string();
            let paragraph: Vec<&str> = text.lines().take_while(|line| !line.trim().is_empty()).collect();
            let tip = text.lines().find(|line| line.trim_start().starts_with("tip:")).unwrap_or_default();
            let line = paragraph.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
            let tip = tip.trim();
            let separator = if tip.is_empty() { "" } else { "; " };
            super::output::Output::error(&format!("{}{separator}{tip}", line.trim_start_matches("error: ")));
            ExitCode::from(2)
        }
    }
}

/// Whether the argument that is wrong is a flag, and not a value.
fn names_a_flag(error: &clap::Error) -> bool {
    use clap::error::{ContextKind, ContextValue};
    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument.starts_with('-'),
        _ => false,
    }
}

fn print(error: &clap::Error) {
    // A closed pipe is the reader's choice.
    error.print().ok();
}

/// Reads a scope that may be empty.
pub fn read_scope(text: &str) -> Result<scope::Scope, super::CliError> {
    if text.is_empty() {
        return Ok(scope::Scope::default());
    }
    scope::Scope::parse(text).map_err(|error| super::CliError::Usage(format!("--scope {text:?}: {error}")))
}
