//! Forms: `application/x-www-form-urlencoded`, read strictly.
//!
//! RFC 6749 §3.2: "Parameters sent without a value MUST be treated as if they were omitted from
//! the request. The authorization server MUST ignore unrecognized request parameters. Request and
//! response parameters MUST NOT be included more than once."

use std::borrow::Cow;
use std::fmt;

use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::web::Payload;
use zeroize::Zeroizing;

use super::{body, transport};
use crate::oauth::OAuthError;

/// Whether a parameter may be given several times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occurs {
    Once,
    Repeatedly,
}

/// The parameters that an endpoint knows.
pub type Known = &'static [(&'static str, Occurs)];

/// The known parameters of a request, decoded.
///
/// A token may be any bytes. Everything else is UTF-8 text without NUL, which no parameter needs
/// and some stores refuse.
#[derive(Default)]
pub struct Form {
    pairs: Vec<(&'static str, Zeroizing<Vec<u8>>)>,
}

/// Shows names only: values may be secrets.
impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.pairs.iter().map(|(name, _)| name)).finish()
    }
}

/// The one parameter that is not text.
const TOKEN: &str = "token";

const DUPLICATE: OAuthError = OAuthError::InvalidRequest("a parameter is given more than once");
const IN_QUERY: OAuthError = OAuthError::InvalidRequest("parameters belong in the body, not in the query");
const MALFORMED: OAuthError = OAuthError::InvalidRequest("a parameter is not well-formed UTF-8 text");

/// Reads a request that must carry a form. The body is read whatever is refused.
///
/// # Errors
/// When it came in plain over a network, is no form, is too large, or breaks the rules above.
pub async fn read(request: &HttpRequest, payload: Payload, known: Known) -> Result<Form, OAuthError> {
    let body = body::read(payload).await;
    transport::require_confidential(request)?;
    require_form(request)?;
    // RFC 6749 §2.3.1: credentials "MUST NOT be included in the request URI"; nor is anything else.
    if !Form::parse(request.query_string().as_bytes(), known)?.pairs.is_empty() {
        return Err(IN_QUERY);
    }
    Form::parse(&body?, known)
}

/// Exactly one Content-Type, a form, in UTF-8 if it says.
fn require_form(request: &HttpRequest) -> Result<(), OAuthError> {
    let mut types = request.headers().get_all(header::CONTENT_TYPE);
    let (Some(content_type), None) = (types.next(), types.next()) else {
        return Err(OAuthError::UnsupportedMediaType);
    };
    let content_type = content_type.to_str().map_err(|_| OAuthError::UnsupportedMediaType)?;
    let mut parts = content_type.split(';').map(str::trim);
    let is_form =
        parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/x-www-form-urlencoded"));
    let is_utf8 = parts.all(|part| match part.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    });
    if is_form && is_utf8 { Ok(()) } else { Err(OAuthError::UnsupportedMediaType) }
}

impl Form {
    pub(super) fn parse(text: &[u8], known: Known) -> Result<Self, OAuthError> {
        let mut form = Self::default();
        for pair in text.split(|byte| *byte == b'&') {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let (name, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
            // A name that cannot be decoded is none that we know.
            let Some(name) = decode(name) else { continue };
            let Some((name, occurs)) = known.iter().find(|(known, _)| known.as_bytes() == name.as_ref())
            else {
                continue;
            };
            if *occurs == Occurs::Once && form.pairs.iter().any(|(seen, _)| seen == name) {
                return Err(DUPLICATE);
            }
            let value = match decode(value) {
                Some(value) if *name == TOKEN || is_text(&value) => value.into_owned(),
                // Bytes that no token has: it is nobody's.
                None if *name == TOKEN => vec![0xff],
                _ => return Err(MALFORMED),
            };
            form.pairs.push((name, Zeroizing::new(value)));
        }
        form.pairs.retain(|(_, value)| !value.is_empty());
        Ok(form)
    }

    /// The value of a parameter, as bytes.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.pairs.iter().find(|(found, _)| *found == name).map(|(_, value)| value.as_slice())
    }

    /// The value of a parameter that is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.bytes(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Every value of a parameter that may be repeated.
    pub fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        let values = self.pairs.iter().filter(move |(found, _)| *found == name);
        values.filter_map(|(_, value)| std::str::from_utf8(value).ok())
    }
}

fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| !text.contains('\0'))
}

/// Undoes form-urlencoding (RFC 6749 Appendix B); `None` when a `%` is not followed by two
/// hexadecimal digits.
pub fn decode(encoded: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !encoded.iter().any(|byte| matches!(byte, b'+' | b'%')) {
        return Some(Cow::Borrowed(encoded));
    }
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'+' => decoded.push(b' '),
            b'%' => {
                let ([high, low], tail) = rest.split_first_chunk::<2>()?;
                let digit = |byte: u8| char::from(byte).to_digit(16);
                decoded.push(u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?);
                rest = tail;
            }
            byte => decoded.push(*byte),
        }
    }
    Some(Cow::Owned(decoded))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KNOWN: Known =
        &[("token", Occurs::Once), ("scope", Occurs::Once), ("resource", Occurs::Repeatedly)];

    fn parse(text: &str) -> Result<Form, OAuthError> {
        Form::parse(text.as_bytes(), KNOWN)
    }

    #[test]
    fn t10_a_known_parameter_twice_is_refused_even_if_equal_or_empty() {
        for text in ["scope=a&scope=b", "scope=a&scope=a", "scope=&scope=a", "sc%6fpe=a&scope=b"] {
            assert_eq!(parse(text).unwrap_err(), DUPLICATE, "{text}");
        }
        assert_eq!(parse("resource=a&resource=b").unwrap().texts("resource").collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn t11_unknown_parameters_are_ignored_however_they_look() {
        let form = parse("foo=1&foo=2&=x&a[b]=c&%zz=1&%ff=1&scope[]=y&&scope=a+b").unwrap();
        assert_eq!(form.text("scope"), Some("a b"));
        assert_eq!(form.pairs.len(), 1);
    }

    #[test]
    fn t3_an_empty_value_counts_as_omitted() {
        assert_eq!(parse("scope=&token").unwrap().text("scope"), None);
        assert_eq!(parse("token").unwrap().bytes("token"), None);
    }

    #[test]
    fn x26_text_is_utf8_without_nul_and_a_token_may_be_anything() {
        for value in ["%ff", "%c0%80", "%00", "%", "%u0041", "%4", "a%00b"] {
            assert!(parse(&format!("token={value}")).unwrap().bytes("token").is_some(), "{value}");
            let refused = parse(&format!("scope={value}&token=x"));
            assert_eq!(refused.unwrap_err(), MALFORMED, "{value}");
        }
        let form = parse("scope=%E2%82%AC%20%2b").unwrap();
        assert_eq!(form.text("scope"), Some("€ +"));
    }

    #[test]
    fn x23_debug_shows_no_value() {
        assert_eq!(format!("{:?}", parse("scope=hunter2&token=hunter2").unwrap()), "{\"scope\", \"token\"}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes: Vec<u8>) {
            let _ = Form::parse(&bytes, KNOWN);
        }
    }
}
