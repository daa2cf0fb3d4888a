//! Redeeming a code (RFC 6749 §4.1.3, RFC 7636 §4.6), as a client does it that a browser brought one, on two replicas.
//!
//! What takes time, or a store that fails, is in `tests/user_grants`.

use std::sync::OnceLock;
use std::thread;

use crate::expect::refused;
use crate::support::actors::Token;
use crate::support::browser::{Answer, App, Ask, Browser, User, tokens};
use crate::support::http::Response;
use crate::support::symbolon::Server;
use crate::world::{World, scaled};

struct People {
    mira: User,
    /// A public client.
    spa: App,
    /// A confidential one.
    web: App,
}

fn people() -> &'static People {
    static PEOPLE: OnceLock<People> = OnceLock::new();
    PEOPLE.get_or_init(|| {
        let deployment = &scaled().deployment;
        let mira = deployment.user("mira.redeems@example.com");
        let spa = deployment.app("code-spa", "mail:send notes:read notes:write", &["--public"]);
        let web = deployment.app("code-web", "mail:send notes:read notes:write", &[]);
        People { mira, spa, web }
    })
}

fn replicas() -> [&'static Server; 2] {
    [0, 1].map(|index| scaled().deployment.replica(index))
}

/// Somebody allows what is asked, on one of the replicas.
#[track_caller]
fn allowed(app: &App) -> (Ask, Answer) {
    let ask = app.ask().with("scope", "notes:read notes:write");
    let answer = Browser::new().allow(replicas()[0], &people().mira, &ask);
    (ask, answer)
}

#[track_caller]
fn invalid_grant(response: &Response) {
    refused(response, 400, "invalid_grant");
}

fn is_active(world: &World, token: &Token) -> bool {
    let [one, other] = replicas().map(|replica| world.notes.introspect(replica, token).active());
    assert_eq!(one, other, "replicas agree");
    one
}

#[test]
fn a5_a_code_is_for_its_client_its_address_its_challenge_its_user_and_its_scope() {
    let (world, [_, other]) = (scaled(), replicas());
    for app in [&people().spa, &people().web] {
        let (ask, answer) = allowed(app);
        let wrong_address = ask.clone().changed("redirect_uri", "https://app.example/callback/");
        invalid_grant(&app.redemption(other, &wrong_address, answer.code()).send());
        let tokens = app.redeem(other, &ask, &answer);
        let seen = world.notes.introspect(other, &tokens.access);
        assert_eq!(seen.claim("username"), people().mira.name.as_str());
        assert_eq!(seen.claim("client_id"), app.client.id.as_str());
        assert_eq!(seen.scope(), ["notes:read", "notes:write"]);
        assert!(!world.mail.introspect(other, &tokens.access).active());
    }
}

/// RFC 6749 §4.1.3: the redirect URI is asked for if it was in the request; PKCE is what binds a code that comes without.
#[test]
fn a5_an_address_that_is_not_sent_is_not_compared() {
    let app = &people().spa;
    let (ask, answer) = allowed(app);
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", answer.code()),
        ("code_verifier", ask.verifier.as_str()),
    ];
    tokens(&app.token_request(replicas()[1], &fields).send());
}

#[test]
fn a6_a_second_redemption_kills_what_the_first_gave_on_every_replica() {
    let (world, [one, other]) = (scaled(), replicas());
    for app in [&people().spa, &people().web] {
        let (ask, answer) = allowed(app);
        let given = app.redeem(one, &ask, &answer);
        assert!(is_active(world, &given.access));
        invalid_grant(&app.redemption(other, &ask, answer.code()).send());
        assert!(!is_active(world, &given.access));
        invalid_grant(&app.refreshing(one, &given.refresh, &[]).send());
        // A third one is known as well.
        invalid_grant(&app.redemption(one, &ask, answer.code()).send());
    }
}

