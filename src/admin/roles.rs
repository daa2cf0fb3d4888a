//! Roles, as an admin makes and changes them.

use super::{Act, Admin, AdminError, unless_secret};
use crate::changes::{Change, Recorded};
use crate::directory::roles::{self, Role};
use crate::domain::identifier::RoleName;
use crate::domain::scope::Scope;
use crate::sql::SqlError;

/// That there is no such role, and where to look.
pub(super) fn unknown(name: &str) -> String {
    format!("there is no role {:?}; see: symbolon role list", unless_secret(name))
}

fn explain(name: &str) -> impl FnOnce(AdminError) -> AdminError {
    let name = unless_secret(name);
    move |error| match error {
        AdminError::Sql(SqlError::NotFound) => AdminError::NotFound(unknown(&name)),
        AdminError::Sql(SqlError::Duplicate(_)) => {
            AdminError::Exists(format!("there is a role {name:?} already"))
        }
        error => error,
    }
}

fn changed(role: Role) -> Act<Role> {
    let changes = vec![Change::RoleChanged(role.name.clone())];
    Act::new(role, changes)
}

impl Admin {
    /// Makes a role.
    ///
    /// # Errors
    /// [`AdminError::Exists`] when the name is taken.
    pub async fn create_role(
        &self,
        name: RoleName,
        permissions: Scope,
    ) -> Result<(Role, Recorded), AdminError> {
        let role = Role { name, permissions, created_at: self.clock.now() };
        let name = role.name.to_string();
        self.act("create-role", &name, move |conn| {
            Box::pin(async move {
                roles::insert(conn, &role).await?;
                Ok(Act { detail: Some(role.permissions.to_string()), ..changed(role) })
            })
        })
        .await
        .map_err(explain(&name))
    }

    /// The role of this name.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] when there is none.
    pub async fn role(&self, name: &str) -> Result<Role, AdminError> {
        let which = name.to_owned();
        let found =
            self.database.read(move |conn| Box::pin(async move { roles::require(conn, &which).await }));
        found.await.map_err(AdminError::from).map_err(explain(name))
    }

    /// All roles, by name.
    ///
    /// # Errors
    /// When SQL fails.
    pub async fn all_roles(&self) -> Result<Vec<Role>, AdminError> {
        Ok(self.database.read(|conn| Box::pin(roles::list(conn))).await?)
    }

    /// So many roles by name, from the first after `after`.
    ///
    /// # Errors
    /// When SQL fails.
    pub async fn roles(&self, after: String, limit: u32) -> Result<Vec<Role>, AdminError> {
        let read =
            self.database.read(move |conn| Box::pin(async move { roles::page(conn, &after, limit).await }));
        Ok(read.await?)
    }

    /// Gives a role these permissions and no others, for everybody who has it.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] when there is none.
    pub async fn update_role(&self, name: &str, permissions: Scope) -> Result<(Role, Recorded), AdminError> {
        let which = name.to_owned();
        self.act("update-role", name, move |conn| {
            Box::pin(async move {
                let role = Role { permissions, ..roles::require(conn, &which).await? };
                roles::update(conn, &role).await?;
                Ok(Act { detail: Some(role.permissions.to_string()), ..changed(role) })
            })
        })
        .await
        .map_err(explain(name))
    }

    /// Deletes a role, and takes it from whoever has it.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] when there is none.
    pub async fn delete_role(&self, name: &str) -> Result<(Role, Recorded), AdminError> {
        let which = name.to_owned();
        self.act("delete-role", name, move |conn| {
            Box::pin(async move {
                let role = roles::require(conn, &which).await?;
                roles::delete(conn, &role.name).await?;
                Ok(changed(role))
            })
        })
        .await
        .map_err(explain(name))
    }
}
