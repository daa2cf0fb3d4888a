//! The record of failed attempts to log in: how many in a row, and when the last one was.
//!
//! ```text
//! record = 0x61, count (4 bytes, big-endian), last (8 bytes, big-endian, Unix milliseconds)
//! ```

use super::{EncodedRecord, MalformedRecord};

/// Versions of grants count up from 1; kinds of records that are no grants stand far from them.
const KIND: u8 = 0x61;

/// Failures in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FailureRecord {
    pub count: u32,
    /// When the last one was, in Unix milliseconds.
    pub last: i64,
}

impl FailureRecord {
    pub fn encode(&self) -> EncodedRecord {
        let mut bytes = Vec::with_capacity(13);
        bytes.push(KIND);
        bytes.extend(self.count.to_be_bytes());
        bytes.extend(self.last.to_be_bytes());
        EncodedRecord::from_bytes(bytes)
    }

    /// # Errors
    /// When the bytes are another record, or none.
    pub fn decode(record: &EncodedRecord) -> Result<Self, MalformedRecord> {
        let (kind, rest) = record.as_bytes().split_first().ok_or(MalformedRecord::Malformed)?;
        if *kind != KIND {
            return Err(MalformedRecord::UnknownVersion(*kind));
        }
        let (count, last) = rest.split_first_chunk().ok_or(MalformedRecord::Malformed)?;
        let last = last.try_into().map_err(|_| MalformedRecord::Malformed)?;
        Ok(Self { count: u32::from_be_bytes(*count), last: i64::from_be_bytes(last) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by the first version of the format. Never change it: newer versions must read it.
    const FIRST: &[u8] = b"\x61\0\0\x01\x02\0\0\x01\xa3\x18\x5d\x40\x05";

    #[test]
    fn a_record_has_one_spelling() {
        let record = FailureRecord { count: 258, last: 1_800_000_061_445 };
        let encoded = EncodedRecord::from_bytes(FIRST.to_vec());
        assert_eq!(FailureRecord::decode(&encoded), Ok(record));
        assert_eq!(record.encode().as_bytes(), FIRST);
        // No grant is taken for one, and none for a grant.
        assert_eq!(encoded.decode(), Err(MalformedRecord::UnknownVersion(KIND)));
        let grant = EncodedRecord::from_bytes(b"\x01".to_vec());
        assert_eq!(FailureRecord::decode(&grant), Err(MalformedRecord::UnknownVersion(1)));
    }

    #[test]
    fn every_truncation_and_extension_is_malformed() {
        for length in 0..FIRST.len() {
            let bytes = FIRST[..length].to_vec();
            assert!(FailureRecord::decode(&EncodedRecord::from_bytes(bytes)).is_err());
        }
        let extended = EncodedRecord::from_bytes([FIRST, b"\0"].concat());
        assert!(FailureRecord::decode(&extended).is_err());
    }
}
