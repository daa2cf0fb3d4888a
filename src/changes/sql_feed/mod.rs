//! The feed in SQL: SQLite and PostgreSQL alike.

mod audit;
mod history;
mod lease;
mod load;
mod restrictions;
mod sequence;

use std::sync::Arc;

use async_trait::async_trait;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

pub use self::history::recover;
pub use self::sequence::{lock_sequence, newest_kill, record_in, record_longest_lifetime};
use super::change::{Change, REVOKE_GRANT, RecordedChange};
use super::entry::{Actor, Entry};
use super::snapshot::CannotApply;
use super::store::FeedError;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::identifier::GrantId;
use crate::domain::position::{ChangeHash, ChangeNumber, FeedId, Position};
use crate::domain::token_key::TokenKeys;
use crate::sql::schema::{changes, feed};
use crate::sql::{Connection, Database, SqlError, on};

/// The channel on which PostgreSQL tells that something was recorded.
pub const CHANNEL: &str = "symbolon_changes";

/// What somebody derives from the feed, read in the same transactions that read the feed.
#[async_trait]
pub trait Projection: Send + Sync + 'static {
    type View: Clone + Send + Sync + 'static;

    /// The whole view.
    async fn read_all(&self, conn: &mut Connection) -> Result<Self::View, SqlError>;

    /// The view after `rows`.
    async fn catch_up(
        &self,
        conn: &mut Connection,
        view: Self::View,
        rows: &[RecordedChange],
    ) -> Result<Self::View, SqlError>;
}

/// The feed of one database, with what `P` derives from it.
pub struct SqlFeed<P> {
    pub(super) database: Database,
    projection: Arc<P>,
    clock: Arc<dyn Clock>,
    keys: Option<Arc<TokenKeys>>,
}

impl<P> Clone for SqlFeed<P> {
    fn clone(&self) -> Self {
        Self {
            database: self.database.clone(),
            projection: Arc::clone(&self.projection),
            clock: Arc::clone(&self.clock),
            keys: self.keys.clone(),
        }
    }
}

impl<P> SqlFeed<P> {
    /// `keys` are those of a replica, checked against the ones that live tokens may need; the
    /// command line answers for no token and gives none.
    pub fn new(
        database: Database,
        projection: P,
        clock: Arc<dyn Clock>,
        keys: Option<Arc<TokenKeys>>,
    ) -> Self {
        Self { database, projection: Arc::new(projection), clock, keys }
    }
}

#[derive(Queryable)]
struct FeedRow {
    _id: i32,
    feed_id: Vec<u8>,
    number: i64,
    hash: Vec<u8>,
    purged_number: i64,
    recovered_number: i64,
    longest_lifetime: i64,
    audit_number: i64,
    audit_hash: Vec<u8>,
    audit_purged_number: i64,
    audit_purged_hash: Vec<u8>,
}

impl FeedRow {
    fn position(&self) -> Result<Position, SqlError> {
        let id = self.feed_id.as_slice().try_into().map_err(SqlError::unintelligible)?;
        Ok(Position { feed: FeedId(id), number: number(self.number)?, hash: chain_value(&self.hash)? })
    }
}

/// The head as this transaction sees it, without waiting for a writer.
async fn feed_row(conn: &mut Connection) -> Result<FeedRow, SqlError> {
    Ok(on!(conn, c => feed::table.first::<FeedRow>(c).await)?)
}

#[derive(Queryable, Insertable)]
#[diesel(table_name = changes)]
struct ChangeRow {
    number: i64,
    kind: String,
    target: String,
    ends_at: Option<i64>,
    recorded_at: i64,
    actor: String,
    reason: Option<String>,
    hash: Vec<u8>,
}

impl ChangeRow {
    fn from_recorded(recorded: &RecordedChange) -> Result<Self, SqlError> {
        let (kind, target) = recorded.entry.change.columns();
        Ok(Self {
            number: stored(recorded.number)?,
            kind: kind.to_owned(),
            target,
            ends_at: recorded.entry.change.ends_at().map(Timestamp::unix_seconds),
            recorded_at: recorded.recorded_at.unix_seconds(),
            actor: recorded.entry.author.actor.to_string(),
            reason: recorded.entry.reason.clone(),
            hash: recorded.hash.0.to_vec(),
        })
    }

