//! Writing: numbers in commit order, chained, durable.

use std::collections::HashMap;
use std::time::Duration;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{CHANNEL, ChangeRow, FeedRow, feed_row, number, of_kind, restrictions, stored};
use crate::changes::change::{Change, KillScope, RECORDED_ONCE, RecordedChange};
use crate::changes::entry::Entry;
use crate::domain::clock::Timestamp;
use crate::domain::position::{ChangeHash, ChangeNumber};
use crate::sql::schema::{changes, feed, kills, token_keys};
use crate::sql::{Connection, SqlError, on};

/// Records entries inside the caller's transaction, together with whatever else it writes.
///
/// The lock of the head row is taken here and held to the commit, so numbers follow commit order.
/// A grant that is revoked already keeps its number, and so does a rotation that is known to be
/// lost: asking again waits for what was recorded.
///
/// # Errors
/// When SQL fails; the caller's transaction must then be rolled back.
pub async fn record_in(
    conn: &mut Connection,
    entries: Vec<Entry>,
    now: Timestamp,
) -> Result<Vec<ChangeNumber>, SqlError> {
    let head = lock_head(conn).await?;
    let mut recorded = already_recorded(conn, &entries).await?;
    let mut position = head.position()?;
    let mut numbers = Vec::with_capacity(entries.len());
    let mut rows = Vec::with_capacity(entries.len());
    let longest = Duration::from_secs(u64::try_from(head.longest_lifetime).unwrap_or(u64::MAX));
    for mut entry in entries {
        if let Some(once) = recorded_once(&entry.change) {
            if let Some(number) = recorded.get(&once) {
                numbers.push(*number);
                continue;
            }
            recorded.insert(once, position.number.next());
        }
        if let Some(end) = entry.change.open_end() {
            end.get_or_insert(now + longest);
        }
        let row = RecordedChange::chain(&position.hash, position.number.next(), entry, now);
        position.number = row.number;
        position.hash = row.hash;
        numbers.push(row.number);
        rows.push(row);
    }
    if !rows.is_empty() {
        insert(conn, &rows).await?;
        move_head(conn, position.number, &position.hash).await?;
    }
    Ok(numbers)
}

/// Takes the lock that puts changes in order, before anything is read that the change rests on.
///
/// # Errors
/// When SQL fails.
pub async fn lock_sequence(conn: &mut Connection) -> Result<(), SqlError> {
    lock_head(conn).await.map(drop)
}

/// The newest kill of a set; zero when there is none. Final as far as the lock of the sequence is held.
///
/// # Errors
/// When SQL fails.
pub async fn newest_kill(conn: &mut Connection, killed: &KillScope) -> Result<ChangeNumber, SqlError> {
    let query = kills::table.find(killed.columns()).select(kills::number);
    let at = on!(conn, c => query.first::<i64>(c).await.optional())?;
    at.map_or(Ok(ChangeNumber::ZERO), number)
}

async fn lock_head(conn: &mut Connection) -> Result<FeedRow, SqlError> {
    match conn {
        // The transaction began IMMEDIATE: it is the only writer already.
        Connection::Sqlite(_) => feed_row(conn).await,
        Connection::Postgres(c) => Ok(feed::table.for_update().first::<FeedRow>(c).await?),
    }
}

/// Kind and target of a change that is recorded once.
fn recorded_once(change: &Change) -> Option<(&'static str, String)> {
    let columns = change.columns();
    RECORDED_ONCE.contains(&columns.0).then_some(columns)
}

async fn already_recorded(
    conn: &mut Connection,
    entries: &[Entry],
) -> Result<HashMap<(&'static str, String), ChangeNumber>, SqlError> {
    let mut found = HashMap::new();
    let asked: Vec<_> = entries.iter().filter_map(|entry| recorded_once(&entry.change)).collect();
    for kind in RECORDED_ONCE {
        let of_this = asked.iter().filter(|(other, _)| *other == kind);
        let targets: Vec<&str> = of_this.map(|(_, target)| target.as_str()).collect();
        // SQLite takes a limited number of parameters in one statement.
        for targets in targets.chunks(500) {
            let query = changes::table
                .filter(of_kind(kind))
                .filter(changes::target.eq_any(targets))
                .select((changes::target, changes::number));
            for (target, at) in on!(conn, c => query.load::<(String, i64)>(c).await)? {
                found.insert((kind, target), number(at)?);
            }
        }
    }
    Ok(found)
}

