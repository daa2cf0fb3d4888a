//! Roles: permissions that users are given together.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::domain::clock::Timestamp;
use crate::domain::identifier::RoleName;
use crate::domain::scope::Scope;
use crate::sql::schema::{role_permissions, roles};
use crate::sql::{Connection, SqlError, on};

/// A role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    pub name: RoleName,
    /// What its users may do. A permission is a scope token: a scope that needs one needs that of
    /// its own name.
    pub permissions: Scope,
    pub created_at: Timestamp,
}

/// All roles, by name.
///
/// # Errors
/// When SQL fails.
pub async fn list(conn: &mut Connection) -> Result<Vec<Role>, SqlError> {
    let query = roles::table.order(roles::name);
    let rows = on!(conn, c => query.load::<(String, i64)>(c).await)?;
    let granted = on!(conn, c => role_permissions::table.load::<(String, String)>(c).await)?;
    with_permissions(rows, granted)
}

/// So many roles in the order of their names, from the first whose name comes after `after`.
///
/// # Errors
/// When SQL fails.
pub async fn page(conn: &mut Connection, after: &str, limit: u32) -> Result<Vec<Role>, SqlError> {
    let query = roles::table.filter(roles::name.gt(after)).order(roles::name).limit(i64::from(limit));
    let rows = on!(conn, c => query.load::<(String, i64)>(c).await)?;
    let Some((last, _)) = rows.last() else { return Ok(Vec::new()) };
    let of_them = role_permissions::role.gt(after).and(role_permissions::role.le(last));
    let query = role_permissions::table.filter(of_them);
    let granted = on!(conn, c => query.load::<(String, String)>(c).await)?;
    with_permissions(rows, granted)
}

fn with_permissions(rows: Vec<(String, i64)>, granted: Vec<(String, String)>) -> Result<Vec<Role>, SqlError> {
    let mut permissions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (role, permission) in granted {
        permissions.entry(role).or_default().push(permission);
    }
    let role = |(name, created_at): (String, i64)| {
        Ok(Role {
            permissions: permissions.remove(&name).unwrap_or_default().into_iter().collect(),
            name: read_name(&name)?,
            created_at: Timestamp::from_unix_seconds(created_at),
        })
    };
    rows.into_iter().map(role).collect()
}

pub(super) fn read_name(name: &str) -> Result<RoleName, SqlError> {
    RoleName::parse(name).map_err(|_| SqlError::unintelligible(format!("the role {name:?}")))
}

/// The role of this name.
///
/// # Errors
/// [`SqlError::NotFound`] when there is none.
pub async fn require(conn: &mut Connection, name: &str) -> Result<Role, SqlError> {
    let name = RoleName::parse(name).map_err(|_| SqlError::NotFound)?;
    let query = roles::table.find(name.as_str()).select(roles::created_at);
    let found = on!(conn, c => query.first::<i64>(c).await.optional())?;
    let created_at = found.ok_or(SqlError::NotFound)?;
    let of_it = role_permissions::table.filter(role_permissions::role.eq(name.as_str()));
    let query = of_it.select(role_permissions::permission);
    let permissions = on!(conn, c => query.load::<String>(c).await)?;
    Ok(Role {
        permissions: permissions.into_iter().collect(),
        name,
        created_at: Timestamp::from_unix_seconds(created_at),
    })
}

/// # Errors
/// [`SqlError::Duplicate`] when the name is taken.
pub async fn insert(conn: &mut Connection, role: &Role) -> Result<(), SqlError> {
    let columns = (roles::name.eq(role.name.as_str()), roles::created_at.eq(role.created_at.unix_seconds()));
    let query = diesel::insert_into(roles::table).values(columns);
    on!(conn, c => query.execute(c).await)?;
    permit(conn, role).await
}

/// Gives a role the permissions that it has here, and no others.
///
/// # Errors
/// When SQL fails, or there is no such role.
pub async fn update(conn: &mut Connection, role: &Role) -> Result<(), SqlError> {
    let before = role_permissions::table.filter(role_permissions::role.eq(role.name.as_str()));
    on!(conn, c => diesel::delete(before).execute(c).await)?;
    permit(conn, role).await
}

async fn permit(conn: &mut Connection, role: &Role) -> Result<(), SqlError> {
    for permission in role.permissions.words() {
        let columns =
            (role_permissions::role.eq(role.name.as_str()), role_permissions::permission.eq(permission));
        let query = diesel::insert_into(role_permissions::table).values(columns);
        on!(conn, c => query.execute(c).await)?;
    }
    Ok(())
}

/// Deletes a role, and takes it from whoever has it.
///
/// # Errors
/// When SQL fails.
pub async fn delete(conn: &mut Connection, name: &RoleName) -> Result<(), SqlError> {
    let query = diesel::delete(roles::table.find(name.as_str()));
    on!(conn, c => query.execute(c).await)?;
    Ok(())
}
