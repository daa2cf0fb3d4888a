//! The feed's past: what the witness, `recover` and retention read and write.

use std::time::Duration;

use async_trait::async_trait;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::audit::append;
use super::sequence::{insert, lock_head, move_head, note_key_use};
use super::{Projection, SqlFeed, chain_value, feed_row, not_a_revocation, number, restrictions, stored};
use crate::changes::audit::{Deed, Outcome};
use crate::changes::change::{Change, RecordedChange};
use crate::changes::entry::Entry;
use crate::changes::store::{FeedError, Head, History, RevocationPage};
use crate::domain::clock::Timestamp;
use crate::domain::position::{ChangeHash, ChangeNumber, Position};
use crate::sql::schema::{changes, feed, kills, replicas};
use crate::sql::{Connection, Database, SqlError, on};

/// How many changes are looked through at once: how much one step of the witness may delete.
const PAGE: u64 = 2000;
/// How many rows one round of the purge deletes at most.
const PURGE_ROUND: usize = 5000;
/// How far `recover` jumps beyond every number that is known to have existed.
const JUMP: u64 = 1 << 32;

#[async_trait]
impl<P: Projection> History for SqlFeed<P> {
    async fn head(&self) -> Result<Head, FeedError> {
        let read = self.database.read(|conn| {
            Box::pin(async move {
                let row = feed_row(conn).await?;
                Ok(Head {
                    position: row.position()?,
                    purged: number(row.purged_number)?,
                    recovered: number(row.recovered_number)?,
                })
            })
        });
        Ok(read.await?)
    }

    async fn hash_of(&self, number: ChangeNumber) -> Result<Option<ChangeHash>, FeedError> {
        let read = self.database.read(move |conn| Box::pin(hash_of(conn, number)));
        Ok(read.await?)
    }

    async fn revocations_after(&self, after: ChangeNumber) -> Result<RevocationPage, FeedError> {
        let read = self.database.read(move |conn| {
            Box::pin(async move {
                let head = feed_row(conn).await?.position()?;
                let Some(page) = super::revocations_after(conn, after, PAGE).await? else {
                    return Ok(RevocationPage { grants: Vec::new(), reached: head });
                };
                let hash = hash_of(conn, page.last).await?.ok_or(SqlError::NotFound)?;
                let reached = Position { number: page.last, hash, ..head };
                let grants = page.revocations.iter().map(|revocation| revocation.grant).collect();
                Ok(RevocationPage { grants, reached })
            })
        });
        Ok(read.await?)
    }

    async fn purge(&self, keep: Duration) -> Result<usize, FeedError> {
        let keep = i64::try_from(keep.as_secs()).unwrap_or(i64::MAX);
        let own = self.clock.now().unix_seconds();
        let mut deleted = 0;
        loop {
            let round = self.database.write(move |conn| Box::pin(purge_round(conn, own, keep))).await?;
            deleted += round;
            if round < PURGE_ROUND {
                return Ok(deleted);
            }
            self.database.give_way().await;
        }
    }

    async fn note_key_use(&self) -> Result<(), FeedError> {
        let Some(keys) = &self.keys else { return Ok(()) };
        let fingerprint = keys.current().fingerprint().clone();
        let now = self.clock.now();
        let noted = self
            .database
            .write(move |conn| Box::pin(async move { note_key_use(conn, fingerprint.as_str(), now).await }));
        noted.await?;
        Ok(())
    }
}

async fn hash_of(conn: &mut Connection, number: ChangeNumber) -> Result<Option<ChangeHash>, SqlError> {
    let query = changes::table.find(stored(number)?).select(changes::hash);
    let hash = on!(conn, c => query.first::<Vec<u8>>(c).await.optional())?;
    hash.map(|bytes| chain_value(&bytes)).transpose()
}

/// Deletes a limited number of rows that nobody needs, so that nobody waits for it long.
async fn purge_round(conn: &mut Connection, own: i64, keep: i64) -> Result<usize, SqlError> {
    let horizon = Database::now(conn, own).await?.saturating_sub(keep);
    let restricted = restrictions::purge(conn, horizon, PURGE_ROUND).await?;
    Ok(restricted + purge_kills(conn, horizon).await? + purge_changes(conn, horizon).await?)
}

