//! What answers look like, to the byte.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::http::Response;

/// On every answer that a handler gives: no browser should take it for a page.
const ALWAYS: [(&str, &str); 2] = [
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("x-content-type-options", "nosniff"),
];

/// The one answer for every token that cannot be used here.
pub const INACTIVE: &[u8] = br#"{"active":false}"#;

/// All headers but those that differ from answer to answer by their nature.
pub fn steady_headers(response: &Response) -> BTreeMap<&str, Vec<&str>> {
    let mut headers = BTreeMap::<&str, Vec<&str>>::new();
    for (name, value) in &response.headers {
        if !matches!(name.as_str(), "date" | "x-request-id") {
            headers.entry(name).or_default().push(value);
        }
    }
    headers
}

/// Exactly these headers, each once, and those that are always there.
#[track_caller]
pub fn exact_headers(response: &Response, expected: &[(&str, &str)]) {
    let length = response.body.len().to_string();
    let mut all: BTreeMap<&str, Vec<&str>> = BTreeMap::from([("content-length", vec![length.as_str()])]);
    for (name, value) in ALWAYS.iter().chain(expected) {
        all.insert(name, vec![value]);
    }
    assert_eq!(steady_headers(response), all, "{} {}", response.status, response.text());
}

/// A JSON answer that nobody may keep.
#[track_caller]
pub fn json_200(response: Response) -> Value {
    let response = response.expect_status(200);
    let mut kept = vec![("content-type", "application/json"), ("cache-control", "no-store")];
    if response.json().get("access_token").is_some() {
        // RFC 6749 §5.1 asks for it of answers with tokens.
        kept.push(("pragma", "no-cache"));
    }
    exact_headers(&response, &kept);
    response.json()
}

/// RFC 7662 §2.2, as we promise it: byte for byte the same, whatever the reason.
#[track_caller]
pub fn inactive(response: Response) {
    assert_eq!(response.body, INACTIVE, "{} {}", response.status, response.text());
    json_200(response);
}

/// `E(status, error)`: the error body of RFC 6749 §5.2 and the headers that go with it.
#[track_caller]
pub fn refused(response: &Response, status: u16, error: &str) {
    assert_eq!(response.status, status, "{}", response.text());
    let mut headers =
        vec![("content-type", "application/json"), ("cache-control", "no-store"), ("pragma", "no-cache")];
    match status {
        401 => headers.push(("www-authenticate", r#"Basic realm="symbolon", charset="UTF-8""#)),
        405 => headers
            .push(("allow", response.header("allow").expect("405 comes with Allow (RFC 9110 §15.5.6)"))),
        503 => headers.push(("retry-after", "1")),
        _ => {}
    }
    exact_headers(response, &headers);
    let body = response.json();
    let body = body.as_object().unwrap_or_else(|| panic!("{}", response.text()));
    let members: Vec<&str> = body.keys().map(String::as_str).collect();
    assert_eq!(members, ["error", "error_description"], "{}", response.text());
    assert_eq!(body["error"], error, "{}", response.text());
    // "Values for the "error" parameter MUST NOT include characters outside the set %x20-21 / %x23-5B / %x5D-7E."
    let plain = |byte: u8| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    assert!(body.values().all(|text| text.as_str().is_some_and(|text| text.bytes().all(plain))));
}

/// The same for whoever failed to authenticate.
#[track_caller]
pub fn stranger(response: &Response) {
    refused(response, 401, "invalid_client");
}
