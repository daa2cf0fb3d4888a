//! The quickstart's demonstration: an application that lives in the browser, and the API that it calls.
//!
//! The application is a public client like any other. The API is a resource server like any other: it asks what a token
//! may do by its own id and secret, and gets the answer that everybody gets.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde_json::{Value, json};

use super::super::body::NoBody;
use super::super::observe::{observe, observe_page};
use super::super::{WorkerState, respond, transport};
use super::render::{self, Site};
use crate::oauth::{OAuthError, PresentedCredentials};

/// Who takes part in it.
#[derive(Clone, Debug)]
pub struct Demo {
    /// The id of the public client.
    pub client: String,
    pub scope: String,
    /// Whom to log in as.
    pub user: String,
    pub api: PresentedCredentials,
}

#[derive(Template)]
#[template(path = "demo.html")]
struct DemoPage<'p> {
    site: Site<'p>,
    client: &'p str,
    scope: &'p str,
    user: &'p str,
}

pub async fn get(request: HttpRequest, state: Data<WorkerState>, _: NoBody) -> HttpResponse {
    observe_page(&state, &state.shared.endpoints.demo, async {
        transport::require_confidential(&request)?;
        let demo = demo(&state)?;
        let site = Site::new(&state.server.settings().issuer);
        let page = DemoPage { site, client: &demo.client, scope: &demo.scope, user: &demo.user };
        render::application(&page)
    })
    .await
}

/// `GET /demo/notes`: an API with a token (RFC 6750), which shows what it was told about it.
pub async fn notes(request: HttpRequest, state: Data<WorkerState>, _: NoBody) -> HttpResponse {
    observe(&state.shared, &state.shared.endpoints.demo, async {
        transport::require_confidential(&request)?;
        let demo = demo(&state)?;
        let Some(token) = bearer_token(request.headers()) else {
            return Ok(unauthorized("Bearer realm=\"demo\"", &json!({ "error": "no token came with this" })));
        };
        let introspection = state.server.introspect(&demo.api, token).await?;
        let told: Value = introspection
            .to_json()
            .and_then(|told| serde_json::from_slice(&told))
            .map_err(respond::unrenderable)?;
        if !introspection.is_active() {
            return Ok(unauthorized(
                "Bearer realm=\"demo\", error=\"invalid_token\"",
                &json!({ "introspection": told }),
            ));
        }
        let notes = ["Buy milk", "A symbolon was a token broken in two"];
        let answer = json!({ "notes": notes, "introspection": told });
        Ok(respond::json(answer.to_string().into_bytes()))
    })
    .await
}

/// Nobody comes here but in a quickstart.
fn demo(state: &WorkerState) -> Result<&Arc<Demo>, OAuthError> {
    state.demo.as_ref().ok_or(OAuthError::NotFound)
}

fn bearer_token(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

fn unauthorized(challenge: &'static str, body: &Value) -> HttpResponse {
    let mut answer = respond::json(body.to_string().into_bytes());
    *answer.status_mut() = StatusCode::UNAUTHORIZED;
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static(challenge));
    answer
}
