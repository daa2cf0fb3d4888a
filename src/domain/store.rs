//! What a store of grants owes the rest: its failure, and its witness.

use std::fmt;

use async_trait::async_trait;

use super::identifier::GrantId;
use super::position::Position;

/// The newest version of grant records that this version reads, and writes once every replica says
/// that it reads it.
pub const RECORD_VERSION: u8 = 4;

/// The store could not be asked, or did not confirm. Never means that something is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError(pub String);

impl StoreError {
    pub fn new(why: impl fmt::Display) -> Self {
        Self(why.to_string())
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the grant store cannot be asked: {}", self.0)
    }
}

impl std::error::Error for StoreError {}

/// A mark that the grant store carries: the position up to which its records of revoked grants
/// have been deleted.
///
/// A store that was restored from an older state shows an older witness, and so betrays that
/// deleted records may be back. A database that lost commits shows a number below the witness.
#[async_trait]
pub trait Witness: Send + Sync {
    /// The mark; `None` when the store has never carried one, or lost everything.
    ///
    /// # Errors
    /// When the store cannot be asked.
    async fn read(&self) -> Result<Option<Position>, StoreError>;

    /// Deletes the records of `revoked` and moves the mark `from` → `to`, in one step. `revoked`
    /// must hold every grant revoked after `from` up to `to`.
    ///
    /// Returns whether the mark was at `from`; if it was not, nothing is done.
    ///
    /// # Errors
    /// When the store cannot be asked; the step may have been taken.
    async fn advance(
        &self,
        from: Option<Position>,
        to: Position,
        revoked: &[GrantId],
    ) -> Result<bool, StoreError>;
}
