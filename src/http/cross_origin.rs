//! The CORS protocol (Fetch standard §3.3): pages of the origins that a client registered may read
//! what `/token` and `/revoke` answer it. No cookie is of any use there, and none is let through.

use std::cell::OnceCell;

use actix_web::guard::{self, GuardContext};
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse, Route};

use super::body::NoBody;
use super::form::Form;
use super::observe::observe;
use super::{WorkerState, basic, transport};

/// What pages may call.
pub const PATHS: [&str; 2] = ["/token", "/revoke"];

/// What a page may send beside the form.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static("authorization, content-type");
/// What it may read beside what browsers show anyway.
const ANSWER_HEADERS: HeaderValue = HeaderValue::from_static("retry-after, www-authenticate, x-request-id");
/// For how many seconds a browser need not ask again; the answers themselves are judged each time.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// Answers the question that a browser asks before it sends a page's request, if the answer is yes.
/// The client is not known yet, so pages of any client may go on.
pub fn preflight() -> Route {
    web::route().guard(guard::Options()).guard(guard::fn_guard(is_welcome)).to(allow)
}

fn is_welcome(context: &GuardContext<'_>) -> bool {
    let headers = &context.head().headers;
    let method = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD);
    let state = context.app_data::<Data<WorkerState>>();
    let origin = origin(headers).and_then(|origin| origin.to_str().ok());
    method.is_some_and(|method| method == Method::POST.as_str())
        && state.zip(origin).is_some_and(|(state, origin)| state.server.may_read(origin, None))
}

async fn allow(request: HttpRequest, state: Data<WorkerState>, _: NoBody) -> HttpResponse {
    let mut response = observe(&state.shared, &state.shared.endpoints.other, async {
        transport::require_confidential(&request)?;
        Ok(HttpResponse::build(StatusCode::NO_CONTENT).finish())
    })
    .await;
    if let Some(origin) = origin(request.headers()) {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
    }
    response
}

/// Where a request comes from: a page of another origin, as a browser says, or no page at all.
pub struct Reader<'r> {
    request: &'r HttpRequest,
    origin: Option<&'r HeaderValue>,
    client_id: OnceCell<String>,
}

impl<'r> Reader<'r> {
    pub fn of(request: &'r HttpRequest) -> Self {
        Self { request, origin: origin(request.headers()), client_id: OnceCell::new() }
    }

    /// Notes which client the request names, whether or not it proves to be that client.
    pub fn note_client(&self, form: &Form) {
        if self.origin.is_none() {
            return;
        }
        let named = basic::credentials(self.request, form).map(|credentials| credentials.id);
        let named = named.ok().or_else(|| form.text("client_id").map(str::to_owned));
        if let Some(id) = named {
            // Noted once; a second call would say the same.
            self.client_id.set(id).ok();
        }
    }

    /// Lets the page read the answer, if the client registered its origin.
    pub fn show(self, state: &WorkerState, mut response: HttpResponse) -> HttpResponse {
        let Some(origin) = self.origin else { return response };
        let headers = response.headers_mut();
        // Nobody may keep the answer; this is for whoever does.
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
        let client_id = self.client_id.get().map(String::as_str);
        if origin.to_str().is_ok_and(|origin| state.server.may_read(origin, client_id)) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, ANSWER_HEADERS);
        }
        response
    }
}

/// The one origin that a request names.
fn origin(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut origins = headers.get_all(header::ORIGIN);
    origins.next().filter(|_| origins.next().is_none())
}
