//! The grants known to be revoked: a persistent set, so that each snapshot has its own and
//! publishing a change copies a few kilobytes, however many there are.
//!
//! Two levels of 64 branches over sorted leaves. Grant ids are random, so the leaves fill evenly;
//! ids that are not random can only come from an admin.

use std::sync::Arc;

use crate::domain::clock::Timestamp;
use crate::domain::identifier::GrantId;
use crate::domain::position::ChangeNumber;

const FANOUT: usize = 64;

/// 24 bytes: a million of them are 24 MB.
#[derive(Clone, Copy, Debug)]
struct Revocation {
    grant: GrantId,
    /// Unix seconds, enough until the year 2106.
    ends_at: u32,
    number: ChangeNumber,
}

type Leaf = Vec<Revocation>;
type Branch = Vec<Arc<Leaf>>;

/// A persistent set of revoked grants. Cloning shares everything.
#[derive(Clone, Debug)]
pub struct RevokedGrants {
    root: Arc<Vec<Arc<Branch>>>,
    len: usize,
}

impl Default for RevokedGrants {
    fn default() -> Self {
        let leaf = Arc::new(Leaf::new());
        let branch = Arc::new(vec![leaf; FANOUT]);
        Self { root: Arc::new(vec![branch; FANOUT]), len: 0 }
    }
}

/// The twelve leading bits, as two indices.
fn path(grant: &GrantId) -> (usize, usize) {
    let [first, second, ..] = *grant.as_bytes();
    (usize::from(first >> 2), usize::from((first & 3) << 4 | second >> 4))
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
        let (branch, leaf) = path(grant);
        let leaf = self.root.get(branch)?.get(leaf)?;
        let at = leaf.binary_search_by(|entry| entry.grant.cmp(grant)).ok()?;
        leaf.get(at).map(|entry| entry.number)
    }

    pub fn contains(&self, grant: &GrantId) -> bool {
        self.number(grant).is_some()
    }

    /// Adds a grant; the first revocation of a grant stands.
    pub fn insert(&mut self, grant: GrantId, ends_at: Timestamp, number: ChangeNumber) {
        let ends_at = u32::try_from(ends_at.unix_seconds().max(0)).unwrap_or(u32::MAX);
        let (branch, leaf) = path(&grant);
        let Some(branch) = Arc::make_mut(&mut self.root).get_mut(branch) else { return };
        let Some(leaf) = Arc::make_mut(branch).get_mut(leaf) else { return };
        if let Err(at) = leaf.binary_search_by(|entry| entry.grant.cmp(&grant)) {
            let leaf = Arc::make_mut(leaf);
            if leaf.len() == leaf.capacity() {
                // Grow by an eighth, not by doubling: these leaves are most of the memory.
                leaf.reserve_exact(leaf.len() / 8 + 1);
            }
            leaf.insert(at, Revocation { grant, ends_at, number });
            self.len += 1;
        }
    }

    /// Forgets grants that have ended before `now`, and those revoked at or below `floor`.
    pub fn prune(&mut self, floor: ChangeNumber, now: Timestamp) {
        let keep =
            |entry: &Revocation| entry.number > floor && i64::from(entry.ends_at) >= now.unix_seconds();
        for branch in Arc::make_mut(&mut self.root) {
            if branch.iter().flat_map(|leaf| leaf.iter()).all(keep) {
                continue;
            }
            for leaf in Arc::make_mut(branch) {
                if !leaf.iter().all(keep) {
                    let kept: Leaf = leaf.iter().copied().filter(keep).collect();
                    self.len -= leaf.len() - kept.len();
                    *leaf = Arc::new(kept);
                }
            }
        }
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
            entries in prop::collection::vec((any::<[u8; 12]>(), 0i64..2000, 0u64..50), 0..300),
            floor in 0u64..50,
            now in 0i64..2000,
        ) {
            let mut set = RevokedGrants::default();
            let mut map: HashMap<[u8; 12], (i64, u64)> = HashMap::new();
            for (mut bytes, ends_at, number) in entries {
                // Crowd the ids, so that leaves hold several and ids repeat.
                bytes[0] &= 1;
                bytes[1] &= 0x1f;
                let rest = bytes[2] & 1;
                bytes[2..].fill(rest);
                let ends = Timestamp::from_unix_seconds(ends_at);
                set.insert(GrantId::from_bytes(bytes), ends, ChangeNumber::new(number));
                map.entry(bytes).or_insert((ends_at, number));
            }
            prop_assert_eq!(set.len(), map.len());
            set.prune(ChangeNumber::new(floor), Timestamp::from_unix_seconds(now));
            map.retain(|_, (ends_at, number)| *number > floor && *ends_at >= now);
            prop_assert_eq!(set.len(), map.len());
            for (bytes, (_, number)) in map {
                let found = set.number(&GrantId::from_bytes(bytes));
                prop_assert_eq!(found, Some(ChangeNumber::new(number)));
            }
        }
    }
}
