//! What holds on every page: headers, cookies, and that a refused login tells nothing.

use std::collections::BTreeMap;

use crate::expect::steady_headers;
use crate::support::browser::{App, Ask, Browser, Page, User, filled};
use crate::support::deployment::Deployment;
use crate::support::encoding;
use crate::support::html;
use crate::support::http::{Request, Response};
use crate::support::leaks::Secrets;
use crate::support::symbolon::Server;
use crate::world::NOTES;

const SESSION: &str = "__Host-symbolon-session";
const LOGIN: &str = "__Host-symbolon-login";

/// An installation of its own: failures to log in count by address, and all tests have the same.
pub struct House {
    pub deployment: Deployment,
    pub mira: User,
    pub app: App,
}

impl House {
    pub fn new() -> Self {
        let deployment = Deployment::embedded();
        let further = ["--scope-description", "notes:read=Read your <notes>"];
        deployment.resource_server_with("notes", NOTES, "notes:read notes:write", &further);
        let mira = deployment.user("mira");
        let app = deployment.app("app", "notes:read notes:write", &["--origin", "https://www.example"]);
        Self { deployment, mira, app }
    }

    pub fn server(&self) -> &Server {
        self.deployment.replica(0)
    }

    /// The login page of a request, and the browser that shows it.
    pub fn login(&self, ask: &Ask) -> (Browser, Page) {
        let mut browser = Browser::new();
        let page = browser.open(self.server(), &ask.address()).page();
        assert_eq!(page.path(), "/login");
        (browser, page)
    }

    /// The consent page of a request, and the browser that shows it.
    pub fn consent(&self, ask: &Ask) -> (Browser, Page) {
        let (mut browser, login) = self.login(ask);
        let page = browser.log_in(self.server(), &login, &self.mira).page();
        assert_eq!(page.path(), "/consent");
        (browser, page)
    }
}

pub fn typed<'t>(name: &'t str, password: &'t str) -> [(&'t str, &'t str); 2] {
    [("username", name), ("password", password)]
}

#[test]
fn x14_x43_no_page_may_be_framed_kept_or_draw_on_anything_from_elsewhere() {
    let house = House::new();
    let server = house.server();
    let ask = house.app.ask();
    let (mut browser, consent) = house.consent(&ask);
    let (_, login) = house.login(&ask);
    let mut get = |path: &str| browser.send(Request::get(server.url(path)));
    let own = "'self'";
    // The answer arrives at one of the application's hosts, and may lead on to another.
    let back = "'self' https://app.example https://www.example";
    for (what, response, status, form_action) in [
        ("login", login.response, 200, back),
        ("one's own login", get("/login"), 200, own),
        ("consent", consent.response, 200, back),
        ("a redirect", get(&ask.address()), 303, "'none'"),
        ("a refused request", get("/authorize"), 400, "'none'"),
        ("a form of nobody", Request::post(server.url("/login")).form(&[]).send(), 403, "'none'"),
        ("no form", Request::post(server.url("/login")).body("{}").send(), 415, "'none'"),
        ("another method", Request::new("PUT", server.url("/consent")).send(), 405, "'none'"),
        ("a long address", get(&format!("/login?{}", "x".repeat(9_000))), 414, "'none'"),
    ] {
        assert_eq!(response.status, status, "{what}");
        let policy = format!(
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action {form_action}; \
             frame-ancestors 'none'; base-uri 'none'"
        );
        for (name, value) in [
            ("content-security-policy", policy.as_str()),
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(response.header_values(name), [value], "{what}");
        }
        for name in ["etag", "last-modified", "server", "access-control-allow-origin"] {
            assert_eq!(response.header(name), None, "{what}");
        }
        if status != 303 {
            assert_eq!(response.header_values("content-type"), ["text/html; charset=utf-8"], "{what}");
            is_a_page(what, &response);
        }
    }
}