#[test]
fn a7_a_second_redemption_that_proves_nothing_kills_nothing() {
    let (world, [one, other]) = (scaled(), replicas());
    let (spa, web) = (&people().spa, &people().web);
    let (ask, answer) = allowed(web);
    let given = web.redeem(one, &ask, &answer);
    let stranger = web.ask();
    invalid_grant(&web.redemption(other, &stranger, answer.code()).send());
    invalid_grant(&spa.redemption(other, &ask, answer.code()).send());
    let mut nameless = web.clone();
    nameless.client.secret = "syk_wrong".to_owned();
    refused(&nameless.redemption(other, &ask, answer.code()).send(), 401, "invalid_client");
    assert!(is_active(world, &given.access));
    web.refresh(other, &given.refresh);
}

#[test]
fn a8_of_fifty_redemptions_on_two_replicas_one_succeeds_at_most() {
    // The others are replays: rarely, they kill the grant before the first is answered, and then nobody is given anything.
    let mut most = 0;
    for _ in 0..3 {
        let given = redeem_fifty_times_at_once();
        assert!(given <= 1, "{given} were given tokens");
        most = most.max(given);
    }
    assert_eq!(most, 1, "nobody was ever given anything");
}

/// How many were given tokens, which are dead by then.
fn redeem_fifty_times_at_once() -> usize {
    let (ask, answer) = allowed(&people().spa);
    let replicas = replicas();
    let answers: Vec<Response> = thread::scope(|scope| {
        let under_way: Vec<_> = (0..50)
            .map(|index| {
                let request = people().spa.redemption(replicas[index % 2], &ask, answer.code());
                scope.spawn(|| request.send())
            })
            .collect();
        under_way.into_iter().map(|answer| answer.join().unwrap()).collect()
    });
    let (given, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    refused.into_iter().for_each(invalid_grant);
    for response in &given {
        assert!(!is_active(scaled(), &tokens(response).access), "the replays have killed it");
    }
    given.len()
}

#[test]
fn a9_x18_whoever_intercepts_a_code_can_neither_redeem_nor_spoil_it() {
    let [one, other] = replicas();
    let (spa, web) = (&people().spa, &people().web);
    let (ask, answer) = allowed(web);
    // Another client, with everything it could have learnt; and the same one, which another person's browser brought it to.
    invalid_grant(&spa.redemption(one, &ask, answer.code()).send());
    let injected = web.ask();
    invalid_grant(&web.redemption(other, &injected, answer.code()).send());
    for at in [4, 20, 21, 40, 53, 59] {
        let mut changed = answer.code().as_bytes().to_vec();
        changed[at] = if changed[at] == b'a' { b'b' } else { b'a' };
        let changed = String::from_utf8(changed).unwrap();
        invalid_grant(&web.redemption(one, &ask, &changed).send());
    }
    web.redeem(other, &ask, &answer);
}

#[test]
fn a11_a_scope_that_comes_with_a_code_is_ignored() {
    let app = &people().spa;
    for scope in ["notes:read", "mail:send", "unheard:of"] {
        let (ask, answer) = allowed(app);
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", answer.code()),
            ("code_verifier", ask.verifier.as_str()),
            ("scope", scope),
        ];
        let given = tokens(&app.token_request(replicas()[1], &fields).send());
        assert_eq!(given.scope, "notes:read notes:write", "{scope}");
    }
}

#[test]
fn p4_p5_p6_without_the_verifier_a_code_is_worth_nothing() {
    let [one, other] = replicas();
    for app in [&people().spa, &people().web] {
        let (ask, answer) = allowed(app);
        let fields = [("grant_type", "authorization_code"), ("code", answer.code())];
        invalid_grant(&app.token_request(one, &fields).send());
        let other_case: String = ask.verifier.to_uppercase();
        for verifier in [
            "",
            "x",
            &ask.verifier[1..],
            &"a".repeat(42),
            &"a".repeat(129),
            &other_case,
            &"\u{e9}".repeat(50),
        ] {
            let fields = [&fields[..], &[("code_verifier", verifier)]].concat();
            invalid_grant(&app.token_request(other, &fields).send());
        }
        app.redeem(one, &ask, &answer);
    }
}
