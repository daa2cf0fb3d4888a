//! The protocol: what the RFCs ask of an authorization server, without HTTP, SQL or Redis.
//!
//! One file an endpoint, one file a grant type. Expected outcomes are values; an [`OAuthError`]
//! is what the caller is told, and the one renderer in `http` is the only place that writes it.

pub mod authorize;
pub mod client_authentication;
mod cross_origin;
pub mod error;
pub mod grant_types;
pub mod guesses;
pub mod introspect;
pub mod metadata;
pub mod revoke;
pub mod sightings;
mod target;
pub mod token;

use std::sync::Arc;
use std::time::Duration;

pub use self::client_authentication::PresentedCredentials;
pub use self::error::{OAuthError, Unavailable};
pub use self::introspect::Introspection;
pub use self::metadata::Metadata;
use self::sightings::Sightings;
pub use self::token::{IssuedToken, PresentedGrant, Redemption, TokenRequest};
pub use crate::directory::GrantType;
use crate::directory::{ChangeFeed, Users};
use crate::domain::entropy::Entropy;
use crate::domain::token_key::TokenKeys;
use crate::grants::{GrantRecord, GrantStore};

/// What the protocol is told by the operator.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The issuer identifier (RFC 8414 §2): `iss` everywhere, and what endpoint URLs begin with.
    pub issuer: Arc<str>,
    /// The lifetime of an access token whose client has none of its own.
    pub access_token_ttl: Duration,
    /// The lifetime of a grant with refresh tokens.
    pub refresh_token_ttl: Duration,
    /// How long a refresh token is good unless it is used.
    pub refresh_token_idle_ttl: Duration,
    /// How long a revocation waits until every replica has confirmed it.
    pub revoke_wait: Duration,
}

/// An authorization server, as one worker has it.
#[derive(Clone)]
pub struct AuthorizationServer {
    feed: ChangeFeed,
    grants: Arc<dyn GrantStore>,
    keys: Arc<TokenKeys>,
    entropy: Arc<dyn Entropy>,
    users: Users,
    sightings: Arc<Sightings>,
    settings: Arc<Settings>,
}

impl AuthorizationServer {
    /// `grants` and `sightings` are the worker's own; the rest is shared by all workers.
    pub fn new(
        feed: ChangeFeed,
        grants: Arc<dyn GrantStore>,
        keys: Arc<TokenKeys>,
        entropy: Arc<dyn Entropy>,
        users: Users,
        sightings: Arc<Sightings>,
        settings: Arc<Settings>,
    ) -> Self {
        Self { feed, grants, keys, entropy, users, sightings, settings }
    }

    /// A new grant as it is kept: with all that is known of it, once every replica reads that.
    fn as_all_read(&self, record: GrantRecord) -> GrantRecord {
        if self.feed.all_read_new_records() { record } else { record.for_older_replicas() }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}
