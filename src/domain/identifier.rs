//! Names of things: clients, resource servers, users, roles, grants, and the URIs that name an
//! audience.
//!
//! The kinds of identifier never collide: resource-server ids begin with `rs_`, user ids begin
//! with `usr_`, and a client id that begins so is refused. A token's `sub` therefore cannot
//! be mistaken for somebody else (RFC 9700 §4.15).

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::base62;
use super::entropy::{self, Entropy, EntropyUnavailable};

/// The longest id of a client, resource server or user, in characters.
pub const MAX_ID_LENGTH: usize = 64;
/// The longest resource identifier, in characters.
pub const MAX_RESOURCE_LENGTH: usize = 512;
/// The longest name of a role, in bytes.
pub const MAX_ROLE_LENGTH: usize = 200;

const CLIENT_PREFIX: &str = "cl_";
const RESOURCE_SERVER_PREFIX: &str = "rs_";
const USER_PREFIX: &str = "usr_";

/// Why a text cannot be an identifier of the kind asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MalformedIdentifier {
    /// Not 1 to 64 of `[A-Za-z0-9_-]`.
    Alphabet,
    /// A client id that begins like the ids of another kind.
    ReservedPrefix,
    /// Not an absolute URI, or one with a fragment (RFC 8707 §2).
    Resource,
    /// A role's name that is empty, too long, or would not be read as it was written.
    Role,
}

impl fmt::Display for MalformedIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alphabet => "an id is 1 to 64 characters of A-Z, a-z, 0-9, - and _",
            Self::ReservedPrefix => "ids that begin with rs_ or usr_ belong to resource servers and users",
            Self::Resource => {
                "an identifier is an absolute URI without a fragment, such as https://api.example"
            }
            Self::Role => {
                "a role's name has 1 to 200 bytes, none of them a control character, and no space at either end"
            }
        })
    }
}

impl std::error::Error for MalformedIdentifier {}

fn is_id(text: &str) -> bool {
    (1..=MAX_ID_LENGTH).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn generate(prefix: &str, entropy: &dyn Entropy) -> Result<Arc<str>, EntropyUnavailable> {
    let mut digits = [0; 11];
    base62::encode(&entropy::random::<8>(entropy)?, &mut digits);
    Ok(format!("{prefix}{}", String::from_utf8_lossy(&digits)).into())
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

identifier! {
    /// A client's id: 1 to 64 characters of `[A-Za-z0-9_-]`, so that clients which do not
    /// form-encode it before Basic authentication work too (RFC 6749 §2.3.1).
    ClientId
}

identifier! {
    /// A resource server's id, `rs_` and eleven digits.
    ResourceServerId
}

identifier! {
    /// A user's id, `usr_` and eleven digits. It stays when the user's name changes, and no other
    /// user ever has it.
    UserId
}

identifier! {
    /// A role's name, compared byte by byte.
    RoleName
}

identifier! {
    /// The URI that names a resource server as an audience (RFC 8707 §2). Compared byte by byte.
    ResourceIdentifier
}

impl ClientId {
    /// # Errors
    /// When the text is not an id, or begins like the id of a resource server or user.
    pub fn parse(text: &str) -> Result<Self, MalformedIdentifier> {
        if !is_id(text) {
            return Err(MalformedIdentifier::Alphabet);
        }
        if text.starts_with(RESOURCE_SERVER_PREFIX) || text.starts_with(USER_PREFIX) {
            return Err(MalformedIdentifier::ReservedPrefix);
        }
        Ok(Self(text.into()))
    }

    /// # Errors
    /// When there are no random bytes.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyUnavailable> {
        generate(CLIENT_PREFIX, entropy).map(Self)
    }
}

impl ResourceServerId {
    /// # Errors
    /// When the text is not the id of a resource server.
    pub fn parse(text: &str) -> Result<Self, MalformedIdentifier> {
        if !is_id(text) || !text.starts_with(RESOURCE_SERVER_PREFIX) {
            return Err(MalformedIdentifier::Alphabet);
        }
        Ok(Self(text.into()))
    }

    /// # Errors
    /// When there are no random bytes.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyUnavailable> {
        generate(RESOURCE_SERVER_PREFIX, entropy).map(Self)
    }
}

impl UserId {
    /// # Errors
    /// When the text is not the id of a user.
    pub fn parse(text: &str) -> Result<Self, MalformedIdentifier> {
        if !is_id(text) || !text.starts_with(USER_PREFIX) {
            return Err(MalformedIdentifier::Alphabet);
        }
        Ok(Self(text.into()))
    }

    /// # Errors
    /// When there are no random bytes.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyUnavailable> {
        generate(USER_PREFIX, entropy).map(Self)
    }
}

