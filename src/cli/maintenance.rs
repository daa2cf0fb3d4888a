//! `migrate`, `token-key`, `config check` and `recover`

use std::process::ExitCode;

use serde_json::json;

use super::CliError;
use super::arguments::{ConfigCommand, Recover, TokenKeyCommand};
use super::context::{Context, confirmations};
use super::output::{Output, columns};
use super::revoke::may_proceed;
use crate::changes::Recorded;
use crate::config::{Config, Sources};
use crate::domain::entropy::SystemEntropy;
use crate::domain::token_key;
use crate::sql::migrations::{self, SchemaState};
use crate::startup::{self, GrantBackend, Stores};

pub fn token_key(command: &TokenKeyCommand, output: &Output) -> Result<ExitCode, CliError> {
    let TokenKeyCommand::Generate = command;
    let key = token_key::generate(&SystemEntropy).map_err(|error| CliError::Failed(error.to_string()))?;
    output.result(&key, &json!({ "token_key": key.as_str() }))?;
    Ok(ExitCode::SUCCESS)
}

pub fn migrate(context: &Context, output: &Output) -> Result<ExitCode, CliError> {
    let ran = context.block_on(migrations::run(context.stores.database.url()));
    let ran = context.migrated + ran.map_err(|error| CliError::Failed(error.to_string()))?;
    let text = match ran {
        0 => "the schema is current; nothing to do".to_owned(),
        ran => format!("the schema is current after {ran} migration(s)"),
    };
    output.result(&text, &json!({ "migrations_run": ran }))?;
    Ok(ExitCode::SUCCESS)
}

pub fn config(command: &ConfigCommand, sources: &Sources, output: &Output) -> Result<ExitCode, CliError> {
    let ConfigCommand::Check { connect } = command;
    let config = Config::load(sources)?;
    startup::check(&config)?;
    let warnings = startup::warnings(&config)?;
    let settings = config.describe(sources)?;
    let rows: Vec<_> = settings
        .iter()
        .map(|(name, value, origin)| vec![(*name).to_owned(), value.clone(), origin.clone()])
        .collect();
    let document: serde_json::Map<_, _> = settings
        .into_iter()
        .map(|(name, value, origin)| (name.to_owned(), json!({ "value": value, "from": origin })))
        .collect();
    let warned = warnings.iter().map(|warning| format!("warning: {warning}"));
    let text: Vec<_> = std::iter::once(columns(&["SETTING", "VALUE", "FROM"], &rows)).chain(warned).collect();
    let text = text.join("\n");
    if !connect {
        let document = json!({ "settings": document, "warnings": warnings });
        output.result(&format!("{text}\nThe configuration is good."), &document)?;
        return Ok(ExitCode::SUCCESS);
    }
    let found = if Stores::embedded_database_exists(&config).is_ok() {
        let context = Context::open(sources)?;
        context.block_on(async { [sql(&context).await, grants(&context).await] })
    } else {
        // A check makes nothing.
        let later = || Ok("embedded; made in the data directory when the server starts".to_owned());
        [("database", later()), ("grant store", later())]
    };
    let mut lines = Vec::new();
    let mut stores = Vec::new();
    for (store, outcome) in &found {
        let (sign, detail) = match outcome {
            Ok(how) => ('+', how),
            Err(why) => ('-', why),
        };
        lines.push(format!("[{sign}] {store}: {detail}"));
        stores.push(json!({ "store": store, "ok": outcome.is_ok(), "detail": detail }));
    }
    let document = json!({ "settings": document, "warnings": warnings, "stores": stores });
    output.result(&format!("{text}\n{}", lines.join("\n")), &document)?;
    let good = found.iter().all(|(_, outcome)| outcome.is_ok());
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn sql(context: &Context) -> (&'static str, Result<String, String>) {
    let state = context.stores.schema_state().await;
    let outcome = match state {
        Ok(SchemaState::Current) => Ok("connected; the schema is current".to_owned()),
        Ok(other) => Err(other.to_string()),
        Err(error) => Err(error.to_string()),
    };
    ("database", outcome)
}

async fn grants(context: &Context) -> (&'static str, Result<String, String>) {
    let outcome = match &context.stores.grants {
        GrantBackend::Redis { control, .. } => match control.health(context.stores.clock.as_ref()).await {
            Ok(health) => match health.maxmemory_policy.as_deref() {
                Some("noeviction") | None => Ok("connected to a Redis primary".to_owned()),
                Some(policy) => Err(format!("Redis has maxmemory-policy {policy}; set it to noeviction")),
            },
            Err(error) => Err(error.to_string()),
        },
        GrantBackend::Sqlite(_) => Ok("embedded, in the data directory".to_owned()),
    };
    ("grant store", outcome)
}

pub fn recover(command: &Recover, context: &Context, output: &Output) -> Result<ExitCode, CliError> {
    let Recover { token_key_lost, destructive: command } = command;
    let failed = |error: String| CliError::Failed(error);
    let witness = context.block_on(context.stores.witness().read());
    let witness = witness.map_err(|error| {
        failed(format!("{error}; recover needs it, to know how far the database had come"))
    })?;
    let seen = witness.map_or_else(|| "nothing".to_owned(), |seen| format!("change {}", seen.number));
    if command.dry_run {
        let text = format!("would revoke every token issued until now; the grant store has seen {seen}");
        output.result(&text, &json!({ "dry_run": true }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let question =
        "Revoke every token issued before now, because the database was restored to an older state?";
    if !may_proceed(command, question)? {
        return Ok(ExitCode::FAILURE);
    }
    let position = context.block_on(context.admin.recover(witness))?;
    let reset = context.block_on(context.stores.reset_witness(position));
    reset.map_err(|error| failed(format!("{error}; run recover again when it can be")))?;
    if *token_key_lost {
        // What was made under them is dead: no replica need wait for them.
        let forgotten = context.block_on(context.stores.feed(None).forget_token_keys());
        forgotten.map_err(|error| failed(format!("{error}; run recover again when it can be")))?;
    }
    let since = context.stores.clock.boot();
    // Replicas that met the loss cannot renew before they see this change.
    let settled = context.settle(Recorded { number: position.number, since }, output)?;
    let text = format!(
        "recovered at change {}: every token issued before is dead everywhere: {}",
        position.number,
        confirmations(&settled)
    );
    output.result(&text, &json!({ "change": position.number.get() }))?;
    Ok(ExitCode::SUCCESS)
}
