//! Who guesses passwords has to wait, on every replica; whose name is guessed at has not, or not for long.
//!
//! Failures in a row are counted, in the grant store, per account and per address. Some are free. Each further one
//! makes the next wait twice as long, up to a minute; nobody is locked out for longer than that, and whoever is told
//! to wait is not counted, so that asking in vain prolongs nothing.
//!
//! Strangers must not make an account wait for its owner: an address from which somebody logged in to the account
//! before has a count of its own for it, and is not asked for the one that all strangers share. Nor do those who share
//! an address with its owner: what they get wrong there counts for accounts that are known there only when it is at
//! such accounts, of which far more is free.
//!
//! **An attempt is counted before it is made** and taken back if it succeeds. Otherwise all of many parallel guesses
//! would pass before the first is counted. So few should be under way at a time: take a turn at hashing first.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::clock::{Clock, Timestamp};
use crate::domain::identifier::GrantId;
use crate::domain::party::Party;
use crate::domain::token_key::{DerivedUse, TokenKeys};
use crate::grants::failures::FailureRecord;
use crate::grants::{EncodedRecord, GrantStore, StoreError};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// How one kind of count makes people wait.
struct Limit {
    /// Failures in a row that cost nothing.
    free: u32,
    /// The first wait; each further failure doubles it.
    first: Duration,
    /// No wait is longer.
    longest: Duration,
    /// How long after the last failure all are forgotten.
    memory: Duration,
    /// How long the record is kept; it may mean more than failures.
    kept: Duration,
}

/// At the longest wait an account takes 1,440 guesses a day: nothing against 15 characters.
const ACCOUNT: Limit = Limit {
    free: 10,
    first: Duration::from_secs(1),
    longest: Duration::from_secs(60),
    memory: DAY,
    kept: DAY,
};

/// An account from an address that it knows. That there is a record says that it does.
const PAIR: Limit = Limit { kept: Duration::from_secs(90 * 86_400), ..ACCOUNT };

/// Many people may share an address, and mistype.
const ADDRESS: Limit = Limit { free: 50, memory: HOUR, kept: HOUR, ..ACCOUNT };

/// All accounts from an address that knows them. Each has a count of its own there; this one is for whoever goes
/// through all of them with a password that somebody might have.
const KNOWN: Limit = Limit { free: 500, ..ADDRESS };

/// How often a count is tried when others change it at the same time. Each time another attempt was counted, so the
/// free ones are used up long before.
const RACES: u32 = 200;

/// Whether a password may be tried.
#[derive(Debug)]
pub enum Admission {
    Admitted(Attempt),
    /// Not now: nothing was counted.
    Later {
        after: Duration,
    },
}

/// An attempt that counts as a failure until [`Throttle::succeeded`] says otherwise.
#[must_use]
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    counters: Counters,
    /// The count of this account that the attempt stands in.
    of_account: GrantId,
    /// Those of its address.
    of_address: Counted,
}

/// In which counts of its address an attempt stands.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    address: bool,
    known: bool,
}

/// Where the failures of an attempt are counted.
#[derive(Clone, Copy, Debug)]
struct Counters {
    account: GrantId,
    /// Without an address there is nothing to tell strangers by.
    of_address: Option<OfAddress>,
}

#[derive(Clone, Copy, Debug)]
struct OfAddress {
    address: GrantId,
    /// Of accounts that are known there.
    known: GrantId,
    /// Of this account from this address.
    pair: GrantId,
}

/// Counts failures.
pub struct Throttle {
    keys: Arc<TokenKeys>,
    clock: Arc<dyn Clock>,
}

impl Throttle {
    pub const fn new(keys: Arc<TokenKeys>, clock: Arc<dyn Clock>) -> Self {
        Self { keys, clock }
    }

