//! `GET /.well-known/oauth-authorization-server` (RFC 8414) and `/openapi.json`: what is said, works; what works, is said.

use serde_json::{Value, json};

use crate::expect::{exact_headers, refused};
use crate::support::actors::Token;
use crate::support::browser::Browser;
use crate::support::deployment::{ISSUER, Plan};
use crate::support::http::Request;
use crate::support::symbolon::{Server, ServerConfig};
use crate::world::{World, embedded, scaled};

const WELL_KNOWN: &str = "/.well-known/oauth-authorization-server";

#[track_caller]
fn metadata(server: &Server) -> Value {
    let response = Request::get(server.url(WELL_KNOWN)).send().expect_status(200);
    let kept = ("cache-control", "public, max-age=60");
    exact_headers(
        &response,
        &[("content-type", "application/json"), kept, ("access-control-allow-origin", "*")],
    );
    response.json()
}

/// The path that a URL has at this server.
#[track_caller]
fn path_at<'u>(url: &'u Value, issuer: &str) -> &'u str {
    url.as_str()
        .and_then(|url| url.strip_prefix(issuer))
        .unwrap_or_else(|| panic!("{url} is not at {issuer}"))
}

/// What any endpoint that takes a form says when nothing is in it, and the page for people: not 404, not 405.
fn answers(server: &Server, path: &str) -> bool {
    if path.ends_with("/authorize") {
        return Request::get(server.url(path)).send().status == 400;
    }
    let answer = Request::post(server.url(path)).form(&[]).send();
    matches!(answer.status, 400 | 401) && answer.oauth_error().is_some()
}

#[test]
fn m1_the_document_says_exactly_this() {
    let world = scaled();
    let mut document = metadata(world.server());
    let mut scopes: Vec<String> = serde_json::from_value(document["scopes_supported"].take()).unwrap();
    scopes.retain(|scope| ["mail:send", "notes:read", "notes:write", "shared"].contains(&scope.as_str()));
    scopes.sort_unstable();
    assert_eq!(scopes, ["mail:send", "notes:read", "notes:write", "shared"]);
    document.as_object_mut().unwrap().remove("scopes_supported");
    let methods = json!(["client_secret_basic", "client_secret_post"]);
    let client_methods = json!(["client_secret_basic", "client_secret_post", "none"]);
    let expected = json!({
        "issuer": ISSUER,
        "authorization_endpoint": format!("{ISSUER}/authorize"),
        "token_endpoint": format!("{ISSUER}/token"),
        "introspection_endpoint": format!("{ISSUER}/introspect"),
        "revocation_endpoint": format!("{ISSUER}/revoke"),
        "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "token_endpoint_auth_methods_supported": client_methods,
        "introspection_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": client_methods,
    });
    assert_eq!(document, expected, "nothing is advertised before it works");
}

/// RFC 8414 §3.2: "Claims with zero elements MUST be omitted from the response."
#[test]
fn m2_an_empty_list_is_left_out() {
    let empty = Server::start(&ServerConfig::serve());
    let document = metadata(&empty);
    let members = document.as_object().unwrap();
    assert!(!members.contains_key("scopes_supported"), "{document}");
    assert!(members.values().all(|value| *value != json!([]) && !value.is_null()), "{document}");
}

#[test]
fn m3_every_advertised_endpoint_answers() {
    let world = embedded();
    let server = world.server();
    let document = metadata(server);
    let issuer = document["issuer"].as_str().unwrap();
    assert_eq!(server.url(""), issuer, "without a configured issuer it is http and the listen address");
    let endpoints: Vec<_> =
        document.as_object().unwrap().iter().filter(|(name, _)| name.ends_with("_endpoint")).collect();
    assert_eq!(endpoints.len(), 4);
    for (name, url) in endpoints {
        assert!(answers(server, path_at(url, issuer)), "{name}");
    }
}

#[test]
fn m4_the_issuer_is_the_iss_of_every_token() {
    for world in [embedded(), scaled()] {
        for replica in world.deployment.replicas() {
            let token = world.app.mint(replica);
            let answer = world.notes.introspect(replica, &token);
            assert_eq!(answer.claim("iss"), &metadata(replica)["issuer"]);
        }
    }
}

#[test]
fn m5_what_is_not_advertised_is_not_there() {
    let server = embedded().server();
    for path in [
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-servers",
        "/.well-known/oauth-protected-resource",
        "/.well-known/jwks.json",
        "/.well-known/",
        "/assets/",
        "/par",
        "/device",
        "/device_authorization",
        "/register",
        "/userinfo",
        "/jwks",
        "/admin",
        "/admin/api/v1/clients",
        "/metrics",
        "/token/",
        "//token",
        "/TOKEN",
        "/token;x",
        "/token/x",
        "/introspect/../revoke/..",
        "/",
    ] {
        refused(&Request::get(server.url(path)).send(), 404, "invalid_request");
        refused(&Request::post(server.url(path)).form(&[("token", "x")]).send(), 404, "invalid_request");
    }
    let tenant = server.url(&format!("{WELL_KNOWN}/tenant"));
    refused(&Request::get(tenant).send(), 404, "invalid_request");
}

