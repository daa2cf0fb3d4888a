//! Which resource servers a token is for, and what is left of a scope there (RFC 8707).

use std::collections::BTreeSet;

use super::error::OAuthError;
use crate::directory::DirectoryView;
use crate::domain::identifier::{ResourceIdentifier, ResourceServerId};
use crate::domain::scope::Scope;

const FOREIGN: OAuthError = OAuthError::InvalidTarget("the client has no access to this resource");

/// The audience is who owns the scope, or what `resource` narrows that to; the scope is then
/// narrowed to what those own (RFC 8707 §2.2). Of a grant there is already, `granted` is its
/// audience, beyond which nothing reaches.
///
/// # Errors
/// [`OAuthError::InvalidTarget`] when a resource is unknown, or the scope allows nothing there.
pub fn target(
    view: &DirectoryView,
    resources: &[ResourceIdentifier],
    scope: Scope,
    granted: Option<&[ResourceServerId]>,
) -> Result<(Scope, BTreeSet<ResourceServerId>), OAuthError> {
    let is_granted = |id: &ResourceServerId| granted.is_none_or(|granted| granted.contains(id));
    if resources.is_empty() {
        let mut audience = view.owners(&scope);
        audience.retain(is_granted);
        return Ok((scope, audience));
    }
    let (mut owned, mut audience) = (Scope::default(), BTreeSet::new());
    for resource in resources {
        let server = view.find_audience(resource).ok_or(FOREIGN)?;
        if !server.scope.intersects(&scope) || !is_granted(&server.id) {
            return Err(FOREIGN);
        }
        if audience.insert(server.id.clone()) {
            owned = owned.union(&server.scope.intersection(&scope));
        }
    }
    Ok((owned, audience))
}

/// What a client asks for: without `scope`, all that it is registered for (RFC 6749 §3.3).
///
/// # Errors
/// [`OAuthError::InvalidScope`] when that is more than it is registered for, or nothing.
pub fn requested_scope(requested: Option<&Scope>, registered: &Scope) -> Result<Scope, OAuthError> {
    let scope = match requested {
        None => registered.clone(),
        Some(scope) if scope.is_subset(registered) => scope.clone(),
        Some(_) => {
            return Err(OAuthError::InvalidScope("the client is not registered for all of this scope"));
        }
    };
    if scope.is_empty() {
        return Err(OAuthError::InvalidScope("the client is not registered for any scope"));
    }
    Ok(scope)
}
