//! Client authentication (RFC 6749 §2.3): who asks, and how they prove it.

use crate::expect::{exact_headers, json_200, refused, stranger};
use crate::support::actors::Client;
use crate::support::encoding::{base64, basic};
use crate::support::http::{Request, Response};
use crate::world::{World, embedded, scaled};

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

/// A mint with this header and these further fields.
#[track_caller]
fn ask(world: &World, authorization: Option<&str>, fields: &[(&str, &str)]) -> Response {
    let mut form = vec![GRANT];
    form.extend_from_slice(fields);
    let request = Request::post(world.server().url("/token")).form(&form);
    match authorization {
        Some(value) => request.header("authorization", value).send(),
        None => request.send(),
    }
}

#[test]
fn t6_a_client_that_is_not_registered_for_the_grant() {
    let world = embedded();
    let created = ["client", "create", "t6", "--scope", "notes:read", "--json"];
    let created = world.deployment.cli(&created).success().json();
    let client = Client {
        id: created["client_id"].as_str().unwrap().to_owned(),
        secret: created["client_secret"].as_str().unwrap().to_owned(),
    };
    refused(&client.token_request(world.server(), &[]).send(), 400, "unauthorized_client");
}

#[test]
fn t7_unknown_client_and_wrong_secret_look_exactly_alike() {
    let world = embedded();
    let app = &world.app;
    let almost = format!("{}x", app.secret);
    let swapped = app.secret.to_lowercase();
    let tries = [
        ("nobody", app.secret.as_str()),
        (app.id.as_str(), almost.as_str()),
        (app.id.as_str(), swapped.as_str()),
        (app.id.as_str(), "x"),
        (app.id.as_str(), ""),
        ("", ""),
        ("", app.secret.as_str()),
        (app.id.as_str(), world.other.secret.as_str()),
        (world.notes.id.as_str(), world.notes.secret.as_str()),
        (world.public.id.as_str(), "x"),
    ];
    let first = ask(world, Some(&basic("nobody", "nothing")), &[]);
    stranger(&first);
    for (id, secret) in tries {
        let answer = ask(world, Some(&basic(id, secret)), &[]);
        stranger(&answer);
        assert_eq!(answer.body, first.body, "{id} {secret}");
        let posted = ask(world, None, &[("client_id", id), ("client_secret", secret)]);
        stranger(&posted);
        if !id.is_empty() {
            assert_eq!(posted.body, first.body, "{id} {secret}");
        }
    }
    stranger(&ask(world, None, &[]));
}

#[test]
fn t8_two_authentications_that_contradict_each_other() {
    let world = embedded();
    let (app, other) = (&world.app, &world.other);
    let header = basic(&app.id, &app.secret);
    for fields in [
        &[("client_id", other.id.as_str())][..],
        &[("client_secret", other.secret.as_str())],
        &[("client_id", app.id.as_str()), ("client_secret", "wrong")],
        &[("client_id", other.id.as_str()), ("client_secret", other.secret.as_str())],
        &[("client_id", &app.id.to_uppercase())],
    ] {
        refused(&ask(world, Some(&header), fields), 400, "invalid_request");
    }
    // The right secret beside a wrong header is no way in either.
    let wrong = basic(&app.id, "wrong");
    refused(&ask(world, Some(&wrong), &[("client_secret", &app.secret)]), 400, "invalid_request");
}

/// lua-resty-openidc and what is built on it send both.
#[test]
fn t8_basic_and_the_same_again_in_the_form_is_accepted() {
    let world = embedded();
    let app = &world.app;
    let header = basic(&app.id, &app.secret);
    let (id, secret) = (("client_id", app.id.as_str()), ("client_secret", app.secret.as_str()));
    for fields in [&[][..], &[id], &[secret], &[id, secret]] {
        json_200(ask(world, Some(&header), fields));
    }
    let token = app.mint(world.server());
    let (notes, form) = (&world.notes, [("token", token.as_str())]);
    let both = [form[0], ("client_id", notes.id.as_str()), ("client_secret", notes.secret.as_str())];
    for path in ["/introspect", "/revoke"] {
        let request = Request::post(world.server().url(path)).basic(&notes.id, &notes.secret);
        request.form(&both).send().expect_status(200);
    }
}

#[test]
fn d1_both_ways_to_write_basic_are_read() {
    let world = embedded();
    let Client { id, secret } = &world.app;
    let escaped = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat();
    let plain = base64(format!("{id}:{secret}").as_bytes());
    for header in [
        format!("Basic {plain}"),
        format!("basic {plain}"),
        format!("BASIC {plain}"),
        format!("Basic   {plain}"),
        format!("Basic {}", base64(format!("{}:{}", escaped(id), escaped(secret)).as_bytes())),
    ] {
        json_200(ask(world, Some(&header), &[]));
    }
}

