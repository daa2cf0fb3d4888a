//! The grants known to be revoked, and the login sessions known to be ended: a persistent set, so
//! that each snapshot has its own and publishing a change copies a few kilobytes, however many there
//! are.
//!
//! A thousand branches by the leading bits of the grant id. Most of a branch is settled: one exact
//! block, sorted, never changed, shared by all clones. What came since is a short sorted list,
//! copied at each change, and merged when it is full. Grant ids are random, so the branches fill
//! evenly; ids that are not random can only come from an admin.

use std::sync::Arc;

use crate::domain::clock::Timestamp;
use crate::domain::identifier::GrantId;
use crate::domain::position::ChangeNumber;

const BRANCH_BITS: u32 = 10;
/// How many wait in a branch before they are settled. A change copies half of them, and its share
/// of a merge: at a million grants both are less than 1 kB. Larger branches leave larger holes behind,
/// which the allocator keeps.
const RECENT: usize = 32;
/// How many entries share a bucket, so that a look touches two or three lines of memory.
const PER_BUCKET: usize = 4;

/// How exactly the end of a grant is kept, in seconds: it is rounded up, so that what can still be
/// used is never forgotten, and three bytes are enough until the year 2106.
const ENDS_WITHIN: i64 = 256;

/// 20 bytes: a million of them are 20 MB. Within a branch, the grant's first byte is known.
#[derive(Clone, Copy, Debug)]
struct Revocation {
    grant: GrantRest,
    ends_at: [u8; 3],
    number: [u8; 6],
}

/// What of a grant's id does not follow from its branch.
type GrantRest = [u8; 11];

const _: () = assert!(BRANCH_BITS >= u8::BITS, "a branch knows the first byte of its grants");

fn rest(grant: &GrantId) -> GrantRest {
    let [_, rest @ ..] = *grant.as_bytes();
    rest
}

impl Revocation {
    fn new(grant: GrantId, ends_at: Timestamp, number: ChangeNumber) -> Self {
        let ends_at =
            u32::try_from(ends_at.unix_seconds().max(0).saturating_add(ENDS_WITHIN - 1) / ENDS_WITHIN);
        let [_, ends_at @ ..] = ends_at.unwrap_or(u32::MAX).min(0x00ff_ffff).to_be_bytes();
        let [_, _, number @ ..] = number.get().min(0xffff_ffff_ffff).to_be_bytes();
        Self { grant: rest(&grant), ends_at, number }
    }

    fn number(&self) -> ChangeNumber {
        let mut bytes = [0; 8];
        if let Some(low) = bytes.last_chunk_mut() {
            *low = self.number;
        }
        ChangeNumber::new(u64::from_be_bytes(bytes))
    }

    fn ends_at(&self) -> Timestamp {
        let [a, b, c] = self.ends_at;
        Timestamp::from_unix_seconds(i64::from(u32::from_be_bytes([0, a, b, c])) * ENDS_WITHIN)
    }
}

/// The branch of a grant.
fn branch_of(grant: &GrantId) -> usize {
    let leading = grant.as_bytes().first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    usize::try_from(leading >> (u32::BITS - BRANCH_BITS)).unwrap_or_default()
}

/// The place of a grant in its branch, as a fraction of 2^64.
fn place(rest: &GrantRest) -> u64 {
    let leading = rest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    leading << (BRANCH_BITS - u8::BITS)
}

/// Entries in the order of their grants, each grant once, with an index over buckets of equal
/// width.
#[derive(Debug, Default)]
struct Settled {
    entries: Box<[Revocation]>,
    /// Where each bucket begins, and after the last the end.
    starts: Box<[u32]>,
}

impl Settled {
    fn new(entries: Vec<Revocation>) -> Self {
        let buckets = entries.len() / PER_BUCKET + 1;
        let mut starts = Vec::with_capacity(buckets + 1);
        for (at, entry) in (0..).zip(&entries) {
            let upto = bucket(place(&entry.grant), buckets) + 1;
            starts.resize(starts.len().max(upto), at);
        }
        starts.resize(buckets + 1, u32::try_from(entries.len()).unwrap_or(u32::MAX));
        Self { entries: entries.into_boxed_slice(), starts: starts.into_boxed_slice() }
    }

