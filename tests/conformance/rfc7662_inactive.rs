//! `POST /introspect` (RFC 7662 §2.2): `{"active":false}`, byte for byte, whatever the reason.

use std::time::Duration;

use symbolon::domain::token::TokenKind;

use crate::expect::{inactive, json_200, steady_headers};
use crate::forge;
use crate::support::actors::{ResourceServer, Token};
use crate::support::http::Request;
use crate::support::wait;
use crate::wire::{Wire, post};
use crate::world::{World, embedded, scaled};

/// Asks about many texts over one connection.
fn all_inactive<'t>(world: &World, texts: impl IntoIterator<Item = &'t str>) {
    let notes = &world.notes;
    let mut wire = Wire::to(world.server().address());
    for text in texts {
        let form = format!("token={}", crate::support::encoding::form_component(text));
        let answer = wire.exchange(post("/introspect", &notes.id, &notes.secret, &form));
        assert_eq!(answer.status, 200, "{text:?}");
        inactive(answer);
    }
}

fn flipped(token: &str) -> impl Iterator<Item = String> {
    token.char_indices().map(|(place, digit)| {
        let other =
            if digit.is_ascii_lowercase() { digit.to_ascii_uppercase() } else { digit.to_ascii_lowercase() };
        // A digit has no case: the next one will do.
        let other = if other == digit { char::from(u8::try_from(digit).unwrap() ^ 1) } else { other };
        format!("{}{other}{}", &token[..place], &token[place + 1..])
    })
}

#[test]
fn i2_every_inactive_answer_is_the_same() {
    let world = scaled();
    let (server, deployment, notes) = (world.server(), &world.deployment, &world.notes);
    let foreign = world.app.mint_scope(server, "mail:send");
    let revoked = world.app.mint(server);
    world.app.revoke(server, &revoked);
    let elsewhere = embedded().app.mint(embedded().server());
    let good = world.app.mint(server);
    let mut asked = vec![
        ("garbage", "x".to_owned()),
        ("over-long", "x".repeat(15_000)),
        ("a long good beginning", format!("{}{}", good.0, "0".repeat(10_000))),
        ("wrong checksum", format!("{}000000", forge::body(&good))),
        ("wrong audience", foreign.0.clone()),
        ("revoked", revoked.0),
        ("another installation's", elsewhere.0),
        ("genuine, of no grant", forge::unknown(deployment, TokenKind::Access)),
        (
            "genuine, another one of a live grant",
            forge::genuine(deployment, TokenKind::Access, forge::grant_id(&good)),
        ),
        ("the caller's secret", notes.secret.clone()),
        ("the client's secret", world.app.secret.clone()),
        ("the grant id", good.grant_id().to_owned()),
    ];
    for kind in [TokenKind::Refresh, TokenKind::AuthorizationCode, TokenKind::LoginSession, TokenKind::Device]
    {
        asked.push(("another kind", forge::unknown(deployment, kind)));
        asked
            .push(("another kind of a live grant", forge::genuine(deployment, kind, forge::grant_id(&good))));
    }
    let first = notes.introspect_str(server, "first");
    for (why, text) in &asked {
        for replica in deployment.replicas() {
            let answer = notes.introspect_str(replica, text);
            assert_eq!(steady_headers(&answer), steady_headers(&first), "{why}");
            assert_eq!(answer.body, first.body, "{why}");
            inactive(answer);
        }
    }
    assert!(notes.introspect(server, &good).active(), "and the good one is still good");
    assert!(world.mail.introspect(server, &foreign).active(), "and the foreign one where it belongs");
}

#[test]
fn i2_wrong_audience_is_exactly_inactive() {
    let world = embedded();
    let token = world.app.mint_scope(world.server(), "mail:send");
    inactive(world.notes.introspect_str(world.server(), token.as_str()));
    inactive(world.reader.introspect_str(world.server(), token.as_str()));
    assert!(world.mail.introspect(world.server(), &token).active());
}

#[test]
fn i2_expired_is_exactly_inactive_and_not_before() {
    let world = embedded();
    let client = world.deployment.client_with("i2-brief", "notes:read", &["--access-token-ttl", "1s"]);
    let answer = json_200(client.token_request(world.server(), &[]).send());
    assert_eq!(answer["expires_in"].as_u64(), Some(1));
    let token = Token(answer["access_token"].as_str().unwrap().to_owned());
    wait::until_true("the token has expired", Duration::from_secs(3), || {
        world.notes.introspect_str(world.server(), token.as_str()).body == crate::expect::INACTIVE
    });
    inactive(world.notes.introspect_str(world.server(), token.as_str()));
    let lasting = world.app.mint(world.server());
    assert!(world.notes.introspect(world.server(), &lasting).active());
}

#[test]
fn x3_every_prefix_and_every_longer_text_is_inactive() {
    let world = embedded();
    let token = world.app.mint(world.server()).0;
    all_inactive(world, (1..token.len()).map(|length| &token[..length]));
    all_inactive(world, (1..token.len()).map(|start| &token[start..]));
    let longer: Vec<String> = (0..=127u8)
        .map(|byte| format!("{token}{}", char::from(byte)))
        .chain((0..=127u8).map(|byte| format!("{}{token}", char::from(byte))))
        .collect();
    all_inactive(world, longer.iter().map(String::as_str));
    assert!(world.notes.introspect(world.server(), &Token(token)).active());
}

