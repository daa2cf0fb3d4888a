//! People at home and elsewhere: what the tests of the account pages share.

use crate::support::actors::ResourceServer;
use crate::support::browser::{App, Browser, Landing, Page, Tokens, User};
use crate::support::deployment::Deployment;
use crate::support::http::{Request, Response};
use crate::support::symbolon::Server;
use crate::world::NOTES;

pub const SESSION: &str = "__Host-symbolon-session";

/// An installation of the test's own, with mira, who uses an application.
pub struct House {
    pub deployment: Deployment,
    pub notes: ResourceServer,
    pub mira: User,
    pub app: App,
}

impl House {
    /// One process with embedded stores.
    pub fn embedded() -> Self {
        Self::of(Deployment::embedded())
    }

    /// Two replicas over Redis and PostgreSQL.
    pub fn scaled() -> Self {
        Self::of(Deployment::scaled(2))
    }

    pub fn of(deployment: Deployment) -> Self {
        let further = ["--scope-description", "notes:read=Read your notes"];
        let notes = deployment.resource_server_with("notes", NOTES, "notes:read notes:write", &further);
        let (mira, app) = (deployment.user("mira"), deployment.app("Diary & <co>", "notes:read", &[]));
        Self { deployment, notes, mira, app }
    }

    /// The first replica.
    pub fn server(&self) -> &Server {
        self.deployment.replica(0)
    }

    /// The last replica, which is another one if there are several.
    pub fn other(&self) -> &Server {
        self.deployment.replicas().last().unwrap()
    }

    /// A browser in which somebody is logged in, on their account page.
    pub fn logged_in(&self, user: &User) -> (Browser, Page) {
        let mut browser = Browser::new();
        let login = browser.open(self.server(), "/login").page();
        let page = browser.log_in(self.server(), &login, user).page();
        assert_eq!((page.path(), page.response.status), ("/account", 200), "{}", page.response.text());
        (browser, page)
    }

    /// The account page of a browser, from another replica if there is one.
    pub fn account(&self, browser: &mut Browser) -> Page {
        let page = browser.open(self.other(), "/account").page();
        assert_eq!((page.path(), page.response.status), ("/account", 200), "{}", page.response.text());
        page
    }

    /// Tokens that the application is given in a browser.
    pub fn give(&self, browser: &mut Browser, user: &User) -> Tokens {
        self.give_to(&self.app, browser, user)
    }

    pub fn give_to(&self, app: &App, browser: &mut Browser, user: &User) -> Tokens {
        let ask = app.ask();
        let answer = browser.allow(self.server(), user, &ask);
        app.redeem(self.other(), &ask, &answer)
    }

    /// Whether tokens are good, on every replica: to introspect, and to refresh when they are not.
    #[track_caller]
    pub fn are_live(&self, tokens: &Tokens) -> bool {
        let answers: Vec<bool> = self
            .deployment
            .replicas()
            .map(|server| self.notes.introspect(server, &tokens.access).active())
            .collect();
        let live = answers[0];
        assert!(answers.iter().all(|answer| *answer == live), "the replicas differ: {answers:?}");
        if !live {
            let refused = self.app.refreshing(self.other(), &tokens.refresh, &[]).send();
            assert_eq!((refused.status, refused.oauth_error().as_deref()), (400, Some("invalid_grant")));
        }
        live
    }

    /// Whether a browser is logged in, on every replica.
    #[track_caller]
    pub fn is_logged_in(&self, browser: &Browser) -> bool {
        let answers: Vec<bool> = self
            .deployment
            .replicas()
            .map(|server| browser.clone().open(server, "/account").page().path() == "/account")
            .collect();
        assert!(answers.iter().all(|answer| *answer == answers[0]), "the replicas differ: {answers:?}");
        answers[0]
    }

    /// Presses a button of a page.
    #[track_caller]
    pub fn press(&self, browser: &mut Browser, page: &Page, button: (&str, &str)) -> Page {
        browser.submit(self.server(), page, &[], Some(button)).page()
    }

    /// Logs a browser out.
    #[track_caller]
    pub fn log_out(&self, browser: &mut Browser, from: &str) -> Page {
        let page = browser.open(self.other(), "/logout").page();
        self.press(browser, &page, ("from", from))
    }

    pub fn cli(&self, arguments: &[&str]) {
        self.deployment.cli(arguments).success();
    }
}

/// The values of a page's buttons of this name.
pub fn buttons(page: &Page, name: &str) -> Vec<String> {
    let buttons = page.form().buttons;
    buttons.into_iter().filter(|(found, _)| found == name).map(|(_, value)| value).collect()
}

/// What a form is answered, whatever comes of it, without following.
pub fn sent(browser: &mut Browser, server: &Server, path: &str, fields: &[(&str, &str)]) -> Response {
    browser.send(Request::post(server.url(path)).form(fields).header("origin", &server.url("")))
}

/// The value of a page's hidden field.
pub fn hidden(page: &Page, name: &str) -> String {
    let inputs = page.form().inputs;
    inputs.into_iter().find(|(found, _)| found == name).map(|(_, value)| value).unwrap()
}

/// Where a form led within the site.
#[track_caller]
pub fn path(landing: Landing) -> String {
    landing.page().path().to_owned()
}
