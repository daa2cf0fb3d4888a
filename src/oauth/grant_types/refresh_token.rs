//! The refresh token grant (RFC 6749 §6): a chain with one branch.
//!
//! Each refresh token leads to exactly one next one, so an honest client that lost a response, or
//! whose tabs refresh together, is given the same pair again. What cannot be explained so is a
//! replay, and the grant dies of it (RFC 9700 §4.14.2).

use std::cmp::Ordering;
use std::time::Duration;

use super::issuing::{self, INVALID, Verdict, add_access_token, asked, frozen, genuine, given_before, lives};
use crate::changes::{Actor, Author, Change, Entry, Restrictions};
use crate::domain::clock::Timestamp;
use crate::domain::identifier::GrantId;
use crate::domain::token::{PlainToken, Successors, TokenDigest, TokenKind, TokenString};
use crate::grants::{CodeState, GrantRecord, RefreshChain};
use crate::oauth::AuthorizationServer;
use crate::oauth::error::{OAuthError, TRY_AGAIN};
use crate::oauth::token::{IssuedToken, TokenRequest};

/// How often a refresh begins anew because the grant or the client changed meanwhile. Tabs that ask
/// for different scopes at once all write.
const ATTEMPTS: usize = 32;

/// How long the feed may take to note what the store lost: a token request is answered within 2 s.
const RECORDING: Duration = Duration::from_millis(1_500);

pub(in crate::oauth) async fn refresh(
    server: &AuthorizationServer,
    request: &TokenRequest,
    presented: Option<&TokenString>,
) -> Result<IssuedToken, OAuthError> {
    // What this request itself has replaced it does not replay.
    let mut has_rotated = false;
    for turn in 0..ATTEMPTS {
        let known = server.feed.current()?;
        let client = issuing::client(server, request, &known)?;
        let (presented, key) = genuine(server, TokenKind::Refresh, presented)?;
        let grant_id = presented.grant_id();
        let stored = server.grants.load(grant_id).await?.ok_or(INVALID)?;
        let mut record = stored.decode()?;
        let now = server.feed.clock().now();
        // Another client's attempt touches nothing: else whoever saw a grant id could kill it.
        if record.client != client.id || !lives(&known, &grant_id, &record, now) {
            return Err(INVALID);
        }
        let user = record.user.as_ref().ok_or(INVALID)?;
        if user.refresh.as_ref().is_some_and(|chain| now >= chain.idle_end()) {
            return Err(INVALID);
        }
        let number = presented.rotation_number(key);
        let held = known.restricted.of(&grant_id);
        let chain = user.refresh.as_ref();
        let may_retry = chain.is_some_and(|chain| may_retry(chain, held, client.retry_window(), now));
        let place = place(chain, number, presented.digest(), may_retry || has_rotated);
        if place == Place::Replayed {
            if turn > 0 {
                return Err(overtaken());
            }
            log::warn!(
                "grant {grant_id}: an old refresh token was presented by {}; it is revoked",
                client.id
            );
            let author = Actor::client(&client.id).at(request.address);
            let burnt = server.burn(grant_id, record.expires_at, author, "refresh_reuse").await;
            return Err(burnt.err().unwrap_or(INVALID));
        }
        if held.is_some_and(Restrictions::is_frozen) {
            return Err(frozen());
        }
        let asked = asked(request, &grant_id, &record, &client, &known)?;
        let salt = user.salt;
        let successors = Successors::new(presented, key, &salt);
        let next = successors.refresh_token(number.checked_add(1).ok_or(INVALID)?);
        let before = given_before(&record, &successors, &asked, now).filter(|_| place == Place::Previous);
        let issued = if let Some(issued) = before {
            issued
        } else {
            if place == Place::Ahead {
                let author = Actor::client(&client.id).at(request.address);
                record_loss(server, author, grant_id, number).await?;
            }
            if place != Place::Previous {
                rotate(&mut record, presented, &next, number, server.settings.refresh_token_idle_ttl, now);
            }
            let issued = add_access_token(server, &mut record, &client, &successors, &asked, now)?;
            let until = record.needed_until();
            if !server.grants.compare_and_swap(grant_id, &stored, &record.encode(), until).await? {
                continue;
            }
            has_rotated = true;
            issued
        };
        match issuing::verdict(server, &grant_id, &record, &client, &asked)? {
            Verdict::Good => return Ok(issued.answer(asked, Some(next), now)),
            // The same pair is given again, by what holds now.
            Verdict::Changed => {}
            Verdict::Frozen => return Err(frozen()),
            Verdict::Dead => return Err(INVALID),
        }
    }
    Err(OAuthError::unavailable("the grant is being changed; try again", "the grant kept changing"))
}

