//! Clients, as an admin makes and changes them.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Act, Admin, AdminError, unless_secret};
use crate::changes::{Change, KillScope, Recorded, record_longest_lifetime};
use crate::directory::{Client, Credentials, GrantType, clients};
use crate::domain::identifier::ClientId;
use crate::domain::origin::Origin;
use crate::domain::redirect_uri::RedirectUri;
use crate::domain::scope::Scope;
use crate::domain::secret::PlainSecret;
use crate::domain::token::CODE_LIFETIME;
use crate::sql::SqlError;

/// What a new client is to be.
#[derive(Debug)]
pub struct NewClient {
    pub name: String,
    /// Made when it is missing.
    pub id: Option<ClientId>,
    pub public: bool,
    pub grant_types: BTreeSet<GrantType>,
    pub scope: Scope,
    pub access_token_ttl: Option<Duration>,
    pub redirect_uris: Vec<RedirectUri>,
    pub refresh_retry_window: Option<Duration>,
    pub origins: BTreeSet<Origin>,
    /// Made when it is missing.
    pub secret: Option<PlainSecret>,
}

/// What is to be different; `None` leaves it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientUpdate {
    pub name: Option<String>,
    pub grant_types: Option<BTreeSet<GrantType>>,
    pub scope: Option<Scope>,
    /// `Some(None)`: the server's default.
    pub access_token_ttl: Option<Option<Duration>>,
    pub redirect_uris: Option<Vec<RedirectUri>>,
    /// `Some(None)`: the default.
    pub refresh_retry_window: Option<Option<Duration>>,
    pub origins: Option<BTreeSet<Origin>>,
}

fn check(client: &Client) -> Result<(), String> {
    let grant_types = &client.grant_types;
    if client.credentials.is_none() && grant_types.contains(&GrantType::ClientCredentials) {
        return Err("a public client cannot use client_credentials: it has no secret to prove who it is \
                    (RFC 6749 section 4.4)"
            .to_owned());
    }
    if grant_types.contains(&GrantType::AuthorizationCode) && client.redirect_uris.is_empty() {
        return Err(
            "a client that uses authorization_code needs a redirect URI: give --redirect-uri".to_owned()
        );
    }
    Ok(())
}

pub(super) fn check_name(name: &str) -> Result<(), AdminError> {
    let plain = !name.is_empty() && name.len() <= 200 && !name.chars().any(char::is_control);
    match plain {
        true => Ok(()),
        false => Err(AdminError::Invalid(
            "a name has 1 to 200 characters, none of them a control character".to_owned(),
        )),
    }
}

pub(super) fn not_found(which: &str) -> impl FnOnce(AdminError) -> AdminError {
    let which = unless_secret(which);
    move |error| match error {
        AdminError::Sql(SqlError::NotFound) => {
            AdminError::NotFound(format!("there is no client {which:?}; see: symbolon client list"))
        }
        AdminError::Sql(SqlError::Duplicate(_)) => {
            AdminError::Exists(format!("there is a client with the id or name of {which:?} already"))
        }
        AdminError::Sql(SqlError::Refused(why)) => AdminError::Invalid(why),
        error => error,
    }
}

impl Admin {
    /// Makes a client. The secret is shown here and never again; a public client has none.
    ///
    /// # Errors
    /// [`AdminError::Exists`] when the name or id is taken.
    pub async fn create_client(
        &self,
        new: NewClient,
    ) -> Result<(Client, Option<PlainSecret>, Recorded), AdminError> {
        check_name(&new.name)?;
        let secret = match (new.public, new.secret) {
            (true, Some(_)) => return Err(AdminError::Invalid("a public client has no secret".to_owned())),
            (true, None) => None,
            (false, Some(secret)) => Some(secret),
            (false, None) => Some(PlainSecret::generate(self.entropy.as_ref())?),
        };
        let id = match new.id {
            Some(id) => id,
            None => ClientId::generate(self.entropy.as_ref())?,
        };
        let client = Client {
            id,
            name: new.name,
            credentials: secret.as_ref().map(|secret| Credentials::new(secret.digest())),
            grant_types: new.grant_types,
            scope: new.scope,
            access_token_ttl: new.access_token_ttl,
            redirect_uris: new.redirect_uris,
            refresh_retry_window: new.refresh_retry_window,
            origins: new.origins,
            enabled: true,
            created_at: self.clock.now(),
        };
        check(&client).map_err(AdminError::Invalid)?;
        let (made, name) = (client.clone(), client.name.clone());
        let ((), recorded) = self
            .act("create-client", &name, move |conn| {
                Box::pin(async move {
                    // Before its first token: how long revocations must be kept.
                    if let Some(lifetime) = made.access_token_ttl {
                        record_longest_lifetime(conn, lifetime + CODE_LIFETIME).await?;
                    }
                    clients::insert(conn, &made).await?;
                    Ok(Act::new((), vec![Change::ClientChanged(made.id)]))
                })
            })
            .await
            .map_err(not_found(&name))?;
        Ok((client, secret, recorded))
    }

