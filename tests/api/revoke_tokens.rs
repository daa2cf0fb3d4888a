//! `token revoke`: tokens that leaked, one or a list, with a verdict for each.

use std::fs;
use std::time::Duration;

use super::login_sessions::{House, SESSION};
use super::support::actors::Token;
use super::support::cli::{CliOutput, cli_with_stdin};
use super::support::deployment::Deployment;
use super::support::wait;
use super::tokens::forge;
use super::{Place, error_line, with_notes};

const NOT_OURS: &str = "not ours\tno token key of this installation made it";

fn revoke_from(deployment: &Deployment, stdin: &str, arguments: &[&str]) -> CliOutput {
    let arguments = [&["token", "revoke"], arguments].concat();
    cli_with_stdin(deployment.environment(), &arguments, stdin)
}

/// The lines that tell of entries, without the one that sums up.
fn verdicts(output: &CliOutput) -> Vec<&str> {
    output
        .stdout
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit() && line.contains('\t')))
        .collect()
}

fn revocations(deployment: &Deployment, grant: &str) -> String {
    let sql = format!("SELECT count(*) FROM changes WHERE kind = 'revoke-grant' AND target = '{grant}'");
    deployment.database().execute(&sql)
}

#[test]
fn revoke_takes_any_part_and_gives_a_verdict_for_each() {
    let deployment = Deployment::embedded();
    let (api, app) = with_notes(&deployment);
    let server = deployment.replica(0);
    let tokens: Vec<Token> = (0..3).map(|_| app.mint(server)).collect();
    let spared = app.mint(server);
    let parts = [tokens[0].as_str(), &tokens[1].as_str()[..21], tokens[2].grant_id()];
    let revoked =
        deployment.cli(&["token", "revoke", parts[0], parts[1], parts[2], "--yes"]).success().stdout;
    let lines: Vec<&str> = revoked.lines().collect();
    for ((line, token), number) in lines.iter().zip(&tokens).zip(1..) {
        assert_eq!(*line, format!("{number}\t{}\trevoked", token.grant_id()));
        assert!(!api.introspect(server, token).active());
    }
    assert!(lines[3].starts_with("3 revoked; dead everywhere: confirmed by 1 replica(s)"), "{revoked}");
    assert!(api.introspect(server, &spared).active());
    // Again, which is safe, and for programs.
    let again = deployment.cli(&["token", "revoke", parts[0], "--yes", "--json"]).success().json();
    assert_eq!(again["grants"][0]["grant_id"], tokens[0].grant_id());
    assert_eq!(again["grants"][0]["revoked"], true);
    assert_eq!(again["grants"][0]["verdict"], "already dead");
    assert_eq!(again["confirmed"]["replicas"][0]["standing"], "applied");
}

