//! Tokens that follow from the one that was presented, so that a retry can be given them again
//! although none of them is kept.
//!
//! ```text
//! refresh token  = syr_ grant id  payload tag          payload = 16 derived bytes, masked number
//!   derived      = HMAC(refresh-token key, salt, presented)
//!   masked number= HMAC(rotation-mask key, grant id, derived) xor the rotation number
//! access token   = sya_ grant id  payload tag          payload = 16 derived bytes
//!   derived      = HMAC(access-token key, salt, presented, attempt, scope, audience…)
//! presented      = kind, grant id, payload and tag of the presented token
//! ```
//!
//! The HMACs are cut to the bytes needed, and everything in one has its length before it. All keys
//! come from the token key that made the presented token, so a chain stays under the key that it
//! began with, whichever is current. The salt is in the grant's record: neither the token key and an
//! old token, nor the store, nor both of them without a token, lead to the next.

use zeroize::Zeroizing;

use super::{MAX_PAYLOAD_BYTES, PlainToken, TokenKind, TokenString};
use crate::domain::identifier::{GrantId, ResourceServerId};
use crate::domain::scope::Scope;
use crate::domain::token_key::{DerivedUse, TokenKey};

/// Length of the salt that a grant's tokens are derived with.
pub const SALT_BYTES: usize = 16;
/// Length of what is derived of each token.
const DERIVED_BYTES: usize = 16;

/// What follows from a presented token.
#[derive(Clone, Copy, Debug)]
pub struct Successors<'t> {
    presented: &'t TokenString,
    key: &'t TokenKey,
    salt: &'t [u8; SALT_BYTES],
}

impl<'t> Successors<'t> {
    /// `key` is the one that made `presented`.
    pub const fn new(presented: &'t TokenString, key: &'t TokenKey, salt: &'t [u8; SALT_BYTES]) -> Self {
        Self { presented, key, salt }
    }

    /// The refresh token with this rotation number.
    pub fn refresh_token(&self, number: u32) -> PlainToken {
        let grant_id = self.presented.grant_id();
        let derived = self.key.derive(DerivedUse::RefreshToken, self.common());
        let mut payload = Zeroizing::new([0; MAX_PAYLOAD_BYTES]);
        let (random, masked) = payload.split_at_mut(DERIVED_BYTES);
        copy(random, derived.as_slice());
        let mask = rotation_mask(self.key, grant_id, random);
        copy(masked, &(number ^ mask).to_be_bytes());
        PlainToken::seal(TokenKind::Refresh, grant_id, self.key, payload.as_slice())
    }

    /// The access token of this attempt, for this scope and audience.
    pub fn access_token(&self, attempt: u32, scope: &Scope, audience: &[ResourceServerId]) -> PlainToken {
        let attempt = attempt.to_be_bytes();
        let what = [attempt.as_slice(), scope.as_str().as_bytes()];
        let audience = audience.iter().map(|id| id.as_str().as_bytes());
        let parts = self.common().into_iter().chain(what).chain(audience);
        let derived = self.key.derive(DerivedUse::AccessToken, parts);
        let (payload, _) = derived.split_at(DERIVED_BYTES);
        PlainToken::seal(TokenKind::Access, self.presented.grant_id(), self.key, payload)
    }

    fn common(&self) -> [&[u8]; 4] {
        let presented = self.presented;
        [self.salt, presented.kind().prefix().as_bytes(), presented.grant_id.as_bytes(), presented.secret()]
    }
}

impl TokenString {
    /// The number of a refresh token that `key` made: how many rotations led to it.
    pub fn rotation_number(&self, key: &TokenKey) -> u32 {
        let (random, rest) = self.secret.split_at(DERIVED_BYTES);
        let masked = rest.first_chunk().copied().map_or(0, u32::from_be_bytes);
        masked ^ rotation_mask(key, self.grant_id, random)
    }
}

fn rotation_mask(key: &TokenKey, grant_id: GrantId, random: &[u8]) -> u32 {
    let mask = key.derive(DerivedUse::RotationMask, [grant_id.as_bytes().as_slice(), random]);
    mask.first_chunk().copied().map_or(0, u32::from_be_bytes)
}