    fn get(&self, grant: &GrantRest) -> Option<&Revocation> {
        let at = bucket(place(grant), self.starts.len().saturating_sub(1));
        let [from, to] = *self.starts.get(at..)?.first_chunk()?;
        let bucket = self.entries.get(usize::try_from(from).ok()?..usize::try_from(to).ok()?)?;
        find(bucket, grant).ok().and_then(|at| bucket.get(at))
    }

    /// With `recent` merged in, whose grants are others.
    fn with(&self, recent: &[Revocation]) -> Self {
        let mut entries = Vec::with_capacity(self.entries.len() + recent.len());
        let mut rest = &*self.entries;
        for new in recent {
            let (before, after) = rest.split_at(rest.partition_point(|entry| entry.grant < new.grant));
            entries.extend_from_slice(before);
            entries.push(*new);
            rest = after;
        }
        entries.extend_from_slice(rest);
        Self::new(entries)
    }
}

/// The bucket of a place, of so many.
fn bucket(place: u64, buckets: usize) -> usize {
    let product = u128::from(place) * u128::try_from(buckets).unwrap_or_default();
    usize::try_from(product >> u64::BITS).unwrap_or_default()
}

fn find(sorted: &[Revocation], grant: &GrantRest) -> Result<usize, usize> {
    sorted.binary_search_by(|entry| entry.grant.cmp(grant))
}

#[derive(Clone, Debug, Default)]
struct Branch {
    settled: Arc<Settled>,
    recent: Vec<Revocation>,
}

impl Branch {
    fn get(&self, grant: &GrantRest) -> Option<&Revocation> {
        let recent = find(&self.recent, grant).ok().and_then(|at| self.recent.get(at));
        recent.or_else(|| self.settled.get(grant))
    }

    fn entries(&self) -> impl Iterator<Item = &Revocation> {
        self.settled.entries.iter().chain(&self.recent)
    }

    fn len(&self) -> usize {
        self.settled.entries.len() + self.recent.len()
    }

    fn settle(&mut self) {
        self.settled = Arc::new(self.settled.with(&self.recent));
        self.recent = Vec::new();
    }
}

/// A persistent set of revoked grants. Cloning shares everything.
#[derive(Clone, Debug)]
pub struct RevokedGrants {
    branches: Arc<[Arc<Branch>]>,
    len: usize,
}

impl Default for RevokedGrants {
    fn default() -> Self {
        let branch = Arc::new(Branch::default());
        Self { branches: (0..1 << BRANCH_BITS).map(|_| Arc::clone(&branch)).collect(), len: 0 }
    }
}

impl RevokedGrants {
    pub const fn len(&self) -> usize {
        self.len
    }

    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of the change that revoked this grant.
    pub fn number(&self, grant: &GrantId) -> Option<ChangeNumber> {
        if self.len == 0 {
            return None;
        }
        let branch = self.branches.get(branch_of(grant))?;
        branch.get(&rest(grant)).map(Revocation::number)
    }

    pub fn contains(&self, grant: &GrantId) -> bool {
        self.number(grant).is_some()
    }

    /// Adds a grant; the first revocation of a grant stands.
    pub fn insert(&mut self, grant: GrantId, ends_at: Timestamp, number: ChangeNumber) {
        let Some(branch) = Arc::make_mut(&mut self.branches).get_mut(branch_of(&grant)) else { return };
        let new = Revocation::new(grant, ends_at, number);
        if branch.get(&new.grant).is_some() {
            return;
        }
        let branch = Arc::make_mut(branch);
        let at = branch.recent.partition_point(|entry| entry.grant < new.grant);
        branch.recent.insert(at, new);
        if branch.recent.len() >= RECENT {
            branch.settle();
        }
        self.len += 1;
    }

    /// Forgets grants that have ended before `now`, and those revoked at or below `floor`.
    pub fn prune(&mut self, floor: ChangeNumber, now: Timestamp) {
        let keep = |entry: &Revocation| entry.number() > floor && entry.ends_at() >= now;
        for branch in Arc::make_mut(&mut self.branches) {
            if !branch.entries().all(keep) {
                let kept = |entries: &[Revocation]| entries.iter().copied().filter(keep).collect();
                let settled = Arc::new(Settled::new(kept(&branch.settled.entries)));
                *branch = Arc::new(Branch { settled, recent: kept(&branch.recent) });
            }
        }
        self.len = self.branches.iter().map(|branch| branch.len()).sum();
    }
}