/// What a screen reader and a browser without script need, and nothing that the policy forbids.
#[track_caller]
fn is_a_page(what: &str, response: &Response) {
    let text = response.text();
    let tags: Vec<_> = html::tags(&text).map(|tag| tag.name).collect();
    let count = |name: &str| tags.iter().filter(|tag| *tag == name).count();
    assert!(text.starts_with("<!doctype html>\n<html lang=\"en\">"), "{what}");
    assert_eq!((count("h1"), count("main"), count("title")), (1, 1, 1), "{what}");
    assert_eq!((count("script"), count("style"), count("img"), count("iframe")), (0, 0, 0, 0), "{what}");
    for tag in html::tags(&text) {
        assert_eq!(html::attribute(&tag, "style"), None, "{what}");
        for name in ["href", "src", "action"] {
            let address = html::attribute(&tag, name);
            assert!(address.is_none_or(|address| address.starts_with('/')), "{what}: {name}");
        }
        if tag.name == "input" && html::attribute(&tag, "type").as_deref() != Some("hidden") {
            let id = html::attribute(&tag, "id").expect("a field has an id");
            assert!(text.contains(&format!("<label for=\"{id}\">")), "{what}: {id} has no label");
            assert!(html::attribute(&tag, "autocomplete").is_some(), "{what}: {id}");
        }
    }
}

#[test]
fn x43_what_pages_are_drawn_with_is_kept_for_ever_under_its_own_name() {
    let house = House::new();
    let login = Request::get(house.server().url("/login")).send().text();
    let addresses: Vec<_> = login.split('"').filter(|text| text.starts_with("/assets/")).collect();
    assert_eq!(addresses.len(), 2, "{addresses:?}");
    for (address, content_type) in addresses.iter().zip(["image/svg+xml", "text/css; charset=utf-8"]) {
        let asset = Request::get(house.server().url(address)).send().expect_status(200);
        assert_eq!(asset.header("content-type"), Some(content_type));
        assert_eq!(asset.header("cache-control"), Some("public, max-age=31536000, immutable"));
        assert_eq!(asset.header("set-cookie"), None);
    }
}

#[test]
fn x6_whoever_is_refused_sees_the_same_page_whatever_the_reason() {
    let house = House::new();
    let (server, deployment) = (house.server(), &house.deployment);
    let disabled = deployment.user("a disabled user with a long name");
    deployment.cli(&["user", "disable", &disabled.name, "--json"]).success();
    deployment.cli(&["user", "create", "nobody set a password", "--json"]).success();
    let (browser, login) = house.login(&house.app.ask());
    let refused = |name: &str, password: &str| {
        let mut browser = browser.clone();
        let landing = browser.submit(server, &login, &typed(name, password), None);
        let response = landing.page().response;
        assert_eq!(response.status, 403);
        assert!(!browser.cookies.contains_key(SESSION));
        let headers: BTreeMap<_, _> = steady_headers(&response)
            .into_iter()
            .map(|(name, values)| (name.to_owned(), values.join(", ")))
            .collect();
        (headers, response.text())
    };
    let wrong = refused(&house.mira.name, "not the password");
    assert!(wrong.1.contains("role=\"alert\""), "{}", wrong.1);
    for (name, password) in [
        ("nobody", "not the password"),
        ("nobody", ""),
        ("", ""),
        ("no\u{202e}body \u{1f600}", "x"),
        (&disabled.name, &disabled.password),
        (&disabled.name, "not the password"),
        ("nobody set a password", "not the password"),
        (&house.mira.name, ""),
        (&house.mira.name, &house.mira.password.to_uppercase()),
    ] {
        assert_eq!(refused(name, password), wrong, "{name}");
    }
    // Made to wait, after which even the right password is refused.
    for _ in 0..12 {
        assert_eq!(refused(&house.mira.name, "not the password"), wrong);
    }
    assert_eq!(refused(&house.mira.name, &house.mira.password), wrong);
}

