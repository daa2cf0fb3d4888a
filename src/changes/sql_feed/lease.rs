//! Leases: join, renew, leave, evict. The order of the steps is what makes them sound.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::audit::record_attempts;
use super::sequence::note_key_use;
use super::{ChangeRow, Projection, SqlFeed, feed_row, number, record_in, stored};
use crate::changes::audit::Attempt;
use crate::changes::change::{Change, RecordedChange};
use crate::changes::entry::{Actor, Entry};
use crate::changes::snapshot::Snapshot;
use crate::changes::store::{
    FeedError, FeedStore, Incarnation, Publish, Recorder, Renewal, ReplicaRow, Replicas,
};
use crate::domain::clock::Timestamp;
use crate::domain::position::{ChangeNumber, Position};
use crate::sql::schema::{changes, replicas, token_keys};
use crate::sql::{Connection, Database, SqlError, on};

type StoredReplica = (String, String, i64, i64, i64, i64);

#[async_trait]
impl<P: Projection> FeedStore<P::View> for SqlFeed<P> {
    async fn load(&self) -> Result<Snapshot<P::View>, FeedError> {
        self.load_all().await
    }

    async fn retention_clock(&self) -> Result<Timestamp, FeedError> {
        let own = self.clock.now().unix_seconds();
        let now = self.database.read(move |conn| Box::pin(Database::now(conn, own)));
        Ok(Timestamp::from_unix_seconds(now.await?))
    }

    async fn join(&self, row: &ReplicaRow) -> Result<(), FeedError> {
        let row = row.clone();
        let now = self.clock.now();
        let fingerprint = self.keys.as_ref().map(|keys| keys.current().fingerprint().clone());
        self.database
            .write(move |conn| {
                Box::pin(async move {
                    let lease = i64::try_from(row.lease.as_millis()).unwrap_or(i64::MAX);
                    let query = diesel::insert_into(replicas::table).values((
                        replicas::incarnation.eq(row.incarnation.0),
                        replicas::name.eq(&row.name),
                        replicas::applied.eq(stored(row.applied)?),
                        replicas::beat.eq(0),
                        replicas::lease_ms.eq(lease),
                        replicas::record_version.eq(i64::from(row.record_version)),
                    ));
                    on!(conn, c => query.execute(c).await)?;
                    // Before the first token is made under it, every replica hears of the key.
                    if let Some(fingerprint) = fingerprint
                        && note_key_use(conn, fingerprint.as_str(), now).await?
                    {
                        let change = Change::TokenKeyAdded(fingerprint);
                        let entry = Entry::new(change, Actor::replica(&row.name));
                        record_in(conn, vec![entry], now).await?;
                    }
                    Ok(())
                })
            })
            .await?;
        Ok(())
    }

    async fn renew(
        &self,
        incarnation: &Incarnation,
        from: Arc<Snapshot<P::View>>,
        publish: Publish<P::View>,
    ) -> Result<Renewal, FeedError> {
        let this = self.clone();
        let incarnation = incarnation.clone();
        self.database
            .write_snapshot(move |conn| {
                Box::pin(async move { Ok(this.renew_in(conn, &incarnation, &from, publish).await) })
            })
            .await?
    }

    async fn leave(&self, incarnation: &Incarnation) -> Result<(), FeedError> {
        let incarnation = incarnation.clone();
        let fingerprint = self.keys.as_ref().map(|keys| keys.current().fingerprint().clone());
        let now = self.clock.now();
        self.database
            .write(move |conn| {
                Box::pin(async move {
                    if let Some(fingerprint) = fingerprint {
                        note_key_use(conn, fingerprint.as_str(), now).await?;
                    }
                    let query = diesel::delete(replicas::table.find(incarnation.0));
                    on!(conn, c => query.execute(c).await)?;
                    Ok(())
                })
            })
            .await?;
        Ok(())
    }
}

#[async_trait]
impl<P: Projection> Replicas for SqlFeed<P> {
    async fn replicas(&self) -> Result<Vec<ReplicaRow>, FeedError> {
        let read = self.database.read(|conn| {
            Box::pin(async move {
                let query = replicas::table.order(replicas::incarnation);
                Ok(on!(conn, c => query.load::<StoredReplica>(c).await)?)
            })
        });
        let rows = read.await?.into_iter().map(|(incarnation, name, applied, beat, lease_ms, version)| {
            Ok(ReplicaRow {
                incarnation: Incarnation(incarnation),
                name,
                applied: number(applied)?,
                beat: u64::try_from(beat).map_err(SqlError::unintelligible)?,
                lease: Duration::from_millis(u64::try_from(lease_ms).map_err(SqlError::unintelligible)?),
                record_version: u8::try_from(version).map_err(SqlError::unintelligible)?,
            })
        });
        rows.collect()
    }

