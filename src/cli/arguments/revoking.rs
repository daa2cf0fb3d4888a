//! The arguments of the commands that revoke.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::Destructive;
use crate::domain::duration;

#[derive(Args)]
pub struct RevokeTokens {
    /// Tokens, their first 21 characters or more, or grant ids; - reads them from standard input,
    /// one a line, which keeps a leaked token out of the shell's history
    #[arg(value_name = "PART", required_unless_present = "file")]
    pub parts: Vec<String>,
    /// Read them from a file, one a line
    #[arg(long, value_name = "PATH")]
    pub file: Option<PathBuf>,
    /// Write what became of each to a file [default: standard output]
    #[arg(long, value_name = "PATH")]
    pub verdicts: Option<PathBuf>,
    /// Begin with this line: where an earlier run stopped
    #[arg(long, value_name = "LINE", default_value_t = 1, hide_default_value = true,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub resume_from: u64,
    #[command(flatten)]
    pub destructive: Destructive,
}

#[derive(Args)]
pub struct RevokeEverything {
    #[command(flatten)]
    pub whose: Whose,
    #[command(flatten)]
    pub also: Also,
    #[command(flatten)]
    pub destructive: Destructive,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Whose {
    /// Everything of this client
    #[arg(long, value_name = "ID")]
    pub client: Option<String>,
    /// Everything given for this user, and their login sessions: they have to log in again
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// This user's login sessions and all that was given in them
    #[arg(long, value_name = "NAME")]
    pub sessions_of: Option<String>,
    /// One login session and all that was given in it: its id, or the first 21 characters of its cookie
    #[arg(long, value_name = "PART")]
    pub session: Option<String>,
    /// What a user allowed a client, and all that it was given for them
    #[arg(long, value_names = ["NAME", "ID"], num_args = 2)]
    pub consent: Option<Vec<String>>,
    /// Everything of everybody
    #[arg(long)]
    pub everything: bool,
}

/// Of a group, what one excludes is no requirement of another: each has to be named.
const NOT_OF_A_CLIENT: [&str; 5] = ["user", "sessions_of", "session", "consent", "everything"];
const NOT_OF_A_USER: [&str; 5] = ["client", "sessions_of", "session", "consent", "everything"];

/// What else is done in the same step.
#[derive(Args)]
pub struct Also {
    /// Disable the client, too
    #[arg(long, conflicts_with_all = NOT_OF_A_CLIENT, conflicts_with = "rotate_secret")]
    pub disable: bool,
    /// Give the client a new secret, too, shown once
    #[arg(long, conflicts_with_all = NOT_OF_A_CLIENT)]
    pub rotate_secret: bool,
    /// How long the old secret stays good, such as 1h
    #[arg(long, value_name = "DURATION", default_value = "0s", hide_default_value = true,
          requires = "rotate_secret", value_parser = duration::parse)]
    pub overlap: Duration,
    /// The user has to choose another password at the next login, too
    #[arg(long, conflicts_with_all = NOT_OF_A_USER)]
    pub must_change_password: bool,
}
