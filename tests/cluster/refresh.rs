//! Refreshing at two replicas: tabs that refresh together, answers that are lost, less scope, and what a grant rests on.
//! An honest client is never logged out, and there is one branch.

use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use symbolon::domain::identifier::GrantId;
use symbolon::domain::token::CODE_LIFETIME;
use symbolon::grants::keys;

use crate::people::{People, SCOPE, refused, tokens_in, words};
use crate::scene::{PROMISED, Said, measured, pause};
use crate::support::browser::{self, App, Tokens};
use crate::support::deployment::Plan;
use crate::support::http::KeptConnections;
use crate::support::proxy::{Direction, Fate, Proxy};

/// So many tabs that present the same token, at the same moment, half of them to each replica.
fn refresh_at_once(people: &People, app: &App, tabs: usize, tokens: &Tokens) -> Vec<Tokens> {
    let start = Barrier::new(tabs);
    thread::scope(|scope| {
        let tabs: Vec<_> = (0..tabs)
            .map(|tab| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    app.refresh(people.replica(tab % 2), &tokens.refresh)
                })
            })
            .collect();
        tabs.into_iter().map(|tab| tab.join().expect("a tab is answered")).collect()
    })
}

#[test]
fn f1_two_five_and_a_hundred_tabs_that_refresh_at_once_get_one_pair_from_two_replicas() {
    let people = People::of(Plan::scaled(2));
    for app in people.apps() {
        let first = people.log_in(app);
        let mut tokens = first.clone();
        for tabs in [2, 5, 100] {
            let pairs = refresh_at_once(&people, app, tabs, &tokens);
            assert!(pairs.iter().all(|pair| *pair == pairs[0]), "{tabs} tabs have one pair");
            assert_ne!(pairs[0].refresh, tokens.refresh);
            people.scene.everywhere(&pairs[0].access, Said::Active);
            tokens = pairs[0].clone();
        }
        assert_eq!(people.audit(&first.refresh), [""; 0]);
        // And the one branch goes on, while what came before it is a replay.
        let last = app.refresh(people.replica(0), &tokens.refresh);
        people.scene.everywhere(&last.access, Said::Active);
        refused(&app.refreshing(people.replica(1), &first.refresh, &[]).send());
        people.is_dead(app, &last);
    }
    measured("2 apps, 2, 5 and 100 tabs: 1 pair each time, nobody logged out");
}

#[test]
fn f4_an_answer_that_was_lost_is_given_again_by_the_other_replica() {
    const TURNS: usize = 10;
    let people = People::of(Plan::scaled(2));
    let path = Proxy::to(people.replica(0).address());
    let lost = Arc::new(Mutex::new(Vec::new()));
    let wire = Arc::clone(&lost);
    path.filter(move |direction, piece| match direction {
        Direction::Request => Fate::Pass,
        Direction::Answer => {
            wire.lock().unwrap().extend_from_slice(piece);
            Fate::Cut(Vec::new())
        }
    });
    for app in people.apps() {
        let mut tokens = people.log_in(app);
        for _ in 0..TURNS {
            lost.lock().unwrap().clear();
            let request = app.refreshing(people.replica(0), &tokens.refresh, &[]);
            assert!(request.by_way_of(path.address()).try_send().is_err(), "the answer is lost");
            let given = tokens_in(&lost.lock().unwrap()).expect("it was answered");
            for replica in [1, 0] {
                assert_eq!(app.refresh(people.replica(replica), &tokens.refresh), given, "the same pair");
            }
            people.scene.everywhere(&given.access, Said::Active);
            tokens = given;
        }
        assert_eq!(people.audit(&tokens.refresh), [""; 0]);
    }
    measured(&format!("{} answers lost, each given again by both replicas", 2 * TURNS));
}

