//! Pages while something that they need is away: they say so, promise nothing, and go on where they were.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::browser::{App, Browser, Page, User, filled};
use crate::support::deployment::{Deployment, Plan};
use crate::support::http::{Request, Response};
use crate::support::symbolon::Server;
use crate::support::wait;

/// Everything here is promised within 2 s.
const PROMPT: Duration = Duration::from_secs(2);

struct House {
    deployment: Deployment,
    mira: User,
    app: App,
}

impl House {
    fn new() -> Self {
        let deployment = Plan::scaled(1).proxied().start();
        deployment.resource_server("notes", "urn:example:notes", "notes:read");
        let (mira, app) = (deployment.user("mira"), deployment.app("app", "notes:read", &[]));
        Self { deployment, mira, app }
    }

    fn server(&self) -> &Server {
        self.deployment.replica(0)
    }
}

/// A page that says to come back, and leaves the browser as it was.
#[track_caller]
fn unavailable(browser: &mut Browser, request: Request) {
    let asked = Instant::now();
    let before = browser.cookies.clone();
    let response = browser.send(request);
    assert!(asked.elapsed() < PROMPT, "{:?}", asked.elapsed());
    is_unavailable(&response);
    assert_eq!(browser.cookies, before, "nobody is logged out by it");
}

#[track_caller]
fn is_unavailable(response: &Response) {
    assert_eq!(response.status, 503, "{}", response.text());
    assert_eq!(response.header("retry-after"), Some("1"));
    assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(response.header("location"), None);
    let (text, id) = (response.text(), response.header("x-request-id").unwrap());
    assert!(text.contains("This does not work right now") && text.contains(id), "{text}");
}

fn log_in(house: &House, page: &Page) -> Request {
    let values = [("username", house.mira.name.as_str()), ("password", &house.mira.password)];
    filled(house.server(), page, &values, None)
}

#[test]
fn s3_pages_wait_for_redis_and_log_nobody_out() {
    let house = House::new();
    let (server, path) = (house.server(), house.deployment.redis_path(0));
    let ask = house.app.ask();
    let mut browser = Browser::new();
    let login = browser.open(server, &ask.address()).page();
    let consent = browser.log_in(server, &login, &house.mira).page();
    path.stall();
    for _ in 0..2 {
        unavailable(&mut browser, Request::get(server.url(&ask.address())));
        unavailable(&mut browser, Request::get(server.url(&consent.address)));
        unavailable(&mut browser, filled(server, &consent, &[], Some(("decision", "allow"))));
        unavailable(&mut browser, log_in(&house, &login));
    }
    // The form itself needs nothing.
    assert_eq!(Browser::new().open(server, "/login").page().response.status, 200);
    path.pass();
    server.wait_until_ready(true, Duration::from_secs(20));
    let answer = browser.submit(server, &consent, &[], Some(("decision", "allow"))).left();
    house.app.redeem(server, &ask, &answer);
}

#[test]
fn s8_pages_wait_for_sql_and_give_nothing_meanwhile() {
    let house = House::new();
    let (server, path) = (house.server(), house.deployment.sql_path(0));
    let ask = house.app.ask();
    let mut browser = Browser::new();
    let login = browser.open(server, &ask.address()).page();
    let consent = browser.log_in(server, &login, &house.mira).page();
    path.stall();
    unavailable(&mut browser, log_in(&house, &login));
    unavailable(&mut browser, filled(server, &consent, &[], Some(("decision", "allow"))));
    path.pass();
    let submit = || filled(server, &consent, &[], Some(("decision", "allow")));
    let allowed = wait::until("SQL answers again", Duration::from_secs(20), || {
        Some(browser.send(submit())).filter(|response| response.status == 303)
    });
    let url = allowed.header("location").unwrap().to_owned();
    house.app.redeem(server, &ask, &crate::support::browser::Answer { url });
}

#[test]
fn x9_a_burst_of_logins_is_told_to_come_back_on_a_page() {
    let deployment = Plan::embedded().env("SYMBOLON_PASSWORD_THREADS", "1").start();
    let (server, mira) = (deployment.replica(0), deployment.user("mira"));
    let mut browser = Browser::new();
    let login = browser.open(server, "/login").page();
    let values = [("username", mira.name.as_str()), ("password", &mira.password)];
    let request = filled(server, &login, &values, None);
    let answers: Vec<Response> = thread::scope(|scope| {
        let send = || {
            let (mut browser, request) = (browser.clone(), request.clone());
            scope.spawn(move || browser.send(request))
        };
        // 64 wait for the one thread.
        let under_way: Vec<_> = (0..160).map(|_| send()).collect();
        under_way.into_iter().map(|answer| answer.join().unwrap()).collect()
    });
    let with = |status| answers.iter().filter(move |response| response.status == status);
    with(503).for_each(is_unavailable);
    assert!(with(503).count() > 0, "none was told to come back");
    assert!(with(303).count() > 0, "none logged in");
    // Some are taken for guesses, for so many at once might be.
    assert_eq!(with(503).count() + with(303).count() + with(403).count(), answers.len());
}