/// At the first look the token was good, else there is no second: others of the same client went on meanwhile, further
/// than a retry may be behind. That is no theft, but there is nothing left to give. Who comes with this token again
/// is judged by what holds then.
fn overtaken() -> OAuthError {
    OAuthError::unavailable(
        "the refresh token was replaced meanwhile; go on with the newest one",
        "the chain went on by two or more while the token was used",
    )
}

/// Tells the feed that the store lost a rotation, before anything rests on it. However many tabs come
/// with the same token, it is told once.
async fn record_loss(
    server: &AuthorizationServer,
    author: Author,
    grant: GrantId,
    number: u32,
) -> Result<(), OAuthError> {
    log::warn!("grant {grant}: the store lost a rotation; refresh token {number} is taken up");
    let change = Change::RotationLost { grant, number };
    let recording = server.feed.record(Entry::new(change, author));
    let recorded = tokio::time::timeout(RECORDING, recording).await;
    match recorded {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(OAuthError::unavailable(TRY_AGAIN, error)),
        Err(_) => Err(OAuthError::unavailable(TRY_AGAIN, "the database did not confirm in time")),
    }
}

/// Where a genuine refresh token stands in its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Current,
    /// The one before, within the retry window.
    Previous,
    /// Further than the record: the store lost a rotation, or the redemption of the code.
    Ahead,
    /// Any other: somebody uses what an honest client has long replaced.
    Replayed,
}

fn place(chain: Option<&RefreshChain>, number: u32, digest: TokenDigest, may_retry: bool) -> Place {
    let Some(chain) = chain else { return Place::Ahead };
    match number.cmp(&chain.number) {
        Ordering::Greater => Place::Ahead,
        Ordering::Equal if chain.current == digest => Place::Current,
        Ordering::Less if chain.previous == Some(digest) && may_retry => Place::Previous,
        Ordering::Equal | Ordering::Less => Place::Replayed,
    }
}

/// Whether the retry window is open: who presents the token before the current one is honest. While a grant was
/// frozen nobody could come, so that time does not count.
fn may_retry(chain: &RefreshChain, held: Option<&Restrictions>, window: Duration, now: Timestamp) -> bool {
    let waited = held.map_or(now - chain.rotated_at, |held| held.unfrozen(chain.rotated_at, now));
    // Times are whole seconds: an honest client is not refused a part of one.
    !window.is_zero() && waited <= window
}

/// Makes `next` the current refresh token and `presented` the one before.
fn rotate(
    record: &mut GrantRecord,
    presented: &TokenString,
    next: &PlainToken,
    number: u32,
    idle_lifetime: Duration,
    now: Timestamp,
) {
    let Some(user) = record.user.as_mut() else { return };
    let idle_lifetime = user.refresh.as_ref().map_or(idle_lifetime, |chain| chain.idle_lifetime);
    user.refresh = Some(RefreshChain {
        current: next.digest(),
        previous: Some(presented.digest()),
        number: number.saturating_add(1),
        rotated_at: now,
        idle_lifetime,
    });
    // Whoever has a refresh token has redeemed the code, whatever the store remembers of that.
    if let Some(code) = &mut user.code {
        code.state = CodeState::Consumed;
    }
    if user.code.as_ref().is_some_and(|code| now >= code.expires_at) {
        user.code = None;
    }
}