    fn into_recorded(self) -> Result<RecordedChange, FeedError> {
        let number = number(self.number)?;
        let ends_at = self.ends_at.map(Timestamp::from_unix_seconds);
        let change = Change::from_columns(&self.kind, &self.target, ends_at)
            .ok_or(CannotApply::UnknownKind { number, kind: self.kind })?;
        Ok(RecordedChange {
            number,
            entry: Entry::new(change, Actor::from_stored(self.actor)).because(self.reason),
            recorded_at: Timestamp::from_unix_seconds(self.recorded_at),
            hash: chain_value(&self.hash)?,
        })
    }
}

/// The changes of a kind, in the very words of its index. A parameter would not do: the plan that
/// PostgreSQL keeps for a prepared statement knows no parameter, hence not this index.
fn of_kind(kind: &'static str) -> diesel::expression::SqlLiteral<diesel::sql_types::Bool> {
    diesel::dsl::sql(&format!("kind = '{kind}'"))
}

/// The revocations of grants.
fn a_revocation() -> diesel::expression::SqlLiteral<diesel::sql_types::Bool> {
    of_kind(REVOKE_GRANT)
}

/// Every change but revocations, in the very words of the index that leaves those out.
fn not_a_revocation() -> diesel::expression::SqlLiteral<diesel::sql_types::Bool> {
    diesel::dsl::sql(&format!("kind <> '{REVOKE_GRANT}'"))
}

/// A revocation, as its row says it.
struct Revocation {
    grant: GrantId,
    ends_at: Timestamp,
    number: ChangeNumber,
}

/// The revocations among some changes that follow each other.
struct Page {
    revocations: Vec<Revocation>,
    /// The last change that was looked at, of whatever kind.
    last: ChangeNumber,
}

/// The revocations among the changes after `after`, of a range of so many numbers; `None` when
/// there is no change after it.
async fn revocations_after(
    conn: &mut Connection,
    after: ChangeNumber,
    range: u64,
) -> Result<Option<Page>, SqlError> {
    // What is purged, and `recover`, leave holes.
    let next =
        changes::table.filter(changes::number.gt(stored(after)?)).select(diesel::dsl::min(changes::number));
    let Some(next) = on!(conn, c => next.first::<Option<i64>>(c).await)? else { return Ok(None) };
    // Bounded on both sides, as in `rows_after`, and by nothing else: of any index over some of the
    // rows PostgreSQL assumes, until it has statistics, that those are few.
    let query = changes::table
        .filter(changes::number.ge(next))
        .filter(changes::number.lt(next.saturating_add_unsigned(range)))
        .select((changes::number, a_revocation(), changes::target, changes::ends_at));
    let rows = on!(conn, c => query.load::<(i64, bool, String, Option<i64>)>(c).await)?;
    let mut page = Page { revocations: Vec::with_capacity(rows.len()), last: after };
    for (at, is_a_revocation, target, ends_at) in rows {
        let at = number(at)?;
        page.last = page.last.max(at);
        if is_a_revocation {
            let grant = GrantId::from_digits(target.as_bytes())
                .ok_or_else(|| SqlError::unintelligible(format!("grant id in change {}", at.get())))?;
            let ends_at = Timestamp::from_unix_seconds(ends_at.unwrap_or(i64::MAX));
            page.revocations.push(Revocation { grant, ends_at, number: at });
        }
    }
    Ok(Some(page))
}

fn number(stored: i64) -> Result<ChangeNumber, SqlError> {
    u64::try_from(stored).map(ChangeNumber::new).map_err(SqlError::unintelligible)
}

fn stored(number: ChangeNumber) -> Result<i64, SqlError> {
    i64::try_from(number.get()).map_err(SqlError::unintelligible)
}

fn chain_value(bytes: &[u8]) -> Result<ChangeHash, SqlError> {
    bytes.try_into().map(ChangeHash).map_err(SqlError::unintelligible)
}
