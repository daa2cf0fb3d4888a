//! `token narrow`, `token shorten`, `token freeze` and `token thaw`: what an admin does who has doubts, or wants less.

use serde_json::Value;
use symbolon::domain::calendar::{parse_rfc3339, rfc3339};
use symbolon::domain::clock::Timestamp;

use super::support::actors::{Client, ResourceServer, Token};
use super::support::browser::Browser;
use super::support::cli::cli_with_stdin;
use super::support::deployment::Deployment;
use super::{SCOPE, error_line, with_notes};

const LOST: &str = "00000000000000001";

struct Scene {
    deployment: Deployment,
    api: ResourceServer,
    app: Client,
}

impl Scene {
    fn of(deployment: Deployment) -> Self {
        let (api, app) = with_notes(&deployment);
        Self { deployment, api, app }
    }

    fn mint(&self) -> Token {
        self.app.mint(self.deployment.replica(0))
    }

    fn claims(&self, token: &Token) -> Value {
        self.api.introspect(self.deployment.replica(0), token).0
    }

    fn is_active(&self, token: &Token) -> bool {
        self.claims(token)["active"] == true
    }

    /// What the command says for programs about the one grant that it was given.
    fn edit(&self, arguments: &[&str]) -> Value {
        let document = self.deployment.cli(&[&["token"], arguments, &["--json"]].concat()).success().json();
        assert_eq!(document["confirmed"]["replicas"][0]["standing"], "applied", "{document}");
        document["grants"][0].clone()
    }

    /// Why the command edits nothing.
    fn refusal(&self, arguments: &[&str]) -> String {
        let document =
            self.deployment.cli(&[&["token"], arguments, &["--json"]].concat()).expect_status(1).json();
        assert_eq!(document["confirmed"], Value::Null, "{document}");
        document["grants"][0]["error"].as_str().unwrap().to_owned()
    }
}

/// The end of a token that was just made.
fn end(claims: &Value) -> Timestamp {
    Timestamp::from_unix_seconds(claims["exp"].as_i64().unwrap())
}

#[test]
fn narrow_takes_scope_from_a_grant_and_never_gives_any_back() {
    let scene = Scene::of(Deployment::embedded());
    let token = scene.mint();
    let said = scene
        .deployment
        .cli(&["token", "narrow", token.as_str(), "--scope", "notes:read", "--yes"])
        .success();
    let lines: Vec<&str> = said.stdout.lines().collect();
    let until = rfc3339(end(&scene.claims(&token)));
    assert_eq!(lines[0], format!("{}  narrowed: it allows \"notes:read\" until {until}", token.grant_id()));
    assert!(lines[1].contains("confirmed by 1 replica(s)"), "{}", said.stdout);
    assert_eq!(scene.claims(&token)["scope"], "notes:read");
    let wider = scene.edit(&["narrow", token.grant_id(), "--scope", SCOPE, "--yes"]);
    assert_eq!(
        (&wider["scope"], &scene.claims(&token)["scope"]),
        (&"notes:read".into(), &"notes:read".into())
    );

    for (scope, says) in [
        ("notes:read admin", "was given \"notes:read notes:write\""),
        ("notes:write", "nothing of that would be left; to end it, revoke it"),
    ] {
        let why = scene.refusal(&["narrow", token.as_str(), "--scope", scope, "--yes"]);
        assert!(why.contains(says), "{why}");
    }
    for wrong in [&["--scope", ""][..], &["--scope", "a  b"], &[]] {
        error_line(scene.deployment.cli(&[&["token", "narrow", token.as_str(), "--yes"], wrong].concat()), 2);
    }
    assert_eq!(scene.claims(&token)["scope"], "notes:read");
}

