//! `/authorize` (RFC 6749 §4.1.1, §4.1.2; RFC 7636 §4.3; RFC 9207; `prompt` and `max_age` of OpenID Connect Core §3.1.2.1).

use std::sync::OnceLock;

use crate::support::browser::{Answer, App, Ask, Browser, CALLBACK, Landing, Page, User, filled};
use crate::support::deployment::Deployment;
use crate::support::html;
use crate::support::http::Request;
use crate::support::symbolon::Server;
use crate::world::embedded;

/// Who asks and who is asked, in the shared installation.
struct People {
    mira: User,
    app: App,
}

fn people() -> &'static People {
    static PEOPLE: OnceLock<People> = OnceLock::new();
    PEOPLE.get_or_init(|| {
        let deployment = &embedded().deployment;
        let mira = deployment.user("mira.authorizes@example.com");
        let app = deployment.app("authorize", "notes:read notes:write", &["--public"]);
        People { mira, app }
    })
}

fn server() -> &'static Server {
    embedded().server()
}

/// What somebody who was never here is answered.
#[track_caller]
fn open(ask: &Ask) -> Landing {
    Browser::new().open(server(), &ask.address())
}

/// An error that the application is told, in the form that RFC 6749 §4.1.2.1 asks for.
#[track_caller]
fn refused(answer: &Answer, ask: &Ask, error: &str) {
    assert_eq!(answer.get("error").as_deref(), Some(error), "{}", answer.url);
    assert_eq!(answer.get("state").as_deref(), ask.field("state"), "{}", answer.url);
    assert_eq!(answer.get("iss"), Some(server().url("")), "{}", answer.url);
    assert_eq!(answer.get("code"), None);
    let description = answer.get("error_description").expect("it says why");
    assert!(description.bytes().all(|byte| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)));
}

/// A page that leads nowhere.
#[track_caller]
fn refused_on_a_page(page: &Page) {
    assert_eq!(page.response.status, 400);
    assert_eq!(page.response.header("location"), None);
    assert_eq!(page.response.header("content-type"), Some("text/html; charset=utf-8"));
    let text = page.response.text();
    assert!(html::links(&text).is_empty() && html::forms(&text).is_empty(), "{text}");
    assert!(!text.contains("evil"), "nothing that was sent comes back: {text}");
}

#[test]
fn a1_who_cannot_be_trusted_is_told_on_a_page_that_leads_nowhere() {
    let app = &people().app;
    let disabled = embedded().deployment.app("a1-disabled", "notes:read", &[]);
    embedded().deployment.cli(&["client", "disable", &disabled.client.id, "--json"]).success();
    let ask = || app.ask().changed("state", "evil");
    for ask in [
        ask().without("client_id"),
        ask().changed("client_id", ""),
        ask().changed("client_id", "evil"),
        ask().changed("client_id", "<script>evil</script>"),
        ask().changed("client_id", &disabled.client.id),
        ask().with("client_id", &app.client.id),
        ask().without("redirect_uri"),
        ask().changed("redirect_uri", ""),
        ask().changed("redirect_uri", "https://evil.example/callback"),
        ask().changed("redirect_uri", "javascript:alert('evil')"),
        // Nor by an error that others would be told.
        ask().changed("redirect_uri", "https://evil.example/").without("response_type"),
        ask().changed("redirect_uri", "https://evil.example/").with("prompt", "none"),
        ask().with("redirect_uri", "https://evil.example/callback"),
        ask().with("redirect_uri", CALLBACK),
    ] {
        refused_on_a_page(&open(&ask).page());
    }
    refused_on_a_page(&Browser::new().open(server(), "/authorize").page());
    let bytes = format!("/authorize?client_id=%ff&redirect_uri={}", app.ask().field("redirect_uri").unwrap());
    refused_on_a_page(&Browser::new().open(server(), &bytes).page());
}

