//! A request out of bytes: a line with the query, header lines, an empty line, the body.

use std::net::SocketAddr;

use actix_web::body::MessageBody as _;
use actix_web::http::Uri;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::rt::Runtime;
use actix_web::test::TestRequest;
use actix_web::web::{Bytes, Payload};
use actix_web::{FromRequest as _, HttpRequest};
use serde_json::Value;
use symbolon::http::respond;
use symbolon::oauth::OAuthError;

/// Beyond it a body is refused by its length, which leaves nothing to parse.
pub const LONGEST_BODY: usize = 8 * 1024;

pub struct Input<'a> {
    uri: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    pub body: &'a [u8],
}

impl<'a> Input<'a> {
    /// `None` when an HTTP parser would have let none of it through.
    pub fn read(data: &'a [u8]) -> Option<Self> {
        let (head, body) = match data.windows(2).position(|pair| pair == b"\n\n") {
            Some(end) => (&data[..end], &data[end + 2..]),
            None => (data, &[][..]),
        };
        let mut lines = head.split(|byte| *byte == b'\n');
        let query = std::str::from_utf8(lines.next()?).ok()?;
        let uri = if query.is_empty() { "/token".to_owned() } else { format!("/token?{query}") };
        let header = |line: &[u8]| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = HeaderName::from_bytes(&line[..colon]).ok()?;
            Some((name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?))
        };
        let headers = lines.map(header).collect::<Option<Vec<_>>>()?;
        (body.len() <= LONGEST_BODY).then_some(())?;
        Some(Self { uri: uri.parse().ok()?, headers, body })
    }

    /// What a handler is given.
    pub fn arrives_from(&self, peer: SocketAddr) -> (HttpRequest, Payload) {
        let mut request = TestRequest::post().uri(&self.uri.to_string()).peer_addr(peer);
        for header in &self.headers {
            request = request.append_header(header.clone());
        }
        let body = Bytes::copy_from_slice(self.body);
        let (request, mut payload) = request.set_payload(body).to_http_parts();
        let payload = run(Payload::from_request(&request, &mut payload)).expect("a payload is always there");
        (request, payload)
    }

    pub fn query(&self) -> &str {
        self.uri.query().unwrap_or_default()
    }

    /// The values of a header, in order.
    pub fn values(&self, name: &HeaderName) -> Vec<&HeaderValue> {
        self.headers.iter().filter(|(found, _)| found == name).map(|(_, value)| value).collect()
    }
}

/// This machine.
pub fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 50_000))
}

/// Runs what a handler awaits.
pub fn run<F: Future>(future: F) -> F::Output {
    thread_local! {
        static RUNTIME: Runtime = Runtime::new().expect("a runtime can be made");
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// What holds for every refusal.
pub fn is_well_refused(error: &OAuthError) {
    let response = respond::error(error);
    let status = response.status().as_u16();
    assert!(matches!(status, 400 | 401 | 413 | 414 | 415), "{error}: {status}");
    assert_eq!(
        response.headers().get(header::CACHE_CONTROL).map(HeaderValue::as_bytes),
        Some(&b"no-store"[..])
    );
    assert_eq!(response.headers().contains_key(header::WWW_AUTHENTICATE), status == 401);
    let body = response.into_body().try_into_bytes().unwrap_or_else(|_| panic!("{error}: not all there"));
    let body: Value = serde_json::from_slice(&body).expect("a refusal is JSON");
    let members = body.as_object().expect("a refusal is an object");
    assert!(members.keys().eq(["error", "error_description"]), "{body}");
    for text in members.values() {
        // RFC 6749 §5.2: "MUST NOT include characters outside the set %x20-21 / %x23-5B / %x5D-7E."
        let allowed = |byte: u8| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        assert!(text.as_str().is_some_and(|text| text.bytes().all(allowed)), "{body}");
    }
}