#[test]
fn d1_a_malformed_header_is_401_also_beside_good_credentials() {
    let world = embedded();
    let Client { id, secret } = &world.app;
    let encode = |text: &[u8]| format!("Basic {}", base64(text));
    let good = base64(format!("{id}:{secret}").as_bytes());
    let headers = [
        "Basic".to_owned(),
        "Basic ".to_owned(),
        format!("Basic{good}"),
        format!("Basic {good}!"),
        format!("Basic {good} {good}"),
        format!("Bearer {good}"),
        format!("Bearer {secret}"),
        format!("Digest {good}"),
        format!("Basic {}", good.trim_end_matches('=').to_owned() + "===="),
        encode(b"no-colon"),
        encode(format!("{id}%:{secret}").as_bytes()),
        encode(format!("{id}:{secret}%4").as_bytes()),
        encode(format!("{id}:{secret}%zz").as_bytes()),
        encode(format!("{id}%00:{secret}").as_bytes()),
        encode(format!("{id}:{secret}%00").as_bytes()),
        encode(&[id.as_bytes(), b"\xff:", secret.as_bytes()].concat()),
        encode(format!("{id}:{secret}%ff").as_bytes()),
        encode(format!("{id}:{secret}%c0%80").as_bytes()),
        encode(format!("{id}: {secret}").as_bytes()),
    ];
    for header in headers {
        stranger(&ask(world, Some(&header), &[]));
        let posted = [("client_id", id.as_str()), ("client_secret", secret.as_str())];
        let answer = ask(world, Some(&header), &posted);
        assert!(matches!(answer.status, 400 | 401), "{header}: {}", answer.text());
    }
    let twice =
        Request::post(world.server().url("/token")).form(&[GRANT]).basic(id, secret).basic(id, secret);
    stranger(&twice.send());
}

#[test]
fn d2_the_secret_in_the_form_is_as_good() {
    let world = embedded();
    let Client { id, secret } = &world.app;
    let posted = [("client_id", id.as_str()), ("client_secret", secret.as_str())];
    json_200(ask(world, None, &posted));
    stranger(&ask(world, None, &posted[..1]));
    stranger(&ask(world, None, &posted[1..]));
}

#[test]
fn d2_credentials_in_the_query_are_never_read() {
    let world = embedded();
    let Client { id, secret } = &world.app;
    for query in [
        format!("client_id={id}&client_secret={secret}"),
        format!("client_secret={secret}"),
        format!("client_id={id}&client_secret={secret}&grant_type=client_credentials"),
        format!("cl%69ent_secret={secret}"),
    ] {
        for (path, form) in [("/token", GRANT), ("/introspect", ("token", "x")), ("/revoke", ("token", "x"))]
        {
            let url = world.server().url(&format!("{path}?{query}"));
            let answer = Request::post(&url).form(&[form, ("client_id", id)]).send();
            refused(&answer, 400, "invalid_request");
            // Not even beside good ones: whoever sends them there must learn of it.
            refused(&Request::post(&url).form(&[form]).basic(id, secret).send(), 400, "invalid_request");
        }
    }
}

#[test]
fn d11_every_401_has_the_challenge_whatever_was_tried() {
    let world = embedded();
    for path in ["/token", "/introspect", "/revoke"] {
        let request = || Request::post(world.server().url(path)).form(&[GRANT, ("token", "x")]);
        stranger(&request().send());
        stranger(&request().header("authorization", "Bearer x").send());
        stranger(&request().basic("nobody", "x").send());
    }
}

#[test]
fn t13_a_public_client_gets_no_token_for_itself() {
    let world = embedded();
    let id = world.public.id.as_str();
    stranger(&ask(world, None, &[("client_id", id)]));
    stranger(&ask(world, Some(&basic(id, "")), &[]));
    stranger(&ask(world, None, &[("client_id", id), ("client_secret", "x")]));
}

/// A random 256-bit secret needs a fast digest and no more; its plain text is nowhere.
#[test]
fn x10_secrets_are_kept_as_their_sha_256() {
    let world = scaled();
    let database = world.deployment.database();
    for (table, id, secret) in [
        ("clients", &world.app.id, &world.app.secret),
        ("resource_servers", &world.notes.id, &world.notes.secret),
    ] {
        let sql = format!(
            "SELECT secret_digest = sha256(convert_to('{secret}', 'UTF8')) FROM {table} WHERE id = '{id}'"
        );
        assert_eq!(database.execute(&sql), "t", "{table}");
    }
    assert!(world.app.secret.starts_with("syk_") && world.app.secret.len() == 53);
    assert!(world.app.secret[4..].bytes().all(|byte| byte.is_ascii_alphanumeric()));
}

#[test]
fn x14_no_answer_but_a_page_sets_a_cookie_and_none_may_be_framed() {
    let world = embedded();
    let server = world.server();
    let paths =
        ["/livez", "/readyz", "/openapi.json", "/.well-known/oauth-authorization-server", "/", "/token"];
    for path in paths {
        let answer = Request::get(server.url(path)).send();
        assert!(answer.header("set-cookie").is_none(), "{path}");
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert_eq!(policy, "default-src 'none'; frame-ancestors 'none'", "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert!(answer.header("server").is_none() && answer.header("x-powered-by").is_none(), "{path}");
    }
    let plain = Request::get(server.url("/livez")).send().expect_status(200);
    exact_headers(&plain, &[("content-type", "text/plain; charset=utf-8"), ("cache-control", "no-store")]);
}
