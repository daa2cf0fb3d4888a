//! Resource servers, as an admin makes and changes them.

use std::time::Duration;

use super::clients::check_name;
use super::{Act, Admin, AdminError, unless_secret};
use crate::changes::{Change, Recorded};
use crate::directory::{Credentials, ResourceServer, ScopeDescriptions, resource_servers};
use crate::domain::identifier::{ResourceIdentifier, ResourceServerId};
use crate::domain::scope::Scope;
use crate::domain::secret::PlainSecret;
use crate::sql::SqlError;

/// What a new resource server is to be.
#[derive(Clone, Debug)]
pub struct NewResourceServer {
    pub name: String,
    pub identifier: ResourceIdentifier,
    pub scope: Scope,
    pub may_revoke: bool,
    pub scopes_needing_permission: Scope,
    pub include_roles: bool,
    pub scope_descriptions: ScopeDescriptions,
}

/// What is to be different; `None` leaves it as it is.
#[derive(Clone, Debug, Default)]
pub struct ResourceServerUpdate {
    pub name: Option<String>,
    pub identifier: Option<ResourceIdentifier>,
    pub scope: Option<Scope>,
    pub may_revoke: Option<bool>,
    pub scopes_needing_permission: Option<Scope>,
    pub include_roles: Option<bool>,
    /// Those that are different; an empty text takes one away.
    pub scope_descriptions: ScopeDescriptions,
}

/// A description of what it does not own would never be seen.
fn check_described(descriptions: &ScopeDescriptions, scope: &Scope) -> Result<(), SqlError> {
    match descriptions.foreign_to(scope) {
        Some(word) => Err(SqlError::Refused(format!(
            "there is a description of {word:?}, which is not a scope of this resource server: {scope}"
        ))),
        None => Ok(()),
    }
}

fn explain(which: &str) -> impl FnOnce(AdminError) -> AdminError {
    let which = unless_secret(which);
    move |error| match error {
        AdminError::Sql(SqlError::NotFound) => AdminError::NotFound(format!(
            "there is no resource server {which:?}; see: symbolon resource-server list"
        )),
        AdminError::Sql(SqlError::Duplicate(_)) => AdminError::Exists(format!(
            "there is a resource server with the name or identifier of {which:?} already"
        )),
        AdminError::Sql(SqlError::Refused(why)) => AdminError::Invalid(why),
        error => error,
    }
}

impl Admin {
    /// Makes a resource server. The secret is shown here and never again.
    ///
    /// # Errors
    /// [`AdminError::Exists`] when the name or identifier is taken.
    pub async fn create_resource_server(
        &self,
        new: NewResourceServer,
    ) -> Result<(ResourceServer, PlainSecret, Recorded), AdminError> {
        check_name(&new.name)?;
        check_described(&new.scope_descriptions, &new.scope)?;
        let secret = PlainSecret::generate(self.entropy.as_ref())?;
        let server = ResourceServer {
            id: ResourceServerId::generate(self.entropy.as_ref())?,
            name: new.name,
            identifier: new.identifier,
            scope_descriptions: ScopeDescriptions::default().updated(&new.scope_descriptions, &new.scope),
            scope: new.scope,
            may_revoke: new.may_revoke,
            enabled: true,
            credentials: Credentials::new(secret.digest()),
            created_at: self.clock.now(),
            scopes_needing_permission: new.scopes_needing_permission,
            include_roles: new.include_roles,
        };
        let (made, name) = (server.clone(), server.name.clone());
        let ((), recorded) = self
            .act("create-resource-server", &name, move |conn| {
                Box::pin(async move {
                    resource_servers::insert(conn, &made).await?;
                    Ok(Act::new((), vec![Change::ResourceServerChanged(made.id)]))
                })
            })
            .await
            .map_err(explain(&name))?;
        Ok((server, secret, recorded))
    }

    /// The resource server with this id, name or identifier.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] when there is none.
    pub async fn resource_server(&self, which: &str) -> Result<ResourceServer, AdminError> {
        let id = which.to_owned();
        let found = self
            .database
            .read(move |conn| Box::pin(async move { resource_servers::require(conn, &id).await }));
        found.await.map_err(AdminError::from).map_err(explain(which))
    }