#[test]
fn r1_less_scope_is_for_one_access_token_and_a_retry_with_another_scope_stays_on_the_branch() {
    let people = People::of(Plan::scaled(2));
    let api = &people.scene.api;
    for app in people.apps() {
        let first = people.log_in(app);
        let asking = |replica: usize, scope| {
            let request = app.refreshing(people.replica(replica), &first.refresh, &[("scope", scope)]);
            browser::tokens(&request.send())
        };
        let read = asking(0, "notes:read");
        let write = asking(1, "notes:write");
        let whole = app.refresh(people.replica(1), &first.refresh);
        assert_eq!((&write.refresh, &whole.refresh), (&read.refresh, &read.refresh), "one branch");
        for (tokens, scope) in [(&read, "notes:read"), (&write, "notes:write"), (&whole, SCOPE)] {
            assert_eq!(words(&tokens.scope), words(scope));
            for server in people.deployment().replicas() {
                assert_eq!(api.introspect(server, &tokens.access).scope(), words(scope));
            }
        }
        assert_eq!(asking(1, "notes:read").access, read.access, "and again the same");
        // RFC 6749 §6: the refresh token's scope "is identical to that of the refresh token included by the client".
        let next = app.refresh(people.replica(0), &read.refresh);
        assert_eq!(words(&next.scope), words(SCOPE));
        assert_eq!(people.audit(&first.refresh), [""; 0]);
    }
}

#[test]
fn r2_more_scope_is_refused_and_rotates_nothing() {
    let people = People::of(Plan::scaled(2));
    for app in people.apps() {
        let first = people.log_in(app);
        for more in ["notes:read notes:write mail:send", "mail:send", "admin"] {
            for server in people.deployment().replicas() {
                let answer = app.refreshing(server, &first.refresh, &[("scope", more)]).send();
                assert_eq!(answer.status, 400);
                assert_eq!(answer.oauth_error().as_deref(), Some("invalid_scope"), "{more}");
            }
        }
        // Had one of them rotated, this would be the same pair that it was given.
        let second = app.refresh(people.replica(0), &first.refresh);
        let third = app.refresh(people.replica(1), &second.refresh);
        people.scene.everywhere(&third.access, Said::Active);
    }
}

#[test]
fn r4_what_a_grant_rests_on_ends_its_refresh_tokens_on_every_replica_and_nobody_else_s() {
    let people = People::of(Plan::scaled(2));
    let deployment = people.deployment();
    let app = &people.server_side;
    let noah = deployment.user("noah");
    let of_noah = people.log_in_as(&noah, app);
    let elsewhere = people.log_in_as(&noah, &people.in_browser);
    let disable_user: &[&str] = &["user", "disable", "mira"];
    for (end, undo) in [
        (disable_user, Some(["user", "enable", "mira"])),
        (&["revoke", "--user", "mira", "--yes"], None),
        (&["client", "disable", &app.client.id], Some(["client", "enable", &app.client.id])),
    ] {
        let first = people.log_in(app);
        let second = app.refresh(people.replica(0), &first.refresh);
        if end[0] != "client" {
            people.scene.everywhere(&of_noah.access, Said::Active);
        }
        deployment.cli(end).success();
        for tokens in [&first, &second] {
            people.scene.everywhere(&tokens.access, Said::Inactive);
            for server in deployment.replicas() {
                let answer = app.refreshing(server, &tokens.refresh, &[]).send();
                match end[0] {
                    "client" => assert_eq!(answer.oauth_error().as_deref(), Some("invalid_client")),
                    _ => refused(&answer),
                }
            }
        }
        if let Some(undo) = undo {
            deployment.cli(&undo).success();
        }
        // Enabling revives nothing.
        for tokens in [&first, &second] {
            people.is_dead(app, tokens);
        }
        assert_eq!(people.audit(&first.refresh), [""; 0], "what is dead is not revoked once more");
    }
    people.is_dead(app, &of_noah);
    people.scene.everywhere(&elsewhere.access, Said::Active);
}

#[test]
fn f10_a_refresh_token_that_is_not_used_ends_without_being_theft() {
    let people = People::of(Plan::scaled(2).env("SYMBOLON_REFRESH_TOKEN_IDLE_TTL", "2s"));
    let app = &people.in_browser;
    let unused = people.log_in(app);
    pause(3_100);
    for server in people.deployment().replicas() {
        refused(&app.refreshing(server, &unused.refresh, &[]).send());
    }
    people.scene.everywhere(&unused.access, Said::Active);
    assert_eq!(people.audit(&unused.refresh), [""; 0]);
}