#[test]
fn shorten_gives_a_grant_an_earlier_end_and_never_a_later_one() {
    let scene = Scene::of(Deployment::embedded());
    let (by_moment, by_duration) = (scene.mint(), scene.mint());
    let own = end(&scene.claims(&by_moment));
    let sooner = rfc3339(Timestamp::from_unix_seconds(own.unix_seconds() - 60));
    let edited = scene.edit(&["shorten", by_moment.as_str(), "--ends-at", &sooner, "--yes"]);
    assert_eq!(edited["expires_at"], own.unix_seconds() - 60);
    assert_eq!(scene.claims(&by_moment)["exp"], own.unix_seconds() - 60);
    let said = scene
        .deployment
        .cli(&["token", "shorten", by_duration.as_str(), "--ends-in", "10m", "--yes"])
        .success();
    let exp = end(&scene.claims(&by_duration));
    assert!(said.stdout.contains(&format!("shortened to end at {}", rfc3339(exp))), "{}", said.stdout);
    assert!(exp < own, "ten minutes are less than the fifteen of a token");

    let later = rfc3339(own);
    let why = scene.refusal(&["shorten", by_moment.as_str(), "--ends-at", &later, "--yes"]);
    assert_eq!(why, format!("the grant ends at {sooner} already"));
    for past in [&["--ends-in", "0s"][..], &["--ends-at", "2020-01-01T00:00:00Z"]] {
        let why = scene.refusal(&[&["shorten", by_moment.as_str(), "--yes"], past].concat());
        assert!(why.contains("is over; to end the grant now, revoke it"), "{why}");
    }
    for wrong in [
        &["--ends-in", "soon"][..],
        &["--ends-at", "2027-02-29T08:00:00Z"],
        &["--ends-in", "1m", "--ends-at", &later],
        &[],
    ] {
        error_line(
            scene.deployment.cli(&[&["token", "shorten", by_moment.as_str(), "--yes"], wrong].concat()),
            2,
        );
    }
    assert_eq!(
        parse_rfc3339(&sooner).map(Timestamp::unix_seconds),
        Ok(scene.claims(&by_moment)["exp"].as_i64().unwrap())
    );
}

#[test]
fn freeze_stops_grants_until_they_are_thawed_and_thawing_asks_nobody() {
    let scene = Scene::of(Deployment::embedded());
    let (one, other, spared) = (scene.mint(), scene.mint(), scene.mint());
    let (deployment, list) = (&scene.deployment, format!("  {}\r\n\n", other.as_str()));
    let freeze = ["token", "freeze", &one.as_str()[..21], "-", "--yes"];
    let said = cli_with_stdin(deployment.environment(), &freeze, &list).success().stdout;
    for (line, token) in said.lines().zip([&one, &other]) {
        let begins =
            format!("{}  frozen: it allows nothing until it is thawed, then \"{SCOPE}\"", token.grant_id());
        assert!(line.starts_with(&begins), "{said}");
        assert!(!scene.is_active(token));
    }
    assert!(scene.is_active(&spared));
    assert_eq!(scene.edit(&["freeze", one.as_str(), "--yes"])["frozen"], true, "again, which is safe");
    let thawed = scene.edit(&["thaw", one.as_str()]);
    assert_eq!((&thawed["frozen"], &thawed["scope"]), (&false.into(), &SCOPE.into()));
    assert!(scene.is_active(&one) && !scene.is_active(&other));
    deployment.cli(&["token", "thaw", other.as_str(), "--yes"]).success();
    assert!(scene.is_active(&other));
}

#[test]
fn nothing_is_edited_by_a_dry_run_or_without_consent() {
    let scene = Scene::of(Deployment::embedded());
    let token = scene.mint();
    let until = rfc3339(end(&scene.claims(&token)));
    for (edit, says) in [
        (&["narrow", "--scope", "notes:read"][..], "narrowed"),
        (&["shorten", "--ends-in", "10m"], "shortened to end at"),
        (&["freeze"], "frozen"),
    ] {
        let command = [&["token"], edit, &[token.as_str()]].concat();
        let dry = scene.deployment.cli(&[&command[..], &["--dry-run"]].concat()).success().stdout;
        assert!(dry.starts_with(&format!("{}  would be {says}", token.grant_id())), "{dry}");
        assert!(dry.ends_with(&format!(": it allows \"{SCOPE}\" until {until}\n")), "as it is now: {dry}");
        let dry = scene.deployment.cli(&[&command[..], &["--dry-run", "--json"]].concat()).success().json();
        assert_eq!((&dry["dry_run"], &dry["grants"][0]["scope"]), (&true.into(), &SCOPE.into()));
        // Standard input is no terminal here: there is nobody to ask.
        let line = error_line(scene.deployment.cli(&command), 2);
        assert!(line.contains("--yes"), "{line}");
    }
    assert_eq!(
        (&scene.claims(&token)["scope"], end(&scene.claims(&token))),
        (&SCOPE.into(), parse_rfc3339(&until).unwrap())
    );
    scene.deployment.cli(&["token", "freeze", token.as_str(), "--yes"]).success();
    scene.deployment.cli(&["token", "thaw", token.as_str(), "--dry-run"]).success();
    assert!(!scene.is_active(&token));
}