#[test]
fn a2_every_other_error_goes_back_to_the_application() {
    let (app, deployment) = (&people().app, &embedded().deployment);
    let arguments =
        ["client", "create", "a2-no-codes", "--grant", "client_credentials", "--scope", "notes:read"];
    let created = [&arguments[..], &["--redirect-uri", CALLBACK, "--json"]].concat();
    let without_codes = deployment.cli(&created).success().json()["client_id"].as_str().unwrap().to_owned();
    for (ask, error) in [
        (app.ask().without("response_type"), "invalid_request"),
        (app.ask().changed("response_type", "token"), "unsupported_response_type"),
        (app.ask().changed("response_type", "code token"), "unsupported_response_type"),
        (app.ask().changed("client_id", &without_codes), "unauthorized_client"),
        (app.ask().with("scope", "mail:send"), "invalid_scope"),
        (app.ask().with("scope", "notes:read unheard:of"), "invalid_scope"),
        (app.ask().with("scope", "notes:read \""), "invalid_scope"),
        (app.ask().with("resource", "https://unknown.example"), "invalid_target"),
        (app.ask().with("resource", "https://notes.example/#fragment"), "invalid_target"),
        (app.ask().with("prompt", "create"), "invalid_request"),
        (app.ask().with("prompt", "none login"), "invalid_request"),
        (app.ask().with("max_age", "-1"), "invalid_request"),
        (app.ask().with("scope", "notes:read").with("scope", "notes:read"), "invalid_request"),
        (app.ask().with("prompt", "none").with("prompt", "none"), "invalid_request"),
        (app.ask().with("login_hint", "\0"), "invalid_request"),
    ] {
        refused(&open(&ask).left(), &ask, error);
    }
    // Two states are none to send back.
    let twice = app.ask().with("state", "evil");
    let answer = open(&twice).left();
    assert_eq!((answer.get("error").as_deref(), answer.get("state")), (Some("invalid_request"), None));
    // What nobody knows is ignored, however often it stands there.
    open(&app.ask().with("foo", "1").with("foo", "\0").with("scope[]", "x").with("request", "x")).page();
}

#[test]
fn a2_a_redirect_is_a_303_without_a_body_that_nobody_keeps() {
    let ask = people().app.ask().without("response_type");
    let response = Request::get(server().url(&ask.address())).send();
    assert_eq!((response.status, response.body.len()), (303, 0));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(response.header("referrer-policy"), Some("no-referrer"));
    assert!(response.header("access-control-allow-origin").is_none());
}

/// The tricks of the list, at the real endpoint; byte by byte they are tried beside the code.
#[test]
fn x16_no_other_spelling_of_a_redirect_uri_is_redirected_to() {
    let deployment = &embedded().deployment;
    let app = deployment.app_at("x16", "notes:read", "https://c.example/cb", &["--public"]);
    let long = format!("https://c.example/cb?{}", "x".repeat(5_000));
    for uri in [
        "https://c.example/cb/",
        "https://c.example/CB/",
        "https://c.example/CB",
        "https://c.example/cb?x",
        "https://c.example/cb?",
        "https://c.example/cb#",
        "https://c.example/cb#x",
        "https://c.example/cb%23",
        "https://c.example/cb;a=1",
        "https://c.example/cb/..;/x",
        "https://c.example/%2e%2e/cb",
        "https://c.example//cb",
        "https://user@c.example/cb",
        "https://c.example:443/cb",
        "https://C.example/cb",
        "https://c.example./cb",
        "https://c.example.evil/cb",
        "https://cXexample/cb",
        "https://c.ex\u{0430}mple/cb",
        "https://c.example/cb\t",
        "https://c.example/cb\r\n",
        " https://c.example/cb",
        "http://c.example/cb",
        "javascript:alert(1)//https://c.example/cb",
        "JaVaScRiPt:alert(1)",
        "data:text/html,x",
        "//c.example/cb",
        "https:c.example/cb",
        "https://[::1",
        &long,
    ] {
        refused_on_a_page(&open(&app.ask().changed("redirect_uri", uri)).page());
    }
    let matching = open(&app.ask().with("prompt", "none")).left();
    assert!(matching.url.starts_with("https://c.example/cb?error="), "{}", matching.url);
}

