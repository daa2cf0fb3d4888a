//! The token endpoint (RFC 6749 §3.2): one request, handed to its grant type.

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

use super::client_authentication::PresentedCredentials;
use super::error::OAuthError;
use super::{AuthorizationServer, grant_types};
use crate::directory::GrantType;
use crate::domain::identifier::ResourceIdentifier;
use crate::domain::pkce::CodeVerifier;
use crate::domain::scope::Scope;
use crate::domain::token::{PlainToken, TokenString};

/// A request for a token, parsed.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    pub grant: PresentedGrant,
    pub credentials: PresentedCredentials,
    pub scope: Option<Scope>,
    /// RFC 8707 §2: may be given several times.
    pub resources: Vec<ResourceIdentifier>,
    /// Of the client, or of whoever calls in its name.
    pub address: Option<IpAddr>,
}

/// What the request rests on: its `grant_type`, and what belongs to that.
#[derive(Clone, Debug)]
pub enum PresentedGrant {
    ClientCredentials,
    AuthorizationCode(Redemption),
    /// `None`: what was sent is no token.
    RefreshToken(Option<TokenString>),
}

/// A code that is to be redeemed (RFC 6749 §4.1.3, RFC 7636 §4.5).
#[derive(Clone, Debug)]
pub struct Redemption {
    /// `None`: what was sent is no token.
    pub code: Option<TokenString>,
    pub redirect_uri: Option<String>,
    /// `None`: none was sent, or what was sent is no verifier.
    pub verifier: Option<CodeVerifier>,
}

impl PresentedGrant {
    pub const fn grant_type(&self) -> GrantType {
        match self {
            Self::ClientCredentials => GrantType::ClientCredentials,
            Self::AuthorizationCode(_) => GrantType::AuthorizationCode,
            Self::RefreshToken(_) => GrantType::RefreshToken,
        }
    }
}

/// A token that was just issued (RFC 6749 §5.1).
#[derive(Debug)]
pub struct IssuedToken {
    pub access_token: PlainToken,
    pub expires_in: Duration,
    pub scope: Scope,
    /// Only with a user's grant.
    pub refresh_token: Option<PlainToken>,
}

/// The wire form of [`IssuedToken`].
#[derive(Serialize)]
struct Body<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    scope: &'a Scope,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
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
            refresh_token: self.refresh_token.as_ref().map(PlainToken::expose),
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
        match &request.grant {
            PresentedGrant::ClientCredentials => grant_types::client_credentials::issue(self, request).await,
            PresentedGrant::AuthorizationCode(redemption) => {
                grant_types::authorization_code::redeem(self, request, redemption).await
            }
            PresentedGrant::RefreshToken(token) => {
                grant_types::refresh_token::refresh(self, request, token.as_ref()).await
            }
        }
    }
}
