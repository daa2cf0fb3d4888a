use proptest::prelude::*;

use super::*;
use crate::domain::entropy::SystemEntropy;
use crate::domain::token_key::TokenKeys;

fn keys(seed: u8) -> TokenKeys {
    TokenKeys::from_secrets([[seed; 32].to_vec()]).unwrap()
}

fn mint(kind: TokenKind, keys: &TokenKeys) -> PlainToken {
    let grant_id = GrantId::generate(&SystemEntropy).unwrap();
    PlainToken::generate(kind, grant_id, keys, &SystemEntropy).unwrap()
}

#[test]
fn lengths_are_those_of_the_contract() {
    for kind in TokenKind::ALL {
        let token = mint(kind, &keys(1));
        let expected = if kind == TokenKind::Refresh { 65 } else { 60 };
        assert_eq!(token.expose().len(), expected);
        assert!(token.expose().starts_with(kind.prefix()));
    }
}

#[test]
fn the_checksum_is_plain_crc32_in_six_digits() {
    let token = mint(TokenKind::Access, &keys(1));
    let (body, checksum) = token.expose().split_at(54);
    let mut digits = [0; 6];
    base62::encode(&crc32fast::hash(body.as_bytes()).to_be_bytes(), &mut digits);
    assert_eq!(checksum.as_bytes(), digits);
    // The check value of CRC-32/IEEE.
    assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
}

#[test]
fn a_token_is_recognised_by_the_installation_that_made_it() {
    for kind in TokenKind::ALL {
        let ours = keys(1);
        let token = mint(kind, &ours);
        let parsed = TokenString::parse(token.expose().as_bytes()).unwrap();
        assert_eq!(parsed.kind(), kind);
        assert_eq!(parsed.digest(), token.digest());
        assert!(parsed.made_by(&ours).is_some());
        assert!(parsed.made_by(&keys(2)).is_none());
    }
}

#[test]
fn a_token_of_an_older_key_is_recognised_while_that_key_is_held() {
    let token = mint(TokenKind::Access, &keys(1));
    let parsed = TokenString::parse(token.expose().as_bytes()).unwrap();
    let both = TokenKeys::from_secrets([[2; 32].to_vec(), [1; 32].to_vec()]).unwrap();
    assert!(parsed.made_by(&both).is_some());
}

#[test]
fn x3_every_truncation_extension_and_padding_is_refused() {
    for kind in TokenKind::ALL {
        let token = mint(kind, &keys(1));
        let text = token.expose();
        for length in 0..text.len() {
            assert!(TokenString::parse(&text.as_bytes()[..length]).is_err(), "first {length}");
        }
        for byte in 0..=u8::MAX {
            let extended = [text.as_bytes(), &[byte]].concat();
            assert!(TokenString::parse(&extended).is_err(), "extended by {byte}");
            let padded = [&[byte], text.as_bytes()].concat();
            assert!(TokenString::parse(&padded).is_err(), "preceded by {byte}");
        }
    }
}

#[test]
fn x3_every_changed_character_is_refused() {
    for kind in TokenKind::ALL {
        let token = mint(kind, &keys(1));
        let text = token.expose().as_bytes();
        for at in 0..text.len() {
            for byte in 0..=u8::MAX {
                let mut changed = text.to_vec();
                changed[at] = byte;
                if changed != text {
                    assert!(TokenString::parse(&changed).is_err(), "{at}: {byte}");
                }
            }
        }
    }
}

#[test]
fn x2_a_fitting_checksum_does_not_make_a_token() {
    let token = mint(TokenKind::Access, &keys(1));
    let mut forged = token.expose().as_bytes()[..54].to_vec();
    forged[30] = if forged[30] == b'a' { b'b' } else { b'a' };
    let mut checksum = [0; 6];
    base62::encode(&crc32fast::hash(&forged).to_be_bytes(), &mut checksum);
    forged.extend(checksum);
    let parsed = TokenString::parse(&forged).unwrap();
    assert!(parsed.made_by(&keys(1)).is_none());
}

#[test]
fn x5_a_token_is_not_recognised_as_another_kind() {
    let token = mint(TokenKind::Access, &keys(1));
    for kind in [TokenKind::AuthorizationCode, TokenKind::LoginSession, TokenKind::Device] {
        let body = format!("{}{}", kind.prefix(), &token.expose()[4..54]);
        let mut checksum = [0; 6];
        base62::encode(&crc32fast::hash(body.as_bytes()).to_be_bytes(), &mut checksum);
        let renamed = [body.as_bytes(), &checksum].concat();
        let parsed = TokenString::parse(&renamed).unwrap();
        assert!(parsed.made_by(&keys(1)).is_none());
    }
}

/// Of one grant, so that all that tells them apart is their random half.
#[test]
fn x1_a_million_tokens_are_all_different() {
    const EACH: usize = 250_000;
    let keys = keys(1);
    let grant_id = GrantId::generate(&SystemEntropy).unwrap();
    let mint = || {
        let token = PlainToken::generate(TokenKind::Access, grant_id, &keys, &SystemEntropy).unwrap();
        // The 22 digits after the grant id hold what is random.
        <[u8; 22]>::try_from(&token.expose().as_bytes()[21..43]).unwrap()
    };
    let seen: std::collections::HashSet<[u8; 22]> = std::thread::scope(|threads| {
        let minters = [(); 4].map(|()| threads.spawn(|| (0..EACH).map(|_| mint()).collect::<Vec<_>>()));
        minters.into_iter().flat_map(|minter| minter.join().unwrap()).collect()
    });
    assert_eq!(seen.len(), 4 * EACH);
}

#[test]
fn x23_debug_shows_no_secret() {
    let token = mint(TokenKind::Access, &keys(1));
    let secret = &token.expose()[21..];
    let parsed = TokenString::parse(token.expose().as_bytes()).unwrap();
    for shown in [format!("{token:?}"), format!("{parsed:?}"), format!("{:?}", token.digest())] {
        assert!(!shown.contains(&secret[..4]), "{shown}");
    }
}

#[test]
fn a_part_leads_to_its_grant() {
    let token = mint(TokenKind::Access, &keys(1));
    let text = token.expose();
    let id = TokenString::parse(text.as_bytes()).unwrap().grant_id();
    for part in [text, &text[..59], &text[..21], &text[4..21]] {
        assert_eq!(TokenPart::parse(part).unwrap().grant_id(), id, "{part}");
    }
    for part in [&text[..20], &text[4..20], "", "sya_"] {
        assert!(matches!(TokenPart::parse(part), Err(MalformedPart::TooShort { .. })), "{part}");
    }
    for part in [&format!("{text}x"), &text[4..30], &text[..30].replace('_', "-")] {
        assert!(matches!(TokenPart::parse(part), Err(MalformedPart::Malformed(_))), "{part}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes: Vec<u8>) {
        let _ = TokenString::parse(&bytes);
    }

    #[test]
    fn nothing_that_looks_like_a_token_makes_the_parser_panic(
        text in "sy[arcsd]_[0-9A-Za-z]{50,62}"
    ) {
        prop_assert!(TokenString::parse(text.as_bytes()).is_err());
        let _ = TokenPart::parse(&text);
    }

    #[test]
    fn a_changed_case_is_refused(at in 0usize..60) {
        let token = mint(TokenKind::Access, &keys(1));
        let mut text = token.expose().as_bytes().to_vec();
        if text[at].is_ascii_alphabetic() {
            text[at] ^= 0x20;
            prop_assert!(TokenString::parse(&text).is_err());
        }
    }
}