#[test]
fn a3_only_the_port_of_a_loopback_address_may_differ() {
    let deployment = &embedded().deployment;
    let app = deployment.app_at("a3", "notes:read", "http://127.0.0.1/cb", &["--public"]);
    for (uri, matches) in [
        ("http://127.0.0.1/cb", true),
        ("http://127.0.0.1:4711/cb", true),
        ("http://127.0.0.1:4711/cb/", false),
        ("http://127.0.0.1:4711/", false),
        ("http://127.0.0.1:99999/cb", false),
        ("http://a@127.0.0.1:4711/cb", false),
        ("http://127.0.0.1.evil.example:4711/cb", false),
        ("http://localhost:4711/cb", false),
        ("http://[::1]:4711/cb", false),
        ("https://127.0.0.1:4711/cb", false),
    ] {
        let ask = app.ask().changed("redirect_uri", uri).with("prompt", "none");
        match open(&ask) {
            Landing::Left(answer) => assert!(matches && answer.url.starts_with(&format!("{uri}?")), "{uri}"),
            Landing::Page(page) => {
                assert!(!matches, "{uri}");
                refused_on_a_page(&page);
            }
        }
    }
}

#[test]
fn a4_a_state_goes_all_the_way_through_the_pages_and_comes_back_exactly() {
    let deployment = &embedded().deployment;
    let uri = "https://app.example/callback?tenant=1&state=registered&iss=evil";
    let app = deployment.app_at("a4", "notes:read", uri, &[]);
    let long = "\u{1d11e}".repeat(512);
    for state in ["a b+c%20d", "&code=x#y?z=\"<'>", "\r\nSet-Cookie: x=y", "\u{e9}\u{20ac}", &long] {
        let ask = app.ask().changed("state", state);
        let mut browser = Browser::new();
        for answer in [
            browser.allow(server(), &people().mira, &ask),
            browser.deny(server(), &people().mira, &ask.clone().with("prompt", "consent")),
            open(&ask.clone().with("prompt", "none")).left(),
        ] {
            assert!(answer.url.starts_with("https://app.example/callback?tenant=1&"), "{}", answer.url);
            assert_eq!(answer.get("state").as_deref(), Some(state));
            assert_eq!(answer.get("iss"), Some(server().url("")));
            assert_eq!(answer.get("tenant").as_deref(), Some("1"));
        }
    }
    let stateless = app.ask().without("state");
    let answer = Browser::new().allow(server(), &people().mira, &stateless);
    assert_eq!(answer.get("state"), None, "{}", answer.url);
}

#[test]
fn p1_p2_p3_p8_every_client_has_to_send_a_challenge_of_s256() {
    let confidential = embedded().deployment.app("p1", "notes:read", &[]);
    for app in [&people().app, &confidential] {
        for ask in [
            app.ask().without("code_challenge"),
            app.ask().without("code_challenge").without("code_challenge_method"),
            app.ask().changed("code_challenge", ""),
            app.ask().without("code_challenge_method"),
            app.ask().changed("code_challenge_method", "plain"),
            app.ask().changed("code_challenge_method", "s256"),
            app.ask().changed("code_challenge_method", "S512"),
            app.ask().changed("code_challenge", &"a".repeat(42)),
            app.ask().changed("code_challenge", &"a".repeat(44)),
            app.ask().changed("code_challenge", &"a".repeat(129)),
            app.ask().changed("code_challenge", &"+".repeat(43)),
        ] {
            refused(&open(&ask).left(), &ask, "invalid_request");
        }
    }
}

#[test]
fn x17_the_issuer_is_in_every_response_with_a_code_or_an_error() {
    let ask = people().app.ask();
    let mut browser = Browser::new();
    let allowed = browser.allow(server(), &people().mira, &ask);
    assert!(allowed.code().starts_with("syc_"));
    let denied = browser.deny(server(), &people().mira, &ask.clone().with("prompt", "consent"));
    refused(&denied, &ask, "access_denied");
    for answer in [&allowed, &denied] {
        assert_eq!(answer.get("iss"), Some(server().url("")));
        assert_eq!(answer.get("state").as_deref(), ask.field("state"));
    }
}

