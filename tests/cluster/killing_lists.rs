//! Long lists of leaked tokens: stopped halfway, by a person or by an outage of SQL, they are gone on with; twice at once or
//! one after the other, each line is dead and counted once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::scene::{SOON, Said, Scene, pause};
use crate::support::actors::Token;
use crate::support::cli::{RunningCli, read_lossy};
use crate::support::deployment::Plan;
use crate::support::process::Signal;
use crate::support::{scratch, wait};

/// One in so many lines is a token that lives; the others are beginnings of tokens that the store has not.
const LIVE_EVERY: usize = 1000;

/// Commands that run for a while must not spend it on writing down each step.
fn plan() -> Plan {
    Plan::scaled(2).env("SYMBOLON_LOG", "warn")
}

/// A list in a file, and what is in it.
struct List {
    directory: TempDir,
    lines: usize,
    live: Vec<Token>,
}

impl List {
    fn of(scene: &Scene, lines: usize) -> Self {
        let live: Vec<Token> = (0..lines / LIVE_EVERY).map(|_| scene.live_token()).collect();
        let entry = |number: usize| match number % LIVE_EVERY {
            0 => live[number / LIVE_EVERY].0.clone(),
            _ => format!("sya_{number:017}"),
        };
        let text: Vec<String> = (0..lines).map(entry).collect();
        let list = Self { directory: scratch::directory("list"), lines, live };
        fs::write(list.path("tokens"), text.join("\n")).unwrap();
        list
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// Begins to revoke it; verdicts go to the file of this name.
    fn revoke(&self, scene: &Scene, verdicts: &str, further: &[&str]) -> RunningCli {
        let (tokens, verdicts) = (self.path("tokens"), self.path(verdicts));
        let revoke = ["token", "revoke", "--file", &tokens, "--verdicts", &verdicts, "--yes"];
        RunningCli::start(scene.deployment.environment(), &[&revoke[..], further].concat(), "")
    }

    /// Line number, verdict and why of all that was told.
    fn verdicts(&self, name: &str) -> Vec<(usize, String, String)> {
        let text = read_lossy(Path::new(&self.path(name)));
        let fields = text.lines().map(|line| line.split('\t').map(str::to_owned).collect::<Vec<_>>());
        let verdict = |fields: Vec<String>| {
            let why = fields.get(3).cloned().unwrap_or_default();
            (fields[0].parse().unwrap(), fields[2].clone(), why)
        };
        fields.map(verdict).collect()
    }

    fn wait_for_verdicts(&self, name: &str) {
        wait::until_true("the first verdicts", SOON, || !self.verdicts(name).is_empty());
    }

    fn assert_dead(&self, scene: &Scene) {
        for token in &self.live {
            scene.everywhere(token, Said::Inactive);
        }
    }

    /// Every line has one verdict, in order.
    fn assert_told_once(&self, name: &str) {
        let lines: Vec<usize> = self.verdicts(name).into_iter().map(|(line, ..)| line).collect();
        assert_eq!(lines, (1..=self.lines).collect::<Vec<_>>());
    }
}

/// What stands behind some words in a text.
fn number_after(text: &str, words: &str) -> usize {
    let (_, rest) = text.split_once(words).unwrap_or_else(|| panic!("no {words:?} in {text:?}"));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

#[test]
fn a_list_that_somebody_stops_is_gone_on_with_from_the_line_that_was_named() {
    for signal in [Signal::INT, Signal::TERM] {
        let scene = Scene::of(plan());
        let list = List::of(&scene, 40_000);
        let mut running = list.revoke(&scene, "verdicts", &[]);
        list.wait_for_verdicts("verdicts");
        running.signal(signal);
        let stopped = running.finish().expect_status(1);
        let next = number_after(&stopped.stderr, "--resume-from ");
        let told = list.verdicts("verdicts").len();
        assert_eq!(told, next - 1, "what is said to be done was told: {stopped:?}");
        assert!(told < list.lines, "it was stopped halfway");
        assert!(stopped.stdout.contains("dead everywhere: confirmed by 2 replica(s)"), "{stopped:?}");
        for (number, token) in list.live.iter().enumerate() {
            let expected = if number * LIVE_EVERY < told { Said::Inactive } else { Said::Active };
            scene.everywhere(token, expected);
        }
        list.revoke(&scene, "verdicts", &["--resume-from", &next.to_string()]).finish().success();
        list.assert_told_once("verdicts");
        list.assert_dead(&scene);
    }
}

#[test]
fn sql_that_goes_down_halfway_leaves_no_batch_half_done_and_the_list_is_gone_on_with() {
    let scene = Scene::of(plan().own_postgres().lease("5s"));
    let list = List::of(&scene, 40_000);
    let live = scene.live_token();
    for (round, wait) in [20, 120].into_iter().enumerate() {
        let verdicts = format!("verdicts{round}");
        let running = list.revoke(&scene, &verdicts, &[]);
        list.wait_for_verdicts(&verdicts);
        pause(wait);
        scene.deployment.postgres().kill();
        let stopped = running.finish().expect_status(1);
        let next = number_after(&stopped.stderr, "stopped before line ");
        let end = number_after(&stopped.stderr, &format!("lines {next} to "));
        assert_eq!(list.verdicts(&verdicts).len(), next - 1, "{stopped:?}");
        assert!(stopped.stderr.contains("may have been recorded"), "{stopped:?}");
        scene.deployment.postgres().restart();
        scene.wait_for_recovery(&live);
        let resume = ["--resume-from", &next.to_string()];
        list.revoke(&scene, &verdicts, &resume).finish().success();
        list.assert_told_once(&verdicts);
        // All of the uncertain batch was recorded before, or nothing of it.
        let told = list.verdicts(&verdicts);
        let before = |(_, verdict, why): &(usize, String, String)| {
            verdict == "already dead" && why == "the grant is revoked"
        };
        let uncertain: BTreeSet<bool> = told[next - 1..end].iter().map(before).collect();
        assert_eq!(uncertain.len(), 1, "lines {next} to {end}");
        list.assert_dead(&scene);
    }
}

#[test]
fn two_who_revoke_one_list_at_once_are_both_right_and_a_third_finds_all_dead() {
    let scene = Scene::of(plan());
    let list = List::of(&scene, 20_000);
    let recorded =
        || scene.deployment.database().execute("SELECT count(*) FROM changes WHERE kind = 'revoke-grant'");
    let running = ["one", "other"].map(|name| list.revoke(&scene, name, &[]));
    for running in running {
        running.finish().success();
    }
    let mut revoked = BTreeMap::<usize, usize>::new();
    for name in ["one", "other"] {
        list.assert_told_once(name);
        for (line, verdict, _) in list.verdicts(name) {
            *revoked.entry(line).or_default() += usize::from(verdict == "revoked");
        }
    }
    let once: Vec<usize> =
        revoked.into_iter().filter(|(_, times)| *times > 0).map(|(line, times)| line * times).collect();
    let expected: Vec<usize> = (0..list.live.len()).map(|number| number * LIVE_EVERY + 1).collect();
    let first = &once[..once.len().min(expected.len())];
    assert_eq!((first, once.len()), (expected.as_slice(), expected.len()), "each that lived, by one of them");
    assert_eq!(recorded(), list.lines.to_string());
    list.assert_dead(&scene);
    list.revoke(&scene, "third", &[]).finish().success();
    let third: BTreeSet<_> =
        list.verdicts("third").into_iter().map(|(_, verdict, why)| format!("{verdict}: {why}")).collect();
    assert_eq!(third, BTreeSet::from(["already dead: the grant is revoked".to_owned()]));
    assert_eq!(recorded(), list.lines.to_string(), "what is recorded already is not recorded again");
}

#[test]
fn a_replica_that_freezes_in_the_middle_of_a_list_delays_it_by_one_lease() {
    let scene = Scene::of(plan().lease("2s"));
    let list = List::of(&scene, 10_000);
    let running = list.revoke(&scene, "verdicts", &[]);
    list.wait_for_verdicts("verdicts");
    scene.replica(1).freeze();
    running.finish().success();
    scene.replica(1).thaw();
    for token in &list.live {
        assert_ne!(scene.ask(1, token), Said::Active, "the command had ended with 0");
    }
    scene.replica(1).wait_until_ready(true, Duration::from_secs(10));
    list.assert_dead(&scene);
}