fn copy(into: &mut [u8], from: &[u8]) {
    for (byte, source) in into.iter_mut().zip(from) {
        *byte = *source;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::entropy::{Entropy, EntropyUnavailable, SystemEntropy};
    use crate::domain::token::TokenDigest;
    use crate::domain::token_key::TokenKeys;

    const SALT: [u8; SALT_BYTES] = [9; SALT_BYTES];

    /// Made by another program out of the description above, with the key `[7; 32]`, the grant id
    /// `[1, 2, … 12]` and the code's payload `[3; 16]`. Never change them: tokens live by them.
    const CODE: &str = "syc_00P9MVMcaXWHEX8yi020uHZziM83ccfPGM58G3zr7QqLpXgKYv27YgGP";
    const FIRST: &str = "syr_00P9MVMcaXWHEX8yi7hJ5B1moCCsYVoIaoOLRJoijQw7Ssr6bnmZjr62h3rqU";
    const FIRST_ACCESS: &str = "sya_00P9MVMcaXWHEX8yi064O8PuKehUkDYQGQjVuZ4Pxk9C0HSyZE28Tr1Z";
    const SECOND: &str = "syr_00P9MVMcaXWHEX8yi55AevAinwvNWCVBqr51xz4eapD5ZjUO4uaKDGN2LNa6K";
    const SECOND_ACCESS: &str = "sya_00P9MVMcaXWHEX8yi1FqG2GIcFSJ04GcRKdyFKM1xerBV5dWwR3g9HDL";

    fn keys() -> TokenKeys {
        TokenKeys::from_secrets([[7; 32]]).unwrap()
    }

    fn parse(text: &str) -> TokenString {
        TokenString::parse(text.as_bytes()).unwrap()
    }

    struct Threes;

    impl Entropy for Threes {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
            bytes.fill(3);
            Ok(())
        }
    }

    #[test]
    fn known_answers() {
        let keys = keys();
        let grant_id = GrantId::from_bytes([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        let code = PlainToken::generate(TokenKind::AuthorizationCode, grant_id, &keys, &Threes).unwrap();
        assert_eq!(code.expose(), CODE);
        let code = parse(CODE);
        let after_code = Successors::new(&code, keys.current(), &SALT);
        let (all, audience) = (Scope::parse("notes:read notes:write").unwrap(), "rs_9zK20aQ3fG8");
        let audience = [ResourceServerId::parse(audience).unwrap()];
        assert_eq!(after_code.refresh_token(1).expose(), FIRST);
        assert_eq!(after_code.access_token(1, &all, &audience).expose(), FIRST_ACCESS);
        let first = parse(FIRST);
        let after_first = Successors::new(&first, keys.current(), &SALT);
        assert_eq!(after_first.refresh_token(2).expose(), SECOND);
        let half = Scope::parse("notes:read").unwrap();
        assert_eq!(after_first.access_token(5, &half, &[]).expose(), SECOND_ACCESS);
    }

    #[test]
    fn what_follows_is_tagged_and_tells_its_number() {
        let keys = TokenKeys::from_secrets([[8; 32], [7; 32]]).unwrap();
        for (text, number) in [(FIRST, 1), (SECOND, 2)] {
            let token = parse(text);
            let key = token.made_by(&keys).unwrap();
            assert_eq!(key.fingerprint(), keys.iter().nth(1).unwrap().fingerprint());
            assert_eq!(token.rotation_number(key), number);
        }
    }

    #[test]
    fn x1_a_chain_shows_no_counter_and_never_repeats_itself() {
        let keys = keys();
        let mut token = parse(CODE);
        let (mut seen, mut last_four) = (std::collections::HashSet::new(), std::collections::HashSet::new());
        for number in 1..=2_000 {
            let next = Successors::new(&token, keys.current(), &SALT).refresh_token(number);
            token = parse(next.expose());
            assert_eq!(token.rotation_number(keys.current()), number);
            assert!(seen.insert(token.secret().to_vec()));
            last_four.insert(token.secret()[DERIVED_BYTES..MAX_PAYLOAD_BYTES].to_vec());
        }
        // Two of 2,000 random numbers of 32 bits are alike once in 2,000 runs; here every run is the same.
        assert_eq!(last_four.len(), 2_000);
    }

    #[test]
    fn everything_that_goes_into_a_token_makes_it_another() {
        let keys = TokenKeys::from_secrets([[7; 32], [8; 32]]).unwrap();
        let (code, first) = (parse(CODE), parse(FIRST));
        let mut digests: Vec<TokenDigest> = Vec::new();
        let words = ["a", "b", "a b", "ab"].map(|text| Scope::parse(text).unwrap());
        let ids = ["rs_a", "rs_b"].map(|id| ResourceServerId::parse(id).unwrap());
        for presented in [&code, &first] {
            for key in keys.iter() {
                for salt in [SALT, [8; SALT_BYTES]] {
                    let next = Successors::new(presented, key, &salt);
                    digests.extend([1, 2, u32::MAX].map(|number| next.refresh_token(number).digest()));
                    for attempt in [1, 2, u32::MAX] {
                        for scope in &words {
                            for audience in [&ids[..0], &ids[..1], &ids[1..], &ids[..]] {
                                digests.push(next.access_token(attempt, scope, audience).digest());
                            }
                        }
                    }
                }
            }
        }
        for (at, digest) in digests.iter().enumerate() {
            assert!(!digests[..at].contains(digest), "{at}");
        }
    }

    proptest! {
        #[test]
        fn every_number_is_read_back(number: u32, salt: [u8; SALT_BYTES]) {
            let (keys, grant_id) = (keys(), GrantId::generate(&SystemEntropy).unwrap());
            let kind = TokenKind::AuthorizationCode;
            let code = PlainToken::generate(kind, grant_id, &keys, &SystemEntropy).unwrap();
            let code = parse(code.expose());
            let next = Successors::new(&code, keys.current(), &salt).refresh_token(number);
            prop_assert_eq!(parse(next.expose()).rotation_number(keys.current()), number);
        }
    }
}
