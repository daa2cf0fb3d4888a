//! What revocations cost: until they are acknowledged, under load, and a million of them in memory.

use std::time::{Duration, Instant};

use crate::Options;
use crate::installation::Installation;
use crate::load;
use crate::page::Budgets;
use crate::rounds::{Spread, interleave, percentile};
use crate::support::actors::Token;
use crate::support::http::KeptConnections;
use crate::support::wait;

const SEQUENTIAL: usize = 2000;

pub fn measure(options: &Options, budgets: &mut Budgets) {
    eprintln!("revocations");
    let three = Installation::start(3);
    sequential(&three, budgets);
    under_load(options, &three, budgets);
    drop(three);
    million(options, budgets);
}

/// One after the other, over one kept connection, each asked for afterwards on another replica.
fn sequential(three: &Installation, budgets: &mut Budgets) {
    let connections = KeptConnections::new();
    let mut took = Vec::new();
    for token in three.mint(SEQUENTIAL) {
        let request = three.app.revoke_request(three.deployment.replica(0), &token);
        let began = Instant::now();
        let answer = request.try_send_on(&connections).expect("an answer");
        took.push(began.elapsed());
        answer.expect_status(200);
        let there = three.deployment.replica(1 + took.len() % 2);
        assert!(!three.api.introspect(there, &Token(token)).active(), "acknowledged means gone");
    }
    let (p50, p99) = (percentile(&mut took, 50), percentile(&mut took, 99));
    budgets.note(
        "a revocation acknowledged by 3 replicas",
        "p50 < 5 ms, p99 < 25 ms",
        format!("p50 {:.1} ms, p99 {:.1} ms", p50.as_secs_f64() * 1000.0, p99.as_secs_f64() * 1000.0),
        p50 < Duration::from_millis(5) && p99 < Duration::from_millis(25),
    );
}

/// Sixty-four at a time, each of a token of its own.
fn under_load(options: &Options, three: &Installation, budgets: &mut Budgets) {
    let mut rates = Vec::new();
    for round in 0..options.rounds {
        let minting = three.minting("tokens to revoke");
        minting.run_and_keep(1 + options.seconds / 4);
        let tokens = minting.kept();
        let run = three.revocation("revocation", &tokens).run(options.seconds);
        assert!(run.requests < tokens.len() as f64, "a token for each revocation");
        // wrk throws its very first request away.
        let mut answered = tokens.iter().skip(10).take(100);
        assert!(answered.all(|token| !three.is_active(token)), "acknowledged means gone");
        eprintln!("  round {}: {:.0}/s, p99 {:?}", round + 1, run.per_second, run.p99);
        rates.push(run.per_second);
    }
    let rate = Spread::of(rates);
    budgets.note(
        "acknowledged revocations under load, PostgreSQL, 3 replicas on the same 2 cores",
        "≥ 2,000 a second",
        format!("{rate:.0} a second"),
        rate.median >= 2000.0,
    );
}

/// A replica that remembers a million revoked grants, beside one that remembers none.
fn million(options: &Options, budgets: &mut Budgets) {
    let (none, full) = (Installation::start(1), Installation::start(1));
    let fresh = |installation: &Installation| {
        let server = installation.deployment.replica(0);
        server.terminate();
        let began = Instant::now();
        server.restart();
        let took = began.elapsed();
        std::thread::sleep(Duration::from_secs(2));
        (took, load::resident_bytes(server.id()))
    };
    let (empty_start, empty) = fresh(&full);
    full.revoke_strangers(options.million);
    wait::until_true("the running replica follows", Duration::from_secs(60), || {
        let metrics =
            crate::support::http::get(&full.deployment.replica(0).management_url("/metrics")).text();
        metrics.contains(&format!("symbolon_revoked_grants_in_memory {}", options.million))
    });
    // The allocator gives back what was free for a second.
    std::thread::sleep(Duration::from_secs(2));
    let followed = load::resident_bytes(full.deployment.replica(0).id());
    let (start, occupied) = fresh(&full);
    let megabytes = |bytes: u64| bytes.saturating_sub(empty) as f64 / 1e6;
    budgets.note(
        "1 M revoked grants in memory",
        "≤ 40 MB a replica",
        format!(
            "{:.0} MB after a start, {:.0} MB in one that followed",
            megabytes(occupied),
            megabytes(followed)
        ),
        megabytes(occupied.max(followed)) <= 40.0,
    );
    let load = start.saturating_sub(empty_start).as_secs_f64();
    budgets.note("1 M revoked grants, to load", "≤ 3 s", format!("{load:.1} s"), load <= 3.0);
    let (one, other) = (none.mint(1000), full.mint(1000));
    none.assert_active(&one);
    full.assert_active(&other);
    let targets = [none.introspection("none revoked", &one), full.introspection("1 M revoked", &other)];
    let series = interleave(&targets.each_ref(), options.rounds, options.seconds);
    let [none, full] = series.as_slice() else { panic!("a series for each target") };
    let ratio = full.ratio(none);
    budgets.note(
        "introspection with 1 M revoked grants in memory, × that with none",
        "no cost that can be seen",
        ratio.to_string(),
        ratio.median >= 0.95,
    );
}
