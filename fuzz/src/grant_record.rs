//! Grant records as a store might hand them out.

use symbolon::grants::{EncodedRecord, MalformedRecord};

/// The one version there is.
const VERSION: u8 = 1;

pub fn check(data: &[u8]) {
    decode(data);
    // Past the version byte, where the work is.
    decode(&[&[VERSION], data].concat());
}

fn decode(bytes: &[u8]) {
    let encoded = EncodedRecord::from_bytes(bytes.to_vec());
    match encoded.decode() {
        Ok(record) => {
            assert_eq!(bytes.first(), Some(&VERSION));
            let again = record.encode();
            assert!(again.as_bytes().len() <= bytes.len(), "there is no shorter spelling than ours");
            assert_eq!(again.decode().as_ref(), Ok(&record), "what was read can be kept");
            for token in &record.access_tokens {
                assert!(record.access_token(&token.digest).is_some());
            }
            let longer = EncodedRecord::from_bytes([bytes, &[0]].concat());
            assert_eq!(longer.decode(), Err(MalformedRecord::Malformed), "extended");
            let (shorter, _) = bytes.split_at(bytes.len() - 1);
            assert!(EncodedRecord::from_bytes(shorter.to_vec()).decode().is_err(), "shortened");
        }
        // A newer version is told apart, for it is a failure and not an inactive token.
        Err(MalformedRecord::UnknownVersion(version)) => {
            assert_eq!(bytes.first(), Some(&version));
            assert_ne!(version, VERSION);
        }
        Err(MalformedRecord::Malformed) => assert!(matches!(bytes.first(), None | Some(&VERSION))),
    }
}
