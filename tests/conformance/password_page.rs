//! The page on which people change their password, and that nobody gets round it who has to.

use crate::account_world::{House, SESSION, path};
use crate::support::browser::{Browser, Landing, Page, User};
use crate::support::cli;

const NEW: &str = "another horse battery staple";

/// What is typed into its form.
fn typed<'t>(current: &'t str, new: &'t str, again: &'t str) -> [(&'t str, &'t str); 3] {
    [("current_password", current), ("new_password", new), ("new_password_again", again)]
}

impl House {
    fn password_page(&self, browser: &mut Browser) -> Page {
        let page = browser.open(self.other(), "/account/password").page();
        assert_eq!((page.path(), page.response.status), ("/account/password", 200));
        page
    }

    fn set_password(&self, user: &User, further: &[&str]) {
        let mut arguments = vec!["user", "set-password", &user.name, "--password-stdin", "--json"];
        arguments.extend(further);
        cli::cli_with_stdin(self.deployment.environment(), &arguments, &user.password).success();
    }
}

#[test]
fn r4_another_password_logs_out_everywhere_else() {
    for house in [House::embedded(), House::scaled()] {
        let ((mut here, _), (mut elsewhere, _)) =
            (house.logged_in(&house.mira), house.logged_in(&house.mira));
        let tokens = house.give(&mut elsewhere, &house.mira);
        let kept = house.give(&mut here, &house.mira);
        let before = here.clone();
        let page = house.password_page(&mut here);
        let fields = typed(&house.mira.password, NEW, NEW);
        let account = here.submit(house.server(), &page, &fields, None).page();
        assert_eq!(account.address, "/account?done=password");
        assert!(account.response.text().contains("Your password is changed"));
        assert!(house.is_logged_in(&here) && !house.is_logged_in(&elsewhere));
        assert!(!house.are_live(&tokens) && house.are_live(&kept));
        // The cookie is another, and the one from before is no way in.
        assert_ne!(here.cookies[SESSION], before.cookies[SESSION]);
        assert!(!house.is_logged_in(&before));
        let login = elsewhere.open(house.server(), "/login").page();
        assert_eq!(elsewhere.log_in(house.server(), &login, &house.mira).page().response.status, 403);
        house.logged_in(&User { password: NEW.to_owned(), ..house.mira.clone() });
    }
}

#[test]
fn x9_a_password_that_cannot_be_says_why_and_changes_nothing() {
    let house = House::embedded();
    let (mut here, _) = house.logged_in(&house.mira);
    let page = house.password_page(&mut here);
    let current = house.mira.password.as_str();
    let (long, longer) = ("p".repeat(1024), "p".repeat(1025));
    for (current, new, again, status, words) in [
        ("a wrong password", NEW, NEW, 403, "not your current password"),
        (&longer, NEW, NEW, 403, "not your current password"),
        // Whoever does not know the password is not told what would be taken.
        ("a wrong password", "short", "short", 403, "not your current password"),
        (current, NEW, "something else", 422, "not the same both times"),
        (current, current, current, 422, "you have already"),
        (current, "short", "short", 422, "15 characters or more"),
        (current, "", "", 422, "15 characters or more"),
        (current, &longer, &longer, 422, "1024 bytes or fewer"),
    ] {
        let answer = here.submit(house.server(), &page, &typed(current, new, again), None).page();
        let text = answer.response.text();
        assert_eq!(answer.response.status, status, "{words}");
        assert!(text.contains(words) && text.contains("role=\"alert\""), "{words}: {text}");
        assert!(!text.contains(new) || new.is_empty() || new == "short", "what was typed is repeated");
    }
    house.logged_in(&house.mira);
    let fields = typed(current, &long, &long);
    assert_eq!(
        path(here.submit(house.server(), &page, &fields, None)),
        "/account",
        "1024 bytes, taken whole"
    );
    house.logged_in(&User { password: long, ..house.mira.clone() });
}

#[test]
fn x34_who_has_to_change_the_password_does_nothing_before() {
    for house in [House::embedded(), House::scaled()] {
        let (mut before, _) = house.logged_in(&house.mira);
        let tokens = house.give(&mut before, &house.mira);
        let given = User { password: "chosen by the admin of them all".to_owned(), ..house.mira.clone() };
        house.set_password(&given, &["--must-change-password"]);
        assert!(!house.is_logged_in(&before) && !house.are_live(&tokens));
        let (server, ask) = (house.server(), house.app.ask());
        let mut browser = Browser::new();
        let login = browser.open(server, &ask.address()).page();
        let page = browser.log_in(server, &login, &given).page();
        assert_eq!(page.path(), "/account/password");
        assert!(page.response.text().contains("Choose a new password"));
        // There is no way round it.
        let consent = ask.address().replacen("/authorize", "/consent", 1);
        for address in ["/account", ask.address().as_str(), consent.as_str()] {
            assert_eq!(path(browser.open(house.other(), address)), "/account/password");
        }
        let silent = house.app.ask().with("prompt", "none");
        let Landing::Left(answer) = browser.open(server, &silent.address()) else { panic!("asked") };
        assert_eq!(answer.get("error").as_deref(), Some("login_required"));
        // The one that was given is no new one.
        let same = typed(&given.password, &given.password, &given.password);
        assert_eq!(browser.submit(server, &page, &same, None).page().response.status, 422);
        // And then it goes on to what it was for, by the login that it began with; it was allowed before.
        let answer = browser.submit(server, &page, &typed(&given.password, NEW, NEW), None).left();
        let tokens = house.app.redeem(house.other(), &ask, &answer);
        assert!(house.are_live(&tokens));
        house.logged_in(&User { password: NEW.to_owned(), ..given });
    }
}

#[test]
fn a2_a_login_for_a_request_that_wants_a_new_one_outlasts_the_change_of_the_password() {
    let house = House::embedded();
    let given = User { password: "chosen by the admin of them all".to_owned(), ..house.mira.clone() };
    house.set_password(&given, &["--must-change-password"]);
    let ask = house.app.ask().with("prompt", "login");
    let mut browser = Browser::new();
    let login = browser.open(house.server(), &ask.address()).page();
    let page = browser.log_in(house.server(), &login, &given).page();
    assert_eq!(page.path(), "/account/password");
    let landing = browser.submit(house.server(), &page, &typed(&given.password, NEW, NEW), None).page();
    assert_eq!(landing.path(), "/consent", "asked to log in again");
}
