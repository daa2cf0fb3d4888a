//! Forms from anybody, against the lenient parser of the WHATWG: what is accepted means the same to both.

use std::borrow::Cow;

use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use symbolon::http::form::{self, Form, Known, Occurs};
use symbolon::http::{introspect, token};
use url::form_urlencoded;

use super::request::{Input, is_well_refused, loopback, run};

/// The one type of a body that is read, in its shortest spelling.
const FORM: &[u8] = b"application/x-www-form-urlencoded";

pub fn check(data: &[u8]) {
    let Some(input) = Input::read(data) else { return };
    for known in [token::KNOWN, introspect::KNOWN] {
        match read(&input, known) {
            Ok(form) => {
                accepted(&input, &form, known);
                same_when_written_again(&form, known);
            }
            Err(error) => {
                is_well_refused(&error);
                assert!(!is_plain(&input, known), "refused without a reason: {error}");
            }
        }
    }
}

fn read(input: &Input<'_>, known: Known) -> Result<Form, symbolon::oauth::OAuthError> {
    let (request, payload) = input.arrives_from(loopback());
    run(form::read(&request, payload, known))
}

/// The values of a parameter as a browser would understand them, empty ones left out.
fn values<'a>(encoded: &'a [u8], name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
    all(encoded, name).filter(|value| !value.is_empty())
}

fn all<'a>(encoded: &'a [u8], name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
    form_urlencoded::parse(encoded).filter(move |(found, _)| found == name).map(|(_, value)| value)
}

fn accepted(input: &Input<'_>, form: &Form, known: Known) {
    let types = input.values(&CONTENT_TYPE);
    let [content_type] = types.as_slice() else { panic!("{} content types were accepted", types.len()) };
    let content_type = content_type.as_bytes().to_ascii_lowercase();
    assert!(content_type.starts_with(FORM), "{content_type:?} was taken for a form");
    for (name, occurs) in known {
        assert_eq!(values(input.query().as_bytes(), name).count(), 0, "{name} was accepted in the query");
        if *occurs == Occurs::Once {
            assert!(all(input.body, name).count() <= 1, "{name} was accepted twice");
        }
        let theirs: Vec<Cow<'_, str>> = values(input.body, name).collect();
        let ours: Vec<&str> = form.texts(name).collect();
        if *name == "token" {
            // Any bytes, and what cannot be decoded is some bytes that are no token.
            assert_eq!(form.bytes(name).is_some(), theirs.len() == 1);
            assert!(ours.is_empty() || ours == theirs, "{ours:?} is not {theirs:?}");
        } else {
            assert_eq!(ours, theirs, "{name}");
            assert!(ours.iter().all(|text| !text.contains('\0')), "{name} with a NUL");
        }
    }
    assert!(form.bytes("no such parameter").is_none());
}

/// A request with nothing wrong about it.
fn is_plain(input: &Input<'_>, known: Known) -> bool {
    let unescaped =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'&' | b'=' | b'+' | b'.' | b':');
    let types = input.values(&CONTENT_TYPE);
    matches!(types.as_slice(), [only] if HeaderValue::as_bytes(only) == FORM)
        && input.query().is_empty()
        && input.body.iter().all(unescaped)
        && known
            .iter()
            .all(|(name, occurs)| *occurs == Occurs::Repeatedly || all(input.body, name).count() <= 1)
}

fn same_when_written_again(form: &Form, known: Known) {
    let mut written = form_urlencoded::Serializer::new(String::new());
    for (name, _) in known {
        written.extend_pairs(form.texts(name).map(|value| (name, value)));
    }
    let written =
        format!("\ncontent-type: application/x-www-form-urlencoded;charset=utf-8\n\n{}", written.finish());
    // Escaping may triple a length, and a body has one.
    let Some(input) = Input::read(written.as_bytes()) else { return };
    let again = read(&input, known).unwrap_or_else(|error| panic!("{error}: {written}"));
    for (name, _) in known {
        assert!(again.texts(name).eq(form.texts(name)), "{name} is not the same when written again");
    }
}
