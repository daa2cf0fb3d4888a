//! `token …`

use std::process::ExitCode;

use super::arguments::TokenCommand;
use super::context::Context;
use super::output::Output;
use super::{CliError, edit, inspect, list_tokens, revoke_tokens};

pub fn run(command: TokenCommand, context: &Context, output: &Output) -> Result<ExitCode, CliError> {
    match command {
        TokenCommand::Inspect(inspect) => inspect::run(&inspect, context, output),
        TokenCommand::List(list) => list_tokens::run(&list, context, output),
        TokenCommand::Revoke(revoke) => revoke_tokens::run(&revoke, context, output),
        TokenCommand::Edit(edit) => edit::run(&edit, context, output),
    }
}
