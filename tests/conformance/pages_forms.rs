//! Whose form it is: one of ours, of this browser, for this purpose and about what was shown.

use crate::pages::{House, typed};
use crate::support::browser::{Browser, Landing, Page};
use crate::support::http::{Request, Response};
use crate::support::symbolon::Server;

/// A form that is not this browser's is answered by a page, and nothing has happened.
#[track_caller]
fn foreign(response: &Response) {
    assert_eq!(response.status, 403, "{}", response.text());
    assert_eq!(response.header("location"), None);
    assert_eq!(response.header("set-cookie"), None);
    assert!(response.text().contains("This form cannot be accepted"), "{}", response.text());
}

/// Values of the headers by which browsers say where a form is sent from, and whether it is here.
fn places(server: &Server) -> Vec<(&'static str, String, bool)> {
    let own = server.url("");
    vec![
        ("origin", own.clone(), true),
        ("origin", "https://evil.example".to_owned(), false),
        ("origin", "null".to_owned(), false),
        ("origin", format!("{own}.evil.example"), false),
        ("origin", own.replace("http:", "https:"), false),
        ("sec-fetch-site", "same-origin".to_owned(), true),
        ("sec-fetch-site", "cross-site".to_owned(), false),
        ("sec-fetch-site", "same-site".to_owned(), false),
    ]
}

#[test]
fn x12_a_login_form_is_of_one_browser_and_of_this_site() {
    let house = House::new();
    let server = house.server();
    let ask = house.app.ask();
    let (mut browser, login) = house.login(&ask);
    let (mut other, others_login) = house.login(&ask);
    let form = login.form();
    let seal = |page: &Page| page.form().inputs.iter().find(|(name, _)| name == "csrf").unwrap().1.clone();
    let request = form.inputs.iter().find(|(name, _)| name == "request").unwrap().1.clone();
    let post = |seal: Option<&str>| {
        let mut fields = typed(&house.mira.name, &house.mira.password).to_vec();
        fields.push(("request", &request));
        fields.extend(seal.map(|seal| ("csrf", seal)));
        Request::post(server.url("/login")).form(&fields)
    };
    let (own, others) = (seal(&login), seal(&others_login));
    for seal in [None, Some(""), Some("x"), Some(others.as_str()), Some(&own[1..])] {
        foreign(&browser.send(post(seal)));
    }
    // With the cookie of nobody, or none.
    foreign(&Browser::new().send(post(Some(&own))));
    foreign(&other.send(post(Some(&own))));
    for (name, value, is_own) in places(server) {
        let response = browser.clone().send(post(Some(&own)).header(name, &value));
        match is_own {
            true => assert_eq!(response.status, 303, "{name}: {value}"),
            false => foreign(&response),
        }
    }
}

#[test]
fn x12_a_decision_is_of_one_session_about_one_request() {
    let house = House::new();
    let server = house.server();
    let noor = house.deployment.user("noor");
    let (ask, narrower) = (house.app.ask(), house.app.ask().with("scope", "notes:read"));
    let (mut browser, consent) = house.consent(&ask);
    let narrow = browser.open(server, &narrower.address()).page();
    let field = |page: &Page, name: &str| {
        page.form().inputs.iter().find(|(found, _)| found == name).unwrap().1.clone()
    };
    let post = |seal: &str, request: &str| {
        let fields = [("decision", "allow"), ("csrf", seal), ("request", request)];
        Request::post(server.url("/consent")).form(&fields)
    };
    let (seal, request) = (field(&consent, "csrf"), field(&consent, "request"));
    // What was shown is what is allowed.
    foreign(&browser.send(post(&field(&narrow, "csrf"), &request)));
    foreign(&browser.send(post(&seal, &field(&narrow, "request"))));
    for bad in ["", "x", &seal[1..]] {
        foreign(&browser.send(post(bad, &request)));
    }
    // The seal of the login form is another.
    let (_, login) = house.login(&ask);
    foreign(&browser.send(post(&field(&login, "csrf"), &request)));
    // Nor does anybody else decide with it.
    let mut other = Browser::new();
    foreign(&other.send(post(&seal, &request)));
    let login = other.open(server, &ask.address()).page();
    other.log_in(server, &login, &noor).page();
    foreign(&other.send(post(&seal, &request)));
    for (name, value, is_own) in places(server) {
        let response = browser.send(post(&seal, &request).header(name, &value));
        match is_own {
            true => assert_eq!(response.status, 303, "{name}: {value}"),
            false => foreign(&response),
        }
    }
    // Neither yes nor no.
    for decision in ["", "maybe", "ALLOW"] {
        let fields = [("decision", decision), ("csrf", &seal), ("request", &request)];
        let response = browser.send(Request::post(server.url("/consent")).form(&fields));
        assert_eq!((response.status, response.header("location")), (400, None), "{decision}");
    }
}

/// A request that names no scope asks for all that the client is registered for: on the page, and not when it is sent.
#[test]
fn x20_nobody_allows_more_than_they_were_shown() {
    let house = House::new();
    let (server, deployment) = (house.server(), &house.deployment);
    let app = deployment.app("narrow", "notes:read", &[]);
    let ask = app.ask();
    let (mut browser, before) = house.consent(&ask);
    deployment.cli(&["client", "update", &app.client.id, "--scope", "notes:read notes:write"]).success();
    let allow = Some(("decision", "allow"));
    foreign(&browser.submit(server, &before, &[], allow).page().response);
    // Nor may another resource server see what was allowed at the ones that were shown.
    let before = browser.open(server, &ask.address()).page();
    assert_eq!(before.path(), "/consent");
    let further = deployment.resource_server("further", "https://further.example", "notes:read");
    foreign(&browser.submit(server, &before, &[], allow).page().response);
    let now = browser.open(server, &ask.address()).page();
    let answer = browser.submit(server, &now, &[], allow).left();
    let tokens = app.redeem(server, &ask, &answer);
    assert_eq!(tokens.scope, "notes:read notes:write");
    assert!(further.introspect(server, &tokens.access).active());
}

/// The whole way with nothing but what is in the form: as a browser that sends neither `Origin` nor `Sec-Fetch-Site`.
#[test]
fn x12_an_old_browser_logs_in_too() {
    let house = House::new();
    let server = house.server();
    let (mut browser, login) = house.login(&house.app.ask());
    let form = login.form();
    let mut fields: Vec<(&str, &str)> =
        form.inputs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    fields.retain(|(name, _)| !matches!(*name, "username" | "password"));
    fields.extend(typed(&house.mira.name, &house.mira.password));
    let response = browser.send(Request::post(server.url(&form.action)).form(&fields));
    assert_eq!(response.status, 303);
    let Landing::Page(page) = browser.open(server, response.header("location").unwrap()) else {
        panic!("left")
    };
    assert_eq!(page.path(), "/consent");
}
