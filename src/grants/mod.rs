//! Grants: what is kept of each, and where.
//!
//! A grant is one record under one key. Every change of it is an insert or a compare-and-swap of
//! that key, so any store that can do those two will serve, and a cluster of them too.

pub mod failures;
pub mod index;
pub mod keys;
pub mod login_session;
pub mod reader;
pub mod record;
pub mod redis;
pub mod sqlite;

use std::time::Duration;

use async_trait::async_trait;

pub use self::reader::{Cursor, GrantReader, Page, Walk};
pub use self::record::{
    AccessToken, Code, CodeState, EncodedRecord, GrantRecord, MalformedRecord, RefreshChain, Restriction,
    UserGrant,
};
use crate::domain::clock::Timestamp;
use crate::domain::identifier::GrantId;
use crate::domain::position::{ChangeNumber, Position};
pub use crate::domain::store::{StoreError, Witness};

/// How much longer than a grant a store keeps its record: it goes by its own clock, and a record
/// that goes too early would end a live token.
const KEEP_PAST_END: Duration = Duration::from_secs(5);

/// When a store may delete the record of a grant that ends at `expires_at`, in Unix seconds.
fn kept_until(expires_at: Timestamp) -> i64 {
    (expires_at + KEEP_PAST_END).unix_seconds()
}

/// Where grant records are kept. Each method is atomic on one key.
///
/// The store is an allow-list: it says which grants exist, and is never asked what was revoked.
/// Losing records makes tokens inactive, nothing else. A record may stay visible for some seconds
/// after its end: readers go by the times inside it.
#[async_trait]
pub trait GrantStore: Send + Sync {
    /// The record of a grant; `None` when there is none.
    ///
    /// # Errors
    /// When the store cannot be asked. Never means that the grant does not exist.
    async fn load(&self, id: GrantId) -> Result<Option<EncodedRecord>, StoreError>;

    /// Keeps a new grant until `expires_at`; `false`, with nothing changed, when the id is taken.
    ///
    /// # Errors
    /// When the store did not confirm; the record may be there.
    async fn insert(
        &self,
        id: GrantId,
        record: &EncodedRecord,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Replaces exactly `expected`; `false`, with nothing changed, when the record is another by
    /// now or gone.
    ///
    /// # Errors
    /// When the store did not confirm; the record may have been replaced.
    async fn compare_and_swap(
        &self,
        id: GrantId,
        expected: &EncodedRecord,
        record: &EncodedRecord,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Deletes a grant's record; whether there was one.
    ///
    /// # Errors
    /// When the store did not confirm.
    async fn remove(&self, id: GrantId) -> Result<bool, StoreError>;
}

/// Decides whether a store may be served from, by the witness found on a connection to it.
#[async_trait]
pub trait Admission: Send + Sync {
    /// Judges a new connection, and brings a store that is behind up to date.
    ///
    /// # Errors
    /// Why the store must not be served from.
    async fn admit(&self, witness: Option<Position>) -> Result<(), String>;

    /// Revocations at or below this number may have been forgotten: a store whose witness is
    /// behind it must not be served from.
    fn memory_floor(&self) -> ChangeNumber;
}
