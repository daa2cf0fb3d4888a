//! The arguments of the commands that take something from a live grant, or give it back.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::Destructive;
use crate::domain::clock::Timestamp;
use crate::domain::scope::Scope;
use crate::domain::{calendar, duration, scope};

#[derive(Subcommand)]
pub enum EditCommand {
    /// Narrow what grants and all their tokens allow, everywhere; it cannot be widened again
    Narrow(NarrowTokens),
    /// Make grants and all their tokens end sooner, everywhere
    Shorten(ShortenTokens),
    /// Freeze grants: their tokens are inactive everywhere, and nothing is given, until they are thawed
    Freeze(EditedTokens),
    /// Thaw frozen grants: their tokens are what they were
    Thaw(EditedTokens),
}

#[derive(Args)]
pub struct EditedTokens {
    /// Tokens, their first 21 characters or more, or grant ids; - reads them from standard input,
    /// one a line, which keeps a leaked token out of the shell's history
    #[arg(value_name = "PART", required = true)]
    pub parts: Vec<String>,
    #[command(flatten)]
    pub destructive: Destructive,
}

#[derive(Args)]
pub struct NarrowTokens {
    #[command(flatten)]
    pub which: EditedTokens,
    /// The scope that is left, in one string: "notes:read notes:write"
    #[arg(long, value_parser = read_scope)]
    pub scope: Scope,
}

#[derive(Args)]
pub struct ShortenTokens {
    #[command(flatten)]
    pub which: EditedTokens,
    #[command(flatten)]
    pub end: End,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct End {
    /// They end so long from now, such as 10m
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub ends_in: Option<Duration>,
    /// They end at this moment, such as 2027-01-15T08:00:00Z
    #[arg(long, value_name = "TIME", value_parser = calendar::parse_rfc3339)]
    pub ends_at: Option<Timestamp>,
}

fn read_scope(text: &str) -> Result<Scope, scope::MalformedScope> {
    Scope::parse(text)
}