/// Collects many revocations, in any order, into a set.
#[derive(Debug)]
pub struct Gathering(Vec<Vec<Revocation>>);

impl Gathering {
    /// With room for so many, so that no branch has to move when it grows: what it leaves behind
    /// the allocator keeps. Room that is not used costs no memory.
    pub fn with_capacity(revocations: usize) -> Self {
        let even = revocations >> BRANCH_BITS;
        // Four standard deviations of how unevenly random ids fall.
        let room = even + 4 * even.isqrt() + 1;
        Self((0..1 << BRANCH_BITS).map(|_| Vec::with_capacity(room)).collect())
    }

    pub fn add(&mut self, grant: GrantId, ends_at: Timestamp, number: ChangeNumber) {
        if let Some(branch) = self.0.get_mut(branch_of(&grant)) {
            branch.push(Revocation::new(grant, ends_at, number));
        }
    }

    /// The set; of a grant that was added twice, the revocation with the lower number.
    pub fn finish(self) -> RevokedGrants {
        let settle = |mut entries: Vec<Revocation>| {
            entries.sort_unstable_by_key(|entry| (entry.grant, entry.number));
            entries.dedup_by_key(|entry| entry.grant);
            Arc::new(Branch { settled: Arc::new(Settled::new(entries)), recent: Vec::new() })
        };
        let branches: Arc<[_]> = self.0.into_iter().map(settle).collect();
        let len = branches.iter().map(|branch| branch.len()).sum();
        RevokedGrants { branches, len }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const LATER: Timestamp = Timestamp::from_unix_seconds(1_000);

    #[test]
    fn a_clone_does_not_see_what_is_added_later() {
        let mut set = RevokedGrants::default();
        set.insert(GrantId::from_bytes([1; 12]), LATER, ChangeNumber::new(1));
        let before = set.clone();
        set.insert(GrantId::from_bytes([2; 12]), LATER, ChangeNumber::new(2));
        assert_eq!((before.len(), set.len()), (1, 2));
        assert!(!before.contains(&GrantId::from_bytes([2; 12])));
        assert!(set.contains(&GrantId::from_bytes([1; 12])));
    }

    proptest! {
        #[test]
        fn it_behaves_like_a_map(
            entries in prop::collection::vec((any::<[u8; 12]>(), 0i64..2000), 0..600),
            floor in 0u64..600,
            now in 0i64..2000,
        ) {
            let mut set = RevokedGrants::default();
            let mut gathering = Gathering::with_capacity(100);
            let mut map: HashMap<[u8; 12], (i64, u64)> = HashMap::new();
            for (number, (mut bytes, ends_at)) in (0..).zip(entries) {
                // Crowd the ids, so that a branch settles several times and ids repeat.
                bytes[0] &= 1;
                bytes[1] &= 0x1f;
                let rest = bytes[2] & 3;
                bytes[2..].fill(rest);
                let (grant, ends) = (GrantId::from_bytes(bytes), Timestamp::from_unix_seconds(ends_at));
                set.insert(grant, ends, ChangeNumber::new(number));
                gathering.add(grant, ends, ChangeNumber::new(number));
                map.entry(bytes).or_insert((ends_at, number));
            }
            let gathered = gathering.finish();
            for set in [&set, &gathered] {
                prop_assert_eq!(set.len(), map.len());
                for (bytes, (_, number)) in &map {
                    let found = set.number(&GrantId::from_bytes(*bytes));
                    prop_assert_eq!(found, Some(ChangeNumber::new(*number)));
                    let mut other = *bytes;
                    other[11] ^= 2;
                    prop_assert!(!set.contains(&GrantId::from_bytes(other)));
                }
            }
            set.prune(ChangeNumber::new(floor), Timestamp::from_unix_seconds(now));
            let kept_until = |ends_at: i64| (ends_at + ENDS_WITHIN - 1) / ENDS_WITHIN * ENDS_WITHIN;
            map.retain(|_, (ends_at, number)| *number > floor && kept_until(*ends_at) >= now);
            prop_assert_eq!(set.len(), map.len());
            for (bytes, (_, number)) in map {
                let found = set.number(&GrantId::from_bytes(bytes));
                prop_assert_eq!(found, Some(ChangeNumber::new(number)));
            }
        }
    }
}
