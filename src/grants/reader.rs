//! Reading a grant store beside its requests: one record, or a walk through all of them, for
//! whoever looks for grants by something else than their id.
//!
//! A walk is the price of minting without a list of what was minted. It sees every record that is
//! there from its beginning to its end, takes its time, and keeps nothing.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{EncodedRecord, StoreError};
use crate::domain::clock::{BootTime, Clock};
use crate::domain::identifier::GrantId;

/// How many records a page has, about.
pub(super) const PAGE: usize = 500;

/// How many records a walk reads in a second at most: a small part of what a store can answer, so
/// that nobody who waits for a token notices.
const MOST_A_SECOND: u32 = 100_000;

/// Where a walk goes on. Means something only to the store that gave it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cursor {
    #[default]
    Start,
    /// Redis's own.
    Scan(u64),
    /// Behind this id, in the order of ids.
    After(GrantId),
}

/// A part of what a store has.
#[derive(Clone, Debug)]
pub struct Page {
    /// May be empty although others follow.
    pub records: Vec<(GrantId, EncodedRecord)>,
    /// `None` at the end.
    pub next: Option<Cursor>,
}

/// A grant store, for reading beside the requests and never in their way.
#[async_trait]
pub trait GrantReader: Send + Sync {
    /// What is kept under an id: a grant's record, or another.
    ///
    /// # Errors
    /// When the store cannot be asked.
    async fn read(&self, id: GrantId) -> Result<Option<EncodedRecord>, StoreError>;

    /// The same of many, in the order of `ids`.
    ///
    /// # Errors
    /// When the store cannot be asked.
    async fn read_many(&self, ids: &[GrantId]) -> Result<Vec<Option<EncodedRecord>>, StoreError>;

    /// The page at `from`. Whoever turns all pages meets each record that was there the
    /// whole time, some perhaps twice; what is inserted or removed meanwhile, perhaps.
    ///
    /// # Errors
    /// When the store cannot be asked, or gave no such cursor.
    async fn page(&self, from: Cursor) -> Result<Page, StoreError>;
}

/// Turns the pages of a store, no faster than is good for those who wait for tokens.
pub struct Walk {
    reader: Arc<dyn GrantReader>,
    clock: Arc<dyn Clock>,
    /// `None` once the last page was turned.
    from: Option<Cursor>,
    due: BootTime,
}

impl Walk {
    pub fn new(reader: Arc<dyn GrantReader>, clock: Arc<dyn Clock>) -> Self {
        let due = clock.boot();
        Self { reader, clock, from: Some(Cursor::Start), due }
    }

    /// The records of the next page; `None` at the end.
    ///
    /// # Errors
    /// When the store cannot be asked. The same page may be asked for again.
    pub async fn next(&mut self) -> Result<Option<Vec<(GrantId, EncodedRecord)>>, StoreError> {
        let Some(from) = self.from else { return Ok(None) };
        tokio::time::sleep(self.due - self.clock.boot()).await;
        let page = self.reader.page(from).await?;
        self.from = page.next;
        let records = u32::try_from(page.records.len()).unwrap_or(u32::MAX);
        self.due = self.due.max(self.clock.boot()) + Duration::from_secs(1) / MOST_A_SECOND * records;
        Ok(Some(page.records))
    }
}
