//! What holds of restricted grants: a row for each, written in the transaction that records the edit.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{number, stored};
use crate::changes::restricted::{RecordedEdit, Restrictions};
use crate::domain::clock::Timestamp;
use crate::domain::identifier::GrantId;
use crate::domain::scope::Scope;
use crate::sql::schema::restrictions;
use crate::sql::{Connection, SqlError, on};

#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = restrictions, treat_none_as_null = true)]
pub(super) struct RestrictionsRow {
    grant_id: String,
    scope: Option<String>,
    ends_at: Option<i64>,
    frozen_at: Option<i64>,
    thawed_at: Option<i64>,
    needed_until: i64,
    number: i64,
}

impl RestrictionsRow {
    fn new(grant: GrantId, held: &Restrictions) -> Result<Self, SqlError> {
        Ok(Self {
            grant_id: grant.to_string(),
            scope: held.scope.as_ref().map(ToString::to_string),
            ends_at: held.ends_at.map(Timestamp::unix_seconds),
            frozen_at: held.frozen_at.map(Timestamp::unix_seconds),
            thawed_at: held.thawed_at.map(Timestamp::unix_seconds),
            needed_until: held.needed_until.unix_seconds(),
            number: stored(held.number)?,
        })
    }

    pub(super) fn into_restrictions(self) -> Result<(GrantId, Restrictions), SqlError> {
        let unintelligible =
            || SqlError::unintelligible(format!("restrictions of grant {:?}", self.grant_id));
        let grant = GrantId::from_digits(self.grant_id.as_bytes()).ok_or_else(unintelligible)?;
        let scope = match self.scope.as_deref() {
            None => None,
            // What is left when two narrow to different things.
            Some("") => Some(Scope::default()),
            Some(words) => Some(Scope::parse(words).map_err(|_| unintelligible())?),
        };
        let held = Restrictions {
            scope,
            ends_at: self.ends_at.map(Timestamp::from_unix_seconds),
            frozen_at: self.frozen_at.map(Timestamp::from_unix_seconds),
            thawed_at: self.thawed_at.map(Timestamp::from_unix_seconds),
            needed_until: Timestamp::from_unix_seconds(self.needed_until),
            number: number(self.number)?,
        };
        Ok((grant, held))
    }
}

/// Writes what holds of a grant after an edit. The lock of the sequence is held, so nobody edits between.
pub(super) async fn edit(
    conn: &mut Connection,
    grant: GrantId,
    recorded: RecordedEdit<'_>,
) -> Result<(), SqlError> {
    let query = restrictions::table.find(grant.to_string());
    let before = on!(conn, c => query.first::<RestrictionsRow>(c).await.optional())?;
    let before = before.map(RestrictionsRow::into_restrictions).transpose()?.map(|(_, held)| held);
    let Some(after) = Restrictions::after(before, recorded) else { return Ok(()) };
    let row = RestrictionsRow::new(grant, &after)?;
    let query = diesel::insert_into(restrictions::table)
        .values(&row)
        .on_conflict(restrictions::grant_id)
        .do_update()
        .set(&row);
    on!(conn, c => query.execute(c).await)?;
    Ok(())
}

/// Deletes at most so many restrictions of grants that ended before `horizon`.
pub(super) async fn purge(conn: &mut Connection, horizon: i64, limit: usize) -> Result<usize, SqlError> {
    let query = restrictions::table
        .filter(restrictions::needed_until.lt(horizon))
        .order(restrictions::needed_until)
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .select(restrictions::grant_id);
    let ended = on!(conn, c => query.load::<String>(c).await)?;
    let mut deleted = 0;
    for grants in ended.chunks(500) {
        let rows = restrictions::table
            .filter(restrictions::grant_id.eq_any(grants))
            .filter(restrictions::needed_until.lt(horizon));
        deleted += on!(conn, c => diesel::delete(rows).execute(c).await)?;
    }
    Ok(deleted)
}
