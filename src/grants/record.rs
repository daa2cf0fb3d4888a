//! The record of a grant: its bytes are compact and carry a version.
//!
//! ```text
//! record  = version born expires_at client scope audience tokens
//! version = 1 byte, 1
//! born    = varint            change number
//! …_at    = varint            Unix seconds
//! client  = text              text = varint length, UTF-8
//! scope   = text              words separated by spaces; may be empty
//! audience= varint count, that many texts (resource-server ids)
//! tokens  = varint count, that many of: 16 bytes digest, varint issued_at, varint lifetime
//! ```
//!
//! A newer version reads every older one. A record of a newer version is not understood, which is
//! a failure (503), never "inactive".

use std::fmt;
use std::time::Duration;

use crate::domain::clock::Timestamp;
use crate::domain::identifier::{ClientId, ResourceServerId};
use crate::domain::position::ChangeNumber;
use crate::domain::scope::Scope;
use crate::domain::token::TokenDigest;

const VERSION: u8 = 1;

/// What one client was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRecord {
    /// The position of the feed that was known before the first fact that justified this grant.
    pub born: ChangeNumber,
    /// The grant's absolute end. Never changes.
    pub expires_at: Timestamp,
    pub client: ClientId,
    pub scope: Scope,
    pub audience: Vec<ResourceServerId>,
    pub access_tokens: Vec<AccessToken>,
}

/// An access token of a grant, as far as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    pub digest: TokenDigest,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
}

/// The bytes are not a record that this version understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MalformedRecord {
    UnknownVersion(u8),
    Malformed,
}

impl fmt::Display for MalformedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownVersion(version) => {
                write!(f, "a grant record has version {version}; a newer symbolon wrote it")
            }
            Self::Malformed => f.write_str("a grant record is malformed"),
        }
    }
}

impl std::error::Error for MalformedRecord {}

/// A record as a store holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct EncodedRecord(Vec<u8>);

impl EncodedRecord {
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// # Errors
    /// When the bytes are not a record, or one of a newer version.
    pub fn decode(&self) -> Result<GrantRecord, MalformedRecord> {
        match self.0.split_first() {
            Some((&VERSION, rest)) => {
                let mut reader = Reader(rest);
                let record = read(&mut reader).ok_or(MalformedRecord::Malformed)?;
                if reader.0.is_empty() { Ok(record) } else { Err(MalformedRecord::Malformed) }
            }
            Some((version, _)) => Err(MalformedRecord::UnknownVersion(*version)),
            None => Err(MalformedRecord::Malformed),
        }
    }
}

impl fmt::Debug for EncodedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EncodedRecord({} bytes)", self.0.len())
    }
}

impl GrantRecord {
    pub fn encode(&self) -> EncodedRecord {
        let mut bytes = Vec::with_capacity(128);
        bytes.push(VERSION);
        put_varint(&mut bytes, self.born.get());
        put_timestamp(&mut bytes, self.expires_at);
        put_text(&mut bytes, self.client.as_str());
        put_text(&mut bytes, self.scope.as_str());
        put_varint(&mut bytes, self.audience.len() as u64);
        for id in &self.audience {
            put_text(&mut bytes, id.as_str());
        }
        put_varint(&mut bytes, self.access_tokens.len() as u64);
        for token in &self.access_tokens {
            bytes.extend_from_slice(token.digest.as_bytes());
            put_timestamp(&mut bytes, token.issued_at);
            put_varint(&mut bytes, (token.expires_at - token.issued_at).as_secs());
        }
        EncodedRecord(bytes)
    }

    /// The token with this digest, alive or not. Every token is compared, in constant time.
    pub fn access_token(&self, digest: &TokenDigest) -> Option<&AccessToken> {
        self.access_tokens.iter().fold(
            None,
            |found, token| {
                if token.digest == *digest { Some(token) } else { found }
            },
        )
    }
}

fn read(reader: &mut Reader<'_>) -> Option<GrantRecord> {
    let born = ChangeNumber::new(reader.varint()?);
    let expires_at = reader.timestamp()?;
    let client = ClientId::parse(reader.text()?).ok()?;
    let scope = match reader.text()? {
        "" => Scope::default(),
        text => Scope::parse(text).ok()?,
    };
    let audience = reader.list(|reader| ResourceServerId::parse(reader.text()?).ok())?;
    let access_tokens = reader.list(|reader| {
        let digest = TokenDigest::from_bytes(reader.array()?);
        let issued_at = reader.timestamp()?;
        let lifetime = Duration::from_secs(reader.varint()?);
        Some(AccessToken { digest, issued_at, expires_at: issued_at + lifetime })
    })?;
    Some(GrantRecord { born, expires_at, client, scope, audience, access_tokens })
}

