//! Origins: which pages of the web may read what a client is answered (RFC 6454 §4, the CORS
//! protocol of the Fetch standard).
//!
//! A browser writes the origin of a page in one way only, so what is registered is that text, and
//! whoever compares looks for the same bytes.

use std::fmt;
use std::sync::Arc;

/// The longest origin, in characters: a DNS name, with scheme and port.
const MAX_ORIGIN_LENGTH: usize = 280;

/// Why an origin cannot be registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnsuitableOrigin {
    /// No scheme and host, or too long.
    Form,
    /// A wildcard: each origin is registered by itself.
    Wildcard,
    /// Something that no browser would send; what it would send instead.
    NotAsSent(String),
    /// Plain http from anything but this machine: whoever is on the way could put scripts into its pages.
    PlainHttp,
}

impl fmt::Display for UnsuitableOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str("an origin is a scheme and a host, such as https://app.example"),
            Self::Wildcard => f.write_str("an origin has no wildcard: register each by itself"),
            Self::NotAsSent(sent) => write!(f, "browsers write this origin {sent}"),
            Self::PlainHttp => f.write_str("an origin is https, or http on 127.0.0.1, [::1] or localhost"),
        }
    }
}

impl std::error::Error for UnsuitableOrigin {}

/// An origin that is registered: scheme, host, and the port unless it is the scheme's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(Arc<str>);

impl Origin {
    /// Reads an origin that is to be registered.
    ///
    /// # Errors
    /// When no browser would send it, or pages there cannot be trusted.
    pub fn parse(text: &str) -> Result<Self, UnsuitableOrigin> {
        let plain = |byte: u8| byte.is_ascii_graphic();
        if text.len() > MAX_ORIGIN_LENGTH || !text.bytes().all(plain) {
            return Err(UnsuitableOrigin::Form);
        }
        if text.contains('*') {
            return Err(UnsuitableOrigin::Wildcard);
        }
        let url = url::Url::parse(text).map_err(|_| UnsuitableOrigin::Form)?;
        match url.scheme() {
            "https" => {}
            "http" if is_this_machine(&url) => {}
            "http" => return Err(UnsuitableOrigin::PlainHttp),
            _ => return Err(UnsuitableOrigin::Form),
        }
        let sent = url.origin().ascii_serialization();
        if sent == text { Ok(Self(text.into())) } else { Err(UnsuitableOrigin::NotAsSent(sent)) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// So that sets of origins are searched by what a header says.
impl std::borrow::Borrow<str> for Origin {
    fn borrow(&self) -> &str {
        &self.0
    }
}

fn is_this_machine(url: &url::Url) -> bool {
    matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_browsers_send_can_be_registered() {
        for text in [
            "https://app.example",
            "https://app.example:8443",
            "https://xn--pp-mia.example",
            "https://192.0.2.1",
            "https://[2001:db8::1]",
            "http://localhost:3000",
            "http://127.0.0.1:8080",
            "http://[::1]",
        ] {
            assert_eq!(Origin::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn x44_what_no_browser_sends_or_nobody_can_trust_cannot_be_registered() {
        use UnsuitableOrigin as Unsuitable;
        let as_sent = |sent: &str| Unsuitable::NotAsSent(sent.to_owned());
        let app = as_sent("https://app.example");
        let long = format!("https://{}.example", "x".repeat(300));
        for (text, why) in [
            ("", Unsuitable::Form),
            ("*", Unsuitable::Wildcard),
            ("null", Unsuitable::Form),
            ("app.example", Unsuitable::Form),
            ("https://", Unsuitable::Form),
            ("https://*.app.example", Unsuitable::Wildcard),
            ("https://app.example/", app.clone()),
            ("https://app.example/path", app.clone()),
            ("https://app.example?x", app.clone()),
            ("https://app.example#x", app.clone()),
            ("https://app.example:443", app.clone()),
            ("https://App.example", app.clone()),
            ("HTTPS://app.example", app.clone()),
            ("https:app.example", app.clone()),
            ("https://user@app.example", app.clone()),
            ("https://app.example\\", app),
            ("https://äpp.example", Unsuitable::Form),
            ("https://app.example ", Unsuitable::Form),
            ("https://app.example\r\nX: y", Unsuitable::Form),
            ("https://app.example, https://evil.example", Unsuitable::Form),
            (long.as_str(), Unsuitable::Form),
            ("http://app.example", Unsuitable::PlainHttp),
            ("http://localhost.evil", Unsuitable::PlainHttp),
            ("http://127.0.0.1.evil", Unsuitable::PlainHttp),
            ("file:///home/page.html", Unsuitable::Form),
            ("data:text/html,x", Unsuitable::Form),
            ("javascript:alert(1)", Unsuitable::Form),
            ("com.example.app:/", Unsuitable::Form),
            ("blob:https://app.example/1", Unsuitable::Form),
        ] {
            assert_eq!(Origin::parse(text), Err(why), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            let _ = Origin::parse(&text);
            let _ = Origin::parse(&format!("https://{text}"));
        }
    }
}