pub(super) async fn insert(conn: &mut Connection, recorded: &[RecordedChange]) -> Result<(), SqlError> {
    let rows: Result<Vec<_>, _> = recorded.iter().map(ChangeRow::from_recorded).collect();
    match conn {
        Connection::Sqlite(c) => {
            for row in rows? {
                diesel::insert_into(changes::table).values(row).execute(c).await?;
            }
        }
        Connection::Postgres(c) => {
            // PostgreSQL takes 65,535 parameters in one statement, and a row has eight.
            let mut rows = rows?;
            while !rows.is_empty() {
                let rest = rows.split_off(rows.len().min(4096));
                diesel::insert_into(changes::table).values(&rows).execute(c).await?;
                rows = rest;
            }
        }
    }
    for row in recorded {
        if let Some(killed) = row.entry.change.killed() {
            raise(conn, killed, row.number).await?;
        }
        if let Some((grant, edit)) = row.edit() {
            restrictions::edit(conn, grant, edit).await?;
        }
    }
    Ok(())
}

/// Records the newest kill of a set. Of a login session's the first end stands, as it does in memory: nothing of it was
/// made since.
async fn raise(conn: &mut Connection, killed: &KillScope, number: ChangeNumber) -> Result<(), SqlError> {
    let (scope, target) = killed.columns();
    let at = stored(number)?;
    let ends_at = killed.ends_at().map(Timestamp::unix_seconds);
    let insert = diesel::insert_into(kills::table)
        .values((
            kills::scope.eq(scope),
            kills::target.eq(target),
            kills::number.eq(at),
            kills::ends_at.eq(ends_at),
        ))
        .on_conflict((kills::scope, kills::target))
        .do_update();
    if let KillScope::LoginSession { .. } = killed {
        let query = insert.set(kills::number.eq(at));
        on!(conn, c => query.execute(c).await)?;
    } else {
        let query = insert.set((kills::number.eq(at), kills::ends_at.eq(ends_at)));
        on!(conn, c => query.execute(c).await)?;
    }
    Ok(())
}

pub(super) async fn move_head(
    conn: &mut Connection,
    number: ChangeNumber,
    hash: &ChangeHash,
) -> Result<(), SqlError> {
    let moved =
        diesel::update(feed::table).set((feed::number.eq(stored(number)?), feed::hash.eq(hash.0.to_vec())));
    on!(conn, c => moved.execute(c).await)?;
    if let Connection::Postgres(_) = conn {
        conn.batch(&format!("NOTIFY {CHANNEL}")).await?;
    }
    Ok(())
}

/// Notes that grants may live as long as `lifetime`, before the first is made. Revocations of
/// grants whose end is not known are kept for the longest lifetime ever noted.
///
/// # Errors
/// When SQL fails.
pub async fn record_longest_lifetime(conn: &mut Connection, lifetime: Duration) -> Result<(), SqlError> {
    let seconds = i64::try_from(lifetime.as_secs()).map_err(SqlError::unintelligible)?;
    let query = diesel::update(feed::table.filter(feed::longest_lifetime.lt(seconds)))
        .set(feed::longest_lifetime.eq(seconds));
    on!(conn, c => query.execute(c).await)?;
    Ok(())
}

/// Notes that tokens are made under a key; whether replicas may be running that lack it, because
/// it was never noted before, or so long ago that none of its tokens lives.
pub(super) async fn note_key_use(
    conn: &mut Connection,
    fingerprint: &str,
    now: Timestamp,
) -> Result<bool, SqlError> {
    let at = now.unix_seconds();
    let row = token_keys::table.find(fingerprint);
    let query = row.select(token_keys::last_used_at);
    if let Some(last) = on!(conn, c => query.first::<i64>(c).await.optional())? {
        let query = diesel::update(row).set(token_keys::last_used_at.eq(at));
        on!(conn, c => query.execute(c).await)?;
        let longest = feed_row(conn).await?.longest_lifetime;
        return Ok(last < at.saturating_sub(longest));
    }
    let query = diesel::insert_into(token_keys::table)
        .values((token_keys::fingerprint.eq(fingerprint), token_keys::last_used_at.eq(at)))
        .on_conflict_do_nothing();
    Ok(on!(conn, c => query.execute(c).await)? > 0)
}