#[test]
fn a_verdict_says_what_each_line_was_before() {
    for (deployment, is_scaled) in [(Deployment::embedded(), false), (Deployment::scaled(1), true)] {
        let (api, app) = with_notes(&deployment);
        let other = deployment.client("other", super::SCOPE);
        let server = deployment.replica(0);
        let (live, killed) = (app.mint(server), other.mint(server));
        deployment.cli(&["revoke", "--client", "other", "--yes"]).success();
        let spared = app.mint(server);
        let forged = forge(spared.grant_id());
        let absent = "00000000000000001";
        let list = [
            live.as_str(),
            "",
            killed.as_str(),
            forged.as_str(),
            absent,
            "sya_123",
            live.grant_id(),
            "\u{ff}",
        ];
        let revoked = revoke_from(&deployment, &list.join("\n"), &["-", "--yes"]).expect_status(1);
        let died = "everything of its client, its user, its login session, or of everybody, was revoked after it was issued";
        let lines = verdicts(&revoked);
        assert_eq!(lines[0], format!("1\t{}\trevoked", live.grant_id()));
        assert_eq!(lines[1], format!("3\t{}\talready dead\t{died}", killed.grant_id()));
        assert_eq!(lines[2], format!("4\t{}\t{NOT_OURS}", spared.grant_id()));
        let never = "the grant store has no such grant: it ended, or never was";
        assert_eq!(lines[3], format!("5\t{absent}\talready dead\t{never}"));
        assert!(lines[4].starts_with("6\t-\tmalformed\t7 characters are too few"), "{}", lines[4]);
        assert_eq!(lines[5], format!("7\t{}\talready dead\tthe grant is revoked", live.grant_id()));
        assert!(lines[6].starts_with("8\t-\tmalformed\t"), "{}", lines[6]);
        assert_eq!(lines.len(), 7);
        let summary = revoked.stdout.lines().last().unwrap();
        assert!(
            summary.starts_with("1 revoked, 3 already dead, 1 not ours, 2 malformed; dead everywhere"),
            "{summary}"
        );
        assert!(!api.introspect(server, &live).active());
        assert!(api.introspect(server, &spared).active(), "whoever saw a grant id cannot forge its end");
        // What the store lacks is recorded all the same: it may come back.
        if is_scaled {
            let grants = [absent, killed.grant_id(), live.grant_id(), spared.grant_id()];
            assert_eq!(grants.map(|grant| revocations(&deployment, grant)), ["1", "1", "1", "0"]);
        }
        let again =
            revoke_from(&deployment, &list.join("\n"), &["-", "--yes", "--json"]).expect_status(1).json();
        let counts =
            ["entries", "revoked", "already_dead", "not_ours", "malformed"].map(|name| again[name].as_u64());
        assert_eq!(counts, [7, 0, 4, 1, 2].map(Some), "{again}");
    }
}

#[test]
fn a_token_of_a_key_that_is_not_known_here_is_revoked_all_the_same() {
    let deployment = Deployment::scaled(1);
    let (api, app) = with_notes(&deployment);
    let server = deployment.replica(0);
    let token = app.mint(server);
    let mut elsewhere = deployment.environment().clone();
    elsewhere
        .insert("SYMBOLON_TOKEN_KEY".to_owned(), "Kioqk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5M=".to_owned());
    let revoked = cli_with_stdin(&elsewhere, &["token", "revoke", token.as_str(), "--yes"], "").success();
    assert!(revoked.stdout.starts_with(&format!("1\t{}\trevoked\n", token.grant_id())), "{}", revoked.stdout);
    assert!(revoked.stderr.contains("not every token key is known here"), "{}", revoked.stderr);
    assert!(!api.introspect(server, &token).active());
}

#[test]
fn revoke_reads_standard_input_and_files_and_reports_what_it_could_not_read() {
    let deployment = Deployment::embedded();
    let (api, app) = with_notes(&deployment);
    let server = deployment.replica(0);
    let place = Place::new();
    let tokens: Vec<Token> = (0..3).map(|_| app.mint(server)).collect();
    let list = place.file("leaked", &format!("{}\r\n\n  {}  \n", tokens[0].as_str(), tokens[1].as_str()));
    revoke_from(&deployment, "", &["--file", &list, "--yes"]).success();
    assert!(tokens[..2].iter().all(|token| !api.introspect(server, token).active()));

    let junk = "syr_thisIsNoTokenOfOurs";
    let stdin = format!("{junk}-but-a-secret-perhaps\n{}\n", tokens[2].as_str());
    let mixed = revoke_from(&deployment, &stdin, &["-", "--yes"]).expect_status(1);
    assert!(!api.introspect(server, &tokens[2]).active(), "a bad line does not save the good ones");
    let lines = verdicts(&mixed);
    assert!(lines[0].starts_with("1\t-\tmalformed\t"), "{}", mixed.stdout);
    assert_eq!(lines[1], format!("2\t{}\trevoked", tokens[2].grant_id()));
    assert!(!mixed.stdout.contains("syr_this"), "{}", mixed.stdout);
    let document = revoke_from(&deployment, &stdin, &["-", "--yes", "--json"]).expect_status(1).json();
    assert_eq!(document["grants"][0]["revoked"], false);
    assert!(document["grants"][0]["why"].as_str().unwrap().contains("only digits and letters"));
    assert_eq!(document["grants"][1]["revoked"], true);

    let nothing = error_line(revoke_from(&deployment, "\n \n", &["-", "--yes"]), 2);
    assert!(nothing.contains("no token was given"), "{nothing}");
    let missing = error_line(deployment.cli(&["token", "revoke", "--file", "no-such-file", "--yes"]), 2);
    assert!(missing.contains("--file no-such-file"), "{missing}");
    error_line(deployment.cli(&["token", "revoke"]), 2);
}