#[test]
fn x3_one_changed_character_is_inactive_wherever_it_stands() {
    let world = embedded();
    let token = world.app.mint(world.server());
    let changed: Vec<String> = flipped(&token.0).collect();
    assert!(changed.iter().all(|text| *text != token.0) && changed.len() == 60);
    all_inactive(world, changed.iter().map(String::as_str));
    // The same with a checksum that fits: the tag refuses them.
    let forged: Vec<String> = flipped(forge::body(&token)).map(|body| forge::checksummed(&body)).collect();
    all_inactive(world, forged.iter().map(String::as_str));
    assert!(world.notes.introspect(world.server(), &token).active());
}

#[test]
fn x3_other_spellings_are_inactive() {
    let world = embedded();
    let token = world.app.mint(world.server()).0;
    let (upper, lower) = (token.to_uppercase(), token.to_lowercase());
    let spellings = [
        upper.as_str(),
        &lower,
        &format!(" {token}"),
        &format!("{token} "),
        &format!("\t{token}"),
        &format!("{token}\r\n"),
        &format!("{token}\0"),
        &format!("\u{feff}{token}"),
        &format!("Bearer {token}"),
        &format!("\"{token}\""),
        &format!("{token},{token}"),
        &format!("{token}{token}"),
        &token.replace('_', "-"),
        &token.replace("sya_", "sya"),
        &token.replace("sya_", ""),
        &token.replace("sya_", "SYA_"),
    ];
    all_inactive(world, spellings);
}

#[test]
fn x5_the_kinds_are_not_interchangeable() {
    let world = scaled();
    let token = world.app.mint(world.server());
    for prefix in ["syr_", "syc_", "sys_", "syd_", "syk_"] {
        let body = format!("{prefix}{}", &forge::body(&token)[4..]);
        inactive(world.notes.introspect_str(world.server(), &forge::checksummed(&body)));
    }
}

#[test]
fn x26_any_bytes_in_place_of_a_token_are_inactive() {
    let world = embedded();
    let request = |form: &[u8]| {
        Request::post(world.server().url("/introspect"))
            .basic(&world.notes.id, &world.notes.secret)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form)
            .send()
    };
    let token = world.app.mint(world.server());
    for bytes in [
        "%00",
        "%ff",
        "%c0%80",
        "%ed%a0%80",
        "%",
        "%4",
        "%zz",
        "%u0041",
        "%EF%BB%BF",
        "+",
        "%20",
        "a%00b",
        "%0d%0a",
    ] {
        inactive(request(format!("token={bytes}").as_bytes()));
        inactive(request(format!("token={}{bytes}", token.0).as_bytes()));
        inactive(request(format!("token={bytes}{}", token.0).as_bytes()));
    }
    inactive(request(b"token=\xff\xfe\x00\x80"));
    inactive(request(b"token=\xef\xbb\xbf"));
    let encoded = token.0.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
    let answer = request(format!("t%6Fken={encoded}").as_bytes());
    assert_eq!(json_200(answer)["active"], true, "percent-encoding what needs none changes nothing");
}

/// GO-2025-4137, CVE-2025-64521: a disabled client's tokens.
#[test]
fn i2_a_disabled_client_is_exactly_inactive() {
    let world = scaled();
    let client = world.deployment.client("i2-disabled", "notes:read");
    let token = client.mint(world.server());
    assert!(world.notes.introspect(world.server(), &token).active());
    world.deployment.cli(&["client", "disable", &client.id, "--json"]).success();
    for replica in world.deployment.replicas() {
        inactive(world.notes.introspect_str(replica, token.as_str()));
    }
}

/// One `Accept` header must not open another form of answer (Keycloak CVE-2026-18208).
#[test]
fn i2_accept_changes_nothing() {
    let world = embedded();
    let token = world.app.mint_scope(world.server(), "mail:send");
    for accept in
        ["application/jwt", "application/token-introspection+jwt", "text/html", "*/*", "application/xml"]
    {
        let request = world.notes.introspect_request(world.server(), token.as_str());
        inactive(request.header("accept", accept).send());
    }
    let good = world.app.mint(world.server());
    let request = world.notes.introspect_request(world.server(), good.as_str());
    let answer = request.header("accept", "application/token-introspection+jwt").send();
    assert_eq!(json_200(answer)["active"], true);
}

/// A record that the store lost is a token that is gone: `false`, not an error.
#[test]
fn i2_a_lost_record_is_exactly_inactive() {
    let world = scaled();
    let token = world.app.mint(world.server());
    let key = [b"g:".as_slice(), forge::grant_id(&token).as_bytes()].concat();
    let gone = world.deployment.redis().command(&[b"DEL".as_slice(), &key]).integer();
    assert_eq!(gone, 1, "the record is under the key that docs/REDIS-KEYS.md says");
    for replica in world.deployment.replicas() {
        inactive(world.notes.introspect_str(replica, token.as_str()));
    }
}

/// The identifier of a resource server that is no more, given to a new one, opens no old token.
#[test]
fn i2_a_new_resource_server_under_an_old_name_sees_no_old_token() {
    let world = embedded();
    let create = || world.deployment.resource_server("i2-reborn", "urn:example:reborn", "reborn:use");
    let client = world.deployment.client("i2-reborn-client", "reborn:use");
    let old: ResourceServer = create();
    let token = client.mint(world.server());
    assert!(old.introspect(world.server(), &token).active());
    world.deployment.cli(&["resource-server", "delete", &old.id, "--json"]).success();
    let new = create();
    inactive(new.introspect_str(world.server(), token.as_str()));
    assert!(new.introspect(world.server(), &client.mint(world.server())).active());
}
