//! The quickstart: embedded stores, with a resource server, a client, an application in the browser and a user to try
//! things with.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::people::password_policy;
use super::serve::ServeError;
use super::stores::Stores;
use crate::admin::clients::{ClientUpdate, NewClient};
use crate::admin::resource_servers::{NewResourceServer, ResourceServerUpdate};
use crate::admin::users::NewUser;
use crate::admin::{Admin, AdminError};
use crate::config::{Config, ConfigError};
use crate::directory::{GrantType, ScopeDescriptions};
use crate::domain::entropy::{self, Entropy};
use crate::domain::identifier::{ClientId, ResourceIdentifier};
use crate::domain::login_name::LoginName;
use crate::domain::password::{Password, PasswordHash};
use crate::domain::redirect_uri::RedirectUri;
use crate::domain::scope::Scope;
use crate::domain::secret::PlainSecret;
use crate::http::pages;
use crate::identity::passwords::Passwords;
use crate::oauth::PresentedCredentials;

const CLIENT: &str = "demo-client";
const APP: &str = "demo-app";
const RESOURCE_SERVER: &str = "demo-notes-api";
const USER: &str = "demo";
const SCOPE: &str = "notes:read notes:write";
const DESCRIPTIONS: [(&str, &str); 2] =
    [("notes:read", "Read your notes"), ("notes:write", "Write and delete your notes")];

