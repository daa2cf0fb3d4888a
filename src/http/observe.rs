//! Around every handler: the metrics, and where something went wrong a log line and a request id.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::ConnectionType;
use actix_web::http::header::{HeaderName, HeaderValue};
use log::Level;

use super::pages::PageError;
use super::pages::render::Site;
use super::{SharedState, WorkerState, respond};
use crate::domain::clock::BootTime;
use crate::domain::entropy::{self, Entropy, EntropyUnavailable};
use crate::oauth::OAuthError;
use crate::telemetry::{EndpointMetrics, Metrics};

/// Makes request ids: unique over replicas and restarts, and cheap.
pub struct RequestIds {
    prefix: u32,
    next: AtomicU64,
}

impl RequestIds {
    pub(super) fn new(entropy: &dyn Entropy) -> Result<Self, EntropyUnavailable> {
        Ok(Self { prefix: u32::from_be_bytes(entropy::random(entropy)?), next: AtomicU64::new(0) })
    }

    fn next(&self) -> RequestId {
        let mut digits = [0; REQUEST_ID_DIGITS];
        let (prefix, number) = digits.split_at_mut(2 * size_of::<u32>());
        hex(u64::from(self.prefix), prefix);
        hex(self.next.fetch_add(1, Ordering::Relaxed), number);
        RequestId(digits)
    }
}

/// Eight digits for the process, twelve for the request: enough for a century of requests.
const REQUEST_ID_DIGITS: usize = 20;

/// What a caller can quote, and a log line carries.
struct RequestId([u8; REQUEST_ID_DIGITS]);

impl RequestId {
    fn put(&self, response: &mut HttpResponse) {
        if let Ok(value) = HeaderValue::from_bytes(&self.0) {
            response.headers_mut().insert(HeaderName::from_static("x-request-id"), value);
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// Writes the low digits of a number.
fn hex(mut number: u64, digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef".get((number & 0xf) as usize).copied().unwrap_or(b'0');
        number >>= 4;
    }
}

/// The endpoints, as they are counted.
pub struct Endpoints {
    pub token: EndpointMetrics,
    pub introspect: EndpointMetrics,
    pub revoke: EndpointMetrics,
    pub metadata: EndpointMetrics,
    pub openapi: EndpointMetrics,
    pub authorize: EndpointMetrics,
    pub login: EndpointMetrics,
    pub consent: EndpointMetrics,
    pub account: EndpointMetrics,
    pub password: EndpointMetrics,
    pub logout: EndpointMetrics,
    pub assets: EndpointMetrics,
    pub demo: EndpointMetrics,
    /// Addresses and methods that are not served.
    pub other: EndpointMetrics,
}

impl Endpoints {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self {
            token: metrics.endpoint("token"),
            introspect: metrics.endpoint("introspect"),
            revoke: metrics.endpoint("revoke"),
            metadata: metrics.endpoint("metadata"),
            openapi: metrics.endpoint("openapi"),
            authorize: metrics.endpoint("authorize"),
            login: metrics.endpoint("login"),
            consent: metrics.endpoint("consent"),
            account: metrics.endpoint("account"),
            password: metrics.endpoint("password"),
            logout: metrics.endpoint("logout"),
            assets: metrics.endpoint("assets"),
            demo: metrics.endpoint("demo"),
            other: metrics.endpoint("other"),
        }
    }
}

/// Runs a handler and renders what comes of it.
pub async fn observe(
    shared: &SharedState,
    endpoint: &EndpointMetrics,
    handler: impl Future<Output = Result<HttpResponse, OAuthError>>,
) -> HttpResponse {
    let began = shared.clock.boot();
    let outcome = handler.await;
    let took = shared.clock.boot() - began;
    let response = match outcome {
        Ok(mut response) => {
            respond::as_no_page(&mut response);
            response
        }
        Err(error) => complain(shared, endpoint, &error, began),
    };
    finish(shared, endpoint, response, took)
}

/// Runs the handler of a page and renders what comes of it.
pub async fn observe_page(
    state: &WorkerState,
    endpoint: &EndpointMetrics,
    handler: impl Future<Output = Result<HttpResponse, PageError>>,
) -> HttpResponse {
    let WorkerState { server, shared, .. } = state;
    let began = shared.clock.boot();
    let outcome = handler.await;
    let took = shared.clock.boot() - began;
    let response = match outcome {
        Ok(response) => response,
        // The application is told, and what it is told is no news here.
        Err(error @ PageError::Back(_)) => error.answer(Site::new(&server.settings().issuer), ""),
        Err(error) => {
            let request_id = shared.request_ids.next();
            shared.complaints.log(endpoint.name, &request_id, &error, error.is_failure(), began);
            let site = Site::new(&server.settings().issuer);
            let mut response = error.answer(site, &request_id.to_string());
            request_id.put(&mut response);
            response
        }
    };
    finish(shared, endpoint, response, took)
}

/// Not a future of its own around the handler's: that would be moved once more for each request.
fn finish(
    shared: &SharedState,
    endpoint: &EndpointMetrics,
    mut response: HttpResponse,
    took: Duration,
) -> HttpResponse {
    endpoint.observe(response.status().as_u16(), took);
    if shared.health.is_stopping() {
        // Whoever keeps connections must let go of this one before it is cut under a request.
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    response
}

/// The answer for what went wrong, and the log line about it; an id leads from one to the other.
fn complain(
    shared: &SharedState,
    endpoint: &EndpointMetrics,
    error: &OAuthError,
    now: BootTime,
) -> HttpResponse {
    let request_id = shared.request_ids.next();
    let is_failure = matches!(error, OAuthError::Unavailable(_));
    shared.complaints.log(endpoint.name, &request_id, error, is_failure, now);
    let mut response = respond::error(error);
    request_id.put(&mut response);
    response
}

/// Logs what went wrong, without letting callers fill the log: one failure and one refusal a second
/// are enough to know, and the metrics count all of them.
#[derive(Default)]
pub struct Complaints {
    failures: Sparse,
    refusals: Sparse,
}

impl Complaints {
    fn log(
        &self,
        endpoint: &'static str,
        request_id: &RequestId,
        error: &dyn fmt::Display,
        is_failure: bool,
        now: BootTime,
    ) {
        let (kind, level, what) = match is_failure {
            true => (&self.failures, Level::Warn, "unavailable"),
            false => (&self.refusals, Level::Info, "refused"),
        };
        let (level, unlogged) = kind.admit(now).map_or((Level::Debug, 0), |unlogged| (level, unlogged));
        log::log!(level, endpoint = endpoint, request_id:% = request_id, unlogged = unlogged; "{what}: {error}");
    }
}

/// Admits one a second.
#[derive(Default)]
struct Sparse {
    /// The second of boot time that was admitted last, counted from one: zero means never.
    last: AtomicU64,
    unlogged: AtomicU64,
}

impl Sparse {
    /// How many were not admitted since the last one that was; `None` for one more of those.
    fn admit(&self, now: BootTime) -> Option<u64> {
        let second = now.as_duration().as_secs() + 1;
        if self.last.swap(second, Ordering::Relaxed) == second {
            self.unlogged.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.unlogged.swap(0, Ordering::Relaxed))
    }
}
