//! Client authentication (RFC 6749 §2.3): who is calling.
//!
//! Resource servers authenticate the same way, with an id and secret of their own.

use std::sync::Arc;

use super::error::OAuthError;
use crate::directory::{Client, DirectoryView, ResourceServer};
use crate::domain::clock::Timestamp;
use crate::domain::secret::SecretDigest;

/// The id and secret that came with a request. Only the secret's digest is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentedCredentials {
    pub id: String,
    /// `None` when only a `client_id` was sent, as public clients do.
    pub secret: Option<SecretDigest>,
}

/// Who is calling.
#[derive(Clone, Debug)]
pub enum Caller {
    Client(Arc<Client>),
    ResourceServer(Arc<ResourceServer>),
}

/// One answer for everything that is wrong with an id or a secret: whoever guesses learns nothing.
const FAILED: OAuthError =
    OAuthError::InvalidClient("the client id or secret is wrong, or the client is disabled");

impl PresentedCredentials {
    /// The enabled client that these credentials are of. A public client proves nothing, and is
    /// known by its id alone.
    ///
    /// # Errors
    /// [`OAuthError::InvalidClient`] otherwise.
    pub fn client(&self, view: &DirectoryView, now: Timestamp) -> Result<Arc<Client>, OAuthError> {
        let client = view.find_client(&self.id);
        let good = match (client.map(|client| &client.credentials), &self.secret) {
            (Some(Some(credentials)), Some(secret)) => credentials.accept(secret, now),
            (Some(None), None) => true,
            _ => false,
        };
        client.filter(|client| good && client.enabled).cloned().ok_or(FAILED)
    }

    /// The enabled resource server that these credentials are of.
    ///
    /// # Errors
    /// [`OAuthError::InvalidClient`] otherwise.
    pub fn resource_server<'v>(
        &self,
        view: &'v DirectoryView,
        now: Timestamp,
    ) -> Result<&'v Arc<ResourceServer>, OAuthError> {
        let server = view.find_resource_server(&self.id);
        let good = match (server, &self.secret) {
            (Some(server), Some(secret)) => server.credentials.accept(secret, now),
            _ => false,
        };
        server.filter(|server| good && server.enabled).ok_or(FAILED)
    }

    /// The client or resource server that these credentials are of; their ids never collide.
    ///
    /// # Errors
    /// [`OAuthError::InvalidClient`] otherwise.
    pub fn caller(&self, view: &DirectoryView, now: Timestamp) -> Result<Caller, OAuthError> {
        match self.resource_server(view, now) {
            Ok(server) => Ok(Caller::ResourceServer(Arc::clone(server))),
            Err(_) => self.client(view, now).map(Caller::Client),
        }
    }
}
