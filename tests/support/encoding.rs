//! The two encodings of the wire, written apart from the server's so that a mistake there is not repeated here.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;

/// `application/x-www-form-urlencoded` of one word. A space becomes `+`.
pub fn form_component(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => {
                encoded.push(char::from(byte));
            }
            b' ' => encoded.push('+'),
            other => write!(encoded, "%{other:02X}").unwrap(),
        }
    }
    encoded
}

/// A whole form body.
pub fn form(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{}={}", form_component(name), form_component(value)))
        .collect();
    pairs.join("&")
}

/// The value of an `Authorization` header for a client or a resource server.
///
/// > The client identifier is encoded using the "application/x-www-form-urlencoded" encoding algorithm \[…\] and the
/// > encoded value is used as the username (RFC 6749 §2.3.1)
pub fn basic(id: &str, secret: &str) -> String {
    let credentials = format!("{}:{}", form_component(id), form_component(secret));
    format!("Basic {}", base64(credentials.as_bytes()))
}

/// Standard base64 with padding.
pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for chunk in bytes.chunks(3) {
        let group =
            (0..3).fold(0_usize, |group, at| (group << 8) | usize::from(chunk.get(at).copied().unwrap_or(0)));
        for digit in 0..4 {
            if digit <= chunk.len() {
                encoded.push(char::from(ALPHABET[(group >> (18 - 6 * digit)) & 63]));
            } else {
                encoded.push('=');
            }
        }
    }
    encoded
}

/// A fresh token key in the form that `SYMBOLON_TOKEN_KEY` takes.
pub fn random_token_key() -> String {
    let mut key = [0_u8; 32];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut key))
        .expect("the kernel gives random bytes");
    base64(&key)
}
