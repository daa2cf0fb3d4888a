//! Client authentication from anybody, in the header, in the form, or in both.

use actix_web::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use symbolon::domain::secret::SecretDigest;
use symbolon::http::{basic, form, introspect};
use symbolon::oauth::{OAuthError, PresentedCredentials};
use url::form_urlencoded::byte_serialize;

use super::request::{Input, is_well_refused, loopback, run};

pub fn check(data: &[u8]) {
    anything(data);
    let mut halves = data.splitn(2, |byte| *byte == 0);
    if let (Some(id), Some(secret)) = (halves.next(), halves.next())
        && let (Ok(id), Ok(secret)) = (std::str::from_utf8(id), std::str::from_utf8(secret))
        && !id.is_empty()
        && !secret.is_empty()
    {
        well_written(id, secret);
    }
}

fn read(input: &Input<'_>) -> Option<Result<PresentedCredentials, OAuthError>> {
    let (request, payload) = input.arrives_from(loopback());
    let form = run(form::read(&request, payload, introspect::KNOWN)).ok()?;
    Some(basic::credentials(&request, &form))
}

/// Whatever was sent: what is accepted is what the header says, if there is one, and nothing in the form contradicts it.
fn anything(data: &[u8]) {
    let Some(input) = Input::read(data) else { return };
    let headers = input.values(&AUTHORIZATION);
    match read(&input) {
        None => {}
        Some(Err(error)) => is_well_refused(&error),
        Some(Ok(credentials)) => {
            assert!(!credentials.id.contains('\0'));
            match headers.as_slice() {
                [] => {}
                [header] => {
                    let (scheme, encoded) = header.as_bytes().split_at(6);
                    assert!(scheme.eq_ignore_ascii_case(b"basic "), "{header:?}");
                    let decoded = STANDARD.decode(encoded.trim_ascii()).expect("only base64 is accepted");
                    let colon =
                        decoded.iter().position(|byte| *byte == b':').expect("only pairs are accepted");
                    assert_eq!(unescape(&decoded[..colon]), credentials.id.as_bytes());
                    let secret = unescape(&decoded[colon + 1..]);
                    let secret = (!secret.is_empty()).then(|| SecretDigest::of(&secret));
                    assert_eq!(credentials.secret, secret, "another secret than was sent");
                }
                headers => panic!("{} headers were accepted", headers.len()),
            }
        }
    }
}

/// Undoes form encoding, without a thought for what is malformed.
fn unescape(encoded: &[u8]) -> Vec<u8> {
    let mut bytes = encoded.iter().copied();
    let mut plain = Vec::new();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next(), bytes.next()].map(Option::unwrap_or_default);
                let digits = std::str::from_utf8(&digits).expect("two digits");
                u8::from_str_radix(digits, 16).expect("two hexadecimal digits")
            }
            byte => byte,
        });
    }
    plain
}

/// As RFC 6749 §2.3.1 has it: any text, form-encoded, joined, in base64.
fn well_written(id: &str, secret: &str) {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let (encoded_id, encoded_secret) = (encode(id), encode(secret));
    let header = STANDARD.encode(format!("{encoded_id}:{encoded_secret}"));
    let ask = |header: &str, body: &str| {
        let text = format!("\ncontent-type: application/x-www-form-urlencoded{header}\n\n{body}");
        read(&Input::read(text.as_bytes())?)
    };
    let expected =
        PresentedCredentials { id: id.to_owned(), secret: Some(SecretDigest::of(secret.as_bytes())) };
    let in_header = format!("\nauthorization: Basic {header}");
    let in_form = format!("client_id={encoded_id}&client_secret={encoded_secret}");
    // An id with a NUL is nobody's, wherever it stands; so is a secret in a form.
    let is_text = !id.contains('\0') && !secret.contains('\0');
    for (header, body) in [(in_header.as_str(), ""), ("", in_form.as_str()), (&in_header, &in_form)] {
        match ask(header, body) {
            Some(Ok(read)) => {
                assert_eq!(read, expected);
                let shown = format!("PresentedCredentials {{ id: {id:?}, secret: Some(SecretDigest(…)) }}");
                assert_eq!(format!("{read:?}"), shown);
            }
            other => assert!(!is_text || body.len() > 8000, "{other:?}"),
        }
    }
    if is_text {
        // Another secret in the form than in the header.
        let contradiction = ask(&in_header, &format!("client_secret={encoded_secret}x"));
        assert!(
            matches!(contradiction, Some(Err(OAuthError::InvalidRequest(_))) | None),
            "{contradiction:?}"
        );
    }
}
