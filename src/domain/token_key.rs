//! Token keys: the secrets under which this installation's tokens are tagged.
//!
//! They come from a file or the environment and are kept in no store. SQL knows a fingerprint of
//! each, so that a replica can tell whether it lacks one.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD};
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::base62;
use super::entropy::{self, Entropy, EntropyUnavailable};
use super::identifier::GrantId;

/// Length of a token's tag.
pub const TAG_BYTES: usize = 8;
/// The least length of a token key.
pub const MIN_KEY_BYTES: usize = 32;

/// Why a text is not a list of token keys. Never holds a part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MalformedTokenKeys {
    None,
    NotBase64 { which: usize },
    TooShort { which: usize, bytes: usize },
    Repeated { which: usize },
}

impl fmt::Display for MalformedTokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no key is given; make one with: symbolon token-key generate"),
            Self::NotBase64 { which } => write!(f, "key {which} is not base64"),
            Self::TooShort { which, bytes } => {
                write!(f, "key {which} has {bytes} bytes, it must have at least {MIN_KEY_BYTES}")
            }
            Self::Repeated { which } => write!(f, "key {which} is given twice"),
        }
    }
}

impl std::error::Error for MalformedTokenKeys {}

/// What SQL knows of a token key: enough to tell it from others, nothing that helps to guess it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyFingerprint(String);

impl KeyFingerprint {
    pub fn from_stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a token key is used for. Each use has a key of its own, derived by HKDF (RFC 5869).
#[derive(Clone, Copy, Debug)]
pub enum DerivedUse {
    /// The next refresh token.
    RefreshToken,
    /// The access token that comes with it.
    AccessToken,
    /// Hiding a refresh token's rotation number.
    RotationMask,
    /// Under which id failures to log in are counted.
    FailureCount,
    /// What a form carries, so that nobody else can make a browser send it.
    PageForm,
}

/// One key, ready for use. The secret itself is not kept.
pub struct TokenKey {
    fingerprint: KeyFingerprint,
    tag: Hmac<Sha256>,
    refresh_token: Hmac<Sha256>,
    access_token: Hmac<Sha256>,
    rotation_mask: Hmac<Sha256>,
    failure_count: Hmac<Sha256>,
    page_form: Hmac<Sha256>,
}

impl TokenKey {
    fn from_secret(secret: &[u8]) -> Option<Self> {
        let derive = Hkdf::<Sha256>::new(None, secret);
        let subkey = |info: &[u8]| {
            let mut key = Zeroizing::new([0; 32]);
            derive.expand(info, key.as_mut_slice()).ok()?;
            Hmac::new_from_slice(key.as_slice()).ok()
        };
        let mut fingerprint = [0; 12];
        derive.expand(b"symbolon/fingerprint/v1", &mut fingerprint).ok()?;
        let mut digits = [0; 17];
        base62::encode(&fingerprint, &mut digits);
        Some(Self {
            fingerprint: KeyFingerprint(String::from_utf8_lossy(&digits).into_owned()),
            tag: subkey(b"symbolon/tag/v1")?,
            refresh_token: subkey(b"symbolon/refresh-token/v1")?,
            access_token: subkey(b"symbolon/access-token/v1")?,
            rotation_mask: subkey(b"symbolon/rotation-mask/v1")?,
            failure_count: subkey(b"symbolon/failure-count/v1")?,
            page_form: subkey(b"symbolon/page-form/v1")?,
        })
    }

    pub const fn fingerprint(&self) -> &KeyFingerprint {
        &self.fingerprint
    }

    /// HMAC-SHA-256 over kind, grant id and payload, truncated to 64 bits (RFC 2104 §5).
    pub fn tag(&self, kind: &str, grant_id: GrantId, payload: &[u8]) -> [u8; TAG_BYTES] {
        let mut mac = self.tag.clone();
        mac.update(kind.as_bytes());
        mac.update(grant_id.as_bytes());
        mac.update(payload);
        let mut tag = [0; TAG_BYTES];
        for (byte, full) in tag.iter_mut().zip(mac.finalize().into_bytes()) {
            *byte = full;
        }
        tag
    }

