//! The arguments of lists that come in parts.

use clap::Args;

/// How many one part holds at most.
const LONGEST_PART: i64 = 1000;

#[derive(Args)]
pub struct ListPart {
    /// How many to show, 1000 or fewer; where fewer than that come, nothing follows them
    #[arg(long, value_name = "COUNT", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=LONGEST_PART))]
    pub limit: u32,
    /// Begin after this name: the last one of the part before
    #[arg(long, value_name = "NAME")]
    pub after: Option<String>,
}
