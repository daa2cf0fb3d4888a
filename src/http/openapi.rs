//! `GET /openapi.json`: the description of everything here, for people's tools.

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::body::NoBody;
use super::form::Occurs;
use super::observe::observe;
use super::{WorkerState, pages, transport};
use crate::oauth::GrantType;

pub async fn get(request: HttpRequest, state: Data<WorkerState>, _: NoBody) -> HttpResponse {
    observe(&state.shared, &state.shared.endpoints.openapi, async {
        transport::require_confidential(&request)?;
        Ok(HttpResponse::Ok()
            .insert_header((header::CACHE_CONTROL, "public, max-age=60"))
            .insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
            .json(document(&state.server.settings().issuer)))
    })
    .await
}

fn document(issuer: &str) -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Symbolon",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A stateful OAuth 2.0 authorization server: opaque tokens, introspection, \
                            and revocation that holds.",
        },
        "servers": [{ "url": issuer }],
        "paths": {
            "/token": { "post": operation(
                "Issue a token (RFC 6749 section 3.2)",
                &form(&["grant_type"], &[
                    ("grant_type", json!({ "type": "string", "enum": GrantType::ALL.map(GrantType::as_str) })),
                    ("code", json!({ "type": "string" })),
                    ("redirect_uri", json!({ "type": "string", "format": "uri" })),
                    ("code_verifier", json!({ "type": "string" })),
                    ("refresh_token", json!({ "type": "string" })),
                    ("scope", json!({ "type": "string", "examples": ["notes:read notes:write"] })),
                    ("resource", json!({ "type": "array", "items": { "type": "string", "format": "uri" } })),
                ]),
                &json_answer("The token", "#/components/schemas/IssuedToken"),
            ) },
            "/introspect": { "post": operation(
                "Say whether a token is good at the calling resource server, now (RFC 7662 section 2)",
                &token_form(),
                &json_answer("What the token may do here, or that it is inactive", "#/components/schemas/Introspection"),
            ) },
            "/revoke": { "post": operation(
                "Revoke a token and its whole grant, everywhere, before the answer (RFC 7009 section 2)",
                &token_form(),
                &json!({ "description": "The token is dead on every replica" }),
            ) },
            "/authorize": { "get": {
                "summary": "Where an application sends its user for a code (RFC 6749 section 3.1, RFC 7636)",
                "parameters": authorization_parameters(),
                "responses": page_answers("The user is asked; or sent back, with a code or an error", &["303", "400"]),
            } },
            "/login": {
                "get": { "summary": "The page on which people log in", "responses": page_answers("The page", &["200", "303", "400"]) },
                "post": sent("Its form", &["username", "password"], &["303", "400", "403"]),
            },
            "/consent": {
                "get": { "summary": "The page on which people decide what an application may do", "responses": page_answers("The page", &["200", "303", "400"]) },
                "post": sent("Its form", &["decision"], &["303", "400", "403"]),
            },
            "/account": {
                "get": { "summary": "The page on which people see what they gave, and where they are logged in", "responses": page_answers("The page", &["200", "303"]) },
                "post": sent("Its form, with the one button that was pressed", &["session", "application", "grant"], &["303", "400", "403"]),
            },
            "/account/password": {
                "get": { "summary": "The page on which people change their password", "responses": page_answers("The page", &["200", "303", "400"]) },
                "post": sent("Its form", &["current_password", "new_password", "new_password_again"], &["303", "400", "403", "422"]),
            },
            "/logout": {
                "get": { "summary": "The page on which people log out", "responses": page_answers("The page", &["200"]) },
                "post": sent("Its form", &["from"], &["303", "400", "403"]),
            },
            "/assets/{name}": { "get": {
                "summary": "What the pages are drawn with",
                "parameters": [{ "name": "name", "in": "path", "required": true, "schema": { "type": "string" } }],
                "responses": { "200": { "description": "The stylesheet or the icon" }, "404": { "description": "Neither" } },
            } },
            "/.well-known/oauth-authorization-server": { "get": plain("Authorization server metadata (RFC 8414)") },
            "/.well-known/oauth-authorization-server/{issuer_path}": { "get": {
                "summary": "The same, for an issuer with a path (RFC 8414 section 3.1)",
                "parameters": [{ "name": "issuer_path", "in": "path", "required": true, "schema": { "type": "string" } }],
                "responses": { "200": { "description": "The metadata" }, "404": { "description": "Another issuer's path" } },
            } },
            "/openapi.json": { "get": plain("This document") },
            "/livez": { "get": plain("Whether the process is alive") },
            "/readyz": { "get": {
                "summary": "Whether requests sent here will be answered",
                "parameters": [{ "name": "verbose", "in": "query", "allowEmptyValue": true, "schema": { "type": "string" } }],
                "responses": { "200": { "description": "Ready" }, "503": { "description": "Not ready" } },
            } },
            "/metrics": {
                "servers": [{ "url": "/", "description": "The management listener, which has an address of its own" }],
                "get": {
                    "summary": "What is counted, for Prometheus; on the management listener alone",
                    "responses": { "200": {
                        "description": "The metrics, in Prometheus' text format",
                        "content": { "text/plain": { "schema": { "type": "string" } } },
                    } },
                },
            },
        },
        "components": {
            "securitySchemes": { "basic": { "type": "http", "scheme": "basic" } },
            "schemas": schemas(),
        },
    })
}

