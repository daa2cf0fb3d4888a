//! `serve` and `quickstart`.

use std::process::ExitCode;
use std::time::Duration;

use super::CliError;
use crate::config::{Config, LogFormat, Sources};
use crate::startup::{self, Mode, quickstart};
use crate::telemetry::logging;

pub fn serve(sources: &Sources, mode: Mode) -> Result<ExitCode, CliError> {
    let mut config = Config::load(sources)?;
    if mode == Mode::Quickstart {
        // Nobody balances load over a quickstart: it stops when asked to.
        config.drain_delay = Duration::ZERO;
    }
    let filter = match (mode, config.log.as_str()) {
        // The commands to paste are what a newcomer should see.
        (Mode::Quickstart, "info") => "warn",
        (_, filter) => filter,
    };
    logging::install(filter, config.log_format == LogFormat::Json)
        .map_err(|why| CliError::Usage(format!("SYMBOLON_LOG {why}")))?;
    startup::run(config, mode, Box::new(announce))?;
    Ok(ExitCode::SUCCESS)
}

fn announce(config: &Config, demo: Option<&quickstart::Demo>) {
    use std::io::Write as _;
    let Some(demo) = demo else { return };
    let url = format!("http://{}", config.listen);
    let steps = quickstart::commands(&url, demo)
        .into_iter()
        .map(|(what, command)| format!("\n# {what}\n{command}\n"))
        .collect::<Vec<_>>()
        .concat();
    let text = format!(
        "Symbolon is serving on {url}\n\nPaste these into another terminal, in this order:\n{steps}\n\
         Everything is kept in {}; Ctrl-C stops the server.\n",
        config.data_dir.display()
    );
    // A closed pipe is the reader's choice.
    std::io::stdout().write_all(text.as_bytes()).ok();
    std::io::stdout().flush().ok();
}
