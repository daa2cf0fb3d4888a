//! The introspection endpoint (RFC 7662): is this token good, here, now?

use std::sync::Arc;

use serde::Serialize;

use super::AuthorizationServer;
use super::client_authentication::PresentedCredentials;
use super::error::{OAuthError, TRY_AGAIN};
use crate::changes::Bonds;
use crate::directory::{ResourceServer, Snapshot};
use crate::domain::clock::Timestamp;
use crate::domain::identifier::{ClientId, ResourceServerId};
use crate::domain::scope::Scope;
use crate::domain::token::{TokenKind, TokenString};
use crate::grants::{AccessToken, GrantRecord};

/// The answer for every token that cannot be used here, whatever the reason.
pub const INACTIVE: &[u8] = br#"{"active":false}"#;

/// Room for an active answer of the usual length, in bytes.
const TYPICAL_ANSWER: usize = 512;

/// What a resource server is told about a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Introspection {
    /// RFC 7662 §2.2: "the authorization server SHOULD NOT include any additional information
    /// about an inactive token, including why".
    Inactive,
    Active(Box<ActiveToken>),
}

/// The members of an active answer (RFC 7662 §2.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ActiveToken {
    active: bool,
    /// What the token may do now, at this resource server.
    scope: Scope,
    client_id: ClientId,
    token_type: &'static str,
    exp: i64,
    iat: i64,
    nbf: i64,
    /// The client itself: no user's id can equal it.
    sub: ClientId,
    aud: Audience,
    iss: Arc<str>,
    jti: String,
}

/// "Service-specific string identifier or list of string identifiers".
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Introspection {
    /// # Errors
    /// Never for these types; the serializer's signature says otherwise.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        match self {
            Self::Inactive => Ok(INACTIVE.to_vec()),
            Self::Active(token) => {
                let mut json = Vec::with_capacity(TYPICAL_ANSWER);
                serde_json::to_writer(&mut json, token)?;
                Ok(json)
            }
        }
    }

    pub const fn is_active(&self) -> bool {
        matches!(self, Self::Active(_))
    }

    /// Whether the token may do all that was granted and that the caller owns.
    fn allows(&self, granted: &Scope, caller: &ResourceServer) -> bool {
        matches!(self, Self::Active(token) if token.scope == granted.intersection(&caller.scope))
    }
}

impl AuthorizationServer {
    /// Tells a resource server about a token. `token` is whatever was sent: it may be anything.
    ///
    /// # Errors
    /// [`OAuthError::InvalidClient`] when the caller is no resource server; unavailable when the
    /// grant store cannot be asked, the lease ran out, or another replica issued the token by
    /// changes that have not arrived here.
    pub async fn introspect(
        &self,
        credentials: &PresentedCredentials,
        token: &[u8],
    ) -> Result<Introspection, OAuthError> {
        // RFC 7662 §2.1: "the authorization server MUST … require some form of authorization": who
        // does not prove who they are has nothing looked up.
        let now = self.feed.clock().now();
        self.feed.with_current(|known| credentials.resource_server(&known.view, now).map(drop))??;
        let Some(token) = self.recognise(token) else { return Ok(Introspection::Inactive) };
        if token.kind() != TokenKind::Access {
            return Ok(Introspection::Inactive);
        }
        let Some(record) = self.grants.load(token.grant_id()).await? else {
            return Ok(Introspection::Inactive);
        };
        let record = record.decode()?;
        // After the last await: one snapshot, then the clock; all is judged by these, the caller too.
        self.feed.with_current(|known| {
            let now = self.feed.clock().now();
            let caller = credentials.resource_server(&known.view, now)?;
            let Some(access_token) = usable(&record, &token, now, caller) else {
                return Ok(Introspection::Inactive);
            };
            let answer = judge(&self.settings.issuer, known, now, caller, &token, &record, access_token);
            if record.born > known.position.number && !answer.allows(record.scope_of(access_token), caller) {
                // It rests on changes that this replica has yet to read: that a client was made, enabled or widened.
                return Err(OAuthError::unavailable(
                    TRY_AGAIN,
                    "the grant is newer than what this replica knows",
                ));
            }
            Ok(answer)
        })?
    }

    /// A token that this installation made; junk and forgeries are refused without I/O.
    pub(super) fn recognise(&self, token: &[u8]) -> Option<TokenString> {
        let token = TokenString::parse(token).ok()?;
        token.made_by(&self.keys).is_some().then_some(token)
    }
}

/// The token in its record, if its time is not over and it is meant for `caller`. Whatever is known
/// or not known of changes, without that it is nothing.
fn usable<'r>(
    record: &'r GrantRecord,
    token: &TokenString,
    now: Timestamp,
    caller: &ResourceServer,
) -> Option<&'r AccessToken> {
    let access_token = record.access_token(&token.digest())?;
    let in_time = now < access_token.expires_at && now < record.expires_at;
    (in_time && record.audience_of(access_token).contains(&caller.id)).then_some(access_token)
}

/// Whether a token is good at `caller`, and for what.
fn judge(
    issuer: &Arc<str>,
    known: &Snapshot,
    now: Timestamp,
    caller: &ResourceServer,
    token: &TokenString,
    record: &GrantRecord,
    access_token: &AccessToken,
) -> Introspection {
    let Some(scope) = live_scope(known, token, record, access_token) else { return Introspection::Inactive };
    let scope = scope.intersection(&caller.scope);
    if scope.is_empty() {
        return Introspection::Inactive;
    }
    // Another replica's clock may be a little ahead: what was issued was not issued in the future.
    let issued_at = access_token.issued_at.min(now).unix_seconds();
    Introspection::Active(Box::new(ActiveToken {
        active: true,
        scope,
        client_id: record.client.clone(),
        token_type: "Bearer",
        exp: access_token.expires_at.unix_seconds(),
        iat: issued_at,
        nbf: issued_at,
        sub: record.client.clone(),
        aud: audience(known, record.audience_of(access_token)),
        iss: Arc::clone(issuer),
        jti: access_token.digest.jti(),
    }))
}

/// The scope that a token has today, if all it rests on is alive.
fn live_scope(
    known: &Snapshot,
    token: &TokenString,
    record: &GrantRecord,
    access_token: &AccessToken,
) -> Option<Scope> {
    let bonds = Bonds { client: Some(&record.client), subject: record.subject(), session: record.session() };
    if !known.is_live(&token.grant_id(), &bonds, record.born) {
        return None;
    }
    let client = known.view.find_client(record.client.as_str())?;
    client.enabled.then(|| record.scope_of(access_token).intersection(&client.scope))
}

fn audience(known: &Snapshot, ids: &[ResourceServerId]) -> Audience {
    let identifiers = ids.iter().filter_map(|id| {
        known.view.find_resource_server(id.as_str()).map(|server| server.identifier.to_string())
    });
    let mut identifiers: Vec<_> = identifiers.collect();
    match (identifiers.len(), identifiers.pop()) {
        (1, Some(only)) => Audience::One(only),
        (_, last) => {
            identifiers.extend(last);
            Audience::Many(identifiers)
        }
    }
}
