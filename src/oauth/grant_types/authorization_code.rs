//! The authorization code grant (RFC 6749 §4.1.3, RFC 7636 §4.5): a code for the first tokens.

use std::sync::Arc;

use super::issuing::{self, INVALID, Issued, Verdict, add_access_token, asked, frozen, genuine, lives};
use crate::changes::{Actor, Author, Restrictions};
use crate::directory::{Client, GrantType};
use crate::domain::clock::Timestamp;
use crate::domain::identifier::GrantId;
use crate::domain::token::{PlainToken, Successors, TokenDigest, TokenKind};
use crate::grants::index::{self, Listing};
use crate::grants::{CodeState, GrantRecord, RefreshChain};
use crate::oauth::AuthorizationServer;
use crate::oauth::error::OAuthError;
use crate::oauth::token::{IssuedToken, Redemption, TokenRequest};

/// How often a redemption begins anew because the grant or the client changed meanwhile.
const ATTEMPTS: usize = 4;

/// The rotation number of the first refresh token; the code's own is 0.
const FIRST: u32 = 1;

pub(in crate::oauth) async fn redeem(
    server: &AuthorizationServer,
    request: &TokenRequest,
    redemption: &Redemption,
) -> Result<IssuedToken, OAuthError> {
    for _ in 0..ATTEMPTS {
        let known = server.feed.current()?;
        let client = issuing::client(server, request, &known)?;
        let (code, key) = genuine(server, TokenKind::AuthorizationCode, redemption.code.as_ref())?;
        let grant_id = code.grant_id();
        let stored = server.grants.load(grant_id).await?.ok_or(INVALID)?;
        let mut record = stored.decode()?;
        let now = server.feed.clock().now();
        let fits = check(&record, redemption, code.digest(), &client, now)?;
        if !lives(&known, &grant_id, &record, now) {
            return Err(INVALID);
        }
        if fits == Fits::Replay {
            let author = Actor::client(&client.id).at(request.address);
            return Err(burn(server, author, grant_id, &record).await);
        }
        if known.restricted.of(&grant_id).is_some_and(Restrictions::is_frozen) {
            return Err(frozen());
        }
        let asked = asked(request, &grant_id, &record, &client, &known)?;
        let Some(salt) = record.user.as_ref().map(|user| user.salt) else { return Err(INVALID) };
        let successors = Successors::new(code, key, &salt);
        let refresh_token = consume(server, &mut record, &client, &successors, now);
        let issued: Issued = add_access_token(server, &mut record, &client, &successors, &asked, now)?;
        if let Some(subject) = record.subject() {
            // Before it is there: so far it was listed for as long as its code.
            let list = Listing::Grants.of(subject);
            index::list(server.grants.as_ref(), list, grant_id, record.expires_at, now).await?;
        }
        let until = record.needed_until();
        if !server.grants.compare_and_swap(grant_id, &stored, &record.encode(), until).await? {
            continue;
        }
        return match issuing::verdict(server, &grant_id, &record, &client, &asked)? {
            // A client that changed meanwhile is told what held when it asked: introspection goes by
            // what holds then, and the code cannot be redeemed again.
            Verdict::Good | Verdict::Changed => Ok(issued.answer(asked, refresh_token, now)),
            // For the same reason a grant that was frozen just now is not worth waiting for.
            Verdict::Frozen | Verdict::Dead => Err(INVALID),
        };
    }
    Err(OAuthError::unavailable("the grant is being changed; try again", "the grant kept changing"))
}

/// What a code is to its grant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fits {
    Pending,
    /// It was redeemed before, and everything else about this request is right.
    Replay,
}

/// RFC 6749 §4.1.3: the server must "ensure that the authorization code was issued to the
/// authenticated … client", and verify the code and the redirect URI.
fn check(
    record: &GrantRecord,
    redemption: &Redemption,
    code: TokenDigest,
    client: &Client,
    now: Timestamp,
) -> Result<Fits, OAuthError> {
    let kept = record.user.as_ref().and_then(|user| user.code.as_ref()).ok_or(INVALID)?;
    let verifier = redemption.verifier.as_ref().ok_or(INVALID)?;
    let proven = kept.digest == code.bound_to(&verifier.challenge());
    if record.client != client.id || !proven || now >= kept.expires_at {
        return Err(INVALID);
    }
    match &kept.state {
        CodeState::Consumed => Ok(Fits::Replay),
        // OAuth 2.1 §10.2: it need not be sent, for the code is bound to its challenge; "if it is",
        // it must be the same.
        CodeState::Pending { redirect_uri } => {
            let sent = redemption.redirect_uri.as_ref().map(|sent| TokenDigest::of(sent.as_bytes()));
            if sent.is_none_or(|sent| sent == *redirect_uri) { Ok(Fits::Pending) } else { Err(INVALID) }
        }
    }
}

/// Marks the code as consumed; the first refresh token, if the client may have one.
fn consume(
    server: &AuthorizationServer,
    record: &mut GrantRecord,
    client: &Arc<Client>,
    successors: &Successors<'_>,
    now: Timestamp,
) -> Option<PlainToken> {
    let user = record.user.as_mut()?;
    if let Some(code) = &mut user.code {
        code.state = CodeState::Consumed;
    }
    if !client.grant_types.contains(&GrantType::RefreshToken) {
        return None;
    }
    let refresh_token = successors.refresh_token(FIRST);
    user.refresh = Some(RefreshChain {
        current: refresh_token.digest(),
        previous: None,
        number: FIRST,
        rotated_at: now,
        idle_lifetime: server.settings.refresh_token_idle_ttl,
    });
    Some(refresh_token)
}

/// RFC 6749 §4.1.2: "If an authorization code is used more than once, the authorization server MUST
/// deny the request and SHOULD revoke … all tokens previously issued based on that authorization
/// code." Only whoever proves to be the client and has the verifier gets that far (OAuth 2.1 §7.5.2).
async fn burn(
    server: &AuthorizationServer,
    author: Author,
    grant: GrantId,
    record: &GrantRecord,
) -> OAuthError {
    log::warn!("grant {grant}: its authorization code was replayed by {}; it is revoked", author.actor);
    server.burn(grant, record.expires_at, author, "code_replay").await.err().unwrap_or(INVALID)
}
