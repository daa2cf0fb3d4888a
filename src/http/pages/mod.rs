//! The hosted pages: what people see in their browsers.
//!
//! They work without script and keep nothing between one another: what a page needs to know travels in its address, in
//! a form that only we can have made ([`forms`]), or is asked anew. A handler reads its request, makes one call into
//! [`identity`](crate::identity) or [`oauth`](crate::oauth), and renders ([`render`]).

pub mod assets;
pub mod authorize;
mod carried;
pub mod consent;
mod cookies;
mod error;
mod forms;
pub mod login;
pub mod render;

use actix_web::HttpRequest;

pub use self::error::PageError;
pub use self::forms::Forms;
use super::WorkerState;
use crate::identity::Visitor;

/// Who is logged in in the browser that asks.
async fn visitor(state: &WorkerState, request: &HttpRequest) -> Result<Option<Visitor>, PageError> {
    match cookies::read(request, cookies::SESSION) {
        Some(cookie) => Ok(state.identity.visitor(cookie).await?),
        None => Ok(None),
    }
}
