//! `POST /introspect` (RFC 7662 §2).

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::form::{Known, Occurs};
use super::observe::observe;
use super::{WorkerState, basic, form, respond};
use crate::oauth::OAuthError;

/// The parameters that it knows.
pub const KNOWN: Known = &[
    ("token", Occurs::Once),
    // Only a hint: it never changes an answer.
    ("token_type_hint", Occurs::Once),
    ("client_id", Occurs::Once),
    ("client_secret", Occurs::Once),
];

pub(super) const TOKEN_MISSING: OAuthError = OAuthError::InvalidRequest("token is missing");

pub async fn post(request: HttpRequest, payload: Payload, state: Data<WorkerState>) -> HttpResponse {
    observe(&state.shared, &state.shared.endpoints.introspect, async {
        let form = form::read(&request, payload, KNOWN).await?;
        let credentials = basic::credentials(&request, &form)?;
        let token = form.bytes("token").ok_or(TOKEN_MISSING)?;
        let answer = state.server.introspect(&credentials, token).await;
        let result = match &answer {
            Ok(introspection) if introspection.is_active() => "active",
            Ok(_) => "inactive",
            Err(OAuthError::Unavailable(_)) => "unavailable",
            Err(_) => "refused",
        };
        state.shared.metrics.introspections.count(result);
        let answer = basic::unless_guessing(&state, &request, &credentials, answer).await;
        Ok(respond::json(answer?.to_json().map_err(respond::unrenderable)?))
    })
    .await
}
