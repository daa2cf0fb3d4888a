//! What belongs to a user: a record that lists the ids of login sessions, another those of grants.
//!
//! ```text
//! record = 0x71 entries       entries = 12 bytes id, varint ends_at (Unix seconds); in ascending order of their end
//! ```
//!
//! It is a help to find things and proves nothing: an id is listed before its record is made, and may outlast it. A
//! list that is full leaves out what ends first, though it lives: whoever shows a list says so.

use sha2::{Digest as _, Sha256};

use super::record::bytes::{Reader, put_timestamp};
use super::{EncodedRecord, GrantStore, MalformedRecord, StoreError};
use crate::domain::clock::Timestamp;
use crate::domain::identifier::{GrantId, UserId};

/// Versions of grants count up from 1; kinds of records that are no grants stand far from them.
const KIND: u8 = 0x71;

/// More than anybody looks through. The first to end are left out.
const MOST_LISTED: usize = 500;

/// How often an entry is tried when others change the list at the same time.
const RACES: usize = 1000;

/// What of a user's is listed.
#[derive(Clone, Copy, Debug)]
pub enum Listing {
    LoginSessions,
    /// What they gave clients.
    Grants,
}

impl Listing {
    /// Where it is kept. A user's id is our own and random, so its digest needs no key.
    pub fn of(self, subject: &UserId) -> GrantId {
        let kind: &[u8] = match self {
            Self::LoginSessions => b"symbolon/login-sessions/v1",
            Self::Grants => b"symbolon/grants/v1",
        };
        let digest = Sha256::new_with_prefix(kind).chain_update(subject.as_str());
        let mut id = [0; GrantId::BYTES];
        for (byte, digest) in id.iter_mut().zip(digest.finalize()) {
            *byte = digest;
        }
        GrantId::from_bytes(id)
    }
}

/// What is found in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// The last to end first.
    pub ids: Vec<GrantId>,
    /// There may be others, which end earlier.
    pub is_full: bool,
}

/// Ids, and when what they name ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Index(Vec<(GrantId, Timestamp)>);

impl Index {
    fn encode(&self) -> EncodedRecord {
        let mut bytes = vec![KIND];
        for (id, ends_at) in &self.0 {
            bytes.extend(id.as_bytes());
            put_timestamp(&mut bytes, *ends_at);
        }
        EncodedRecord::from_bytes(bytes)
    }

    fn decode(record: &EncodedRecord) -> Result<Self, MalformedRecord> {
        let (kind, rest) = record.as_bytes().split_first().ok_or(MalformedRecord::Malformed)?;
        if *kind != KIND {
            return Err(MalformedRecord::UnknownVersion(*kind));
        }
        let mut reader = Reader(rest);
        let mut entries = Vec::new();
        while !reader.0.is_empty() {
            let id = reader.array().map(GrantId::from_bytes).ok_or(MalformedRecord::Malformed)?;
            entries.push((id, reader.timestamp().ok_or(MalformedRecord::Malformed)?));
        }
        Ok(Self(entries))
    }

    fn with(mut self, id: GrantId, ends_at: Timestamp, now: Timestamp) -> Self {
        self.0.retain(|(other, ends_at)| *other != id && *ends_at > now);
        let at = self.0.partition_point(|(_, other)| *other <= ends_at);
        self.0.insert(at, (id, ends_at));
        let too_many = self.0.len().saturating_sub(MOST_LISTED);
        self.0.drain(..too_many);
        self
    }
}

/// Lists `id`, which ends at `ends_at`, under `index`.
///
/// # Errors
/// When the store did not confirm.
pub async fn list(
    store: &dyn GrantStore,
    index: GrantId,
    id: GrantId,
    ends_at: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    for _ in 0..RACES {
        let found = store.load(index).await?;
        let entries = found.as_ref().map(decode).transpose()?.unwrap_or_default().with(id, ends_at, now);
        let end = entries.0.last().map_or(ends_at, |(_, end)| *end);
        let listed = match &found {
            Some(found) => store.compare_and_swap(index, found, &entries.encode(), end).await?,
            None => store.insert(index, &entries.encode(), end).await?,
        };
        if listed {
            return Ok(());
        }
    }
    Err(StoreError::new("a list is changed faster than it can be read"))
}

/// What is listed under `index`.
///
/// # Errors
/// When the store cannot be asked.
pub async fn listed(store: &dyn GrantStore, index: GrantId) -> Result<Listed, StoreError> {
    read(store.load(index).await?.as_ref())
}

/// What a record of a list holds, which may be none yet.
///
/// # Errors
/// When the record is no list.
pub fn read(found: Option<&EncodedRecord>) -> Result<Listed, StoreError> {
    let Index(entries) = found.map(decode).transpose()?.unwrap_or_default();
    let is_full = entries.len() >= MOST_LISTED;
    Ok(Listed { ids: entries.into_iter().rev().map(|(id, _)| id).collect(), is_full })
}

fn decode(record: &EncodedRecord) -> Result<Index, StoreError> {
    Index::decode(record).map_err(StoreError::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn id(number: u8) -> GrantId {
        GrantId::from_bytes([number; GrantId::BYTES])
    }

    #[test]
    fn an_index_has_one_spelling() {
        let index = Index(vec![(id(b'a'), at(100)), (id(b'b'), at(300))]);
        assert_eq!(index.encode().as_bytes(), b"\x71aaaaaaaaaaaa\x64bbbbbbbbbbbb\xac\x02");
        assert_eq!(Index::decode(&index.encode()), Ok(index.clone()));
        for length in [0, 1 + 5, 1 + 12, 1 + 13 + 13] {
            let bytes = index.encode().as_bytes()[..length].to_vec();
            assert!(Index::decode(&EncodedRecord::from_bytes(bytes)).is_err(), "{length}");
        }
        assert!(index.encode().decode().is_err());
    }

    #[test]
    fn what_has_ended_leaves_and_so_do_the_first_to_end_of_too_many() {
        let index = Index::default().with(id(1), at(10), at(0)).with(id(2), at(30), at(0));
        let index = index.with(id(3), at(20), at(10));
        assert_eq!(index.0, [(id(3), at(20)), (id(2), at(30))]);
        let again = index.with(id(3), at(40), at(10));
        assert_eq!(again.0, [(id(2), at(30)), (id(3), at(40))]);
        let mut many = again;
        for number in 0..u16::try_from(MOST_LISTED).unwrap() {
            let [high, low] = number.to_be_bytes();
            let mut bytes = [0; GrantId::BYTES];
            (bytes[0], bytes[1]) = (high, low);
            many = many.with(GrantId::from_bytes(bytes), at(50), at(10));
        }
        assert_eq!(many.0.len(), MOST_LISTED);
        assert!(many.0.iter().all(|(_, ends_at)| *ends_at == at(50)));
    }
}