#[test]
fn verdicts_go_to_a_file_and_a_run_goes_on_where_one_stopped() {
    let deployment = Deployment::embedded();
    let (api, app) = with_notes(&deployment);
    let server = deployment.replica(0);
    let place = Place::new();
    let tokens: Vec<Token> = (0..4).map(|_| app.mint(server)).collect();
    let text: Vec<&str> = tokens.iter().map(Token::as_str).collect();
    let list = place.file("leaked", &text.join("\n"));
    let told = place.path().join("verdicts").display().to_string();
    let revoke = ["token", "revoke", "--file", &list, "--yes", "--verdicts", &told];
    let first = deployment.cli(&[&revoke[..], &["--resume-from", "3"]].concat()).success();
    assert!(first.stdout.starts_with("2 revoked; dead everywhere"), "{}", first.stdout);
    let active = tokens.iter().map(|token| api.introspect(server, token).active()).collect::<Vec<_>>();
    assert_eq!(active, [true, true, false, false]);
    let line = error_line(deployment.cli(&revoke), 2);
    assert!(line.contains("there are verdicts in it"), "{line}");
    // What goes on adds to them.
    deployment.cli(&[&revoke[..], &["--resume-from", "2"]].concat()).success();
    let words: Vec<String> = fs::read_to_string(&told)
        .unwrap()
        .lines()
        .map(|line| line.split('\t').step_by(2).take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(words, ["3 revoked", "4 revoked", "2 revoked", "3 already dead", "4 already dead"]);
    let line = error_line(deployment.cli(&["token", "revoke", "--file", &list, "--resume-from", "0"]), 2);
    assert!(line.contains("--resume-from"), "{line}");
}

#[test]
fn a_document_tells_of_each_entry_or_of_none() {
    let deployment = Deployment::embedded();
    for (count, told) in [(1000, true), (1001, false)] {
        let list: Vec<String> = (0..count).map(|id| format!("{id:017}")).collect();
        let dry = revoke_from(&deployment, &list.join("\n"), &["-", "--dry-run", "--json"]).success().json();
        assert_eq!((&dry["entries"], dry["grants"].is_array()), (&count.into(), told));
    }
}

#[test]
fn nothing_is_revoked_by_a_dry_run_or_without_consent() {
    let deployment = Deployment::embedded();
    let (api, app) = with_notes(&deployment);
    let server = deployment.replica(0);
    let token = app.mint(server);
    let dry = deployment.cli(&["token", "revoke", token.as_str(), "--dry-run"]).success();
    assert_eq!(dry.stdout, format!("1\t{}\twould revoke\n1 would be revoked\n", token.grant_id()));
    let dry = deployment.cli(&["token", "revoke", token.as_str(), "--dry-run", "--yes", "--json"]).success();
    assert_eq!(dry.json()["dry_run"], true);
    assert_eq!(dry.json()["would_revoke"], 1);
    assert_eq!(dry.json()["grants"][0]["verdict"], "would revoke");
    // Standard input is no terminal here: there is nobody to ask.
    let line = error_line(deployment.cli(&["token", "revoke", token.as_str()]), 2);
    assert!(line.contains("--yes"), "{line}");
    assert!(api.introspect(server, &token).active());
    deployment.cli(&["token", "revoke", token.as_str(), "--yes"]).success();
    let dry = deployment.cli(&["token", "revoke", token.as_str(), "--dry-run"]).success().stdout;
    assert!(dry.contains("\talready dead\tthe grant is revoked\n"), "{dry}");
}

#[test]
fn a_revocation_is_recorded_with_its_reason_and_holds_for_a_grant_that_redis_does_not_have() {
    let deployment = Deployment::scaled(1);
    let (api, app) = with_notes(&deployment);
    let server = deployment.replica(0);
    let token = app.mint(server);
    let lost = "00000000000000001";
    let reason = "seen in a paste; it's 'quoted'";
    let revoke = ["token", "revoke", token.as_str(), lost, "--yes", "--reason", reason];
    deployment.cli(&revoke).success();
    assert!(!api.introspect(server, &token).active());
    for grant in [token.grant_id(), lost] {
        let sql =
            format!("SELECT actor, reason FROM changes WHERE kind = 'revoke-grant' AND target = '{grant}'");
        assert_eq!(deployment.database().execute(&sql), format!("command line|{reason}"));
    }
    let inspected = deployment.cli(&["token", "inspect", lost, "--json"]).success().json();
    assert_eq!(inspected["dead_because"], "the grant is revoked");
}

#[test]
fn whatever_a_part_calls_itself_the_grant_or_the_session_that_it_leads_to_dies() {
    let house = House::of(Deployment::embedded());
    for mark in ["sya_", "syr_", "syc_", "sys_", "syd_"] {
        let (browser, tokens) = house.logged_in();
        let revoke = |id: &str| {
            let part = format!("{mark}{id}");
            let revoked = house.deployment.cli(&["token", "revoke", &part, "--yes"]).success().stdout;
            assert!(revoked.starts_with(&format!("1\t{id}\trevoked\n")), "{part}: {revoked}");
        };
        revoke(tokens.access.grant_id());
        assert!(!house.is_live(&tokens) && house.is_logged_in(&browser), "{mark}");
        let (browser, tokens) = house.logged_in();
        revoke(&browser.cookies[SESSION][4..21]);
        assert!(!house.is_live(&tokens) && !house.is_logged_in(&browser), "{mark}");
    }
}

#[test]
fn a_line_that_lies_about_what_it_is_protects_nothing_that_comes_after_it() {
    let house = House::of(Deployment::scaled(1));
    let tokens: Vec<_> = (0..3).map(|_| house.logged_in()).collect();
    let ids = |index: usize| (&tokens[index].0.cookies[SESSION][4..21], tokens[index].1.access.grant_id());
    // With the record, without it, and while nobody can say which it is.
    let lists = [0, 1, 2].map(|index| {
        let (session, grant) = ids(index);
        let (cookie, token) = (tokens[index].0.cookies[SESSION].as_str(), tokens[index].1.access.as_str());
        format!("sys_{grant}\n{token}\nsya_{session}\n{cookie}")
    });
    let dump = house.deployment.redis().dump();
    revoke_from(&house.deployment, &lists[0], &["-", "--yes"]).success();
    house.deployment.redis().command(&["FLUSHALL"]);
    revoke_from(&house.deployment, &lists[1], &["-", "--yes"]).success();
    house.deployment.redis().freeze();
    let unasked = revoke_from(&house.deployment, &lists[2], &["-", "--yes", "--json"]).success().json();
    assert_eq!((&unasked["revoked"], &unasked["stores_asked"]), (&2.into(), &false.into()), "{unasked}");
    house.deployment.redis().thaw();
    house.deployment.redis().restore(&dump);
    let answers =
        || house.notes.introspect_str(house.deployment.replica(0), tokens[0].1.access.as_str()).status == 200;
    wait::until_true("it answers again", Duration::from_secs(30), || {
        wait::stays_true(Duration::from_secs(1), answers)
    });
    for ((browser, tokens), list) in tokens.iter().zip(0..) {
        assert_eq!((house.is_live(tokens), house.is_logged_in(browser)), (false, false), "list {list}");
    }
}
