//! The arguments of `audit`.

use clap::{Args, Subcommand, ValueEnum};

use crate::changes::audit::Outcome;

/// How many rows one list holds at most.
const LONGEST_LIST: i64 = 10_000;

#[derive(Subcommand)]
pub enum AuditCommand {
    /// List what was done, and what was tried in vain; the newest first, a part at a time
    List(ListAudit),
    /// Print all of it as JSON lines, the oldest first
    Export(WhichRows),
    /// Prove that no row was removed, altered or reordered; exit 1 when one was
    Verify(VerifyAudit),
}

#[derive(Args)]
pub struct ListAudit {
    #[command(flatten)]
    pub which: WhichRows,
    /// How many to show, 10000 or fewer
    #[arg(long, value_name = "COUNT", default_value_t = 50,
          value_parser = clap::value_parser!(i64).range(1..=LONGEST_LIST))]
    pub limit: i64,
    /// Only rows before this one: the last one of the part before
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(1..))]
    pub before: Option<i64>,
}

#[derive(Args)]
pub struct WhichRows {
    /// From this moment on: 2027-01-15T08:00:00Z, or so long ago: 24h
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Before this moment
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Who did it, or how that begins: "client app", "user", "command line"
    #[arg(long, value_name = "TEXT")]
    pub actor: Option<String>,
    /// What was done: revoke-grant, disable-client
    #[arg(long, value_name = "TEXT")]
    pub action: Option<String>,
    /// What it was done to, by its id
    #[arg(long, value_name = "TEXT", conflicts_with = "grant")]
    pub target: Option<String>,
    /// The grant of this token, of its first 21 characters or more, or of this grant id; - reads it from standard input
    #[arg(long, value_name = "PART")]
    pub grant: Option<String>,
    /// What became of it
    #[arg(long, value_name = "OUTCOME", value_enum)]
    pub outcome: Option<WhichOutcome>,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum WhichOutcome {
    Done,
    Repeated,
    Refused,
}

impl From<WhichOutcome> for Outcome {
    fn from(which: WhichOutcome) -> Self {
        match which {
            WhichOutcome::Done => Self::Done,
            WhichOutcome::Repeated => Self::Repeated,
            WhichOutcome::Refused => Self::Refused,
        }
    }
}

#[derive(Args)]
pub struct VerifyAudit {
    /// Prove too that this row, which an earlier verify printed, is still part of it
    #[arg(long, value_name = "NUMBER:HASH")]
    pub head: Option<String>,
}
