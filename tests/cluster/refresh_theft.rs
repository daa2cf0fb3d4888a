//! Refresh tokens in wrong hands. A replay kills the grant on every replica, and the feed says so; who only guesses, or
//! is another client, harms nobody.

use symbolon::domain::entropy::SystemEntropy;
use symbolon::domain::identifier::GrantId;
use symbolon::domain::token::{PlainToken, TokenKind};
use symbolon::domain::token_key::TokenKeys;

use crate::people::{People, refused};
use crate::scene::{Said, measured, pause};
use crate::support::actors::Token;
use crate::support::browser::{App, Tokens};
use crate::support::deployment::Plan;
use crate::support::redis::RedisOptions;

/// `first` and the rotations after it, at one replica and the other in turn.
fn chain(people: &People, app: &App, rotations: usize) -> Vec<Tokens> {
    let mut chain = vec![people.log_in(app)];
    for rotation in 0..rotations {
        let newest = &chain[rotation].refresh;
        chain.push(app.refresh(people.replica(rotation % 2), newest));
    }
    chain
}

/// The replay is refused, everything of the grant is dead before it is answered, and the feed says why, once.
#[track_caller]
fn burns(people: &People, app: &App, stolen: &Token, replica: usize, chain: &[Tokens]) {
    let answer = app.refreshing(people.replica(replica), stolen, &[]).send();
    for tokens in chain {
        people.scene.everywhere(&tokens.access, Said::Inactive);
    }
    refused(&answer);
    for tokens in chain {
        people.is_dead(app, tokens);
    }
    let expected = format!("revoke-grant, client {}, refresh_reuse", app.client.id);
    assert_eq!(people.audit(stolen), [expected]);
}

#[test]
fn f2_a_thief_s_replay_kills_the_grant_on_every_replica_and_the_feed_says_so() {
    let people = People::of(Plan::scaled(2));
    let spared = people.log_in(&people.server_side);
    let mut burnt = 0;
    for app in people.apps() {
        for (rotations, stolen) in [(2, 0), (3, 0), (3, 1), (6, 2)] {
            for replica in [0, 1] {
                let chain = chain(&people, app, rotations);
                burns(&people, app, &chain[stolen].refresh, replica, &chain);
                burnt += 1;
            }
        }
    }
    people.scene.everywhere(&spared.access, Said::Active);
    measured(&format!(
        "{burnt} replays, {burnt} grants dead on both replicas at the answer, {burnt} rows in the feed"
    ));
}

#[test]
fn f2_a_thief_who_is_faster_is_found_out_when_the_client_comes_back() {
    let people = People::of(Plan::scaled(2));
    for app in people.apps() {
        let mut chain = chain(&people, app, 1);
        // The thief refreshes twice with what was stolen; then the client comes with what it has.
        let stolen = chain[1].refresh.clone();
        chain.push(app.refresh(people.replica(0), &stolen));
        chain.push(app.refresh(people.replica(1), &chain[2].refresh));
        burns(&people, app, &stolen, 0, &chain);
    }
}

#[test]
fn f3_a_replay_of_the_last_token_kills_the_grant_after_the_retry_window() {
    let people = People::with_apps(Plan::scaled(2), &["--refresh-retry-window", "2s"]);
    for app in people.apps() {
        let (late, never) = (chain(&people, app, 1), chain(&people, app, 1));
        // Whole seconds are counted.
        pause(3_100);
        burns(&people, app, &late[0].refresh, 1, &late);
        // Who does not replay is not logged out.
        let next = app.refresh(people.replica(0), &never[1].refresh);
        people.scene.everywhere(&next.access, Said::Active);
    }
}

#[test]
fn f5_a_replay_is_one_after_everything_was_restarted() {
    let redis = RedisOptions { appendonly: true, ..RedisOptions::default() };
    let plan = Plan::scaled(2).redis(redis).own_postgres().env("SYMBOLON_DRAIN_DELAY", "0s");
    let people = People::of(plan);
    let (before, after) = (chain(&people, &people.in_browser, 2), chain(&people, &people.server_side, 2));
    burns(&people, &people.in_browser, &before[0].refresh, 0, &before);
    for server in people.deployment().replicas() {
        assert!(server.terminate().status.success());
    }
    people.deployment().redis().restart();
    people.deployment().postgres().restart();
    people.deployment().replicas().for_each(crate::support::symbolon::Server::restart);
    for tokens in &before {
        people.is_dead(&people.in_browser, tokens);
    }
    people.scene.everywhere(&after[2].access, Said::Active);
    burns(&people, &people.server_side, &after[0].refresh, 1, &after);
}

#[test]
fn f6_what_is_revoked_stays_so_within_the_retry_window() {
    let people = People::of(Plan::scaled(2));
    for app in people.apps() {
        let chain = chain(&people, app, 1);
        let revocation = crate::support::http::Request::post(people.replica(0).url("/revoke"));
        let mut form = vec![("token", chain[1].refresh.as_str())];
        let revocation = if app.client.secret.is_empty() {
            form.push(("client_id", &app.client.id));
            revocation.form(&form)
        } else {
            revocation.form(&form).basic(&app.client.id, &app.client.secret)
        };
        revocation.send().expect_status(200);
        for tokens in &chain {
            people.is_dead(app, tokens);
        }
        let expected = format!("revoke-grant, client {}, -", app.client.id);
        assert_eq!(people.audit(&chain[0].refresh), [expected], "no replay is seen in what is dead");
    }
}

/// Made under a key of somebody else's: of the right form, with the right checksum.
fn forged(token: &Token) -> Token {
    let keys = TokenKeys::from_secrets([[7; 32]]).expect("a key");
    let grant = GrantId::from_digits(token.grant_id().as_bytes()).expect("a grant id");
    let forged = PlainToken::generate(TokenKind::Refresh, grant, &keys, &SystemEntropy);
    Token(forged.expect("random bytes").expose().to_owned())
}

#[test]
fn f8_a_forged_token_and_another_client_s_attempt_harm_nobody() {
    let people = People::of(Plan::scaled(2));
    let mut attempts = 0;
    for (app, other) in [(0, 1), (1, 0)].map(|(app, other)| (people.apps()[app], people.apps()[other])) {
        let chain = chain(&people, app, 2);
        for tokens in &chain {
            let swapped = Token(tokens.refresh.0.replacen("syr_", "sya_", 1));
            for server in people.deployment().replicas() {
                // Another client, whoever is right about the rest; R3.
                refused(&other.refreshing(server, &tokens.refresh, &[]).send());
                for guess in [&forged(&tokens.refresh), &tokens.access, &swapped] {
                    refused(&app.refreshing(server, guess, &[]).send());
                }
                // Whoever cannot prove to be the client.
                let mut stranger = app.clone();
                stranger.client.secret = if app.client.secret.is_empty() { "x" } else { "" }.to_owned();
                let answer = stranger.refreshing(server, &tokens.refresh, &[]).send();
                assert_eq!(answer.status, 401, "{}", answer.text());
                attempts += 5;
            }
        }
        people.scene.everywhere(&chain[2].access, Said::Active);
        assert_eq!(people.audit(&chain[0].refresh), [""; 0]);
        let next = app.refresh(people.replica(0), &chain[2].refresh);
        people.scene.everywhere(&next.access, Said::Active);
    }
    measured(&format!("{attempts} attempts, 0 rows in the feed, nobody logged out"));
}
