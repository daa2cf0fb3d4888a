//! `POST /introspect` (RFC 7662): who may ask, and what they are told.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::expect::{inactive, json_200, refused, stranger};
use crate::support::browser::Browser;
use crate::support::http::{Request, Response};
use crate::world::{APP_SCOPE, MAIL, NOTES, World, embedded, scaled};

/// The answer to a form of the shared resource server.
#[track_caller]
fn ask(world: &World, form: &str) -> Response {
    let request =
        Request::post(world.server().url("/introspect")).basic(&world.notes.id, &world.notes.secret);
    request.header("content-type", "application/x-www-form-urlencoded").body(form).send()
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

#[test]
fn i1_a_live_token_at_its_resource_server() {
    let world = embedded();
    let token = world.app.mint_scope(world.server(), "notes:read");
    let answer = json_200(ask(world, &format!("token={}", token.0)));
    assert_eq!(answer["active"], true);
}

#[test]
fn i10_the_members_and_their_types() {
    let world = embedded();
    let before = now();
    let minted =
        json_200(world.app.token_request(world.server(), &[("scope", "notes:write notes:read")]).send());
    let token = minted["access_token"].as_str().unwrap();
    let answer = json_200(ask(world, &format!("token={token}")));
    let members: Vec<&str> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        members,
        ["active", "aud", "client_id", "exp", "iat", "iss", "jti", "nbf", "scope", "sub", "token_type"]
    );
    let integer = |name: &str| answer[name].as_i64().unwrap_or_else(|| panic!("{name} in {answer}"));
    assert_eq!(integer("exp") - integer("iat"), minted["expires_in"].as_i64().unwrap());
    assert_eq!(integer("nbf"), integer("iat"));
    assert!((before..=now()).contains(&integer("iat")), "{answer}");
    assert_eq!(answer["scope"], "notes:read notes:write");
    assert_eq!(answer["client_id"], world.app.id.as_str());
    assert_eq!(answer["token_type"], "Bearer");
    let metadata = Request::get(world.server().url("/.well-known/oauth-authorization-server")).send().json();
    assert_eq!(answer["iss"], metadata["issuer"]);
}

#[test]
fn i10_aud_is_a_string_for_one_and_an_array_for_several() {
    let world = embedded();
    let token = world.app.mint_scope(world.server(), "mail:send");
    assert_eq!(world.mail.introspect(world.server(), &token).claim("aud"), MAIL);
    let token = world.app.mint_scope(world.server(), "shared");
    for server in [&world.notes, &world.mail] {
        let answer = server.introspect(world.server(), &token);
        let mut audience: Vec<&str> =
            answer.claim("aud").as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
        audience.sort_unstable();
        assert_eq!(audience, [MAIL, NOTES]);
    }
}

#[test]
fn i10_scope_is_narrowed_to_what_the_caller_owns() {
    let world = embedded();
    let token = world.app.mint(world.server());
    let seen = |server: &crate::support::actors::ResourceServer| {
        server.introspect(world.server(), &token).claim("scope").as_str().unwrap().to_owned()
    };
    assert_eq!(seen(&world.notes), "notes:read notes:write shared");
    assert_eq!(seen(&world.mail), "mail:send shared");
    assert_eq!(seen(&world.reader), "notes:read");
    assert_eq!(APP_SCOPE, "mail:send notes:read notes:write shared");
}

#[test]
fn i10_jti_names_the_token_and_is_no_token() {
    let world = scaled();
    let (token, second) = (world.app.mint(world.server()), world.app.mint(world.server()));
    let jti = |token| {
        let seen = world.deployment.replicas().flat_map(|replica| {
            [&world.notes, &world.mail].map(|server| server.introspect(replica, token).claim("jti").clone())
        });
        let seen: Vec<_> = seen.collect();
        assert!(seen.iter().all(|jti| *jti == seen[0]), "the same everywhere: {seen:?}");
        seen[0].as_str().unwrap().to_owned()
    };
    let first = jti(&token);
    assert_ne!(first, jti(&second));
    assert!(first.len() >= 16 && !token.0.contains(&first) && !first.contains(token.grant_id()), "{first}");
    for text in [first.clone(), format!("sya_{first}")] {
        inactive(world.notes.introspect_str(world.server(), &text));
    }
    // Nor does it lead to the token by way of revocation.
    world.app.revoke_request(world.server(), &first).send().expect_status(200);
    assert!(world.notes.introspect(world.server(), &token).active());
}

