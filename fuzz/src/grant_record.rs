//! Grant records as a store might hand them out.

use symbolon::grants::{EncodedRecord, MalformedRecord};

/// The versions there are.
const VERSIONS: [u8; 4] = [1, 2, 3, 4];

pub fn check(data: &[u8]) {
    decode(data);
    // Past the version byte, where the work is.
    for version in VERSIONS {
        decode(&[&[version], data].concat());
    }
}

fn decode(bytes: &[u8]) {
    let encoded = EncodedRecord::from_bytes(bytes.to_vec());
    match encoded.decode() {
        Ok(record) => {
            let says_more =
                record.address.is_some() || record.user.iter().any(|user| user.given_at.is_some());
            let version = if record.user.is_some() { 2 } else { 1 } + if says_more { 2 } else { 0 };
            assert_eq!(bytes.first(), Some(&version));
            let again = record.encode();
            assert!(again.as_bytes().len() <= bytes.len(), "there is no shorter spelling than ours");
            assert_eq!(again.decode().as_ref(), Ok(&record), "what was read can be kept");
            for token in &record.access_tokens {
                assert!(record.access_token(&token.digest).is_some());
                assert!(record.user.is_some() || token.restriction.is_none());
            }
            let longer = EncodedRecord::from_bytes([bytes, &[0]].concat());
            assert_eq!(longer.decode(), Err(MalformedRecord::Malformed), "extended");
            let (shorter, _) = bytes.split_at(bytes.len() - 1);
            assert!(EncodedRecord::from_bytes(shorter.to_vec()).decode().is_err(), "shortened");
        }
        // A newer version is told apart, for it is a failure and not an inactive token.
        Err(MalformedRecord::UnknownVersion(version)) => {
            assert_eq!(bytes.first(), Some(&version));
            assert!(!VERSIONS.contains(&version));
        }
        Err(MalformedRecord::Malformed) => {
            assert!(bytes.first().is_none_or(|version| VERSIONS.contains(version)));
        }
    }
}
