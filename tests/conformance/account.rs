//! The account and logout pages: what people see of their own, and that what they end has ended everywhere.

use crate::account_world::{House, SESSION, buttons, hidden, sent};
use crate::support::browser::{Browser, filled};
use crate::support::deployment::Plan;
use crate::support::http::Request;

#[test]
fn r4_logging_out_ends_what_was_given_in_this_browser_and_nothing_else() {
    for house in [House::embedded(), House::scaled()] {
        let ((mut here, _), (mut elsewhere, _)) =
            (house.logged_in(&house.mira), house.logged_in(&house.mira));
        let (ended, kept) = (house.give(&mut here, &house.mira), house.give(&mut elsewhere, &house.mira));
        let before = here.clone();
        let done = house.log_out(&mut here, "here");
        assert!(done.path() == "/logout" && done.response.text().contains("You are logged out"));
        assert!(!here.cookies.contains_key(SESSION));
        // Nor is the cookie good for whoever kept it.
        assert!(!house.is_logged_in(&here) && !house.is_logged_in(&before));
        assert!(house.is_logged_in(&elsewhere));
        assert!(!house.are_live(&ended) && house.are_live(&kept));
    }
}

#[test]
fn r4_logging_out_everywhere_ends_every_browser_and_nobody_elses() {
    for house in [House::embedded(), House::scaled()] {
        let noor = house.deployment.user("noor");
        let ((mut here, _), (mut elsewhere, _)) =
            (house.logged_in(&house.mira), house.logged_in(&house.mira));
        let (mut noors, _) = house.logged_in(&noor);
        let ended = [house.give(&mut here, &house.mira), house.give(&mut elsewhere, &house.mira)];
        let kept = house.give(&mut noors, &noor);
        house.log_out(&mut here, "everywhere");
        for browser in [&here, &elsewhere] {
            assert!(!house.is_logged_in(browser));
        }
        assert!(ended.iter().all(|tokens| !house.are_live(tokens)));
        assert!(house.is_logged_in(&noors) && house.are_live(&kept));
        // Logging in anew is as ever.
        let (mut again, _) = house.logged_in(&house.mira);
        assert!(house.are_live(&house.give(&mut again, &house.mira)));
    }
}

#[test]
fn r4_the_account_page_shows_where_somebody_is_logged_in_and_ends_it() {
    for house in [House::embedded(), House::scaled()] {
        let (mut here, page) = house.logged_in(&house.mira);
        assert!(buttons(&page, "session").is_empty(), "this browser is logged out on its own page");
        let (mut elsewhere, _) = house.logged_in(&house.mira);
        let (ended, kept) = (house.give(&mut elsewhere, &house.mira), house.give(&mut here, &house.mira));
        let page = house.account(&mut here);
        let text = page.response.text();
        assert!(text.contains("this browser") && text.contains("from 127.0.0.1"), "{text}");
        let sessions = buttons(&page, "session");
        assert_eq!(sessions.len(), 1);
        let after = house.press(&mut here, &page, ("session", &sessions[0]));
        assert!(after.response.text().contains("That browser is logged out"));
        assert!(buttons(&after, "session").is_empty());
        assert!(!house.is_logged_in(&elsewhere) && house.is_logged_in(&here));
        assert!(!house.are_live(&ended) && house.are_live(&kept));
        // Pressed again in a page that lay open.
        let again = house.press(&mut here, &page, ("session", &sessions[0]));
        assert!(again.response.text().contains("That had ended already"));
    }
}

