//! Grants in a SQLite file: the embedded default.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::reader::PAGE;
use super::{Cursor, EncodedRecord, GrantReader, GrantStore, Page, StoreError, Witness, kept_until};
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::identifier::GrantId;
use crate::domain::position::Position;
use crate::sql::schema::{grants, witness};
use crate::sql::{Database, SqlError, on};

/// Ended records are deleted once in so many inserts.
const SWEEP_EVERY: u64 = 256;

/// The grant store of the embedded default. Cheap to clone; all workers share it.
#[derive(Clone)]
pub struct SqliteGrants {
    database: Database,
    clock: Arc<dyn Clock>,
    inserts: Arc<AtomicU64>,
}

impl SqliteGrants {
    pub fn new(database: Database, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock, inserts: Arc::default() }
    }

    /// Puts the witness where `recover` wants it, whatever it was.
    ///
    /// # Errors
    /// When SQLite did not confirm.
    pub async fn reset_witness(&self, position: Position) -> Result<(), StoreError> {
        let set = self.database.write(move |conn| Box::pin(set_witness(conn, position)));
        set.await.map_err(StoreError::new)
    }

    /// Writes what one moment's reader sees into `to`, an empty file.
    ///
    /// # Errors
    /// When either file fails.
    pub async fn copy_into(&self, to: &Path) -> Result<(), SqlError> {
        self.database.copy_into(to).await
    }

    /// Closes the file, which nobody else may have open.
    ///
    /// # Errors
    /// When somebody has, or the file fails.
    pub async fn settle(self) -> Result<(), SqlError> {
        self.database.settle().await
    }
}

#[async_trait]
impl GrantStore for SqliteGrants {
    async fn load(&self, id: GrantId) -> Result<Option<EncodedRecord>, StoreError> {
        let now = self.clock.now().unix_seconds();
        let read = self.database.read(move |conn| {
            Box::pin(async move {
                let query = grants::table
                    .find(id.as_bytes().to_vec())
                    .filter(grants::expires_at.gt(now))
                    .select(grants::record);
                Ok(on!(conn, c => query.first::<Vec<u8>>(c).await.optional())?)
            })
        });
        let found = read.await.map_err(StoreError::new)?;
        Ok(found.map(EncodedRecord::from_bytes))
    }

    async fn insert(
        &self,
        id: GrantId,
        record: &EncodedRecord,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let record = record.as_bytes().to_vec();
        let now = self.clock.now().unix_seconds();
        let sweep = self.inserts.fetch_add(1, Ordering::Relaxed).is_multiple_of(SWEEP_EVERY);
        let inserted = self.database.write(move |conn| {
            Box::pin(async move {
                let ended = grants::expires_at.le(now);
                if sweep {
                    let query = diesel::delete(grants::table.filter(ended));
                    on!(conn, c => query.execute(c).await)?;
                } else {
                    let same = grants::table.find(id.as_bytes().to_vec()).filter(ended);
                    on!(conn, c => diesel::delete(same).execute(c).await)?;
                }
                let query = diesel::insert_into(grants::table).values((
                    grants::id.eq(id.as_bytes().to_vec()),
                    grants::record.eq(record),
                    grants::expires_at.eq(kept_until(expires_at)),
                ));
                match on!(conn, c => query.execute(c).await).map_err(SqlError::from) {
                    Ok(_) => Ok(true),
                    Err(SqlError::Duplicate(_)) => Ok(false),
                    Err(error) => Err(error),
                }
            })
        });
        inserted.await.map_err(StoreError::new)
    }

    async fn compare_and_swap(
        &self,
        id: GrantId,
        expected: &EncodedRecord,
        record: &EncodedRecord,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let (expected, record) = (expected.as_bytes().to_vec(), record.as_bytes().to_vec());
        let now = self.clock.now().unix_seconds();
        let swapped = self.database.write(move |conn| {
            Box::pin(async move {
                let row = grants::table
                    .find(id.as_bytes().to_vec())
                    .filter(grants::record.eq(expected))
                    .filter(grants::expires_at.gt(now));
                let query = diesel::update(row)
                    .set((grants::record.eq(record), grants::expires_at.eq(kept_until(expires_at))));
                Ok(on!(conn, c => query.execute(c).await)? == 1)
            })
        });
        swapped.await.map_err(StoreError::new)
    }

    async fn remove(&self, id: GrantId) -> Result<bool, StoreError> {
        let now = self.clock.now().unix_seconds();
        let removed = self.database.write(move |conn| {
            Box::pin(async move {
                let row = grants::table.find(id.as_bytes().to_vec()).filter(grants::expires_at.gt(now));
                Ok(on!(conn, c => diesel::delete(row).execute(c).await)? == 1)
            })
        });
        removed.await.map_err(StoreError::new)
    }
}