#[test]
fn i11_exp_is_ahead_and_iat_is_not() {
    let world = scaled();
    for ttl in ["1s", "15m", "3650d"] {
        let client =
            world.deployment.client_with(&format!("i11-{ttl}"), "notes:read", &["--access-token-ttl", ttl]);
        let answer = world.notes.introspect(world.server(), &client.mint(world.server()));
        if !answer.active() {
            assert_eq!(ttl, "1s", "{answer:?}");
            continue;
        }
        let (exp, iat) = (answer.claim("exp").as_i64().unwrap(), answer.claim("iat").as_i64().unwrap());
        assert!(iat <= now() && iat > now() - 30 && exp > iat, "{answer:?}");
    }
}

#[test]
fn i12_sub_is_the_client() {
    let world = embedded();
    let token = world.app.mint(world.server());
    let answer = world.notes.introspect(world.server(), &token);
    assert_eq!(answer.claim("sub"), world.app.id.as_str());
    assert!(answer.claim("username").is_null());
    for id in ["usr_1", "rs_1", "rs_"] {
        let create =
            ["client", "create", "i12", "--grant", "client_credentials", "--client-id", id, "--json"];
        world.deployment.cli(&create).expect_status(2);
    }
}

#[test]
fn i3_without_good_credentials_nothing_is_said_about_the_token() {
    let world = embedded();
    let token = world.app.mint(world.server());
    let request = |text: &str| Request::post(world.server().url("/introspect")).form(&[("token", text)]);
    let almost = format!("{}x", world.notes.secret);
    for authorize in [
        |request: Request, _: &str| request,
        |request: Request, almost: &str| request.basic("rs_nobody00000", almost),
        |request: Request, almost: &str| request.basic(&embedded().notes.id, almost),
        |request: Request, _: &str| request.basic(&embedded().notes.id, ""),
        |request: Request, _: &str| request.basic(&embedded().notes.id, &embedded().mail.secret),
    ] {
        let good = authorize(request(token.as_str()), &almost).send();
        let junk = authorize(request("junk"), &almost).send();
        stranger(&good);
        stranger(&junk);
        assert_eq!(good.body, junk.body);
    }
}

#[test]
fn i3_clients_may_not_introspect() {
    let world = embedded();
    let token = world.app.mint(world.server());
    for client in [&world.app, &world.other] {
        let request = Request::post(world.server().url("/introspect")).form(&[("token", token.as_str())]);
        stranger(&request.basic(&client.id, &client.secret).send());
    }
}

#[test]
fn i4_a_token_does_not_vouch_for_itself() {
    let world = embedded();
    let token = world.app.mint(world.server());
    for header in [format!("Bearer {}", token.0), format!("DPoP {}", token.0)] {
        let request = Request::post(world.server().url("/introspect")).form(&[("token", token.as_str())]);
        stranger(&request.header("authorization", &header).send());
    }
}

#[test]
fn i5_a_public_client_may_not_introspect() {
    let world = embedded();
    let token = world.app.mint(world.server());
    for secret in ["", "x"] {
        let form = [("token", token.as_str()), ("client_id", &world.public.id), ("client_secret", secret)];
        stranger(&Request::post(world.server().url("/introspect")).form(&form).send());
    }
}

