//! `revoke` of users, login sessions, consents and clients: what dies, what lives on, what is done in the same step, and
//! what a dry run counts beforehand.

use super::login_sessions::{House, SESSION};
use super::support::actors::Client;
use super::support::browser::Browser;
use super::support::deployment::Deployment;
use super::{SCOPE, assert_refused, error_line, with_notes};

fn revoke(house: &House, arguments: &[&str]) -> String {
    house.deployment.cli(&[&["revoke"], arguments, &["--yes"]].concat()).success().stdout
}

/// Grants, live access tokens and login sessions that would die.
fn counted(deployment: &Deployment, arguments: &[&str]) -> [u64; 3] {
    let dry = deployment.cli(&[&["revoke"], arguments, &["--dry-run", "--json"]].concat()).success().json();
    assert_eq!((&dry["dry_run"], &dry["may_be_more"]), (&true.into(), &false.into()));
    ["grants", "access_tokens", "login_sessions"].map(|name| dry[name].as_u64().unwrap())
}

#[test]
fn each_set_dies_alone_and_a_dry_run_counts_exactly_what_does() {
    for house in [Deployment::embedded(), Deployment::scaled(2)].map(House::of) {
        let server = house.deployment.replica(0);
        let (first, in_first) = house.logged_in();
        let (second, in_second) = house.logged_in();
        // A second grant in the first session, by a second access token of the same.
        let again = house.app.refresh(server, &in_first.refresh);
        let id = &first.cookies[SESSION][4..21];
        let sets: [&[&str]; 5] = [
            &["--session", id],
            &["--sessions-of", "mira"],
            &["--consent", "mira", "app"],
            &["--user", "mira"],
            &["--client", "app"],
        ];
        let all = sets.map(|set| counted(&house.deployment, set));
        assert_eq!(all, [[1, 2, 1], [2, 3, 2], [2, 3, 0], [2, 3, 2], [2, 3, 0]]);
        assert_eq!(counted(&house.deployment, &["--everything"]), [2, 3, 2]);

        let said = revoke(&house, &["--session", &first.cookies[SESSION][..21]]);
        assert!(said.contains(id) && said.contains("is dead everywhere: confirmed by"), "{said}");
        assert!(!house.is_logged_in(&first) && !house.is_live(&in_first) && !house.is_live(&again));
        assert!(house.is_logged_in(&second) && house.is_live(&in_second));
        assert_eq!(counted(&house.deployment, &["--user", "mira"]), [1, 1, 1]);

        revoke(&house, &["--consent", "mira", "app"]);
        assert!(!house.is_live(&in_second) && house.is_logged_in(&second), "logged in, and asked again");
        assert_eq!(counted(&house.deployment, &["--user", "mira"]), [0, 0, 1]);
        revoke(&house, &["--sessions-of", "mira"]);
        assert!(!house.is_logged_in(&second));
        let (third, in_third) = house.logged_in();
        revoke(&house, &["--user", "mira"]);
        assert!(!house.is_logged_in(&third) && !house.is_live(&in_third), "a new login is forced");
        assert_eq!(counted(&house.deployment, &["--everything"]), [0, 0, 0]);
    }
}

#[test]
fn a_consent_that_is_taken_back_is_asked_for_again() {
    let house = House::of(Deployment::embedded());
    let (mut browser, _) = house.logged_in();
    let asks = |browser: &mut Browser| {
        let landing = browser.open(house.deployment.replica(0), &house.app.ask().address());
        matches!(landing, super::support::browser::Landing::Page(_))
    };
    assert!(!asks(&mut browser), "what was allowed is not asked for again");
    revoke(&house, &["--consent", "mira", "app"]);
    assert!(asks(&mut browser));
}

#[test]
fn a_user_may_be_made_to_choose_another_password_in_the_same_step() {
    let house = House::of(Deployment::embedded());
    let (_, tokens) = house.logged_in();
    revoke(&house, &["--user", "mira", "--must-change-password", "--reason", "phished"]);
    assert!(!house.is_live(&tokens));
    let shown = house.deployment.cli(&["user", "show", "mira", "--json"]).success().json();
    assert_eq!(shown["must_change_password"], true);
}