#[test]
fn m6_scopes_follow_the_resource_servers() {
    let world = embedded();
    let has =
        |server: &Server| metadata(server)["scopes_supported"].as_array().unwrap().contains(&json!("m6:use"));
    assert!(!has(world.server()));
    let created = world.deployment.resource_server("m6", "urn:example:m6", "m6:use");
    assert!(has(world.server()));
    world.deployment.cli(&["resource-server", "disable", &created.id, "--json"]).success();
    assert!(!has(world.server()));
}

/// RFC 8414 §3.1: the well-known part goes between host and path.
#[test]
fn m7_an_issuer_with_a_path() {
    let deployment = Plan::embedded().env("SYMBOLON_ISSUER", "https://auth.example/tenants/1").start();
    let server = deployment.replica(0);
    let url = server.url(&format!("{WELL_KNOWN}/tenants/1"));
    let document = Request::get(url).send().expect_status(200).json();
    assert_eq!(document["issuer"], "https://auth.example/tenants/1");
    assert_eq!(document["token_endpoint"], "https://auth.example/tenants/1/token");
    for path in
        ["", "/", "/tenants", "/tenants/2", "/tenants/1/x", "/Tenants/1", "/tenants%2F1x", "/x/tenants/1"]
    {
        let answer = Request::get(server.url(&format!("{WELL_KNOWN}{path}"))).send();
        refused(&answer, 404, "invalid_request");
    }
    for endpoint in
        ["authorization_endpoint", "token_endpoint", "introspection_endpoint", "revocation_endpoint"]
    {
        let path = path_at(&document[endpoint], "https://auth.example");
        assert!(answers(server, path), "{endpoint}: {path}");
    }
    let notes = deployment.resource_server("notes", "urn:example:notes", "notes:read");
    let token = deployment.client("app", "notes:read").mint(server);
    assert_eq!(notes.introspect(server, &token).claim("iss"), "https://auth.example/tenants/1");
}

#[test]
fn m8_a_head_request_has_the_headers_and_no_body() {
    let server = embedded().server();
    let get = Request::get(server.url(WELL_KNOWN)).send().expect_status(200);
    let head = Request::new("HEAD", server.url(WELL_KNOWN)).send().expect_status(200);
    assert!(head.body.is_empty());
    let length = get.body.len().to_string();
    assert_eq!(head.header("content-length"), Some(length.as_str()));
    assert_eq!(head.header("content-type"), Some("application/json"));
}

#[test]
fn m9_every_path_of_the_description_answers() {
    let world = embedded();
    let server = world.server();
    let response = Request::get(server.url("/openapi.json")).send().expect_status(200);
    assert_eq!(response.header_values("content-type"), ["application/json"]);
    let document = response.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    assert_eq!(document["servers"][0]["url"], server.url(""));
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 7, "{document}");
    let login = Request::get(server.url("/login")).send().text();
    let stylesheet = login.split('"').find_map(|text| text.strip_prefix("/assets/pages")).unwrap();
    for (path, operations) in paths {
        // The only issuer with no path is the one that is at the template's empty place.
        let path = path.replace("{issuer_path}", "").replace("{name}", &format!("pages{stylesheet}"));
        // These want a request, and everything that is posted wants more than nothing.
        let is_refused = matches!(path.as_str(), "/authorize" | "/consent");
        // What has a server of its own is on the management listener.
        let is_elsewhere = operations.get("servers").is_some();
        assert_eq!(is_elsewhere, path == "/metrics");
        let url = if is_elsewhere { server.management_url(&path) } else { server.url(&path) };
        for (method, operation) in
            operations.as_object().unwrap().iter().filter(|(name, _)| *name != "servers")
        {
            let request = Request::new(&method.to_uppercase(), &url);
            let request = if method == "post" { request.form(&[]) } else { request };
            let status = request.send().status.to_string();
            let is_expected = match (method.as_str(), is_refused) {
                ("post", _) => matches!(status.as_str(), "400" | "401" | "403"),
                (_, true) => status == "400",
                // To the login page.
                (_, false) if path.starts_with("/account") => status == "303",
                (_, false) => status == "200",
            };
            assert!(is_expected, "{method} {path}: {status}");
            let described = operation["responses"].as_object().unwrap();
            assert!(described.contains_key(&status), "{method} {path}: {status} is not described");
        }
    }
}

/// The members that the description promises are those that are there.
#[test]
fn m9_the_description_is_true() {
    let world: &World = embedded();
    let document = Request::get(world.server().url("/openapi.json")).send().json();
    let members = |schema: &str| {
        let mut names: Vec<String> = document["components"]["schemas"][schema]["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        names.sort_unstable();
        names
    };
    let deployment = &world.deployment;
    let further = ["--include-roles"];
    let api = deployment.resource_server_with("m9", "urn:example:m9", "m9:use", &further);
    let (user, app) = (deployment.user("m9"), deployment.app("m9", "m9:use", &[]));
    let ask = app.ask();
    let answer = Browser::new().allow(world.server(), &user, &ask);
    let issued = app.redemption(world.server(), &ask, answer.code()).send().json();
    assert_eq!(issued.as_object().unwrap().keys().cloned().collect::<Vec<_>>(), members("IssuedToken"));
    let token = Token(issued["access_token"].as_str().unwrap().to_owned());
    let seen = api.introspect(world.server(), &token).0;
    assert_eq!(seen.as_object().unwrap().keys().cloned().collect::<Vec<_>>(), members("Introspection"));
}
