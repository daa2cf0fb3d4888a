//! Methods and headers that try to be something else (X27, X28, X30, X41).

use crate::expect::{json_200, refused};
use crate::support::http::{Request, Response};
use crate::support::symbolon::Server;
use crate::wire::{Wire, post};
use crate::world::embedded;

const POSTS: [&str; 3] = ["/token", "/introspect", "/revoke"];
const GETS: [&str; 4] = ["/.well-known/oauth-authorization-server", "/openapi.json", "/livez", "/readyz"];
const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn t2_other_methods_than_post_at_the_token_endpoint() {
    let server = embedded().server();
    for method in ["GET", "PUT", "HEAD"] {
        let answer = Request::new(method, server.url("/token")).send().expect_status(405);
        assert_eq!(answer.header_values("allow"), ["POST"], "{method}");
    }
}

#[test]
fn x28_every_other_method_is_405_with_allow_and_without_effect() {
    let world = embedded();
    let (server, app) = (world.server(), &world.app);
    let token = app.mint(server);
    for path in POSTS {
        for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "FOO", "post"]
        {
            let request = Request::new(method, server.url(path)).basic(&app.id, &app.secret);
            let request = request
                .header("content-type", FORM)
                .body(format!("token={}&grant_type=client_credentials", token.0));
            let answer = request.send();
            assert_eq!(answer.header_values("allow"), ["POST"], "{method} {path}");
            assert!(answer.header("access-control-allow-origin").is_none(), "{method} {path}");
            if method == "HEAD" {
                assert_eq!((answer.status, answer.body.len()), (405, 0));
            } else {
                refused(&answer, 405, "invalid_request");
            }
        }
    }
    for path in GETS {
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO"] {
            let answer = Request::new(method, server.url(path)).body("x").send();
            refused(&answer, 405, "invalid_request");
            assert_eq!(answer.header_values("allow"), ["GET, HEAD"], "{method} {path}");
        }
    }
    for (path, allow) in
        [("/authorize", "GET, HEAD"), ("/login", "GET, HEAD, POST"), ("/consent", "GET, HEAD, POST")]
    {
        for method in ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO"] {
            let answer = Request::new(method, server.url(path)).body("x").send();
            assert_eq!((answer.status, answer.header_values("allow")), (405, vec![allow]), "{method} {path}");
            assert_eq!(answer.header_values("content-type"), ["text/html; charset=utf-8"], "{method} {path}");
        }
    }
    assert!(world.notes.introspect(server, &token).active());
}

#[test]
fn x28_no_header_makes_one_method_another() {
    let world = embedded();
    let (server, app) = (world.server(), &world.app);
    let token = app.mint(server);
    for name in ["x-http-method-override", "x-http-method", "x-method-override"] {
        for path in POSTS {
            let request = Request::get(server.url(path)).basic(&app.id, &app.secret).header(name, "POST");
            refused(
                &request.header("content-type", FORM).body(format!("token={}", token.0)).send(),
                405,
                "invalid_request",
            );
        }
        let request = world.notes.introspect_request(server, token.as_str()).header(name, "DELETE");
        assert_eq!(json_200(request.send())["active"], true);
    }
    assert!(world.notes.introspect(server, &token).active());
}

