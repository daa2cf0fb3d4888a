//! The token endpoint (RFC 6749 §3.2): one request, handed to its grant type.

use std::time::Duration;

use serde::Serialize;

use super::client_authentication::PresentedCredentials;
use super::error::OAuthError;
use super::{AuthorizationServer, grant_types};
use crate::directory::GrantType;
use crate::domain::identifier::ResourceIdentifier;
use crate::domain::scope::Scope;
use crate::domain::token::PlainToken;

/// A request for a token, parsed.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    pub grant_type: GrantType,
    pub credentials: PresentedCredentials,
    pub scope: Option<Scope>,
    /// RFC 8707 §2: may be given several times.
    pub resources: Vec<ResourceIdentifier>,
}

/// A token that was just issued (RFC 6749 §5.1).
#[derive(Debug)]
pub struct IssuedToken {
    pub access_token: PlainToken,
    pub expires_in: Duration,
    pub scope: Scope,
}

/// The wire form of [`IssuedToken`].
#[derive(Serialize)]
struct Body<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    scope: &'a Scope,
}

impl IssuedToken {
    /// The JSON body of RFC 6749 §5.1. `scope` is always there: it may be less than was asked for.
    ///
    /// # Errors
    /// Never for these types; the serializer's signature says otherwise.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(&Body {
            access_token: self.access_token.expose(),
            token_type: "Bearer",
            expires_in: self.expires_in.as_secs(),
            scope: &self.scope,
        })
    }
}

impl AuthorizationServer {
    /// Issues a token.
    ///
    /// # Errors
    /// Those of RFC 6749 §5.2 and RFC 8707 §2; unavailable when the token could not be kept or the
    /// lease ran out.
    pub async fn issue(&self, request: &TokenRequest) -> Result<IssuedToken, OAuthError> {
        match request.grant_type {
            GrantType::ClientCredentials => grant_types::client_credentials::issue(self, request).await,
            GrantType::AuthorizationCode | GrantType::RefreshToken => Err(OAuthError::UnsupportedGrantType),
        }
    }
}
