//! Loading everything: state and position in one snapshot of SQL.

use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::restrictions::RestrictionsRow;
use super::{
    FeedRow, Projection, SqlFeed, a_revocation, feed_row, not_a_revocation, number, revocations_after,
};
use crate::changes::change::{FOREVER, KINDS, KillScope};
use crate::changes::restricted::RestrictedGrants;
use crate::changes::revoked::{Gathering, RevokedGrants};
use crate::changes::snapshot::{CannotApply, Kills, Snapshot};
use crate::changes::store::FeedError;
use crate::domain::clock::{BootTime, CLOCK_SLACK, MAX_LEASE, Timestamp};
use crate::domain::identifier::GrantId;
use crate::domain::position::ChangeNumber;
use crate::domain::token_key::{KeyFingerprint, TokenKeys};
use crate::sql::schema::{changes, kills, restrictions, token_keys};
use crate::sql::{Connection, Database, SqlError, on};

/// How much longer than its longest token a token key counts as needed: a lease, during which a
/// replica may make tokens without noting it, and some minutes for clocks.
const KEY_SLACK: Duration = MAX_LEASE.saturating_add(Duration::from_secs(600));

/// How many changes are looked through at once.
const PAGE: u64 = 1_000;

impl<P: Projection> SqlFeed<P> {
    /// Whether live tokens may exist under a key that is not among `keys`.
    ///
    /// # Errors
    /// When SQL fails.
    pub async fn needs_more_than(&self, keys: Arc<TokenKeys>) -> Result<bool, FeedError> {
        let own = self.clock.now().unix_seconds();
        let read = self.database.read(move |conn| {
            Box::pin(async move {
                let now = Timestamp::from_unix_seconds(Database::now(conn, own).await?);
                let head = feed_row(conn).await?;
                Ok(!missing_keys(conn, &keys, &head, now).await?.is_empty())
            })
        });
        Ok(read.await?)
    }

    /// Loads what bears on these grants, in one snapshot of SQL: everything but the revocations of others, which are
    /// most of it. No state to serve from.
    ///
    /// # Errors
    /// When SQL fails, or holds what this version cannot apply.
    pub async fn load_about(&self, grants: Vec<GrantId>) -> Result<Snapshot<P::View>, FeedError> {
        self.load_state(Some(grants)).await
    }

    pub(super) async fn load_all(&self) -> Result<Snapshot<P::View>, FeedError> {
        self.load_state(None).await
    }

    async fn load_state(&self, about: Option<Vec<GrantId>>) -> Result<Snapshot<P::View>, FeedError> {
        let this = self.clone();
        let (snapshot, obstacle) = self
            .database
            .read_everything(move |conn| {
                Box::pin(async move {
                    let own = this.clock.now().unix_seconds();
                    let now = Timestamp::from_unix_seconds(Database::now(conn, own).await?);
                    let head = feed_row(conn).await?;
                    let snapshot = Snapshot {
                        position: head.position()?,
                        deadline: BootTime::default(),
                        forgotten_before: now - CLOCK_SLACK,
                        memory_floor: ChangeNumber::ZERO,
                        recovered: number(head.recovered_number)?,
                        revoked: match about {
                            None => revoked(conn, now).await?,
                            Some(grants) => revoked_among(conn, &grants).await?,
                        },
                        restricted: restricted(conn, now).await?,
                        kills: kills(conn, now).await?,
                        view: this.projection.read_all(conn).await?,
                    };
                    let mut obstacle = unknown_kind(conn).await?;
                    if let (None, Some(keys)) = (&obstacle, &this.keys) {
                        let missing = missing_keys(conn, keys, &head, now).await?;
                        obstacle = missing.into_iter().next().map(CannotApply::MissingTokenKey);
                    }
                    Ok((snapshot, obstacle))
                })
            })
            .await?;
        match obstacle {
            Some(obstacle) => Err(obstacle.into()),
            None => Ok(snapshot),
        }
    }
}

