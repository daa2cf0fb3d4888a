//! `/consent`: the user decides what an application may do.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::super::body::NoBody;
use super::super::form::{self, Known, Occurs};
use super::super::observe::observe_page;
use super::super::{WorkerState, transport};
use super::carried::{self, Carried};
use super::error::PageError;
use super::forms::{self, Purpose, require_own_page};
use super::render::{self, FormsLead, Site};
use super::{approve, cookies, to_login, to_new_password, visitor};
use crate::domain::identifier::ResourceServerId;
use crate::domain::scope::Scope;
use crate::identity::Visitor;
use crate::oauth::OAuthError;
use crate::oauth::authorize::{AskedAt, AuthorizationError, AuthorizationRequest, Step};

const KNOWN: Known = &[
    ("decision", Occurs::Once),
    (forms::FIELD, Occurs::Once),
    (carried::FIELD, Occurs::Once),
    (carried::PROOF, Occurs::Once),
];

const NOTHING_ASKED: PageError = PageError::Application(
    "This page asks whether an application may do something, and no application has asked.",
);
const NO_DECISION: OAuthError = OAuthError::InvalidRequest("the form says neither yes nor no");

#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentPage<'p> {
    site: Site<'p>,
    application: &'p str,
    user: &'p str,
    asked: Vec<AskedAt>,
    unowned: Scope,
    lasts: String,
    /// Where the user will be sent, in the words of the address bar.
    back_to: &'p str,
    /// Whether another program on the same machine could pose as the application.
    is_claimable: bool,
    csrf: String,
    request: String,
    proof: String,
    /// The request in an address, to log in as somebody else.
    query: &'p str,
}

/// A request, and who has to decide; or where somebody has to go first.
enum Pending {
    Decision(Box<AuthorizationRequest>, Visitor),
    Elsewhere(HttpResponse),
}

pub async fn get(request: HttpRequest, state: Data<WorkerState>, _: NoBody) -> HttpResponse {
    observe_page(&state, &state.shared.endpoints.consent, async {
        transport::require_confidential(&request)?;
        let carried = Carried::of_query(&request)?;
        let proof = Carried::proof_of_query(&request).unwrap_or_default();
        let asked = carried.read(&state.server)?.ok_or(NOTHING_ASKED)?;
        match pending(&state, &request, &carried, asked, &proof).await? {
            Pending::Decision(asked, visitor) => show(&state, &request, &carried, &asked, &visitor, proof),
            Pending::Elsewhere(redirect) => Ok(redirect),
        }
    })
    .await
}

pub async fn post(request: HttpRequest, payload: Payload, state: Data<WorkerState>) -> HttpResponse {
    observe_page(&state, &state.shared.endpoints.consent, async {
        let form = form::read(&request, payload, KNOWN).await?;
        require_own_page(&request, &state.server.settings().issuer)?;
        let carried = Carried::of_field(&form)?;
        let seal = form.text(forms::FIELD).unwrap_or_default();
        let asked = carried.read(&state.server)?.ok_or(NOTHING_ASKED)?;
        if !state.forms.is_sealed(Purpose::Consent, &facts(&request, &carried, &shown(&asked)), seal) {
            return Err(PageError::Foreign);
        }
        let proof = form.text(carried::PROOF).unwrap_or_default();
        let (asked, visitor) = match pending(&state, &request, &carried, asked, proof).await? {
            Pending::Decision(asked, visitor) => (asked, visitor),
            Pending::Elsewhere(redirect) => return Ok(redirect),
        };
        match form.text("decision") {
            Some("allow") => {
                state.identity.remember_consent(&visitor, &asked.client.id, &asked.scope).await?;
                approve(&state, &carried, &asked, visitor).await
            }
            Some("deny") => {
                Err(PageError::Back(state.server.refuse(&asked, AuthorizationError::AccessDenied)))
            }
            _ => Err(NO_DECISION.into()),
        }
    })
    .await
}

