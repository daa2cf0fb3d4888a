//! Login sessions at the command line: an admin who finds a cookie finds out whose it is, and ends it with all that
//! came from it.

use symbolon::domain::identifier::GrantId;

use crate::support::actors::ResourceServer;
use crate::support::browser::{App, Browser, Tokens, User};
use crate::support::deployment::Deployment;
use crate::support::resp::Reply;

pub(super) const SESSION: &str = "__Host-symbolon-session";

pub(super) struct House {
    pub(super) deployment: Deployment,
    pub(super) notes: ResourceServer,
    pub(super) mira: User,
    pub(super) app: App,
}

impl House {
    pub(super) fn of(deployment: Deployment) -> Self {
        let notes = deployment.resource_server("notes", "https://notes.example", "notes:read");
        let (mira, app) = (deployment.user("mira"), deployment.app("app", "notes:read", &[]));
        Self { deployment, notes, mira, app }
    }

    /// A browser in which mira is logged in, and what she gave in it.
    pub(super) fn logged_in(&self) -> (Browser, Tokens) {
        let (mut browser, ask) = (Browser::new(), self.app.ask());
        let answer = browser.allow(self.deployment.replica(0), &self.mira, &ask);
        (browser, self.app.redeem(self.deployment.replica(0), &ask, &answer))
    }

    pub(super) fn is_logged_in(&self, browser: &Browser) -> bool {
        let page = browser.clone().open(self.deployment.replica(0), "/account").page();
        page.path() == "/account"
    }

    pub(super) fn is_live(&self, tokens: &Tokens) -> bool {
        let answers = self.deployment.replicas().map(|server| self.notes.introspect(server, &tokens.access));
        answers.map(|answer| answer.active()).fold(None, |before, now| {
            assert!(before.is_none_or(|before| before == now), "the replicas differ");
            Some(now)
        }) == Some(true)
    }
}

#[test]
fn a_cookie_that_was_found_leads_to_its_user_and_is_ended_with_what_came_from_it() {
    for house in [Deployment::embedded(), Deployment::scaled(2)].map(House::of) {
        let (found, from_it) = house.logged_in();
        let (kept, beside) = house.logged_in();
        let cookie = found.cookies[SESSION].as_str();
        // Its kind and id are enough, and no secret.
        for part in [cookie, &cookie[..21], &cookie[4..21]] {
            let inspected = house.deployment.cli(&["token", "inspect", part, "--json"]).success().json();
            assert_eq!((&inspected["alive"], &inspected["grant"]), (&true.into(), &serde_json::Value::Null));
            let user = inspected["login_session"]["user_id"].as_str().unwrap();
            assert!(user.starts_with("usr_"), "{inspected}");
            assert_eq!(inspected["login_session"]["address"], "127.0.0.1");
        }
        let of_grant = house.deployment.cli(&["token", "inspect", from_it.access.as_str(), "--json"]);
        assert_eq!(of_grant.success().json()["grant"]["login_session"], &cookie[4..21]);
        house.deployment.cli(&["token", "revoke", &cookie[..21], "--yes", "--json"]).success();
        assert!(!house.is_logged_in(&found) && !house.is_live(&from_it));
        assert!(house.is_logged_in(&kept) && house.is_live(&beside));
        let inspected = house.deployment.cli(&["token", "inspect", cookie, "--json"]).success().json();
        assert_eq!(inspected["alive"], false, "{inspected}");
        // A bare id, as a log line has it.
        let id = &kept.cookies[SESSION][4..21];
        house.deployment.cli(&["token", "revoke", id, "--yes", "--json"]).success();
        assert!(!house.is_logged_in(&kept) && !house.is_live(&beside));
    }
}

#[test]
fn a_session_that_the_store_has_lost_is_ended_all_the_same() {
    let house = House::of(Deployment::scaled(1));
    let (browser, tokens) = house.logged_in();
    let id = &browser.cookies[SESSION][4..21];
    let key = [b"g:".as_slice(), GrantId::from_digits(id.as_bytes()).unwrap().as_bytes()].concat();
    assert_eq!(house.deployment.redis().command(&[b"DEL".to_vec(), key]), Reply::Integer(1));
    assert!(!house.is_logged_in(&browser) && house.is_live(&tokens), "what was given has not ended");
    house.deployment.cli(&["token", "revoke", id, "--yes", "--json"]).success();
    assert!(!house.is_live(&tokens));
}
