//! The directory as every request sees it: in memory, immutable, exact at its position.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;

use super::clients::{self, Client};
use super::resource_servers::{self, ResourceServer};
use super::roles::{self, Role};
use super::user_cache::{Remembered, UserCache};
use super::users::UserFacts;
use crate::changes::{Change, Projection, RecordedChange};
use crate::domain::identifier::{ClientId, ResourceIdentifier, ResourceServerId, RoleName, UserId};
use crate::domain::origin::Origin;
use crate::domain::scope::Scope;
use crate::sql::{Connection, SqlError};

/// All clients, resource servers and roles, and the users that are remembered. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct DirectoryView {
    clients: imbl::HashMap<ClientId, Arc<Client>>,
    /// How many clients registered an origin.
    origins: imbl::HashMap<Origin, usize>,
    resource_servers: Arc<ResourceServers>,
    /// Few, and read anew at each change.
    roles: Arc<HashMap<RoleName, Role>>,
    users: Arc<UserCache>,
}

/// Resource servers are few and change rarely: they are indexed anew at each change.
#[derive(Debug, Default)]
struct ResourceServers {
    by_id: HashMap<ResourceServerId, Arc<ResourceServer>>,
    by_identifier: HashMap<ResourceIdentifier, ResourceServerId>,
    /// Which enabled resource servers own a scope token.
    owners: HashMap<Box<str>, Vec<ResourceServerId>>,
}

impl ResourceServers {
    fn index(servers: Vec<ResourceServer>) -> Self {
        let mut index = Self::default();
        for server in servers {
            let server = Arc::new(server);
            if server.enabled {
                for word in server.scope.words() {
                    index.owners.entry(word.into()).or_default().push(server.id.clone());
                }
            }
            index.by_identifier.insert(server.identifier.clone(), server.id.clone());
            index.by_id.insert(server.id.clone(), server);
        }
        index
    }
}

impl DirectoryView {
    pub fn new(clients: Vec<Client>, resource_servers: Vec<ResourceServer>) -> Self {
        let mut view =
            Self { resource_servers: Arc::new(ResourceServers::index(resource_servers)), ..Self::default() };
        for client in clients {
            view.insert_client(client);
        }
        view
    }

    fn insert_client(&mut self, client: Client) {
        for origin in &client.origins {
            *self.origins.entry(origin.clone()).or_default() += 1;
        }
        self.clients.insert(client.id.clone(), client.into());
    }

    fn remove_client(&mut self, id: &ClientId) {
        let Some(client) = self.clients.remove(id) else { return };
        for origin in &client.origins {
            self.origins = self
                .origins
                .alter(|clients| clients?.checked_sub(1).filter(|left| *left > 0), origin.clone());
        }
    }

    /// Whether any client registered this origin.
    pub fn knows_origin(&self, origin: &str) -> bool {
        self.origins.contains_key(origin)
    }

    /// What is remembered of a user, who has to be read otherwise. At least as new as the snapshot
    /// with this view.
    pub fn find_user(&self, id: &UserId) -> Option<Remembered> {
        self.users.find(id)
    }

    /// Whether a user has a permission, directly or by a role.
    pub fn permits(&self, user: &UserFacts, permission: &str) -> bool {
        let mut roles = user.entitlements.roles.iter().filter_map(|name| self.roles.get(name));
        user.entitlements.permissions.contains(permission)
            || roles.any(|role| role.permissions.contains(permission))
    }

    pub fn find_client(&self, id: &str) -> Option<&Arc<Client>> {
        self.clients.get(id)
    }

    pub fn find_resource_server(&self, id: &str) -> Option<&Arc<ResourceServer>> {
        self.resource_servers.by_id.get(id)
    }

    /// The enabled resource server with this identifier.
    pub fn find_audience(&self, identifier: &ResourceIdentifier) -> Option<&Arc<ResourceServer>> {
        let id = self.resource_servers.by_identifier.get(identifier)?;
        self.resource_servers.by_id.get(id).filter(|server| server.enabled)
    }

    /// The enabled resource servers that own any of these scope tokens.
    pub fn owners(&self, scope: &Scope) -> BTreeSet<ResourceServerId> {
        let owners = scope.words().filter_map(|word| self.resource_servers.owners.get(word));
        owners.flatten().cloned().collect()
    }

    /// Every scope token that an enabled resource server owns.
    pub fn scopes(&self) -> Scope {
        self.resource_servers.owners.keys().collect()
    }
}

/// Reads the directory along with the feed.
#[derive(Clone, Debug, Default)]
pub struct DirectoryProjection {
    users: Arc<UserCache>,
}

impl DirectoryProjection {
    /// Keeps `users` exact.
    pub const fn new(users: Arc<UserCache>) -> Self {
        Self { users }
    }

    /// Forgets the users whom `rows` are about, before the snapshot with them is published.
    fn forget_users(
        &self,
        known: &HashMap<RoleName, Role>,
        roles: &HashMap<RoleName, Role>,
        rows: &[RecordedChange],
    ) {
        let mut altered = BTreeSet::new();
        for row in rows {
            match &row.entry.change {
                Change::UserChanged(id) => self.users.forget(id),
                // A role that was deleted was taken from whoever had it, even if there is another one
                // of that name now.
                Change::RoleChanged(name)
                    if known.contains_key(name) && (!altered.insert(name) || !roles.contains_key(name)) =>
                {
                    self.users.forget_all();
                }
                _ => {}
            }
        }
    }
}

async fn read_roles(conn: &mut Connection) -> Result<Arc<HashMap<RoleName, Role>>, SqlError> {
    let roles = roles::list(conn).await?;
    Ok(Arc::new(roles.into_iter().map(|role| (role.name.clone(), role)).collect()))
}

#[async_trait]
impl Projection for DirectoryProjection {
    type View = DirectoryView;

    async fn read_all(&self, conn: &mut Connection) -> Result<DirectoryView, SqlError> {
        self.users.forget_all();
        Ok(DirectoryView {
            roles: read_roles(conn).await?,
            users: Arc::clone(&self.users),
            ..DirectoryView::new(clients::list(conn).await?, resource_servers::list(conn).await?)
        })
    }

    async fn catch_up(
        &self,
        conn: &mut Connection,
        mut view: DirectoryView,
        rows: &[RecordedChange],
    ) -> Result<DirectoryView, SqlError> {
        let mut changed = BTreeSet::new();
        let (mut servers_changed, mut roles_changed) = (false, false);
        for row in rows {
            match &row.entry.change {
                Change::ClientChanged(id) => {
                    changed.insert(id);
                }
                Change::ResourceServerChanged(_) => servers_changed = true,
                Change::RoleChanged(_) => roles_changed = true,
                _ => {}
            }
        }
        if !changed.is_empty() {
            let ids: Vec<_> = changed.iter().map(|id| id.as_str()).collect();
            for id in &changed {
                view.remove_client(id);
            }
            for client in clients::find_all(conn, &ids).await? {
                view.insert_client(client);
            }
        }
        if servers_changed {
            let servers = resource_servers::list(conn).await?;
            view.resource_servers = Arc::new(ResourceServers::index(servers));
        }
        let known = Arc::clone(&view.roles);
        if roles_changed {
            view.roles = read_roles(conn).await?;
        }
        self.forget_users(&known, &view.roles, rows);
        Ok(view)
    }
}
