//! Redirect URIs: where a client is sent the answers to authorization requests.
//!
//! RFC 9700 §2.1: "authorization servers MUST ensure that the two URIs are equal … using exact
//! string matching". Nothing is parsed, decoded or normalised when one is compared, so there is
//! nothing about which server and browser could differ.

use std::fmt;
use std::sync::Arc;

use super::token::TokenDigest;

/// The longest redirect URI, in characters.
pub const MAX_REDIRECT_URI_LENGTH: usize = 1024;

/// The loopback addresses whose port a native application cannot know beforehand (RFC 8252 §7.3).
/// `localhost` is not among them: it may be resolved to something else (§8.3).
const LOOPBACK: [&str; 2] = ["http://127.0.0.1", "http://[::1]"];

/// Why a redirect URI cannot be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsuitableRedirectUri {
    /// No absolute URI of plain characters, or too long.
    Form,
    /// RFC 6749 §3.1.2: "The endpoint URI MUST NOT include a fragment component."
    Fragment,
    UserInfo,
    /// Plain http to anything but this machine.
    PlainHttp,
    /// RFC 8252 §7.1: a private-use scheme is a domain name of the application's, reversed.
    Scheme,
}

impl fmt::Display for UnsuitableRedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => {
                "a redirect URI is an absolute URI of at most 1024 characters, such as https://app.example/callback"
            }
            Self::Fragment => "a redirect URI has no fragment",
            Self::UserInfo => "a redirect URI has no user name or password",
            Self::PlainHttp => "a redirect URI is https, or http to 127.0.0.1, [::1] or localhost",
            Self::Scheme => {
                "the scheme of an application is its domain name reversed, such as com.example.app:/callback"
            }
        })
    }
}

impl std::error::Error for UnsuitableRedirectUri {}

/// A redirect URI that is registered, or that matched one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RedirectUri(Arc<str>);

impl RedirectUri {
    /// Reads a redirect URI that is to be registered.
    ///
    /// # Errors
    /// When answers must not be sent there.
    pub fn parse(text: &str) -> Result<Self, UnsuitableRedirectUri> {
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
        if text.len() > MAX_REDIRECT_URI_LENGTH || !text.bytes().all(plain) {
            return Err(UnsuitableRedirectUri::Form);
        }
        if text.contains('#') {
            return Err(UnsuitableRedirectUri::Fragment);
        }
        let url = url::Url::parse(text).map_err(|_| UnsuitableRedirectUri::Form)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UnsuitableRedirectUri::UserInfo);
        }
        match url.scheme() {
            // The standard parser forgives slashes that are missing or too many, and browsers with it.
            "http" | "https" if !has_one_authority(text) => Err(UnsuitableRedirectUri::Form),
            "https" => Ok(()),
            "http" if is_this_machine(&url) => Ok(()),
            "http" => Err(UnsuitableRedirectUri::PlainHttp),
            // That rules out javascript, data, file and their like.
            scheme if scheme.contains('.') => Ok(()),
            _ => Err(UnsuitableRedirectUri::Scheme),
        }?;
        Ok(Self(text.into()))
    }

    /// The URI that an authorization request names, if it is this one: the same bytes, save for the
    /// port where the port is of a loopback address.
    pub fn matching(&self, presented: &str) -> Option<Self> {
        if *self.0 == *presented {
            return Some(self.clone());
        }
        let same = split_port(&self.0)? == split_port(presented)?;
        same.then(|| Self(presented.into()))
    }

    /// Whether some other program on the user's machine could be sent the answer: a custom scheme
    /// and a port belong to whoever takes them first (RFC 8252 §8.6).
    pub fn is_claimable(&self) -> bool {
        !self.0.starts_with("https:")
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is kept of it beside a code.
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::of(self.0.as_bytes())
    }
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn has_one_authority(text: &str) -> bool {
    let authority = text.split_once("://").map(|(_, rest)| rest);
    authority.is_some_and(|rest| !rest.starts_with('/'))
}

fn is_this_machine(url: &url::Url) -> bool {
    matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"))
}

