//! Token strings: `kind` `grant id` `secret` `checksum`, without separators.
//!
//! ```text
//! sya_ 4fR2k9QxT0bLm7cPz 8sJ…                                c1X0aB
//! kind grant id          random bits and keyed tag           CRC-32/IEEE of all before it
//!      96 bits,          128 + 64 bits, 33 digits            6 digits
//!      17 digits         (syr_: 160 + 64 bits, 38 digits)
//! ```
//!
//! The checksum tells anybody, offline, that a text looks like a token. The tag tells this
//! installation that it made the token: forgeries are refused without a look into any store. Only
//! a digest of a token is ever kept.

mod successors;

use std::fmt;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

pub use self::successors::{SALT_BYTES, Successors};

use super::base62;
use super::entropy::{Entropy, EntropyUnavailable};
use super::identifier::GrantId;
use super::pkce::CodeChallenge;
use super::token_key::{TAG_BYTES, TokenKey, TokenKeys};

/// How long an authorization code can be redeemed (RFC 6749 §4.1.2: "a maximum … of 10 minutes").
pub const CODE_LIFETIME: Duration = Duration::from_secs(60);

const PREFIX_LENGTH: usize = 4;
/// How much of a token says what it is for and of which grant, and is no secret.
pub const SHOWN_LENGTH: usize = PREFIX_LENGTH + GrantId::DIGITS;
const CHECKSUM_DIGITS: usize = 6;
/// Room for the longest payload (`syr_`).
const MAX_PAYLOAD_BYTES: usize = 20;
/// The same with its tag.
const MAX_SECRET_BYTES: usize = MAX_PAYLOAD_BYTES + TAG_BYTES;
/// Room for the longest token string (`syr_`).
const MAX_LENGTH: usize = 65;

/// What a token is for. The prefixes are part of what secret scanners look for: they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    Access,
    Refresh,
    AuthorizationCode,
    LoginSession,
    Device,
}

impl TokenKind {
    pub const ALL: [Self; 5] =
        [Self::Access, Self::Refresh, Self::AuthorizationCode, Self::LoginSession, Self::Device];

    /// The four characters that a token of this kind begins with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Access => "sya_",
            Self::Refresh => "syr_",
            Self::AuthorizationCode => "syc_",
            Self::LoginSession => "sys_",
            Self::Device => "syd_",
        }
    }

    /// Length of the bits before the tag, in bytes. A refresh token carries 32 more.
    pub const fn payload_bytes(self) -> usize {
        match self {
            Self::Refresh => 20,
            _ => 16,
        }
    }

    const fn secret_digits(self) -> usize {
        match self {
            Self::Refresh => 38,
            _ => 33,
        }
    }

    /// Length of a token of this kind, in characters.
    pub const fn length(self) -> usize {
        PREFIX_LENGTH + GrantId::DIGITS + self.secret_digits() + CHECKSUM_DIGITS
    }

    fn of_prefix(prefix: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.prefix().as_bytes() == prefix)
    }
}

/// Why a text is not a token string. For people at a command line; callers of the server are told
/// only that the token is inactive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MalformedToken {
    UnknownPrefix,
    Length { expected: usize, found: usize },
    NotBase62,
    Checksum,
}

impl fmt::Display for MalformedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownPrefix => f.write_str("a token begins with sya_, syr_, syc_, sys_ or syd_"),
            Self::Length { expected, found } => {
                write!(f, "a token of this kind has {expected} characters, this one has {found}")
            }
            Self::NotBase62 => f.write_str("a token has only digits and letters after its prefix"),
            Self::Checksum => f.write_str("the checksum does not fit: the token was altered or mistyped"),
        }
    }
}

impl std::error::Error for MalformedToken {}

/// A well-formed token string, whoever made it.
#[derive(Clone)]
pub struct TokenString {
    kind: TokenKind,
    grant_id: GrantId,
    /// Payload and tag, in the first `payload_bytes() + TAG_BYTES` bytes.
    secret: Zeroizing<[u8; MAX_SECRET_BYTES]>,
    digest: TokenDigest,
}

