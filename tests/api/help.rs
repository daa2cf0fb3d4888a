//! The help, exit statuses, and `--json`.

use std::time::Duration;

use super::support::deployment::Deployment;
use super::support::symbolon::{Server, ServerConfig};
use super::support::wait;
use super::{Place, error_line, with_notes};

/// Every command and what its help must name.
const COMMANDS: &[(&[&str], &[&str])] = &[
    (&["quickstart"], &["--listen", "SYMBOLON_DATA_DIR"]),
    (
        &["serve"],
        &["--listen", "SYMBOLON_TOKEN_KEY", "--redis-url", "--lease", "[default: 30s]", "--log-format"],
    ),
    (&["migrate"], &["schema"]),
    (
        &["client", "create"],
        &[
            "<NAME>",
            "--grant",
            "--scope",
            "--public",
            "--access-token-ttl",
            "--client-id",
            "--secret-stdin",
            "--if-not-exists",
        ],
    ),
    (&["client", "list"], &["--limit", "--after", "[default: 100]", "nothing follows"]),
    (&["client", "show"], &["<ID>"]),
    (&["client", "update"], &["<ID>", "--name", "--grant", "--scope", "--access-token-ttl", "\"default\""]),
    (&["client", "rotate-secret"], &["<ID>", "--overlap", "24h"]),
    (&["client", "disable"], &["<ID>", "revoke all its tokens"]),
    (&["client", "enable"], &["<ID>", "stay revoked"]),
    (&["client", "delete"], &["<ID>", "revoke all its tokens"]),
    (
        &["resource-server", "create"],
        &[
            "<NAME>",
            "--identifier",
            "--scope",
            "--scope-needs-permission",
            "--include-roles",
            "--no-revoke",
            "--if-not-exists",
        ],
    ),
    (&["resource-server", "list"], &["--limit", "--after", "[default: 100]", "nothing follows"]),
    (&["resource-server", "show"], &["<ID>"]),
    (
        &["resource-server", "update"],
        &[
            "<ID>",
            "--name",
            "--identifier",
            "--scope",
            "--scope-needs-permission",
            "--no-scope-needs-permission",
            "--include-roles",
            "--no-roles",
            "--no-revoke",
            "--may-revoke",
        ],
    ),
    (&["resource-server", "rotate-secret"], &["<ID>", "--overlap"]),
    (&["resource-server", "disable"], &["<ID>"]),
    (&["resource-server", "enable"], &["<ID>"]),
    (&["resource-server", "delete"], &["<ID>"]),
    (
        &["user", "create"],
        &["<NAME>", "--password-stdin", "--must-change-password", "--if-not-exists", "e-mail"],
    ),
    (&["user", "set-password"], &["<NAME>", "--password-stdin", "--must-change-password", "login sessions"]),
    (&["user", "show"], &["<NAME>"]),
    (&["user", "list"], &["--limit", "--after", "[default: 100]", "nothing follows"]),
    (&["user", "disable"], &["<NAME>", "revoke everything"]),
    (&["user", "enable"], &["<NAME>", "stays revoked"]),
    (&["user", "delete"], &["<NAME>", "revoke everything"]),
    (&["user", "assign-role"], &["<NAME>", "<ROLE>"]),
    (&["user", "remove-role"], &["<NAME>", "<ROLE>"]),
    (&["user", "grant-permission"], &["<NAME>", "<PERMISSION>"]),
    (&["user", "remove-permission"], &["<NAME>", "<PERMISSION>"]),
    (&["role", "create"], &["<NAME>", "--permission", "may be repeated"]),
    (&["role", "list"], &["--limit", "--after", "[default: 100]", "nothing follows"]),
    (&["role", "show"], &["<NAME>"]),
    (&["role", "update"], &["<NAME>", "--permission", "--no-permissions"]),
    (&["role", "delete"], &["<NAME>"]),
    (&["token", "inspect"], &["<PART>", "--as", "first 21 characters", "standard input"]),
    (&["token", "revoke"], &["[PART]...", "--file", "--reason", "--dry-run", "--yes", "shell's history"]),
    (&["token", "narrow"], &["<PART>...", "--scope", "--reason", "--dry-run", "--yes", "cannot be widened"]),
    (
        &["token", "shorten"],
        &["<PART>...", "--ends-in", "--ends-at", "2027-01-15T08:00:00Z", "--reason", "--dry-run", "--yes"],
    ),
    (&["token", "freeze"], &["<PART>...", "--reason", "--dry-run", "--yes", "shell's history"]),
    (&["token", "thaw"], &["<PART>...", "--reason", "--dry-run", "what they were"]),
    (&["revoke"], &["--client", "--user", "--everything", "--reason", "--dry-run", "--yes"]),
    (&["token-key", "generate"], &[]),
    (&["config", "check"], &["--connect"]),
    (&["healthcheck"], &["--live", "ready"]),
    (&["backup"], &["<DIRECTORY>", "running server", "not there yet"]),
    (&["restore"], &["<DIRECTORY>", "--replace", "--reason", "--dry-run", "--yes", "aside"]),
    (&["recover"], &["--token-key-lost", "--reason", "--dry-run", "--yes", "restored"]),
];

