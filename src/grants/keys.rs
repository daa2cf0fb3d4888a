//! Redis keys: the one place that writes their names. `docs/REDIS-KEYS.md` describes them.
//!
//! Every key is built of our own random ids and keyed digests; no user input and no token is part of one.

use crate::domain::identifier::GrantId;

/// The key of the witness.
pub const WITNESS: &[u8] = b"symbolon:witness";

const GRANT_PREFIX: [u8; 2] = *b"g:";

/// What every record's key matches, and nothing else of ours does.
pub const RECORDS: &[u8] = b"g:*";

/// `g:` and the twelve bytes of the grant id: with Redis's own header, exactly 16 bytes.
pub fn grant(id: GrantId) -> [u8; 2 + GrantId::BYTES] {
    let mut key = [0; 2 + GrantId::BYTES];
    for (byte, part) in key.iter_mut().zip(GRANT_PREFIX.iter().chain(id.as_bytes())) {
        *byte = *part;
    }
    key
}

/// The id in the key of a record; `None` for other keys.
pub fn id_of(key: &[u8]) -> Option<GrantId> {
    key.strip_prefix(&GRANT_PREFIX)?.try_into().ok().map(GrantId::from_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_leads_back_to_its_id() {
        let id = GrantId::from_bytes(*b"twelve bytes");
        assert_eq!(id_of(&grant(id)), Some(id));
        for other in [WITNESS, b"g:", b"g:eleven byte", b"g:thirteen byte", b"twelve bytes"] {
            assert_eq!(id_of(other), None);
        }
    }
}
