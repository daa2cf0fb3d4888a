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
    let failed = |error: std::io::Error| CliError::Failed(error.to_string());
    // SQL work has threads of its own: a slow disk must not hold up requests.
    let sql = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("sql")
        .enable_all()
        .build()
        .map_err(failed)?;
    let served =
        actix_web::rt::System::new().block_on(startup::serve(config, mode, &sql, Box::new(announce)));
    // A statement that hangs must not hold up the end.
    sql.shutdown_timeout(Duration::from_millis(500));
    served?;
    Ok(ExitCode::SUCCESS)
}

fn announce(config: &Config, demo: Option<&quickstart::Demo>) {
    use std::io::Write as _;
    let Some(demo) = demo else { return };
    let mut text = format!(
        "Symbolon is serving on http://{}\n\nPaste these into another terminal, in this order:\n",
        config.listen
    );
    for (what, command) in quickstart::commands(&format!("http://{}", config.listen), demo) {
        text.push_str(&format!("\n# {what}\n{command}\n"));
    }
    text.push_str(&format!(
        "\nEverything is kept in {}; Ctrl-C stops the server.\n",
        config.data_dir.display()
    ));
    // A closed pipe is the reader's choice.
    std::io::stdout().write_all(text.as_bytes()).ok();
    std::io::stdout().flush().ok();
}
