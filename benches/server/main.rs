//! The whole server, measured against the budgets of the design: `scripts/bench`.
//!
//! Real processes on one machine: Symbolon, redis-server, PostgreSQL (on memory-backed storage where there is room), the
//! baselines, and wrk. What is compared runs in turn, several rounds of it, and what counts is the ratio. Prints tables in
//! Markdown; with `--write`, puts them into `docs/PERFORMANCE.md` too. Ends with 1 when a budget is missed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a benchmark measures real time, rounds what it prints, and stops where it cannot go on"
)]

mod baselines;
mod finding;
mod installation;
mod killing;
mod load;
mod logins;
mod page;
mod people;
mod restore;
mod revocations;
mod rounds;
#[path = "../../tests/support/mod.rs"]
mod support;
mod throughput;
mod tokens;

use std::fs;
use std::process::{Command, ExitCode};

use clap::Parser;

use crate::page::{Budgets, Table};

/// Measures Symbolon beside the baselines and prints the tables.
#[derive(Parser)]
#[command(name = "scripts/bench")]
pub struct Options {
    /// How often each thing is run.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// For how long each run lasts, in seconds.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// How many tokens, and revocations, a million is; less for a quick look.
    #[arg(long, default_value_t = 1_000_000)]
    million: usize,
    /// Only these: throughput, tokens, revocations, finding, killing, restore, people, start.
    #[arg(long)]
    only: Vec<String>,
    /// Put the tables into docs/PERFORMANCE.md.
    #[arg(long)]
    write: bool,
    /// Cargo says it to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == part)
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.write && !options.only.is_empty() {
        eprintln!("--write puts all tables into the page; leave out --only");
        return ExitCode::from(2);
    }
    let (mut budgets, mut tables) = (Budgets::new(), Vec::<Table>::new());
    if options.wants("throughput") {
        tables.extend(throughput::measure(&options, &mut budgets));
    }
    if options.wants("tokens") {
        tokens::measure(&options, &mut budgets);
    }
    if options.wants("revocations") {
        revocations::measure(&options, &mut budgets);
    }
    if options.wants("killing") {
        killing::measure(&options, &mut budgets);
    }
    if options.wants("restore") {
        restore::measure(&options, &mut budgets);
    }
    if options.wants("finding") {
        finding::measure(&options, &mut budgets);
    }
    if options.wants("people") {
        tables.extend(people::measure(&options, &mut budgets));
        logins::measure(&options, &mut budgets);
    }
    if options.wants("start") {
        tokens::start(&options, &mut budgets);
    }
    let text = page::render(&machine(&options), &budgets, &tables);
    println!("{text}");
    if options.write {
        page::write(&text);
    }
    if budgets.missed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What it was measured on, and how.
fn machine(options: &Options) -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("", |(_, name)| name);
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let version = |program: &str, flag: &str| {
        let output = Command::new(program).arg(flag).output();
        let text =
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        text.split_whitespace()
            .find(|word| word.trim_start_matches("v=").starts_with(|c: char| c.is_ascii_digit()))
            .map_or_else(String::new, |word| word.trim_start_matches("v=").to_owned())
    };
    format!(
        "Measured on {cores} cores ({model}), with the load generator and every server on the same cores; redis-server {}, \
         PostgreSQL {}, {} rounds of {} s each, medians (least–most of the rounds in brackets).",
        version("redis-server", "--version"),
        version("psql", "--version"),
        options.rounds,
        options.seconds
    )
}
