//! `POST /revoke` (RFC 7009): who may, and that it holds.

use symbolon::domain::token::TokenKind;

use crate::expect::{exact_headers, inactive, refused, stranger};
use crate::forge;
use crate::support::actors::Token;
use crate::support::browser::{App, Browser, Tokens};
use crate::support::deployment::Deployment;
use crate::support::http::{Request, Response};
use crate::world::{World, embedded, scaled};

/// 200, and nothing to read.
#[track_caller]
fn done(response: Response) {
    let response = response.expect_status(200);
    exact_headers(&response, &[("cache-control", "no-store"), ("pragma", "no-cache")]);
    assert!(response.body.is_empty(), "{}", response.text());
}

/// The answer to a form of the shared client.
#[track_caller]
fn ask(world: &World, form: &str) -> Response {
    let request = Request::post(world.server().url("/revoke")).basic(&world.app.id, &world.app.secret);
    request.header("content-type", "application/x-www-form-urlencoded").body(form).send()
}

#[track_caller]
fn lives(world: &World, token: &Token) {
    for replica in world.deployment.replicas() {
        assert!(world.notes.introspect(replica, token).active());
    }
}

#[track_caller]
fn is_dead(world: &World, token: &Token) {
    for replica in world.deployment.replicas() {
        inactive(world.notes.introspect_str(replica, token.as_str()));
    }
}

#[test]
fn v1_a_client_revokes_its_token() {
    for world in [embedded(), scaled()] {
        let (token, bystander) = (world.app.mint(world.server()), world.app.mint(world.server()));
        lives(world, &token);
        done(world.app.revoke_request(world.server(), token.as_str()).send());
        is_dead(world, &token);
        lives(world, &bystander);
    }
}

#[test]
fn v1_a_revoked_token_stays_dead_after_a_restart() {
    let deployment = Deployment::embedded();
    let notes = deployment.resource_server("notes", "urn:example:notes", "notes:read");
    let app = deployment.client("app", "notes:read");
    let server = deployment.replica(0);
    let (revoked, kept) = (app.mint(server), app.mint(server));
    app.revoke(server, &revoked);
    server.kill();
    server.restart();
    inactive(notes.introspect_str(server, revoked.as_str()));
    assert!(notes.introspect(server, &kept).active());
    done(app.revoke_request(server, revoked.as_str()).send());
}

/// A user's grant of which two access tokens live, and the app that has it.
fn grant(world: &World, name: &str) -> (App, Tokens, Tokens) {
    let (user, app) = (world.deployment.user(name), world.deployment.app(name, "notes:read", &[]));
    let ask = app.ask();
    let answer = Browser::new().allow(world.server(), &user, &ask);
    let first = app.redeem(world.server(), &ask, &answer);
    let second = app.refresh(world.server(), &first.refresh);
    for token in [&first.access, &second.access] {
        lives(world, token);
    }
    (app, first, second)
}

/// Nothing of a grant is good any more, on any replica.
#[track_caller]
fn has_ended(world: &World, (app, first, second): &(App, Tokens, Tokens)) {
    for token in [&first.access, &second.access] {
        is_dead(world, token);
    }
    for replica in world.deployment.replicas() {
        refused(&app.refreshing(replica, &second.refresh, &[]).send(), 400, "invalid_grant");
    }
}

/// RFC 7009 §2.1: "the authorization server SHOULD also invalidate all access tokens based on the same authorization
/// grant".
#[test]
fn v5_revoking_a_refresh_token_ends_every_access_token_of_its_grant() {
    for world in [embedded(), scaled()] {
        let ended = grant(world, "v5");
        let bystander = world.app.mint(world.server());
        let (app, _, last) = &ended;
        done(app.client.revoke_request(world.server(), last.refresh.as_str()).send());
        has_ended(world, &ended);
        lives(world, &bystander);
    }
}

/// Else the refresh token would get another one at once (D6).
#[test]
fn v6_revoking_an_access_token_ends_its_grant() {
    for world in [embedded(), scaled()] {
        let ended = grant(world, "v6");
        let (app, first, _) = &ended;
        done(app.client.revoke_request(world.server(), first.access.as_str()).send());
        has_ended(world, &ended);
    }
}

#[test]
fn v1_a_resource_server_revokes_a_token_meant_for_it() {
    let world = scaled();
    let token = world.app.mint(world.server());
    assert!(world.mail.introspect(world.server(), &token).active());
    done(world.notes.revoke_request(world.server(), token.as_str()).send());
    is_dead(world, &token);
    inactive(world.mail.introspect_str(world.server(), token.as_str()));
}

#[test]
fn v2_there_is_nothing_to_revoke() {
    for world in [embedded(), scaled()] {
        let token = world.app.mint(world.server());
        world.app.revoke(world.server(), &token);
        let other = if std::ptr::eq(world, embedded()) { scaled() } else { embedded() };
        let elsewhere = other.app.mint(other.server());
        let truncated = &token.as_str()[..59];
        for text in
            [token.as_str(), truncated, elsewhere.as_str(), "x", "sya_", &"x".repeat(15_000), "\0", "é"]
        {
            done(world.app.revoke_request(world.server(), text).send());
            done(world.notes.revoke_request(world.server(), text).send());
        }
        lives(other, &elsewhere);
    }
}

