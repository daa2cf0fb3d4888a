//! Around every handler: a request id, the metrics, and a log line where something went wrong.

use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::HttpResponse;
use actix_web::http::ConnectionType;
use actix_web::http::header::{HeaderName, HeaderValue};

use super::{SharedState, respond};
use crate::domain::clock::BootTime;
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
    let mut response = match outcome {
        Ok(response) => response,
        Err(error) => {
            shared.complaints.log(endpoint, &request_id, &error, began);
            respond::error(&error)
        }
    };
    let metrics = &shared.metrics;
    metrics.requests.with_label_values(&[endpoint, response.status().as_str()]).inc();
    metrics.request_seconds.with_label_values(&[endpoint]).observe(took.as_secs_f64());
    if let Ok(value) = HeaderValue::try_from(request_id) {
        response.headers_mut().insert(HeaderName::from_static("x-request-id"), value);
    }
    if shared.health.is_stopping() {
        // Whoever keeps connections must let go of this one before it is cut under a request.
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    response
}

/// Logs what went wrong, without letting callers fill the log: refusals are for whoever looks
/// closely, and of failures one a second is enough to know. The metrics count all of them.
#[derive(Default)]
pub struct Complaints {
    /// The second of boot time in which a failure was logged last.
    last: AtomicU64,
    unlogged: AtomicU64,
}

impl Complaints {
    fn log(&self, endpoint: &'static str, request_id: &str, error: &OAuthError, now: BootTime) {
        if !matches!(error, OAuthError::Unavailable(_)) {
            log::debug!(endpoint = endpoint, request_id = request_id; "refused: {error}");
            return;
        }
        // Counted from one, so that zero means never.
        let second = now.as_duration().as_secs() + 1;
        if self.last.swap(second, Ordering::Relaxed) == second {
            self.unlogged.fetch_add(1, Ordering::Relaxed);
            log::debug!(endpoint = endpoint, request_id = request_id; "unavailable: {error}");
            return;
        }
        let unlogged = self.unlogged.swap(0, Ordering::Relaxed);
        log::warn!(endpoint = endpoint, request_id = request_id, not_logged_before = unlogged; "unavailable: {error}");
    }
}