    /// All resource servers, by name.
    ///
    /// # Errors
    /// When SQL fails.
    pub async fn all_resource_servers(&self) -> Result<Vec<ResourceServer>, AdminError> {
        Ok(self.database.read(|conn| Box::pin(resource_servers::list(conn))).await?)
    }

    /// So many resource servers by name, from the first after `after`.
    ///
    /// # Errors
    /// When SQL fails.
    pub async fn resource_servers(
        &self,
        after: String,
        limit: u32,
    ) -> Result<Vec<ResourceServer>, AdminError> {
        let read = self
            .database
            .read(move |conn| Box::pin(async move { resource_servers::page(conn, &after, limit).await }));
        Ok(read.await?)
    }

    /// Changes a resource server. Tokens issued before are judged by what it owns now.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] when there is none.
    pub async fn update_resource_server(
        &self,
        which: &str,
        update: ResourceServerUpdate,
    ) -> Result<(ResourceServer, Recorded), AdminError> {
        if let Some(name) = &update.name {
            check_name(name)?;
        }
        self.alter_resource_server("update-resource-server", which, move |server| {
            let ResourceServerUpdate {
                name,
                identifier,
                scope,
                may_revoke,
                scopes_needing_permission,
                include_roles,
                scope_descriptions,
            } = update;
            server.scopes_needing_permission =
                scopes_needing_permission.unwrap_or_else(|| server.scopes_needing_permission.clone());
            server.include_roles = include_roles.unwrap_or(server.include_roles);
            server.name = name.unwrap_or_else(|| server.name.clone());
            server.identifier = identifier.unwrap_or_else(|| server.identifier.clone());
            server.scope = scope.unwrap_or_else(|| server.scope.clone());
            server.may_revoke = may_revoke.unwrap_or(server.may_revoke);
            check_described(&scope_descriptions, &server.scope)?;
            server.scope_descriptions = server.scope_descriptions.updated(&scope_descriptions, &server.scope);
            Ok(())
        })
        .await
    }

    /// Gives a resource server a new secret; the old one is good for `overlap` more.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] when there is none.
    pub async fn rotate_resource_server_secret(
        &self,
        which: &str,
        overlap: Duration,
    ) -> Result<(ResourceServer, PlainSecret, Recorded), AdminError> {
        let secret = PlainSecret::generate(self.entropy.as_ref())?;
        let (digest, now) = (secret.digest(), self.clock.now());
        let (server, recorded) = self
            .alter_resource_server("rotate-resource-server-secret", which, move |server| {
                server.credentials = server.credentials.rotate(digest, overlap, now);
                Ok(())
            })
            .await?;
        Ok((server, secret, recorded))
    }

    /// Disables a resource server, which may then ask about nothing, or enables it.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] when there is none.
    pub async fn enable_resource_server(
        &self,
        which: &str,
        enabled: bool,
    ) -> Result<(ResourceServer, Recorded), AdminError> {
        let enable = move |server: &mut ResourceServer| {
            server.enabled = enabled;
            Ok(())
        };
        let action = if enabled { "enable-resource-server" } else { "disable-resource-server" };
        self.alter_resource_server(action, which, enable).await
    }

    /// Deletes a resource server.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] when there is none.
    pub async fn delete_resource_server(
        &self,
        which: &str,
    ) -> Result<(ResourceServer, Recorded), AdminError> {
        let id = which.to_owned();
        self.act("delete-resource-server", which, move |conn| {
            Box::pin(async move {
                let server = resource_servers::require(conn, &id).await?;
                resource_servers::delete(conn, &server.id).await?;
                let changes = vec![Change::ResourceServerChanged(server.id.clone())];
                Ok(Act::new(server, changes))
            })
        })
        .await
        .map_err(explain(which))
    }

    async fn alter_resource_server<F>(
        &self,
        action: &'static str,
        which: &str,
        alter: F,
    ) -> Result<(ResourceServer, Recorded), AdminError>
    where
        F: FnOnce(&mut ResourceServer) -> Result<(), SqlError> + Send + 'static,
    {
        let id = which.to_owned();
        self.act(action, which, move |conn| {
            Box::pin(async move {
                let mut server = resource_servers::require(conn, &id).await?;
                alter(&mut server)?;
                resource_servers::update(conn, &server).await?;
                let changes = vec![Change::ResourceServerChanged(server.id.clone())];
                Ok(Act::new(server, changes))
            })
        })
        .await
        .map_err(explain(which))
    }
}
