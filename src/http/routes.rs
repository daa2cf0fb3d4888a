//! The one table of what is served, and by which method.

use actix_web::http::Method;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Resource};

use super::body::NoBody;
use super::observe::{observe, observe_page};
use super::{
    WorkerState, cross_origin, health, introspect, metadata, openapi, pages, respond, revoke, shared, token,
};
use crate::oauth::OAuthError;

/// An address on the main listener and the methods it answers.
pub struct Route {
    pub path: &'static str,
    pub allow: &'static str,
    kind: Kind,
    register: fn(Resource) -> Resource,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// For clients: an address that the metadata names.
    Endpoint,
    /// For people.
    Page,
    /// About the server: at the root, whatever the issuer.
    Plain,
}

const POST: &str = "POST";
const GET: &str = "GET, HEAD";
const GET_AND_POST: &str = "GET, HEAD, POST";

/// Everything on the main listener.
pub const ROUTES: &[Route] = &[
    endpoint("/token", |at| at.route(web::post().to(token::post))),
    endpoint("/introspect", |at| at.route(web::post().to(introspect::post))),
    endpoint("/revoke", |at| at.route(web::post().to(revoke::post))),
    page("/authorize", GET, |at| at.route(get().to(pages::authorize::get))),
    page("/login", GET_AND_POST, |at| {
        at.route(get().to(pages::login::get)).route(web::post().to(pages::login::post))
    }),
    page("/consent", GET_AND_POST, |at| {
        at.route(get().to(pages::consent::get)).route(web::post().to(pages::consent::post))
    }),
    page("/account", GET_AND_POST, |at| {
        at.route(get().to(pages::account::get)).route(web::post().to(pages::account::post))
    }),
    page("/account/password", GET_AND_POST, |at| {
        at.route(get().to(pages::password::get)).route(web::post().to(pages::password::post))
    }),
    page("/logout", GET_AND_POST, |at| {
        at.route(get().to(pages::logout::get)).route(web::post().to(pages::logout::post))
    }),
    page("/assets/{name}", GET, |at| at.route(get().to(pages::assets::get))),
    plain(metadata::WELL_KNOWN, |at| at.route(get().to(metadata::get))),
    plain("/.well-known/oauth-authorization-server/{issuer_path:.*}", |at| at.route(get().to(metadata::get))),
    plain("/openapi.json", |at| at.route(get().to(openapi::get))),
    plain("/livez", |at| at.route(get().to(health::livez))),
    plain("/readyz", |at| at.route(get().to(health::readyz))),
];

/// What a quickstart has beside it.
const DEMO: &[Route] = &[
    page("/demo", GET, |at| at.route(get().to(pages::demo::get))),
    page("/demo/notes", GET, |at| at.route(get().to(pages::demo::notes))),
];

/// Everything on the management listener.
pub const MANAGEMENT: &[Route] = &[
    plain("/livez", |at| at.route(get().to(health::livez))),
    plain("/readyz", |at| at.route(get().to(health::readyz))),
    plain("/metrics", |at| at.route(get().to(health::metrics))),
];

const fn endpoint(path: &'static str, register: fn(Resource) -> Resource) -> Route {
    Route { path, allow: POST, kind: Kind::Endpoint, register }
}

const fn page(path: &'static str, allow: &'static str, register: fn(Resource) -> Resource) -> Route {
    Route { path, allow, kind: Kind::Page, register }
}

const fn plain(path: &'static str, register: fn(Resource) -> Resource) -> Route {
    Route { path, allow: GET, kind: Kind::Plain, register }
}

fn get() -> actix_web::Route {
    use actix_web::guard;
    web::route().guard(guard::Any(guard::Get()).or(guard::Method(Method::HEAD)))
}

/// Registers the main listener's routes. Under an issuer with a path the endpoints and pages answer there
/// too, for that is where the metadata says they are.
pub fn main(config: &mut ServiceConfig, issuer_path: &str, with_demo: bool) {
    let demo = if with_demo { DEMO } else { &[] };
    if !issuer_path.is_empty() {
        for route in ROUTES.iter().chain(demo).filter(|route| route.kind != Kind::Plain) {
            config.service(resource(&format!("{issuer_path}{}", route.path), route));
        }
    }
    for route in demo {
        config.service(resource(route.path, route));
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
    config.default_service(web::to(async |request: HttpRequest, _: NoBody| {
        refuse(&request, OAuthError::NotFound).await
    }));
}

fn resource(path: &str, route: &'static Route) -> Resource {
    let error = OAuthError::MethodNotAllowed { allow: route.allow };
    let mut at = (route.register)(web::resource(path));
    if cross_origin::PATHS.contains(&route.path) {
        at = at.route(cross_origin::preflight());
    }
    match route.kind {
        Kind::Page => at.default_service(web::to(move |state: Data<WorkerState>, _: NoBody| {
            let error = error.clone();
            async move { refuse_page(&state, error).await }
        })),
        Kind::Endpoint | Kind::Plain => {
            at.default_service(web::to(move |request: HttpRequest, _: NoBody| {
                let error = error.clone();
                async move { refuse(&request, error).await }
            }))
        }
    }
}

async fn refuse_page(state: &WorkerState, error: OAuthError) -> HttpResponse {
    observe_page(state, &state.shared.endpoints.other, async { Err(error.into()) }).await
}

async fn refuse(request: &HttpRequest, error: OAuthError) -> HttpResponse {
    match shared(request) {
        Some(shared) => observe(shared, &shared.endpoints.other, async { Err(error) }).await,
        None => respond::error(&OAuthError::NotFound),
    }
}

/// Refuses what was not led to an address yet. People are shown a page.
pub(super) async fn refuse_unrouted(request: &HttpRequest, error: OAuthError) -> HttpResponse {
    let mut pages = ROUTES.iter().chain(DEMO).filter(|route| route.kind == Kind::Page);
    match request.app_data::<Data<WorkerState>>() {
        Some(state) if pages.any(|page| request.path().ends_with(page.path)) => {
            refuse_page(state, error).await
        }
        _ => refuse(request, error).await,
    }
}
