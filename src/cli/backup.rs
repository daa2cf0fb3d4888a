//! `backup` and `restore`, of the embedded default.

use std::process::ExitCode;

use serde_json::json;

use super::CliError;
use super::arguments::{RestoreBackup, TakeBackup};
use super::context::{Context, prepare};
use super::output::Output;
use super::revoke::may_proceed;
use crate::admin::Reason;
use crate::config::{Config, Sources};
use crate::startup::backup::{self, BackupError};

impl From<BackupError> for CliError {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Config(error) => error.into(),
            BackupError::Failed(why) => Self::Failed(why),
        }
    }
}

pub fn take(command: &TakeBackup, sources: &Sources, output: &Output) -> Result<ExitCode, CliError> {
    let config = Config::load(sources)?;
    backup::check_embedded(&config)?;
    let context = Context::open_existing(sources)?;
    let directory = &command.directory;
    let manifest = context.block_on(backup::take(&context.stores, directory))?;
    let text = format!(
        "backed up to {}, up to change {} ({} bytes)\n\
         It holds no token key, and needs none: after a restore every token that was issued before is dead.",
        directory.display(),
        manifest.change,
        manifest.bytes()
    );
    let document = json!({
        "directory": directory,
        "change": manifest.change,
        "taken_at": manifest.taken_at,
        "bytes": manifest.bytes(),
    });
    output.result(&text, &document)?;
    Ok(ExitCode::SUCCESS)
}

pub fn restore(
    command: &RestoreBackup,
    sources: &Sources,
    reason: Option<Reason>,
    output: &Output,
) -> Result<ExitCode, CliError> {
    let (config, runtime) = prepare(sources)?;
    let (directory, data_dir) = (&command.directory, config.data_dir.display());
    let manifest = backup::rehearse(&config, directory, command.replace)?;
    let what = format!(
        "{} (taken at {}, up to change {}) into {data_dir}",
        directory.display(),
        manifest.taken_at,
        manifest.change
    );
    if command.destructive.dry_run {
        let text = format!("the backup is whole; would restore {what}, and revoke every token issued before");
        output.result(&text, &json!({ "dry_run": true, "backup_change": manifest.change }))?;
        return Ok(ExitCode::SUCCESS);
    }
    if !may_proceed(&command.destructive, &format!("Restore {what}, and revoke every token issued before?"))?
    {
        return Ok(ExitCode::FAILURE);
    }
    let restored = runtime.block_on(backup::restore(&config, directory, command.replace, reason))?;
    let mut lines = vec![
        format!("restored {what}"),
        format!("recovered at change {}: every token issued before is dead", restored.change),
    ];
    lines.extend(restored.set_aside.iter().map(|aside| format!("what was there is in {}", aside.display())));
    let document = json!({
        "backup_change": manifest.change,
        "change": restored.change,
        "set_aside": restored.set_aside,
    });
    output.result(&lines.join("\n"), &document)?;
    Ok(ExitCode::SUCCESS)
}
