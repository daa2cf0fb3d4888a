//! `user …`, `role …` and `revoke --user`

use serde_json::{Value, json};

use super::support::cli::{CliOutput, cli_with_stdin};
use super::support::deployment::Deployment;
use super::{Place, assert_refused, error_line, is_written_below, members};

const PASSWORD: &str = "correct horse battery staple";

fn with_password(place: &Place, arguments: &[&str], stdin: &str) -> CliOutput {
    cli_with_stdin(&place.environment, &[arguments, &["--password-stdin", "--json"]].concat(), stdin)
}

fn json(place: &Place, arguments: &[&str]) -> Value {
    place.cli(&[arguments, &["--json"]].concat()).success().json()
}

fn names(listed: &Value) -> Vec<&str> {
    listed.as_array().unwrap().iter().map(|user| user["name"].as_str().unwrap()).collect()
}

#[test]
fn a_user_is_made_shown_listed_and_deleted() {
    let place = Place::new();
    let made = with_password(&place, &["user", "create", "Alice@Example.com"], PASSWORD).success().json();
    assert_eq!(
        members(&made),
        [
            "created_at",
            "enabled",
            "must_change_password",
            "name",
            "password_changed_at",
            "permissions",
            "roles",
            "user_id"
        ]
    );
    assert!(made["user_id"].as_str().unwrap().starts_with("usr_"));
    assert_eq!((&made["name"], &made["enabled"]), (&json!("Alice@Example.com"), &json!(true)));
    assert_eq!((&made["roles"], &made["permissions"]), (&json!([]), &json!([])));
    for which in ["alice@example.com", "ALICE@EXAMPLE.COM", made["user_id"].as_str().unwrap()] {
        assert_eq!(json(&place, &["user", "show", which]), made, "{which}");
    }
    let shown = place.cli(&["user", "show", "alice@example.com"]).success().stdout;
    assert!(shown.contains("Alice@Example.com") && shown.contains("enabled"), "{shown}");
    let listed = place.cli(&["user", "list"]).success().stdout;
    assert!(listed.starts_with("ID ") && listed.lines().count() == 2, "{listed}");
    assert_eq!(json(&place, &["user", "delete", "alice@example.com"]), json!({}));
    assert_eq!(json(&place, &["user", "list"]), json!([]));
    error_line(place.cli(&["user", "show", "alice@example.com"]), 1);
}

#[test]
fn a_password_is_taken_whole_or_refused_and_never_kept() {
    let place = Place::new();
    let create = |name: &str, stdin: &str| with_password(&place, &["user", "create", name], stdin);
    let longest = "pass phrase ".repeat(86)[..1024].to_owned();
    for (name, stdin) in [
        ("plain", PASSWORD.to_owned()),
        ("newline", format!("{PASSWORD}\n")),
        ("longest", longest.clone()),
        ("longest-newline", format!("{longest}\n")),
    ] {
        assert!(!create(name, &stdin).success().json()["password_changed_at"].is_null(), "{name}");
    }
    assert!(!is_written_below(place.path(), PASSWORD), "what is kept is a hash");
    for (stdin, says) in [
        (String::new(), "15"),
        ("\n".to_owned(), "15"),
        ("tooshort".to_owned(), "15"),
        (format!("{longest}!"), "1024"),
        ("x".repeat(1_000_000), "1024"),
        ("refused".to_owned(), ""),
    ] {
        let line = error_line(create("refused", &stdin), 2);
        assert!(line.contains("--password-stdin") && line.contains(says), "{line}");
        assert!(stdin.trim().len() < 8 || !line.contains(stdin.trim()), "{line}");
    }
    error_line(place.cli(&["user", "show", "refused"]), 1);
    let line = error_line(place.cli(&["user", "set-password", "plain"]), 2);
    assert!(line.contains("--password-stdin"), "{line}");
}

