//! Ending something while something is away: it is not said to have ended before it has, everywhere.

use std::time::{Duration, Instant};

use crate::account_world::{House, SESSION};
use crate::support::browser::{Browser, Page, filled};
use crate::support::deployment::Plan;
use crate::support::http::{Request, Response};
use crate::support::wait;

/// Everything here is promised within 2 s.
const PROMPT: Duration = Duration::from_secs(2);

/// The answer to a page's form, which comes in time.
fn pressed(house: &House, browser: &mut Browser, page: &Page, button: (&str, &str)) -> Response {
    let asked = Instant::now();
    let response = browser.send(filled(house.server(), page, &[], Some(button)));
    assert!(asked.elapsed() < PROMPT, "{:?}", asked.elapsed());
    response
}

/// A page that says to come back, and leaves the browser as it was.
#[track_caller]
fn is_unavailable(browser: &Browser, response: &Response) {
    assert_eq!(response.status, 503, "{}", response.text());
    assert_eq!(response.header("retry-after"), Some("1"));
    assert!(response.text().contains("This does not work right now"));
    assert!(browser.cookies.contains_key(SESSION), "nobody is logged out by it");
}

#[test]
fn s3_s8_what_cannot_be_ended_is_not_said_to_have_ended() {
    let house = House::of(Plan::scaled(1).proxied().start());
    let (mut here, _) = house.logged_in(&house.mira);
    let tokens = house.give(&mut here, &house.mira);
    let account = house.account(&mut here);
    let logout = here.open(house.server(), "/logout").page();
    let id = house.app.client.id.as_str();
    for path in [house.deployment.sql_path(0), house.deployment.redis_path(0)] {
        path.stall();
        let asked = Instant::now();
        let shown = here.send(Request::get(house.server().url("/account")));
        assert!(asked.elapsed() < PROMPT, "{:?}", asked.elapsed());
        is_unavailable(&here, &shown);
        for (page, button) in
            [(&account, ("application", id)), (&logout, ("from", "here")), (&logout, ("from", "everywhere"))]
        {
            let answer = pressed(&house, &mut here, page, button);
            is_unavailable(&here, &answer);
        }
        path.pass();
        house.server().wait_until_ready(true, Duration::from_secs(20));
    }
    // What was asked while SQL hung may be recorded by now: then it has ended for everybody. The same button tells.
    let done = pressed(&house, &mut here, &logout, ("from", "everywhere"));
    assert_eq!((done.status, done.header("location")), (303, Some("/logout")));
    assert!(!house.are_live(&tokens) && !here.cookies.contains_key(SESSION));
}

#[test]
fn s8_logging_out_is_not_confirmed_while_a_replica_that_may_answer_has_not_heard_of_it() {
    for from in ["here", "everywhere"] {
        is_not_confirmed_too_early(from);
    }
}

fn is_not_confirmed_too_early(from: &str) {
    let house = House::of(Plan::scaled(2).lease("8s").start());
    let (mut here, _) = house.logged_in(&house.mira);
    let tokens = house.give(&mut here, &house.mira);
    let logout = here.open(house.server(), "/logout").page();
    let frozen = house.other();
    frozen.freeze();
    // The one that is asked knows at once; but whoever asks again waits as well.
    for _ in 0..2 {
        let answer = pressed(&house, &mut here, &logout, ("from", from));
        is_unavailable(&here, &answer);
        assert!(!house.notes.introspect(house.server(), &tokens.access).active());
    }
    // It is told as soon as the frozen one's lease is over.
    let done = wait::until("logging out is confirmed", Duration::from_secs(30), || {
        let answer = pressed(&house, &mut here, &logout, ("from", from));
        (answer.status == 303).then_some(answer)
    });
    assert_eq!(done.header("location"), Some("/logout"));
    frozen.thaw();
    frozen.wait_until_ready(true, Duration::from_secs(20));
    assert!(!house.are_live(&tokens));
}