/// The Host, the forwarding headers and whatever else a proxy may add say nothing about who we are.
#[test]
fn x30_no_header_changes_the_issuer_or_opens_anything() {
    let world = embedded();
    let (server, notes, app) = (world.server(), &world.notes, &world.app);
    let headers = [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-port", "443"),
        ("x-forwarded-prefix", "/evil"),
        ("x-forwarded-server", "evil.example"),
        ("x-real-ip", "127.0.0.1"),
        ("forwarded", "for=127.0.0.1;host=evil.example;proto=https"),
        ("x-original-url", "/revoke"),
        ("x-rewrite-url", "/revoke"),
        ("x-original-host", "evil.example"),
        ("x-client-cert", "-----BEGIN CERTIFICATE-----"),
        ("x-ssl-client-verify", "SUCCESS"),
        ("x-ssl-client-s-dn", "CN=rs"),
        ("x-remote-user", "admin"),
        ("remote-user", "admin"),
        ("origin", "https://evil.example"),
        ("referer", "https://evil.example/"),
        ("cookie", "session=admin"),
        ("sec-fetch-site", "cross-site"),
    ];
    // `scopes_supported` follows the other tests' resource servers, so all but that is compared.
    let ask = |path: &str, header: Option<(&str, &str)>| {
        let request = Request::get(server.url(path));
        let request = match header {
            Some((name, value)) => request.header(name, value),
            None => request,
        };
        let mut answer = request.send().expect_status(200);
        let mut document = answer.json();
        document.as_object_mut().unwrap().remove("scopes_supported");
        answer
            .headers
            .retain(|(name, _)| !matches!(name.as_str(), "date" | "x-request-id" | "content-length"));
        answer.headers.sort_unstable();
        (document, answer.headers)
    };
    let plain = [GETS[0], GETS[1]].map(|path| ask(path, None));
    let token = app.mint(server);
    let seen = notes.introspect(server, &token).0;
    for (name, value) in headers {
        assert_eq!([GETS[0], GETS[1]].map(|path| ask(path, Some((name, value)))), plain, "{name}");
        let answer = notes.introspect_request(server, token.as_str()).header(name, value).send();
        assert_eq!(json_200(answer), seen, "{name}");
        let stranger =
            Request::post(server.url("/introspect")).form(&[("token", token.as_str())]).header(name, value);
        crate::expect::stranger(&stranger.send());
    }
    assert!(notes.introspect(server, &token).active(), "nothing was revoked by x-original-url");
}

#[test]
fn x44_no_endpoint_with_secrets_allows_other_origins() {
    let world = embedded();
    for path in POSTS {
        let request = Request::post(world.server().url(path)).header("origin", "https://evil.example");
        let answer = request.form(&[("token", "x")]).send();
        assert!(answer.headers.iter().all(|(name, _)| !name.starts_with("access-control-")), "{path}");
        let preflight = Request::new("OPTIONS", world.server().url(path))
            .header("origin", "https://evil.example")
            .header("access-control-request-method", "POST");
        let answer = preflight.send();
        refused(&answer, 405, "invalid_request");
        assert!(answer.headers.iter().all(|(name, _)| !name.starts_with("access-control-")), "{path}");
    }
}

#[test]
fn x27_only_a_form_is_read() {
    let world = embedded();
    let (server, app) = (world.server(), &world.app);
    let form = "grant_type=client_credentials&token=x";
    let types = [
        "application/json",
        "application/JSON; charset=utf-8",
        "text/plain",
        "text/html",
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        "application/x-www-form-urlencoded-x",
        "application/x-www-form-urlencoded, application/json",
        "application/x-www-form-urlencoded; charset=iso-8859-1",
        "application/x-www-form-urlencoded; charset=utf-16",
        "application/x-www-form-urlencoded; charset=utf-7",
        "x-www-form-urlencoded",
        "application / x-www-form-urlencoded",
        "*/*",
        "",
    ];
    for path in POSTS {
        let request = || Request::post(server.url(path)).basic(&app.id, &app.secret);
        for content_type in types {
            let answer = request().header("content-type", content_type).body(form).send();
            refused(&answer, 415, "invalid_request");
        }
        refused(&request().body(form).send(), 415, "invalid_request");
        refused(&request().send(), 415, "invalid_request");
        let json = r#"{"grant_type":"client_credentials","token":"x"}"#;
        refused(
            &request().header("content-type", "application/json").body(json).send(),
            415,
            "invalid_request",
        );
        let twice = request().header("content-type", FORM).header("content-type", "application/json");
        refused(&twice.body(form).send(), 415, "invalid_request");
        let twice = request().header("content-type", FORM).header("content-type", FORM);
        refused(&twice.body(form).send(), 415, "invalid_request");
    }
}

#[test]
fn d12_the_ways_to_write_the_type_of_a_form() {
    let world = embedded();
    for content_type in [
        FORM,
        "application/x-www-form-urlencoded; charset=UTF-8",
        "application/x-www-form-urlencoded;charset=utf-8",
        "application/x-www-form-urlencoded; charset=\"utf-8\"",
        "Application/X-WWW-Form-URLEncoded",
        "application/x-www-form-urlencoded;",
    ] {
        let request = Request::post(world.server().url("/token")).basic(&world.app.id, &world.app.secret);
        json_200(request.header("content-type", content_type).body("grant_type=client_credentials").send());
    }
}

