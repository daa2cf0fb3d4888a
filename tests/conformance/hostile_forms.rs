//! Forms that no honest client sends (X25, X26, X29).

use crate::expect::{inactive, json_200, refused};
use crate::support::http::{Request, Response};
use crate::wire::{Wire, post};
use crate::world::{APP_SCOPE, World, embedded};

#[track_caller]
fn ask(world: &World, path: &str, form: &[u8]) -> Response {
    let request = Request::post(world.server().url(path)).basic(&world.app.id, &world.app.secret);
    request.header("content-type", "application/x-www-form-urlencoded").body(form).send()
}

const NO_TEXT: [&str; 10] =
    ["%00", "a%00b", "%ff", "%c0%80", "%ed%a0%80", "%f8%88%80%80%80", "%", "%4", "%zz", "%u0041"];

#[test]
fn x26_bytes_that_are_no_text_are_refused_in_every_parameter_that_is_read() {
    let world = embedded();
    for bytes in NO_TEXT {
        refused(&ask(world, "/token", format!("grant_type={bytes}").as_bytes()), 400, "invalid_request");
        for name in ["scope", "resource", "client_id"] {
            let form = format!("grant_type=client_credentials&{name}={bytes}");
            refused(&ask(world, "/token", form.as_bytes()), 400, "invalid_request");
        }
        for path in ["/introspect", "/revoke"] {
            refused(
                &ask(world, path, format!("token=x&client_id={bytes}").as_bytes()),
                400,
                "invalid_request",
            );
        }
    }
}

/// "NUL … in any other parameter 400": also where the value is not needed.
#[test]
fn x26_a_nul_is_refused_in_every_parameter_but_the_token() {
    let world = embedded();
    for name in [
        "client_secret",
        "code",
        "refresh_token",
        "redirect_uri",
        "code_verifier",
        "username",
        "password",
        "audience",
    ] {
        for bytes in ["%00", "a%00b", "%ff"] {
            let form = format!("grant_type=client_credentials&{name}={bytes}");
            refused(&ask(world, "/token", form.as_bytes()), 400, "invalid_request");
        }
    }
    for path in ["/introspect", "/revoke"] {
        for name in ["token_type_hint", "client_secret"] {
            refused(&ask(world, path, format!("token=x&{name}=%00").as_bytes()), 400, "invalid_request");
        }
    }
}

#[test]
fn x26_raw_bytes_in_a_form() {
    let world = embedded();
    let form = |bytes: &[u8]| [b"grant_type=client_credentials&scope=".as_slice(), bytes].concat();
    for bytes in [b"\xff".as_slice(), b"\x00", b"\xc0\x80", b"\xed\xa0\x80", b"a\x00"] {
        refused(&ask(world, "/token", &form(bytes)), 400, "invalid_request");
    }
    for bytes in ["é".as_bytes(), "\u{feff}notes:read".as_bytes(), b"notes:read\r\n", b"\t"] {
        refused(&ask(world, "/token", &form(bytes)), 400, "invalid_scope");
    }
    // A byte order mark before the first name makes it another name.
    refused(
        &ask(world, "/token", "\u{feff}grant_type=client_credentials".as_bytes()),
        400,
        "invalid_request",
    );
    let body: Vec<u8> = (0..=255u8).cycle().take(8_192).collect();
    for path in ["/token", "/introspect", "/revoke"] {
        refused(&ask(world, path, &body), 400, "invalid_request");
    }
}

#[test]
fn x26_a_space_is_a_plus_or_percent_20() {
    let world = embedded();
    for scope in ["notes:read+notes:write", "notes:read%20notes:write", "notes%3Aread+notes%3awrite"] {
        let answer =
            json_200(ask(world, "/token", format!("grant_type=client_credentials&scope={scope}").as_bytes()));
        assert_eq!(answer["scope"], "notes:read notes:write", "{scope}");
    }
    // `;` separates nothing, and a second `=` is part of the value.
    refused(
        &ask(world, "/token", b"grant_type=client_credentials;scope=notes:read"),
        400,
        "unsupported_grant_type",
    );
    refused(&ask(world, "/token", b"grant_type=client_credentials=x"), 400, "unsupported_grant_type");
}