impl RoleName {
    /// # Errors
    /// When the text cannot name a role.
    pub fn parse(text: &str) -> Result<Self, MalformedIdentifier> {
        let fits = (1..=MAX_ROLE_LENGTH).contains(&text.len());
        if !fits || text.trim() != text || text.chars().any(char::is_control) {
            return Err(MalformedIdentifier::Role);
        }
        Ok(Self(text.into()))
    }
}

impl ResourceIdentifier {
    /// "Its value MUST be an absolute URI, as specified by Section 4.3 of \[RFC3986\] … The URI
    /// MUST NOT include a fragment component." (RFC 8707 §2)
    ///
    /// # Errors
    /// When the text is something else, or longer than 512 characters.
    pub fn parse(text: &str) -> Result<Self, MalformedIdentifier> {
        let plain = text.bytes().all(|b| b.is_ascii_graphic());
        if text.len() > MAX_RESOURCE_LENGTH || !plain || text.contains('#') {
            return Err(MalformedIdentifier::Resource);
        }
        url::Url::parse(text).map_err(|_| MalformedIdentifier::Resource)?;
        Ok(Self(text.into()))
    }
}

/// The number of a grant: 96 random bits, written as 17 digits. Not a secret: it is what logs and
/// command lines show.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantId([u8; GrantId::BYTES]);

impl GrantId {
    pub const BYTES: usize = 12;
    pub const DIGITS: usize = 17;

    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// `None` unless `digits` is exactly the 17-digit spelling of a grant id.
    pub fn from_digits(digits: &[u8]) -> Option<Self> {
        if digits.len() != Self::DIGITS {
            return None;
        }
        base62::decode(digits).map(Self)
    }

    /// # Errors
    /// When there are no random bytes.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyUnavailable> {
        entropy::random(entropy).map(Self)
    }
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; Self::DIGITS];
        base62::encode(&self.0, &mut digits);
        f.write_str(&String::from_utf8_lossy(&digits))
    }
}

impl fmt::Debug for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GrantId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::super::entropy::SystemEntropy;
    use super::*;

    #[test]
    fn x22_kinds_of_id_never_collide() {
        assert!(ClientId::parse("billing-job").is_ok());
        assert_eq!(ClientId::parse("rs_x"), Err(MalformedIdentifier::ReservedPrefix));
        assert_eq!(ClientId::parse("usr_x"), Err(MalformedIdentifier::ReservedPrefix));
        assert!(ResourceServerId::parse("billing-job").is_err());
        let client = ClientId::generate(&SystemEntropy).unwrap();
        assert_eq!(ClientId::parse(client.as_str()), Ok(client));
        let server = ResourceServerId::generate(&SystemEntropy).unwrap();
        assert_eq!(ResourceServerId::parse(server.as_str()), Ok(server.clone()));
        let user = UserId::generate(&SystemEntropy).unwrap();
        assert_eq!(UserId::parse(user.as_str()), Ok(user.clone()));
        assert!(UserId::parse(server.as_str()).is_err() && ResourceServerId::parse(user.as_str()).is_err());
        assert_eq!(ClientId::parse(user.as_str()), Err(MalformedIdentifier::ReservedPrefix));
    }

    #[test]
    fn a_role_may_have_any_name_that_is_read_as_it_was_written() {
        for text in ["support", "Note editors", "Schriftf\u{fc}hrer", &"x".repeat(200)] {
            assert!(RoleName::parse(text).is_ok(), "{text:?}");
        }
        for text in ["", " ", " a", "a ", "a\nb", "a\0", "\u{85}", &"x".repeat(201)] {
            assert_eq!(RoleName::parse(text), Err(MalformedIdentifier::Role), "{text:?}");
        }
    }

    #[test]
    fn an_id_has_only_characters_that_need_no_encoding() {
        let long = "x".repeat(65);
        for text in ["", "a b", "a:b", "ä", "a%", &long] {
            assert_eq!(ClientId::parse(text), Err(MalformedIdentifier::Alphabet), "{text}");
        }
    }

    #[test]
    fn a_resource_is_an_absolute_uri_without_a_fragment() {
        assert!(ResourceIdentifier::parse("https://api.example/v1?x=y").is_ok());
        assert!(ResourceIdentifier::parse("urn:example:api").is_ok());
        for text in ["", "api", "/api", "//api.example", "https://a.example#f", "https://a b", "x#"] {
            assert!(ResourceIdentifier::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_grant_id_is_read_from_its_own_spelling_only() {
        let id = GrantId::generate(&SystemEntropy).unwrap();
        let text = id.to_string();
        assert_eq!(GrantId::from_digits(text.as_bytes()), Some(id));
        assert_eq!(GrantId::from_digits(&text.as_bytes()[1..]), None);
        assert_eq!(GrantId::from_digits(b"zzzzzzzzzzzzzzzzz"), None);
    }
}
