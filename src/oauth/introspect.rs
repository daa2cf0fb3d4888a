//! The introspection endpoint (RFC 7662): is this token good, here, now?

use std::sync::Arc;

use serde::Serialize;

use super::AuthorizationServer;
use super::client_authentication::PresentedCredentials;
use super::error::{OAuthError, TRY_AGAIN};
use crate::directory::{ResourceServer, Snapshot, UserFacts};
use crate::domain::clock::Timestamp;
use crate::domain::identifier::{ClientId, ResourceServerId, RoleName, UserId};
use crate::domain::scope::Scope;
use crate::domain::token::{TokenKind, TokenString};
use crate::grants::{AccessToken, GrantRecord};

/// The answer for every token that cannot be used here, whatever the reason.
pub const INACTIVE: &[u8] = br#"{"active":false}"#;

/// How often a user is read anew who was changed or forgotten meanwhile.
const ATTEMPTS: usize = 4;

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
    sub: Subject,
    aud: Audience,
    iss: Arc<str>,
    jti: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    /// In alphabetical order; for resource servers that ask for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<Vec<RoleName>>,
}

/// For whom a token acts: a user, or the client itself. No user's id can equal a client's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Subject {
    Client(ClientId),
    User(UserId),
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
        let checked = self
            .feed
            .with_current_at(|known, now| credentials.resource_server(&known.view, now).map(|_| now));
        let began = checked??;
        let Some(token) = self.recognise(token) else { return Ok(Introspection::Inactive) };
        if token.kind() != TokenKind::Access {
            return Ok(Introspection::Inactive);
        }
        let Some(record) = self.grants.load(token.grant_id()).await? else {
            return Ok(Introspection::Inactive);
        };
        let record = record.decode()?;
        for _ in 0..ATTEMPTS {
            if let Some(answer) = self.judge_now(credentials, &token, &record)? {
                if answer.is_active() {
                    self.sightings.note(token.grant_id(), &credentials.id, began, record.expires_at);
                }
                return Ok(answer);
            }
            if let Some(subject) = record.subject() {
                self.users.load(subject).await?;
            }
        }
        Err(OAuthError::unavailable(TRY_AGAIN, "the user keeps changing"))
    }

    /// Judges a token by one snapshot and the clock as it was read after it, the caller too, and by nothing else: to be
    /// called after the last await. `None` when its user has to be read first.
    fn judge_now(
        &self,
        credentials: &PresentedCredentials,
        token: &TokenString,
        record: &GrantRecord,
    ) -> Result<Option<Introspection>, OAuthError> {
        self.feed.with_current_at(|known, now| {
            let caller = credentials.resource_server(&known.view, now)?;
            let Some(access_token) = usable(record, token, now, caller) else {
                return Ok(Some(Introspection::Inactive));
            };
            let answer = judge(&self.settings.issuer, known, now, caller, token, record, access_token);
            let Some(answer) = answer else { return Ok(None) };
            if record.born > known.position.number && !answer.allows(record.scope_of(access_token), caller) {
                // It rests on changes that this replica has yet to read: that a client was made, enabled or widened.
                return Err(OAuthError::unavailable(
                    TRY_AGAIN,
                    "the grant is newer than what this replica knows",
                ));
            }
            Ok(Some(answer))
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

/// Whether a token is good at `caller`, and for what; `None` when that cannot be said before its
/// user is read.
fn judge(
    issuer: &Arc<str>,
    known: &Snapshot,
    now: Timestamp,
    caller: &ResourceServer,
    token: &TokenString,
    record: &GrantRecord,
    access_token: &AccessToken,
) -> Option<Introspection> {
    let held = known.restricted.of(&token.grant_id());
    let live =
        live_scope(known, token, record, access_token).filter(|_| held.is_none_or(|held| !held.bars(now)));
    let Some(scope) = live else { return Some(Introspection::Inactive) };
    let mut scope = scope.intersection(&caller.scope);
    if let Some(held) = held {
        scope = held.narrow(&scope);
    }
    let user = match record.subject() {
        Some(id) => match known.view.find_user(id)? {
            Some(user) if user.enabled => Some(user),
            _ => return Some(Introspection::Inactive),
        },
        None => None,
    };
    if let Some(user) = &user {
        scope = backed(known, caller, user, scope);
    }
    if scope.is_empty() {
        return Some(Introspection::Inactive);
    }
    let roles = user.as_ref().filter(|_| caller.include_roles);
    // Another replica's clock may be a little ahead: what was issued was not issued in the future.
    let issued_at = access_token.issued_at.min(now).unix_seconds();
    Some(Introspection::Active(Box::new(ActiveToken {
        active: true,
        scope,
        client_id: record.client.clone(),
        token_type: "Bearer",
        exp: held.map_or(access_token.expires_at, |held| held.end(access_token.expires_at)).unix_seconds(),
        iat: issued_at,
        nbf: issued_at,
        sub: match record.subject() {
            Some(user) => Subject::User(user.clone()),
            None => Subject::Client(record.client.clone()),
        },
        aud: audience(known, record.audience_of(access_token)),
        iss: Arc::clone(issuer),
        jti: access_token.digest.jti(),
        username: user.as_ref().map(|user| user.name.to_string()),
        roles: roles.map(|user| user.entitlements.roles.iter().cloned().collect()),
    })))
}

/// What is left of a user's scope: a word that needs the permission of its name stays only while the
/// user has that.
fn backed(known: &Snapshot, caller: &ResourceServer, user: &UserFacts, scope: Scope) -> Scope {
    let needing = &caller.scopes_needing_permission;
    if needing.is_empty() {
        return scope;
    }
    scope.words().filter(|word| !needing.contains(word) || known.view.permits(user, word)).collect()
}

/// The scope that a token has today, if all it rests on is alive.
fn live_scope(
    known: &Snapshot,
    token: &TokenString,
    record: &GrantRecord,
    access_token: &AccessToken,
) -> Option<Scope> {
    if !known.is_live(&token.grant_id(), &record.bonds(), record.born) {
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
