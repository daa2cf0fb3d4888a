//! Whether a token may be alive.

use std::collections::HashMap;
use std::rc::Rc;

use super::clients::{ClientPast, Clients};
use super::disturbances::{Disturbances, Span};
use super::edits::{Edits, edits};
use super::grants::{Grants, Refreshed, Replay};
use super::kills::Kills;
use super::redis::{Fate, Fates, RedisPast, Rewrite};
use crate::history::{Answer, Asked, By, ClientNumber, History, Moment, Scope, TokenNumber};

/// How far from the exact moment an expiry may be seen: times on the wire are whole seconds.
const BLUR: Moment = 2_000_000;

/// All that is known of one token.
#[derive(Clone)]
pub struct TokenPast {
    pub client: ClientNumber,
    pub minted: Span,
    pub scope: Scope,
    expires_in: Moment,
    pub fates: Fates,
    /// What its grant was restricted to.
    pub edits: Rc<Edits>,
    /// When it was, or may have been, made again.
    rewrites: Vec<Rewrite>,
    /// When somebody asked for its end, who may.
    attempts: Vec<Moment>,
    /// When its end was first acknowledged.
    gone: Option<Moment>,
    /// When revocations began that ended it for somebody whom it does not belong to.
    stolen: Vec<Moment>,
}

pub type Tokens = HashMap<TokenNumber, TokenPast>;

/// What ends tokens in sets.
pub struct Ends<'h> {
    pub clients: &'h Clients,
    pub kills: &'h Kills,
    pub grants: &'h Grants<'h>,
}

/// The past of every token.
pub fn tokens(
    history: &History,
    ends: &Ends<'_>,
    redis: &RedisPast,
    disturbances: &Disturbances<'_>,
) -> Tokens {
    let mut tokens = first_tokens(history, ends, redis);
    let refreshed = ends.grants.refreshed(disturbances);
    // All tokens of a grant end as one.
    let first = |token| refreshed.get(&token).map_or(token, |refreshed| refreshed.grant);
    for (token, edits) in edits(history, disturbances, first) {
        if let Some(past) = tokens.get_mut(&token) {
            past.edits = edits;
        }
    }
    note_ends(history, ends.grants, &mut tokens, first);
    for (token, Refreshed { grant, minted, rewrites }) in refreshed {
        let Some(grant) = tokens.get(&grant) else { continue };
        let fates = redis.fates(minted, &rewrites);
        // Its time is that of the first one: they live for longer than any run.
        let past = TokenPast { minted, fates, rewrites, ..grant.clone() };
        tokens.insert(token, past);
    }
    tokens
}

/// The first token of every grant, which is in its record from beginning to end.
fn first_tokens(history: &History, ends: &Ends<'_>, redis: &RedisPast) -> Tokens {
    let mut tokens = Tokens::new();
    for event in &history.events {
        let Answer::Minted { token, scope, expires_in, .. } = &event.answer else { continue };
        let (Asked::Mint { client, .. } | Asked::Authorize { client, .. }) = event.asked else { continue };
        let minted = Span::of(event);
        let mut past = TokenPast {
            client,
            minted,
            scope: *scope,
            expires_in: Moment::from(*expires_in) * 1_000_000,
            fates: redis.fates(minted, &[]),
            edits: Edits::none(),
            rewrites: Vec::new(),
            attempts: Vec::new(),
            gone: None,
            stolen: Vec::new(),
        };
        let of_client = ends.clients.get(&client).map(|client| client.kills.as_slice()).unwrap_or_default();
        let kills = of_client.iter().chain(ends.kills.of_minted(&event.asked));
        for kill in kills.filter(|kill| kill.may_reach(minted)) {
            past.note(kill.begin, kill.surely_reached(minted));
        }
        tokens.insert(*token, past);
    }
    tokens
}

