//! Whether time tells inactive tokens apart (X4): measured on demand, for a loaded machine measures its load.
//!
//! `cargo test --release --test conformance timing -- --ignored --nocapture`

use std::hash::{BuildHasher as _, RandomState};
use std::time::Instant;

use symbolon::domain::token::TokenKind;

use crate::forge;
use crate::wire::{Wire, post};
use crate::world::{World, scaled};

const ROUNDS: usize = 20_000;
/// Microseconds that two kinds may differ by: far less than a network's own noise. Unoptimised, reading a record alone
/// takes longer.
const INDISTINCT: f64 = if cfg!(debug_assertions) { 100.0 } else { 10.0 };

/// Mean and variance, without what the scheduler did: the slowest tenth of each is left out.
fn moments(mut times: Vec<f64>) -> (f64, f64, f64) {
    times.sort_by(f64::total_cmp);
    times.truncate(times.len() * 9 / 10);
    let count = f64::from(u32::try_from(times.len()).unwrap());
    let mean = times.iter().sum::<f64>() / count;
    (mean, times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0), count)
}

/// Unknown, revoked and meant for somebody else, asked by turns on one connection.
#[test]
#[ignore = "a statistic of 60,000 requests, which needs a quiet machine"]
fn x4_time_hardly_tells_inactive_tokens_apart() {
    let world: &World = scaled();
    let (revoked, foreign) =
        (world.app.mint(world.server()), world.app.mint_scope(world.server(), "mail:send"));
    world.app.revoke(world.server(), &revoked);
    let kinds = [
        ("unknown", forge::unknown(&world.deployment, TokenKind::Access)),
        ("revoked", revoked.0),
        ("for another audience", foreign.0),
    ];
    let requests = kinds.each_ref().map(|(_, token)| {
        post("/introspect", &world.notes.id, &world.notes.secret, &format!("token={token}"))
    });
    let mut wire = Wire::to(world.server().address());
    let mut times = [(); 3].map(|()| Vec::with_capacity(ROUNDS));
    let chance = RandomState::new();
    for round in 0..ROUNDS {
        // Each once, in an order of chance: no kind follows another more often than it goes before it.
        let mut order = [0_usize, 1, 2];
        order.sort_by_key(|kind| chance.hash_one((round, *kind)));
        for kind in order {
            let begun = Instant::now();
            let answer = wire.exchange(&requests[kind]);
            times[kind].push(begun.elapsed().as_secs_f64() * 1e6);
            assert_eq!(answer.text(), r#"{"active":false}"#);
        }
    }
    let measured = times.map(moments);
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        let ((mean, variance, count), (others_mean, others_variance, others_count)) =
            (measured[one], measured[other]);
        let difference = mean - others_mean;
        let t = difference / (variance / count + others_variance / others_count).sqrt();
        println!(
            "{} {mean:.2} µs, {} {others_mean:.2} µs: {difference:+.2} µs, Welch's t {t:+.1}",
            kinds[one].0, kinds[other].0
        );
        assert!(difference.abs() < INDISTINCT, "{} and {} are told apart", kinds[one].0, kinds[other].0);
    }
}
