//! Around every handler: a request id, the metrics, and a log line where something went wrong.

use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::HttpResponse;
use actix_web::http::header::{HeaderName, HeaderValue};

use super::{SharedState, respond};
use crate::domain::entropy::{self, Entropy, EntropyUnavailable};
use crate::oauth::OAuthError;

/// Makes request ids: unique over replicas and restarts, and cheap.
pub struct RequestIds {
    prefix: u32,
    next: AtomicU64,
}

impl RequestIds {
    pub(super) fn new(entropy: &dyn Entropy) -> Result<Self, EntropyUnavailable> {
        Ok(Self { prefix: u32::from_be_bytes(entropy::random(entropy)?), next: AtomicU64::new(0) })
    }

    fn next(&self) -> String {
        format!("{:08x}-{:x}", self.prefix, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// Runs a handler and renders what comes of it.
pub async fn observe(
    shared: &SharedState,
    endpoint: &'static str,
    handler: impl Future<Output = Result<HttpResponse, OAuthError>>,
) -> HttpResponse {
    let began = shared.clock.boot();
    let outcome = handler.await;
    let took = shared.clock.boot() - began;
    let request_id = shared.request_ids.next();
    let mut response = match &outcome {
        Ok(_) => None,
        Err(error) => {
            log(endpoint, &request_id, error);
            Some(respond::error(error))
        }
    };
    let mut response = match (outcome, response.take()) {
        (Ok(response), _) | (Err(_), Some(response)) => response,
        (Err(_), None) => HttpResponse::InternalServerError().finish(),
    };
    let metrics = &shared.metrics;
    metrics.requests.with_label_values(&[endpoint, response.status().as_str()]).inc();
    metrics.request_seconds.with_label_values(&[endpoint]).observe(took.as_secs_f64());
    if let Ok(value) = HeaderValue::try_from(request_id) {
        response.headers_mut().insert(HeaderName::from_static("x-request-id"), value);
    }
    response
}

fn log(endpoint: &'static str, request_id: &str, error: &OAuthError) {
    match error {
        OAuthError::Unavailable(_) => {
            log::warn!(endpoint = endpoint, request_id = request_id; "unavailable: {error}");
        }
        _ => log::info!(endpoint = endpoint, request_id = request_id; "refused: {error}"),
    }
}
