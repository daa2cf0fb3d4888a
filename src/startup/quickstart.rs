//! The quickstart: embedded stores, a resource server and a client to try things with.

use std::collections::BTreeSet;
use std::time::Duration;

use super::serve::ServeError;
use super::stores::Stores;
use crate::admin::AdminError;
use crate::admin::clients::NewClient;
use crate::admin::resource_servers::NewResourceServer;
use crate::changes::Actor;
use crate::config::{Config, ConfigError};
use crate::directory::{GrantType, ScopeDescriptions};
use crate::domain::identifier::{ClientId, ResourceIdentifier};
use crate::domain::scope::Scope;
use crate::domain::secret::PlainSecret;

const CLIENT: &str = "demo-client";
const RESOURCE_SERVER: &str = "demo-notes-api";
const SCOPE: &str = "notes:read notes:write";

/// The ids and secrets of the demonstration.
pub struct Demo {
    pub client: (String, PlainSecret),
    pub resource_server: (String, PlainSecret),
}

/// Checks that a configuration is one to try things with: embedded, and on this machine only.
///
/// # Errors
/// Which setting speaks against it.
pub fn check(config: &Config) -> Result<(), ConfigError> {
    let embedded = "the quickstart uses embedded stores; leave it out, or run: symbolon serve";
    if config.redis_url.is_some() {
        return Err(ConfigError::new("SYMBOLON_REDIS_URL", format!("is given, but {embedded}")));
    }
    if config.database_url.is_some() {
        return Err(ConfigError::new("SYMBOLON_DATABASE_URL", format!("is given, but {embedded}")));
    }
    if config.tls.is_some() {
        return Err(ConfigError::new(
            "SYMBOLON_TLS_CERT",
            "is given, but the quickstart serves plain http on loopback",
        ));
    }
    for (name, address) in
        [("SYMBOLON_LISTEN", config.listen), ("SYMBOLON_MANAGEMENT_LISTEN", config.management_listen)]
    {
        if !address.ip().is_loopback() {
            let why =
                format!("is {address}, but the quickstart shows its secrets and so listens on loopback only");
            return Err(ConfigError::new(name, why));
        }
    }
    Ok(())
}

/// Makes the demonstration's client and resource server, or gives them new secrets: secrets are
/// not kept, so those of an earlier run cannot be shown again.
///
/// # Errors
/// When the embedded stores fail.
pub async fn prepare(stores: &Stores) -> Result<Demo, ServeError> {
    let admin = stores.admin(Actor::command_line());
    let failed = |error: AdminError| ServeError::Other(error.to_string());
    let malformed = |_| ServeError::Other("the demonstration is malformed".to_owned());
    let scope = Scope::parse(SCOPE).map_err(malformed)?;
    let resource_server = match admin.resource_server(RESOURCE_SERVER).await {
        Ok(server) => {
            admin.enable_resource_server(server.id.as_str(), true).await.map_err(failed)?;
            admin.rotate_resource_server_secret(server.id.as_str(), Duration::ZERO).await
        }
        Err(AdminError::NotFound(_)) => {
            let identifier = ResourceIdentifier::parse("https://demo-notes.example")
                .map_err(|error| ServeError::Other(error.to_string()))?;
            let new = NewResourceServer {
                name: RESOURCE_SERVER.to_owned(),
                identifier,
                scope: scope.clone(),
                may_revoke: true,
                scopes_needing_permission: Scope::default(),
                include_roles: false,
                scope_descriptions: ScopeDescriptions::default(),
            };
            admin.create_resource_server(new).await
        }
        Err(error) => Err(error),
    };
    let (server, server_secret, _) = resource_server.map_err(failed)?;
    let client = match admin.client(CLIENT).await {
        Ok(client) => {
            admin.enable_client(client.id.as_str(), true).await.map_err(failed)?;
            let rotated = admin.rotate_client_secret(client.id.as_str(), Duration::ZERO).await;
            rotated.map(|(client, secret, _)| (client, Some(secret)))
        }
        Err(AdminError::NotFound(_)) => {
            let new = NewClient {
                name: CLIENT.to_owned(),
                id: ClientId::parse(CLIENT).ok(),
                public: false,
                grant_types: BTreeSet::from([GrantType::ClientCredentials]),
                scope,
                access_token_ttl: None,
                redirect_uris: Vec::new(),
                refresh_retry_window: None,
                origins: BTreeSet::new(),
                secret: None,
            };
            admin.create_client(new).await.map(|(client, secret, _)| (client, secret))
        }
        Err(error) => Err(error),
    };
    let (client, client_secret) = client.map_err(failed)?;
    let client_secret = client_secret
        .ok_or_else(|| ServeError::Other("the demonstration client has no secret".to_owned()))?;
    Ok(Demo {
        client: (client.id.to_string(), client_secret),
        resource_server: (server.id.to_string(), server_secret),
    })
}

/// What to paste: mint, introspect, revoke, introspect again.
pub fn commands(issuer: &str, demo: &Demo) -> Vec<(&'static str, String)> {
    let issuer = issuer.trim_end_matches('/');
    let client = format!("{}:{}", demo.client.0, demo.client.1.expose());
    let server = format!("{}:{}", demo.resource_server.0, demo.resource_server.1.expose());
    let introspect = format!("curl -s -u {server} -d token=$TOKEN {issuer}/introspect; echo");
    vec![
        (
            "The client gets a token:",
            format!(
                "TOKEN=$(curl -s -u {client} -d grant_type=client_credentials {issuer}/token | \
                 sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')"
            ),
        ),
        ("The resource server asks what the token may do:", introspect.clone()),
        (
            "The client revokes it (200 means that it is dead everywhere):",
            format!(
                "curl -s -o /dev/null -w '%{{http_code}}\\n' -u {client} -d token=$TOKEN {issuer}/revoke"
            ),
        ),
        ("The resource server asks again:", introspect),
    ]
}
