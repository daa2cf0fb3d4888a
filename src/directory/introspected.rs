//! Where grants were last introspected with success: rows that replicas write together every few seconds. Nothing rests
//! on them.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text};
use diesel_async::RunQueryDsl;

use crate::domain::clock::Timestamp;
use crate::domain::identifier::{GrantId, ResourceServerId};
use crate::sql::schema::introspected;
use crate::sql::{Connection, Database, SqlError, on};

/// When a grant was introspected last, and by which resource server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastIntrospected {
    pub server: ResourceServerId,
    pub at: Timestamp,
}

/// One row to write.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sighting {
    pub grant: GrantId,
    pub server: String,
    pub at: Timestamp,
    /// The grant's own end: some time after it nobody asks any more.
    pub ends_at: Timestamp,
}

/// The newest stands, whoever writes last. A grant's own end never changes: what has an index is not written again.
const NEWEST: &str = " ON CONFLICT (grant_id) DO UPDATE \
    SET resource_server_id = excluded.resource_server_id, at = excluded.at \
    WHERE introspected.at < excluded.at";
/// How many rows are deleted in one transaction: others have to wait for it.
const PURGE_ROUND: usize = 500;

/// Writes sightings. In the order of their grants, so that two replicas never wait for each other in a circle.
///
/// # Errors
/// When SQL fails.
pub async fn note(conn: &mut Connection, mut sightings: Vec<Sighting>) -> Result<(), SqlError> {
    sightings.sort_unstable();
    match conn {
        Connection::Sqlite(c) => {
            // One statement for all. Without WHERE, what follows could be read as a join.
            let insert = "INSERT INTO introspected (grant_id, resource_server_id, at, ends_at) \
                          SELECT value->>0, value->>1, value->>2, value->>3 FROM json_each(?) WHERE true";
            let row = |sighting: &Sighting| {
                let (at, ends_at) = (sighting.at.unix_seconds(), sighting.ends_at.unix_seconds());
                serde_json::json!([sighting.grant.to_string(), sighting.server, at, ends_at])
            };
            let rows: Vec<_> = sightings.iter().map(row).collect();
            diesel::sql_query(format!("{insert}{NEWEST}"))
                .bind::<Text, _>(serde_json::Value::from(rows).to_string())
                .execute(c)
                .await?;
        }
        Connection::Postgres(c) => {
            let insert = "INSERT INTO introspected (grant_id, resource_server_id, at, ends_at) \
                          SELECT * FROM unnest($1, $2, $3, $4)";
            let times = |of: fn(&Sighting) -> Timestamp| -> Vec<i64> {
                sightings.iter().map(|sighting| of(sighting).unix_seconds()).collect()
            };
            let (at, ends_at) = (times(|sighting| sighting.at), times(|sighting| sighting.ends_at));
            let grants: Vec<String> = sightings.iter().map(|sighting| sighting.grant.to_string()).collect();
            let servers: Vec<String> = sightings.into_iter().map(|sighting| sighting.server).collect();
            diesel::sql_query(format!("{insert}{NEWEST}"))
                .bind::<Array<Text>, _>(grants)
                .bind::<Array<Text>, _>(servers)
                .bind::<Array<BigInt>, _>(at)
                .bind::<Array<BigInt>, _>(ends_at)
                .execute(c)
                .await?;
        }
    }
    Ok(())
}

/// Where a grant was last introspected, as far as that was noted.
///
/// # Errors
/// When SQL fails.
pub async fn of(conn: &mut Connection, grant: GrantId) -> Result<Option<LastIntrospected>, SqlError> {
    let query = introspected::table
        .find(grant.to_string())
        .select((introspected::resource_server_id, introspected::at));
    let row = on!(conn, c => query.first::<(String, i64)>(c).await.optional())?;
    let Some((server, at)) = row else { return Ok(None) };
    let server = ResourceServerId::parse(&server);
    let server = server.map_err(|_| SqlError::unintelligible("the id of a resource server"))?;
    Ok(Some(LastIntrospected { server, at: Timestamp::from_unix_seconds(at) }))
}

/// Deletes the rows of grants that ended before `ended`, a few at a time; how many there were.
///
/// # Errors
/// When SQL fails.
pub async fn purge(database: &Database, ended: Timestamp) -> Result<usize, SqlError> {
    let mut deleted = 0;
    loop {
        let old = database.read(move |conn| Box::pin(ended_before(conn, ended))).await?;
        let found = old.len();
        if found > 0 {
            deleted += database.write(move |conn| Box::pin(delete(conn, old))).await?;
        }
        if found < PURGE_ROUND {
            return Ok(deleted);
        }
        database.give_way().await;
    }
}

async fn ended_before(conn: &mut Connection, ended: Timestamp) -> Result<Vec<String>, SqlError> {
    let query = introspected::table
        .filter(introspected::ends_at.lt(ended.unix_seconds()))
        .order(introspected::ends_at)
        .limit(i64::try_from(PURGE_ROUND).unwrap_or(i64::MAX))
        .select(introspected::grant_id);
    Ok(on!(conn, c => query.load::<String>(c).await)?)
}

async fn delete(conn: &mut Connection, grants: Vec<String>) -> Result<usize, SqlError> {
    let rows = introspected::table.filter(introspected::grant_id.eq_any(grants));
    Ok(on!(conn, c => diesel::delete(rows).execute(c).await)?)
}