    async fn evict(&self, incarnation: &Incarnation, beat: u64) -> Result<bool, FeedError> {
        let incarnation = incarnation.clone();
        let beat = i64::try_from(beat).map_err(SqlError::unintelligible)?;
        let evicted = self.database.write(move |conn| {
            Box::pin(async move {
                let row = replicas::table.find(incarnation.0).filter(replicas::beat.eq(beat));
                Ok(on!(conn, c => diesel::delete(row).execute(c).await)? > 0)
            })
        });
        Ok(evicted.await?)
    }
}

#[async_trait]
impl<P: Projection> Recorder for SqlFeed<P> {
    async fn record(&self, entries: Vec<Entry>) -> Result<Vec<ChangeNumber>, FeedError> {
        let now = self.clock.now();
        let recorded =
            self.database.write(move |conn| Box::pin(async move { record_in(conn, entries, now).await }));
        Ok(recorded.await?)
    }

    async fn record_attempts(&self, attempts: Vec<Attempt>) -> Result<(), FeedError> {
        Ok(record_attempts(&self.database, attempts, self.clock.now()).await?)
    }
}

impl<P: Projection> SqlFeed<P> {
    /// Deletes every replica's row, for a replica that knows itself to be alone: whoever left them
    /// has died.
    ///
    /// # Errors
    /// When SQL fails.
    pub async fn forget_replicas(&self) -> Result<(), FeedError> {
        let forgotten = self.database.write(|conn| {
            Box::pin(async move {
                on!(conn, c => diesel::delete(replicas::table).execute(c).await)?;
                Ok(())
            })
        });
        Ok(forgotten.await?)
    }

    /// Forgets under which keys live tokens may exist, for who knows that there are none: everything
    /// was just killed, and no replica makes tokens under a key that others lack.
    ///
    /// # Errors
    /// When SQL fails.
    pub async fn forget_token_keys(&self) -> Result<(), FeedError> {
        let forgotten = self.database.write(|conn| {
            Box::pin(async move {
                on!(conn, c => diesel::delete(token_keys::table).execute(c).await)?;
                Ok(())
            })
        });
        Ok(forgotten.await?)
    }

    async fn renew_in(
        &self,
        conn: &mut Connection,
        incarnation: &Incarnation,
        from: &Snapshot<P::View>,
        publish: Publish<P::View>,
    ) -> Result<Renewal, FeedError> {
        let Some(rows) = rows_after(conn, from.position).await? else {
            return Ok(Renewal::Reload);
        };
        let view = self.projection.catch_up(conn, from.view.clone(), &rows).await?;
        let published = publish(&rows, view)?;
        let row = replicas::table.find(&incarnation.0);
        let query = diesel::update(row)
            .set((replicas::applied.eq(stored(published.number)?), replicas::beat.eq(replicas::beat + 1)));
        let changed = on!(conn, c => query.execute(c).await).map_err(SqlError::from)?;
        Ok(if changed == 1 { Renewal::Confirmed } else { Renewal::RowGone })
    }
}

/// How many rows are followed one by one; whoever is further behind loads everything, which may take
/// longer than a renewal.
const MOST_ROWS: u64 = 20_000;
/// How many rows are read at once: what they take on their way the allocator keeps.
const PAGE: u64 = 1000;

/// All rows after `from`, proven to follow it; `None` when they are not all there.
async fn rows_after(conn: &mut Connection, from: Position) -> Result<Option<Vec<RecordedChange>>, FeedError> {
    let position = feed_row(conn).await?.position()?;
    if position.feed != from.feed {
        return Err(FeedError::ForeignFeed);
    }
    let lost = FeedError::LostCommits { seen: from.number, head: position.number };
    if position.number < from.number {
        return Err(lost);
    }
    if position.number.get() - from.number.get() > MOST_ROWS {
        return Ok(None);
    }
    let mut recorded = Vec::new();
    let (mut number, mut hash) = (from.number, from.hash);
    while number < position.number {
        let page_end = position.number.min(ChangeNumber::new(number.get().saturating_add(PAGE)));
        // Bounded on both sides: of a range with one end PostgreSQL assumes, until it has statistics,
        // that a third of all rows lie in it, and reads them all.
        let query = changes::table
            .filter(changes::number.gt(stored(number)?))
            .filter(changes::number.le(stored(page_end)?))
            .order(changes::number);
        for row in on!(conn, c => query.load::<ChangeRow>(c).await).map_err(SqlError::from)? {
            number = number.next();
            if row.number != stored(number)? {
                return Ok(None);
            }
            let row = row.into_recorded()?;
            if !row.follows(&hash) {
                return Err(lost);
            }
            hash = row.hash;
            recorded.push(row);
        }
        if number != page_end {
            return Ok(None);
        }
    }
    if hash != position.hash {
        return Err(lost);
    }
    Ok(Some(recorded))
}
