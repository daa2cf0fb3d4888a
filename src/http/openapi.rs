//! `GET /openapi.json`: the description of everything here, for people's tools.

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::body::NoBody;
use super::observe::observe;
use super::{WorkerState, body, transport};

pub async fn get(request: HttpRequest, state: Data<WorkerState>, _: NoBody) -> HttpResponse {
    observe(&state.shared, &state.shared.endpoints.openapi, async {
        body::check_uri(&request)?;
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
                    ("grant_type", json!({ "type": "string", "enum": ["client_credentials"] })),
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
        },
        "components": {
            "securitySchemes": { "basic": { "type": "http", "scheme": "basic" } },
            "schemas": {
                "IssuedToken": {
                    "type": "object",
                    "required": ["access_token", "token_type", "expires_in", "scope"],
                    "properties": {
                        "access_token": { "type": "string" },
                        "token_type": { "const": "Bearer" },
                        "expires_in": { "type": "integer", "description": "Seconds" },
                        "scope": { "type": "string" },
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
            "503": refused("The answer cannot be known now; Retry-After says when to ask again"),
        },
    })
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
    use super::super::routes::ROUTES;
    use super::*;

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let document = document("https://auth.example");
        let described: Vec<&str> =
            document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        for route in ROUTES {
            let path = route.path.replace(":.*", "");
            let methods = document["paths"][&path].as_object().unwrap();
            let allowed = route.allow.to_ascii_lowercase();
            assert!(methods.keys().all(|method| allowed.contains(method.as_str())), "{path}");
        }
        assert_eq!(described.len(), ROUTES.len());
    }
}