/// A change that a newer version recorded: what it did cannot be seen in what is loaded.
async fn unknown_kind(conn: &mut Connection) -> Result<Option<CannotApply>, SqlError> {
    let query = changes::table
        .filter(not_a_revocation())
        .filter(changes::kind.ne_all(KINDS))
        .order(changes::number)
        .select((changes::number, changes::kind));
    let unknown = on!(conn, c => query.first::<(i64, String)>(c).await.optional())?;
    let unknown = unknown.map(|(at, kind)| Ok(CannotApply::UnknownKind { number: number(at)?, kind }));
    unknown.transpose()
}

/// Page by page: a million rows at once would take several times what is kept of them.
async fn revoked(conn: &mut Connection, now: Timestamp) -> Result<RevokedGrants, SqlError> {
    let all = changes::table.filter(a_revocation()).count();
    let all = on!(conn, c => all.get_result::<i64>(c).await)?;
    let mut gathering = Gathering::with_capacity(usize::try_from(all).unwrap_or_default());
    let ended = now - CLOCK_SLACK;
    let mut after = ChangeNumber::ZERO;
    while let Some(page) = revocations_after(conn, after, PAGE).await? {
        for revocation in page.revocations.iter().filter(|revocation| revocation.ends_at >= ended) {
            gathering.add(revocation.grant, revocation.ends_at, revocation.number);
        }
        after = page.last;
    }
    Ok(gathering.finish())
}

async fn revoked_among(conn: &mut Connection, grants: &[GrantId]) -> Result<RevokedGrants, SqlError> {
    let mut revoked = RevokedGrants::default();
    for grants in grants.chunks(500) {
        let targets: Vec<String> = grants.iter().map(ToString::to_string).collect();
        let query = changes::table
            .filter(a_revocation())
            .filter(changes::target.eq_any(targets))
            .select((changes::target, changes::number));
        for (target, at) in on!(conn, c => query.load::<(String, i64)>(c).await)? {
            let grant = GrantId::from_digits(target.as_bytes())
                .ok_or_else(|| SqlError::unintelligible(format!("grant id in change {at}")))?;
            revoked.insert(grant, FOREVER, number(at)?);
        }
    }
    Ok(revoked)
}

/// All restrictions but those of grants that have ended.
async fn restricted(conn: &mut Connection, now: Timestamp) -> Result<RestrictedGrants, SqlError> {
    let needed =
        restrictions::table.filter(restrictions::needed_until.ge((now - CLOCK_SLACK).unix_seconds()));
    let rows = on!(conn, c => needed.load::<RestrictionsRow>(c).await)?;
    rows.into_iter().map(RestrictionsRow::into_restrictions).collect()
}

/// All kills but those of login sessions of which nothing lives any more.
async fn kills(conn: &mut Connection, now: Timestamp) -> Result<Kills, SqlError> {
    let needed = kills::ends_at.is_null().or(kills::ends_at.ge((now - CLOCK_SLACK).unix_seconds()));
    let query = kills::table.filter(needed);
    let rows = on!(conn, c => query.load::<(String, String, i64, Option<i64>)>(c).await)?;
    let mut kills = Kills::default();
    for (scope, target, at, ends_at) in rows {
        let scope = KillScope::from_columns(&scope, &target, ends_at.map(Timestamp::from_unix_seconds))
            .ok_or_else(|| SqlError::unintelligible(format!("kill of {scope:?}")))?;
        kills.raise(&scope, number(at)?);
    }
    Ok(kills)
}

/// The keys under which live tokens may exist and that are not held.
async fn missing_keys(
    conn: &mut Connection,
    keys: &TokenKeys,
    head: &FeedRow,
    now: Timestamp,
) -> Result<Vec<KeyFingerprint>, SqlError> {
    let slack = i64::try_from(KEY_SLACK.as_secs()).unwrap_or(i64::MAX);
    let horizon = now.unix_seconds().saturating_sub(head.longest_lifetime).saturating_sub(slack);
    let query =
        token_keys::table.filter(token_keys::last_used_at.ge(horizon)).select(token_keys::fingerprint);
    let needed = on!(conn, c => query.load::<String>(c).await)?;
    let needed = needed.iter().map(|text| KeyFingerprint::from_stored(text));
    Ok(needed.filter(|fingerprint| !keys.holds(fingerprint)).collect())
}
