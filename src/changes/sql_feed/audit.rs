//! The audit in SQL: appended to with the changes, read in pages, shortened at its old end.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{Integer, Text};
use diesel_async::RunQueryDsl;

use super::sequence::lock_head;
use super::{FeedRow, Projection, SqlFeed, chain_value, feed_row};
use crate::changes::audit::{Attempt, AuditBounds, AuditFilter, AuditMark, AuditRow, Deed, Outcome, PURGE};
use crate::changes::entry::Author;
use crate::changes::store::FeedError;
use crate::domain::clock::Timestamp;
use crate::sql::schema::{audit, feed};
use crate::sql::{Connection, Database, SqlError, on};

/// How often retention looks.
const PURGE_EVERY: Duration = Duration::from_secs(60);
/// How many rows retention deletes in one transaction: so few that nobody waits long for the lock of the head.
const PURGE_ROUND: i64 = 2000;

impl FeedRow {
    pub(super) fn audit_bounds(&self) -> Result<AuditBounds, SqlError> {
        Ok(AuditBounds {
            purged: AuditMark {
                number: self.audit_purged_number,
                hash: chain_value(&self.audit_purged_hash)?,
            },
            head: AuditMark { number: self.audit_number, hash: chain_value(&self.audit_hash)? },
        })
    }
}

/// Appends rows after `head`, which is locked; returns the new one, to be written with the lock still held.
pub(super) async fn append(
    conn: &mut Connection,
    mut head: AuditMark,
    deeds: Vec<Deed>,
    now: Timestamp,
) -> Result<AuditMark, SqlError> {
    let rows: Vec<AuditRow> = deeds.into_iter().map(|deed| head.append(deed, now)).collect();
    match conn {
        Connection::Sqlite(c) => {
            for row in rows {
                diesel::insert_into(audit::table).values(row).execute(c).await?;
            }
        }
        Connection::Postgres(c) => {
            // PostgreSQL takes 65,535 parameters in one statement, and a row has eleven.
            for rows in rows.chunks(4096) {
                diesel::insert_into(audit::table).values(rows).execute(c).await?;
            }
        }
    }
    Ok(head)
}

/// Records what was refused, inside the caller's transaction.
async fn record_attempts_in(
    conn: &mut Connection,
    attempts: Vec<Attempt>,
    now: Timestamp,
) -> Result<(), SqlError> {
    let head = lock_head(conn).await?.audit_bounds()?.head;
    let head = append(conn, head, attempts.into_iter().map(Deed::from).collect(), now).await?;
    move_audit_head(conn, head).await
}

async fn move_audit_head(conn: &mut Connection, head: AuditMark) -> Result<(), SqlError> {
    let moved = diesel::update(feed::table)
        .set((feed::audit_number.eq(head.number), feed::audit_hash.eq(head.hash.0.to_vec())));
    on!(conn, c => moved.execute(c).await)?;
    Ok(())
}

/// Rows between two numbers, of those that are wanted.
async fn rows_between(
    conn: &mut Connection,
    filter: &AuditFilter,
    (after, upto): (i64, i64),
    newest_first: bool,
    limit: i64,
) -> Result<Vec<AuditRow>, SqlError> {
    let rows = on!(conn, c => {
        let mut query = audit::table
            .filter(audit::number.gt(after))
            .filter(audit::number.le(upto))
            .limit(limit)
            .into_boxed();
        if let Some(since) = filter.since {
            query = query.filter(audit::recorded_at.ge(since.unix_seconds()));
        }
        if let Some(until) = filter.until {
            query = query.filter(audit::recorded_at.lt(until.unix_seconds()));
        }
        if let Some(actor) = &filter.actor {
            // Not LIKE, which takes capitals for small letters on SQLite.
            let length = i32::try_from(actor.chars().count()).unwrap_or(i32::MAX);
            query = query.filter(substr(audit::actor, 1, length).eq(actor));
        }
        if let Some(action) = &filter.action {
            query = query.filter(audit::action.eq(action));
        }
        if let Some(target) = &filter.target {
            query = query.filter(audit::target.eq(target));
        }
        if let Some(outcome) = filter.outcome {
            query = query.filter(audit::outcome.eq(outcome.as_str()));
        }
        if newest_first {
            query.order(audit::number.desc()).load::<AuditRow>(c).await
        } else {
            query.order(audit::number.asc()).load::<AuditRow>(c).await
        }
    });
    Ok(rows?)
}

#[declare_sql_function]
extern "SQL" {
    /// So many characters of a text, from one on; the first is 1.
    fn substr(text: Text, from: Integer, count: Integer) -> Text;
}

/// Records what was refused, in one durable transaction.
pub(super) async fn record_attempts(
    database: &Database,
    attempts: Vec<Attempt>,
    now: Timestamp,
) -> Result<(), SqlError> {
    database.write(move |conn| Box::pin(record_attempts_in(conn, attempts, now))).await
}

