//! `serve` and `quickstart`.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::{CliError, Output};
use crate::config::{Config, LogFormat, Sources};
use crate::startup::{self, Mode, quickstart};
use crate::telemetry::logging;

pub fn serve(sources: &Sources, mode: Mode, output: &Output) -> Result<ExitCode, CliError> {
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
    startup::run(config, mode, Box::new(|config, demo| announce(config, demo, output)))?;
    Ok(ExitCode::SUCCESS)
}

fn announce(config: &Config, demo: Option<&quickstart::Demo>, output: &Output) {
    let url = format!("http://{}", config.listen);
    let announced = match demo {
        None => output.document(&json!({})),
        Some(demo) => output.result(&describe(config, &url, demo), &document(&url, demo)),
    };
    // The server serves, whether or not anybody reads this.
    if let Err(CliError::Failed(why) | CliError::Usage(why)) = announced {
        log::warn!("{why}");
    }
}

fn describe(config: &Config, url: &str, demo: &quickstart::Demo) -> String {
    let steps = quickstart::commands(url, demo)
        .into_iter()
        .map(|(what, command)| format!("\n# {what}\n{command}\n"))
        .collect::<Vec<_>>()
        .concat();
    let (user, password) = (demo.user.0, demo.user.1.as_str());
    format!(
        "Symbolon is serving on {url}\n\n\
         Open {url}/demo in a browser and log in as {user} with the password {password}\n\n\
         Or paste these into another terminal, in this order:\n{steps}\n\
         Everything is kept in {}; Ctrl-C stops the server.",
        config.data_dir.display()
    )
}

fn document(url: &str, demo: &quickstart::Demo) -> Value {
    json!({
        "url": url,
        "client_id": demo.client.0,
        "client_secret": demo.client.1.expose(),
        "resource_server_id": demo.resource_server.0,
        "resource_server_secret": demo.resource_server.1.expose(),
        "user": demo.user.0,
        "user_password": demo.user.1.as_str(),
    })
}
