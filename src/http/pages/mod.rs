//! The hosted pages: what people see in their browsers.
//!
//! They work without script and keep nothing between one another: what a page needs to know travels in its address, in
//! a form that only we can have made ([`forms`]), or is asked anew. A handler reads its request, makes one call into
//! [`identity`](crate::identity) or [`oauth`](crate::oauth), and renders ([`render`]).

pub mod account;
pub mod assets;
pub mod authorize;
mod carried;
pub mod consent;
mod cookies;
pub mod demo;
mod error;
mod forms;
pub mod login;
pub mod logout;
pub mod password;
pub mod render;

use actix_web::{HttpRequest, HttpResponse};

use self::carried::Carried;
pub use self::demo::Demo;
pub use self::error::PageError;
pub use self::forms::Forms;
use self::render::Site;
use super::{WorkerState, address};
use crate::identity::Visitor;
use crate::oauth::authorize::{Approval, AuthorizationError, AuthorizationRequest};

/// Who is logged in in the browser that asks.
async fn visitor(state: &WorkerState, request: &HttpRequest) -> Result<Option<Visitor>, PageError> {
    match cookies::read(request, cookies::SESSION) {
        Some(cookie) => Ok(state.identity.visitor(cookie, address::of_client(request)).await?),
        None => Ok(None),
    }
}

/// Gives the code for what a visitor allowed, now or before.
async fn approve(
    state: &WorkerState,
    carried: &Carried,
    asked: &AuthorizationRequest,
    visitor: Visitor,
) -> Result<HttpResponse, PageError> {
    let Visitor { session, user, born, address } = visitor;
    let approval = Approval { subject: user.id.clone(), session: session.id, born, address };
    if let Some(location) = state.server.approve(asked, &approval).await? {
        return render::redirect(&location);
    }
    // The session ended meanwhile, or the consent was taken back: what comes next is decided anew.
    let base = Site::new(&state.server.settings().issuer).base();
    render::redirect(&format!("{base}/authorize?{}", carried.query()))
}

/// To the login page, if anybody may be asked.
fn to_login(
    state: &WorkerState,
    carried: &Carried,
    asked: &AuthorizationRequest,
) -> Result<HttpResponse, PageError> {
    if asked.prompt.none {
        return Err(PageError::Back(state.server.refuse(asked, AuthorizationError::LoginRequired)));
    }
    login_page(state, carried.query())
}

/// The login page, for this request or on somebody's own account.
fn login_page(state: &WorkerState, query: &str) -> Result<HttpResponse, PageError> {
    let base = Site::new(&state.server.settings().issuer).base();
    let request = if query.is_empty() { String::new() } else { format!("?{query}") };
    render::redirect(&format!("{base}/login{request}"))
}

/// To the page where somebody chooses the password that they have to have first.
fn to_new_password(state: &WorkerState, carried: &Carried) -> Result<HttpResponse, PageError> {
    let base = Site::new(&state.server.settings().issuer).base();
    render::redirect(&format!("{base}/account/password?{}", carried.query()))
}