impl<P: Projection> SqlFeed<P> {
    /// Where the audit begins and ends.
    ///
    /// # Errors
    /// When SQL fails.
    pub async fn audit_bounds(&self) -> Result<AuditBounds, FeedError> {
        let read = self.database.read(|conn| Box::pin(async move { feed_row(conn).await?.audit_bounds() }));
        Ok(read.await?)
    }

    /// The rows that are wanted with numbers above `after` up to `upto`, at most `limit`.
    ///
    /// # Errors
    /// When SQL fails.
    pub async fn audit_rows(
        &self,
        filter: AuditFilter,
        (after, upto): (i64, i64),
        newest_first: bool,
        limit: i64,
    ) -> Result<Vec<AuditRow>, FeedError> {
        let read = self.database.read(move |conn| {
            Box::pin(async move { rows_between(conn, &filter, (after, upto), newest_first, limit).await })
        });
        Ok(read.await?)
    }

    /// The next rows after `after`, whatever their numbers, with where the audit begins and ends, as of one moment.
    ///
    /// # Errors
    /// When SQL fails.
    pub async fn audit_page(
        &self,
        after: i64,
        limit: i64,
    ) -> Result<(AuditBounds, Vec<AuditRow>), FeedError> {
        let read = self.database.read(move |conn| {
            Box::pin(async move {
                let bounds = feed_row(conn).await?.audit_bounds()?;
                let everything = AuditFilter::default();
                let rows = rows_between(conn, &everything, (after, i64::MAX), false, limit).await?;
                Ok((bounds, rows))
            })
        });
        Ok(read.await?)
    }

    /// A task that keeps the audit to what is to be kept of it, in the name of `author`.
    pub async fn keep_audit(self, keep: Duration, author: Author) {
        loop {
            match self.purge_audit(keep, author.clone()).await {
                Ok(0) => {}
                Ok(rows) => log::info!("deleted {rows} rows of the audit that are older than is kept"),
                Err(error) => log::warn!("the audit is not shortened: {error}"),
            }
            tokio::time::sleep(PURGE_EVERY).await;
        }
    }

    /// Deletes rows that are older than `keep`, from the oldest on without a hole; what the first one kept follows stays
    /// known. That it was done is a row of its own. Returns how many there were.
    ///
    /// # Errors
    /// When SQL fails.
    pub async fn purge_audit(&self, keep: Duration, author: Author) -> Result<i64, FeedError> {
        let keep = i64::try_from(keep.as_secs()).unwrap_or(i64::MAX);
        let now = self.clock.now();
        let mut deleted = 0;
        loop {
            let author = author.clone();
            let round =
                self.database.write(move |conn| Box::pin(purge_round(conn, now, keep, author))).await?;
            deleted += round;
            if round < PURGE_ROUND {
                return Ok(deleted);
            }
            self.database.give_way().await;
        }
    }
}

async fn purge_round(
    conn: &mut Connection,
    now: Timestamp,
    keep: i64,
    author: Author,
) -> Result<i64, SqlError> {
    let horizon = Database::now(conn, now.unix_seconds()).await?.saturating_sub(keep);
    let purged = feed_row(conn).await?.audit_purged_number;
    if oldest(conn, purged, horizon).await?.is_none() {
        return Ok(0);
    }
    // Again, now that nobody else can do the same.
    let AuditBounds { purged, head } = lock_head(conn).await?.audit_bounds()?;
    let Some(last) = oldest(conn, purged.number, horizon).await? else { return Ok(0) };
    // First of all: the table lets nobody delete what is not given up here.
    let given_up = diesel::update(feed::table)
        .set((feed::audit_purged_number.eq(last.number), feed::audit_purged_hash.eq(last.hash.0.to_vec())));
    on!(conn, c => given_up.execute(c).await)?;
    let old = audit::table.filter(audit::number.le(last.number));
    on!(conn, c => diesel::delete(old).execute(c).await)?;
    let deed = Deed {
        author,
        action: PURGE,
        target: String::new(),
        detail: Some(format!("rows {} to {}", purged.number.saturating_add(1), last.number)),
        outcome: Outcome::Done,
        reason: Some("they are older than is kept".to_owned()),
        change: None,
    };
    let head = append(conn, head, vec![deed], now).await?;
    move_audit_head(conn, head).await?;
    Ok(last.number - purged.number)
}

/// The last of the oldest rows that are older than `horizon`, of one round: everything up to it is.
async fn oldest(conn: &mut Connection, after: i64, horizon: i64) -> Result<Option<AuditMark>, SqlError> {
    let query = audit::table
        .filter(audit::number.gt(after))
        .order(audit::number)
        .limit(PURGE_ROUND)
        .select((audit::number, audit::recorded_at, audit::hash));
    let rows = on!(conn, c => query.load::<(i64, i64, Vec<u8>)>(c).await)?;
    let last = rows.into_iter().take_while(|(_, recorded_at, _)| *recorded_at < horizon).last();
    last.map(|(number, _, hash)| Ok(AuditMark { number, hash: chain_value(&hash)? })).transpose()
}
