//! `/account`: where somebody is logged in, and what they gave applications. All of it can be ended here.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::super::body::NoBody;
use super::super::form::{self, Form, Known, Occurs};
use super::super::observe::observe_page;
use super::super::{WorkerState, transport};
use super::error::PageError;
use super::forms::{self, Purpose, require_own_page};
use super::render::{self, FormsLead, Site};
use super::{cookies, login_page, visitor};
use crate::domain::calendar;
use crate::domain::clock::Timestamp;
use crate::domain::identifier::GrantId;
use crate::identity::sessions::LoginSession;
use crate::identity::{Account, Application, LiveGrant, Visitor};
use crate::oauth::OAuthError;
use crate::oauth::authorize::ScopeInWords;

/// The buttons, each with the id of what it ends.
const KNOWN: Known = &[
    ("session", Occurs::Once),
    ("application", Occurs::Once),
    ("grant", Occurs::Once),
    (forms::FIELD, Occurs::Once),
];

/// What has just been done, in the address that leads here.
const DONE: &str = "done";

/// What is said about it.
const NEWS: [(&str, &str); 5] = [
    ("session", "That browser is logged out, and what was allowed in it has ended."),
    ("application", "The application has no access any more."),
    ("grant", "That access has ended."),
    ("gone", "That had ended already."),
    ("password", "Your password is changed. Wherever else you were logged in, you are not any more."),
];

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage<'p> {
    site: Site<'p>,
    user: &'p str,
    news: Option<&'static str>,
    sessions: Vec<SessionRow>,
    applications: Vec<ApplicationRow>,
    may_be_more: bool,
    csrf: String,
}

struct SessionRow {
    id: String,
    browser: String,
    address: Option<String>,
    is_here: bool,
    began: When,
    seen: When,
}

struct ApplicationRow {
    id: String,
    name: String,
    scopes: Vec<ScopeInWords>,
    grants: Vec<GrantRow>,
}

struct GrantRow {
    id: String,
    /// The browser in which it was allowed.
    browser: String,
    used: When,
    is_frozen: bool,
}

/// A moment, for machines and for people.
struct When {
    machine: String,
    words: String,
}

impl When {
    fn new(moment: Timestamp) -> Self {
        Self { machine: calendar::rfc3339(moment), words: calendar::in_words(moment) }
    }
}

pub async fn get(request: HttpRequest, state: Data<WorkerState>, _: NoBody) -> HttpResponse {
    observe_page(&state, &state.shared.endpoints.account, async {
        transport::require_confidential(&request)?;
        let base = Site::new(&state.server.settings().issuer).base();
        let Some(visitor) = visitor(&state, &request).await? else {
            return login_page(&state, "");
        };
        if visitor.user.must_change_password {
            return render::redirect(&format!("{base}/account/password"));
        }
        let account = state.identity.account(&visitor).await?;
        show(&state, &request, &visitor, account)
    })
    .await
}

pub async fn post(request: HttpRequest, payload: Payload, state: Data<WorkerState>) -> HttpResponse {
    observe_page(&state, &state.shared.endpoints.account, async {
        let form = form::read(&request, payload, KNOWN).await?;
        require_own_page(&request, &state.server.settings().issuer)?;
        let seal = form.text(forms::FIELD).unwrap_or_default();
        if !state.forms.is_sealed(Purpose::Account, &facts(&request), seal) {
            return Err(PageError::Foreign);
        }
        let base = Site::new(&state.server.settings().issuer).base();
        match visitor(&state, &request).await? {
            Some(visitor) => {
                let done = end(&state, &visitor, &form).await?;
                render::redirect(&format!("{base}/account?{DONE}={done}"))
            }
            None => login_page(&state, ""),
        }
    })
    .await
}

/// Ends what a button names.
async fn end(state: &WorkerState, visitor: &Visitor, form: &Form) -> Result<&'static str, PageError> {
    const NOTHING: OAuthError = OAuthError::InvalidRequest("the form does not say what is to end");
    let identity = &state.identity;
    let grant_id = |text: &str| GrantId::from_digits(text.as_bytes()).ok_or(NOTHING);
    let (ended, done) = match (form.text("session"), form.text("application"), form.text("grant")) {
        (Some(id), None, None) => (identity.end_own_session(visitor, grant_id(id)?).await?, "session"),
        (None, Some(id), None) => (identity.withdraw_consent(visitor, id).await?, "application"),
        (None, None, Some(id)) => (identity.revoke_own_grant(visitor, grant_id(id)?).await?, "grant"),
        _ => return Err(NOTHING.into()),
    };
    Ok(if ended { done } else { "gone" })
}

/// The form belongs to one login session.
fn facts(request: &HttpRequest) -> [&[u8]; 1] {
    [cookies::read(request, cookies::SESSION).unwrap_or_default()]
}

fn show(
    state: &WorkerState,
    request: &HttpRequest,
    visitor: &Visitor,
    account: Account,
) -> Result<HttpResponse, PageError> {
    let Account { sessions, applications, may_be_more } = account;
    let applications = applications.into_iter().map(|application| row(state, application, &sessions));
    let page = AccountPage {
        site: Site::new(&state.server.settings().issuer),
        user: visitor.user.name.as_str(),
        news: news(request),
        applications: applications.collect::<Result<_, _>>()?,
        sessions: sessions.iter().map(|session| session_row(session, visitor)).collect(),
        may_be_more,
        csrf: state.forms.seal(Purpose::Account, &facts(request)),
    };
    render::page(StatusCode::OK, &page, &FormsLead::Here)
}

fn session_row(session: &LoginSession, visitor: &Visitor) -> SessionRow {
    let LoginSession { id, record, .. } = session;
    SessionRow {
        id: id.to_string(),
        browser: name_of(session),
        address: record.address.map(|address| address.to_string()),
        is_here: *id == visitor.session.id,
        began: When::new(record.created_at),
        seen: When::new(record.last_seen),
    }
}

fn row(
    state: &WorkerState,
    application: Application,
    sessions: &[LoginSession],
) -> Result<ApplicationRow, PageError> {
    let Application { client, name, scope, grants } = application;
    let grant_row = |LiveGrant { id, used_at, session, is_frozen, .. }: LiveGrant| {
        let session = sessions.iter().find(|found| Some(found.id) == session);
        let browser = session.map_or_else(|| "a browser that is not logged in any more".to_owned(), name_of);
        GrantRow { id: id.to_string(), browser, used: When::new(used_at), is_frozen }
    };
    let scopes = state.server.in_words(&scope)?;
    let grants = grants.into_iter().map(grant_row).collect();
    Ok(ApplicationRow { id: client.to_string(), name, scopes, grants })
}

fn name_of(session: &LoginSession) -> String {
    match session.record.browser.as_str() {
        "" => "Unknown browser".to_owned(),
        known => known.to_owned(),
    }
}

fn news(request: &HttpRequest) -> Option<&'static str> {
    let form = Form::parse(request.query_string().as_bytes(), &[(DONE, Occurs::Once)]).ok()?;
    let done = form.text(DONE)?;
    NEWS.iter().find(|(name, _)| *name == done).map(|(_, news)| *news)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_may_not_show_everything_says_so() {
        for may_be_more in [false, true] {
            let page = AccountPage {
                site: Site::new("https://auth.example"),
                user: "mira",
                news: None,
                sessions: Vec::new(),
                applications: Vec::new(),
                may_be_more,
                csrf: String::new(),
            };
            assert_eq!(page.render().unwrap().contains("There may be more"), may_be_more);
        }
    }
}