/// A code is good for a minute, and what is given for it is meant to live from then.
#[test]
fn f10_a_grant_ends_however_often_two_replicas_refresh_it() {
    let whole = CODE_LIFETIME + Duration::from_secs(2);
    let people = People::of(Plan::scaled(2).env("SYMBOLON_REFRESH_TOKEN_TTL", "2s"));
    let app = &people.in_browser;
    let began = Instant::now();
    let mut tokens = people.log_in(app);
    let (approved, mut rotations) = (Instant::now(), 0);
    loop {
        let answer = app.refreshing(people.replica(rotations % 2), &tokens.refresh, &[]).send();
        if answer.status == 400 {
            refused(&answer);
            break;
        }
        assert!(approved.elapsed() < whole + PROMISED, "it goes on for ever");
        tokens = browser::tokens(&answer);
        rotations += 1;
        pause(500);
    }
    assert!(began.elapsed() + Duration::from_secs(1) > whole, "ended after {:?}", began.elapsed());
    people.is_dead(app, &tokens);
    assert_eq!(people.audit(&tokens.refresh), [""; 0], "an end is no theft");
    measured(&format!("{rotations} rotations until the end"));
}

#[test]
fn v11_no_token_survives_a_revocation_that_races_with_a_refresh_at_another_replica() {
    const ROUNDS: u64 = 20;
    let people = People::of(Plan::scaled(2));
    let app = &people.server_side;
    let mut overtaken = 0;
    for round in 0..ROUNDS {
        let first = people.log_in(app);
        let answer = thread::scope(|scope| {
            let refresh = scope.spawn(|| {
                pause(round);
                app.refreshing(people.replica(1), &first.refresh, &[]).send()
            });
            app.client.revoke(people.replica(0), &first.access);
            refresh.join().expect("an answer")
        });
        people.is_dead(app, &first);
        if answer.status == 200 {
            overtaken += 1;
            people.is_dead(app, &browser::tokens(&answer));
        } else {
            refused(&answer);
        }
        assert_eq!(people.audit(&first.refresh).len(), 1);
    }
    measured(&format!("{ROUNDS} races, {overtaken} refreshes came first; 0 tokens survived"));
}

#[test]
fn f7_ten_thousand_rotations_take_no_room_and_a_storm_of_replays_burns_once() {
    const ROTATIONS: usize = 10_000;
    const REPLAYS: usize = 500;
    let people = People::of(Plan::scaled(2).env("SYMBOLON_LOG", "warn"));
    let app = &people.server_side;
    let other = people.log_in(app);
    let first = people.log_in(app);
    let size = || {
        let grant = GrantId::from_digits(first.access.grant_id().as_bytes()).expect("a grant id");
        let key = keys::grant(grant);
        people.deployment().redis().command(&[b"MEMORY".as_slice(), b"USAGE", &key]).integer()
    };
    let connections = [KeptConnections::new(), KeptConnections::new()];
    let (mut tokens, mut after_some) = (first.clone(), 0);
    for rotation in 0..ROTATIONS {
        let request = app.refreshing(people.replica(rotation % 2), &tokens.refresh, &[]);
        tokens = browser::tokens(&request.try_send_on(&connections[rotation % 2]).expect("an answer"));
        if rotation == 199 {
            after_some = size();
        }
    }
    let after_all = size();
    assert_eq!(after_all, after_some, "the record has grown");
    people.scene.everywhere(&tokens.access, Said::Active);

    let slowest = Mutex::new(Duration::ZERO);
    thread::scope(|scope| {
        for thread in 0..10 {
            let (people, first, slowest) = (&people, &first, &slowest);
            scope.spawn(move || {
                for replay in 0..REPLAYS / 10 {
                    let server = people.replica((thread + replay) % 2);
                    let began = Instant::now();
                    refused(&app.refreshing(server, &first.refresh, &[]).limit(PROMISED).send());
                    let mut slowest = slowest.lock().unwrap();
                    *slowest = began.elapsed().max(*slowest);
                }
            });
        }
    });
    people.is_dead(app, &tokens);
    assert_eq!(people.audit(&first.refresh).len(), 1);
    people.scene.everywhere(&other.access, Said::Active);
    measured(&format!(
        "{ROTATIONS} rotations: {after_some} bytes with eight access tokens after 200, {after_all} after all; {REPLAYS} replays of the oldest, \
         1 revocation, slowest answer {:?}",
        slowest.into_inner().unwrap()
    ));
}
