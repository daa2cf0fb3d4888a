//! Rendering: the one place that turns values and errors into responses.

use actix_web::HttpResponse;
use actix_web::http::header::HeaderValue;
use actix_web::http::{StatusCode, header};
use serde::Serialize;

use crate::oauth::OAuthError;

/// Seconds after which a caller may try again.
pub const RETRY_AFTER: &str = "1";
/// RFC 6749 §5.2: "If the client attempted to authenticate via the "Authorization" request header
/// field, the authorization server MUST … include the "WWW-Authenticate" response header field".
const CHALLENGE: &str = r#"Basic realm="symbolon", charset="UTF-8""#;

/// RFC 6749 §5.2
#[derive(Serialize)]
struct ErrorBody {
    error: &'static str,
    error_description: &'static str,
}

/// A JSON answer that nobody may keep (RFC 7662 §4).
pub fn json(body: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, HeaderValue::from_static("application/json")))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .body(body)
}

/// Headers on every answer: none of them is a page, and no browser should take it for one, nor show
/// it in a frame (the policy's `frame-ancestors` stands above `X-Frame-Options`, CSP Level 2 §7.7.1).
pub fn as_no_page(response: &mut HttpResponse) {
    const POLICY: &str = "default-src 'none'; frame-ancestors 'none'";
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
}

/// The answer for a refused request.
pub fn error(error: &OAuthError) -> HttpResponse {
    debug_assert!(error.description().bytes().all(is_allowed), "{error}");
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response.insert_header((header::PRAGMA, "no-cache"));
    match error {
        OAuthError::InvalidClient(_) => {
            response.insert_header((header::WWW_AUTHENTICATE, CHALLENGE));
        }
        OAuthError::MethodNotAllowed { allow } => {
            response.insert_header((header::ALLOW, *allow));
        }
        OAuthError::Unavailable(_) => {
            response.insert_header((header::RETRY_AFTER, RETRY_AFTER));
        }
        OAuthError::TooManyGuesses { again_after } => {
            // Rounded up: whoever waits so long may.
            response
                .insert_header((header::RETRY_AFTER, (again_after.as_millis().div_ceil(1000)).to_string()));
        }
        _ => {}
    }
    let mut response =
        response.json(ErrorBody { error: error.code(), error_description: error.description() });
    as_no_page(&mut response);
    response
}

/// RFC 6749 §5.2: "Values for the `error_description` parameter MUST NOT include characters outside
/// the set %x20-21 / %x23-5B / %x5D-7E."
const fn is_allowed(byte: u8) -> bool {
    matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)
}

/// The answer when a value cannot be written, which no test has ever seen.
pub fn unrenderable(cause: serde_json::Error) -> OAuthError {
    OAuthError::unavailable("the answer could not be written; try again", cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t12_descriptions_have_only_the_characters_of_the_rfc() {
        for error in [
            OAuthError::UnsupportedGrantType,
            OAuthError::UnsupportedTokenType,
            OAuthError::TooLarge,
            OAuthError::UriTooLong,
            OAuthError::UnsupportedMediaType,
            OAuthError::NotFound,
            OAuthError::MethodNotAllowed { allow: "POST" },
            OAuthError::InsecureTransport,
            OAuthError::TooManyGuesses { again_after: std::time::Duration::from_secs(1) },
            OAuthError::unavailable("the server cannot answer now; try again", "redis: secret"),
        ] {
            assert!(error.description().bytes().all(is_allowed), "{error}");
            assert!(error.code().bytes().all(is_allowed));
        }
    }

    #[test]
    fn unavailable_says_when_to_try_again_and_keeps_the_cause_to_itself() {
        let response = error(&OAuthError::unavailable("try again", "redis at 10.0.0.1"));
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers().get(header::RETRY_AFTER).unwrap(), RETRY_AFTER);
    }
}
