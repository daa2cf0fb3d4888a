//! `/account/password`: another password, because somebody wants one or has to have one.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::super::body::NoBody;
use super::super::form::{self, Form, Known, Occurs};
use super::super::observe::observe_page;
use super::super::{WorkerState, address, transport};
use super::carried::{self, Carried};
use super::error::PageError;
use super::forms::{self, Purpose, require_own_page};
use super::login::go_on;
use super::render::{self, FormsLead, Site};
use super::{cookies, login_page, visitor};
use crate::domain::password::{MAX_PASSWORD_BYTES, Password};
use crate::identity::passwords::{LONG_ENOUGH, UnsuitablePassword};
use crate::identity::{PasswordChange, PasswordChanged, Visitor};

const CURRENT: &str = "current_password";
const NEW: &str = "new_password";
const AGAIN: &str = "new_password_again";

const KNOWN: Known = &[
    // For whatever fills in passwords; who it is, the cookie says.
    ("username", Occurs::Once),
    (CURRENT, Occurs::Once),
    (NEW, Occurs::Once),
    (AGAIN, Occurs::Once),
    (forms::FIELD, Occurs::Once),
    (carried::FIELD, Occurs::Once),
];

#[derive(Template)]
#[template(path = "password.html")]
struct PasswordPage<'p> {
    site: Site<'p>,
    user: &'p str,
    /// Whether there is no way round it.
    is_required: bool,
    /// For whom they were on their way.
    application: Option<&'p str>,
    length: usize,
    /// What is wrong with what was typed, and with which of it.
    problem: Option<String>,
    is_current_wrong: bool,
    is_new_wrong: bool,
    csrf: String,
    request: String,
}

/// What is wrong with what was typed.
#[derive(Clone, Copy)]
enum Problem {
    Wrong,
    Differ,
    Same,
    TooLong,
    Unsuitable(UnsuitablePassword),
}

impl Problem {
    /// Whether it is about the current password, and not the new one.
    const fn is_current(self) -> bool {
        matches!(self, Self::Wrong)
    }

    fn words(self) -> String {
        match self {
            Self::Wrong => {
                "This is not your current password. After many failed attempts even the right one is refused \
                            for a while: then wait a few minutes."
                    .to_owned()
            }
            Self::Differ => "The new password is not the same both times.".to_owned(),
            Self::Same => "This is the password that you have already.".to_owned(),
            Self::TooLong => format!("A password has {MAX_PASSWORD_BYTES} bytes or fewer."),
            Self::Unsuitable(UnsuitablePassword::Short) => {
                format!(
                    "A password has {LONG_ENOUGH} characters or more. Several words are easy to remember."
                )
            }
            Self::Unsuitable(UnsuitablePassword::Guessable) => {
                format!("This one is easy to guess. One of {LONG_ENOUGH} characters or more is always taken.")
            }
            Self::Unsuitable(UnsuitablePassword::Name) => "This is your user name.".to_owned(),
            Self::Unsuitable(UnsuitablePassword::Breached) => {
                "Others have used and lost this one. Choose one that nobody has used.".to_owned()
            }
        }
    }

    const fn status(self) -> StatusCode {
        if self.is_current() { StatusCode::FORBIDDEN } else { StatusCode::UNPROCESSABLE_ENTITY }
    }
}

pub async fn get(request: HttpRequest, state: Data<WorkerState>, _: NoBody) -> HttpResponse {
    observe_page(&state, &state.shared.endpoints.password, async {
        transport::require_confidential(&request)?;
        let carried = Carried::of_query(&request)?;
        match visitor(&state, &request).await? {
            Some(visitor) => show(&state, &request, &carried, &visitor, None),
            None => login_page(&state, carried.query()),
        }
    })
    .await
}

pub async fn post(request: HttpRequest, payload: Payload, state: Data<WorkerState>) -> HttpResponse {
    observe_page(&state, &state.shared.endpoints.password, async {
        let form = form::read(&request, payload, KNOWN).await?;
        require_own_page(&request, &state.server.settings().issuer)?;
        let carried = Carried::of_field(&form)?;
        let seal = form.text(forms::FIELD).unwrap_or_default();
        if !state.forms.is_sealed(Purpose::ChangePassword, &facts(&request), seal) {
            return Err(PageError::Foreign);
        }
        let Some(visitor) = visitor(&state, &request).await? else {
            return login_page(&state, carried.query());
        };
        let problem = match typed(&request, &form) {
            Err(problem) => problem,
            Ok(change) => match state.identity.change_password(&visitor, change).await? {
                PasswordChanged::Changed(logged_in) => {
                    return go_on(&state, &carried, &logged_in, "/account?done=password");
                }
                PasswordChanged::Wrong => Problem::Wrong,
                PasswordChanged::Same => Problem::Same,
                PasswordChanged::Unsuitable(why) => Problem::Unsuitable(why),
            },
        };
        show(&state, &request, &carried, &visitor, Some(problem))
    })
    .await
}

fn typed(request: &HttpRequest, form: &Form) -> Result<PasswordChange, Problem> {
    let text = |name| form.text(name).unwrap_or_default();
    if text(NEW) != text(AGAIN) {
        return Err(Problem::Differ);
    }
    Ok(PasswordChange {
        // One that is too long is nobody's.
        current: Password::parse(text(CURRENT)).map_err(|_| Problem::Wrong)?,
        new: Password::parse(text(NEW)).map_err(|_| Problem::TooLong)?,
        address: address::of_client(request),
    })
}

/// The form belongs to one login session.
fn facts(request: &HttpRequest) -> [&[u8]; 1] {
    [cookies::read(request, cookies::SESSION).unwrap_or_default()]
}

fn show(
    state: &WorkerState,
    request: &HttpRequest,
    carried: &Carried,
    visitor: &Visitor,
    problem: Option<Problem>,
) -> Result<HttpResponse, PageError> {
    let asked = carried.read(&state.server)?;
    let page = PasswordPage {
        site: Site::new(&state.server.settings().issuer),
        user: visitor.user.name.as_str(),
        is_required: visitor.user.must_change_password,
        application: asked.as_ref().map(|asked| asked.client.name.as_str()),
        length: LONG_ENOUGH,
        problem: problem.map(Problem::words),
        is_current_wrong: problem.is_some_and(Problem::is_current),
        is_new_wrong: problem.is_some_and(|problem| !problem.is_current()),
        csrf: state.forms.seal(Purpose::ChangePassword, &facts(request)),
        request: carried.field(),
    };
    let status = problem.map_or(StatusCode::OK, Problem::status);
    render::page(status, &page, &asked.as_ref().map_or(FormsLead::Here, FormsLead::back))
}
