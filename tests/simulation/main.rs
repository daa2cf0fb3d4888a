//! The change feed's own code, driven through interleavings that no real database would show on demand.
//!
//! The companion of the exhaustive model (`tests/model`), which proves the design: here the code itself runs,
//! [`Replica`](symbolon::changes::Replica), `Acknowledger`, `ChangeFeed`, `Sequence` and `WitnessMover`, over a
//! simulated SQL and a simulated grant store, on machines whose clocks run at different speeds.
//!
//! Everything is one thread and one seed. Tasks are futures that a scheduler polls by hand, in any order;
//! statements are messages that the servers execute at any later time; time passes when the scheduler says so.
//! Machines freeze, die, are cut off; single tasks starve; answers are lost; SQL crashes; the grant store fails
//! over to an older copy, is restored from a dump, is flushed. See [`checker`] for what must never happen.
//!
//! - `SYMBOLON_SIMULATION_SEEDS=100000 cargo test --test simulation chance` for a long search;
//! - `SYMBOLON_SIMULATION_SEED=7 cargo test --test simulation chance -- --nocapture` tells one run in full.

#![cfg(test)]
#![allow(clippy::disallowed_methods, reason = "the seeds to run come from the environment")]

#[path = "../support/splitmix.rs"]
mod splitmix;

mod broken;
mod chance;
mod checker;
mod connection;
mod grants;
mod mutations;
mod process;
mod request;
mod rng;
mod script;
mod server;
mod sql;
mod time;
mod traps;
mod witness_traps;
mod world;

use std::sync::Arc;

use symbolon::domain::token_key::TokenKeys;

use broken::Broken;
use chance::{Menu, Tally, run};
use checker::Checker;
use grants::Store;
use rng::Rng;
use server::Server;
use sql::Tables;
use time::Time;

/// What everything in one run shares.
pub struct Shared {
    pub rng: Arc<Rng>,
    pub time: Arc<Time>,
    pub sql: Arc<Server<Tables>>,
    pub store: Arc<Server<Store>>,
    pub keys: Arc<TokenKeys>,
    pub checker: Checker,
    pub broken: Option<Broken>,
    /// Introspections find every record, as if the grant store had been restored a moment ago, and nothing is
    /// ever forgotten: what is dead, the feed alone says.
    pub finds_all: bool,
    /// How often replicas look for silent rows, in percent of their renewals.
    pub looks_around: u64,
    aloud: bool,
}

impl Shared {
    fn new(seed: u64, broken: Option<Broken>, aloud: bool) -> Self {
        let rng = Arc::new(Rng::new(seed));
        Self {
            finds_all: false,
            looks_around: [3, 10, 40][rng.index(3)],
            rng,
            time: Arc::default(),
            sql: Arc::new(Server::new(Tables::default())),
            store: Arc::new(Server::new(Store::default())),
            keys: Arc::new(TokenKeys::from_secrets([[1; 32].to_vec()]).unwrap()),
            checker: Checker::default(),
            broken,
            aloud,
        }
    }

    /// Tells what happens, when one run is told in full.
    pub fn note(&self, what: impl FnOnce() -> String) {
        if self.aloud {
            println!("{:>9} µs  {}", self.time.micros(), what());
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Runs the seeds; says which one fails, and how.
fn chance(menu: Menu, seeds: u64) {
    if let Some(seed) = number("SYMBOLON_SIMULATION_SEED") {
        println!("{:?}", run(seed, None, menu, true).unwrap());
        return;
    }
    let seeds = number("SYMBOLON_SIMULATION_SEEDS").unwrap_or(seeds);
    let mut sum = Tally::default();
    for seed in 0..seeds {
        match run(seed, None, menu, false) {
            Ok(tally) => {
                sum.micros += tally.micros;
                sum.steps += tally.steps;
                sum.live_answers += tally.live_answers;
                sum.acknowledged += tally.acknowledged;
            }
            Err(violation) => panic!("SYMBOLON_SIMULATION_SEED={seed}: {violation}"),
        }
    }
    println!("{seeds} runs: {sum:?}");
}

#[test]
fn chance_finds_nothing_while_all_is_well() {
    chance(Menu { faults: false, store_lies: false, ..Menu::ALL }, 50);
}

#[test]
fn chance_finds_nothing_whatever_fails() {
    chance(Menu { store_lies: false, ..Menu::ALL }, 300);
}

#[test]
fn chance_finds_nothing_when_the_grant_store_lies() {
    chance(Menu::ALL, 300);
}
