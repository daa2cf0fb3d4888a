//! Users: who logs in, and what they may do.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::roles;
use crate::domain::clock::Timestamp;
use crate::domain::identifier::{RoleName, UserId};
use crate::domain::login_name::LoginName;
use crate::domain::password::PasswordHash;
use crate::domain::scope::Scope;
use crate::sql::schema::{user_permissions, user_roles, users};
use crate::sql::{Connection, SqlError, on};

/// A user.
#[derive(Clone, Debug)]
pub struct User {
    pub id: UserId,
    /// What they log in with; unique, however it is spelt.
    pub name: LoginName,
    pub password: Option<PasswordHash>,
    pub password_changed_at: Option<Timestamp>,
    /// Whether they have to choose another password before they do anything else.
    pub must_change_password: bool,
    pub enabled: bool,
    pub created_at: Timestamp,
}

/// What was given to a user directly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entitlements {
    pub roles: BTreeSet<RoleName>,
    /// Those of their roles come on top.
    pub permissions: Scope,
}

/// What a token of a user depends on, today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserFacts {
    pub id: UserId,
    pub name: LoginName,
    pub enabled: bool,
    pub must_change_password: bool,
    pub entitlements: Entitlements,
}

#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = users, treat_none_as_null = true)]
struct Row {
    id: String,
    name: String,
    name_key: String,
    password_hash: Option<String>,
    password_changed_at: Option<i64>,
    must_change_password: bool,
    enabled: bool,
    created_at: i64,
}

impl From<&User> for Row {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.to_string(),
            name: user.name.to_string(),
            name_key: user.name.key().to_owned(),
            password_hash: user.password.as_ref().map(|hash| hash.expose().to_owned()),
            password_changed_at: user.password_changed_at.map(Timestamp::unix_seconds),
            must_change_password: user.must_change_password,
            enabled: user.enabled,
            created_at: user.created_at.unix_seconds(),
        }
    }
}

impl TryFrom<Row> for User {
    type Error = SqlError;

    fn try_from(row: Row) -> Result<Self, SqlError> {
        Ok(Self {
            id: read_id(&row.id)?,
            name: LoginName::from_stored(&row.name, &row.name_key),
            password: row.password_hash.map(PasswordHash::from_stored),
            password_changed_at: row.password_changed_at.map(Timestamp::from_unix_seconds),
            must_change_password: row.must_change_password,
            enabled: row.enabled,
            created_at: Timestamp::from_unix_seconds(row.created_at),
        })
    }
}

fn read_id(id: &str) -> Result<UserId, SqlError> {
    UserId::parse(id).map_err(|_| SqlError::unintelligible(format!("the user id {id:?}")))
}

/// So many users in the order of their names, from the first whose name comes after `after`.
///
/// # Errors
/// When SQL fails.
pub async fn page(
    conn: &mut Connection,
    after: Option<&LoginName>,
    limit: u32,
) -> Result<Vec<User>, SqlError> {
    let after = after.map_or("", LoginName::key);
    let query = users::table.filter(users::name_key.gt(after)).order(users::name_key).limit(i64::from(limit));
    let rows = on!(conn, c => query.load::<Row>(c).await)?;
    rows.into_iter().map(User::try_from).collect()
}

/// The user with this id.
///
/// # Errors
/// When SQL fails.
pub async fn find(conn: &mut Connection, id: &UserId) -> Result<Option<User>, SqlError> {
    let query = users::table.find(id.as_str());
    let row = on!(conn, c => query.first::<Row>(c).await.optional())?;
    row.map(User::try_from).transpose()
}

/// The user who logs in with this name.
///
/// # Errors
/// When SQL fails.
pub async fn find_by_name(conn: &mut Connection, name: &LoginName) -> Result<Option<User>, SqlError> {
    let query = users::table.filter(users::name_key.eq(name.key()));
    let row = on!(conn, c => query.first::<Row>(c).await.optional())?;
    row.map(User::try_from).transpose()
}

/// The user with this id or this name: no name begins like an id.
///
/// # Errors
/// [`SqlError::NotFound`] when there is none.
pub async fn require(conn: &mut Connection, id_or_name: &str) -> Result<User, SqlError> {
    let found = match (UserId::parse(id_or_name), LoginName::parse(id_or_name)) {
        (Ok(id), _) => find(conn, &id).await?,
        (_, Ok(name)) => find_by_name(conn, &name).await?,
        _ => None,
    };
    found.ok_or(SqlError::NotFound)
}

/// # Errors
/// [`SqlError::Duplicate`] when the name is taken, in whatever spelling.
pub async fn insert(conn: &mut Connection, user: &User) -> Result<(), SqlError> {
    let query = diesel::insert_into(users::table).values(Row::from(user));
    on!(conn, c => query.execute(c).await)?;
    Ok(())
}