#[test]
fn x9_a_password_is_taken_whole_or_refused() {
    let house = House::new();
    let server = house.server();
    let (mut browser, login) = house.login(&house.app.ask());
    let long = "\u{e9}".repeat(512);
    let landing = browser.submit(server, &login, &typed(&house.mira.name, &long), None);
    assert_eq!(landing.page().response.status, 403);
    let landing = browser.submit(server, &login, &typed(&house.mira.name, &format!("{long}x")), None);
    assert_eq!(landing.page().response.status, 400);
}

#[test]
fn x11_a_session_begins_at_login_and_nothing_that_the_browser_brought_becomes_one() {
    let house = House::new();
    let server = house.server();
    let ask = house.app.ask();
    let (mut browser, login) = house.login(&ask);
    let planted = format!("sys_{}", "0".repeat(56));
    browser.cookies.insert(SESSION.to_owned(), planted.clone());
    let pre_login = browser.cookies[LOGIN].clone();
    browser.log_in(server, &login, &house.mira).page();
    let first = browser.cookies[SESSION].clone();
    assert!(first.starts_with("sys_") && first != planted);
    // Again: another one, and the one before goes on, for the tokens that rest on it.
    let login = browser.open(server, "/login").page();
    browser.submit(server, &login, &typed(&house.mira.name, &house.mira.password), None);
    let second = browser.cookies[SESSION].clone();
    assert!(second.starts_with("sys_") && second != first);
    let sees = |value: &str| {
        let mut browser = Browser::new();
        browser.cookies.insert(SESSION.to_owned(), value.to_owned());
        browser.open(server, &ask.address()).page().path().to_owned()
    };
    assert_eq!((sees(&first).as_str(), sees(&second).as_str()), ("/consent", "/consent"));
    // Every other value is nobody: X3, X5.
    let mut app = Browser::new();
    let answer = app.allow(server, &house.mira, &ask);
    let tokens = house.app.redeem(server, &ask, &answer);
    let flipped = if second.ends_with('0') { "1" } else { "0" };
    for value in [
        pre_login,
        planted,
        String::new(),
        "sys_".to_owned(),
        second[..second.len() - 1].to_owned(),
        format!("{}{flipped}", &second[..second.len() - 1]),
        format!("{second}0"),
        second.to_uppercase(),
        second.replacen("sys_", "sya_", 1),
        answer.code().to_owned(),
        tokens.access.0,
        tokens.refresh.0,
    ] {
        assert_eq!(sees(&value), "/login", "{value}");
    }
}

#[test]
fn x5_a_session_is_no_token_and_no_token_is_another() {
    let house = House::new();
    let server = house.server();
    let ask = house.app.ask();
    let mut browser = Browser::new();
    let answer = browser.allow(server, &house.mira, &ask);
    let session = browser.cookies[SESSION].clone();
    let tokens = house.app.redeem(server, &ask, &answer);
    for other in [&session, &tokens.access.0, &tokens.refresh.0] {
        let refused = house.app.redemption(server, &ask, other).send();
        assert_eq!((refused.status, refused.oauth_error().as_deref()), (400, Some("invalid_grant")));
    }
    for other in [session.as_str(), tokens.access.as_str(), answer.code()] {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", other)];
        let refused = house.app.token_request(server, &fields).send();
        assert_eq!((refused.status, refused.oauth_error().as_deref()), (400, Some("invalid_grant")));
    }
    house.app.refresh(server, &tokens.refresh);
}