#[test]
fn a_client_is_disabled_or_gets_another_secret_in_the_same_step() {
    let deployment = Deployment::scaled(1);
    let (api, app) = with_notes(&deployment);
    let server = deployment.replica(0);
    let mints = |secret: &str| {
        let client = Client { id: app.id.clone(), secret: secret.to_owned() };
        client.token_request(server, &[]).send().status
    };
    let rotate = |further: &[&str]| {
        let token = app_token(&deployment, &app, further);
        let arguments =
            [&["revoke", "--client", "app", "--rotate-secret", "--yes", "--json"], further].concat();
        let revoked = deployment.cli(&arguments).success().json();
        assert_eq!(revoked["client_id"], app.id.as_str());
        assert_eq!(revoked["confirmed"]["replicas"][0]["standing"], "applied");
        assert!(token.is_none_or(|token| !api.introspect(server, &token).active()));
        revoked["client_secret"].as_str().unwrap().to_owned()
    };
    let second = rotate(&["--overlap", "1h"]);
    assert_eq!([mints(&app.secret), mints(&second)], [200, 200]);
    let third = rotate(&[]);
    assert_eq!([mints(&app.secret), mints(&second), mints(&third)], [401, 401, 200]);
    let rows = "SELECT kind, reason FROM changes ORDER BY number DESC LIMIT 2";
    let disable = ["revoke", "--client", "app", "--disable", "--yes", "--reason", "its laptop was stolen"];
    let said = deployment.cli(&disable).success().stdout;
    assert!(said.contains("is dead everywhere: confirmed by 1 replica(s)"), "{said}");
    assert_eq!(mints(&third), 401);
    let recorded = deployment.database().execute(rows);
    assert_eq!(recorded, "client|its laptop was stolen\nkill-client|its laptop was stolen");
    let people = ["revoke", "--client", "app", "--rotate-secret", "--yes"];
    let people = deployment.cli(&people).success().stdout;
    let secret = people.lines().find_map(|line| line.strip_prefix("client_secret  ")).unwrap();
    assert!(secret.starts_with("syk_") && people.contains("shown this once"), "{people}");
}

/// A token, where the client's first secret is still good.
fn app_token(
    deployment: &Deployment,
    app: &Client,
    further: &[&str],
) -> Option<super::support::actors::Token> {
    (!further.is_empty()).then(|| app.mint(deployment.replica(0)))
}

#[test]
fn what_makes_no_sense_is_refused_and_kills_nothing() {
    let house = House::of(Deployment::embedded());
    let (browser, tokens) = house.logged_in();
    let access = tokens.access.as_str().to_owned();
    let grant = &access[4..21];
    let leaked = format!("seen in a paste: {access}");
    let spa = ["client", "create", "spa", "--public", "--scope", SCOPE, "--json"];
    house.deployment.cli(&spa).success();
    let run = |arguments: &[&str]| house.deployment.cli(arguments);
    assert_refused(
        2,
        run,
        &[
            (&["revoke", "--user", "mira", "--disable", "--yes"], &["--disable"]),
            (&["revoke", "--client", "app", "--disable", "--rotate-secret", "--yes"], &["--rotate-secret"]),
            (&["revoke", "--client", "app", "--overlap", "1h", "--yes"], &["--rotate-secret"]),
            (&["revoke", "--client", "app", "--must-change-password", "--yes"], &["--client"]),
            (&["revoke", "--consent", "mira", "--yes"], &["--consent"]),
            (&["revoke", "--session", &access, "--yes"], &["no login session"]),
            (&["revoke", "--session", grant, "--yes"], &["no login session"]),
            (&["revoke", "--session", "sys_123", "--yes"], &["characters are too few"]),
            (&["revoke", "--client", "app", "--yes", "--reason", &leaked], &["--reason", "first 21"]),
            (&["revoke", "--client", "app", "--yes", "--reason", &"x".repeat(1001)], &["--reason", "1000"]),
        ],
    );
    let line = error_line(run(&["revoke", "--client", "spa", "--rotate-secret", "--yes"]), 2);
    assert!(line.contains("public client"), "{line}");
    error_line(run(&["revoke", "--consent", "nobody", "app", "--yes"]), 1);
    error_line(run(&["revoke", "--consent", "mira", "nothing", "--yes"]), 1);
    assert!(house.is_live(&tokens) && house.is_logged_in(&browser));
}

#[test]
fn what_may_be_no_login_session_is_not_killed_as_one_while_the_store_cannot_be_asked() {
    let house = House::of(Deployment::scaled(1));
    let (browser, tokens) = house.logged_in();
    let session = browser.cookies[SESSION].clone();
    let bare = &session[4..21];
    house.deployment.redis().freeze();
    let line = error_line(house.deployment.cli(&["revoke", "--session", bare, "--yes"]), 1);
    assert!(line.contains("symbolon token revoke"), "{line}");
    let said = revoke(&house, &["--session", &session[..21]]);
    assert!(said.contains(bare), "what calls itself one is: {said}");
    house.deployment.redis().thaw();
    house.deployment.replica(0).wait_until_ready(true, std::time::Duration::from_secs(30));
    assert!(!house.is_logged_in(&browser) && !house.is_live(&tokens));
}
