//! `GET /.well-known/oauth-authorization-server` (RFC 8414 §3).

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::body::NoBody;
use super::observe::observe;
use super::{WorkerState, respond, transport};
use crate::oauth::OAuthError;

/// What stands between host and path of the issuer (RFC 8414 §3.1).
pub const WELL_KNOWN: &str = "/.well-known/oauth-authorization-server";

pub async fn get(request: HttpRequest, state: Data<WorkerState>, _: NoBody) -> HttpResponse {
    observe(&state.shared, &state.shared.endpoints.metadata, async {
        transport::require_confidential(&request)?;
        let issuer_path = request.path().strip_prefix(WELL_KNOWN).unwrap_or_default();
        if issuer_path.trim_end_matches('/') != path_of(&state.server.settings().issuer) {
            return Err(OAuthError::NotFound);
        }
        let body = serde_json::to_vec(&state.server.metadata()).map_err(respond::unrenderable)?;
        Ok(HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, "application/json"))
            .insert_header((header::CACHE_CONTROL, "public, max-age=60"))
            .insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
            .body(body))
    })
    .await
}

/// The path of the issuer, without a slash at its end.
pub fn path_of(issuer: &str) -> &str {
    let host = issuer.split_once("://").map_or(issuer, |(_, host)| host);
    host.find('/').and_then(|at| host.get(at..)).unwrap_or_default().trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_an_issuer_is_what_follows_its_host() {
        assert_eq!(path_of("https://auth.example"), "");
        assert_eq!(path_of("https://auth.example/"), "");
        assert_eq!(path_of("https://auth.example/tenant/1"), "/tenant/1");
    }
}