#[test]
fn a_password_can_be_set_anew() {
    let place = Place::new();
    let bare = json(&place, &["user", "create", "alice"]);
    assert!(bare["password_changed_at"].is_null());
    let note = place.cli(&["user", "create", "bob"]).success().stderr;
    assert!(note.contains("nobody can log in"), "{note}");
    let set = with_password(&place, &["user", "set-password", "ALICE", "--must-change-password"], PASSWORD);
    let set = set.success().json();
    assert_eq!((&set["user_id"], &set["must_change_password"]), (&bare["user_id"], &json!(true)));
    assert!(!set["password_changed_at"].is_null());
    let set = with_password(&place, &["user", "set-password", "alice"], PASSWORD).success().json();
    assert_eq!(set["must_change_password"], false);
    error_line(with_password(&place, &["user", "set-password", "nobody"], PASSWORD), 1);
}

#[test]
fn x26_names_that_nobody_could_read_or_type_are_refused() {
    let place = Place::new();
    let long = "x".repeat(255);
    for name in
        ["", " ", " alice", "alice ", "a\nb", "\u{1b}[31m", "a\u{200b}b", "usr_1", "\u{202e}ecila", &long]
    {
        let line = error_line(place.cli(&["user", "create", name]), 2);
        assert!(line.contains("a user's name has 1 to 254 bytes"), "{line}");
        assert!(!line.contains('\u{1b}'), "nothing steers the terminal: {line:?}");
    }
    for name in ["", " ", "a\nb", "editor ", &"x".repeat(201)] {
        let line = error_line(place.cli(&["role", "create", name]), 2);
        assert!(line.contains("a role's name has"), "{line}");
    }
    for permission in ["", "a b", "a  b", "\"", "a\\b", "\u{e4}", " a", "a ", &"x".repeat(5000)] {
        for arguments in [
            &["role", "create", "r", "--permission", permission][..],
            &["user", "grant-permission", "alice", permission],
            &["user", "remove-permission", "alice", permission],
        ] {
            let line = error_line(place.cli(arguments), 2);
            assert!(line.contains("is not a permission"), "{line}");
        }
    }
    assert_eq!(json(&place, &["user", "list"]), json!([]));
    assert_eq!(json(&place, &["role", "list"]), json!([]));
}

#[test]
fn a_name_is_taken_in_every_spelling() {
    let place = Place::new();
    let made = json(&place, &["user", "create", "Stra\u{df}e"]);
    let line = error_line(place.cli(&["user", "create", "STRASSE"]), 1);
    assert!(line.contains("already") && line.contains("--if-not-exists"), "{line}");
    assert_eq!(json(&place, &["user", "create", "strasse", "--if-not-exists"]), made);
    assert_eq!(names(&json(&place, &["user", "list"])), ["Stra\u{df}e"]);
}

#[test]
fn x32_a_list_comes_in_parts() {
    let place = Place::new();
    for name in ["carol", "Alice", "bob", "dave", "Eve"] {
        json(&place, &["user", "create", name]);
    }
    let all = json(&place, &["user", "list"]);
    assert_eq!(names(&all), ["Alice", "bob", "carol", "dave", "Eve"]);
    let part = place.cli(&["user", "list", "--limit", "2"]).success();
    assert!(part.stdout.contains("bob") && !part.stdout.contains("carol"), "{}", part.stdout);
    assert!(part.stderr.contains("--after \"bob\""), "{}", part.stderr);
    assert_eq!(names(&json(&place, &["user", "list", "--limit", "2", "--after", "bob"])), ["carol", "dave"]);
    assert_eq!(names(&json(&place, &["user", "list", "--after", "DAVE"])), ["Eve"]);
    assert_eq!(names(&json(&place, &["user", "list", "--after", "bz"])), ["carol", "dave", "Eve"]);
    assert!(names(&json(&place, &["user", "list", "--after", "zoe"])).is_empty());
    assert_refused(
        2,
        |arguments| place.cli(arguments),
        &[
            (&["user", "list", "--limit", "0"], &["--limit", "1..=1000"]),
            (&["user", "list", "--limit", "1001"], &["--limit", "1..=1000"]),
            (&["user", "list", "--limit=-1"], &["--limit"]),
            (&["user", "list", "--limit", "99999999999999999999"], &["--limit"]),
            (&["user", "list", "--limit", "ten"], &["--limit"]),
            (&["user", "list", "--after", ""], &["name"]),
        ],
    );
}