impl TokenString {
    /// Reads the one spelling a token has. Never panics, and looks at nothing but the text.
    ///
    /// # Errors
    /// For anything else: shortened, extended, altered, padded or respelled.
    pub fn parse(text: &[u8]) -> Result<Self, MalformedToken> {
        let (prefix, rest) = text.split_at_checked(PREFIX_LENGTH).ok_or(MalformedToken::UnknownPrefix)?;
        let kind = TokenKind::of_prefix(prefix).ok_or(MalformedToken::UnknownPrefix)?;
        if text.len() != kind.length() {
            return Err(MalformedToken::Length { expected: kind.length(), found: text.len() });
        }
        let (body, checksum) =
            text.split_at_checked(text.len() - CHECKSUM_DIGITS).ok_or(MalformedToken::NotBase62)?;
        let checksum = base62::decode::<4>(checksum).ok_or(MalformedToken::NotBase62)?;
        if u32::from_be_bytes(checksum) != crc32fast::hash(body) {
            return Err(MalformedToken::Checksum);
        }
        let (grant_id, rest) = rest.split_at_checked(GrantId::DIGITS).ok_or(MalformedToken::NotBase62)?;
        let grant_id = GrantId::from_digits(grant_id).ok_or(MalformedToken::NotBase62)?;
        let digits = rest.get(..kind.secret_digits()).ok_or(MalformedToken::NotBase62)?;
        let mut secret = Zeroizing::new([0; MAX_SECRET_BYTES]);
        match kind {
            TokenKind::Refresh => copy(secret.as_mut_slice(), base62::decode::<28>(digits)),
            _ => copy(secret.as_mut_slice(), base62::decode::<24>(digits)),
        }
        .ok_or(MalformedToken::NotBase62)?;
        Ok(Self { kind, grant_id, secret, digest: TokenDigest::of(text) })
    }

    pub const fn kind(&self) -> TokenKind {
        self.kind
    }

    pub const fn grant_id(&self) -> GrantId {
        self.grant_id
    }

    pub const fn digest(&self) -> TokenDigest {
        self.digest
    }

    /// Payload and tag.
    fn secret(&self) -> &[u8] {
        let (secret, _) = self.secret.split_at(self.kind.payload_bytes() + TAG_BYTES);
        secret
    }

    /// The key that made this token, among those held; `None` for a forgery, or for a token made
    /// under a key that is held no more.
    pub fn made_by<'k>(&self, keys: &'k TokenKeys) -> Option<&'k TokenKey> {
        let (payload, tag) = self.secret().split_at_checked(self.kind.payload_bytes())?;
        keys.iter().find(|key| key.tag(self.kind.prefix(), self.grant_id, payload).ct_eq(tag).into())
    }
}

fn copy<const N: usize>(into: &mut [u8], from: Option<[u8; N]>) -> Option<()> {
    into.get_mut(..N)?.copy_from_slice(&from?);
    Some(())
}

impl fmt::Debug for TokenString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenString({}{}…)", self.kind.prefix(), self.grant_id)
    }
}

/// A token that was just made, in plain. It goes into one response and nowhere else.
pub struct PlainToken {
    text: Zeroizing<String>,
    digest: TokenDigest,
}

impl PlainToken {
    /// Makes a token of `grant_id` at random, under the current key.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub fn generate(
        kind: TokenKind,
        grant_id: GrantId,
        keys: &TokenKeys,
        entropy: &dyn Entropy,
    ) -> Result<Self, EntropyUnavailable> {
        let mut payload = Zeroizing::new([0; MAX_PAYLOAD_BYTES]);
        let (payload, _) = payload.split_at_mut(kind.payload_bytes());
        entropy.fill(payload)?;
        Ok(Self::seal(kind, grant_id, keys.current(), payload))
    }

    /// Puts the tag of `key` to a payload of the kind's length.
    fn seal(kind: TokenKind, grant_id: GrantId, key: &TokenKey, payload: &[u8]) -> Self {
        let mut secret = Zeroizing::new([0; MAX_SECRET_BYTES]);
        let tag = key.tag(kind.prefix(), grant_id, payload);
        for (byte, part) in secret.iter_mut().zip(payload.iter().chain(&tag)) {
            *byte = *part;
        }
        let (secret, _) = secret.split_at(kind.payload_bytes() + TAG_BYTES);
        Self::spell(kind, grant_id, secret)
    }

    fn spell(kind: TokenKind, grant_id: GrantId, secret: &[u8]) -> Self {
        let mut buffer = Zeroizing::new([0; MAX_LENGTH]);
        let (text, _) = buffer.split_at_mut(kind.length());
        let (body, checksum) = text.split_at_mut(kind.length() - CHECKSUM_DIGITS);
        let (prefix, rest) = body.split_at_mut(PREFIX_LENGTH);
        let (id_digits, secret_digits) = rest.split_at_mut(GrantId::DIGITS);
        prefix.copy_from_slice(kind.prefix().as_bytes());
        base62::encode(grant_id.as_bytes(), id_digits);
        base62::encode(secret, secret_digits);
        base62::encode(&crc32fast::hash(body).to_be_bytes(), checksum);
        let text = Zeroizing::new(String::from_utf8_lossy(text).into_owned());
        Self { digest: TokenDigest::of(text.as_bytes()), text }
    }

    /// The token itself. Name it only where it is handed to its owner.
    pub fn expose(&self) -> &str {
        &self.text
    }

    pub const fn digest(&self) -> TokenDigest {
        self.digest
    }
}