/// What answers are made of.
fn schemas() -> Value {
    json!({
        "IssuedToken": {
            "type": "object",
            "required": ["access_token", "token_type", "expires_in", "scope"],
            "properties": {
                "access_token": { "type": "string" },
                "token_type": { "const": "Bearer" },
                "expires_in": { "type": "integer", "description": "Seconds" },
                "scope": { "type": "string" },
                "refresh_token": { "type": "string" },
            },
        },
        "Introspection": {
            "type": "object",
            "required": ["active"],
            "properties": {
                "active": { "type": "boolean" },
                "scope": { "type": "string" },
                "client_id": { "type": "string" },
                "token_type": { "const": "Bearer" },
                "exp": { "type": "integer" },
                "iat": { "type": "integer" },
                "nbf": { "type": "integer" },
                "sub": { "type": "string" },
                "aud": { "oneOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] },
                "iss": { "type": "string" },
                "jti": { "type": "string" },
                "username": { "type": "string", "description": "Of a user's token" },
                "roles": { "type": "array", "items": { "type": "string" }, "description": "Of a user's token, where asked for" },
            },
        },
        "Error": {
            "type": "object",
            "required": ["error"],
            "properties": {
                "error": { "type": "string" },
                "error_description": { "type": "string" },
            },
        },
    })
}

fn operation(summary: &str, body: &Value, answer: &Value) -> Value {
    let refused = |description: &str| {
        json!({
            "description": description,
            "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Error" } } },
        })
    };
    json!({
        "summary": summary,
        "security": [{ "basic": [] }],
        "requestBody": { "required": true, "content": { "application/x-www-form-urlencoded": { "schema": body } } },
        "responses": {
            "200": answer,
            "400": refused("The request is refused"),
            "401": refused("The caller did not authenticate"),
            "405": refused("Another method; Allow says which"),
            "413": refused("The body is larger than 16 KiB"),
            "414": refused("The address is longer than 8 KiB"),
            "415": refused("The body is not a form"),
            "429": refused("Too many wrong secrets; Retry-After says when to ask again"),
            "503": refused("The answer cannot be known now; Retry-After says when to ask again"),
        },
    })
}

/// The parameters of an authorization request.
fn authorization_parameters() -> Vec<Value> {
    let required = ["client_id", "redirect_uri", "response_type", "code_challenge", "code_challenge_method"];
    let parameters = pages::authorize::KNOWN.iter().map(|(name, occurs)| {
        let schema = match occurs {
            Occurs::Once => json!({ "type": "string" }),
            Occurs::Repeatedly => json!({ "type": "array", "items": { "type": "string" } }),
        };
        json!({ "name": name, "in": "query", "required": required.contains(name), "schema": schema })
    });
    parameters.collect()
}

/// The form of a page, which carries more than people fill in.
fn sent(summary: &str, fields: &[&str], statuses: &[&str]) -> Value {
    let fields: serde_json::Map<_, _> =
        fields.iter().map(|name| ((*name).to_owned(), json!({ "type": "string" }))).collect();
    json!({
        "summary": summary,
        "requestBody": { "content": { "application/x-www-form-urlencoded": { "schema": {
            "type": "object", "properties": fields, "description": "And the hidden fields of the page",
        } } } },
        "responses": page_answers("The page, with what is wrong", statuses),
    })
}

/// What pages answer: each of them says in words what to do next.
fn page_answers(shown: &str, statuses: &[&str]) -> Value {
    let describe = |status: &str| match status {
        "200" => shown.to_owned(),
        "303" => "To the next page, or back to the application".to_owned(),
        "400" => "A page: the request cannot be understood, and nobody can be sent back".to_owned(),
        "422" => "The page: the new password is not one that is taken".to_owned(),
        "403" => "A page: the form is not this browser's, or the user is not logged in by it".to_owned(),
        _ => "A page: the answer cannot be known now; Retry-After says when to ask again".to_owned(),
    };
    let answers: serde_json::Map<_, _> = statuses
        .iter()
        .chain(&["503"])
        .map(|status| ((*status).to_owned(), json!({ "description": describe(status) })))
        .collect();
    answers.into()
}

fn form(required: &[&str], properties: &[(&str, Value)]) -> Value {
    let credentials = ["client_id", "client_secret"].map(|name| (name, json!({ "type": "string" })));
    let all = properties.iter().cloned().chain(credentials);
    let all: serde_json::Map<_, _> = all.map(|(name, schema)| (name.to_owned(), schema)).collect();
    json!({ "type": "object", "required": required, "properties": all })
}

fn token_form() -> Value {
    form(
        &["token"],
        &[
            ("token", json!({ "type": "string" })),
            ("token_type_hint", json!({ "type": "string", "description": "Never changes the answer" })),
        ],
    )
}

fn json_answer(description: &str, schema: &str) -> Value {
    json!({ "description": description, "content": { "application/json": { "schema": { "$ref": schema } } } })
}

fn plain(summary: &str) -> Value {
    json!({ "summary": summary, "responses": { "200": { "description": summary } } })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::routes::{MANAGEMENT, ROUTES};
    use super::*;

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let document = document("https://auth.example");
        let paths = document["paths"].as_object().unwrap();
        let mut served = BTreeSet::new();
        for route in ROUTES.iter().chain(MANAGEMENT) {
            let path = route.path.replace(":.*", "");
            let mut methods = paths[&path].as_object().unwrap().keys().filter(|member| *member != "servers");
            let allowed = route.allow.to_ascii_lowercase();
            assert!(methods.all(|method| allowed.contains(method.as_str())), "{path}");
            served.insert(path);
        }
        assert!(paths.keys().eq(&served), "{:?}", paths.keys());
    }
}