/// There is no address to go on to that somebody could have written into a link.
#[test]
fn x15_a_login_leads_to_its_request_or_to_ones_own_account_and_nowhere_else() {
    let house = House::new();
    let server = house.server();
    let elsewhere =
        ["//evil.example", "https://evil.example", "\\\\evil.example", "/%09/evil.example", "https:evil"];
    for address in elsewhere {
        for name in ["next", "return_to", "continue", "redirect_uri", "request"] {
            let mut browser = Browser::new();
            let query = encoding::form(&[(name, address)]);
            let response = browser.send(Request::get(server.url(&format!("/login?{query}"))));
            assert!(response.header("location").is_none(), "{name}={address}");
            let text = response.text();
            assert!(html::links(&text).is_empty() && !text.contains("evil"), "{name}={address}: {text}");
        }
        let (mut browser, login) = house.login(&house.app.ask());
        let values = [
            ("username", house.mira.name.as_str()),
            ("password", &house.mira.password),
            ("request", address),
        ];
        let response = browser.send(filled(server, &login, &values, None));
        let location = response.header("location").unwrap_or_default();
        assert!(location.is_empty() || location == "/account", "{address}: {location}");
    }
    // A request that is refused leads back only where its application is registered.
    let ask = house.app.ask().changed("redirect_uri", "https://evil.example/");
    for path in ["/authorize", "/login", "/consent"] {
        let response = Browser::new().send(Request::get(server.url(&format!("{path}?{}", ask.query()))));
        assert_eq!((response.status, response.header("location")), (400, None), "{path}");
    }
}

#[test]
fn x26_names_of_others_are_only_text_on_a_page() {
    let house = House::new();
    let name = "<img src=x onerror=alert(1)> & \"Sons\" '";
    let app = house.deployment.app(name, "notes:read notes:write", &[]);
    let ask = app.ask();
    let (_, consent) = house.consent(&ask);
    let (_, login) = house.login(&ask);
    for page in [&consent, &login] {
        let text = page.response.text();
        assert!(!text.contains("<img") && !text.contains("<notes>"), "{text}");
        assert!(html::unescape(&text).contains(name), "{text}");
    }
    let text = html::unescape(&consent.response.text());
    for shown in ["Read your <notes>", "notes:write", NOTES, "mira", "app.example"] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
}

#[test]
fn x13_cookies_are_opaque_and_end_with_the_session() {
    let house = House::new();
    let server = house.server();
    let (mut browser, login) = house.login(&house.app.ask());
    let form = filled(server, &login, &typed(&house.mira.name, &house.mira.password), None);
    let response = browser.send(form);
    let cookies = response.header_values("set-cookie");
    let [cookie] = cookies.as_slice() else { panic!("{cookies:?}") };
    assert!(cookie.ends_with("; Max-Age=2592000"), "the 30 days of a login session: {cookie}");
    for (name, value) in &browser.cookies {
        assert!(name.starts_with("__Host-symbolon-") && !value.contains("mira"), "{name}={value}");
    }
    // Only the login page and a login set any.
    let response = browser.send(Request::get(server.url(&house.app.ask().address())));
    assert_eq!(response.header("set-cookie"), None);
}

#[test]
fn x23_no_password_no_cookie_and_no_form_is_logged() {
    let house = House::new();
    let server = house.server();
    let (mut browser, login) = house.login(&house.app.ask());
    let wrong = "a password that is wrong in every way";
    browser.submit(server, &login, &typed(&house.mira.name, wrong), None).page();
    browser.log_in(server, &login, &house.mira).page();
    let mut secrets = Secrets::default();
    for (what, secret) in [("the password", house.mira.password.as_str()), ("a wrong password", wrong)] {
        secrets.add(what, secret);
        secrets.add(what, &encoding::form_component(secret));
    }
    browser.cookies.iter().for_each(|(name, value)| secrets.add(name, value));
    login
        .form()
        .inputs
        .iter()
        .filter(|(name, _)| name == "csrf")
        .for_each(|(name, value)| secrets.add(name, value));
    for stream in ["stderr", "stdout"] {
        secrets.look_in_file(stream, &server.log(stream));
    }
    assert!(server.stderr().len() > 1_000, "all there is to log was logged");
}
