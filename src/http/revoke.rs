//! `POST /revoke` (RFC 7009 §2).

use actix_web::http::header;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::cross_origin::Reader;
use super::introspect::{KNOWN, TOKEN_MISSING};
use super::observe::observe;
use super::{WorkerState, address, basic, form};
use crate::oauth::OAuthError;
use crate::oauth::revoke::Revocation;

pub async fn post(request: HttpRequest, payload: Payload, state: Data<WorkerState>) -> HttpResponse {
    let reader = Reader::of(&request);
    let response = observe(&state.shared, &state.shared.endpoints.revoke, async {
        let form = form::read(&request, payload, KNOWN).await?;
        reader.note_client(&form);
        let credentials = basic::credentials(&request, &form)?;
        let token = form.bytes("token").ok_or(TOKEN_MISSING)?;
        let outcome = state.server.revoke(&credentials, token, address::of_client(&request)).await;
        let metrics = &state.shared.metrics;
        let result = match &outcome {
            Ok(Revocation::Acknowledged { took }) => {
                metrics.acknowledgement_seconds.observe(took.as_secs_f64());
                "acknowledged"
            }
            Ok(Revocation::NothingToRevoke) => "nothing_to_revoke",
            Err(OAuthError::Unavailable(_)) => "unavailable",
            Err(_) => "refused",
        };
        metrics.revocations.count(result);
        basic::unless_guessing(&state, &request, &credentials, outcome).await?;
        // RFC 7009 §2.2: "The content of the response body is ignored by the client".
        Ok(HttpResponse::Ok()
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header((header::PRAGMA, "no-cache"))
            .finish())
    })
    .await;
    reader.show(&state, response)
}