impl fmt::Debug for PlainToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainToken(…)")
    }
}

/// What is kept of a token: the first 16 bytes of its SHA-256. Compared in constant time.
#[derive(Clone, Copy)]
pub struct TokenDigest([u8; TokenDigest::BYTES]);

impl TokenDigest {
    pub const BYTES: usize = 16;

    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// Of a token, or of a redirect URI.
    pub fn of(text: &[u8]) -> Self {
        Self(first_16(Sha256::digest(text).into()))
    }

    /// The digest that is kept of an authorization code, which only whoever has its verifier too can
    /// present (RFC 7636 §4.4).
    pub fn bound_to(&self, challenge: &CodeChallenge) -> Self {
        let hash = Sha256::new_with_prefix(b"symbolon/code/v1").chain_update(self.0);
        Self(first_16(hash.chain_update(challenge.as_bytes()).finalize().into()))
    }

    /// `jti` of RFC 7662 §2.2: one for each token, the same from every replica, and no help in
    /// finding the token or its digest.
    pub fn jti(&self) -> String {
        let hash = Sha256::new_with_prefix(b"symbolon/jti/v1").chain_update(self.0).finalize();
        let mut digits = [0; 22];
        base62::encode(&first_16(hash.into()), &mut digits);
        String::from_utf8_lossy(&digits).into_owned()
    }
}

fn first_16(hash: [u8; 32]) -> [u8; 16] {
    let mut first = [0; 16];
    for (byte, hashed) in first.iter_mut().zip(hash) {
        *byte = hashed;
    }
    first
}

impl PartialEq for TokenDigest {
    fn eq(&self, other: &Self) -> bool {
        u128::from_ne_bytes(self.0).ct_eq(&u128::from_ne_bytes(other.0)).into()
    }
}

impl Eq for TokenDigest {}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(…)")
    }
}

/// What an admin holds of a leaked token: all of it, its beginning, or just the grant id.
#[derive(Clone, Debug)]
pub enum TokenPart {
    Whole(TokenString),
    /// The prefix of a token that holds at least kind and grant id.
    Prefix(TokenKind, GrantId),
    GrantId(GrantId),
}

/// Why a text does not lead to a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MalformedPart {
    TooShort { found: usize },
    Malformed(MalformedToken),
}

impl fmt::Display for MalformedPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { found } => write!(
                f,
                "{found} characters are too few: give a whole token, its first 21 characters or \
                 more, or the 17 characters of a grant id"
            ),
            Self::Malformed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for MalformedPart {}

impl TokenPart {
    /// What the token is for; `None` for a bare grant id.
    pub const fn kind(&self) -> Option<TokenKind> {
        match self {
            Self::Whole(token) => Some(token.kind()),
            Self::Prefix(kind, _) => Some(*kind),
            Self::GrantId(_) => None,
        }
    }

    /// The same, where one of these keys made the token. What a text calls itself proves nothing: whoever wrote it
    /// chose it.
    pub fn proved_kind(&self, keys: &TokenKeys) -> Option<TokenKind> {
        match self {
            Self::Whole(token) => token.made_by(keys).map(|_| token.kind()),
            Self::Prefix(..) | Self::GrantId(_) => None,
        }
    }

    /// # Errors
    /// When the text is too short to hold a grant id, or is no part of a token.
    pub fn parse(text: &str) -> Result<Self, MalformedPart> {
        let bytes = text.as_bytes();
        let kind = bytes.get(..PREFIX_LENGTH).and_then(TokenKind::of_prefix);
        let Some(kind) = kind else {
            return match GrantId::from_digits(bytes) {
                Some(id) => Ok(Self::GrantId(id)),
                None if bytes.len() < GrantId::DIGITS => Err(MalformedPart::TooShort { found: bytes.len() }),
                None => Err(MalformedPart::Malformed(MalformedToken::UnknownPrefix)),
            };
        };
        if bytes.len() >= kind.length() {
            return TokenString::parse(bytes).map(Self::Whole).map_err(MalformedPart::Malformed);
        }
        let id =
            bytes.get(PREFIX_LENGTH..SHOWN_LENGTH).ok_or(MalformedPart::TooShort { found: bytes.len() })?;
        let base62_only = bytes.iter().skip(PREFIX_LENGTH).all(u8::is_ascii_alphanumeric);
        match GrantId::from_digits(id) {
            Some(id) if base62_only => Ok(Self::Prefix(kind, id)),
            _ => Err(MalformedPart::Malformed(MalformedToken::NotBase62)),
        }
    }

    pub const fn grant_id(&self) -> GrantId {
        match self {
            Self::Whole(token) => token.grant_id(),
            Self::Prefix(_, id) | Self::GrantId(id) => *id,
        }
    }
}

#[cfg(test)]
mod tests;
