//! Lists of token keys, as an operator might mistype them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use symbolon::domain::token_key::{MIN_KEY_BYTES, MalformedTokenKeys, TokenKeys};

pub fn check(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        anything(text);
    }
    spelled_every_way(data);
}

fn anything(text: &str) {
    let parts: Vec<&str> = text.split([',', '\n']).map(str::trim).filter(|part| !part.is_empty()).collect();
    match TokenKeys::parse(text) {
        Ok(keys) => {
            assert_eq!(keys.iter().count(), parts.len(), "each part is a key");
            for (index, (key, part)) in keys.iter().zip(&parts).enumerate() {
                assert!(keys.holds(key.fingerprint()));
                let twins = keys.iter().filter(|other| other.fingerprint() == key.fingerprint());
                assert_eq!(twins.count(), 1, "key {index} is there twice");
                // 32 bytes are 43 digits.
                assert!(part.trim_end_matches('=').len() >= (MIN_KEY_BYTES * 4).div_ceil(3));
                assert!(!format!("{key:?}").contains(part), "Debug shows the secret");
            }
            assert_eq!(keys.current().fingerprint(), keys.iter().next().expect("the first").fingerprint());
        }
        Err(error) => {
            // An error of numbers only, so nothing of the text can be in it.
            let which = match error {
                MalformedTokenKeys::None => 0,
                MalformedTokenKeys::NotBase64 { which }
                | MalformedTokenKeys::TooShort { which, .. }
                | MalformedTokenKeys::Repeated { which } => which,
            };
            assert!(which <= parts.len(), "{error}");
            assert_eq!(error == MalformedTokenKeys::None, parts.is_empty());
        }
    }
}

/// Either alphabet, padded or not: the same key.
fn spelled_every_way(secret: &[u8]) {
    let spellings =
        [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].map(|engine| engine.encode(secret));
    let Ok(expected) = TokenKeys::from_secrets([secret]) else {
        assert!(secret.len() < MIN_KEY_BYTES);
        assert!(spellings.iter().all(|text| TokenKeys::parse(text).is_err()), "a short key was accepted");
        return;
    };
    for text in &spellings {
        let read = TokenKeys::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(read.current().fingerprint(), expected.current().fingerprint());
        let twice = TokenKeys::parse(&format!("{text},\n{text}")).map(drop);
        assert_eq!(twice, Err(MalformedTokenKeys::Repeated { which: 2 }));
    }
}