    /// The client with this id or name.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] when there is none.
    pub async fn client(&self, which: &str) -> Result<Client, AdminError> {
        let id = which.to_owned();
        let found =
            self.database.read(move |conn| Box::pin(async move { clients::require(conn, &id).await }));
        found.await.map_err(AdminError::from).map_err(not_found(which))
    }

    /// So many clients by name, from the first after `after`.
    ///
    /// # Errors
    /// When SQL fails.
    pub async fn clients(&self, after: String, limit: u32) -> Result<Vec<Client>, AdminError> {
        let read =
            self.database.read(move |conn| Box::pin(async move { clients::page(conn, &after, limit).await }));
        Ok(read.await?)
    }

    /// Changes a client. Narrowing its scope narrows the tokens it holds.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] when there is none.
    pub async fn update_client(
        &self,
        which: &str,
        update: ClientUpdate,
    ) -> Result<(Client, Recorded), AdminError> {
        if let Some(name) = &update.name {
            check_name(name)?;
        }
        self.alter_client("update-client", which, move |client| {
            let ClientUpdate {
                name,
                grant_types,
                scope,
                access_token_ttl,
                redirect_uris,
                refresh_retry_window,
                origins,
            } = update;
            client.name = name.unwrap_or_else(|| client.name.clone());
            client.grant_types = grant_types.unwrap_or_else(|| client.grant_types.clone());
            client.scope = scope.unwrap_or_else(|| client.scope.clone());
            client.access_token_ttl = access_token_ttl.unwrap_or(client.access_token_ttl);
            client.redirect_uris = redirect_uris.unwrap_or_else(|| client.redirect_uris.clone());
            client.refresh_retry_window = refresh_retry_window.unwrap_or(client.refresh_retry_window);
            client.origins = origins.unwrap_or_else(|| client.origins.clone());
            check(client).map_err(SqlError::Refused)?;
            Ok(Vec::new())
        })
        .await
    }

    /// Gives a client a new secret; the old one is good for `overlap` more.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] when there is none; a public client has no secret.
    pub async fn rotate_client_secret(
        &self,
        which: &str,
        overlap: Duration,
    ) -> Result<(Client, PlainSecret, Recorded), AdminError> {
        let secret = PlainSecret::generate(self.entropy.as_ref())?;
        let (digest, now) = (secret.digest(), self.clock.now());
        let (client, recorded) = self
            .alter_client("rotate-client-secret", which, move |client| {
                let credentials = client.credentials.as_ref();
                let credentials = credentials
                    .ok_or_else(|| SqlError::Refused("a public client has no secret".to_owned()))?;
                client.credentials = Some(credentials.rotate(digest, overlap, now));
                Ok(Vec::new())
            })
            .await?;
        Ok((client, secret, recorded))
    }

    /// Disables a client, which kills every token it has, or enables it, which revives none.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] when there is none.
    pub async fn enable_client(&self, which: &str, enabled: bool) -> Result<(Client, Recorded), AdminError> {
        let action = if enabled { "enable-client" } else { "disable-client" };
        self.alter_client(action, which, move |client| {
            client.enabled = enabled;
            let kill = Change::Killed(KillScope::Client(client.id.clone()));
            Ok(if enabled { Vec::new() } else { vec![kill] })
        })
        .await
    }

    /// Deletes a client. Its tokens are dead, and stay so if the id is used again.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] when there is none.
    pub async fn delete_client(&self, which: &str) -> Result<(Client, Recorded), AdminError> {
        let id = which.to_owned();
        self.act("delete-client", which, move |conn| {
            Box::pin(async move {
                let client = clients::require(conn, &id).await?;
                clients::delete(conn, &client.id).await?;
                let kill = Change::Killed(KillScope::Client(client.id.clone()));
                let changes = vec![kill, Change::ClientChanged(client.id.clone())];
                Ok(Act::new(client, changes))
            })
        })
        .await
        .map_err(not_found(which))
    }

    /// Reads, alters and writes a client in one transaction; `alter` returns further changes.
    async fn alter_client<F>(
        &self,
        action: &'static str,
        which: &str,
        alter: F,
    ) -> Result<(Client, Recorded), AdminError>
    where
        F: FnOnce(&mut Client) -> Result<Vec<Change>, SqlError> + Send + 'static,
    {
        let id = which.to_owned();
        self.act(action, which, move |conn| {
            Box::pin(async move {
                let mut client = clients::require(conn, &id).await?;
                let mut changes = alter(&mut client)?;
                if let Some(lifetime) = client.access_token_ttl {
                    record_longest_lifetime(conn, lifetime + CODE_LIFETIME).await?;
                }
                clients::update(conn, &client).await?;
                changes.push(Change::ClientChanged(client.id.clone()));
                Ok(Act::new(client, changes))
            })
        })
        .await
        .map_err(not_found(which))
    }
}
