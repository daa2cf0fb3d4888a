//! `audit list`, `audit export` and `audit verify`, as whoever asks "who did that" meets them.

use serde_json::Value;

use super::support::cli::CliOutput;
use super::support::deployment::Deployment;
use super::support::http::Request;
use super::tokens::forge;
use super::{Place, assert_refused, error_line, members, with_notes};

/// A grant that no store has.
const GRANT: &str = "00000000000000001";

/// The rows that a list prints, the newest first.
fn listed(deployment: &Deployment, filter: &[&str]) -> Vec<Value> {
    let list = deployment.cli(&[&["audit", "list", "--json"], filter].concat()).success().json();
    list["rows"].as_array().unwrap().clone()
}

fn said(row: &Value) -> [&str; 4] {
    ["actor", "action", "target", "outcome"].map(|member| row[member].as_str().unwrap())
}

fn verify(deployment: &Deployment, further: &[&str]) -> CliOutput {
    deployment.cli(&[&["audit", "verify"], further].concat())
}

#[test]
fn d5_a_refused_revocation_is_audited_with_who_from_where_and_why() {
    for deployment in [Deployment::embedded(), Deployment::scaled(2)] {
        let (api, app) = with_notes(&deployment);
        let other = deployment.client("other", "notes:read");
        let server = deployment.replica(0);
        let token = app.mint(server);
        assert_eq!(other.revoke_request(server, token.as_str()).send().status, 400);
        assert!(api.introspect(server, &token).active());
        let rows = listed(&deployment, &["--grant", token.as_str()]);
        let (others, own) = (format!("client {}", other.id), format!("client {}", app.id));
        let refused = [others.as_str(), "revoke-grant", token.grant_id(), "refused"];
        assert_eq!(rows.iter().map(said).collect::<Vec<_>>(), [refused]);
        assert_eq!((&rows[0]["from"], &rows[0]["change"]), (&"127.0.0.1".into(), &Value::Null));
        assert!(rows[0]["reason"].as_str().unwrap().contains("another client"), "{}", rows[0]);
        app.revoke(server, &token);
        let rows = listed(&deployment, &["--grant", token.grant_id(), "--limit", "1"]);
        assert_eq!(said(&rows[0]), [own.as_str(), "revoke-grant", token.grant_id(), "done"]);
        assert_eq!(rows[0]["from"], "127.0.0.1");
        verify(&deployment, &[]).success();
    }
}

#[test]
fn d5_what_a_public_client_is_refused_is_audited_once_however_often_it_asks() {
    let deployment = Deployment::embedded();
    let (_, app) = with_notes(&deployment);
    let spa = ["client", "create", "spa", "--public", "--scope", "notes:read", "--json"];
    let spa = deployment.cli(&spa).success().json();
    let spa = spa["client_id"].as_str().unwrap();
    let server = deployment.replica(0);
    let token = app.mint(server);
    let revoke = |token: &str| {
        let form = [("token", token), ("client_id", spa)];
        Request::post(server.url("/revoke")).form(&form).send().status
    };
    assert_eq!([(); 5].map(|()| revoke(token.as_str())), [400; 5]);
    let actor = format!("client {spa}");
    let refused = [actor.as_str(), "revoke-grant", token.grant_id(), "refused"];
    let rows = listed(&deployment, &["--grant", token.as_str()]);
    assert_eq!(rows.iter().map(said).collect::<Vec<_>>(), [refused]);
    // A forgery leaves none: whoever is written down holds a token of ours.
    assert_eq!(revoke(forge(token.grant_id()).as_str()), 200);
    assert_eq!(listed(&deployment, &["--grant", token.as_str()]).len(), 1);
}

#[test]
fn x33_a_revocation_that_cannot_be_audited_does_not_happen() {
    let deployment = Deployment::scaled(2);
    let (api, app) = with_notes(&deployment);
    let token = app.mint(deployment.replica(0));
    let changes = || deployment.database().execute("SELECT count(*) FROM changes");
    let before = changes();
    deployment.database().execute("ALTER TABLE audit RENAME TO gone");
    assert_eq!(app.revoke_request(deployment.replica(0), token.as_str()).send().status, 503);
    deployment.cli(&["revoke", "--client", "app", "--yes"]).expect_status(1);
    deployment.cli(&["client", "disable", "app"]).expect_status(1);
    for server in deployment.replicas() {
        assert!(api.introspect(server, &token).active());
    }
    assert_eq!(changes(), before);
    deployment.database().execute("ALTER TABLE gone RENAME TO audit");
    app.revoke(deployment.replica(1), &token);
    assert!(!api.introspect(deployment.replica(0), &token).active());
    verify(&deployment, &[]).success();
}