/// What waits for a decision.
async fn pending(
    state: &WorkerState,
    request: &HttpRequest,
    carried: &Carried,
    asked: AuthorizationRequest,
    proof: &str,
) -> Result<Pending, PageError> {
    let visitor = visitor(state, request).await?;
    let present = visitor.as_ref().map(|visitor| carried.presence(&state.forms, visitor, Some(proof)));
    // Whoever is here is asked, whatever they allowed before.
    match asked.step(present, &Scope::default(), state.shared.clock.now()) {
        Step::Refuse(error) => Err(PageError::Back(state.server.refuse(&asked, error))),
        Step::LogIn => Ok(Pending::Elsewhere(to_login(state, carried, &asked)?)),
        Step::ChangePassword => Ok(Pending::Elsewhere(to_new_password(state, carried)?)),
        Step::Consent | Step::Approve => match visitor {
            Some(visitor) => Ok(Pending::Decision(Box::new(asked), visitor)),
            None => Ok(Pending::Elsewhere(to_login(state, carried, &asked)?)),
        },
    }
}

/// The decision is this session's, about this request and what it came to.
fn facts<'f>(request: &'f HttpRequest, carried: &'f Carried, shown: &'f str) -> [&'f [u8]; 3] {
    let session = cookies::read(request, cookies::SESSION).unwrap_or_default();
    [session, carried.query().as_bytes(), shown.as_bytes()]
}

/// What is decided about. A request that names no scope or no resource comes to more when the client or a resource
/// server is given more, and nobody allows what they were not shown.
fn shown(asked: &AuthorizationRequest) -> String {
    let audience: Vec<_> = asked.audience.iter().map(ResourceServerId::as_str).collect();
    format!("{}\n{}", asked.scope, audience.join(" "))
}

fn show(
    state: &WorkerState,
    request: &HttpRequest,
    carried: &Carried,
    asked: &AuthorizationRequest,
    visitor: &Visitor,
    proof: String,
) -> Result<HttpResponse, PageError> {
    let (asked_at, unowned) = state.server.asked_at(asked)?;
    let page = ConsentPage {
        site: Site::new(&state.server.settings().issuer),
        application: &asked.client.name,
        user: visitor.user.name.as_str(),
        asked: asked_at,
        unowned,
        lasts: in_words(state.server.lasts(asked)),
        back_to: back_to(asked.redirect_uri.as_str()),
        is_claimable: asked.client.credentials.is_none() && asked.redirect_uri.is_claimable(),
        csrf: state.forms.seal(Purpose::Consent, &facts(request, carried, &shown(asked))),
        request: carried.field(),
        proof,
        query: carried.query(),
    };
    render::page(StatusCode::OK, &page, &FormsLead::back(asked))
}

/// The host of an address, or the scheme of an application.
fn back_to(uri: &str) -> &str {
    let (scheme, rest) = uri.split_once(':').unwrap_or((uri, ""));
    let host = rest.strip_prefix("//").map(|rest| rest.split(['/', '?']).next().unwrap_or_default());
    host.filter(|host| !host.is_empty()).unwrap_or(scheme)
}

/// A time as people say it: in its largest unit.
fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (count, unit) = match seconds {
        0..=119 => (seconds, "second"),
        120..=7_199 => (seconds / 60, "minute"),
        7_200..=172_799 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_words() {
        for (seconds, words) in [
            (1, "1 second"),
            (60, "60 seconds"),
            (900, "15 minutes"),
            (3_600, "60 minutes"),
            (86_400, "24 hours"),
            (2_592_000, "30 days"),
        ] {
            assert_eq!(in_words(Duration::from_secs(seconds)), words);
        }
    }

    #[test]
    fn where_it_leads_back_to_is_said_as_a_browser_would() {
        for (uri, words) in [
            ("https://app.example:8443/cb", "app.example:8443"),
            ("http://[::1]:4711/cb", "[::1]:4711"),
            ("com.example.app:/cb", "com.example.app"),
        ] {
            assert_eq!(back_to(uri), words);
        }
    }
}
