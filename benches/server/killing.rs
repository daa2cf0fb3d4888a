//! What it takes to kill a long list of leaked tokens: the whole command, from reading the file to the last verdict, each
//! batch confirmed by every replica.

use std::fs;
use std::time::Instant;

use crate::Options;
use crate::installation::Installation;
use crate::page::Budgets;
use crate::rounds::Spread;
use crate::support::actors::Token;
use crate::support::scratch;

/// Of how many it is looked whether they are dead.
const SAMPLE: usize = 500;

pub fn measure(options: &Options, budgets: &mut Budgets) {
    eprintln!("lists of leaked tokens");
    for replicas in [1, 3] {
        let installation = Installation::start(replicas);
        let count = options.million / 10;
        let rates = (0..options.rounds.min(3)).map(|_| revoke_list(&installation, count)).collect();
        let rate = Spread::of(rates);
        budgets.note(
            &format!(
                "a file of {count} leaked tokens, PostgreSQL, {replicas} replica(s) on the same 2 cores"
            ),
            "≥ 5,000 acknowledged a second",
            format!("{rate:.0} a second, all dead"),
            rate.median >= 5000.0,
        );
    }
}

/// How many a second.
fn revoke_list(installation: &Installation, count: usize) -> f64 {
    let minting = installation.minting("tokens to leak");
    while minting.kept().len() < count {
        minting.run_and_keep(1);
    }
    let mut tokens = minting.kept();
    tokens.truncate(count);
    let directory = scratch::directory("leaked");
    let path = |name: &str| directory.path().join(name).display().to_string();
    fs::write(path("tokens"), tokens.join("\n")).expect("a list can be written");
    installation.assert_active(&tokens[count - 10..]);
    let (list, verdicts) = (path("tokens"), path("verdicts"));
    let began = Instant::now();
    let revoke = ["token", "revoke", "--file", &list, "--verdicts", &verdicts, "--yes", "--json"];
    let revoked = installation.deployment.cli(&revoke).success().json();
    let took = began.elapsed().as_secs_f64();
    assert_eq!((&revoked["entries"], &revoked["revoked"]), (&count.into(), &count.into()), "{revoked}");
    let told = fs::read_to_string(&verdicts).expect("the verdicts");
    assert_eq!(told.lines().filter(|line| line.ends_with("\trevoked")).count(), count);
    for token in tokens.iter().step_by(count.div_ceil(SAMPLE)) {
        for server in installation.deployment.replicas() {
            let answer = installation.api.introspect(server, &Token(token.clone()));
            assert!(!answer.active(), "acknowledged means gone");
        }
    }
    let rate = count as f64 / took;
    eprintln!("  {count} in {took:.1} s: {rate:.0} a second");
    rate
}
