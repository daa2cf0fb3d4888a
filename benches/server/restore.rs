//! A Redis that was restored to a dump from before a million revocations, and a replica that starts over it: until it
//! serves, every record that is back has to be deleted once more.

use std::time::{Duration, Instant};

use symbolon::domain::identifier::GrantId;

use crate::Options;
use crate::installation::{Installation, strangers};
use crate::page::Budgets;
use crate::rounds::Spread;

/// Records in one command of the one who fills Redis.
const BATCH: usize = 5000;
const FILL: &str = "for i = 1, #KEYS do redis.call('SET', KEYS[i], ARGV[1], 'EX', 21600) end";

pub fn measure(options: &Options, budgets: &mut Budgets) {
    eprintln!("restore");
    let one = Installation::start(1);
    let (server, redis) = (one.deployment.replica(0), one.deployment.redis());
    let record = record_of(&one);
    server.terminate();
    let revoked = strangers(options.million);
    fill(&one, &revoked, &record);
    let dump = redis.dump();
    one.revoke_grants(&revoked);
    let (mut rates, mut steps) = (Vec::new(), Vec::new());
    for round in 0..options.rounds {
        redis.restore(&dump);
        redis.command(&["CONFIG", "SET", "latency-tracking-info-percentiles", "50 99 100"]);
        assert!(one.tokens_in_redis() >= revoked.len(), "every record is back");
        let began = Instant::now();
        server.restart();
        let took = began.elapsed();
        assert!(one.tokens_in_redis() <= 1, "ready, and {} records are left", one.tokens_in_redis());
        let rate = revoked.len() as f64 / took.as_secs_f64();
        let step = longest_step(&redis.command(&["INFO", "latencystats"]).text());
        eprintln!("  round {}: {took:.1?}, {rate:.0}/s, longest step {step:.1?}", round + 1);
        rates.push(rate);
        steps.push(step);
        server.terminate();
    }
    let rate = Spread::of(rates);
    let step = steps.into_iter().max().unwrap_or_default().as_secs_f64() * 1000.0;
    budgets.note(
        "a dump of Redis from before 1 M revocations: records deleted until a replica that starts is ready",
        "≥ 100,000 a second",
        format!("{rate:.0} a second; one step holds Redis up for {step:.1} ms at most"),
        rate.median >= 100_000.0,
    );
}

/// The record of a real grant, of which the dump has copies.
fn record_of(one: &Installation) -> Vec<u8> {
    let token = one.mint(1).remove(0);
    let grant = GrantId::from_digits(token.as_bytes().get(4..21).expect("a token")).expect("a grant id");
    let record = one.deployment.redis().command(&[b"GET".as_slice(), &key(&grant)]);
    record.bytes().to_vec()
}

fn key(grant: &GrantId) -> Vec<u8> {
    [b"g:".as_slice(), grant.as_bytes()].concat()
}

fn fill(one: &Installation, grants: &[GrantId], record: &[u8]) {
    let mut client = one.deployment.redis().client().expect("a connection");
    for batch in grants.chunks(BATCH) {
        let mut command = vec![b"EVAL".to_vec(), FILL.into(), batch.len().to_string().into_bytes()];
        command.extend(batch.iter().map(key));
        command.push(record.to_vec());
        let reply = client.command(&command).expect("an answer");
        assert!(!reply.is_error(), "{reply:?}");
    }
}

/// The slowest script that Redis has run, which nobody else was answered during.
fn longest_step(stats: &str) -> Duration {
    let line = stats.lines().find_map(|line| line.strip_prefix("latency_percentiles_usec_evalsha:"));
    let longest = line.and_then(|line| line.trim().rsplit_once("p100=")).map_or("0", |(_, micros)| micros);
    Duration::from_secs_f64(longest.parse::<f64>().expect("a number") / 1e6)
}
