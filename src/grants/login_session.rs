//! The record of a login session: who is logged in, since when, and from where.
//!
//! ```text
//! record  = 0x51 digest born subject created_at last_seen idle ends_at address browser
//! digest  = 16 bytes          of the token
//! born    = varint            change number
//! …_at    = varint            Unix seconds; so is last_seen
//! idle    = varint            seconds
//! subject = text              text = varint length, UTF-8; so are address and browser, which may be empty
//! ```

use std::net::IpAddr;
use std::time::Duration;

use super::record::bytes::{Reader, put_text, put_timestamp, put_varint};
use super::{EncodedRecord, MalformedRecord};
use crate::domain::clock::Timestamp;
use crate::domain::identifier::UserId;
use crate::domain::position::ChangeNumber;
use crate::domain::token::TokenDigest;

/// Versions of grants count up from 1; kinds of records that are no grants stand far from them.
const KIND: u8 = 0x51;

/// A browser in which a user has logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginSessionRecord {
    pub digest: TokenDigest,
    /// The position of the feed that was known before the password was checked.
    pub born: ChangeNumber,
    pub subject: UserId,
    /// When the user proved who they are.
    pub created_at: Timestamp,
    pub last_seen: Timestamp,
    /// How long it lives on without being seen.
    pub idle: Duration,
    /// Its absolute end. Never changes.
    pub ends_at: Timestamp,
    pub address: Option<IpAddr>,
    pub browser: String,
}

impl LoginSessionRecord {
    /// When it ends unless it is seen before.
    pub fn expires_at(&self) -> Timestamp {
        (self.last_seen + self.idle).min(self.ends_at)
    }

    pub fn encode(&self) -> EncodedRecord {
        let mut bytes = Vec::with_capacity(128);
        bytes.push(KIND);
        bytes.extend(self.digest.as_bytes());
        put_varint(&mut bytes, self.born.get());
        put_text(&mut bytes, self.subject.as_str());
        put_timestamp(&mut bytes, self.created_at);
        put_timestamp(&mut bytes, self.last_seen);
        put_varint(&mut bytes, self.idle.as_secs());
        put_timestamp(&mut bytes, self.ends_at);
        put_text(&mut bytes, &self.address.map(|address| address.to_string()).unwrap_or_default());
        put_text(&mut bytes, &self.browser);
        EncodedRecord::from_bytes(bytes)
    }

    /// # Errors
    /// When the bytes are another record, or none.
    pub fn decode(record: &EncodedRecord) -> Result<Self, MalformedRecord> {
        let (kind, rest) = record.as_bytes().split_first().ok_or(MalformedRecord::Malformed)?;
        if *kind != KIND {
            return Err(MalformedRecord::UnknownVersion(*kind));
        }
        let mut reader = Reader(rest);
        let session = read(&mut reader).ok_or(MalformedRecord::Malformed)?;
        if reader.0.is_empty() { Ok(session) } else { Err(MalformedRecord::Malformed) }
    }
}

fn read(reader: &mut Reader<'_>) -> Option<LoginSessionRecord> {
    Some(LoginSessionRecord {
        digest: TokenDigest::from_bytes(reader.array()?),
        born: ChangeNumber::new(reader.varint()?),
        subject: UserId::parse(reader.text()?).ok()?,
        created_at: reader.timestamp()?,
        last_seen: reader.timestamp()?,
        idle: Duration::from_secs(reader.varint()?),
        ends_at: reader.timestamp()?,
        address: match reader.text()? {
            "" => None,
            text => Some(text.parse().ok()?),
        },
        browser: reader.text()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> LoginSessionRecord {
        LoginSessionRecord {
            digest: TokenDigest::from_bytes([0xab; 16]),
            born: ChangeNumber::new(300),
            subject: UserId::parse("usr_9zK20aQ3fG8").unwrap(),
            created_at: Timestamp::from_unix_seconds(1_800_000_000),
            last_seen: Timestamp::from_unix_seconds(1_800_000_060),
            idle: Duration::from_secs(900),
            ends_at: Timestamp::from_unix_seconds(1_800_086_400),
            address: Some(IpAddr::from([192, 0, 2, 7])),
            browser: "Firefox on Linux".to_owned(),
        }
    }

    /// Written by the first version of the format. Never change it: newer versions must read it.
    const FIRST: &[u8] = b"\x51\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xab\xac\x02\
        \x0fusr_9zK20aQ3fG8\x80\xa4\xa7\xda\x06\xbc\xa4\xa7\xda\x06\x84\x07\x80\xc7\xac\xda\x06\
        \x09192.0.2.7\x10Firefox on Linux";

    #[test]
    fn a_record_has_one_spelling() {
        let encoded = EncodedRecord::from_bytes(FIRST.to_vec());
        assert_eq!(record().encode().as_bytes().escape_ascii().to_string(), FIRST.escape_ascii().to_string());
        assert_eq!(LoginSessionRecord::decode(&encoded), Ok(record()));
        let nowhere = LoginSessionRecord { address: None, browser: String::new(), ..record() };
        assert_eq!(LoginSessionRecord::decode(&nowhere.encode()), Ok(nowhere));
        // No grant is taken for one, and none for a grant.
        assert_eq!(encoded.decode(), Err(MalformedRecord::UnknownVersion(KIND)));
        let grant = EncodedRecord::from_bytes(b"\x01".to_vec());
        assert_eq!(LoginSessionRecord::decode(&grant), Err(MalformedRecord::UnknownVersion(1)));
    }

    #[test]
    fn every_truncation_and_extension_is_malformed() {
        for length in 0..FIRST.len() {
            let bytes = FIRST[..length].to_vec();
            assert!(LoginSessionRecord::decode(&EncodedRecord::from_bytes(bytes)).is_err(), "{length}");
        }
        let extended = EncodedRecord::from_bytes([FIRST, b"\0"].concat());
        assert!(LoginSessionRecord::decode(&extended).is_err());
    }

    #[test]
    fn it_ends_when_it_is_not_seen_and_at_its_absolute_end() {
        let seen = record();
        assert_eq!(seen.expires_at(), seen.last_seen + seen.idle);
        let late = LoginSessionRecord { last_seen: seen.ends_at - Duration::from_secs(1), ..seen };
        assert_eq!(late.expires_at(), late.ends_at);
    }
}
