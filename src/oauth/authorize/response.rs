//! What an authorization request is answered with: a redirect, with a code or an error.

use crate::domain::redirect_uri::RedirectUri;
use crate::oauth::error::OAuthError;

/// Every parameter that a response may have: a registered URI must not bring one of its own.
const RESPONSE_PARAMETERS: [&str; 5] = ["code", "error", "error_description", "state", "iss"];

/// Why a client gets no code (RFC 6749 §4.1.2.1, RFC 8707 §2, OpenID Connect Core §3.1.2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizationError {
    InvalidRequest(&'static str),
    UnauthorizedClient,
    /// The user said no.
    AccessDenied,
    UnsupportedResponseType,
    InvalidScope(&'static str),
    InvalidTarget(&'static str),
    TemporarilyUnavailable,
    /// With `prompt=none`: the user would have to log in.
    LoginRequired,
    /// With `prompt=none`: the user would have to consent.
    ConsentRequired,
}

impl AuthorizationError {
    /// The `error` parameter.
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::AccessDenied => "access_denied",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope(_) => "invalid_scope",
            Self::InvalidTarget(_) => "invalid_target",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::LoginRequired => "login_required",
            Self::ConsentRequired => "consent_required",
        }
    }

    /// The `error_description` parameter.
    pub const fn description(self) -> &'static str {
        match self {
            Self::InvalidRequest(description)
            | Self::InvalidScope(description)
            | Self::InvalidTarget(description) => description,
            Self::UnauthorizedClient => "the client is not registered for this grant type",
            Self::AccessDenied => "the user did not allow it",
            Self::UnsupportedResponseType => "the only response type is code",
            Self::TemporarilyUnavailable => "the server cannot answer now; try again",
            Self::LoginRequired => "the user has to log in",
            Self::ConsentRequired => "the user has to consent",
        }
    }

    /// Where the user is sent with it.
    pub(super) fn redirect(self, to: &RedirectUri, state: Option<&str>, issuer: &str) -> String {
        let (error, description) = (Some(self.code()), Some(self.description()));
        redirect(to, &[("error", error), ("error_description", description), ("state", state)], issuer)
    }
}

impl From<OAuthError> for AuthorizationError {
    fn from(error: OAuthError) -> Self {
        match error {
            OAuthError::InvalidScope(description) => Self::InvalidScope(description),
            OAuthError::InvalidTarget(description) => Self::InvalidTarget(description),
            OAuthError::UnauthorizedClient(_) => Self::UnauthorizedClient,
            OAuthError::Unavailable(_) => Self::TemporarilyUnavailable,
            other => Self::InvalidRequest(other.description()),
        }
    }
}

/// The redirect URI with these parameters and, as RFC 9207 §2 asks for, the issuer. What is
/// registered as its query stays (RFC 6749 §3.1.2), save for parameters that the response has.
pub(super) fn redirect(to: &RedirectUri, parameters: &[(&str, Option<&str>)], issuer: &str) -> String {
    let (base, query) = to.as_str().split_once('?').unwrap_or((to.as_str(), ""));
    let is_ours = |pair: &&str| {
        let name = pair.split_once('=').map_or(*pair, |(name, _)| name);
        RESPONSE_PARAMETERS.contains(&decode(name).as_str())
    };
    let mut pairs: Vec<String> =
        query.split('&').filter(|pair| !pair.is_empty() && !is_ours(pair)).map(str::to_owned).collect();
    for (name, value) in parameters.iter().chain(&[("iss", Some(issuer))]) {
        if let Some(value) = value {
            pairs.push(format!("{name}={}", encode(value)));
        }
    }
    format!("{base}?{}", pairs.join("&"))
}

/// Form-urlencoding (RFC 6749 Appendix B), with nothing left that could mean something in a header,
/// a URI or a page.
fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            write!(encoded, "%{byte:02X}").ok();
        }
    }
    encoded
}

/// The name of a parameter, as a client would read it.
fn decode(name: &str) -> String {
    url::form_urlencoded::parse(name.as_bytes()).next().map(|(name, _)| name.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://auth.example";

    fn to(uri: &str, parameters: &[(&str, Option<&str>)]) -> String {
        redirect(&RedirectUri::parse(uri).unwrap(), parameters, ISSUER)
    }

    #[test]
    fn x17_the_issuer_is_in_every_response() {
        assert_eq!(
            to("https://app.example/cb", &[("code", Some("syc_1")), ("state", None)]),
            "https://app.example/cb?code=syc_1&iss=https%3A%2F%2Fauth.example"
        );
        let uri = RedirectUri::parse("com.example.app:/cb").unwrap();
        let denied = AuthorizationError::AccessDenied.redirect(&uri, Some("x"), ISSUER);
        assert!(denied.starts_with("com.example.app:/cb?error=access_denied&error_description="), "{denied}");
        assert!(denied.ends_with("&state=x&iss=https%3A%2F%2Fauth.example"), "{denied}");
    }

    #[test]
    fn a4_the_registered_query_stays_and_a_response_parameter_is_never_doubled() {
        let redirected = to(
            "https://app.example/cb?tenant=1&state=registered&c%6fde=x&iss=evil&",
            &[("code", Some("c")), ("state", Some("sent"))],
        );
        assert_eq!(
            redirected,
            "https://app.example/cb?tenant=1&code=c&state=sent&iss=https%3A%2F%2Fauth.example"
        );
    }

    #[test]
    fn x42_a_state_is_echoed_exactly_and_splits_nothing() {
        for state in ["a b+c", "\r\nSet-Cookie: x=y", "é€𝄞", "&code=x#y", "%41", &"s".repeat(2048)] {
            let redirected = to("https://app.example/cb", &[("state", Some(state))]);
            assert!(redirected.bytes().all(|byte| byte.is_ascii_graphic()), "{redirected}");
            let parsed = url::Url::parse(&redirected).unwrap();
            let states: Vec<_> = parsed.query_pairs().filter(|(name, _)| name == "state").collect();
            assert_eq!(states.len(), 1);
            assert_eq!(states[0].1, state);
        }
    }

    #[test]
    fn t12_descriptions_have_only_the_characters_of_the_rfc() {
        for error in [
            AuthorizationError::UnauthorizedClient,
            AuthorizationError::AccessDenied,
            AuthorizationError::UnsupportedResponseType,
            AuthorizationError::TemporarilyUnavailable,
            AuthorizationError::LoginRequired,
            AuthorizationError::ConsentRequired,
        ] {
            let allowed = |byte| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
            assert!(error.description().bytes().all(allowed) && error.code().bytes().all(allowed));
        }
    }
}
