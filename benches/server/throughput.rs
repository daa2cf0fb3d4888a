//! Requests per second, beside the smallest servers that could do the same.

use crate::Options;
use crate::baselines::Baseline;
use crate::installation::Installation;
use crate::page::{Budgets, Table};
use crate::rounds::{COLUMNS, Series, interleave};

pub fn measure(options: &Options, budgets: &mut Budgets) -> Vec<Table> {
    eprintln!("throughput");
    let symbolon = Installation::start(1);
    let tokens = symbolon.mint(1000);
    symbolon.assert_active(&tokens);
    let mut constant = Baseline::start("constant answer", "constant");
    let mut memory = Baseline::start("in-process cache", "memory");
    let mut per_worker = Baseline::start("one GET, a connection per worker", "per-worker");
    let mut shared = Baseline::start("one GET, one connection for all workers", "shared");
    let mut pool = Baseline::start("one GET, a deadpool checkout", "pool");
    let mut allocating =
        Baseline::start_with_mimalloc("one GET, a connection per worker, mimalloc", "per-worker");
    let mut setting = Baseline::start("mint: one SET EX, a connection per worker", "per-worker");
    let targets = [
        constant.constant(),
        memory.introspection(),
        per_worker.introspection(),
        symbolon.introspection("**Symbolon, introspection**", &tokens),
        shared.introspection(),
        pool.introspection(),
        allocating.introspection(),
        symbolon.junk("**Symbolon, introspection of junk**"),
        setting.minting(),
        symbolon.minting("**Symbolon, mint**"),
    ];
    let series = interleave(&targets.each_ref(), options.rounds, options.seconds);
    let [constant, _, get, introspection, _, _, _, _, set, mint] = series.as_slice() else {
        panic!("a series for each target");
    };
    let ratio = introspection.ratio(get);
    budgets.note(
        "introspection that reads Redis",
        "≥ 0.90 × one GET, a connection per worker",
        ratio.to_string(),
        ratio.median >= 0.90,
    );
    let ratio = mint.ratio(set);
    budgets.note(
        "client_credentials mint",
        "≥ 0.80 × one SET EX, a connection per worker",
        ratio.to_string(),
        ratio.median >= 0.80,
    );
    symbolon.assert_active(&tokens);
    let mut tables = vec![table(&series, constant)];
    junk_reads_nothing(&symbolon, budgets);
    drop(targets);
    tables.extend(node(options, &symbolon, &tokens, budgets));
    tables
}

fn table(series: &[Series], constant: &Series) -> Table {
    let columns = [&COLUMNS[..], &["× the constant answer"]].concat();
    let mut table = Table::new("Throughput, 64 connections, 2 workers", &columns);
    for series in series {
        table.row(series.cells().into_iter().chain([series.ratio(constant).to_string()]).collect());
    }
    table
}

fn junk_reads_nothing(symbolon: &Installation, budgets: &mut Budgets) {
    let redis = symbolon.deployment.redis();
    redis.command(&["CONFIG", "RESETSTAT"]);
    let run = symbolon.junk("junk").run(2);
    let reads = redis.command_calls();
    // Each worker verifies its connection once a second, with ROLE and the witness.
    let verified = reads.get("role").copied().unwrap_or(0);
    let gets = reads.get("get").copied().unwrap_or(0).saturating_sub(verified);
    let measured = format!("{gets} GET in {:.0} requests", run.requests);
    budgets.note("junk token", "0 Redis commands", measured, gets == 0);
}

/// Beside node-oidc-provider, in rounds of their own: it is too slow to share those of the others.
fn node(
    options: &Options,
    symbolon: &Installation,
    tokens: &[String],
    budgets: &mut Budgets,
) -> Option<Table> {
    let budget = "≥ 10 × node-oidc-provider 9 with 2 processes";
    let (Some(mut one), Some(mut two)) = (
        Baseline::node("node-oidc-provider 9, 1 process", 1),
        Baseline::node("node-oidc-provider 9, 2 processes", 2),
    ) else {
        budgets.note(
            "introspection that reads Redis",
            budget,
            "not measured: not installed".to_owned(),
            false,
        );
        return None;
    };
    let targets = [
        one.introspection(),
        two.introspection(),
        symbolon.introspection("**Symbolon, introspection**", tokens),
    ];
    let series = interleave(&targets.each_ref(), options.rounds, options.seconds);
    let [_, two, own] = series.as_slice() else { panic!("a series for each target") };
    let ratio = own.ratio(two);
    budgets.note("introspection that reads Redis", budget, ratio.to_string(), ratio.median >= 10.0);
    let mut table = Table::new("Beside node-oidc-provider, both with Redis", &COLUMNS);
    for series in &series {
        table.row(series.cells().to_vec());
    }
    Some(table)
}