#[test]
fn r4_the_account_page_shows_applications_and_takes_their_access() {
    for house in [House::embedded(), House::scaled()] {
        let other = house.deployment.app("Other", "notes:read notes:write", &[]);
        let ((mut here, page), (mut elsewhere, _)) =
            (house.logged_in(&house.mira), house.logged_in(&house.mira));
        assert!(page.response.text().contains("None. When you allow"));
        let given = [house.give(&mut here, &house.mira), house.give(&mut elsewhere, &house.mira)];
        let others = house.give_to(&other, &mut here, &house.mira);
        let page = house.account(&mut here);
        let text = page.response.text();
        assert!(text.contains("Diary &#38; &#60;co&#62;") && !text.contains("<co>"), "{text}");
        assert!(text.contains("Read your notes <code>notes:read</code>"), "{text}");
        assert_eq!((buttons(&page, "application").len(), buttons(&page, "grant").len()), (2, 3));
        // One grant, and not the one beside it.
        let one = buttons(&page, "grant")[0].clone();
        let page = house.press(&mut here, &page, ("grant", &one));
        assert!(page.response.text().contains("That access has ended"));
        let live: Vec<bool> = given.iter().map(|tokens| house.are_live(tokens)).collect();
        assert!(live[0] != live[1] && house.are_live(&others), "{live:?}");
        assert_eq!(buttons(&page, "grant").len(), 2);
        // Then all of the application's.
        let page = house.press(&mut here, &page, ("application", &house.app.client.id));
        assert!(page.response.text().contains("The application has no access any more"));
        assert!(given.iter().all(|tokens| !house.are_live(tokens)) && house.are_live(&others));
        assert_eq!(buttons(&page, "application"), [other.client.id.as_str()]);
        assert!(house.are_live(&house.give(&mut here, &house.mira)), "it may be allowed anew");
    }
}

#[test]
fn x31_nobody_ends_what_is_somebody_elses() {
    let house = House::embedded();
    let server = house.server();
    let noor = house.deployment.user("noor");
    let ((mut here, _), (_elsewhere, _)) = (house.logged_in(&house.mira), house.logged_in(&house.mira));
    let tokens = house.give(&mut here, &house.mira);
    let page = house.account(&mut here);
    let (session, grant) = (buttons(&page, "session")[0].clone(), buttons(&page, "grant")[0].clone());
    let (mut noors, page) = house.logged_in(&noor);
    let csrf = hidden(&page, "csrf");
    // The application is hers to take back, had she allowed it anything.
    let application = &house.app.client.id;
    let buttons_of_others =
        [("session", &session), ("grant", &grant), ("session", &grant), ("grant", &session)];
    for (name, value) in buttons_of_others.into_iter().chain([("application", application)]) {
        let answer = sent(&mut noors, server, "/account", &[("csrf", &csrf), (name, value)]);
        assert_eq!((answer.status, answer.header("location")), (303, Some("/account?done=gone")), "{name}");
    }
    for fields in [
        &[("session", "x")][..],
        &[("grant", "")],
        &[],
        &[("session", session.as_str()), ("grant", grant.as_str())],
    ] {
        let fields: Vec<_> = fields.iter().copied().chain([("csrf", csrf.as_str())]).collect();
        assert_eq!(sent(&mut noors, server, "/account", &fields).status, 400, "{fields:?}");
    }
    assert!(house.are_live(&tokens));
    assert_eq!(buttons(&house.account(&mut here), "session"), [session]);
}