#[test]
fn x26_ten_thousand_pairs_and_strange_names() {
    let world = embedded();
    let many = format!("grant_type=client_credentials{}", "&".repeat(10_000));
    assert_eq!(json_200(ask(world, "/token", many.as_bytes()))["scope"], APP_SCOPE);
    let many = format!("grant_type=client_credentials{}", "&x".repeat(8_000));
    assert_eq!(json_200(ask(world, "/token", many.as_bytes()))["scope"], APP_SCOPE);
    let many = format!("grant_type=client_credentials{}", "&scope=".repeat(1_000));
    refused(&ask(world, "/token", many.as_bytes()), 400, "invalid_request");
    let many = format!("grant_type=client_credentials{}", "&resource=x".repeat(1_400));
    refused(&ask(world, "/token", many.as_bytes()), 400, "invalid_target");
    let strange = b"=x&==&%00=1&%ff%fe=1&a[b]=c&scope[]=mail:send&scope[x]=y&Scope=x&scope%00=x&__proto__=x&grant_type=client_credentials";
    assert_eq!(json_200(ask(world, "/token", strange))["scope"], APP_SCOPE);
}

#[test]
fn x25_a_body_is_at_most_16_kib() {
    let world = embedded();
    let padded = |length: usize| {
        let form = "grant_type=client_credentials&p=";
        format!("{form}{}", "x".repeat(length - form.len()))
    };
    json_200(ask(world, "/token", padded(16 * 1024).as_bytes()));
    for length in [16 * 1024 + 1, 17 * 1024, 64 * 1024, 1024 * 1024] {
        for path in ["/token", "/introspect", "/revoke"] {
            refused(&ask(world, path, padded(length).as_bytes()), 413, "invalid_request");
        }
    }
}

#[test]
fn x25_an_address_is_at_most_8_kib() {
    let world = embedded();
    let path = |length: usize| format!("/introspect?{}", "x".repeat(length - "/introspect?".len()));
    let ask = |path: &str| {
        Request::post(world.server().url(path))
            .basic(&world.notes.id, &world.notes.secret)
            .form(&[("token", "x")])
            .send()
    };
    inactive(ask(&path(8 * 1024)));
    for length in [8 * 1024 + 1, 10_000, 60_000] {
        refused(&ask(&path(length)), 414, "invalid_request");
    }
    let too_long = "x".repeat(9_000);
    for path in ["/", "/token?", "/livez?", "/readyz?", "/openapi.json?", "/assets/"] {
        let answer = Request::get(world.server().url(&format!("{path}{too_long}"))).send();
        refused(&answer, 414, "invalid_request");
    }
    for path in ["/livez?", "/readyz?", "/metrics?", "/"] {
        let answer = Request::get(world.server().management_url(&format!("{path}{too_long}"))).send();
        refused(&answer, 414, "invalid_request");
    }
    for path in ["/authorize", "/login", "/account/password"] {
        let page = Request::get(world.server().url(&format!("{path}?{too_long}"))).send().expect_status(414);
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
    }
}

/// Half in the query and half in the body is how one parameter gets past whoever looks at the other.
#[test]
fn x29_no_parameter_counts_in_the_query() {
    let world = embedded();
    let whole = "grant_type=client_credentials";
    for query in [
        whole,
        "scope=notes:read",
        "resource=https://notes.example",
        "code=x",
        "scope=%00",
        "grant_type=x&grant_type=x",
    ] {
        refused(&ask(world, &format!("/token?{query}"), whole.as_bytes()), 400, "invalid_request");
        refused(&ask(world, &format!("/token?{query}"), b""), 400, "invalid_request");
    }
    for query in ["token=x", "token_type_hint=access_token", "tok%65n=x"] {
        refused(&ask(world, &format!("/revoke?{query}"), b"token=x"), 400, "invalid_request");
    }
    // What nobody reads anyway is ignored there too.
    json_200(ask(world, "/token?foo=1&foo=2&%zz", whole.as_bytes()));
    json_200(ask(world, "/token?", whole.as_bytes()));
}

#[test]
fn x25_a_long_run_of_refusals_harms_nobody() {
    let world = embedded();
    let mut wire = Wire::to(world.server().address());
    for n in 0..300 {
        // Each another: whoever guesses at one is slowed down.
        let id = format!("nobody{n}");
        crate::expect::stranger(&wire.exchange(post(
            "/token",
            &id,
            "wrong",
            "grant_type=client_credentials",
        )));
    }
    json_200(wire.exchange(post(
        "/token",
        &world.app.id,
        &world.app.secret,
        "grant_type=client_credentials",
    )));
}
