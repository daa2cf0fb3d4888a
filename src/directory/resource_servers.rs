//! Resource servers: who may ask about tokens, and which scopes are theirs.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::credentials::Credentials;
use super::scope_descriptions::ScopeDescriptions;
use crate::domain::clock::Timestamp;
use crate::domain::identifier::{ResourceIdentifier, ResourceServerId};
use crate::domain::scope::Scope;
use crate::sql::schema::resource_servers;
use crate::sql::{Connection, SqlError, on};

/// A registered resource server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceServer {
    pub id: ResourceServerId,
    /// For people; unique.
    pub name: String,
    /// Its audience URI (RFC 8707 §2); unique.
    pub identifier: ResourceIdentifier,
    /// The scopes it owns: all it ever sees of a token's.
    pub scope: Scope,
    /// Whether it may revoke tokens meant for it.
    pub may_revoke: bool,
    pub enabled: bool,
    pub credentials: Credentials,
    pub created_at: Timestamp,
    /// Those of its scopes that a user's token has only while the user has the permission of the
    /// same name.
    pub scopes_needing_permission: Scope,
    /// Whether it is told the roles of a token's user.
    pub include_roles: bool,
    /// What its scopes mean, for people who are asked to consent.
    pub scope_descriptions: ScopeDescriptions,
}

#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = resource_servers, treat_none_as_null = true)]
struct Row {
    id: String,
    name: String,
    identifier: String,
    scope: String,
    may_revoke: bool,
    enabled: bool,
    secret_digest: Vec<u8>,
    previous_secret_digest: Option<Vec<u8>>,
    previous_secret_expires_at: Option<i64>,
    created_at: i64,
    scopes_needing_permission: String,
    include_roles: bool,
    scope_descriptions: String,
}

impl From<&ResourceServer> for Row {
    fn from(server: &ResourceServer) -> Self {
        let columns = server.credentials.columns();
        Self {
            id: server.id.to_string(),
            name: server.name.clone(),
            identifier: server.identifier.to_string(),
            scope: server.scope.to_string(),
            may_revoke: server.may_revoke,
            enabled: server.enabled,
            secret_digest: columns.0.unwrap_or_default(),
            previous_secret_digest: columns.1,
            previous_secret_expires_at: columns.2,
            created_at: server.created_at.unix_seconds(),
            scopes_needing_permission: server.scopes_needing_permission.to_string(),
            include_roles: server.include_roles,
            scope_descriptions: server.scope_descriptions.to_column(),
        }
    }
}

impl TryFrom<Row> for ResourceServer {
    type Error = SqlError;

    fn try_from(row: Row) -> Result<Self, SqlError> {
        let unintelligible = |what: &str| SqlError::unintelligible(format!("{what} of {}", row.id));
        let credentials = Credentials::from_columns((
            Some(row.secret_digest),
            row.previous_secret_digest,
            row.previous_secret_expires_at,
        ))?;
        Ok(Self {
            credentials: credentials.ok_or_else(|| unintelligible("the credentials"))?,
            identifier: ResourceIdentifier::parse(&row.identifier)
                .map_err(|_| unintelligible("the identifier"))?,
            scope: read_scope(&row.scope).ok_or_else(|| unintelligible("the scope"))?,
            scopes_needing_permission: read_scope(&row.scopes_needing_permission)
                .ok_or_else(|| unintelligible("the scopes that need a permission"))?,
            include_roles: row.include_roles,
            scope_descriptions: ScopeDescriptions::from_column(&row.scope_descriptions)
                .ok_or_else(|| unintelligible("the descriptions of scopes"))?,
            id: ResourceServerId::parse(&row.id).map_err(|_| unintelligible("the id"))?,
            name: row.name,
            may_revoke: row.may_revoke,
            enabled: row.enabled,
            created_at: Timestamp::from_unix_seconds(row.created_at),
        })
    }
}

fn read_scope(text: &str) -> Option<Scope> {
    if text.is_empty() { Some(Scope::default()) } else { Scope::parse(text).ok() }
}

fn read(rows: Vec<Row>) -> Result<Vec<ResourceServer>, SqlError> {
    rows.into_iter().map(ResourceServer::try_from).collect()
}

/// All resource servers, by name.
///
/// # Errors
/// When SQL fails.
pub async fn list(conn: &mut Connection) -> Result<Vec<ResourceServer>, SqlError> {
    let query = resource_servers::table.order(resource_servers::name);
    read(on!(conn, c => query.load::<Row>(c).await)?)
}

/// So many resource servers in the order of their names, from the first whose name comes after `after`.
///
/// # Errors
/// When SQL fails.
pub async fn page(conn: &mut Connection, after: &str, limit: u32) -> Result<Vec<ResourceServer>, SqlError> {
    let following = resource_servers::table.filter(resource_servers::name.gt(after));
    let query = following.order(resource_servers::name).limit(i64::from(limit));
    read(on!(conn, c => query.load::<Row>(c).await)?)
}

/// The resource server with this id or, where no id fits, this name or identifier.
///
/// # Errors
/// [`SqlError::NotFound`] when there is none.
pub async fn require(conn: &mut Connection, which: &str) -> Result<ResourceServer, SqlError> {
    let any = resource_servers::id
        .eq(which)
        .or(resource_servers::name.eq(which))
        .or(resource_servers::identifier.eq(which));
    let query = resource_servers::table.filter(any).order(resource_servers::id);
    let mut found = read(on!(conn, c => query.load::<Row>(c).await)?)?;
    if let Some(by_id) = found.iter().position(|server| server.id.as_str() == which) {
        return Ok(found.swap_remove(by_id));
    }
    match (found.pop(), found.is_empty()) {
        (None, _) => Err(SqlError::NotFound),
        (Some(only), true) => Ok(only),
        (Some(_), false) => Err(SqlError::Refused(format!("{which:?} is two resource servers; give the id"))),
    }
}

/// # Errors
/// [`SqlError::Duplicate`] when the name or the identifier is taken.
pub async fn insert(conn: &mut Connection, server: &ResourceServer) -> Result<(), SqlError> {
    let query = diesel::insert_into(resource_servers::table).values(Row::from(server));
    on!(conn, c => query.execute(c).await)?;
    Ok(())
}

/// # Errors
/// [`SqlError::NotFound`] when it is gone, [`SqlError::Duplicate`] when the new name or identifier
/// is taken.
pub async fn update(conn: &mut Connection, server: &ResourceServer) -> Result<(), SqlError> {
    let row = resource_servers::table.find(server.id.as_str());
    let query = diesel::update(row).set(Row::from(server));
    match on!(conn, c => query.execute(c).await)? {
        0 => Err(SqlError::NotFound),
        _ => Ok(()),
    }
}

/// # Errors
/// When SQL fails.
pub async fn delete(conn: &mut Connection, id: &ResourceServerId) -> Result<(), SqlError> {
    let query = diesel::delete(resource_servers::table.find(id.as_str()));
    on!(conn, c => query.execute(c).await)?;
    Ok(())
}