#[test]
fn x12_x14_forms_of_the_account_are_of_one_browser_and_of_this_site() {
    let house = House::embedded();
    let server = house.server();
    let ((mut here, account), (_, foreign)) = (house.logged_in(&house.mira), house.logged_in(&house.mira));
    let tokens = house.give(&mut here, &house.mira);
    let id = house.app.client.id.as_str();
    let password: [(&str, &str); 3] = [
        ("current_password", &house.mira.password),
        ("new_password", "another horse battery staple"),
        ("new_password_again", "another horse battery staple"),
    ];
    for (path, fields) in [
        ("/account", &[("application", id)][..]),
        ("/logout", &[("from", "everywhere")]),
        ("/account/password", &password),
    ] {
        let page = here.open(server, path).page();
        let own = hidden(&page, "csrf");
        let of_another = hidden(if path == "/account" { &foreign } else { &account }, "csrf");
        let with = |csrf: Option<&str>| {
            let csrf = csrf.map(|csrf| ("csrf", csrf.to_owned()));
            let fields = fields.iter().map(|(name, value)| (*name, (*value).to_owned())).chain(csrf);
            fields.collect::<Vec<_>>()
        };
        for csrf in [None, Some(""), Some("x"), Some(of_another.as_str())] {
            let fields = with(csrf);
            let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(sent(&mut here, server, path, &fields).status, 403, "{path} {csrf:?}");
        }
        let fields = with(Some(&own));
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        for (name, value) in
            [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")]
        {
            let request = Request::post(server.url(path)).form(&fields).header(name, value);
            assert_eq!(here.send(request).status, 403, "{path} {name}: {value}");
        }
        let elsewhere = Browser::new().send(Request::post(server.url(path)).form(&fields));
        assert_eq!(elsewhere.status, 403, "{path} without a cookie");
        // What asks is not what does.
        assert_eq!(here.send(Request::get(server.url(path))).status, 200);
    }
    assert!(house.are_live(&tokens) && house.is_logged_in(&here));
    house.logged_in(&house.mira);
}

#[test]
fn x14_x43_the_pages_of_the_account_may_not_be_framed_or_kept() {
    let house = House::embedded();
    let (mut here, _) = house.logged_in(&house.mira);
    for path in ["/account", "/account/password", "/logout"] {
        let answer = here.send(Request::get(house.server().url(path)));
        assert_eq!(answer.status, 200, "{path}");
        let policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";
        for (name, value) in [
            ("content-security-policy", policy),
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
            ("content-type", "text/html; charset=utf-8"),
        ] {
            assert_eq!(answer.header_values(name), [value], "{path}");
        }
        let answer = Request::get(house.server().url(path)).send();
        let nobody = if path == "/logout" { (200, None) } else { (303, Some("/login")) };
        assert_eq!((answer.status, answer.header("location")), nobody, "{path}");
        let put = Request::new("PUT", house.server().url(path)).send();
        assert_eq!((put.status, put.header("allow")), (405, Some("GET, HEAD, POST")), "{path}");
    }
}

#[test]
fn r4_an_admin_ends_every_login_of_a_user() {
    for house in [House::embedded(), House::scaled()] {
        for (arguments, may_return) in [
            (&["revoke", "--user", "mira", "--yes", "--json"][..], true),
            (&["user", "disable", "mira", "--json"], false),
        ] {
            let (mut browser, _) = house.logged_in(&house.mira);
            let tokens = house.give(&mut browser, &house.mira);
            house.cli(arguments);
            assert!(!house.is_logged_in(&browser) && !house.are_live(&tokens), "{arguments:?}");
            let login = browser.open(house.server(), "/login").page();
            let landing = browser.log_in(house.server(), &login, &house.mira).page();
            assert_eq!(landing.path() == "/account", may_return, "{arguments:?}");
        }
        house.cli(&["user", "enable", "mira", "--json"]);
        let (browser, _) = house.logged_in(&house.mira);
        house.cli(&["user", "delete", "mira", "--json"]);
        assert!(!house.is_logged_in(&browser));
    }
}

#[test]
fn x30_an_address_that_the_client_claims_is_not_shown() {
    let house = House::embedded();
    let text = logged_in_with(&house, &["203.0.113.77"]);
    assert!(text.contains("Firefox on Linux") && text.contains("from 127.0.0.1"), "{text}");
    assert!(!text.contains("203.0.113.77"), "{text}");
}

#[test]
fn x30_the_address_that_a_trusted_proxy_saw_is_shown() {
    let plan = Plan::embedded().env("SYMBOLON_TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8");
    let house = House::of(plan.start());
    // What the client wrote stands before what the proxies in front saw.
    for headers in [
        &["203.0.113.77, 192.0.2.44, 10.0.0.2"][..],
        &["203.0.113.77", "192.0.2.44"],
        &["\u{e9}, 192.0.2.44"],
        &["\"x, 192.0.2.44"],
    ] {
        let text = logged_in_with(&house, headers);
        assert!(text.contains("from 192.0.2.44") && !text.contains("203.0.113.77"), "{text}");
    }
}

/// The account page of somebody who logged in with these headers.
fn logged_in_with(house: &House, forwarded_for: &[&str]) -> String {
    let server = house.server();
    let mut browser = Browser::new();
    let login = browser.open(server, "/login").page();
    let typed = [("username", house.mira.name.as_str()), ("password", &house.mira.password)];
    let request = forwarded_for
        .iter()
        .fold(filled(server, &login, &typed, None), |request, value| request.header("x-forwarded-for", value))
        .header("forwarded", "for=203.0.113.77")
        .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0");
    assert_eq!(browser.send(request).status, 303);
    house.account(&mut browser).response.text()
}