/// The ids and secrets of the demonstration.
pub struct Demo {
    pub client: (String, PlainSecret),
    pub resource_server: (String, PlainSecret),
    pub user: (&'static str, Zeroizing<String>),
}

impl Demo {
    /// What the demonstration's page needs to know.
    pub fn page(&self) -> pages::Demo {
        let (id, secret) = &self.resource_server;
        pages::Demo {
            client: APP.to_owned(),
            scope: SCOPE.to_owned(),
            user: USER.to_owned(),
            api: PresentedCredentials { id: id.clone(), secret: Some(secret.digest()) },
        }
    }
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

fn failed(error: impl std::fmt::Display) -> ServeError {
    ServeError::Other(error.to_string())
}

/// Makes who takes part in the demonstration, or gives them new secrets: secrets are not kept, so
/// those of an earlier run cannot be shown again.
///
/// # Errors
/// When the embedded stores fail.
pub async fn prepare(config: &Config, stores: &Stores) -> Result<Demo, ServeError> {
    let admin = stores.admin();
    let scope = Scope::parse(SCOPE).map_err(|_| failed("the demonstration is malformed"))?;
    app(&admin, scope.clone(), &config.issuer).await?;
    Ok(Demo {
        resource_server: resource_server(&admin, scope.clone()).await?,
        client: client(&admin, scope).await?,
        user: user(&admin, config, stores).await?,
    })
}

async fn resource_server(admin: &Admin, scope: Scope) -> Result<(String, PlainSecret), ServeError> {
    let mut scope_descriptions = ScopeDescriptions::default();
    for (word, text) in DESCRIPTIONS {
        scope_descriptions.describe(word, text).map_err(failed)?;
    }
    let made = match admin.resource_server(RESOURCE_SERVER).await {
        Ok(server) => {
            let update = ResourceServerUpdate { scope_descriptions, ..ResourceServerUpdate::default() };
            admin.update_resource_server(server.id.as_str(), update).await.map_err(failed)?;
            admin.enable_resource_server(server.id.as_str(), true).await.map_err(failed)?;
            admin.rotate_resource_server_secret(server.id.as_str(), Duration::ZERO).await
        }
        Err(AdminError::NotFound(_)) => {
            let new = NewResourceServer {
                name: RESOURCE_SERVER.to_owned(),
                identifier: ResourceIdentifier::parse("https://demo-notes.example").map_err(failed)?,
                scope,
                may_revoke: true,
                scopes_needing_permission: Scope::default(),
                include_roles: false,
                scope_descriptions,
            };
            admin.create_resource_server(new).await
        }
        Err(error) => Err(error),
    };
    let (server, secret, _) = made.map_err(failed)?;
    Ok((server.id.to_string(), secret))
}

/// The client that acts for itself.
async fn client(admin: &Admin, scope: Scope) -> Result<(String, PlainSecret), ServeError> {
    let made = match admin.client(CLIENT).await {
        Ok(client) => {
            admin.enable_client(client.id.as_str(), true).await.map_err(failed)?;
            let rotated = admin.rotate_client_secret(client.id.as_str(), Duration::ZERO).await;
            rotated.map(|(client, secret, _)| (client, Some(secret)))
        }
        Err(AdminError::NotFound(_)) => {
            let grant_types = BTreeSet::from([GrantType::ClientCredentials]);
            let new = NewClient { public: false, grant_types, ..new_client(CLIENT, scope) };
            admin.create_client(new).await.map(|(client, secret, _)| (client, secret))
        }
        Err(error) => Err(error),
    };
    let (client, secret) = made.map_err(failed)?;
    let secret = secret.ok_or_else(|| failed("the demonstration client has no secret"))?;
    Ok((client.id.to_string(), secret))
}

/// The application in the browser.
async fn app(admin: &Admin, scope: Scope, issuer: &str) -> Result<(), ServeError> {
    let redirect_uri = format!("{}/demo", issuer.trim_end_matches('/'));
    let redirect_uris = vec![RedirectUri::parse(&redirect_uri).map_err(failed)?];
    let made = match admin.client(APP).await {
        Ok(client) => {
            admin.enable_client(client.id.as_str(), true).await.map_err(failed)?;
            let update = ClientUpdate { redirect_uris: Some(redirect_uris), ..ClientUpdate::default() };
            admin.update_client(client.id.as_str(), update).await.map(drop)
        }
        Err(AdminError::NotFound(_)) => {
            let grant_types = BTreeSet::from([GrantType::AuthorizationCode, GrantType::RefreshToken]);
            let new = NewClient { public: true, grant_types, redirect_uris, ..new_client(APP, scope) };
            admin.create_client(new).await.map(drop)
        }
        Err(error) => Err(error),
    };
    made.map_err(failed)
}

fn new_client(name: &str, scope: Scope) -> NewClient {
    NewClient {
        name: name.to_owned(),
        id: ClientId::parse(name).ok(),
        public: false,
        grant_types: BTreeSet::new(),
        scope,
        access_token_ttl: None,
        redirect_uris: Vec::new(),
        refresh_retry_window: None,
        origins: BTreeSet::new(),
        secret: None,
    }
}

async fn user(
    admin: &Admin,
    config: &Config,
    stores: &Stores,
) -> Result<(&'static str, Zeroizing<String>), ServeError> {
    let password = new_password(stores.entropy.as_ref()).map_err(failed)?;
    let hash = hash(config, stores, &password).await?;
    let made = match admin.user(USER).await {
        Ok(user) => {
            admin.enable_user(user.user.id.as_str(), true).await.map_err(failed)?;
            admin.set_password(user.user.id.as_str(), hash, false).await.map(drop)
        }
        Err(AdminError::NotFound(_)) => {
            let name = LoginName::parse(USER).map_err(failed)?;
            let new = NewUser { name, password: Some(hash), must_change_password: false };
            admin.create_user(new).await.map(drop)
        }
        Err(error) => Err(error),
    };
    made.map_err(failed)?;
    Ok((USER, password))
}

/// Twenty letters and digits in groups, to be typed by hand: 100 random bits.
fn new_password(entropy: &dyn Entropy) -> Result<Zeroizing<String>, entropy::EntropyUnavailable> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let random: [u8; 20] = entropy::random(entropy)?;
    let mut password = Zeroizing::new(String::with_capacity(random.len() + 3));
    for (at, byte) in random.iter().enumerate() {
        if at > 0 && at % 5 == 0 {
            password.push('-');
        }
        password.extend(LETTERS.get(usize::from(byte % 32)).map(|letter| char::from(*letter)));
    }
    Ok(password)
}

async fn hash(config: &Config, stores: &Stores, password: &str) -> Result<PasswordHash, ServeError> {
    let passwords = Passwords::start(1, password_policy(config)?, Arc::clone(&stores.entropy));
    let passwords = passwords.map_err(failed)?;
    let password = Password::parse(password).map_err(failed)?;
    passwords.hash_new(password, USER).await.map_err(failed)?.map_err(failed)
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
