//! The client credentials grant (RFC 6749 §4.4): a token for the client itself.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::changes::Bonds;
use crate::directory::{Client, GrantType, Snapshot};
use crate::domain::identifier::{GrantId, ResourceServerId};
use crate::domain::scope::Scope;
use crate::domain::token::{PlainToken, TokenKind};
use crate::grants::{AccessToken, GrantRecord};
use crate::oauth::AuthorizationServer;
use crate::oauth::error::OAuthError;
use crate::oauth::target::{requested_scope, target};
use crate::oauth::token::{IssuedToken, TokenRequest};

/// How often a token is made anew because something changed while it was being kept.
const ATTEMPTS: usize = 4;

/// What the token will allow, and where.
struct Permission {
    client: Arc<Client>,
    scope: Scope,
    audience: BTreeSet<ResourceServerId>,
}

pub(in crate::oauth) async fn issue(
    server: &AuthorizationServer,
    request: &TokenRequest,
) -> Result<IssuedToken, OAuthError> {
    for _ in 0..ATTEMPTS {
        // The birth number is this snapshot's position, read before the first fact: a kill that
        // commits from here on is above it.
        let before = server.feed.current()?;
        let permission = authorize(server, request, &before)?;
        let grant_id = GrantId::generate(server.entropy.as_ref())?;
        let (record, issued) = make(server, &before, grant_id, &permission, request.address)?;
        if !server.grants.insert(grant_id, &record.encode(), record.expires_at).await? {
            continue;
        }
        // After the last await, one snapshot decides whether the token may be handed out.
        let id = &permission.client.id;
        let lives = server.feed.with_current(|after| {
            let client = after.view.find_client(id.as_str());
            let unchanged = client.is_some_and(|client| Arc::ptr_eq(client, &permission.client));
            let unrestricted = after.restricted.of(&grant_id).is_none();
            unchanged && unrestricted && after.is_live(&grant_id, &Bonds::of_client(id), record.born)
        })?;
        if lives {
            return Ok(issued);
        }
        // Dead before it was seen by anybody. The record would only take room until its end.
        server.grants.remove(grant_id).await?;
    }
    Err(OAuthError::unavailable("the client is being changed; try again", "the client kept changing"))
}

fn authorize(
    server: &AuthorizationServer,
    request: &TokenRequest,
    known: &Snapshot,
) -> Result<Permission, OAuthError> {
    let client = request.credentials.client(&known.view, server.feed.clock().now())?;
    // RFC 6749 §4.4: "The client credentials grant type MUST only be used by confidential clients."
    if client.credentials.is_none() {
        return Err(OAuthError::InvalidClient("a public client cannot use client_credentials"));
    }
    if !client.grant_types.contains(&GrantType::ClientCredentials) {
        return Err(OAuthError::UnauthorizedClient("the client is not registered for this grant type"));
    }
    let scope = requested_scope(request.scope.as_ref(), &client.scope)?;
    let (scope, audience) = target(&known.view, &request.resources, scope, None)?;
    Ok(Permission { client, scope, audience })
}

fn make(
    server: &AuthorizationServer,
    known: &Snapshot,
    grant_id: GrantId,
    permission: &Permission,
    address: Option<IpAddr>,
) -> Result<(GrantRecord, IssuedToken), OAuthError> {
    let entropy = server.entropy.as_ref();
    let access_token = PlainToken::generate(TokenKind::Access, grant_id, &server.keys, entropy)?;
    let lifetime = permission.client.access_token_ttl.unwrap_or(server.settings.access_token_ttl);
    let issued_at = server.feed.clock().now();
    let expires_at = issued_at + lifetime;
    let record = GrantRecord {
        born: known.position.number,
        expires_at,
        client: permission.client.id.clone(),
        scope: permission.scope.clone(),
        audience: permission.audience.iter().cloned().collect(),
        access_tokens: vec![AccessToken {
            digest: access_token.digest(),
            issued_at,
            expires_at,
            attempt: 0,
            restriction: None,
        }],
        user: None,
        address,
    };
    let scope = permission.scope.clone();
    Ok((
        server.as_all_read(record),
        IssuedToken { access_token, expires_in: lifetime, scope, refresh_token: None },
    ))
}
