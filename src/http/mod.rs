//! HTTP: everything that knows actix-web.
//!
//! [`routes`] is the one table of what is served. A handler reads its request ([`form`],
//! [`basic`]), makes one call into [`oauth`](crate::oauth), and renders ([`respond`]).

pub mod address;
// What reads and answers strangers is public, for `fuzz`.
pub mod basic;
mod body;
mod bounds;
mod cross_origin;
pub mod form;
mod health;
pub mod introspect;
mod metadata;
mod observe;
mod openapi;
pub mod pages;
pub mod respond;
mod revoke;
pub mod routes;
pub mod server;
pub mod tls;
pub mod token;
pub mod transport;

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::Data;
use ipnet::IpNet;

use crate::domain::clock::Clock;
use crate::identity::Identity;
use crate::oauth::AuthorizationServer;
use crate::oauth::guesses::Guesses;
use crate::telemetry::Metrics;

pub use self::health::{Check, Health, HealthCheck};

/// What every handler may use. One for each worker.
#[derive(Clone)]
pub struct WorkerState {
    pub server: AuthorizationServer,
    pub identity: Identity,
    pub forms: pages::Forms,
    /// In a quickstart.
    pub demo: Option<Arc<pages::Demo>>,
    pub shared: Arc<SharedState>,
}

/// What all workers share.
pub struct SharedState {
    pub metrics: Metrics,
    pub clock: Arc<dyn Clock>,
    pub trusted_proxies: Vec<IpNet>,
    pub health: Health,
    pub endpoints: observe::Endpoints,
    pub request_ids: observe::RequestIds,
    pub complaints: observe::Complaints,
    pub guesses: Guesses,
}

impl SharedState {
    pub fn new(
        metrics: Metrics,
        clock: Arc<dyn Clock>,
        trusted_proxies: Vec<IpNet>,
        health: Health,
        entropy: &dyn crate::domain::entropy::Entropy,
    ) -> Result<Self, crate::domain::entropy::EntropyUnavailable> {
        let request_ids = observe::RequestIds::new(entropy)?;
        let endpoints = observe::Endpoints::new(&metrics);
        Ok(Self {
            metrics,
            clock,
            trusted_proxies,
            health,
            endpoints,
            request_ids,
            complaints: observe::Complaints::default(),
            guesses: Guesses::default(),
        })
    }
}

/// What all workers share, on either listener.
fn shared(request: &HttpRequest) -> Option<&SharedState> {
    let worker = request.app_data::<Data<WorkerState>>().map(|state| state.shared.as_ref());
    worker.or_else(|| request.app_data::<Data<SharedState>>().map(|shared| shared.as_ref()))
}
