//! What redeeming a code and refreshing have in common: an access token of a user's grant, for as
//! much of it as is asked for.

use std::sync::Arc;

use crate::changes::Restrictions;
use crate::directory::{Client, GrantType, Snapshot};
use crate::domain::clock::Timestamp;
use crate::domain::identifier::{GrantId, ResourceServerId};
use crate::domain::scope::Scope;
use crate::domain::token::{PlainToken, Successors, TokenKind, TokenString};
use crate::domain::token_key::TokenKey;
use crate::grants::{AccessToken, GrantRecord, Restriction};
use crate::oauth::AuthorizationServer;
use crate::oauth::error::{OAuthError, TRY_AGAIN};
use crate::oauth::target::target;
use crate::oauth::token::{IssuedToken, TokenRequest};

/// One answer for everything that is wrong with a code or a refresh token: whoever guesses learns
/// nothing.
pub const INVALID: OAuthError =
    OAuthError::InvalidGrant("the code or refresh token is invalid, expired, revoked, or of another client");

/// Nothing is changed meanwhile, and a thaw makes the refresh token good again, unless it has ended by then, for a freeze
/// stops no end: `invalid_grant` would make an honest client throw it away.
pub fn frozen() -> OAuthError {
    OAuthError::unavailable("the grant is frozen; try again later", "the grant is frozen")
}

/// The enabled client that asks, which must be registered for this grant type.
pub fn client(
    server: &AuthorizationServer,
    request: &TokenRequest,
    known: &Snapshot,
) -> Result<Arc<Client>, OAuthError> {
    let client = request.credentials.client(&known.view, server.feed.clock().now())?;
    let grant_type = request.grant.grant_type();
    if !client.grant_types.contains(&grant_type) {
        return Err(OAuthError::UnauthorizedClient("the client is not registered for this grant type"));
    }
    Ok(client)
}

/// A token of this kind that this installation made, and the key that it made it with.
pub fn genuine<'t>(
    server: &'t AuthorizationServer,
    kind: TokenKind,
    token: Option<&'t TokenString>,
) -> Result<(&'t TokenString, &'t TokenKey), OAuthError> {
    let token = token.filter(|token| token.kind() == kind).ok_or(INVALID)?;
    Ok((token, token.made_by(&server.keys).ok_or(INVALID)?))
}

/// Whether the feed says that the grant lives, frozen or not, and its time is not over.
pub fn lives(known: &Snapshot, id: &GrantId, record: &GrantRecord, now: Timestamp) -> bool {
    let end = known.restricted.of(id).map_or(record.expires_at, |held| held.end(record.expires_at));
    now < end && known.is_live(id, &record.bonds(), record.born)
}

/// The part of a grant that an access token is asked for.
pub struct Asked {
    scope: Scope,
    audience: Vec<ResourceServerId>,
    restriction: Option<Box<Restriction>>,
    /// What of the scope the client may still use: what it is told.
    usable: Scope,
    /// What the grant was restricted to when this was found out.
    held: Option<Restrictions>,
}

/// RFC 6749 §6: "The requested scope MUST NOT include any scope not originally granted by the
/// resource owner, and if omitted is treated as equal to the scope originally granted". RFC 8707
/// §2.2 says the same of resources.
pub fn asked(
    request: &TokenRequest,
    id: &GrantId,
    record: &GrantRecord,
    client: &Client,
    known: &Snapshot,
) -> Result<Asked, OAuthError> {
    // A code's scope is what the user approved, whatever is asked for when it is redeemed.
    let narrowed = request.scope.as_ref().filter(|_| request.grant.grant_type() == GrantType::RefreshToken);
    if narrowed.is_some_and(|scope| !scope.is_subset(&record.scope)) {
        return Err(OAuthError::InvalidScope("the scope goes beyond what was granted"));
    }
    let scope = narrowed.unwrap_or(&record.scope).clone();
    let (scope, audience) = if narrowed.is_none() && request.resources.is_empty() {
        (scope, record.audience.clone())
    } else {
        let targeted = target(&known.view, &request.resources, scope, Some(&record.audience));
        let (scope, audience) = targeted.map_err(|error| if_known(known, record, error))?;
        (scope, audience.into_iter().collect())
    };
    let held = known.restricted.of(id).cloned();
    let usable = scope.intersection(&client.scope);
    let usable = held.as_ref().map_or_else(|| usable.clone(), |held| held.narrow(&usable));
    if usable.is_empty() {
        let error = OAuthError::InvalidScope("nothing of this scope is left to the client");
        return Err(if_known(known, record, error));
    }
    let whole = scope == record.scope && audience == record.audience;
    let restriction = Restriction { scope: scope.clone(), audience: audience.clone() };
    let restriction = (!whole).then(|| Box::new(restriction));
    Ok(Asked { scope, audience, restriction, usable, held })
}

