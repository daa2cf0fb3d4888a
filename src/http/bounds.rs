//! How large the head of a request may be. Asked in one place, before anything else, around every address of both
//! listeners: a handler that had to ask for itself could forget to.

use std::future::{Ready, ready};

use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::http::header::HeaderMap;
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::{Error, HttpRequest, HttpResponse};
use futures_util::future::{Either, LocalBoxFuture};

use super::body::NoBody;
use super::observe::observe;
use super::{routes, shared};
use crate::oauth::OAuthError;

/// The longest path and query that is answered.
pub const MAX_URI_LENGTH: usize = 8 * 1024;
/// How long all headers together may be. By itself actix-http takes a head of 128 KiB.
const MAX_HEADERS_LENGTH: usize = 64 * 1024;
/// What surrounds a header's name and value: a colon, a space, the end of the line.
const AROUND_HEADER: usize = 4;

/// What is too long.
#[derive(Clone, Copy)]
enum Excess {
    Address,
    Headers,
}

/// Nothing is allocated, or moved, for a request within bounds.
fn excess(request: &ServiceRequest) -> Option<Excess> {
    let address = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    if address > MAX_URI_LENGTH {
        return Some(Excess::Address);
    }
    (headers_length(request.headers()) > MAX_HEADERS_LENGTH).then_some(Excess::Headers)
}

fn headers_length(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + AROUND_HEADER).sum()
}

/// Put around a listener's routes.
pub struct Bounds;

pub struct Bounded<S> {
    service: S,
}

impl<S> Transform<S, ServiceRequest> for Bounds
where
    S: Service<ServiceRequest, Response = ServiceResponse, Error = Error>,
{
    type Response = ServiceResponse;
    type Error = Error;
    type Transform = Bounded<S>;
    type InitError = ();
    type Future = Ready<Result<Bounded<S>, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(Bounded { service }))
    }
}

impl<S> Service<ServiceRequest> for Bounded<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse, Error = Error>,
{
    type Response = ServiceResponse;
    type Error = Error;
    type Future = Either<S::Future, LocalBoxFuture<'static, Result<ServiceResponse, Error>>>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        match excess(&request) {
            None => Either::Left(self.service.call(request)),
            Some(excess) => Either::Right(Box::pin(refuse(request, excess))),
        }
    }
}

async fn refuse(mut request: ServiceRequest, excess: Excess) -> Result<ServiceResponse, Error> {
    request.extract::<NoBody>().await?;
    let (request, _) = request.into_parts();
    let response = match excess {
        Excess::Address => routes::refuse_unrouted(&request, OAuthError::UriTooLong).await,
        Excess::Headers => refuse_headers(&request).await,
    };
    Ok(ServiceResponse::new(request, response))
}

/// The same answer that actix-http has for a head that is too large for it: nothing, and the connection ends.
async fn refuse_headers(request: &HttpRequest) -> HttpResponse {
    let bare = HttpResponse::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let mut response = match shared(request) {
        Some(shared) => observe(shared, &shared.endpoints.other, async { Ok(bare) }).await,
        None => bare,
    };
    response.head_mut().set_connection_type(ConnectionType::Close);
    response
}
