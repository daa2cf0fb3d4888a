//! That a form was ours: a value that only we can make, and that is good for one browser and one purpose.
//!
//! It is an HMAC, so nothing is kept and every replica knows it again. Where a browser says from where it sends, that has
//! to be here as well.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderName};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use super::error::PageError;
use crate::domain::entropy::{self, Entropy, EntropyUnavailable};
use crate::domain::token_key::{DerivedUse, TokenKeys};

/// The field of every form that is posted.
pub const FIELD: &str = "csrf";

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What is vouched for.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    /// The login form, of a browser with this login cookie.
    LogIn,
    /// That somebody logged in for this very request: a login session and the request.
    LoggedIn,
    /// The decision about a request: a session token, the request, and what was shown of it.
    Consent,
    /// What ends something of one's own account: a session token.
    Account,
    /// The same of logging out.
    LogOut,
    /// The same of another password.
    ChangePassword,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::LogIn => b"log-in",
            Self::LoggedIn => b"logged-in",
            Self::Consent => b"consent",
            Self::Account => b"account",
            Self::LogOut => b"log-out",
            Self::ChangePassword => b"change-password",
        }
    }
}

/// Seals forms, and knows its seals again.
#[derive(Clone)]
pub struct Forms {
    keys: Arc<TokenKeys>,
    entropy: Arc<dyn Entropy>,
}

impl Forms {
    pub const fn new(keys: Arc<TokenKeys>, entropy: Arc<dyn Entropy>) -> Self {
        Self { keys, entropy }
    }

    /// A value that nobody else can make, for this purpose and these facts.
    pub fn seal(&self, purpose: Purpose, facts: &[&[u8]]) -> String {
        let facts = std::iter::once(purpose.label()).chain(facts.iter().copied());
        URL_SAFE_NO_PAD.encode(self.keys.current().derive(DerivedUse::PageForm, facts).as_slice())
    }

    /// Whether that is what [`Forms::seal`] made, under whichever of the token keys.
    pub fn is_sealed(&self, purpose: Purpose, facts: &[&[u8]], presented: &str) -> bool {
        let Ok(presented) = URL_SAFE_NO_PAD.decode(presented) else { return false };
        self.keys.iter().any(|key| {
            let facts = std::iter::once(purpose.label()).chain(facts.iter().copied());
            let expected = key.derive(DerivedUse::PageForm, facts);
            bool::from(expected.as_slice().ct_eq(&presented))
        })
    }

    /// A new value for the login cookie.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub fn login_cookie(&self) -> Result<String, EntropyUnavailable> {
        Ok(URL_SAFE_NO_PAD.encode(entropy::random::<24>(self.entropy.as_ref())?))
    }
}

/// # Errors
/// When the browser says that another site's page sent this.
pub fn require_own_page(request: &HttpRequest, issuer: &str) -> Result<(), PageError> {
    let value =
        |name: HeaderName| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    let host = value(header::HOST).unwrap_or_default();
    // `none`: somebody reloads by hand what they have sent before.
    let same_site = value(SEC_FETCH_SITE).is_none_or(|site| matches!(site, "same-origin" | "none"));
    let same_origin = value(header::ORIGIN).is_none_or(|origin| is_own(origin, issuer, host));
    if same_site && same_origin { Ok(()) } else { Err(PageError::Foreign) }
}

/// The issuer's origin, or what else the browser has asked this server by: it cannot be made to claim another.
fn is_own(origin: &str, issuer: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let (own_scheme, own) = issuer.split_once("://").unwrap_or_default();
    let own = own.split('/').next().unwrap_or_default();
    match authority == own {
        true => scheme == own_scheme,
        false => authority == host && matches!(scheme, "http" | "https"),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::domain::entropy::SystemEntropy;

    fn forms(keys: &[u8]) -> Forms {
        let keys = TokenKeys::from_secrets(keys.iter().map(|byte| [*byte; 32])).unwrap();
        Forms::new(Arc::new(keys), Arc::new(SystemEntropy))
    }

    #[test]
    fn x12_a_seal_is_good_for_its_purpose_and_its_facts_alone() {
        let forms = forms(&[1]);
        let seal = forms.seal(Purpose::Consent, &[b"session", b"request"]);
        assert!(forms.is_sealed(Purpose::Consent, &[b"session", b"request"], &seal));
        let other_facts: [&[&[u8]]; 5] =
            [&[b"session", b"other"], &[b"other", b"request"], &[b"sessionr", b"equest"], &[b"session"], &[]];
        for facts in other_facts {
            assert!(!forms.is_sealed(Purpose::Consent, facts, &seal));
        }
        assert!(!forms.is_sealed(Purpose::LoggedIn, &[b"session", b"request"], &seal));
        for presented in ["", "A", &seal[1..], &format!("{seal}A"), &"A".repeat(seal.len()), "ä"] {
            assert!(!forms.is_sealed(Purpose::Consent, &[b"session", b"request"], presented));
        }
    }

    #[test]
    fn a_form_outlives_the_rotation_of_the_key_that_sealed_it() {
        let seal = forms(&[1]).seal(Purpose::LogIn, &[b"cookie"]);
        assert!(forms(&[2, 1]).is_sealed(Purpose::LogIn, &[b"cookie"], &seal));
        assert!(!forms(&[2]).is_sealed(Purpose::LogIn, &[b"cookie"], &seal));
    }

    #[test]
    fn x12_what_another_site_sends_is_known_by_what_browsers_say() {
        let by = |host: &'static str| TestRequest::default().insert_header((header::HOST, host));
        let plain = by("auth.example").insert_header((header::ORIGIN, "http://auth.example"));
        require_own_page(&plain.to_http_request(), "https://auth.example").unwrap_err();
        for (origin, site, own) in [
            (None, None, true),
            (Some("https://auth.example"), Some("same-origin"), true),
            (Some("https://auth.example"), None, true),
            (Some("http://10.0.0.7:8080"), None, true),
            (None, Some("none"), true),
            (Some("null"), None, false),
            (Some("null"), Some("same-origin"), false),
            (Some("https://evil.example"), None, false),
            (Some("http://auth.example"), None, false),
            (Some("https://auth.example.evil.example"), None, false),
            (Some("https://auth.example:8443"), None, false),
            (Some("app://10.0.0.7:8080"), None, false),
            (Some(""), None, false),
            (Some("https://auth.example"), Some("cross-site"), false),
            (None, Some("cross-site"), false),
            (None, Some("same-site"), false),
        ] {
            let mut request = by("10.0.0.7:8080");
            for (name, value) in [(header::ORIGIN, origin), (SEC_FETCH_SITE, site)] {
                if let Some(value) = value {
                    request = request.insert_header((name, value));
                }
            }
            let verdict = require_own_page(&request.to_http_request(), "https://auth.example/tenants/1");
            assert_eq!(verdict.is_ok(), own, "{origin:?} {site:?}");
        }
    }
}
