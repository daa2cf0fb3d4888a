//! Refreshing while the stores fail, restart and go back in time, and while the token key is rotated: the client stays
//! logged in with one branch, and a thief stays out.

use crate::people::{self, People, refresh_at_last, refused, try_refresh};
use crate::scene::{PROMISED, SOON, Said, Scene, ask, measured, pause, timed};
use crate::support::actors::Token;
use crate::support::browser::{App, Tokens};
use crate::support::deployment::Plan;
use crate::support::encoding;
use crate::support::redis::RedisOptions;
use crate::support::symbolon::{Server, ServerConfig};
use crate::support::wait;

/// How many clients lose their way at once.
const CLIENTS: usize = 5;

fn appendonly() -> Plan {
    Plan::scaled(2).redis(RedisOptions { appendonly: true, ..RedisOptions::default() })
}

/// A client before and after a rotation.
struct Rotated<'p> {
    app: &'p App,
    before: Tokens,
    after: Tokens,
}

/// Clients of either kind.
fn clients(people: &People) -> Vec<(&App, Tokens)> {
    let apps = people.apps().into_iter().cycle().take(CLIENTS);
    apps.map(|app| (app, people.log_in(app))).collect()
}

fn rotate<'p>(people: &People, clients: Vec<(&'p App, Tokens)>) -> Vec<Rotated<'p>> {
    let rotate = |(app, before): (&'p App, Tokens)| {
        let after = app.refresh(people.replica(0), &before.refresh);
        Rotated { app, before, after }
    };
    clients.into_iter().map(rotate).collect()
}

/// The pair is good everywhere, leads on to the next, and what is older burns it: it is the one branch.
#[track_caller]
fn is_the_one_branch(people: &People, app: &App, old: &Token, pair: &Tokens) {
    people.scene.everywhere(&pair.access, Said::Active);
    let next = app.refresh(people.replica(0), &pair.refresh);
    let last = app.refresh(people.replica(1), &next.refresh);
    people.scene.everywhere(&last.access, Said::Active);
    refused(&app.refreshing(people.replica(0), old, &[]).send());
    people.is_dead(app, &last);
}

#[test]
fn a_retry_after_redis_was_restarted_gets_the_same_pair() {
    let people = People::of(appendonly());
    let clients = clients(&people);
    let rotated = rotate(&people, clients);
    people.deployment().redis().kill();
    // Nobody may be told that their token is no good.
    for client in &rotated {
        assert!(try_refresh(client.app, people.replica(1), &client.before.refresh).is_none());
    }
    people.deployment().redis().restart();
    let ((), took) = timed(|| {
        for client in &rotated {
            let again = refresh_at_last(client.app, people.replica(1), &client.before.refresh);
            assert_eq!(again, client.after);
        }
    });
    people.scene.wait_for_recovery(&rotated[0].after.access);
    for client in &rotated {
        assert_eq!(people.audit(&client.before.refresh), [""; 0]);
        is_the_one_branch(&people, client.app, &client.before.refresh, &client.after);
    }
    measured(&format!("{CLIENTS} clients, each the same pair {} ms after the start", took.as_millis()));
}

/// Redis as it was before the last rotation, a second ago.
fn roll_back(people: &People) -> Vec<Rotated<'_>> {
    let clients = clients(people);
    let dump = people.deployment().redis().dump();
    pause(1_000);
    let rotated = rotate(people, clients);
    people.deployment().redis().restore(&dump);
    rotated
}

#[test]
fn a_client_goes_on_with_what_a_redis_that_was_rolled_back_has_lost_and_the_feed_is_told() {
    let people = People::of(appendonly());
    let rotated = roll_back(&people);
    for client in &rotated {
        // Lost is inactive, and no error.
        wait::until_true("the replica is back", SOON, || {
            let said = ask(&people.scene.api, people.replica(1), &client.after.access);
            assert_ne!(said, Said::Active, "Redis has lost it");
            said == Said::Inactive
        });
        let next = refresh_at_last(client.app, people.replica(1), &client.after.refresh);
        people.scene.wait_for_recovery(&next.access);
        assert_eq!(client.app.refresh(people.replica(0), &client.after.refresh), next, "a retry, too");
        let told = format!("lost-rotation, client {}, -", client.app.client.id);
        assert_eq!(people.audit(&client.after.refresh), [told], "once");
        is_the_one_branch(&people, client.app, &client.before.refresh, &next);
    }
    measured(&format!("{CLIENTS} clients: all went on, {CLIENTS} rows in the feed"));
}

#[test]
fn a_client_that_never_had_the_answer_gets_the_same_from_a_redis_that_was_rolled_back() {
    let people = People::of(appendonly());
    let rotated = roll_back(&people);
    for client in &rotated {
        let again = refresh_at_last(client.app, people.replica(1), &client.before.refresh);
        assert_eq!(again, client.after, "the same pair is made again");
        people.scene.wait_for_recovery(&again.access);
        is_the_one_branch(&people, client.app, &client.before.refresh, &again);
    }
    measured(&format!("{CLIENTS} clients: the same pair each"));
}

#[test]
fn two_tabs_on_both_sides_of_a_roll_back_are_one_client() {
    let people = People::of(appendonly());
    for client in &roll_back(&people) {
        // One tab never had the answer, the other did: neither is a thief.
        let again = refresh_at_last(client.app, people.replica(0), &client.before.refresh);
        assert_eq!(again, client.after);
        let next = refresh_at_last(client.app, people.replica(1), &client.after.refresh);
        people.scene.wait_for_recovery(&next.access);
        assert_eq!(people.audit(&next.refresh), [""; 0]);
        is_the_one_branch(&people, client.app, &client.before.refresh, &next);
    }
}

