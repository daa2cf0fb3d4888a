//! `/livez`, `/readyz`, `/metrics`: is this process alive, and may it be sent requests?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use async_trait::async_trait;
use tokio::sync::Mutex;

use super::body::NoBody;
use super::{WorkerState, respond, shared};
use crate::domain::clock::{BootTime, Clock};

/// How old an answer of `/readyz` may be.
const FRESH: Duration = Duration::from_millis(100);

/// One thing that must be well before requests are sent here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub name: &'static str,
    /// What is wrong; `None` when nothing is.
    pub failure: Option<String>,
    /// Whether requests cannot be answered while this fails.
    pub critical: bool,
}

impl Check {
    pub const fn critical(name: &'static str, failure: Option<String>) -> Self {
        Self { name, failure, critical: true }
    }

    const fn forbids(&self) -> bool {
        self.critical && self.failure.is_some()
    }
}

/// Asks the stores and the lease how they are.
#[async_trait]
pub trait HealthCheck: Send + Sync {
    /// Every check, asked afresh. Takes a bounded time.
    async fn check(&self) -> Vec<Check>;

    /// Brings the gauges up to date, before they are read.
    async fn measure(&self);
}

/// Whether this replica is ready, at most 100 ms old: many probes share one look.
pub struct Health {
    checks: Arc<dyn HealthCheck>,
    clock: Arc<dyn Clock>,
    stopping: AtomicBool,
    last: Mutex<Option<(BootTime, Arc<Vec<Check>>)>>,
}

impl Health {
    pub fn new(checks: Arc<dyn HealthCheck>, clock: Arc<dyn Clock>) -> Self {
        Self { checks, clock, stopping: AtomicBool::new(false), last: Mutex::new(None) }
    }

    /// From now on this replica is not ready, whatever the stores say.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Returns once every check that matters is well.
    pub async fn wait_until_ready(&self) {
        let mut pause = FRESH / 5;
        while self.look().await.iter().any(Check::forbids) {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(FRESH * 10);
        }
    }

    async fn look(&self) -> Arc<Vec<Check>> {
        let mut last = self.last.lock().await;
        if let Some((at, checks)) = last.as_ref()
            && self.clock.boot() - *at < FRESH
        {
            return Arc::clone(checks);
        }
        let began = self.clock.boot();
        let checks = Arc::new(self.checks.check().await);
        *last = Some((began, Arc::clone(&checks)));
        checks
    }
}

const PLAIN: &str = "text/plain; charset=utf-8";
/// Prometheus' text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

fn text(
    mut response: HttpResponseBuilder,
    content_type: &'static str,
    body: impl Into<Vec<u8>>,
) -> HttpResponse {
    let mut response = response
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(body.into());
    respond::as_no_page(&mut response);
    response
}

/// Alive: the process answers. Never asks a store: restarting us mends none of them.
pub async fn livez(_: NoBody) -> HttpResponse {
    text(HttpResponse::Ok(), PLAIN, "ok\n")
}

/// Ready: requests sent here will be answered. `?verbose` tells each check, and on the management
/// listener also why it fails: that may name hosts and users.
pub async fn readyz(request: HttpRequest, _: NoBody) -> HttpResponse {
    let Some(shared) = shared(&request) else { return text(HttpResponse::ServiceUnavailable(), PLAIN, "") };
    let mut checks = shared.health.look().await.as_ref().clone();
    let stopping = shared.health.is_stopping();
    let failure = stopping.then(|| "the server is stopping".to_owned());
    checks.push(Check::critical("running", failure));
    let ready = !checks.iter().any(Check::forbids);
    let verbose = request.query_string().split('&').any(|part| part == "verbose" || part == "verbose=");
    let is_public = request.app_data::<Data<WorkerState>>().is_some();
    let body = if verbose {
        let lines = checks.iter().map(|check| match &check.failure {
            None => format!("[+]{} ok\n", check.name),
            Some(_) if is_public => format!("[-]{} failed\n", check.name),
            Some(why) if check.critical => format!("[-]{} failed: {why}\n", check.name),
            Some(why) => format!("[-]{} failed, ridden out while the lease lasts: {why}\n", check.name),
        });
        lines.chain([if ready { "ready\n".to_owned() } else { "not ready\n".to_owned() }]).collect()
    } else {
        (if ready { "ok\n" } else { "not ready; /readyz?verbose tells why\n" }).to_owned()
    };
    let response = if ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    text(response, PLAIN, body)
}

pub async fn metrics(request: HttpRequest, _: NoBody) -> HttpResponse {
    let Some(shared) = shared(&request) else { return text(HttpResponse::ServiceUnavailable(), PLAIN, "") };
    shared.health.checks.measure().await;
    for check in shared.health.look().await.iter() {
        let failing = i64::from(check.failure.is_some());
        shared.metrics.check_failing.with_label_values(&[check.name]).set(failing);
    }
    match shared.metrics.render() {
        Ok(body) => text(HttpResponse::Ok(), METRICS, body),
        Err(error) => {
            log::error!("the metrics cannot be written: {error}");
            text(HttpResponse::InternalServerError(), PLAIN, "the metrics cannot be written\n")
        }
    }
}
