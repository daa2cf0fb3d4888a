//! Writing: numbers in commit order, chained, durable.

use std::collections::HashMap;
use std::time::Duration;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::audit::append;
use super::{CHANNEL, ChangeRow, FeedRow, feed_row, number, of_kind, restrictions, stored};
use crate::changes::audit::{AuditMark, Deed, Outcome};
use crate::changes::change::{
    Change, KILL_LOGIN_SESSION, KillScope, LOGIN_SESSION, RECORDED_ONCE, RecordedChange,
};
use crate::changes::entry::Entry;
use crate::domain::clock::{CLOCK_SLACK, Timestamp};
use crate::domain::position::{ChangeHash, ChangeNumber};
use crate::sql::schema::{changes, feed, kills, token_keys};
use crate::sql::{Connection, Database, SqlError, on};

/// Records entries inside the caller's transaction, together with whatever else it writes.
///
/// The lock of the head row is taken here and held to the commit, so numbers follow commit order.
/// A grant that is revoked already keeps its number, and so does a login session that was ended, or
/// a rotation that is known to be lost: asking again waits for what was recorded.
///
/// Who did what is recorded with it, or nothing is.
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
    let mut deeds = Vec::with_capacity(entries.len());
    let mut unknown_end = None;
    for mut entry in entries {
        if let Some(once) = recorded_once(&entry.change) {
            if let Some(number) = recorded.get(&once) {
                if !entry.author.actor.is_program() {
                    deeds.push(Deed::recorded(&entry, *number, Outcome::Repeated));
                }
                numbers.push(*number);
                continue;
            }
            recorded.insert(once, position.number.next());
        }
        if let Some(end @ None) = entry.change.open_end() {
            if unknown_end.is_none() {
                unknown_end = Some(latest_end(conn, &head, now).await?);
            }
            *end = unknown_end;
        }
        deeds.push(Deed::recorded(&entry, position.number.next(), Outcome::Done));
        let row = RecordedChange::chain(&position.hash, position.number.next(), entry, now);
        position.number = row.number;
        position.hash = row.hash;
        numbers.push(row.number);
        rows.push(row);
    }
    if !deeds.is_empty() {
        insert(conn, &rows).await?;
        let audited = append(conn, head.audit_bounds()?.head, deeds, now).await?;
        move_head(conn, position.number, &position.hash, audited).await?;
    }
    Ok(numbers)
}

/// When the last of all that was given until now ends: by the later of two clocks, for whoever records this may have a
/// clock that is behind those by which it was given. What has an end of its own does not cost the question.
async fn latest_end(conn: &mut Connection, head: &FeedRow, own: Timestamp) -> Result<Timestamp, SqlError> {
    let longest = Duration::from_secs(u64::try_from(head.longest_lifetime).unwrap_or(u64::MAX));
    let now = Timestamp::from_unix_seconds(Database::latest_now(conn, own.unix_seconds()).await?);
    Ok(now + longest + CLOCK_SLACK)
}

/// Takes the lock that puts changes in order, before anything is read that the change rests on.
/// Returns the number of the last change: what is recorded under this lock has a greater one.
///
/// # Errors
/// When SQL fails.
pub async fn lock_sequence(conn: &mut Connection) -> Result<ChangeNumber, SqlError> {
    number(lock_head(conn).await?.number)
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

pub(super) async fn lock_head(conn: &mut Connection) -> Result<FeedRow, SqlError> {
    match conn {
        // The transaction began IMMEDIATE: it is the only writer already.
        Connection::Sqlite(_) => feed_row(conn).await,
        Connection::Postgres(c) => Ok(feed::table.for_update().first::<FeedRow>(c).await?),
    }
}

/// Kind and target of a change that is recorded once. So is the end of a login session, which never lives again.
fn recorded_once(change: &Change) -> Option<(&'static str, String)> {
    let columns = change.columns();
    (RECORDED_ONCE.contains(&columns.0) || ended_session(change).is_some()).then_some(columns)
}

const fn ended_session(change: &Change) -> Option<&KillScope> {
    match change {
        Change::Killed(scope @ KillScope::LoginSession { .. }) => Some(scope),
        _ => None,
    }
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
    // Their rows may be purged: what they did is kept as a kill.
    let ended: Vec<_> = entries.iter().filter_map(|entry| ended_session(&entry.change)).collect();
    for ended in ended.chunks(500) {
        let targets: Vec<String> = ended.iter().map(|scope| scope.columns().1).collect();
        let query = kills::table
            .filter(kills::scope.eq(LOGIN_SESSION))
            .filter(kills::target.eq_any(targets))
            .select((kills::target, kills::number));
        for (target, at) in on!(conn, c => query.load::<(String, i64)>(c).await)? {
            found.insert((KILL_LOGIN_SESSION, target), number(at)?);
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
    let mut sessions = Vec::new();
    for row in recorded {
        match row.entry.change.killed() {
            Some(session @ KillScope::LoginSession { .. }) => {
                sessions.push(KillRow::new(session, row.number)?);
            }
            Some(killed) => raise(conn, KillRow::new(killed, row.number)?).await?,
            None => {}
        }
        if let Some((grant, edit)) = row.edit() {
            restrictions::edit(conn, grant, edit).await?;
        }
    }
    end_sessions(conn, sessions).await
}

/// The newest kill of a set.
#[derive(Insertable)]
#[diesel(table_name = kills)]
struct KillRow {
    scope: &'static str,
    target: String,
    number: i64,
    ends_at: Option<i64>,
}

impl KillRow {
    fn new(killed: &KillScope, number: ChangeNumber) -> Result<Self, SqlError> {
        let (scope, target) = killed.columns();
        let ends_at = killed.ends_at().map(Timestamp::unix_seconds);
        Ok(Self { scope, target, number: stored(number)?, ends_at })
    }
}

async fn raise(conn: &mut Connection, kill: KillRow) -> Result<(), SqlError> {
    let newer = (kills::number.eq(kill.number), kills::ends_at.eq(kill.ends_at));
    let query = diesel::insert_into(kills::table)
        .values(kill)
        .on_conflict((kills::scope, kills::target))
        .do_update()
        .set(newer);
    on!(conn, c => query.execute(c).await)?;
    Ok(())
}

/// Records the ends of login sessions, each of which has none yet.
async fn end_sessions(conn: &mut Connection, mut kills: Vec<KillRow>) -> Result<(), SqlError> {
    match conn {
        Connection::Sqlite(c) => {
            for kill in kills {
                diesel::insert_into(kills::table).values(kill).execute(c).await?;
            }
        }
        Connection::Postgres(c) => {
            while !kills.is_empty() {
                let rest = kills.split_off(kills.len().min(4096));
                diesel::insert_into(kills::table).values(&kills).execute(c).await?;
                kills = rest;
            }
        }
    }
    Ok(())
}

pub(super) async fn move_head(
    conn: &mut Connection,
    number: ChangeNumber,
    hash: &ChangeHash,
    audited: AuditMark,
) -> Result<(), SqlError> {
    let moved = diesel::update(feed::table).set((
        feed::number.eq(stored(number)?),
        feed::hash.eq(hash.0.to_vec()),
        feed::audit_number.eq(audited.number),
        feed::audit_hash.eq(audited.hash.0.to_vec()),
    ));
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
