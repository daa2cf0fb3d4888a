//! The revocation endpoint (RFC 7009): a token dies, everywhere, before the answer.

use std::net::IpAddr;
use std::time::Duration;

use super::AuthorizationServer;
use super::client_authentication::{Caller, PresentedCredentials};
use super::error::OAuthError;
use crate::changes::audit::Attempt;
use crate::changes::{Actor, Author, Change, Entry, Recorded};
use crate::domain::clock::{BootTime, Timestamp};
use crate::domain::identifier::GrantId;
use crate::domain::token::{TokenKind, TokenString};
use crate::grants::GrantRecord;

/// How long a token request waits for a revocation at most.
const BURN_WAIT: Duration = Duration::from_millis(1_800);

/// What became of a revocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// RFC 7009 §2.2: "invalid tokens do not cause an error response since the client cannot
    /// handle such an error in a reasonable way". There was nothing that could live.
    NothingToRevoke,
    /// Dead on every replica; it took so long from the commit.
    Acknowledged { took: Duration },
}

impl AuthorizationServer {
    /// Revokes the whole grant of a token, for the client that owns it or for a resource server
    /// that it was meant for. `address` is the caller's.
    ///
    /// # Errors
    /// [`OAuthError::InvalidClient`] when the caller is nobody; [`OAuthError::InvalidGrant`], with
    /// nothing changed, when the token is somebody else's; unavailable when it is not known
    /// whether the token is dead everywhere: asking again is safe.
    pub async fn revoke(
        &self,
        credentials: &PresentedCredentials,
        token: &[u8],
        address: Option<IpAddr>,
    ) -> Result<Revocation, OAuthError> {
        let patience = self.settings.revoke_wait;
        within(patience, self.revoke_within(patience, credentials, token, address)).await
    }

    /// Revokes a grant of which somebody replayed a code or a refresh token, and waits until that is
    /// known everywhere: a token request is answered within 2 s.
    ///
    /// # Errors
    /// Unavailable when it is not known whether the grant is dead everywhere.
    pub(super) async fn burn(
        &self,
        grant: GrantId,
        ends_at: Timestamp,
        author: Author,
        reason: &str,
    ) -> Result<(), OAuthError> {
        let patience = self.settings.revoke_wait.min(BURN_WAIT);
        within(patience, async {
            let began = self.feed.clock().boot();
            let change = Change::GrantRevoked { grant, ends_at: Some(ends_at) };
            let entry = Entry::new(change, author).because(Some(reason.to_owned()));
            let recorded = self.feed.record(entry).await?;
            self.confirm(recorded, patience, began).await.map(drop)
        })
        .await
    }

    async fn revoke_within(
        &self,
        patience: Duration,
        credentials: &PresentedCredentials,
        token: &[u8],
        address: Option<IpAddr>,
    ) -> Result<Revocation, OAuthError> {
        let began = self.feed.clock().boot();
        let known = self.feed.current()?;
        let caller = credentials.caller(&known.view, self.feed.clock().now())?;
        let Some(token) = self.recognise(token) else { return Ok(Revocation::NothingToRevoke) };
        let author = author(&caller, address);
        if let Err(refusal) = check_kind(&caller, token.kind()) {
            return Err(self.note_refusal(author, &token, refusal).await);
        }
        let recorded = match known.revoked.number(&token.grant_id()) {
            // Recorded already: this request waits for the same acknowledgement.
            Some(number) => self.feed.known(number),
            None => self.record_revocation(&caller, author, &token).await?,
        };
        self.confirm(recorded, patience, began).await.map(|took| Revocation::Acknowledged { took })
    }

    /// Notes that somebody was refused; returns what they are told. Of public clients too, which anybody may say that they
    /// are: whoever is refused for more than one token has to hold as many.
    async fn note_refusal(&self, author: Author, token: &TokenString, refusal: OAuthError) -> OAuthError {
        let (target, why) = (token.grant_id().to_string(), refusal.description().to_owned());
        self.feed.note(Attempt { author, action: "revoke-grant", target, why }).await;
        refusal
    }

    /// Waits until every replica has confirmed, at most until `patience` after `began`; returns how
    /// long it took from the commit.
    async fn confirm(
        &self,
        recorded: Recorded,
        patience: Duration,
        began: BootTime,
    ) -> Result<Duration, OAuthError> {
        // A little less than is left: who has not confirmed is worth telling.
        let left = patience.saturating_sub(self.feed.clock().boot() - began);
        let acknowledgement = self.feed.acknowledge(recorded, left.mul_f64(0.95)).await?;
        if acknowledgement.is_complete() {
            return Ok(acknowledgement.took);
        }
        let pending: Vec<_> = acknowledgement.pending().collect();
        Err(OAuthError::unavailable(
            "the revocation is recorded but not yet confirmed everywhere; try again, which is safe",
            format!("no confirmation of change {} from {}", recorded.number, pending.join(", ")),
        ))
    }

    /// Records the revocation.
    async fn record_revocation(
        &self,
        caller: &Caller,
        author: Author,
        token: &TokenString,
    ) -> Result<Recorded, OAuthError> {
        let grant = token.grant_id();
        let ends_at = match self.grants.load(grant).await? {
            Some(record) => {
                let record = record.decode()?;
                if let Err(refusal) = check_owner(caller, token, &record) {
                    return Err(self.note_refusal(author, token, refusal).await);
                }
                // Even if it has ended by this replica's clock: others go by theirs.
                Some(record.expires_at)
            }
            // The store may have lost it and get it back; a genuine token is revoked regardless.
            None => None,
        };
        let change = Change::GrantRevoked { grant, ends_at };
        Ok(self.feed.record(Entry::new(change, author)).await?)
    }
}

fn author(caller: &Caller, address: Option<IpAddr>) -> Author {
    let actor = match caller {
        Caller::Client(client) => Actor::client(&client.id),
        Caller::ResourceServer(server) => Actor::resource_server(&server.id),
    };
    actor.at(address)
}

/// What `revoking` comes to within `patience`.
async fn within<T>(
    patience: Duration,
    revoking: impl Future<Output = Result<T, OAuthError>>,
) -> Result<T, OAuthError> {
    tokio::time::timeout(patience, revoking).await.unwrap_or_else(|_| {
        Err(OAuthError::unavailable(
            "the revocation may have been recorded; try again, which is safe",
            "the stores did not confirm in time",
        ))
    })
}

fn check_kind(caller: &Caller, kind: TokenKind) -> Result<(), OAuthError> {
    match (caller, kind) {
        (Caller::ResourceServer(server), _) if !server.may_revoke => Err(OAuthError::UnauthorizedClient(
            "this resource server is registered without the right to revoke",
        )),
        (_, TokenKind::Access) | (Caller::Client(_), TokenKind::Refresh) => Ok(()),
        _ => Err(OAuthError::UnsupportedTokenType),
    }
}

/// RFC 7009 §2.1: "the authorization server … verifies whether the token was issued to the client
/// making the revocation request. If this validation fails, the request is refused and the client
/// is informed of the error".
fn check_owner(caller: &Caller, token: &TokenString, record: &GrantRecord) -> Result<(), OAuthError> {
    let owns = match caller {
        Caller::Client(client) => record.client == client.id,
        Caller::ResourceServer(server) => {
            let access_token = record.access_token(&token.digest());
            let audience = access_token.map_or(record.audience.as_slice(), |own| record.audience_of(own));
            audience.contains(&server.id)
        }
    };
    if owns {
        return Ok(());
    }
    Err(OAuthError::InvalidGrant("the token was issued to another client; it is not revoked"))
}