#[test]
fn every_command_explains_itself_and_its_arguments() {
    let place = Place::new();
    for (command, names) in COMMANDS {
        for ask in ["--help", "-h"] {
            let help = place.cli(&[command, &[ask][..]].concat()).success();
            assert_eq!(help.stderr, "");
            let help = help.stdout;
            assert!(help.contains(&format!("Usage: symbolon {}", command.join(" "))), "{help}");
            for name in names.iter().chain(&["--json", "--config"]) {
                assert!(help.contains(name), "{command:?} does not name {name}:\n{help}");
            }
            assert!(help.lines().next().unwrap().len() > 10, "it begins with what it does:\n{help}");
            for line in help.lines().filter(|line| line.trim_start().starts_with('-')) {
                let described = line.trim().split("  ").filter(|part| !part.is_empty()).count() > 1;
                assert!(described, "{command:?} leaves an argument unexplained: {line:?}");
            }
        }
    }
}

/// Words by which commands change something; all others only look, or are no business of the audit.
const CHANGING: &str = "create update rotate-secret disable enable delete set-password assign-role remove-role \
                        grant-permission remove-permission revoke narrow shorten freeze thaw restore recover";

#[test]
fn whatever_changes_something_takes_a_reason_and_nothing_else_does() {
    let place = Place::new();
    for (command, _) in COMMANDS {
        let help = place.cli(&[command, &["--help"][..]].concat()).success().stdout;
        let changes = CHANGING.split_whitespace().any(|word| Some(&word) == command.last());
        assert_eq!(help.contains("--reason <TEXT>"), changes, "{command:?}:\n{help}");
    }
}

#[test]
fn the_overview_names_every_command() {
    let place = Place::new();
    let overview = place.cli(&["--help"]).success().stdout;
    for (command, _) in COMMANDS {
        let named = |line: &str| line.split_whitespace().next() == Some(command[0]);
        assert!(overview.lines().any(named), "{command:?}:\n{overview}");
        if let [group, member] = command {
            let group = place.cli(&[group, "--help"]).success().stdout;
            let named = |line: &str| line.split_whitespace().next() == Some(member);
            assert!(group.lines().any(named), "{command:?}:\n{group}");
        }
    }
    assert_eq!(overview.lines().filter(|line| line.contains("SYMBOLON_")).count(), 0, "short: {overview}");
}