#[test]
fn a2_with_prompt_none_nobody_is_asked_anything() {
    let app = embedded().deployment.app("a2-none", "notes:read notes:write", &[]);
    let ask = app.ask().with("prompt", "none").with("scope", "notes:read");
    refused(&open(&ask).left(), &ask, "login_required");
    let mut browser = Browser::new();
    browser.deny(server(), &people().mira, &app.ask());
    let answer = browser.open(server(), &ask.address()).left();
    refused(&answer, &ask, "consent_required");
    browser.allow(server(), &people().mira, &app.ask().with("scope", "notes:read"));
    let answer = browser.open(server(), &ask.address()).left();
    app.redeem(server(), &ask, &answer);
    let more = app.ask().with("prompt", "none");
    refused(&browser.open(server(), &more.address()).left(), &more, "consent_required");
    let newer = ask.with("max_age", "0");
    refused(&browser.open(server(), &newer.address()).left(), &newer, "login_required");
}

#[test]
fn x20_what_somebody_allowed_is_not_asked_again_and_nothing_else_is_let_through() {
    let deployment = &embedded().deployment;
    let noor = deployment.user("noor.consents@example.com");
    let web = deployment.app("x20-web", "notes:read notes:write", &[]);
    let spa = deployment.app("x20-spa", "notes:read notes:write", &["--public"]);
    for app in [&web, &spa] {
        let narrow = || app.ask().with("scope", "notes:read");
        let mut browser = Browser::new();
        browser.deny(server(), &people().mira, &narrow());
        let is_asked = |browser: &mut Browser, ask: &Ask| match browser.open(server(), &ask.address()) {
            Landing::Page(page) => {
                assert_eq!(page.path(), "/consent");
                true
            }
            Landing::Left(answer) => {
                app.redeem(server(), ask, &answer);
                false
            }
        };
        assert!(is_asked(&mut browser, &narrow()), "no is not remembered as yes");
        browser.allow(server(), &people().mira, &narrow());
        assert!(!is_asked(&mut browser, &narrow()));
        assert!(is_asked(&mut browser, &app.ask()), "more than was allowed");
        assert!(is_asked(&mut browser, &narrow().with("prompt", "consent")));
        // In another browser as well, but only of whom has allowed it.
        let mut elsewhere = Browser::new();
        let login = elsewhere.open(server(), &narrow().address()).page();
        elsewhere.log_in(server(), &login, &people().mira).left();
        let mut others = Browser::new();
        let login = others.open(server(), &narrow().address()).page();
        assert_eq!(others.log_in(server(), &login, &noor).page().path(), "/consent");
        // What is allowed adds up.
        browser.allow(server(), &people().mira, &app.ask().with("scope", "notes:write"));
        assert!(!is_asked(&mut browser, &app.ask()));
    }
}

/// Whoever else listens on the port, or has claimed the scheme, would be given a code without anybody being asked.
#[test]
fn x20_an_application_that_another_program_could_pose_as_is_always_asked_for() {
    let deployment = &embedded().deployment;
    for (name, uri) in [
        ("x20-native", "com.example.app:/callback"),
        ("x20-loopback", "http://127.0.0.1/callback"),
        ("x20-ipv6", "http://[::1]/callback"),
        ("x20-localhost", "http://localhost:3000/callback"),
    ] {
        let app = deployment.app_at(name, "notes:read", uri, &["--public"]);
        let mut browser = Browser::new();
        for _ in 0..2 {
            browser.allow(server(), &people().mira, &app.ask());
            let page = browser.open(server(), &app.ask().address()).page();
            assert!(page.response.text().contains("nobody can check that it is what it says"), "{uri}");
        }
        let silent = app.ask().with("prompt", "none");
        refused(&browser.open(server(), &silent.address()).left(), &silent, "consent_required");
    }
}