/// What is refused early must not cost the caller its connection: behind a load balancer it is everybody's.
#[test]
fn x25_a_refusal_leaves_the_connection_usable() {
    let world = embedded();
    let (app, server) = (&world.app, world.server());
    let good = post("/token", &app.id, &app.secret, "grant_type=client_credentials");
    let padding = "p".repeat(20_000);
    let refusals = [
        (401, post("/token", &app.id, "wrong", "grant_type=client_credentials")),
        (404, post("/nothing", &app.id, &app.secret, "grant_type=client_credentials")),
        (405, good.replace("POST /token", "PUT /token")),
        (405, good.replace("POST /token", "POST /livez")),
        (413, post("/token", &app.id, &app.secret, &format!("grant_type=client_credentials&p={padding}"))),
        (413, post("/revoke", &app.id, &app.secret, &format!("token=x&p={}", "p".repeat(900_000)))),
        (404, post("/nothing", &app.id, &app.secret, &padding)),
        (405, post("/livez", &app.id, &app.secret, &padding)),
        (415, good.replace("x-www-form-urlencoded", "json")),
        (415, post("/token", &app.id, &app.secret, &padding).replace("x-www-form-urlencoded", "json")),
        (400, post("/token?grant_type=x", &app.id, &app.secret, "grant_type=client_credentials")),
        (414, post(&format!("/token?{padding}"), &app.id, &app.secret, "grant_type=client_credentials")),
        (414, post(&format!("/{padding}"), &app.id, &app.secret, "x")),
        (400, post("/introspect", &world.notes.id, &world.notes.secret, "")),
    ];
    let mut wire = Wire::to(server.address());
    for (status, request) in refusals {
        let answer: Response = wire.exchange(&request);
        assert_eq!(answer.status, status, "{}", &request[..60]);
        refused(&answer, status, if status == 401 { "invalid_client" } else { "invalid_request" });
        json_200(wire.exchange(&good));
    }
    // A body that a GET has no use for is no hindrance either.
    let get = good.replace("POST /token", "GET /livez");
    assert_eq!(wire.exchange(get).status, 200);
    json_200(wire.exchange(&good));
    // Requests in a row, sent before the first answer came, are answered in their order.
    let mut wire = Wire::to(server.address());
    wire.write(good.repeat(5) + &good.replace("POST /token", "POST /nothing") + &good);
    let statuses: Vec<u16> = (0..7).map(|_| wire.read().status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 404, 200]);
}

/// Whatever is asked for, the metrics do not grow by it, and no path or id becomes a label.
#[test]
fn x41_a_flood_of_unknown_things_adds_no_series_and_no_log() {
    let own = crate::support::deployment::Plan::embedded().env("SYMBOLON_LOG", "info").start();
    let server: &Server = own.replica(0);
    let metrics = || Request::get(server.management_url("/metrics")).send().expect_status(200).text();
    let mut wire = Wire::to(server.address());
    let mut flood = |from: usize| {
        for n in from..from + 100 {
            wire.exchange(post(&format!("/p{n}?q{n}=x"), "x", "x", "x=1"));
            wire.exchange(format!("M{n} /token HTTP/1.1\r\nHost: h{n}.example\r\n\r\n"));
            wire.exchange(post("/introspect", &format!("client{n}"), "x", &format!("token=t{n}")));
            wire.exchange(post("/token", &format!("client{n}"), "x", &format!("grant_type=g{n}&p{n}=1")));
        }
    };
    flood(0);
    let (series, logged) =
        (metrics().lines().filter(|line| !line.starts_with('#')).count(), server.stderr().len());
    flood(1_000);
    let text = metrics();
    assert_eq!(text.lines().filter(|line| !line.starts_with('#')).count(), series, "{text}");
    for word in ["client1", "g1001", "p1001", "M1001", "h1001"] {
        assert!(!text.contains(word), "{word}");
    }
    let grown = server.stderr().len() - logged;
    assert!(grown < 400 * 160, "{grown} bytes of log for 400 refused requests");
    for word in ["client1001", "g1001", "p1001", "M1001", "h1001", "t1001"] {
        assert!(!server.stderr().contains(word), "the log repeats {word}");
    }
}