/// A loopback address and what follows its port; `None` for every other URI.
fn split_port(text: &str) -> Option<(&'static str, &str)> {
    let (host, rest) = LOOPBACK.iter().find_map(|host| Some((*host, text.strip_prefix(host)?)))?;
    let rest = match rest.strip_prefix(':') {
        None => rest,
        Some(rest) => {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (port, rest) = rest.split_at_checked(digits)?;
            port.parse::<u16>().ok()?;
            rest
        }
    };
    (rest.is_empty() || rest.starts_with(['/', '?'])).then_some((host, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn uri(text: &str) -> RedirectUri {
        RedirectUri::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn what_clients_use_can_be_registered() {
        for text in [
            "https://app.example/callback",
            "https://app.example",
            "https://app.example:8443/cb?tenant=1",
            "http://127.0.0.1/cb",
            "http://127.0.0.1:8080/cb",
            "http://[::1]/cb",
            "http://localhost:3000/cb",
            "com.example.app:/callback",
        ] {
            assert_eq!(uri(text).as_str(), text);
        }
    }

    #[test]
    fn x16_what_leads_elsewhere_cannot_be_registered() {
        use UnsuitableRedirectUri as Unsuitable;
        let long = format!("https://c.example/{}", "x".repeat(10_000));
        for (text, why) in [
            ("", Unsuitable::Form),
            ("/cb", Unsuitable::Form),
            ("//c.example/cb", Unsuitable::Form),
            ("https:c.example/cb", Unsuitable::Form),
            ("https:/c.example/cb", Unsuitable::Form),
            ("https:///c.example/cb", Unsuitable::Form),
            ("https://c.example/c b", Unsuitable::Form),
            ("https://c.example/cb\t", Unsuitable::Form),
            ("https://c.example/cb\r\nSet-Cookie:x", Unsuitable::Form),
            ("https://c.example/cb\0", Unsuitable::Form),
            ("https://c.example\\@evil.example/", Unsuitable::Form),
            ("https://c.exämple/cb", Unsuitable::Form),
            ("http://[::1/cb", Unsuitable::Form),
            (long.as_str(), Unsuitable::Form),
            ("https://c.example/cb#", Unsuitable::Fragment),
            ("https://c.example/cb#x", Unsuitable::Fragment),
            ("https://user@c.example/cb", Unsuitable::UserInfo),
            ("http://a@127.0.0.1/cb", Unsuitable::UserInfo),
            ("http://c.example/cb", Unsuitable::PlainHttp),
            ("http://localhost.evil/cb", Unsuitable::PlainHttp),
            ("http://127.0.0.1.evil/cb", Unsuitable::PlainHttp),
            ("http://10.0.0.1/cb", Unsuitable::PlainHttp),
            ("javascript:alert(1)", Unsuitable::Scheme),
            ("JaVaScRiPt:alert(1)", Unsuitable::Scheme),
            ("data:text/html,x", Unsuitable::Scheme),
            ("file:///etc/passwd", Unsuitable::Scheme),
            ("myapp:/callback", Unsuitable::Scheme),
            (" javascript:alert(1)", Unsuitable::Form),
        ] {
            assert_eq!(RedirectUri::parse(text), Err(why), "{text:?}");
        }
    }

    #[test]
    fn x16_only_the_same_bytes_match() {
        let registered = uri("https://c.example/cb");
        assert_eq!(registered.matching("https://c.example/cb"), Some(registered.clone()));
        for tricked in [
            "https://c.example/cb/",
            "https://c.example//cb",
            "https://c.example/CB",
            "https://c.example/cb?x",
            "https://c.example/cb?",
            "https://c.example/cb#",
            "https://c.example/cb#x",
            "https://c.example/cb%23",
            "https://c.example/cb;a=1",
            "https://c.example/..;/x",
            "https://c.example/%2e%2e/cb",
            "https://c.example/./cb",
            "https://c.example:443/cb",
            "https://C.example/cb",
            "HTTPS://c.example/cb",
            "https://c.example./cb",
            "https://user@c.example/cb",
            "https://c.example@evil.example/cb",
            "https://c.example.evil/cb",
            "https://cxexample/cb",
            "https://с.example/cb",
            "http://c.example/cb",
            "javascript:alert(1)",
            " https://c.example/cb",
            "https://c.example/cb ",
            "https://c.example/cb\t",
            "https://c.example/cb\r\n",
            "https://c.example/cb\0",
            "",
        ] {
            assert_eq!(registered.matching(tricked), None, "{tricked:?}");
        }
    }

    #[test]
    fn a3_of_a_loopback_address_any_port_matches_and_nothing_else_may_differ() {
        for host in ["127.0.0.1", "[::1]"] {
            for registered in [format!("http://{host}/cb"), format!("http://{host}:8080/cb")] {
                let registered = uri(&registered);
                for port in ["", ":1", ":8080", ":65535"] {
                    let presented = format!("http://{host}{port}/cb");
                    assert_eq!(registered.matching(&presented).unwrap().as_str(), presented);
                }
                for tricked in [
                    format!("http://{host}:65536/cb"),
                    format!("http://{host}:/cb"),
                    format!("http://{host}:+1/cb"),
                    format!("http://{host}:80x/cb"),
                    format!("http://{host}:80@evil.example/cb"),
                    format!("http://a@{host}/cb"),
                    format!("http://{host}.evil/cb"),
                    format!("http://{host}:80.evil/cb"),
                    format!("http://{host}:80/cb/"),
                    format!("http://{host}:80/cb?x"),
                    format!("http://{host}:80"),
                    format!("https://{host}:80/cb"),
                    "http://localhost:80/cb".to_owned(),
                    "http://[::1".to_owned(),
                ] {
                    assert_eq!(registered.matching(&tricked), None, "{tricked}");
                }
            }
        }
        assert_eq!(uri("http://127.0.0.1/cb").matching("http://[::1]/cb"), None);
        assert_eq!(uri("http://localhost/cb").matching("http://localhost:80/cb"), None);
        assert_eq!(uri("https://127.0.0.1/cb").matching("https://127.0.0.1:80/cb"), None);
    }

    #[test]
    fn x20_whatever_another_program_could_take_is_claimable() {
        assert!(!uri("https://app.example/cb").is_claimable());
        for text in ["http://127.0.0.1/cb", "http://localhost/cb", "com.example.app:/cb"] {
            assert!(uri(text).is_claimable(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_match_differs_by_a_port_at_most(presented in "http://(127\\.0\\.0\\.1|\\[::1\\])(:[0-9]{0,6})?[/?a:@]{0,4}cb") {
            let registered = uri("http://127.0.0.1:8080/cb");
            if let Some(matched) = registered.matching(&presented) {
                prop_assert_eq!(matched.as_str(), presented.as_str());
                let port = presented.strip_prefix("http://127.0.0.1").unwrap().strip_suffix("/cb").unwrap();
                prop_assert!(port.is_empty() || port[1..].parse::<u16>().is_ok());
            }
        }

        #[test]
        fn no_text_makes_it_panic(registered: String, presented: String) {
            let _ = RedirectUri::parse(&registered);
            prop_assert!(uri("https://c.example/cb").matching(&presented).is_none());
            let _ = uri("http://127.0.0.1/cb").matching(&format!("http://127.0.0.1{presented}"));
        }
    }
}
