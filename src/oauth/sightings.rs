//! Where tokens were last seen: which resource server was told "active" about a grant, and when.
//!
//! Each worker notes it in a table of its own; every few seconds all tables are emptied, and written to SQL together.
//! It is a help for admins and proves nothing: what does not fit, or comes just when the table is being taken, is left
//! out and counted.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use crate::domain::clock::Timestamp;
use crate::domain::identifier::GrantId;

/// How many grants one table holds, some 500 kB.
const MOST_SIGHTINGS: usize = 10_000;

/// One worker's table.
#[derive(Debug, Default)]
pub struct Sightings {
    table: Mutex<Table>,
    left_out: AtomicU64,
}

/// When a grant was seen last, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which of the table's resource servers it was.
    server: u32,
    pub at: Timestamp,
    /// The grant's own end.
    pub ends_at: Timestamp,
}

/// What was noted since the table was last taken.
#[derive(Debug, Default)]
pub struct Table {
    seen: HashMap<GrantId, Seen, BuildHasherDefault<OwnHash>>,
    /// The ids of resource servers: few, and each is kept once.
    servers: HashMap<Box<str>, u32>,
    /// The last of them: mostly the next is the same.
    last: Option<(Box<str>, u32)>,
}

/// Grant ids are random, and only those of our own tokens come here: they are their own hash.
#[derive(Debug, Default)]
struct OwnHash(u64);

impl Hasher for OwnHash {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_ne_bytes(*first);
        }
    }

    /// The length of an id, which all have.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Sightings {
    /// Notes that a resource server was told that a token of this grant is active. Never waits.
    pub fn note(&self, grant: GrantId, server: &str, at: Timestamp, ends_at: Timestamp) {
        let mut table = match self.table.try_lock() {
            Ok(table) => table,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return self.leave_out(),
        };
        if table.seen.len() >= MOST_SIGHTINGS && !table.seen.contains_key(&grant) {
            return self.leave_out();
        }
        let server = table.number_of(server);
        table.seen.insert(grant, Seen { server, at, ends_at });
    }

    fn leave_out(&self) {
        self.left_out.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes all that was noted, and how many were left out.
    pub fn take(&self) -> (Table, u64) {
        let room = self.lock().seen.len();
        // Made before the worker has to do without, with room for as many again.
        let fresh = Table {
            seen: HashMap::with_capacity_and_hasher(room, BuildHasherDefault::default()),
            ..Table::default()
        };
        let taken = std::mem::replace(&mut *self.lock(), fresh);
        (taken, self.left_out.swap(0, Ordering::Relaxed))
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn number_of(&mut self, server: &str) -> u32 {
        if let Some((last, number)) = &self.last
            && **last == *server
        {
            return *number;
        }
        let next = u32::try_from(self.servers.len()).unwrap_or(u32::MAX);
        let number = *self.servers.entry(server.into()).or_insert(next);
        self.last = Some((server.into(), number));
        number
    }

    /// Everything in it: the grant, the resource server's id, and when.
    pub fn rows(&self) -> impl Iterator<Item = (GrantId, &str, Seen)> {
        let mut names: Vec<(u32, &str)> =
            self.servers.iter().map(|(name, number)| (*number, &**name)).collect();
        names.sort_unstable();
        self.seen.iter().filter_map(move |(grant, seen)| {
            let (_, name) = *names.get(usize::try_from(seen.server).ok()?)?;
            Some((*grant, name, *seen))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn id(number: u32) -> GrantId {
        let mut bytes = [0; GrantId::BYTES];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        GrantId::from_bytes(bytes)
    }

    #[test]
    fn of_a_grant_the_last_sighting_is_kept_and_the_next_table_is_empty() {
        let sightings = Sightings::default();
        sightings.note(id(1), "rs_one", at(10), at(90));
        sightings.note(id(2), "rs_two", at(10), at(80));
        sightings.note(id(1), "rs_two", at(11), at(90));
        let (table, left_out) = sightings.take();
        let mut rows: Vec<_> =
            table.rows().map(|(id, server, seen)| (id, server, seen.at, seen.ends_at)).collect();
        rows.sort_unstable();
        assert_eq!(rows, [(id(1), "rs_two", at(11), at(90)), (id(2), "rs_two", at(10), at(80))]);
        assert_eq!(left_out, 0);
        assert_eq!(sightings.take().0.rows().count(), 0);
    }

    #[test]
    fn a_full_table_takes_only_what_it_has_and_counts_the_rest() {
        let sightings = Sightings::default();
        let most = u32::try_from(MOST_SIGHTINGS).unwrap();
        for number in 0..most + 7 {
            sightings.note(id(number), "rs_one", at(10), at(90));
        }
        sightings.note(id(0), "rs_one", at(20), at(90));
        let (table, left_out) = sightings.take();
        assert_eq!((table.rows().count(), left_out), (MOST_SIGHTINGS, 7));
        assert!(table.rows().any(|(grant, _, seen)| grant == id(0) && seen.at == at(20)));
    }

    #[test]
    fn whoever_notes_does_not_wait_for_whoever_takes() {
        let sightings = Sightings::default();
        let taking = sightings.lock();
        sightings.note(id(1), "rs_one", at(10), at(90));
        drop(taking);
        let (table, left_out) = sightings.take();
        assert_eq!((table.rows().count(), left_out), (0, 1));
    }
}
