//! The arguments of the commands that back up and restore.

use std::path::PathBuf;

use clap::Args;

use super::Destructive;

#[derive(Args)]
pub struct TakeBackup {
    /// Where to: a directory that is not there yet
    pub directory: PathBuf,
}

#[derive(Args)]
pub struct RestoreBackup {
    /// A directory that `symbolon backup` has made
    pub directory: PathBuf,
    /// Put aside what the data directory holds
    #[arg(long)]
    pub replace: bool,
    #[command(flatten)]
    pub destructive: Destructive,
}

#[derive(Args)]
pub struct Recover {
    /// Every replica has another token key now: forget which ones live tokens were made under
    #[arg(long)]
    pub token_key_lost: bool,
    #[command(flatten)]
    pub destructive: Destructive,
}
