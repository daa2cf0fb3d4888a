//! `/logout`: from this browser, or from everywhere.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::super::body::NoBody;
use super::super::form::{self, Known, Occurs};
use super::super::observe::observe_page;
use super::super::{WorkerState, address, transport};
use super::error::PageError;
use super::forms::{self, Purpose, require_own_page};
use super::render::{self, FormsLead, Site};
use super::{cookies, visitor};
use crate::oauth::OAuthError;

const KNOWN: Known = &[("from", Occurs::Once), (forms::FIELD, Occurs::Once)];

const NOWHERE: OAuthError = OAuthError::InvalidRequest("the form does not say from where to log out");

#[derive(Template)]
#[template(path = "logout.html")]
struct LogoutPage<'p> {
    site: Site<'p>,
    /// Nobody, once it is done.
    user: Option<&'p str>,
    csrf: String,
}

pub async fn get(request: HttpRequest, state: Data<WorkerState>, _: NoBody) -> HttpResponse {
    observe_page(&state, &state.shared.endpoints.logout, async {
        transport::require_confidential(&request)?;
        let visitor = visitor(&state, &request).await?;
        let page = LogoutPage {
            site: Site::new(&state.server.settings().issuer),
            user: visitor.as_ref().map(|visitor| visitor.user.name.as_str()),
            csrf: state.forms.seal(Purpose::LogOut, &facts(&request)),
        };
        render::page(StatusCode::OK, &page, &FormsLead::Here)
    })
    .await
}

pub async fn post(request: HttpRequest, payload: Payload, state: Data<WorkerState>) -> HttpResponse {
    observe_page(&state, &state.shared.endpoints.logout, async {
        let form = form::read(&request, payload, KNOWN).await?;
        require_own_page(&request, &state.server.settings().issuer)?;
        let seal = form.text(forms::FIELD).unwrap_or_default();
        if !state.forms.is_sealed(Purpose::LogOut, &facts(&request), seal) {
            return Err(PageError::Foreign);
        }
        let everywhere = match form.text("from") {
            Some("here") => false,
            Some("everywhere") => true,
            _ => return Err(NOWHERE.into()),
        };
        let cookie = cookies::read(&request, cookies::SESSION).unwrap_or_default();
        state.identity.log_out(cookie, everywhere, address::of_client(&request)).await?;
        let base = Site::new(&state.server.settings().issuer).base();
        let mut response = render::redirect(&format!("{base}/logout"))?;
        cookies::set(&mut response, cookies::SESSION, "", Some(Duration::ZERO))?;
        Ok(response)
    })
    .await
}

/// The form belongs to one login session.
fn facts(request: &HttpRequest) -> [&[u8]; 1] {
    [cookies::read(request, cookies::SESSION).unwrap_or_default()]
}