/// Neither skipped by going back nor asked for again and again.
#[test]
fn a2_a_new_login_that_is_asked_for_is_made_once() {
    let (mira, app) = (&people().mira, embedded().deployment.app("a2-again", "notes:read", &[]));
    let mut browser = Browser::new();
    browser.allow(server(), mira, &app.ask());
    let before = browser.cookies.clone();
    // One that does not ask for it goes on at once.
    browser.open(server(), &app.ask().address()).left();
    for (name, value) in [("prompt", "login"), ("max_age", "0"), ("prompt", "login consent")] {
        let ask = app.ask().with(name, value);
        let login = browser.open(server(), &ask.address()).page();
        assert_eq!(login.path(), "/login", "{name}={value}");
        // To go round the page is to come back to it.
        let around = ask.address().replacen("/authorize", "/consent", 1);
        assert_eq!(browser.open(server(), &around).page().path(), "/login");
        let form = filled(server(), &login, &[("username", &mira.name), ("password", &mira.password)], None);
        let sent_on = browser.send(form).expect_status(303);
        let sent_on = sent_on.header("location").unwrap();
        assert_ne!(browser.cookies, before, "a session of its own");
        // The request begun anew is a request of its own, and what proves this login is good for this one alone.
        assert_eq!(browser.open(server(), &ask.address()).page().path(), "/login");
        let proof = sent_on.split("login_proof=").nth(1).expect("a proof");
        let other = app.ask().with(name, value).with("login_proof", proof);
        assert_eq!(browser.open(server(), &other.address()).page().path(), "/login");
        let mut another = Browser::new();
        let login = another.open(server(), &app.ask().address()).page();
        another.log_in(server(), &login, mira).left();
        assert_eq!(another.open(server(), sent_on).page().path(), "/login", "of another session");
        let answer = match browser.open(server(), sent_on) {
            Landing::Left(answer) => answer,
            Landing::Page(page) => {
                assert_eq!((page.path(), value), ("/consent", "login consent"));
                // It may be loaded anew.
                let page = browser.open(server(), &page.address).page();
                browser.submit(server(), &page, &[], Some(("decision", "allow"))).left()
            }
        };
        app.redeem(server(), &ask, &answer);
    }
}

#[test]
fn a2_a_login_hint_is_filled_in_and_is_only_text() {
    let hint = "\"><script>alert(1)</script>'&amp;";
    let page = open(&people().app.ask().with("login_hint", hint)).page();
    let form = page.form();
    assert!(form.inputs.contains(&("username".to_owned(), hint.to_owned())), "{:?}", form.inputs);
    assert!(!page.response.text().contains("<script"));
}

#[test]
fn a1_an_issuer_with_a_path_has_its_pages_there() {
    let plan = crate::support::deployment::Plan::embedded();
    let deployment: Deployment = plan.env("SYMBOLON_ISSUER", "https://auth.example/tenants/1").start();
    let server = deployment.replica(0);
    deployment.resource_server("notes", "urn:example:notes", "notes:read");
    let (mira, app) = (deployment.user("mira"), deployment.app("app", "notes:read", &[]));
    let ask = app.ask();
    let mut browser = Browser::new();
    let login = browser.open(server, &format!("/tenants/1{}", ask.address())).page();
    assert_eq!((login.path(), login.form().action.as_str()), ("/tenants/1/login", "/tenants/1/login"));
    let stylesheet = login.response.text();
    let stylesheet = stylesheet.split('"').find(|text| text.contains("/assets/pages-")).unwrap();
    assert!(stylesheet.starts_with("/tenants/1/assets/"), "{stylesheet}");
    Request::get(server.url(stylesheet)).send().expect_status(200);
    let consent = browser.log_in(server, &login, &mira).page();
    assert_eq!(consent.path(), "/tenants/1/consent");
    let answer = browser.submit(server, &consent, &[], Some(("decision", "allow"))).left();
    assert_eq!(answer.get("iss").as_deref(), Some("https://auth.example/tenants/1"));
    app.redeem(server, &ask, &answer);
}