#[test]
fn i6_a_token_in_the_query_is_not_answered() {
    let world = embedded();
    let token = world.app.mint(world.server());
    let url = world.server().url(&format!("/introspect?token={}", token.0));
    let (id, secret) = (&world.notes.id, &world.notes.secret);
    refused(&Request::get(&url).basic(id, secret).send(), 405, "invalid_request");
    refused(&Request::post(&url).basic(id, secret).form(&[]).send(), 400, "invalid_request");
    refused(
        &Request::post(&url).basic(id, secret).form(&[("token", &token.0)]).send(),
        400,
        "invalid_request",
    );
    assert!(!world.server().stderr().contains(&token.0), "nor is it in the log");
}

#[test]
fn i7_token_missing_empty_or_twice() {
    let world = embedded();
    let token = world.app.mint(world.server());
    let twice = format!("token={0}&token={0}", token.0);
    let differently = format!("token={}&tok%65n=x", token.0);
    for form in [
        "",
        "token=",
        "token",
        "token_type_hint=access_token",
        "Token=x",
        &twice,
        &differently,
        "token=&token=x",
    ] {
        refused(&ask(world, form), 400, "invalid_request");
    }
}

#[test]
fn i8_the_hint_never_changes_the_answer() {
    let world = embedded();
    let token = world.app.mint(world.server());
    let plain = ask(world, &format!("token={}", token.0));
    json_200(plain.clone());
    for hint in ["access_token", "refresh_token", "authorization_code", "foo", "", "%C3%A9", "access_token+"]
    {
        for form in [
            format!("token={}&token_type_hint={hint}", token.0),
            format!("token_type_hint={hint}&token={}", token.0),
        ] {
            let answer = ask(world, &form);
            assert_eq!((answer.status, &answer.body), (200, &plain.body), "{hint}");
        }
    }
    refused(
        &ask(world, &format!("token={}&token_type_hint=a&token_type_hint=a", token.0)),
        400,
        "invalid_request",
    );
}

/// An active answer, too, is for this moment only.
#[test]
fn i13_no_answer_may_be_kept() {
    let world = embedded();
    let token = world.app.mint(world.server());
    for text in [token.as_str(), "junk"] {
        let answer = world.notes.introspect_str(world.server(), text);
        assert_eq!(answer.header_values("cache-control"), ["no-store"]);
        assert!(
            ["etag", "last-modified", "expires", "age", "vary"]
                .iter()
                .all(|name| answer.header(name).is_none())
        );
    }
}

#[test]
fn i9_a_resource_server_is_told_nothing_of_a_refresh_token() {
    let world = scaled();
    let (user, app) = (world.deployment.user("i9"), world.deployment.app("i9", "notes:read", &[]));
    let request = app.ask();
    let answer = Browser::new().allow(world.server(), &user, &request);
    let tokens = app.redeem(world.server(), &request, &answer);
    assert!(world.notes.introspect(world.server(), &tokens.access).active());
    for hint in ["", "&token_type_hint=refresh_token", "&token_type_hint=access_token"] {
        inactive(ask(world, &format!("token={}{hint}", tokens.refresh.as_str())));
    }
    app.refresh(world.server(), &tokens.refresh);
}

#[test]
fn i14_a_revoked_token_is_inactive_on_every_replica_at_once() {
    let world = scaled();
    let replicas: Vec<_> = world.deployment.replicas().collect();
    for turn in 0..20 {
        let (here, there) = (replicas[turn % 2], replicas[(turn + 1) % 2]);
        let token = world.app.mint(here);
        assert!(world.notes.introspect(there, &token).active());
        world.app.revoke(here, &token);
        inactive(world.notes.introspect_str(there, token.as_str()));
        inactive(world.notes.introspect_str(here, token.as_str()));
    }
}

#[test]
fn x43_no_conditional_request_is_ever_answered_304() {
    let world = embedded();
    let token = world.app.mint(world.server());
    for (name, value) in [
        ("if-none-match", "*"),
        ("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT"),
        ("range", "bytes=0-1"),
    ] {
        let request = world.notes.introspect_request(world.server(), token.as_str());
        assert_eq!(json_200(request.header(name, value).send())["active"], true, "{name}");
    }
}
