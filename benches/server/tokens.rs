//! What many tokens cost: memory, reading among them, and killing them.

use std::time::Duration;

use crate::Options;
use crate::installation::Installation;
use crate::load;
use crate::page::Budgets;
use crate::rounds::{Spread, interleave, median};
use crate::support::actors::Client;
use crate::support::symbolon::WaitFor;
use crate::support::wait;

/// Of how many tokens a sample is introspected.
const SAMPLE: usize = 30_000;

pub fn measure(options: &Options, budgets: &mut Budgets) {
    eprintln!("many tokens");
    let (few, many) = (Installation::start(1), Installation::start(1));
    let small = few.mint(1000);

    let empty = many.redis_memory();
    many.fill(options.million, SAMPLE / 10);
    let per_token = (many.redis_memory() - empty) as f64 / many.tokens_in_redis() as f64;
    let what = format!("Redis memory per client_credentials token ({} tokens)", many.tokens_in_redis());
    budgets.note(&what, "≤ 256 bytes", format!("{per_token:.0} bytes"), per_token <= 256.0);

    let sample = many.fill(5 * options.million, SAMPLE);
    let targets =
        [few.introspection("1,000 live tokens", &small), many.introspection("5 M live tokens", &sample)];
    many.assert_active(&sample);
    let series = interleave(&targets.each_ref(), options.rounds, options.seconds);
    few.assert_active(&small);
    many.assert_active(&sample);
    let [small, large] = series.as_slice() else { panic!("a series for each target") };
    let ratio = large.ratio(small);
    budgets.note(
        "introspection with 5 M live tokens, × that with 1,000",
        "within 10 % of each other",
        ratio.to_string(),
        (0.9..=1.1).contains(&ratio.median),
    );

    kill(options, &many, &sample, budgets);
}

/// Everything of a client with one token, and of one with five million: the first time, when all of them live, and again.
/// A kill is one row in the change feed, whatever it kills.
fn kill(options: &Options, many: &Installation, sample: &[String], budgets: &mut Budgets) {
    let poor = many.deployment.client("poor", "notes:read");
    let mut one = Vec::new();
    for _ in 0..2 * options.rounds {
        let token = poor.mint(many.deployment.replica(0));
        one.push(revoke_everything(many, &poor));
        assert!(!many.is_active(token.as_str()), "the one token is dead");
    }
    let first = revoke_everything(many, &many.app);
    let alive = sample.iter().filter(|token| many.is_active(token)).count();
    let again: Vec<f64> = (0..2 * options.rounds).map(|_| revoke_everything(many, &many.app)).collect();
    let (Spread { median: one, most: slowest, .. }, again) = (Spread::of(one), median(again));
    let millis = |seconds: f64| format!("{:.0} ms", seconds * 1000.0);
    budgets.note(
        "everything of a client with 5 M live tokens, beside that of one with 1 (the whole command)",
        "the same time within noise, all dead",
        format!(
            "{}, and {} again; one token: {}, at most {}; {alive} of {} alive",
            millis(first),
            millis(again),
            millis(one),
            millis(slowest),
            sample.len()
        ),
        alive == 0 && first <= 1.5 * slowest && again <= slowest,
    );
}

fn revoke_everything(installation: &Installation, client: &Client) -> f64 {
    let began = std::time::Instant::now();
    installation.deployment.cli(&["revoke", "--client", &client.id, "--yes", "--json"]).success();
    began.elapsed().as_secs_f64()
}

/// From the start of the process to the first answer, and what it then occupies.
pub fn start(options: &Options, budgets: &mut Budgets) {
    eprintln!("start");
    let installation = Installation::start(1);
    let token = installation.mint(1).remove(0);
    let server = installation.deployment.replica(0);
    let mut took = Vec::new();
    for _ in 0..2 * options.rounds {
        server.terminate();
        let began = std::time::Instant::now();
        server.restart_until(WaitFor::Spawn);
        wait::until_true("the first answer", Duration::from_secs(10), || {
            let request = installation.api.introspect_request(server, &token);
            request.try_send().is_ok_and(|answer| answer.status == 200)
        });
        took.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    let took = median(took);
    budgets.note("start to first active answer", "< 200 ms", format!("{took:.0} ms"), took < 200.0);
    std::thread::sleep(Duration::from_secs(2));
    let idle = load::resident_bytes(server.id()) as f64 / 1e6;
    budgets.note("idle memory", "< 30 MB", format!("{idle:.1} MB"), idle < 30.0);
}
