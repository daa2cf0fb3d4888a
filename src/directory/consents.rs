//! Consents: what users allowed clients, so that they are not asked again.
//!
//! A consent is no grant: nothing is ever given because of it without the user, who is in front of the page. Taking it
//! back is a kill, which ends what was given.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::changes::{Author, Change, Entry, KillScope, lock_sequence, newest_kill, record_in};
use crate::domain::clock::Timestamp;
use crate::domain::identifier::{ClientId, UserId};
use crate::domain::position::ChangeNumber;
use crate::domain::scope::Scope;
use crate::sql::schema::consents;
use crate::sql::{Connection, SqlError, on};

/// What a user allowed a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    pub client: ClientId,
    /// All of it, whenever it was allowed.
    pub scope: Scope,
    /// When something was last allowed.
    pub granted_at: Timestamp,
}

#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = consents)]
struct Row {
    user_id: String,
    client_id: String,
    scope: String,
    granted_at: i64,
}

impl TryFrom<Row> for Consent {
    type Error = SqlError;

    fn try_from(row: Row) -> Result<Self, SqlError> {
        let client = ClientId::parse(&row.client_id);
        let client =
            client.map_err(|_| SqlError::unintelligible(format!("the client id {:?}", row.client_id)))?;
        let scope = row.scope.split_ascii_whitespace().collect();
        Ok(Self { client, scope, granted_at: Timestamp::from_unix_seconds(row.granted_at) })
    }
}

/// What a user allowed a client, if anything.
///
/// # Errors
/// When SQL fails.
pub async fn find(
    conn: &mut Connection,
    user: &UserId,
    client: &ClientId,
) -> Result<Option<Consent>, SqlError> {
    let query = consents::table.find((user.as_str(), client.as_str()));
    let row = on!(conn, c => query.first::<Row>(c).await.optional())?;
    row.map(Consent::try_from).transpose()
}

/// All that a user allowed, by client.
///
/// # Errors
/// When SQL fails.
pub async fn of_user(conn: &mut Connection, user: &UserId) -> Result<Vec<Consent>, SqlError> {
    let query = consents::table.filter(consents::user_id.eq(user.as_str())).order(consents::client_id);
    let rows = on!(conn, c => query.load::<Row>(c).await)?;
    rows.into_iter().map(Consent::try_from).collect()
}

/// Adds to what a user allowed a client; whether that stands. It does not if the user took the consent back after
/// `born`, the position of the feed that was known before they were asked.
///
/// # Errors
/// When SQL fails, or there is no such user or client.
pub async fn remember(
    conn: &mut Connection,
    user: &UserId,
    client: &ClientId,
    scope: &Scope,
    born: ChangeNumber,
    now: Timestamp,
) -> Result<bool, SqlError> {
    // Taking back waits here as well: what is remembered after it was not asked for before it.
    lock_sequence(conn).await?;
    if newest_kill(conn, &KillScope::Consent(user.clone(), client.clone())).await? > born {
        return Ok(false);
    }
    let before = find(conn, user, client).await?.map(|consent| consent.scope).unwrap_or_default();
    let row = Row {
        user_id: user.to_string(),
        client_id: client.to_string(),
        scope: before.union(scope).to_string(),
        granted_at: now.unix_seconds(),
    };
    forget(conn, user, client).await?;
    let query = diesel::insert_into(consents::table).values(row);
    on!(conn, c => query.execute(c).await)?;
    Ok(true)
}

/// Takes back what a user allowed a client: all that was given because of it is dead once what this returns is known
/// everywhere. `None` when there was nothing to take back. `given` is the newest birth number among the grants of this
/// user and client, if the store has any.
///
/// # Errors
/// When SQL fails.
pub async fn withdraw(
    conn: &mut Connection,
    user: &UserId,
    client: &ClientId,
    given: Option<ChangeNumber>,
    author: Author,
    now: Timestamp,
) -> Result<Option<ChangeNumber>, SqlError> {
    lock_sequence(conn).await?;
    let was_allowed = forget(conn, user, client).await?;
    let consent = KillScope::Consent(user.clone(), client.clone());
    let newest = newest_kill(conn, &consent).await?;
    // A kill stays for ever, and nobody may add to them by asking alone. Nothing is given before its consent is in SQL,
    // and a consent only goes with the kill of it, of its user or of its client: what was given by one that is gone
    // was born before that. Unless SQL lost the consent, or has not had it from the start: what the store still has
    // of it is alive unless an earlier kill came after its birth.
    let lives = given.is_some_and(|born| born >= newest);
    if !was_allowed && !lives {
        return Ok((newest > ChangeNumber::ZERO).then_some(newest));
    }
    let numbers = record_in(conn, vec![Entry::new(Change::Killed(consent), author)], now).await?;
    Ok(numbers.into_iter().max())
}

/// Forgets what a user allowed a client; whether it was anything. Whoever calls this records the kill, in the same
/// transaction.
///
/// # Errors
/// When SQL fails.
pub async fn forget(conn: &mut Connection, user: &UserId, client: &ClientId) -> Result<bool, SqlError> {
    let query = diesel::delete(consents::table.find((user.as_str(), client.as_str())));
    Ok(on!(conn, c => query.execute(c).await)? > 0)
}