/// The store may have lost the grant and get it back: a genuine token is revoked all the same.
#[test]
fn v2_a_genuine_token_of_no_known_grant() {
    let world = scaled();
    let unknown = forge::unknown(&world.deployment, TokenKind::Access);
    done(world.app.revoke_request(world.server(), &unknown).send());
    inactive(world.notes.introspect_str(world.server(), &unknown));
}

#[test]
fn v3_who_does_not_authenticate_revokes_nothing() {
    let world = embedded();
    let token = world.app.mint(world.server());
    let request = || Request::post(world.server().url("/revoke")).form(&[("token", token.as_str())]);
    stranger(&request().send());
    stranger(&request().basic(&world.app.id, "wrong").send());
    stranger(&request().basic(&world.notes.id, "wrong").send());
    stranger(&request().basic(&world.notes.id, &world.app.secret).send());
    stranger(&request().basic("nobody", &world.app.secret).send());
    stranger(&request().header("authorization", &format!("Bearer {}", token.0)).send());
    let form = [("token", token.as_str()), ("client_id", world.app.id.as_str())];
    stranger(&Request::post(world.server().url("/revoke")).form(&form).send());
    lives(world, &token);
}

/// RFC 7009 §2.1: "the request is refused and the client is informed of the error".
#[test]
fn v4_another_clients_token_is_refused_and_lives() {
    for world in [embedded(), scaled()] {
        let token = world.app.mint(world.server());
        refused(&world.other.revoke_request(world.server(), token.as_str()).send(), 400, "invalid_grant");
        lives(world, &token);
        let only_mail = world.app.mint_scope(world.server(), "mail:send");
        refused(&world.notes.revoke_request(world.server(), only_mail.as_str()).send(), 400, "invalid_grant");
        assert!(world.mail.introspect(world.server(), &only_mail).active());
    }
}

#[test]
fn v4_a_public_client_authenticates_by_its_id_and_revokes_nobody_elses() {
    let world = embedded();
    let token = world.app.mint(world.server());
    let ask = |text: &str| {
        let form = [("token", text), ("client_id", world.public.id.as_str())];
        Request::post(world.server().url("/revoke")).form(&form).send()
    };
    refused(&ask(token.as_str()), 400, "invalid_grant");
    lives(world, &token);
    done(ask("junk"));
}

#[test]
fn v4_a_resource_server_without_the_right_revokes_nothing() {
    let world = embedded();
    let token = world.app.mint(world.server());
    assert!(world.reader.introspect(world.server(), &token).active());
    refused(&world.reader.revoke_request(world.server(), token.as_str()).send(), 400, "unauthorized_client");
    lives(world, &token);
}

#[test]
fn v7_the_hint_never_changes_what_is_done() {
    let world = embedded();
    for hint in ["access_token", "refresh_token", "authorization_code", "id_token", "foo", ""] {
        let token = world.app.mint(world.server());
        done(ask(world, &format!("token={}&token_type_hint={hint}", token.0)));
        is_dead(world, &token);
    }
}

#[test]
fn v8_a_kind_that_cannot_be_revoked_here() {
    let world = scaled();
    let token = world.app.mint(world.server());
    for kind in [TokenKind::AuthorizationCode, TokenKind::LoginSession, TokenKind::Device] {
        for genuine in [
            forge::unknown(&world.deployment, kind),
            forge::genuine(&world.deployment, kind, forge::grant_id(&token)),
        ] {
            let by_client = world.app.revoke_request(world.server(), &genuine).send();
            refused(&by_client, 400, "unsupported_token_type");
            let by_server = world.notes.revoke_request(world.server(), &genuine).send();
            refused(&by_server, 400, "unsupported_token_type");
        }
    }
    let refresh = forge::genuine(&world.deployment, TokenKind::Refresh, forge::grant_id(&token));
    let by_server = world.notes.revoke_request(world.server(), &refresh).send();
    refused(&by_server, 400, "unsupported_token_type");
    refused(&world.other.revoke_request(world.server(), &refresh).send(), 400, "invalid_grant");
    lives(world, &token);
}

#[test]
fn v10_token_missing_empty_or_twice() {
    let world = embedded();
    let token = world.app.mint(world.server());
    let twice = format!("token={0}&token={0}", token.0);
    for form in ["", "token=", "token_type_hint=access_token", "Token=x", &twice] {
        refused(&ask(world, form), 400, "invalid_request");
    }
    let query = world.server().url(&format!("/revoke?token={}", token.0));
    let in_query = Request::post(query).basic(&world.app.id, &world.app.secret).form(&[]).send();
    refused(&in_query, 400, "invalid_request");
    lives(world, &token);
}

#[test]
fn v13_there_is_no_jsonp() {
    let world = embedded();
    let token = world.app.mint(world.server());
    done(ask(world, &format!("token={}&callback=steal", token.0)));
    is_dead(world, &token);
    let url = world.server().url("/revoke?callback=steal");
    let request = Request::post(url).basic(&world.app.id, &world.app.secret);
    done(request.form(&[("token", "junk")]).send());
}

/// The same token many times at once, on both replicas: each 200 is true when it is read.
#[test]
fn v2_many_revocations_of_one_token_all_succeed() {
    let world = scaled();
    let token = world.app.mint(world.server());
    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                for replica in world.deployment.replicas() {
                    done(world.app.revoke_request(replica, token.as_str()).send());
                    is_dead(world, &token);
                }
            });
        }
    });
}