/// # Errors
/// [`SqlError::NotFound`] when it is gone, [`SqlError::Duplicate`] when the new name is taken.
pub async fn update(conn: &mut Connection, user: &User) -> Result<(), SqlError> {
    let query = diesel::update(users::table.find(user.id.as_str())).set(Row::from(user));
    match on!(conn, c => query.execute(c).await)? {
        0 => Err(SqlError::NotFound),
        _ => Ok(()),
    }
}

/// Keeps another hash of the same password, unless the password was changed since `before` was read: one statement and
/// one column, so that whatever else is changed at the same time stands.
///
/// # Errors
/// When SQL fails.
pub async fn renew_hash(conn: &mut Connection, before: &User, newer: &PasswordHash) -> Result<(), SqlError> {
    let older = before.password.as_ref().map(PasswordHash::expose);
    let same = users::table.find(before.id.as_str()).filter(users::password_hash.eq(older));
    let query = diesel::update(same).set(users::password_hash.eq(newer.expose()));
    on!(conn, c => query.execute(c).await)?;
    Ok(())
}

/// Deletes a user with all that they were given.
///
/// # Errors
/// When SQL fails.
pub async fn delete(conn: &mut Connection, id: &UserId) -> Result<(), SqlError> {
    let query = diesel::delete(users::table.find(id.as_str()));
    on!(conn, c => query.execute(c).await)?;
    Ok(())
}

/// What these users were given directly; those who were given nothing are left out.
///
/// # Errors
/// When SQL fails.
pub async fn entitlements(
    conn: &mut Connection,
    ids: &[&str],
) -> Result<BTreeMap<UserId, Entitlements>, SqlError> {
    let mut found: BTreeMap<UserId, (BTreeSet<RoleName>, Vec<String>)> = BTreeMap::new();
    // SQLite takes a limited number of parameters in one statement.
    for ids in ids.chunks(500) {
        let query = user_roles::table.filter(user_roles::user_id.eq_any(ids));
        for (user, role) in on!(conn, c => query.load::<(String, String)>(c).await)? {
            found.entry(read_id(&user)?).or_default().0.insert(roles::read_name(&role)?);
        }
        let query = user_permissions::table.filter(user_permissions::user_id.eq_any(ids));
        for (user, permission) in on!(conn, c => query.load::<(String, String)>(c).await)? {
            found.entry(read_id(&user)?).or_default().1.push(permission);
        }
    }
    let entitlements = |(roles, permissions): (_, Vec<String>)| Entitlements {
        roles,
        permissions: permissions.into_iter().collect(),
    };
    Ok(found.into_iter().map(|(id, given)| (id, entitlements(given))).collect())
}

/// What the tokens of the user with this id depend on.
///
/// # Errors
/// When SQL fails.
pub async fn facts(conn: &mut Connection, id: &UserId) -> Result<Option<UserFacts>, SqlError> {
    let Some(user) = find(conn, id).await? else { return Ok(None) };
    let mut given = entitlements(conn, &[id.as_str()]).await?;
    let entitlements = given.remove(id).unwrap_or_default();
    let User { id, name, enabled, must_change_password, .. } = user;
    Ok(Some(UserFacts { id, name, enabled, must_change_password, entitlements }))
}

/// Gives a user a role; nothing changes for one who has it.
///
/// # Errors
/// When SQL fails, or there is no such user or role.
pub async fn assign_role(conn: &mut Connection, id: &UserId, role: &RoleName) -> Result<(), SqlError> {
    let columns = (user_roles::user_id.eq(id.as_str()), user_roles::role.eq(role.as_str()));
    let query = diesel::insert_into(user_roles::table).values(columns).on_conflict_do_nothing();
    on!(conn, c => query.execute(c).await)?;
    Ok(())
}

/// # Errors
/// When SQL fails.
pub async fn remove_role(conn: &mut Connection, id: &UserId, role: &RoleName) -> Result<(), SqlError> {
    let query = diesel::delete(user_roles::table.find((id.as_str(), role.as_str())));
    on!(conn, c => query.execute(c).await)?;
    Ok(())
}

/// Gives a user permissions directly; nothing changes for those that they have.
///
/// # Errors
/// When SQL fails, or there is no such user.
pub async fn grant(conn: &mut Connection, id: &UserId, permissions: &Scope) -> Result<(), SqlError> {
    for permission in permissions.words() {
        let columns =
            (user_permissions::user_id.eq(id.as_str()), user_permissions::permission.eq(permission));
        let query = diesel::insert_into(user_permissions::table).values(columns).on_conflict_do_nothing();
        on!(conn, c => query.execute(c).await)?;
    }
    Ok(())
}

/// Takes permissions back that a user was given directly.
///
/// # Errors
/// When SQL fails.
pub async fn withdraw(conn: &mut Connection, id: &UserId, permissions: &Scope) -> Result<(), SqlError> {
    for permission in permissions.words() {
        let query = diesel::delete(user_permissions::table.find((id.as_str(), permission)));
        on!(conn, c => query.execute(c).await)?;
    }
    Ok(())
}
