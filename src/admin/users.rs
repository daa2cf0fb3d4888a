//! Users, as an admin makes and changes them.

use std::fmt;

use super::{Act, Admin, AdminError, unless_secret};
use crate::changes::{Change, KillScope, Recorded};
use crate::directory::roles;
use crate::directory::users::{self, Entitlements, User};
use crate::domain::identifier::{RoleName, UserId};
use crate::domain::login_name::LoginName;
use crate::domain::password::PasswordHash;
use crate::domain::scope::Scope;
use crate::sql::{Connection, SqlError};

/// What a new user is to be.
#[derive(Debug)]
pub struct NewUser {
    pub name: LoginName,
    /// Nobody can log in as a user who has none.
    pub password: Option<PasswordHash>,
    pub must_change_password: bool,
}

/// A user, and what they were given directly.
#[derive(Clone, Debug)]
pub struct UserOverview {
    pub user: User,
    pub entitlements: Entitlements,
}

/// What to alter of what a user was given.
#[derive(Clone, Debug)]
pub enum Entitle {
    AssignRole(String),
    RemoveRole(String),
    Grant(Scope),
    Withdraw(Scope),
}

impl Entitle {
    const fn action(&self) -> &'static str {
        match self {
            Self::AssignRole(_) => "assign-role",
            Self::RemoveRole(_) => "remove-role",
            Self::Grant(_) => "grant-permission",
            Self::Withdraw(_) => "remove-permission",
        }
    }
}

impl fmt::Display for Entitle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AssignRole(role) | Self::RemoveRole(role) => f.write_str(role),
            Self::Grant(permissions) | Self::Withdraw(permissions) => permissions.fmt(f),
        }
    }
}

pub(super) fn explain(which: &str) -> impl FnOnce(AdminError) -> AdminError {
    let which = unless_secret(which);
    move |error| match error {
        AdminError::Sql(SqlError::NotFound) => {
            AdminError::NotFound(format!("there is no user {which:?}; see: symbolon user list"))
        }
        AdminError::Sql(SqlError::Duplicate(_)) => AdminError::Exists(format!(
            "there is a user with the name {which:?}, or one that reads like it, already"
        )),
        AdminError::Sql(SqlError::Refused(why)) => AdminError::NotFound(why),
        error => error,
    }
}

async fn overview(conn: &mut Connection, user: User) -> Result<UserOverview, SqlError> {
    let mut given = users::entitlements(conn, &[user.id.as_str()]).await?;
    Ok(UserOverview { entitlements: given.remove(&user.id).unwrap_or_default(), user })
}

impl Admin {
    /// Makes a user.
    ///
    /// # Errors
    /// [`AdminError::Exists`] when the name is taken, in whatever spelling.
    pub async fn create_user(&self, new: NewUser) -> Result<(UserOverview, Recorded), AdminError> {
        let now = self.clock.now();
        let user = User {
            id: UserId::generate(self.entropy.as_ref())?,
            name: new.name,
            password_changed_at: new.password.is_some().then_some(now),
            password: new.password,
            must_change_password: new.must_change_password,
            enabled: true,
            created_at: now,
        };
        let name = user.name.to_string();
        self.act("create-user", &name, move |conn| {
            Box::pin(async move {
                users::insert(conn, &user).await?;
                let changes = vec![Change::UserChanged(user.id.clone())];
                Ok(Act::new(overview(conn, user).await?, changes))
            })
        })
        .await
        .map_err(explain(&name))
    }

    /// The user with this name or id.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] when there is none.
    pub async fn user(&self, which: &str) -> Result<UserOverview, AdminError> {
        let name = which.to_owned();
        let found = self.database.read(move |conn| {
            Box::pin(async move {
                let user = users::require(conn, &name).await?;
                overview(conn, user).await
            })
        });
        found.await.map_err(AdminError::from).map_err(explain(which))
    }

    /// So many users in the order of their names, from the first whose name comes after `after`.
    ///
    /// # Errors
    /// When SQL fails.
    pub async fn users(&self, after: Option<LoginName>, limit: u32) -> Result<Vec<UserOverview>, AdminError> {
        let read = self.database.read(move |conn| {
            Box::pin(async move {
                let page = users::page(conn, after.as_ref(), limit).await?;
                let ids: Vec<&str> = page.iter().map(|user| user.id.as_str()).collect();
                let mut given = users::entitlements(conn, &ids).await?;
                let overview = |user: User| UserOverview {
                    entitlements: given.remove(&user.id).unwrap_or_default(),
                    user,
                };
                Ok(page.into_iter().map(overview).collect())
            })
        });
        Ok(read.await?)
    }

