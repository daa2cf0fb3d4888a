//! The one table of what is served, and by which method.

use actix_web::http::Method;
use actix_web::web::{self, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Resource};

use super::observe::observe;
use super::{body, cross_origin, health, introspect, metadata, openapi, respond, revoke, shared, token};
use crate::oauth::OAuthError;

/// An address on the main listener and the methods it answers.
pub struct Route {
    pub path: &'static str,
    pub allow: &'static str,
    register: fn() -> actix_web::Route,
}

const POST: &str = "POST";
const GET: &str = "GET, HEAD";

/// Everything on the main listener.
pub const ROUTES: &[Route] = &[
    Route { path: "/token", allow: POST, register: || web::post().to(token::post) },
    Route { path: "/introspect", allow: POST, register: || web::post().to(introspect::post) },
    Route { path: "/revoke", allow: POST, register: || web::post().to(revoke::post) },
    Route { path: metadata::WELL_KNOWN, allow: GET, register: || get().to(metadata::get) },
    Route {
        path: "/.well-known/oauth-authorization-server/{issuer_path:.*}",
        allow: GET,
        register: || get().to(metadata::get),
    },
    Route { path: "/openapi.json", allow: GET, register: || get().to(openapi::get) },
    Route { path: "/livez", allow: GET, register: || get().to(health::livez) },
    Route { path: "/readyz", allow: GET, register: || get().to(health::readyz) },
];

/// Everything on the management listener.
const MANAGEMENT: &[Route] = &[
    Route { path: "/livez", allow: GET, register: || get().to(health::livez) },
    Route { path: "/readyz", allow: GET, register: || get().to(health::readyz) },
    Route { path: "/metrics", allow: GET, register: || get().to(health::metrics) },
];

fn get() -> actix_web::Route {
    use actix_web::guard;
    web::route().guard(guard::Any(guard::Get()).or(guard::Method(Method::HEAD)))
}

/// Registers the main listener's routes. Under an issuer with a path the endpoints answer there too,
/// for that is where the metadata says they are.
pub fn main(config: &mut ServiceConfig, issuer_path: &str) {
    if !issuer_path.is_empty() {
        for route in ROUTES.iter().filter(|route| route.allow == POST) {
            config.service(resource(&format!("{issuer_path}{}", route.path), route));
        }
    }
    register(config, ROUTES);
}

/// Registers the management listener's routes.
pub fn management(config: &mut ServiceConfig) {
    register(config, MANAGEMENT);
}

fn register(config: &mut ServiceConfig, routes: &'static [Route]) {
    for route in routes {
        config.service(resource(route.path, route));
    }
    config.default_service(web::to(|request, payload| refuse(request, payload, OAuthError::NotFound)));
}

fn resource(path: &str, route: &'static Route) -> Resource {
    let refuse = move |request: HttpRequest, payload: Payload| {
        refuse(request, payload, OAuthError::MethodNotAllowed { allow: route.allow })
    };
    let mut resource = web::resource(path).route((route.register)());
    if cross_origin::PATHS.contains(&route.path) {
        resource = resource.route(cross_origin::preflight());
    }
    resource.default_service(web::to(refuse))
}

async fn refuse(request: HttpRequest, payload: Payload, error: OAuthError) -> HttpResponse {
    let refusal = async {
        body::drain(payload).await;
        body::check_uri(&request)?;
        Err(error)
    };
    match shared(&request) {
        Some(shared) => observe(shared, &shared.endpoints.other, refusal).await,
        None => respond::error(&OAuthError::NotFound),
    }
}
