//! Secrets of clients and resource servers: 256 random bits that we generate, kept as a digest.
//!
//! A fast hash is right here: nobody can guess 256 random bits, so there is nothing for a slow
//! one to slow down, and it is checked on every request.

use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::base62;
use super::entropy::{self, Entropy, EntropyUnavailable};

/// How secrets begin.
pub const PREFIX: &str = "syk_";
const SECRET_DIGITS: usize = 43;
const CHECKSUM_DIGITS: usize = 6;
/// The least length of a secret that somebody brings along (`--secret-stdin`), in characters.
pub const MIN_SECRET_LENGTH: usize = 32;
/// The longest.
pub const MAX_SECRET_LENGTH: usize = 256;

/// Why a secret that somebody brought along is not taken. Holds no part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnsuitableSecret {
    Length { found: usize },
    Alphabet,
}

impl fmt::Display for UnsuitableSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { found } => write!(
                f,
                "a secret has {MIN_SECRET_LENGTH} to {MAX_SECRET_LENGTH} characters, this one has \
                 {found}; leave it out and one is made"
            ),
            Self::Alphabet => f.write_str("a secret is made of A-Z, a-z, 0-9, - and _"),
        }
    }
}

impl std::error::Error for UnsuitableSecret {}

/// A secret in plain: shown once, when it is made.
pub struct PlainSecret(Zeroizing<String>);

impl PlainSecret {
    /// Makes a secret: `syk_`, 256 random bits in 43 digits, CRC-32 in 6.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyUnavailable> {
        let bits = Zeroizing::new(entropy::random::<32>(entropy)?);
        let mut digits = Zeroizing::new([0; SECRET_DIGITS]);
        base62::encode(bits.as_slice(), digits.as_mut_slice());
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + 49));
        text.push_str(PREFIX);
        text.push_str(&String::from_utf8_lossy(digits.as_slice()));
        let mut checksum = [0; CHECKSUM_DIGITS];
        base62::encode(&crc32fast::hash(text.as_bytes()).to_be_bytes(), &mut checksum);
        text.push_str(&String::from_utf8_lossy(&checksum));
        Ok(Self(text))
    }

    /// Takes a secret that somebody brought along. It must be as hard to guess as ours, which only
    /// they can see to; what can be checked is checked.
    ///
    /// # Errors
    /// When it is too short, too long, or has characters that clients encode differently.
    pub fn bring(text: &str) -> Result<Self, UnsuitableSecret> {
        if !(MIN_SECRET_LENGTH..=MAX_SECRET_LENGTH).contains(&text.len()) {
            return Err(UnsuitableSecret::Length { found: text.len() });
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
            return Err(UnsuitableSecret::Alphabet);
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The secret itself. Name it only where it is handed to its owner.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub fn digest(&self) -> SecretDigest {
        SecretDigest::of(self.0.as_bytes())
    }
}

impl fmt::Debug for PlainSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlainSecret(…)")
    }
}

/// What is kept of a secret: its SHA-256. Compared in constant time.
#[derive(Clone, Copy)]
pub struct SecretDigest([u8; SecretDigest::BYTES]);

impl SecretDigest {
    pub const BYTES: usize = 32;

    /// The digest of whatever somebody presented as their secret.
    pub fn of(presented: &[u8]) -> Self {
        Self(Sha256::digest(presented).into())
    }

    /// `None` when the stored bytes are not a digest.
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl PartialEq for SecretDigest {
    fn eq(&self, other: &Self) -> bool {
        // Word by word: `subtle` hides every element from the optimizer, and one byte is as dear as eight.
        let words = |digest: &[u8; Self::BYTES]| {
            let mut words = [0; Self::BYTES / size_of::<u64>()];
            for (word, bytes) in words.iter_mut().zip(digest.as_chunks().0) {
                *word = u64::from_ne_bytes(*bytes);
            }
            words
        };
        words(&self.0).ct_eq(&words(&other.0)).into()
    }
}

impl Eq for SecretDigest {}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretDigest(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::super::entropy::SystemEntropy;
    use super::*;

    #[test]
    fn a_secret_has_256_bits_and_only_characters_that_need_no_encoding() {
        let secret = PlainSecret::generate(&SystemEntropy).unwrap();
        let text = secret.expose();
        assert_eq!(text.len(), 53);
        assert!(text.starts_with("syk_"));
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
        assert_eq!(secret.digest(), SecretDigest::of(text.as_bytes()));
        assert_ne!(secret.digest(), PlainSecret::generate(&SystemEntropy).unwrap().digest());
    }

    #[test]
    fn x23_debug_shows_no_secret() {
        let secret = PlainSecret::generate(&SystemEntropy).unwrap();
        assert_eq!(format!("{secret:?}"), "PlainSecret(…)");
        assert_eq!(format!("{:?}", secret.digest()), "SecretDigest(…)");
    }

    #[test]
    fn a_secret_brought_along_is_long_and_plain() {
        assert!(PlainSecret::bring(&"k".repeat(32)).is_ok());
        let short = UnsuitableSecret::Length { found: 31 };
        assert_eq!(PlainSecret::bring(&"k".repeat(31)).unwrap_err(), short);
        let error = PlainSecret::bring(&"k ".repeat(20)).unwrap_err();
        assert_eq!(error, UnsuitableSecret::Alphabet);
    }
}
