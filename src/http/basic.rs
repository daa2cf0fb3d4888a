//! HTTP Basic authentication as OAuth means it: id and secret are form-urlencoded first
//! (RFC 6749 §2.3.1), and `client_secret_post` beside it.

use std::borrow::Cow;

use actix_web::HttpRequest;
use actix_web::http::header;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::form::{self, Form};
use super::{WorkerState, address};
use crate::domain::secret::SecretDigest;
use crate::oauth::{OAuthError, PresentedCredentials};

const MISSING: OAuthError = OAuthError::InvalidClient("client authentication is required");
const MALFORMED: OAuthError = OAuthError::InvalidClient("the Authorization header is malformed");
const SCHEME: OAuthError =
    OAuthError::InvalidClient("authenticate with Basic, or with client_id and client_secret");
const CONTRADICTION: OAuthError =
    OAuthError::InvalidRequest("two different client authentications are given");

/// The credentials of a request. Header and body may both carry them, as widely used gateways do,
/// if they agree.
///
/// # Errors
/// When there are none, or they are malformed or contradict each other.
pub fn credentials(request: &HttpRequest, form: &Form) -> Result<PresentedCredentials, OAuthError> {
    let posted_id = form.text("client_id");
    let posted_secret = form.bytes("client_secret").map(SecretDigest::of);
    let Some(basic) = header(request)? else {
        let id = posted_id.ok_or(MISSING)?.to_owned();
        return Ok(PresentedCredentials { id, secret: posted_secret });
    };
    // RFC 6749 §2.3: "The client MUST NOT use more than one authentication method in each request."
    // Twice the same is harmless, and common.
    let agree = posted_id.is_none_or(|id| id == basic.id)
        && (posted_secret.is_none() || posted_secret == basic.secret);
    if agree { Ok(basic) } else { Err(CONTRADICTION) }
}

fn header(request: &HttpRequest) -> Result<Option<PresentedCredentials>, OAuthError> {
    let mut headers = request.headers().get_all(header::AUTHORIZATION);
    let Some(value) = headers.next() else { return Ok(None) };
    if headers.next().is_some() {
        return Err(MALFORMED);
    }
    let value = value.as_bytes();
    let (scheme, encoded) = value.split_at_checked(6).ok_or(SCHEME)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return Err(SCHEME);
    }
    parse(encoded).map(Some).ok_or(MALFORMED)
}

fn parse(encoded: &[u8]) -> Option<PresentedCredentials> {
    let decoded = Zeroizing::new(STANDARD.decode(encoded.trim_ascii()).ok()?);
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let (id, secret) = decoded.split_at_checked(colon)?;
    let id = String::from_utf8(form::decode(id)?.into_owned()).ok()?;
    let secret = match form::decode(secret.get(1..)?)? {
        Cow::Borrowed(plain) => plain,
        Cow::Owned(decoded) => &Zeroizing::new(decoded),
    };
    std::str::from_utf8(secret).ok()?;
    if id.contains('\0') {
        return None;
    }
    // An empty secret is none: it proves nothing.
    let secret = (!secret.is_empty()).then(|| SecretDigest::of(secret));
    Some(PresentedCredentials { id, secret })
}

/// The outcome of a request, and what is told instead to whoever guesses at secrets.
pub(super) async fn unless_guessing<T>(
    state: &WorkerState,
    request: &HttpRequest,
    credentials: &PresentedCredentials,
    outcome: Result<T, OAuthError>,
) -> Result<T, OAuthError> {
    match outcome {
        Ok(value) => Ok(value),
        Err(error) => {
            let address = address::of_client(request);
            Err(state.server.unless_guessing(&state.shared.guesses, error, credentials, address).await)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<PresentedCredentials> {
        parse(STANDARD.encode(text).as_bytes())
    }

    #[test]
    fn t9_id_and_secret_are_form_decoded() {
        let credentials = read("a%3Ab+c%25:p%2Bw%26%25%3D%C3%A9").unwrap();
        assert_eq!(credentials.id, "a:b c%");
        assert_eq!(credentials.secret, Some(SecretDigest::of("p+w&%=é".as_bytes())));
    }

    #[test]
    fn d1_what_needs_no_encoding_reads_the_same_either_way() {
        let credentials = read("cl_1-x:syk_A-b").unwrap();
        assert_eq!(credentials.id, "cl_1-x");
        assert_eq!(credentials.secret, Some(SecretDigest::of(b"syk_A-b")));
    }

    #[test]
    fn d1_malformed_headers_are_refused() {
        for text in ["no-colon", "a%:b", "a:%zz", "a:%ff", "%00:b"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(parse(b"!!!"), None);
    }
}