#[test]
fn a_token_key_that_is_rotated_between_refresh_and_retry_changes_no_chain() {
    let scene = {
        let deployment = Plan::scaled(0).start();
        let api = deployment.resource_server("api", "https://api.example", people::SCOPE);
        let app = deployment.client("app", people::SCOPE);
        Scene { deployment, api, app }
    };
    let (old, new) = (encoding::random_token_key(), encoding::random_token_key());
    let start = |keys: [&str; 2]| {
        let mut environment = scene.deployment.environment().clone();
        environment.insert("SYMBOLON_TOKEN_KEY".to_owned(), keys.join(","));
        environment.insert("SYMBOLON_DRAIN_DELAY".to_owned(), "0s".to_owned());
        Server::start(&ServerConfig::serve().envs(&environment))
    };
    let (mira, app) = (scene.deployment.user("mira"), scene.deployment.app("mobile", people::SCOPE, &[]));
    let before = [start([&old, &new]), start([&old, &new])];
    let first = people::log_in(&mira, &app, [&before[0], &before[1]]);
    let second = app.refresh(&before[0], &first.refresh);
    // One of them has the new key first, the other not yet.
    let after = start([&new, &old]);
    for server in before {
        assert!(server.terminate().status.success());
    }
    let still = start([&old, &new]);
    for server in [&after, &still, &after] {
        assert_eq!(app.refresh(server, &first.refresh), second, "a retry");
    }
    let third = app.refresh(&after, &second.refresh);
    assert_eq!(app.refresh(&still, &second.refresh), third, "a retry at who has the old key first");
    for server in [&after, &still] {
        assert_eq!(ask(&scene.api, server, &third.access), Said::Active);
        // Who logs in now has a chain under the new key, or the old one: either is good at both.
        let tokens = people::log_in(&mira, &app, [server, server]);
        let next = app.refresh(&after, &tokens.refresh);
        assert_eq!(app.refresh(&still, &tokens.refresh), next);
    }
    refused(&app.refreshing(&after, &first.refresh, &[]).send());
    for server in [&after, &still] {
        assert_eq!(ask(&scene.api, server, &third.access), Said::Inactive, "a replay is one under any key");
    }
}

#[test]
fn without_redis_a_refresh_is_a_503_in_time_and_the_token_stays_good() {
    let people = People::of(appendonly());
    let clients = clients(&people);
    let redis = people.deployment().redis();
    let mut slowest = std::time::Duration::ZERO;
    for frozen in [true, false] {
        match frozen {
            true => redis.freeze(),
            false => redis.kill(),
        }
        for (app, tokens) in &clients {
            for server in people.deployment().replicas() {
                let (tokens, took) = timed(|| try_refresh(app, server, &tokens.refresh));
                assert!(tokens.is_none(), "without Redis");
                slowest = took.max(slowest);
            }
        }
        match frozen {
            true => redis.thaw(),
            false => redis.restart(),
        }
    }
    assert!(slowest < PROMISED);
    for (app, tokens) in &clients {
        let next = refresh_at_last(app, people.replica(0), &tokens.refresh);
        people.scene.wait_for_recovery(&next.access);
        assert_eq!(app.refresh(people.replica(1), &tokens.refresh), next);
        is_the_one_branch(&people, app, &tokens.refresh, &next);
    }
    measured(&format!("503 after {} ms at most; {CLIENTS} clients went on", slowest.as_millis()));
}

#[test]
fn without_sql_clients_refresh_and_what_has_to_be_told_waits_for_it() {
    let people = People::of(appendonly().own_postgres().lease("30s"));
    let app = &people.server_side;
    let (honest, stolen) = (people.log_in(app), people.log_in(app));
    let mut newest = stolen.clone();
    for _ in 0..2 {
        newest = app.refresh(people.replica(0), &newest.refresh);
    }
    let dump = people.deployment().redis().dump();
    let lost = app.refresh(people.replica(1), &honest.refresh);
    let lost = app.refresh(people.replica(0), &lost.refresh);
    people.deployment().redis().restore(&dump);
    people.scene.wait_for_recovery(&newest.access);

    people.deployment().postgres().stop();
    // It needs no SQL as long as the lease runs.
    newest = app.refresh(people.replica(1), &newest.refresh);
    people.scene.everywhere(&newest.access, Said::Active);
    // A replay burns the grant, which has to be recorded; what Redis lost has to be told.
    for server in people.deployment().replicas() {
        assert!(try_refresh(app, server, &stolen.refresh).is_none(), "a replay");
        assert!(try_refresh(app, server, &lost.refresh).is_none(), "a rotation that was lost");
    }
    people.deployment().postgres().restart();
    let next = refresh_at_last(app, people.replica(0), &lost.refresh);
    people.scene.everywhere(&next.access, Said::Active);
    wait::until_true("the replay is refused", SOON, || {
        app.refreshing(people.replica(1), &stolen.refresh, &[]).send().status == 400
    });
    people.is_dead(app, &newest);
    let told = |what: &str, reason: &str| vec![format!("{what}, client {}, {reason}", app.client.id)];
    assert_eq!(people.audit(&stolen.refresh), told("revoke-grant", "refresh_reuse"));
    assert_eq!(people.audit(&lost.refresh), told("lost-rotation", "-"));
}
