//! Finding a token among many: the whole command, from its start to its end.

use std::time::{Duration, Instant};

use crate::Options;
use crate::installation::Installation;
use crate::page::Budgets;
use crate::rounds::percentile;
use crate::support::browser::Browser;

const BUDGET: Duration = Duration::from_millis(50);
/// How many grants the user has who is looked for.
const OF_USER: usize = 5;
const SCOPE: &str = "notes:read notes:write";

pub fn measure(options: &Options, budgets: &mut Budgets) {
    eprintln!("finding");
    let installation = Installation::start(1);
    let (deployment, server) = (&installation.deployment, installation.deployment.replica(0));
    let (app, mira) = (deployment.app("reader", SCOPE, &[]), deployment.user("mira"));
    for _ in 0..OF_USER {
        let ask = app.ask().with("scope", SCOPE);
        let answer = Browser::new().allow(server, &mira, &ask);
        app.redeem(server, &ask, &answer);
    }
    let sample = installation.fill(options.million, 300);
    let live = installation.tokens_in_redis();
    let prefixes = sample.iter().map(|token| &token[..21]).cycle();
    let commands = 20 * options.rounds;

    let inspect = prefixes.take(commands).map(|part| {
        let (took, found) = time(&installation, &["token", "inspect", part]);
        assert_eq!((&found["alive"], &found["grant"]["client_name"]), (&true.into(), &"app".into()));
        took
    });
    note(
        budgets,
        &format!("token inspect by prefix, {live} live records (the whole command)"),
        inspect.collect(),
    );
    let list = (0..commands).map(|_| {
        let (took, found) = time(&installation, &["token", "list", "--user", "mira"]);
        assert_eq!(found["grants"].as_array().map(Vec::len), Some(OF_USER));
        took
    });
    note(budgets, &format!("token list --user, {live} live records (the whole command)"), list.collect());
    walk(&installation, live, budgets);
}

/// By client everything is looked through: not more than 100,000 a second, so that nobody notices.
fn walk(installation: &Installation, live: usize, budgets: &mut Budgets) {
    let (took, found) = time(installation, &["token", "list", "--client", "reader"]);
    assert_eq!(found["grants"].as_array().map(Vec::len), Some(OF_USER));
    let measured =
        format!("{:.1} s, {:.0} records a second", took.as_secs_f64(), live as f64 / took.as_secs_f64());
    let what = format!("token list --client of few grants among {live} (the whole command)");
    budgets.note(&what, "all are found", measured, true);
}

fn time(installation: &Installation, arguments: &[&str]) -> (Duration, serde_json::Value) {
    let arguments = [arguments, &["--json"]].concat();
    let began = Instant::now();
    let output = installation.deployment.cli(&arguments);
    (began.elapsed(), output.success().json())
}

fn note(budgets: &mut Budgets, what: &str, mut took: Vec<Duration>) {
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    let (median, most) = (percentile(&mut took, 50), percentile(&mut took, 99));
    let measured = format!("{:.0} ms, p99 {:.0} ms, {} commands", millis(median), millis(most), took.len());
    budgets.note(what, "< 50 ms", measured, median < BUDGET);
}
