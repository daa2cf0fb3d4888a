//! What a user is shown of a request before they decide.

use std::time::Duration;

use super::AuthorizationRequest;
use crate::directory::GrantType;
use crate::domain::scope::Scope;
use crate::oauth::{AuthorizationServer, OAuthError};

/// What is asked for at one resource server.
#[derive(Clone, Debug)]
pub struct AskedAt {
    pub name: String,
    pub identifier: String,
    pub scopes: Vec<ScopeInWords>,
}

/// A scope, and what the resource server says that it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeInWords {
    pub word: String,
    pub meaning: Option<String>,
}

impl AuthorizationServer {
    /// What is asked for, resource server by resource server, and what none of those owns.
    ///
    /// # Errors
    /// Unavailable when the lease ran out.
    pub fn asked_at(&self, request: &AuthorizationRequest) -> Result<(Vec<AskedAt>, Scope), OAuthError> {
        let known = self.feed.current()?;
        let servers = request.audience.iter().filter_map(|id| known.view.find_resource_server(id.as_str()));
        let (mut asked, mut owned) = (Vec::new(), Scope::default());
        for server in servers {
            let scope = server.scope.intersection(&request.scope);
            let scopes = scope.words().map(|word| ScopeInWords {
                word: word.to_owned(),
                meaning: server.scope_descriptions.of(word).map(str::to_owned),
            });
            let (name, identifier) = (server.name.clone(), server.identifier.to_string());
            asked.push(AskedAt { name, identifier, scopes: scopes.collect() });
            owned = owned.union(&scope);
        }
        asked.sort_by(|one, other| one.name.cmp(&other.name));
        let unowned = request.scope.words().filter(|word| !owned.contains(word)).collect();
        Ok((asked, unowned))
    }

    /// What each word of a scope means, as somebody says who owns it.
    ///
    /// # Errors
    /// Unavailable when the lease ran out.
    pub fn in_words(&self, scope: &Scope) -> Result<Vec<ScopeInWords>, OAuthError> {
        let known = self.feed.current()?;
        let meaning = |word: &str| {
            let owners = known.view.owners(&[word].into_iter().collect());
            let mut servers = owners.iter().filter_map(|id| known.view.find_resource_server(id.as_str()));
            servers.find_map(|server| server.scope_descriptions.of(word).map(str::to_owned))
        };
        let in_words = |word: &str| ScopeInWords { word: word.to_owned(), meaning: meaning(word) };
        Ok(scope.words().map(in_words).collect())
    }

    /// How long the client may go on by itself once it was allowed.
    pub fn lasts(&self, request: &AuthorizationRequest) -> Duration {
        match request.client.grant_types.contains(&GrantType::RefreshToken) {
            true => self.settings.refresh_token_ttl,
            false => request.client.access_token_ttl.unwrap_or(self.settings.access_token_ttl),
        }
    }
}