    /// Whether somebody at `address` may try a password for `account`, in the one spelling of its name, whether there
    /// is such an account or not.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub async fn admit(
        &self,
        store: &dyn GrantStore,
        account: &str,
        address: Option<IpAddr>,
    ) -> Result<Admission, StoreError> {
        let counters = self.counters(account, address);
        let (mut counted, mut is_known) = (Counted::default(), false);
        if let Some(OfAddress { address, known, pair }) = counters.of_address {
            is_known = store.load(pair).await?.is_some();
            // Counted alike whether the account is known there or not: nobody shall find out which it is.
            let wait = self.count(store, address, &ADDRESS).await?;
            counted.address = wait.is_none();
            let wait = if is_known { self.count(store, known, &KNOWN).await? } else { wait };
            counted.known = is_known && wait.is_none();
            if let Some(after) = wait {
                self.take_back_of_address(store, &counters, counted).await?;
                return Ok(Admission::Later { after });
            }
        }
        let (of_account, limit) = match counters.of_address {
            Some(OfAddress { pair, .. }) if is_known => (pair, PAIR),
            _ => (counters.account, ACCOUNT),
        };
        match self.count(store, of_account, &limit).await? {
            None => Ok(Admission::Admitted(Attempt { counters, of_account, of_address: counted })),
            Some(after) => {
                self.take_back_of_address(store, &counters, counted).await?;
                Ok(Admission::Later { after })
            }
        }
    }

    /// The password was right: the account's failures are forgotten as far as they came from where this attempt came
    /// from, and its address is known from now on. Failures with other accounts are not forgotten: else whoever has
    /// one could guess at all others.
    ///
    /// # Errors
    /// When the store cannot be asked; then the attempt stays counted.
    pub async fn succeeded(&self, store: &dyn GrantStore, attempt: Attempt) -> Result<(), StoreError> {
        let Attempt { counters, of_account, of_address } = attempt;
        store.remove(of_account).await?;
        self.take_back_of_address(store, &counters, of_address).await?;
        if let Some(OfAddress { pair, .. }) = counters.of_address {
            let known = FailureRecord { count: 0, last: self.clock.unix_millis() };
            store.insert(pair, &known.encode(), self.clock.now() + PAIR.kept).await?;
        }
        Ok(())
    }

    /// The password was not compared after all, and nobody has learnt anything of it: the attempt counts for nothing.
    ///
    /// # Errors
    /// When the store cannot be asked; then the attempt stays counted.
    pub async fn not_made(&self, store: &dyn GrantStore, attempt: Attempt) -> Result<(), StoreError> {
        let Attempt { counters, of_account, of_address } = attempt;
        let limit = if of_account == counters.account { ACCOUNT } else { PAIR };
        self.take_back(store, of_account, &limit).await?;
        self.take_back_of_address(store, &counters, of_address).await
    }

    async fn take_back_of_address(
        &self,
        store: &dyn GrantStore,
        counters: &Counters,
        counted: Counted,
    ) -> Result<(), StoreError> {
        let Some(OfAddress { address, known, .. }) = counters.of_address else { return Ok(()) };
        if counted.address {
            self.take_back(store, address, &ADDRESS).await?;
        }
        if counted.known {
            self.take_back(store, known, &KNOWN).await?;
        }
        Ok(())
    }

    /// Counts a failure; or says how long to wait, and counts nothing.
    async fn count(
        &self,
        store: &dyn GrantStore,
        id: GrantId,
        limit: &Limit,
    ) -> Result<Option<Duration>, StoreError> {
        for _ in 0..RACES {
            let now = self.clock.unix_millis();
            let found = store.load(id).await?;
            let before = found.as_ref().map(decode).transpose()?.unwrap_or_default();
            let before = limit.remembered(before, now);
            let wait = limit.wait(before, now);
            if !wait.is_zero() {
                return Ok(Some(wait));
            }
            let after = FailureRecord { count: before.count.saturating_add(1), last: now };
            if self.replace(store, id, found.as_ref(), after, limit).await? {
                return Ok(None);
            }
        }
        Err(StoreError::new("a count of failures is changed faster than it can be read"))
    }

    /// Undoes what [`Self::count`] counted.
    async fn take_back(&self, store: &dyn GrantStore, id: GrantId, limit: &Limit) -> Result<(), StoreError> {
        for _ in 0..RACES {
            let Some(found) = store.load(id).await? else { return Ok(()) };
            let before = decode(&found)?;
            let after = FailureRecord { count: before.count.saturating_sub(1), ..before };
            if self.replace(store, id, Some(&found), after, limit).await? {
                return Ok(());
            }
        }
        Err(StoreError::new("a count of failures is changed faster than it can be read"))
    }

    async fn replace(
        &self,
        store: &dyn GrantStore,
        id: GrantId,
        found: Option<&EncodedRecord>,
        after: FailureRecord,
        limit: &Limit,
    ) -> Result<bool, StoreError> {
        let (end, after) = (self.end(limit), after.encode());
        match found {
            Some(found) => store.compare_and_swap(id, found, &after, end).await,
            None => store.insert(id, &after, end).await,
        }
    }

    fn end(&self, limit: &Limit) -> Timestamp {
        self.clock.now() + limit.kept
    }

    fn counters(&self, account: &str, address: Option<IpAddr>) -> Counters {
        let account = account.as_bytes();
        let of_address = address.map(|address| {
            let party = Party::of(address);
            OfAddress {
                address: self.id(&[b"address", party.as_bytes()]),
                known: self.id(&[b"known", party.as_bytes()]),
                pair: self.id(&[b"pair", account, party.as_bytes()]),
            }
        });
        Counters { account: self.id(&[b"account", account]), of_address }
    }

    /// Where a count is kept: nobody else can tell which name or address it is of.
    fn id(&self, parts: &[&[u8]]) -> GrantId {
        let derived = self.keys.current().derive(DerivedUse::FailureCount, parts.iter().copied());
        let mut id = [0; GrantId::BYTES];
        for (byte, derived) in id.iter_mut().zip(derived.iter()) {
            *byte = *derived;
        }
        GrantId::from_bytes(id)
    }
}

impl Limit {
    fn remembered(&self, record: FailureRecord, now: i64) -> FailureRecord {
        if since(record.last, now) < self.memory { record } else { FailureRecord::default() }
    }

    fn wait(&self, record: FailureRecord, now: i64) -> Duration {
        let Some(beyond) = record.count.checked_sub(self.free) else { return Duration::ZERO };
        let doubled = 1_u32.checked_shl(beyond).and_then(|times| self.first.checked_mul(times));
        let wait = doubled.map_or(self.longest, |wait| wait.min(self.longest));
        wait.saturating_sub(since(record.last, now))
    }
}

/// Zero where another replica's clock is ahead: its failure was just now.
fn since(last: i64, now: i64) -> Duration {
    Duration::from_millis(u64::try_from(now.saturating_sub(last)).unwrap_or(0))
}

fn decode(record: &EncodedRecord) -> Result<FailureRecord, StoreError> {
    FailureRecord::decode(record).map_err(StoreError::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_to_a_minute_and_passes() {
        let wait = |count, later: i64| ACCOUNT.wait(FailureRecord { count, last: 1_000 }, 1_000 + later);
        assert_eq!(wait(9, 0), Duration::ZERO);
        let waits: Vec<u64> = (10..18).map(|count| wait(count, 0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(wait(u32::MAX, 0), Duration::from_secs(60));
        assert_eq!(wait(13, 7_000), Duration::from_secs(1));
        assert_eq!(wait(13, 8_000), Duration::ZERO);
        // A replica whose clock is behind makes nobody wait longer.
        assert_eq!(wait(13, -5_000), Duration::from_secs(8));
    }
}