/// LEB128: seven bits a byte, the lowest first.
fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        let [low, ..] = value.to_le_bytes();
        bytes.push(low | 0x80);
        value >>= 7;
    }
    let [low, ..] = value.to_le_bytes();
    bytes.push(low);
}

fn put_timestamp(bytes: &mut Vec<u8>, at: Timestamp) {
    put_varint(bytes, u64::try_from(at.unix_seconds()).unwrap_or(0));
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_varint(bytes, text.len() as u64);
    bytes.extend_from_slice(text.as_bytes());
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    /// Refuses a number that has a shorter spelling or does not fit, so that equal records have
    /// equal bytes.
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return None;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return (byte != 0 || shift == 0).then_some(value);
            }
        }
        None
    }

    fn timestamp(&mut self) -> Option<Timestamp> {
        i64::try_from(self.varint()?).ok().map(Timestamp::from_unix_seconds)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.varint()?).ok()?;
        std::str::from_utf8(self.take(length)?).ok()
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        // Grown as items are read: a forged count allocates nothing.
        let count = self.varint()?;
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(item(self)?);
        }
        Some(items)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record() -> GrantRecord {
        GrantRecord {
            born: ChangeNumber::new(300),
            expires_at: Timestamp::from_unix_seconds(1_800_000_900),
            client: ClientId::parse("cl_3fG8sK20aQz").unwrap(),
            scope: Scope::parse("notes:read notes:write").unwrap(),
            audience: vec![ResourceServerId::parse("rs_9zK20aQ3fG8").unwrap()],
            access_tokens: vec![AccessToken {
                digest: TokenDigest::from_bytes([0xab; 16]),
                issued_at: Timestamp::from_unix_seconds(1_800_000_000),
                expires_at: Timestamp::from_unix_seconds(1_800_000_900),
            }],
        }
    }

    /// Written by version 1 of the format. Never change it: newer versions must read it.
    const VERSION_1: &[u8] = b"\x01\xac\x02\x84\xab\xa7\xda\x06\x0ecl_3fG8sK20aQz\
        \x16notes:read notes:write\x01\x0ers_9zK20aQ3fG8\x01\
        \xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\
        \x80\xa4\xa7\xda\x06\x84\x07";

    #[test]
    fn version_1_is_read_for_ever() {
        assert_eq!(EncodedRecord::from_bytes(VERSION_1.to_vec()).decode(), Ok(record()));
        assert_eq!(record().encode().as_bytes(), VERSION_1);
    }

    #[test]
    fn a_newer_version_is_a_failure_of_its_own() {
        let mut bytes = VERSION_1.to_vec();
        bytes[0] = 2;
        let error = EncodedRecord::from_bytes(bytes).decode().unwrap_err();
        assert_eq!(error, MalformedRecord::UnknownVersion(2));
    }

    #[test]
    fn every_truncation_and_extension_is_malformed() {
        for length in 0..VERSION_1.len() {
            assert!(EncodedRecord::from_bytes(VERSION_1[..length].to_vec()).decode().is_err());
        }
        let extended = [VERSION_1, b"\0"].concat();
        assert!(EncodedRecord::from_bytes(extended).decode().is_err());
    }

    #[test]
    fn a_forged_count_neither_panics_nor_allocates() {
        let huge = [&VERSION_1[..46], b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"].concat();
        assert!(EncodedRecord::from_bytes(huge).decode().is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(mut bytes: Vec<u8>) {
            if let Some(first) = bytes.first_mut() {
                *first = VERSION;
            }
            if let Ok(record) = EncodedRecord::from_bytes(bytes.clone()).decode() {
                let again = record.encode().decode();
                prop_assert_eq!(again, Ok(record));
            }
        }

        #[test]
        fn a_changed_byte_never_panics(at in 0..VERSION_1.len(), byte: u8) {
            let mut bytes = VERSION_1.to_vec();
            bytes[at] = byte;
            let _ = EncodedRecord::from_bytes(bytes).decode();
        }

        #[test]
        fn varints_survive(value: u64) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            prop_assert_eq!(Reader(&bytes).varint(), Some(value));
        }
    }
}