/// Deletes the kills of login sessions of which nothing has lived since `horizon`.
async fn purge_kills(conn: &mut Connection, horizon: i64) -> Result<usize, SqlError> {
    let limit = i64::try_from(PURGE_ROUND).unwrap_or(i64::MAX);
    let query = kills::table
        .filter(kills::ends_at.lt(horizon))
        .order(kills::ends_at)
        .limit(limit)
        .select(kills::target);
    let ended = on!(conn, c => query.load::<String>(c).await)?;
    let mut deleted = 0;
    for targets in ended.chunks(500) {
        let rows = kills::table.filter(kills::target.eq_any(targets)).filter(kills::ends_at.lt(horizon));
        deleted += on!(conn, c => diesel::delete(rows).execute(c).await)?;
    }
    Ok(deleted)
}

async fn purge_changes(conn: &mut Connection, horizon: i64) -> Result<usize, SqlError> {
    let Some(mark) = purge_mark(conn, horizon).await? else { return Ok(0) };
    let limit = i64::try_from(PURGE_ROUND).unwrap_or(i64::MAX);
    // Of everything but revocations, the effect is kept elsewhere.
    let applied = changes::table
        .filter(not_a_revocation())
        .filter(changes::number.le(mark))
        .order(changes::number)
        .limit(limit)
        .select(changes::number);
    let ended = changes::table
        .filter(changes::ends_at.lt(horizon))
        .filter(changes::number.le(mark))
        .order(changes::ends_at)
        .limit(limit)
        .select(changes::number);
    let mut numbers = on!(conn, c => applied.load::<i64>(c).await)?;
    numbers.extend(on!(conn, c => ended.load::<i64>(c).await)?);
    numbers.truncate(PURGE_ROUND);
    if numbers.is_empty() {
        return Ok(0);
    }
    let mut deleted = 0;
    for numbers in numbers.chunks(500) {
        let rows = changes::table.filter(changes::number.eq_any(numbers));
        deleted += on!(conn, c => diesel::delete(rows).execute(c).await)?;
    }
    // Last of all, for it takes the lock of the head: what is below the mark may be missing.
    let behind = feed::table.filter(feed::purged_number.lt(mark));
    let query = diesel::update(behind).set(feed::purged_number.eq(mark));
    on!(conn, c => query.execute(c).await)?;
    Ok(deleted)
}

/// The last change that is older than `horizon` and that every replica has applied.
async fn purge_mark(conn: &mut Connection, horizon: i64) -> Result<Option<i64>, SqlError> {
    let old = changes::table
        .filter(changes::recorded_at.lt(horizon))
        .order((changes::recorded_at.desc(), changes::number.desc()))
        .select(changes::number);
    let old = on!(conn, c => old.first::<i64>(c).await.optional())?;
    let Some(old) = old else { return Ok(None) };
    let applied = replicas::table.select(diesel::dsl::min(replicas::applied));
    let applied = on!(conn, c => applied.first::<Option<i64>>(c).await)?;
    Ok(Some(applied.map_or(old, |applied| old.min(applied))))
}

/// Says that the database was restored to an older state: every grant born before is dead, and
/// numbers go on from beyond `seen` (the newest position known to have existed) and whatever else
/// may have been lost.
///
/// The jump leaves a hole in the numbers. A replica that lived through the loss meets the hole
/// and reloads everything.
///
/// # Errors
/// When SQL fails.
pub async fn recover(
    database: &Database,
    entry: Entry,
    seen: ChangeNumber,
    now: Timestamp,
) -> Result<Position, SqlError> {
    let recovered = database.write(move |conn| {
        Box::pin(async move {
            let locked = lock_head(conn).await?;
            let (head, audited) = (locked.position()?, locked.audit_bounds()?.head);
            let jumped = head.number.max(seen).get().saturating_add(JUMP);
            let entry = Entry { change: Change::Recovered, ..entry };
            let deed = Deed::recorded(&entry, ChangeNumber::new(jumped), Outcome::Done);
            let row = RecordedChange::chain(&head.hash, ChangeNumber::new(jumped), entry, now);
            insert(conn, std::slice::from_ref(&row)).await?;
            let audited = append(conn, audited, vec![deed], now).await?;
            move_head(conn, row.number, &row.hash, audited).await?;
            let at = stored(row.number)?;
            // Nothing reads the rows before: whoever follows them reloads.
            let query = diesel::update(feed::table)
                .set((feed::recovered_number.eq(at), feed::purged_number.eq(at - 1)));
            on!(conn, c => query.execute(c).await)?;
            Ok(Position { number: row.number, hash: row.hash, ..head })
        })
    });
    recovered.await
}