/// A refusal by the directory, unless the grant rests on changes that this replica has yet to read.
fn if_known(known: &Snapshot, record: &GrantRecord, error: OAuthError) -> OAuthError {
    match record.born > known.position.number {
        true => OAuthError::unavailable(TRY_AGAIN, "the grant is newer than what this replica knows"),
        false => error,
    }
}

/// An access token and when it ends.
pub struct Issued {
    token: PlainToken,
    expires_at: Timestamp,
}

impl Issued {
    /// The answer.
    pub fn answer(self, asked: Asked, refresh_token: Option<PlainToken>, now: Timestamp) -> IssuedToken {
        let expires_at = asked.held.map_or(self.expires_at, |held| held.end(self.expires_at));
        IssuedToken {
            access_token: self.token,
            expires_in: expires_at - now,
            scope: asked.usable,
            refresh_token,
        }
    }
}

/// The access token that was given before for the same request, if it lives.
pub fn given_before(
    record: &GrantRecord,
    successors: &Successors<'_>,
    asked: &Asked,
    now: Timestamp,
) -> Option<Issued> {
    let live = record.access_tokens.iter().filter(|token| token.attempt > 0 && now < token.expires_at);
    live.rev().find_map(|kept| {
        let token = successors.access_token(kept.attempt, &asked.scope, &asked.audience);
        (token.digest() == kept.digest).then_some(Issued { token, expires_at: kept.expires_at })
    })
}

/// Makes the next access token and puts it into the record.
pub fn add_access_token(
    server: &AuthorizationServer,
    record: &mut GrantRecord,
    client: &Client,
    successors: &Successors<'_>,
    asked: &Asked,
    now: Timestamp,
) -> Result<Issued, OAuthError> {
    let attempt = record.user.as_mut().and_then(|user| {
        user.attempt = user.attempt.checked_add(1)?;
        Some(user.attempt)
    });
    let token = successors.access_token(attempt.ok_or(INVALID)?, &asked.scope, &asked.audience);
    let lifetime = client.access_token_ttl.unwrap_or(server.settings.access_token_ttl);
    let expires_at = (now + lifetime).min(record.expires_at);
    let kept = AccessToken {
        digest: token.digest(),
        issued_at: now,
        expires_at,
        attempt: attempt.unwrap_or_default(),
        restriction: asked.restriction.clone(),
    };
    record.add_access_token(kept, now);
    Ok(Issued { token, expires_at })
}

/// What one snapshot says of a token that was just made, after the last await.
pub enum Verdict {
    Good,
    /// The client was changed, or the grant restricted: what the token allows has to be found out anew.
    Changed,
    Frozen,
    Dead,
}

/// Decides whether a token may be handed out.
pub fn verdict(
    server: &AuthorizationServer,
    id: &GrantId,
    record: &GrantRecord,
    client: &Arc<Client>,
    asked: &Asked,
) -> Result<Verdict, OAuthError> {
    let verdict = server.feed.with_current(|known| {
        let found = known.view.find_client(client.id.as_str());
        let held = known.restricted.of(id);
        if !lives(known, id, record, server.feed.clock().now()) {
            Verdict::Dead
        } else if held.is_some_and(Restrictions::is_frozen) {
            Verdict::Frozen
        } else if found.is_some_and(|found| Arc::ptr_eq(found, client)) && held == asked.held.as_ref() {
            Verdict::Good
        } else {
            Verdict::Changed
        }
    })?;
    Ok(verdict)
}
