//! `resource` (RFC 8707): a token for this resource server and no other.

use crate::expect::{inactive, json_200, refused};
use crate::support::actors::Token;
use crate::support::encoding::form_component;
use crate::support::http::Response;
use crate::world::{MAIL, NOTES, World, embedded};

const READER: &str = "urn:example:reader";

#[track_caller]
fn ask(world: &World, fields: &[(&str, &str)]) -> Response {
    world.app.token_request(world.server(), fields).send()
}

#[track_caller]
fn mint(world: &World, fields: &[(&str, &str)]) -> (Token, String) {
    let answer = json_200(ask(world, fields));
    let text = |member: &str| answer[member].as_str().unwrap().to_owned();
    (Token(text("access_token")), text("scope"))
}

#[test]
fn n1_a_resource_narrows_audience_and_scope() {
    let world = embedded();
    let (token, scope) = mint(world, &[("resource", MAIL)]);
    assert_eq!(scope, "mail:send shared");
    let seen = world.mail.introspect(world.server(), &token);
    assert_eq!((seen.claim("aud"), seen.scope()), (&MAIL.into(), vec!["mail:send", "shared"]));
    // Notes owns `shared` too, and is not asked to accept this token.
    inactive(world.notes.introspect_str(world.server(), token.as_str()));
}

#[test]
fn n1_a_resource_and_a_scope_give_what_both_allow() {
    let world = embedded();
    let (token, scope) = mint(world, &[("resource", NOTES), ("scope", "notes:read mail:send")]);
    assert_eq!(scope, "notes:read", "the answer says what was granted");
    assert_eq!(world.notes.introspect(world.server(), &token).scope(), ["notes:read"]);
    inactive(world.mail.introspect_str(world.server(), token.as_str()));
}

#[test]
fn n2_several_resources_make_one_token_for_all_of_them() {
    let world = embedded();
    let (token, scope) = mint(world, &[("resource", NOTES), ("resource", READER), ("scope", "notes:read")]);
    assert_eq!(scope, "notes:read");
    for server in [&world.notes, &world.reader] {
        let seen = server.introspect(world.server(), &token);
        let mut audience: Vec<&str> =
            seen.claim("aud").as_array().unwrap().iter().filter_map(|one| one.as_str()).collect();
        audience.sort_unstable();
        assert_eq!(audience, [NOTES, READER]);
    }
    let (token, _) = mint(world, &[("resource", NOTES), ("resource", NOTES)]);
    assert_eq!(world.notes.introspect(world.server(), &token).claim("aud"), NOTES, "twice the same is one");
}

#[test]
fn n3_a_malformed_or_unknown_resource_is_invalid_target() {
    let world = embedded();
    let long = format!("https://notes.example/{}", "x".repeat(600));
    for resource in [
        "notes",
        "/notes",
        "//notes.example",
        "notes.example",
        "https://notes.example#",
        "https://notes.example#fragment",
        "https://notes.example/",
        "https://notes.example:443",
        "HTTPS://notes.example",
        "https://NOTES.example",
        "https://notes.example/x",
        "https://notes.example?x",
        "https://user@notes.example",
        "https://notes.example ",
        " https://notes.example",
        "https://notes.example\n",
        "https://notes.example,https://mail.example/v1",
        "https://unknown.example",
        "https://nötes.example",
        "http://notes.example",
        "*",
        &world.notes.id,
        "notes",
        &long,
    ] {
        refused(&ask(world, &[("resource", resource)]), 400, "invalid_target");
        // One good one does not carry a bad one.
        refused(&ask(world, &[("resource", NOTES), ("resource", resource)]), 400, "invalid_target");
        refused(&ask(world, &[("resource", resource), ("resource", NOTES)]), 400, "invalid_target");
    }
}

#[test]
fn n4_a_resource_that_the_client_has_no_scope_at_is_invalid_target() {
    let world = embedded();
    let other = |fields: &[(&str, &str)]| world.other.token_request(world.server(), fields).send();
    refused(&other(&[("resource", MAIL)]), 400, "invalid_target");
    refused(&other(&[("resource", NOTES), ("resource", MAIL)]), 400, "invalid_target");
    refused(&ask(world, &[("resource", MAIL), ("scope", "notes:read")]), 400, "invalid_target");
    // The same answer as for one that does not exist: nobody learns which resource servers there are.
    let unknown = other(&[("resource", "https://unknown.example")]);
    assert_eq!(other(&[("resource", MAIL)]).body, unknown.body);
}

#[test]
fn n4_a_disabled_resource_server_is_no_target() {
    let world = embedded();
    let target = world.deployment.resource_server("n4", "urn:example:n4", "n4:use");
    let client = world.deployment.client("n4-client", "n4:use");
    let request = || client.token_request(world.server(), &[("resource", "urn:example:n4")]).send();
    json_200(request());
    world.deployment.cli(&["resource-server", "disable", &target.id, "--json"]).success();
    refused(&request(), 400, "invalid_target");
    world.deployment.cli(&["resource-server", "delete", &target.id, "--json"]).success();
    refused(&request(), 400, "invalid_target");
}

#[test]
fn n5_without_a_resource_the_audience_is_who_owns_the_scope() {
    let world = embedded();
    let (token, scope) = mint(world, &[("scope", "notes:write")]);
    assert_eq!(scope, "notes:write");
    assert_eq!(world.notes.introspect(world.server(), &token).claim("aud"), NOTES);
    inactive(world.reader.introspect_str(world.server(), token.as_str()));
}

#[test]
fn n6_two_requests_with_two_resources_share_nothing() {
    let world = embedded();
    let (notes, _) = mint(world, &[("resource", NOTES)]);
    let (mail, _) = mint(world, &[("resource", MAIL)]);
    assert_ne!(notes.grant_id(), mail.grant_id());
    world.app.revoke(world.server(), &notes);
    inactive(world.notes.introspect_str(world.server(), notes.as_str()));
    assert!(world.mail.introspect(world.server(), &mail).active());
}

#[test]
fn n7_bytes_that_are_no_text_are_an_invalid_request() {
    let world = embedded();
    for bytes in ["%ff", "https://notes.example%00", "%c0%80", "%", "https://notes.example%zz"] {
        let form = format!("grant_type=client_credentials&resource={bytes}");
        let request = world.app.token_request(world.server(), &[]).body(form);
        refused(&request.send(), 400, "invalid_request");
    }
    let form = format!("grant_type=client_credentials&resource=&resource={}", form_component(MAIL));
    assert_eq!(
        json_200(world.app.token_request(world.server(), &[]).body(form).send())["scope"],
        "mail:send shared"
    );
}
