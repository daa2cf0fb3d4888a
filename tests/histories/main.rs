//! Random histories: real servers over a real redis-server and a real PostgreSQL, random operations by several
//! threads, random faults meanwhile, and a checker that judges the recorded history afterwards ([`checker`]).
//!
//! | | |
//! |---|---|
//! | `cargo test --test histories` | a bounded slice: two seeds, each with every kind of fault, two to three minutes |
//! | `HISTORY_OPERATIONS=1000000 cargo test --release --test histories` | a long one |
//! | `HISTORY_SEED=7` | the same plan of operations and faults again ([`plan`]) |
//! | `HISTORY_FILE=… cargo test --test histories` | judges a history that was written before, and runs nothing |
//!
//! What a history violates is printed with all events of the token or client, and the whole history is written to a
//! file. PostgreSQL is never set back here: until `symbolon recover` that is outside the promise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on has to stop, and it measures and waits in real time"
)]

#[path = "../support/mod.rs"]
mod support;

mod administration;
mod authorization;
mod checker;
mod dice;
mod edits;
mod faults;
mod history;
mod kills;
mod known;
mod mutations;
mod people;
mod plan;
mod refresh;
mod requests;
mod run;
mod world;

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::env;
use std::hash::{BuildHasher as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Instant;

use checker::{Verdict, excerpt, judge};
use history::{History, Setup};

/// What is run unless something else is asked for: any two seeds that end in these bits ([`set_up`]).
const SEEDS: [u64; 2] = [0b00, 0b11];
const OPERATIONS: usize = 15_000;
/// Violations that are shown in full.
const SHOWN: usize = 5;

#[test]
fn whatever_was_acknowledged_holds_in_random_histories() {
    if let Some(path) = env::var_os("HISTORY_FILE") {
        let history = History::read_from(Path::new(&path)).expect("a history can be read");
        return check(&history);
    }
    let (seed, operations) = (asked_for("HISTORY_SEED"), asked_for("HISTORY_OPERATIONS"));
    let seeds = match (seed, operations) {
        (Some(seed), _) => vec![seed],
        (None, Some(_)) => vec![any_seed()],
        (None, None) => SEEDS.map(|set_up| any_seed() & !0b11 | set_up).to_vec(),
    };
    for seed in seeds {
        let setup = set_up(seed, operations.unwrap_or(OPERATIONS));
        println!("HISTORY_SEED={seed} {setup:?}");
        let began = Instant::now();
        let history = run::run(&setup);
        println!("{} operations in {:.0?}", history.events.len(), began.elapsed());
        check(&history);
        mutations::are_found(&history);
    }
}

/// Two or three replicas, Redis durable or not, as the last two bits of the seed say.
const fn set_up(seed: u64, operations: usize) -> Setup {
    Setup {
        seed,
        operations,
        replicas: if seed & 0b01 == 0 { 2 } else { 3 },
        lease_millis: 2000,
        redis_is_durable: seed & 0b10 == 0,
    }
}

fn any_seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn asked_for<T: FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// Fails, with what there is to look at, if a history violates anything.
fn check(history: &History) {
    let verdict = judge(history);
    println!("{}{:?}", faults_by_kind(history), verdict.tally);
    if !verdict.violations.is_empty() {
        let path = dump_history(history);
        for violation in verdict.violations.iter().take(SHOWN) {
            println!("\n{}", excerpt(history, violation));
        }
        panic!(
            "{} violations: {:?}\njudge it again: HISTORY_FILE={}\nplan it again: HISTORY_SEED={}",
            verdict.violations.len(),
            verdict.by_rule(),
            path.display(),
            history.setup.seed,
        );
    }
    there_was_something_to_judge(history, &verdict);
}

/// A run that hardly answered anything shows nothing.
fn there_was_something_to_judge(history: &History, verdict: &Verdict) {
    let (tally, operations) = (&verdict.tally, history.events.len());
    assert!(tally.asked_of_the_dead > operations / 50, "too few questions about the dead");
    assert!(tally.asked_of_the_living > operations / 50, "too few questions about the living");
    assert!(tally.administered > operations / 1000, "too few changes were acknowledged");
    assert!(tally.authorized > operations / 400, "too few users gave a grant");
    assert!(tally.refreshed > operations / 200, "too few grants were refreshed");
    assert!(tally.killed > operations / 2000, "too few sets were killed");
    assert!(tally.edited > operations / 1000, "too few grants were edited");
    assert!(tally.asked_of_the_frozen > operations / 1000, "too few questions about the frozen");
    assert!(tally.asked_of_the_narrowed > operations / 1000, "too few questions about the narrowed");
    let answered = operations - tally.unavailable - tally.unanswered;
    assert!(
        tally.unavailable_without_a_fault < answered / 100,
        "unavailable far too often while nothing was broken"
    );
}

fn faults_by_kind(history: &History) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for fault in &history.faults {
        *counts.entry(fault.kind.name()).or_default() += 1;
    }
    let kinds = counts.iter().map(|(kind, count)| format!("{kind} {count}")).collect::<Vec<_>>().join(", ");
    format!("{} faults: {kinds}\n", history.faults.len())
}

/// Writes a history where it outlives the test.
fn dump_history(history: &History) -> PathBuf {
    let path = env::temp_dir().join(format!("symbolon-history-{}.jsonl", history.setup.seed));
    history.write_to(&path).expect("a history can be written");
    path
}
