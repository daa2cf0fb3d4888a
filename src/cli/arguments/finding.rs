//! The arguments of the commands that look for tokens.

use std::time::Duration;

use clap::Args;

use crate::domain::clock::Timestamp;
use crate::domain::{calendar, duration};

/// How many grants one list holds at most.
const LONGEST_LIST: i64 = 10_000;

#[derive(Args)]
pub struct InspectToken {
    /// A token, its first 21 characters or more, or a grant id; - reads it from standard input
    pub part: String,
    /// Say why this resource server sees it inactive
    #[arg(long = "as", value_name = "RESOURCE-SERVER")]
    pub at: Option<String>,
}

#[derive(Args)]
pub struct ListTokens {
    #[command(flatten)]
    pub which: WhichTokens,
    /// How many to show, 10000 or fewer
    #[arg(long, value_name = "COUNT", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=LONGEST_LIST))]
    pub limit: u32,
    /// Show those that are dead too, as far as there is something left of them
    #[arg(long)]
    pub dead: bool,
}

#[derive(Args)]
#[group(required = true, multiple = true)]
pub struct WhichTokens {
    /// Given by this user
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Given to this client; looks through all that there are
    #[arg(long, value_name = "ID")]
    pub client: Option<String>,
    /// Issued then or later: 2027-01-15T08:00:00Z, or 24h for a day ago
    #[arg(long, value_name = "TIME", value_parser = read_moment)]
    pub since: Option<Moment>,
    /// Issued before then
    #[arg(long, value_name = "TIME", value_parser = read_moment)]
    pub until: Option<Moment>,
    /// Given in this login session: its token, the first 21 characters or more, or its id
    #[arg(long, value_name = "PART")]
    pub session: Option<String>,
}

/// A moment, as people say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    At(Timestamp),
    Ago(Duration),
}

impl Moment {
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(moment) => moment,
            Self::Ago(duration) => now - duration,
        }
    }
}

fn read_moment(text: &str) -> Result<Moment, &'static str> {
    let ago = || duration::parse(text).map(Moment::Ago);
    let moment = calendar::parse_rfc3339(text).map(Moment::At);
    moment.or_else(|_| ago()).map_err(|_| "write it like 2027-01-15T08:00:00Z, or like 24h for a day ago")
}