#[test]
fn the_version_is_one_line() {
    let version = Place::new().cli(&["--version"]).success();
    assert_eq!(version.stdout, format!("symbolon {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(Place::new().cli(&["-V"]).success().stdout, version.stdout);
}

#[test]
fn what_is_misspelt_is_refused_in_one_line_with_what_was_probably_meant() {
    let place = Place::new();
    for (arguments, says) in [
        (&["clinet"][..], "'client'"),
        (&["client", "lst"], "'list'"),
        (&["client", "list", "--jsn"], "'--json'"),
        (&["client", "list", "more"], "argument"),
        (&["serve", "--listn", "x"], "'--listen'"),
        (&["token", "revoke", "x", "--reason"], "--reason"),
        (&["frobnicate"], "'frobnicate'"),
        (&["client", "show", "x", "--frobnicate"], "'--frobnicate'"),
    ] {
        let line = error_line(place.cli(arguments), 2);
        assert!(line.contains(says), "{arguments:?}: {line}");
    }
    assert!(!place.path().join("data").exists(), "nothing was done");
}

#[test]
fn a_command_that_is_not_finished_shows_what_may_follow() {
    for arguments in [
        &[][..],
        &["client"],
        &["resource-server"],
        &["user"],
        &["role"],
        &["token"],
        &["token-key"],
        &["config"],
    ] {
        let shown = Place::new().cli(arguments).expect_status(2);
        assert_eq!(shown.stdout, "");
        assert!(shown.stderr.contains("Usage: symbolon") && shown.stderr.contains("Commands:"));
    }
}

#[test]
fn every_command_prints_one_json_document() {
    let deployment = Deployment::embedded();
    let (_, app) = with_notes(&deployment);
    let token = app.mint(deployment.replica(0));
    let part = token.as_str();
    for arguments in [
        &["migrate"][..],
        &["client", "create", "new", "--grant", "client_credentials", "--scope", "unowned"],
        &["client", "list"],
        &["client", "show", "new"],
        &["client", "update", "new", "--name", "newer"],
        &["client", "rotate-secret", "newer"],
        &["client", "disable", "newer"],
        &["client", "enable", "newer"],
        &["client", "delete", "newer"],
        &["resource-server", "create", "new", "--identifier", "urn:new", "--scope", "new"],
        &["resource-server", "list"],
        &["resource-server", "show", "new"],
        &["resource-server", "update", "new", "--no-revoke"],
        &["resource-server", "rotate-secret", "new"],
        &["resource-server", "disable", "new"],
        &["resource-server", "enable", "new"],
        &["resource-server", "delete", "new"],
        &["user", "create", "alice"],
        &["user", "list"],
        &["user", "show", "alice"],
        &["role", "create", "editor", "--permission", "notes:write"],
        &["role", "list"],
        &["role", "show", "editor"],
        &["role", "update", "editor", "--no-permissions"],
        &["user", "assign-role", "alice", "editor"],
        &["user", "remove-role", "alice", "editor"],
        &["user", "grant-permission", "alice", "notes:write"],
        &["user", "remove-permission", "alice", "notes:write"],
        &["user", "disable", "alice"],
        &["user", "enable", "alice"],
        &["revoke", "--user", "alice", "--dry-run"],
        &["revoke", "--user", "alice", "--yes"],
        &["user", "delete", "alice"],
        &["role", "delete", "editor"],
        &["token", "inspect", part],
        &["token", "inspect", part, "--as", "api"],
        &["token", "revoke", part, "--dry-run"],
        &["token", "revoke", part, "--yes"],
        &["revoke", "--client", "app", "--dry-run"],
        &["revoke", "--client", "app", "--yes"],
        &["revoke", "--everything", "--yes"],
        &["token-key", "generate"],
        &["config", "check"],
        &["config", "check", "--connect"],
        &["recover", "--dry-run"],
        &["recover", "--yes"],
    ] {
        let output = deployment.cli(&[arguments, &["--json"]].concat()).success();
        assert_eq!(output.stdout.lines().count(), 1, "{arguments:?}: {}", output.stdout);
        let document = output.json();
        assert!(document.is_object() || document.is_array(), "{arguments:?}: {document}");
        assert_eq!(output.stderr, "", "{arguments:?}: programs read no notes");
    }
}

#[test]
fn serving_commands_print_one_json_document_too() {
    for config in [ServerConfig::serve(), ServerConfig::quickstart()] {
        let server = Server::start(&config.argument("--json"));
        wait::until_true("it says where it serves", Duration::from_secs(5), || !server.stdout().is_empty());
        server.terminate();
        let document: serde_json::Value = serde_json::from_str(&server.stdout()).unwrap();
        assert!(document.is_object(), "{document}");
    }
}

#[test]
fn the_three_exit_statuses_hold_with_json_too() {
    let place = Place::new();
    place.cli(&["client", "list", "--json"]).success();
    error_line(place.cli(&["client", "show", "nobody", "--json"]), 1);
    error_line(place.cli(&["client", "show", "--json"]), 2);
    error_line(place.cli(&["token", "inspect", "short", "--json"]), 2);
    error_line(place.cli(&["config", "check", "--lease", "x", "--json"]), 2);
    error_line(place.cli(&["revoke", "--everything", "--json"]), 2);
}
