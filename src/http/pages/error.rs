//! What is shown when no page can be: what happened, and what to do next.

use std::fmt;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use askama::Template;

use super::super::respond::RETRY_AFTER;
use super::render::{self, FormsLead, Site};
use crate::identity::Unavailable;
use crate::identity::login::LoginFailure;
use crate::oauth::OAuthError;

/// Why somebody sees another page than the one that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageError {
    /// It is the application that is told why, at this address.
    Back(String),
    /// The request of an application that nobody can be sent back to with an error (RFC 6749 §4.1.2.1).
    Application(&'static str),
    /// A form that is not one of ours, or not of this browser.
    Foreign,
    /// Too many log in at this moment.
    Busy,
    /// The answer cannot be known now: why, for the log.
    Unavailable(String),
    /// Whatever any request can be refused for.
    Refused(OAuthError),
}

impl PageError {
    /// What never happens, and is no reason to panic.
    pub fn unrenderable(cause: impl fmt::Display) -> Self {
        Self::Unavailable(format!("a page could not be written: {cause}"))
    }

    const fn status(&self) -> u16 {
        match self {
            Self::Back(_) => 303,
            Self::Application(_) => 400,
            Self::Foreign => 403,
            Self::Busy | Self::Unavailable(_) => 503,
            Self::Refused(error) => error.status(),
        }
    }

    /// Whether it is for the operator to mend.
    pub const fn is_failure(&self) -> bool {
        matches!(self, Self::Busy | Self::Unavailable(_) | Self::Refused(OAuthError::Unavailable(_)))
    }

    const fn title(&self) -> &'static str {
        match self {
            Self::Back(_) | Self::Application(_) => "This request does not work",
            Self::Foreign => "This form cannot be accepted",
            Self::Refused(OAuthError::NotFound) => "There is nothing here",
            Self::Busy | Self::Unavailable(_) | Self::Refused(OAuthError::Unavailable(_)) => {
                "This does not work right now"
            }
            Self::Refused(_) => "This request cannot be accepted",
        }
    }

    const fn what(&self) -> &'static str {
        match self {
            Self::Back(_) => "You are sent back to the application.",
            Self::Application(what) => what,
            Self::Foreign => {
                "The form that was sent is not of this browser, or is out of date. That happens when it lay open for \
                 long, when cookies are switched off, or when another site tries to act in your name."
            }
            Self::Busy => "Very many people are logging in at this moment.",
            Self::Unavailable(_) | Self::Refused(OAuthError::Unavailable(_)) => {
                "The server cannot reach something that it needs. Nothing of yours is lost."
            }
            Self::Refused(error) => error.description(),
        }
    }

    const fn advice(&self) -> &'static str {
        match self {
            Self::Back(_) | Self::Application(_) => {
                "You were sent here by an application, and nothing was sent back to it. Go back and begin again there. If \
                 it happens again, tell those who run the application."
            }
            Self::Foreign => {
                "Go back, load the page anew, and send the form again. Allow cookies for this site."
            }
            Self::Busy | Self::Unavailable(_) | Self::Refused(OAuthError::Unavailable(_)) => {
                "Load this page again in a few seconds."
            }
            Self::Refused(_) => "Go back to where you came from and begin again.",
        }
    }

    /// What is answered, with a reference that leads from the page to the log.
    pub fn answer(&self, site: Site<'_>, reference: &str) -> HttpResponse {
        let answer = match self {
            Self::Back(location) => render::redirect(location),
            _ => self.page(site, reference),
        };
        let mut answer = answer.unwrap_or_else(|_| HttpResponse::InternalServerError().finish());
        let headers = answer.headers_mut();
        if let Self::Refused(OAuthError::MethodNotAllowed { allow }) = self {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        if self.is_failure() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        answer
    }

    fn page(&self, site: Site<'_>, reference: &str) -> Result<HttpResponse, Self> {
        let (title, what, advice) = (self.title(), self.what(), self.advice());
        let page = ErrorPage { site, title, what: sentence(what), advice, reference };
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        render::page(status, &page, &FormsLead::Nowhere)
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'p> {
    site: Site<'p>,
    title: &'static str,
    what: String,
    advice: &'static str,
    reference: &'p str,
}

/// With a capital letter and a full stop: what is said to clients has neither.
fn sentence(text: &str) -> String {
    let mut rest = text.chars();
    let mut sentence: String = rest.next().into_iter().flat_map(char::to_uppercase).collect();
    sentence.push_str(rest.as_str());
    if !sentence.ends_with('.') {
        sentence.push('.');
    }
    sentence
}

/// For the log.
impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Back(_) => f.write_str("the application is told"),
            Self::Application(what) => f.write_str(what),
            Self::Foreign => f.write_str("a form that is not ours"),
            Self::Busy => f.write_str("too many log in at this moment"),
            Self::Unavailable(why) => f.write_str(why),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

impl From<OAuthError> for PageError {
    fn from(error: OAuthError) -> Self {
        Self::Refused(error)
    }
}

impl From<Unavailable> for PageError {
    fn from(error: Unavailable) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<LoginFailure> for PageError {
    fn from(failure: LoginFailure) -> Self {
        match failure {
            LoginFailure::Busy => Self::Busy,
            LoginFailure::Unavailable(error) => error.into(),
        }
    }
}
