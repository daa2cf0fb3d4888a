//! `/login`: a name and a password, for an application's request or on one's own account.

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::super::body::NoBody;
use super::super::form::{self, Form, Known, Occurs};
use super::super::observe::observe_page;
use super::super::{WorkerState, address, transport};
use super::carried::{self, Carried};
use super::cookies;
use super::error::PageError;
use super::forms::{self, Purpose, require_own_page};
use super::render::{self, FormsLead, Site};
use crate::domain::password::Password;
use crate::identity::browser;
use crate::identity::login::{Credentials, LoggedIn};
use crate::oauth::OAuthError;
use crate::oauth::authorize::AuthorizationRequest;

const KNOWN: Known = &[
    ("username", Occurs::Once),
    ("password", Occurs::Once),
    (forms::FIELD, Occurs::Once),
    (carried::FIELD, Occurs::Once),
];

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'p> {
    site: Site<'p>,
    /// For whom, unless it is on one's own account.
    application: Option<&'p str>,
    /// What the application believes the name to be. What was typed is not repeated: it would make a page that must
    /// not differ from others longer or shorter.
    name: &'p str,
    has_failed: bool,
    csrf: String,
    request: String,
}

pub async fn get(request: HttpRequest, state: Data<WorkerState>, _: NoBody) -> HttpResponse {
    observe_page(&state, &state.shared.endpoints.login, async {
        transport::require_confidential(&request)?;
        let carried = Carried::of_query(&request)?;
        let asked = carried.read(&state.server)?;
        // The one that is there already: forms in other tabs belong to it.
        if let Some(cookie) = cookies::read(&request, cookies::LOGIN).filter(|cookie| !cookie.is_empty()) {
            return show(&state, &carried, asked.as_ref(), cookie, false);
        }
        let cookie = state.forms.login_cookie().map_err(OAuthError::from)?;
        let mut page = show(&state, &carried, asked.as_ref(), cookie.as_bytes(), false)?;
        cookies::set(&mut page, cookies::LOGIN, &cookie, None)?;
        Ok(page)
    })
    .await
}

pub async fn post(request: HttpRequest, payload: Payload, state: Data<WorkerState>) -> HttpResponse {
    observe_page(&state, &state.shared.endpoints.login, async {
        let form = form::read(&request, payload, KNOWN).await?;
        require_own_page(&request, &state.server.settings().issuer)?;
        let cookie = cookies::read(&request, cookies::LOGIN).unwrap_or_default();
        let seal = form.text(forms::FIELD).unwrap_or_default();
        if cookie.is_empty() || !state.forms.is_sealed(Purpose::LogIn, &[cookie], seal) {
            return Err(PageError::Foreign);
        }
        let carried = Carried::of_field(&form)?;
        if let Some(logged_in) = state.identity.log_in(credentials(&request, &form)?).await? {
            return go_on(&state, &carried, &logged_in, "/account");
        }
        let asked = carried.read(&state.server)?;
        show(&state, &carried, asked.as_ref(), cookie, true)
    })
    .await
}

fn show(
    state: &WorkerState,
    carried: &Carried,
    asked: Option<&AuthorizationRequest>,
    cookie: &[u8],
    has_failed: bool,
) -> Result<HttpResponse, PageError> {
    let page = LoginPage {
        site: Site::new(&state.server.settings().issuer),
        application: asked.map(|asked| asked.client.name.as_str()),
        name: asked.and_then(|asked| asked.login_hint.as_deref()).unwrap_or_default(),
        has_failed,
        csrf: state.forms.seal(Purpose::LogIn, &[cookie]),
        request: carried.field(),
    };
    // RFC 9110 §15.5.4: "If authentication credentials were provided in the request, the server considers them
    // insufficient to grant access."
    let status = if has_failed { StatusCode::FORBIDDEN } else { StatusCode::OK };
    render::page(status, &page, &asked.map_or(FormsLead::Here, FormsLead::back))
}

fn credentials(request: &HttpRequest, form: &Form) -> Result<Credentials, PageError> {
    const TOO_LONG: OAuthError = OAuthError::InvalidRequest("a password has 1024 bytes or fewer");
    let user_agent = request.headers().get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    Ok(Credentials {
        name: form.text("username").unwrap_or_default().to_owned(),
        password: Password::parse(form.text("password").unwrap_or_default()).map_err(|_| TOO_LONG)?,
        address: address::of_client(request),
        browser: browser::describe(user_agent.unwrap_or_default()),
    })
}

/// A session of its own for each login, whatever the browser came with; and on to what it was for, or else to a page
/// of ours.
pub(super) fn go_on(
    state: &WorkerState,
    carried: &Carried,
    logged_in: &LoggedIn,
    otherwise: &str,
) -> Result<HttpResponse, PageError> {
    let base = Site::new(&state.server.settings().issuer).base();
    let session = &logged_in.session;
    let location = if carried.is_none() {
        format!("{base}{otherwise}")
    } else {
        let proof = carried.proof(&state.forms, session.id);
        format!("{base}/authorize?{}&{}={proof}", carried.query(), carried::PROOF)
    };
    let mut response = render::redirect(&location)?;
    let lifetime = session.record.ends_at - state.shared.clock.now();
    cookies::set(&mut response, cookies::SESSION, logged_in.token.expose(), Some(lifetime))?;
    Ok(response)
}