#[test]
fn what_cannot_be_edited_is_said_and_does_not_save_the_rest() {
    let scene = Scene::of(Deployment::embedded());
    let deployment = &scene.deployment;
    let (dead, live) = (scene.mint(), scene.mint());
    deployment.cli(&["token", "revoke", dead.as_str(), "--yes"]).success();
    let (junk, mira) = ("syr_thisIsNoTokenOfOurs-but-a-secret-perhaps", deployment.user("mira"));
    let app = deployment.app("pages", "notes:read", &[]);
    let mut browser = Browser::new();
    browser.allow(deployment.replica(0), &mira, &app.ask());
    let cookie = browser.cookies["__Host-symbolon-session"].as_str();
    let command = ["token", "freeze", junk, dead.as_str(), cookie, &cookie[4..21], live.as_str(), "--yes"];
    let said = deployment.cli(&command).expect_status(1).stdout;
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("entry 1  not done: "), "{said}");
    assert_eq!(lines[1], format!("{}  not done: the grant is revoked", dead.grant_id()));
    for line in &lines[2..4] {
        assert!(line.contains("a login session, which can only be ended"), "{said}");
    }
    assert!(lines[4].starts_with(&format!("{}  frozen", live.grant_id())), "{said}");
    assert!(lines[5].contains("confirmed by"), "{said}");
    assert!(!said.contains("syr_this") && !said.contains(&live.as_str()[21..]), "{said}");
    assert!(!scene.is_active(&live));
    // With nothing that could be edited, nobody is asked, and nothing is recorded.
    let why = scene.refusal(&["thaw", dead.as_str()]);
    assert_eq!(why, "the grant is revoked");
    deployment.cli(&["client", "disable", "app"]).success();
    assert!(scene.refusal(&["thaw", live.as_str()]).contains("revoked after it was issued"));
    let nothing =
        error_line(cli_with_stdin(deployment.environment(), &["token", "freeze", "-", "--yes"], "\n"), 2);
    assert_eq!(nothing, "no token was given");
    error_line(deployment.cli(&["token", "freeze", "--yes"]), 2);
}

#[test]
fn an_edit_is_recorded_with_its_reason_and_holds_for_a_grant_that_redis_does_not_have() {
    let scene = Scene::of(Deployment::scaled(1));
    let (token, reason) = (scene.mint(), "seen in a paste; it's 'quoted'");
    for edit in
        [&["narrow", "--scope", "notes:read"][..], &["shorten", "--ends-in", "10m"], &["freeze"], &["thaw"]]
    {
        let command = [&["token"], edit, &[token.as_str(), "--yes", "--reason", reason]].concat();
        scene.deployment.cli(&command).success();
    }
    let sql = format!(
        "SELECT kind, actor, reason FROM changes WHERE left(target, 17) = '{}' ORDER BY number",
        token.grant_id()
    );
    let rows =
        ["narrow", "shorten", "freeze", "thaw"].map(|edit| format!("{edit}-grant|command line|{reason}"));
    assert_eq!(scene.deployment.database().execute(&sql).lines().collect::<Vec<_>>(), rows);

    let said = scene.deployment.cli(&["token", "freeze", LOST, "--yes"]).success().stdout;
    assert!(said.contains("the grant store did not show it"), "it may come back: {said}");
    let narrowed = scene.edit(&["narrow", LOST, "--scope", "notes:read", "--yes"]);
    assert_eq!((&narrowed["scope"], &narrowed["frozen"]), (&"notes:read".into(), &true.into()));
    assert_eq!(narrowed["expires_at"], Value::Null);
}

#[test]
fn what_may_be_a_login_session_is_not_called_frozen_while_the_store_cannot_be_asked() {
    let scene = Scene::of(Deployment::scaled(1));
    let token = scene.mint();
    scene.deployment.redis().freeze();
    for part in [token.grant_id(), &token.as_str()[..21]] {
        let why = scene.refusal(&["freeze", part, "--yes"]);
        assert!(why.contains("a grant or a login session"), "{why}");
    }
    let frozen = scene.edit(&["freeze", token.as_str(), "--yes"]);
    assert_eq!(
        (&frozen["frozen"], &frozen["in_store"]),
        (&true.into(), &false.into()),
        "a whole one proves it"
    );
    scene.deployment.redis().thaw();
    scene.deployment.replica(0).wait_until_ready(true, std::time::Duration::from_secs(30));
    assert!(!scene.is_active(&token));
}