    /// Gives a user another password, which ends their login sessions and what was given in them:
    /// whoever knew the old one is out.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] when there is none.
    pub async fn set_password(
        &self,
        which: &str,
        password: PasswordHash,
        must_change: bool,
    ) -> Result<(UserOverview, Recorded), AdminError> {
        let now = self.clock.now();
        self.alter_user("set-user-password", which, move |user| {
            user.password = Some(password);
            user.password_changed_at = Some(now);
            user.must_change_password = must_change;
            vec![Change::Killed(KillScope::LoginSessionsOf(user.id.clone()))]
        })
        .await
    }

    /// Disables a user, which kills all that was given for them, or enables one, which revives
    /// nothing.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] when there is none.
    pub async fn enable_user(
        &self,
        which: &str,
        enabled: bool,
    ) -> Result<(UserOverview, Recorded), AdminError> {
        let action = if enabled { "enable-user" } else { "disable-user" };
        self.alter_user(action, which, move |user| {
            user.enabled = enabled;
            let kill = Change::Killed(KillScope::Subject(user.id.clone()));
            if enabled { Vec::new() } else { vec![kill] }
        })
        .await
    }

    /// Deletes a user. All that was given for them is dead; who takes the name later is somebody
    /// else.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] when there is none.
    pub async fn delete_user(&self, which: &str) -> Result<(User, Recorded), AdminError> {
        let name = which.to_owned();
        self.act("delete-user", which, move |conn| {
            Box::pin(async move {
                let user = users::require(conn, &name).await?;
                users::delete(conn, &user.id).await?;
                let kill = Change::Killed(KillScope::Subject(user.id.clone()));
                let changes = vec![kill, Change::UserChanged(user.id.clone())];
                Ok(Act::new(user, changes))
            })
        })
        .await
        .map_err(explain(which))
    }

    /// Alters what a user was given. What they have already, or have not, stays so.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] when there is no such user or role.
    pub async fn entitle(
        &self,
        which: &str,
        entitle: Entitle,
    ) -> Result<(UserOverview, Recorded), AdminError> {
        let name = which.to_owned();
        self.act(entitle.action(), which, move |conn| {
            Box::pin(async move {
                let user = users::require(conn, &name).await?;
                let detail = Some(entitle.to_string());
                match entitle {
                    Entitle::AssignRole(role) => {
                        let role = require_role(conn, &role).await?;
                        users::assign_role(conn, &user.id, &role).await?;
                    }
                    Entitle::RemoveRole(role) => {
                        let role = require_role(conn, &role).await?;
                        users::remove_role(conn, &user.id, &role).await?;
                    }
                    Entitle::Grant(permissions) => users::grant(conn, &user.id, &permissions).await?,
                    Entitle::Withdraw(permissions) => users::withdraw(conn, &user.id, &permissions).await?,
                }
                // Recorded even if it was so already: whoever asks again waits for a change that every
                // replica has to confirm.
                let changes = vec![Change::UserChanged(user.id.clone())];
                Ok(Act { detail, ..Act::new(overview(conn, user).await?, changes) })
            })
        })
        .await
        .map_err(explain(which))
    }

    /// Reads, alters and writes a user in one transaction; `alter` returns further changes.
    async fn alter_user<F>(
        &self,
        action: &'static str,
        which: &str,
        alter: F,
    ) -> Result<(UserOverview, Recorded), AdminError>
    where
        F: FnOnce(&mut User) -> Vec<Change> + Send + 'static,
    {
        let name = which.to_owned();
        self.act(action, which, move |conn| {
            Box::pin(async move {
                let mut user = users::require(conn, &name).await?;
                let mut changes = alter(&mut user);
                users::update(conn, &user).await?;
                changes.push(Change::UserChanged(user.id.clone()));
                Ok(Act::new(overview(conn, user).await?, changes))
            })
        })
        .await
        .map_err(explain(which))
    }
}

/// A role that is not there is another failure than a user who is not.
async fn require_role(conn: &mut Connection, name: &str) -> Result<RoleName, SqlError> {
    match roles::require(conn, name).await {
        Ok(role) => Ok(role.name),
        Err(SqlError::NotFound) => Err(SqlError::Refused(super::roles::unknown(name))),
        Err(error) => Err(error),
    }
}