    /// HMAC-SHA-256 over `parts`, each with its length before it, under the key for this use.
    pub fn derive<'p>(
        &self,
        what: DerivedUse,
        parts: impl IntoIterator<Item = &'p [u8]>,
    ) -> Zeroizing<[u8; 32]> {
        let mut mac = match what {
            DerivedUse::RefreshToken => self.refresh_token.clone(),
            DerivedUse::AccessToken => self.access_token.clone(),
            DerivedUse::RotationMask => self.rotation_mask.clone(),
            DerivedUse::FailureCount => self.failure_count.clone(),
            DerivedUse::PageForm => self.page_form.clone(),
        };
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Zeroizing::new(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKey({})", self.fingerprint)
    }
}

/// The keys a replica holds: the current one, under which it makes tokens, and older ones whose
/// tokens it still recognises.
#[derive(Debug)]
pub struct TokenKeys {
    current: TokenKey,
    older: Vec<TokenKey>,
}

impl TokenKeys {
    /// Reads keys separated by commas or newlines, the current one first; each is base64, standard
    /// or URL alphabet, padded or not, of at least 32 bytes.
    ///
    /// # Errors
    /// When there is none, or one is malformed, too short or repeated.
    pub fn parse(text: &str) -> Result<Self, MalformedTokenKeys> {
        let parts = text.split([',', '\n']).map(str::trim).filter(|part| !part.is_empty());
        let secrets: Result<Vec<_>, _> = parts
            .zip(1..)
            .map(|(part, which)| decode(part).ok_or(MalformedTokenKeys::NotBase64 { which }))
            .collect();
        let secrets = Zeroizing::new(secrets?);
        Self::from_secrets(secrets.iter())
    }

    /// The same of secrets that are bytes already.
    ///
    /// # Errors
    /// When there is none, or one is too short or repeated.
    pub fn from_secrets<S: AsRef<[u8]>>(
        secrets: impl IntoIterator<Item = S>,
    ) -> Result<Self, MalformedTokenKeys> {
        let mut keys: Vec<TokenKey> = Vec::new();
        for (secret, which) in secrets.into_iter().zip(1..) {
            let secret = secret.as_ref();
            let too_short = MalformedTokenKeys::TooShort { which, bytes: secret.len() };
            if secret.len() < MIN_KEY_BYTES {
                return Err(too_short);
            }
            let key = TokenKey::from_secret(secret).ok_or(too_short)?;
            if keys.iter().any(|other| other.fingerprint == key.fingerprint) {
                return Err(MalformedTokenKeys::Repeated { which });
            }
            keys.push(key);
        }
        let mut keys = keys.into_iter();
        let current = keys.next().ok_or(MalformedTokenKeys::None)?;
        Ok(Self { current, older: keys.collect() })
    }

    pub const fn current(&self) -> &TokenKey {
        &self.current
    }

    pub fn iter(&self) -> impl Iterator<Item = &TokenKey> {
        std::iter::once(&self.current).chain(&self.older)
    }

    pub fn holds(&self, fingerprint: &KeyFingerprint) -> bool {
        self.iter().any(|key| key.fingerprint == *fingerprint)
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let standard: String = text
        .chars()
        .map(|c| {
            if c == '-' {
                '+'
            } else if c == '_' {
                '/'
            } else {
                c
            }
        })
        .collect();
    let standard = Zeroizing::new(standard);
    GeneralPurpose::new(&base64::alphabet::STANDARD, config).decode(standard.as_bytes()).ok()
}

/// Makes a new key: 32 random bytes in base64.
///
/// # Errors
/// When there are no random bytes.
pub fn generate(entropy: &dyn Entropy) -> Result<Zeroizing<String>, EntropyUnavailable> {
    let secret = Zeroizing::new(entropy::random::<MIN_KEY_BYTES>(entropy)?);
    Ok(Zeroizing::new(STANDARD.encode(secret.as_slice())))
}

#[cfg(test)]
mod tests {
    use super::super::entropy::SystemEntropy;
    use super::*;

    #[test]
    fn keys_are_read_in_either_alphabet_padded_or_not_separated_by_commas_or_newlines() {
        let one = "+/+/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let same = "-_-_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let first = TokenKeys::parse(one).unwrap();
        let second = TokenKeys::parse(same).unwrap();
        assert_eq!(first.current().fingerprint(), second.current().fingerprint());

        let new = generate(&SystemEntropy).unwrap();
        for list in [format!("{},{one}", *new), format!("{}\n{one}\n", *new)] {
            let keys = TokenKeys::parse(&list).unwrap();
            assert_eq!(keys.iter().count(), 2);
            assert!(keys.holds(first.current().fingerprint()));
            assert_ne!(keys.current().fingerprint(), first.current().fingerprint());
        }
    }

    #[test]
    fn what_is_not_a_list_of_keys_is_refused_with_the_reason() {
        let good = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        for (text, reason) in [
            (String::new(), MalformedTokenKeys::None),
            (" ,\n".to_owned(), MalformedTokenKeys::None),
            (format!("{good},hunter2!"), MalformedTokenKeys::NotBase64 { which: 2 }),
            ("AAAA".to_owned(), MalformedTokenKeys::TooShort { which: 1, bytes: 3 }),
            (format!("{good},{good}"), MalformedTokenKeys::Repeated { which: 2 }),
        ] {
            assert_eq!(TokenKeys::parse(&text).unwrap_err(), reason, "{text}");
        }
    }
}