#[async_trait]
impl GrantReader for SqliteGrants {
    async fn read(&self, id: GrantId) -> Result<Option<EncodedRecord>, StoreError> {
        GrantStore::load(self, id).await
    }

    async fn read_many(&self, ids: &[GrantId]) -> Result<Vec<Option<EncodedRecord>>, StoreError> {
        let now = self.clock.now().unix_seconds();
        let wanted: Vec<Vec<u8>> = ids.iter().map(|id| id.as_bytes().to_vec()).collect();
        let keys = wanted.clone();
        let read = self.database.read(move |conn| {
            Box::pin(async move {
                let mut found = HashMap::new();
                // SQLite takes a limited number of parameters in one statement.
                for ids in wanted.chunks(500) {
                    let query = grants::table
                        .filter(grants::id.eq_any(ids))
                        .filter(grants::expires_at.gt(now))
                        .select((grants::id, grants::record));
                    found.extend(on!(conn, c => query.load::<(Vec<u8>, Vec<u8>)>(c).await)?);
                }
                Ok(found)
            })
        });
        let found: HashMap<Vec<u8>, Vec<u8>> = read.await.map_err(StoreError::new)?;
        let record = |id: &Vec<u8>| found.get(id).cloned().map(EncodedRecord::from_bytes);
        Ok(keys.iter().map(record).collect())
    }

    async fn page(&self, from: Cursor) -> Result<Page, StoreError> {
        // No id is shorter than nothing.
        let after = match from {
            Cursor::Start => Vec::new(),
            Cursor::After(id) => id.as_bytes().to_vec(),
            Cursor::Scan(_) => return Err(StoreError::new("a cursor of another store")),
        };
        let now = self.clock.now().unix_seconds();
        let read = self.database.read(move |conn| {
            Box::pin(async move {
                let query = grants::table
                    .filter(grants::id.gt(after))
                    .filter(grants::expires_at.gt(now))
                    .order(grants::id)
                    .limit(i64::try_from(PAGE).unwrap_or(i64::MAX))
                    .select((grants::id, grants::record));
                let rows = on!(conn, c => query.load::<(Vec<u8>, Vec<u8>)>(c).await)?;
                rows.into_iter().map(|(id, record)| read_row(&id, record)).collect::<Result<Vec<_>, _>>()
            })
        });
        let records = read.await.map_err(StoreError::new)?;
        let last = records.last().filter(|_| records.len() == PAGE);
        let next = last.map(|(id, _)| Cursor::After(*id));
        Ok(Page { records, next })
    }
}

fn read_row(id: &[u8], record: Vec<u8>) -> Result<(GrantId, EncodedRecord), SqlError> {
    let id = id.try_into().map_err(|_| SqlError::unintelligible("the id of a grant"))?;
    Ok((GrantId::from_bytes(id), EncodedRecord::from_bytes(record)))
}

#[async_trait]
impl Witness for SqliteGrants {
    async fn read(&self) -> Result<Option<Position>, StoreError> {
        let read = self.database.read(|conn| Box::pin(read_witness(conn)));
        read.await.map_err(StoreError::new)
    }

    async fn advance(
        &self,
        from: Option<Position>,
        to: Position,
        revoked: &[GrantId],
    ) -> Result<bool, StoreError> {
        let ids: Vec<Vec<u8>> = revoked.iter().map(|id| id.as_bytes().to_vec()).collect();
        let advanced = self.database.write(move |conn| {
            Box::pin(async move {
                if read_witness(conn).await? != from {
                    return Ok(false);
                }
                // SQLite takes a limited number of parameters in one statement.
                for ids in ids.chunks(500) {
                    let rows = grants::table.filter(grants::id.eq_any(ids));
                    on!(conn, c => diesel::delete(rows).execute(c).await)?;
                }
                set_witness(conn, to).await?;
                Ok(true)
            })
        });
        advanced.await.map_err(StoreError::new)
    }
}

async fn read_witness(conn: &mut crate::sql::Connection) -> Result<Option<Position>, SqlError> {
    let query = witness::table.select(witness::position);
    let bytes = on!(conn, c => query.first::<Vec<u8>>(c).await.optional())?;
    let position = bytes
        .map(|bytes| Position::from_bytes(&bytes).ok_or_else(|| SqlError::unintelligible("the witness")));
    position.transpose()
}

async fn set_witness(conn: &mut crate::sql::Connection, position: Position) -> Result<(), SqlError> {
    let bytes = position.to_bytes().to_vec();
    let query = diesel::insert_into(witness::table)
        .values((witness::id.eq(1), witness::position.eq(&bytes)))
        .on_conflict(witness::id)
        .do_update()
        .set(witness::position.eq(&bytes));
    on!(conn, c => query.execute(c).await)?;
    Ok(())
}