#[test]
fn what_admins_do_and_fail_to_do_is_listed_by_its_name() {
    let deployment = Deployment::embedded();
    for command in [
        &["role", "create", "Editors", "--permission", "notes:write"][..],
        &["user", "create", "mira"],
        &["user", "assign-role", "mira", "Editors"],
        &["user", "disable", "mira", "--reason", "left the company"],
        &["revoke", "--everything", "--yes", "--reason", "a drill"],
    ] {
        deployment.cli(command).success();
    }
    deployment.cli(&["user", "disable", "nobody"]).expect_status(1);
    deployment.cli(&["role", "create", "Editors"]).expect_status(1);
    deployment.cli(&["revoke", "--user", "nobody", "--yes"]).expect_status(1);
    deployment.cli(&["revoke", "--client", "nobody", "--dry-run"]).expect_status(1);
    deployment
        .cli(&["token", "shorten", GRANT, "--ends-at", "2020-01-15T08:00:00Z", "--yes"])
        .expect_status(1);
    deployment.cli(&["token", "revoke", "sya_short", "x", GRANT, "--yes"]).expect_status(1);
    let mut rows = listed(&deployment, &["--actor", "command line"]);
    rows.reverse();
    let what = |row: &Value| [&row["action"], &row["outcome"]].map(|text| text.as_str().unwrap().to_owned());
    let expected = [
        ["create-role", "done"],
        ["create-user", "done"],
        ["assign-role", "done"],
        ["kill-subject", "done"],
        ["disable-user", "done"],
        ["kill-everything", "done"],
        ["disable-user", "refused"],
        ["create-role", "refused"],
        ["kill-subject", "refused"],
        ["shorten-grant", "refused"],
        ["revoke-grant", "done"],
        ["kill-login-session", "done"],
        ["revoke-grant", "refused"],
    ];
    assert_eq!(rows.iter().map(what).collect::<Vec<_>>(), expected.map(|row| row.map(str::to_owned)));
    assert_eq!((&rows[2]["detail"], &rows[0]["detail"]), (&"Editors".into(), &"notes:write".into()));
    assert_eq!((&rows[5]["reason"], &rows[6]["target"]), (&"a drill".into(), &"nobody".into()));
    assert!(rows[3..5].iter().all(|row| row["reason"] == "left the company"), "{rows:?}");
    assert_eq!((&rows[9]["target"], &rows[12]["target"]), (&GRANT.into(), &"(2 of 3 entries)".into()));
    assert!(rows.iter().all(|row| row["from"].as_str().unwrap().starts_with("uid ")), "{rows:?}");
    // A secret that stands where a name belongs stays out.
    let secret = "syk_4fR2k9QxT0bLm7cPz";
    deployment.cli(&["user", "disable", secret]).expect_status(1);
    let export = deployment.cli(&["audit", "export"]).success().stdout;
    assert!(!export.contains("4fR2k9QxT0bLm7cPz") && export.contains("it may be a secret"), "{export}");
}

#[test]
fn verify_prints_a_head_to_keep_and_names_the_first_bad_row() {
    let deployment = Deployment::scaled(1);
    with_notes(&deployment);
    let first = verify(&deployment, &["--json"]).success().json();
    assert_eq!((&first["unbroken"], &first["first"]), (&true.into(), &1.into()));
    let head = first["head"].as_str().unwrap();
    deployment.cli(&["revoke", "--everything", "--yes"]).success();
    let text = verify(&deployment, &["--head", head]).success().stdout;
    assert!(text.contains("unbroken: ") && text.contains("\nhead: "), "{text}");
    let other = head.replace(|letter| matches!(letter, '0'..='4'), "5");
    let other = format!("{}:{}", first["rows"], other.split_once(':').unwrap().1);
    let line = error_line(verify(&deployment, &["--head", &other]), 1);
    assert!(line.contains("not the one that was noted"), "{line}");
    let tamper =
        "ALTER TABLE audit DISABLE TRIGGER USER; UPDATE audit SET actor = 'client x' WHERE number = 2";
    deployment.database().execute(tamper);
    let line = error_line(verify(&deployment, &[]), 1);
    assert!(line.contains("row 2 was altered"), "{line}");
    let document = verify(&deployment, &["--json"]).expect_status(1).json();
    assert_eq!((&document["row"], &document["fault"]), (&2.into(), &"altered".into()));
}

#[test]
fn x33_a_list_comes_in_parts_and_shows_escapes_as_text() {
    let deployment = Deployment::embedded();
    for reason in ["one", "two\n9  forged", "\u{1b}[31mthree"] {
        deployment.cli(&["revoke", "--everything", "--yes", "--reason", reason]).success();
    }
    let kills = ["audit", "list", "--action", "kill-everything"];
    let text = deployment.cli(&kills).success().stdout;
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(text.contains("two\\n9  forged") && text.contains("\\u{1b}[31mthree"), "{text}");
    let part = deployment.cli(&[&kills[..], &["--limit", "2", "--json"]].concat()).success().json();
    let before = part["next_before"].to_string();
    assert_eq!(part["rows"].as_array().unwrap().len(), 2);
    let rest = deployment.cli(&[&kills[..], &["--before", &before, "--json"]].concat()).success().json();
    assert_eq!((&rest["rows"][0]["reason"], &rest["next_before"]), (&"one".into(), &Value::Null));
    let export = deployment.cli(&["audit", "export", "--since", "1h"]).success().stdout;
    let rows: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let numbers: Vec<i64> = rows.iter().map(|row| row["number"].as_i64().unwrap()).collect();
    assert!(numbers.is_sorted() && numbers.len() >= 3, "{numbers:?}");
    assert_eq!(rows[rows.len() - 1]["reason"], "\u{1b}[31mthree");
    assert_eq!(
        members(&rows[0]),
        [
            "action",
            "actor",
            "change",
            "detail",
            "from",
            "hash",
            "number",
            "outcome",
            "reason",
            "recorded_at",
            "target",
            "time"
        ]
    );
    assert_eq!(deployment.cli(&["audit", "export", "--until", "1h"]).success().stdout, "");
}

#[test]
fn what_cannot_be_asked_is_explained() {
    let place = Place::new();
    place.cli(&["migrate"]).success();
    assert_refused(
        2,
        |arguments| place.cli(arguments),
        &[
            (&["audit", "list", "--since", "yesterday"], &["--since", "24h"]),
            (&["audit", "list", "--grant", "short"], &["21"]),
            (&["audit", "list", "--limit", "0"], &["--limit"]),
            (&["audit", "verify", "--head", "5:abc"], &["--head", "64"]),
        ],
    );
    let empty = place.cli(&["audit", "verify", "--json"]).success().json();
    assert_eq!((&empty["rows"], &empty["unbroken"]), (&0.into(), &true.into()));
}