#[test]
fn users_have_roles_and_permissions() {
    let place = Place::new();
    json(&place, &["user", "create", "alice"]);
    let role = json(&place, &["role", "create", "editor", "--permission", "b", "--permission", "a"]);
    assert_eq!((&role["name"], &role["permissions"]), (&json!("editor"), &json!(["a", "b"])));
    json(&place, &["role", "create", "Night shift"]);
    json(&place, &["user", "assign-role", "alice", "editor"]);
    let user = json(&place, &["user", "assign-role", "ALICE", "Night shift"]);
    assert_eq!(user["roles"], json!(["Night shift", "editor"]));
    let user = json(&place, &["user", "grant-permission", "alice", "b"]);
    assert_eq!(user["permissions"], json!(["b"]));
    let said = place.cli(&["user", "remove-permission", "alice", "b"]).success().stdout;
    assert!(said.contains("still by the role editor"), "{said}");
    assert_eq!(json(&place, &["user", "show", "alice"])["permissions"], json!([]));
    let user = json(&place, &["user", "remove-role", "alice", "Night shift"]);
    assert_eq!(user["roles"], json!(["editor"]));

    let role = json(&place, &["role", "update", "editor", "--permission", "c"]);
    assert_eq!(role["permissions"], json!(["c"]));
    assert_eq!(json(&place, &["role", "show", "editor"]), role);
    assert_eq!(json(&place, &["role", "update", "editor", "--no-permissions"])["permissions"], json!([]));
    assert_eq!(json(&place, &["role", "delete", "editor"]), json!({}));
    assert_eq!(json(&place, &["user", "show", "alice"])["roles"], json!([]));
    assert_refused(
        1,
        |arguments| place.cli(arguments),
        &[
            (&["user", "assign-role", "alice", "editor"], &["\"editor\"", "symbolon role list"]),
            (&["user", "remove-role", "alice", "editor"], &["\"editor\"", "symbolon role list"]),
            (&["user", "assign-role", "nobody", "Night shift"], &["\"nobody\"", "symbolon user list"]),
            (&["user", "grant-permission", "nobody", "x"], &["\"nobody\"", "symbolon user list"]),
            (&["role", "update", "none", "--permission", "x"], &["\"none\"", "symbolon role list"]),
            (&["role", "show", "none"], &["\"none\"", "symbolon role list"]),
            (&["role", "delete", "none"], &["\"none\"", "symbolon role list"]),
            (&["role", "create", "Night shift"], &["already"]),
        ],
    );
    let line = error_line(place.cli(&["role", "update", "Night shift"]), 2);
    assert!(line.contains("--permission"), "{line}");
}

#[test]
fn a_user_is_disabled_and_enabled() {
    let deployment = Deployment::embedded();
    deployment.cli(&["user", "create", "alice"]).success();
    let disabled = deployment.cli(&["user", "disable", "Alice"]).success().stdout;
    assert!(disabled.contains("revoked") && disabled.contains("confirmed by 1 replica(s)"), "{disabled}");
    assert_eq!(deployment.cli(&["user", "show", "alice", "--json"]).success().json()["enabled"], false);
    let enabled = deployment.cli(&["user", "enable", "alice"]).success().stdout;
    assert!(enabled.contains("stays revoked") && enabled.contains("confirmed by 1 replica(s)"), "{enabled}");
    for command in ["show", "disable", "enable", "delete"] {
        let line = error_line(deployment.cli(&["user", command, "nobody"]), 1);
        assert!(line.contains("\"nobody\"") && line.contains("symbolon user list"), "{line}");
    }
}

#[test]
fn everything_given_for_a_user_can_be_revoked() {
    let deployment = Deployment::embedded();
    let made = deployment.cli(&["user", "create", "alice", "--json"]).success().json();
    let id = made["user_id"].as_str().unwrap();
    let dry = deployment.cli(&["revoke", "--user", "ALICE", "--dry-run"]).success().stdout;
    assert!(dry.contains("would revoke") && dry.contains(id), "{dry}");
    let revoked = deployment.cli(&["revoke", "--user", "alice", "--yes"]).success().stdout;
    assert!(revoked.contains(id) && revoked.contains("confirmed by 1 replica(s)"), "{revoked}");
    error_line(deployment.cli(&["revoke", "--user", "nobody", "--yes"]), 1);
    error_line(deployment.cli(&["revoke", "--user", "alice", "--everything", "--yes"]), 2);
}
