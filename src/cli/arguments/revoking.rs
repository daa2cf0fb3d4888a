//! The arguments of the commands that revoke.

use std::path::PathBuf;

use clap::Args;

use super::Destructive;

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
    /// Everything of everybody
    #[arg(long)]
    pub everything: bool,
}
