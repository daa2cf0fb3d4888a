//! The two listeners.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::web::Data;
use actix_web::{App, HttpServer};
use rustls::ServerConfig;

use super::bounds::Bounds;
use super::{SharedState, WorkerState, metadata, routes};

/// Longer than the idle connections that load balancers keep (60 s), so that it is they who close.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long the head of a request may take to arrive.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Makes a worker's state, on the worker's own thread.
pub type MakeWorker = Arc<dyn Fn() -> WorkerState + Send + Sync>;

/// The OAuth endpoints, bound and ready to be awaited. When the server stops, requests under way
/// may take `finish_within` to finish.
///
/// # Errors
/// When the address cannot be bound.
pub fn main(
    address: SocketAddr,
    workers: usize,
    tls: Option<ServerConfig>,
    finish_within: Duration,
    issuer: &str,
    make_worker: MakeWorker,
) -> io::Result<Server> {
    let issuer_path = metadata::path_of(issuer).to_owned();
    let server = HttpServer::new(move || {
        let worker = make_worker();
        let with_demo = worker.demo.is_some();
        App::new()
            .app_data(Data::new(worker))
            .wrap(Bounds)
            .configure(|config| routes::main(config, &issuer_path, with_demo))
    })
    .workers(workers)
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(HEAD_TIMEOUT)
    .client_disconnect_timeout(Duration::from_secs(1))
    .shutdown_timeout(finish_within.as_secs())
    .tcp_nodelay(true)
    .disable_signals();
    let server = match tls {
        None => server.bind(address)?,
        Some(config) => server.bind_rustls_0_23(address, config)?,
    };
    Ok(server.run())
}

/// The management endpoints, bound and ready to be awaited.
///
/// # Errors
/// When the address cannot be bound.
pub fn management(address: SocketAddr, shared: Arc<SharedState>) -> io::Result<Server> {
    let server = HttpServer::new(move || {
        App::new().app_data(Data::from(Arc::clone(&shared))).wrap(Bounds).configure(routes::management)
    })
    .workers(1)
    .client_request_timeout(HEAD_TIMEOUT)
    .shutdown_timeout(1)
    .tcp_nodelay(true)
    .disable_signals()
    .bind(address)?;
    Ok(server.run())
}