fn note_ends(
    history: &History,
    grants: &Grants<'_>,
    tokens: &mut Tokens,
    first: impl Fn(TokenNumber) -> TokenNumber,
) {
    let (mut of_strangers, mut refused_replays) = (Vec::new(), Vec::new());
    for event in &history.events {
        let (span, done) = (Span::of(event), event.answer == Answer::Done);
        let refused = matches!(event.answer, Answer::Refused { .. });
        match event.asked {
            // Refused for good: nothing was recorded.
            Asked::Revoke { .. } if refused => {}
            Asked::Revoke { token, by: By::Stranger(..), .. } => {
                of_strangers.push((first(token), span, done.then_some(event.end)));
            }
            Asked::Revoke { token, .. } => {
                if let Some(past) = tokens.get_mut(&first(token)) {
                    past.note(event.begin, done.then_some(event.end));
                }
            }
            Asked::Refresh { grant, .. } => {
                let replay = grants.is_replay(event);
                if let Some(past) = tokens.get_mut(&grant).filter(|_| replay != Replay::No) {
                    past.note(span.begin, None);
                    refused_replays.extend((refused && replay != Replay::Perhaps).then_some((grant, span)));
                }
            }
            _ => {}
        }
    }
    for (token, span, acknowledged) in of_strangers {
        if let Some(past) = tokens.get_mut(&token) {
            past.note_stranger(span, acknowledged);
        }
    }
    for (grant, span) in refused_replays {
        if let Some(past) = tokens.get_mut(&grant) {
            past.note_refused_replay(span);
        }
    }
}

impl TokenPast {
    fn note(&mut self, begin: Moment, acknowledged: Option<Moment>) {
        self.attempts.push(begin);
        self.gone = self.gone.into_iter().chain(acknowledged).min();
    }

    /// Whose token it is stands in Redis. What is not there anybody who holds the token may revoke, so that it cannot
    /// come back; what is there no stranger may.
    fn note_stranger(&mut self, span: Span, acknowledged: Option<Moment>) {
        let nobodys = self.may_be_gone(span);
        if !nobodys && acknowledged.is_some() {
            self.stolen.push(span.begin);
        }
        if nobodys || acknowledged.is_some() {
            self.note(span.begin, acknowledged);
        }
    }

    /// Whether the revocation that began then should have been refused.
    pub fn was_stolen(&self, begin: Moment) -> bool {
        self.stolen.contains(&begin)
    }

    /// A replay ends the grant before it is refused, if the store knew the grant then; but where somebody else's
    /// revocation has arrived, it is refused at once.
    fn note_refused_replay(&mut self, span: Span) {
        let by_others = self.attempts.iter().filter(|begin| **begin < span.end).count() > 1;
        if !by_others && !self.may_be_lost(span) {
            self.note(span.begin, Some(span.end));
        }
    }

    /// Whether its end was acknowledged before this began.
    pub fn is_gone(&self, span: Span) -> bool {
        self.gone.is_some_and(|gone| gone < span.begin)
    }

    /// Whether somebody had asked for its end before this ended.
    pub fn may_be_revoked(&self, span: Span) -> bool {
        self.attempts.iter().any(|begin| *begin < span.end)
    }

    pub fn is_lost(&self, span: Span) -> bool {
        self.fates.possible(span).all(|fate| fate == Fate::Absent)
    }

    fn may_be_lost(&self, span: Span) -> bool {
        self.fates.possible(span).any(|fate| fate != Fate::Present)
    }

    /// Whether it may have been made again in a span, after it was lost.
    pub fn may_come_back(&self, span: Span) -> bool {
        self.rewrites.iter().any(|rewrite| rewrite.span.overlaps(span))
    }

    pub fn is_expired(&self, span: Span) -> bool {
        span.begin > self.minted.end + self.expires_in + BLUR || self.edits.has_ended(span)
    }

    fn may_be_expired(&self, span: Span) -> bool {
        span.end + BLUR > self.minted.begin + self.expires_in || self.edits.may_have_ended(span)
    }

    /// Whether an unacknowledged end may be known to one server and not yet to another.
    pub fn may_be_ending(&self, span: Span) -> bool {
        self.may_be_revoked(span) || self.edits.may_have_ended(span)
    }

    /// Whether it may allow nothing, though nobody asked for its end.
    pub fn may_be_barred(&self, client: &ClientPast, span: Span) -> bool {
        self.edits.may_be_frozen(span) || self.scopes(client, span).any(Scope::is_empty)
    }

    /// Whether it may be no more.
    pub fn may_be_gone(&self, span: Span) -> bool {
        self.may_be_revoked(span) || self.may_be_lost(span) || self.may_be_expired(span)
    }

    /// What it may be good for, its client being what it is in this span.
    pub fn scopes<'a>(&'a self, client: &'a ClientPast, span: Span) -> impl Iterator<Item = Scope> + 'a {
        let left = self.edits.left(self.scope, span);
        client
            .scope
            .possible(span)
            .flat_map(move |scope| left.clone().into_iter().map(move |left| left.and(scope)))
    }
}
