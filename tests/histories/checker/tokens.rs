//! Whether a token may be alive.

use std::collections::HashMap;

use super::clients::{ClientPast, Clients};
use super::disturbances::Span;
use super::redis::{Fate, Fates, RedisPast};
use crate::history::{Answer, Asked, By, ClientNumber, History, Moment, Scope, TokenNumber};

/// How far from the exact moment an expiry may be seen: times on the wire are whole seconds.
const BLUR: Moment = 2_000_000;

/// All that is known of one token.
pub struct TokenPast {
    pub client: ClientNumber,
    pub minted: Span,
    pub scope: Scope,
    expires_in: Moment,
    pub fates: Fates,
    /// When somebody first asked for its end, who may.
    first_attempt: Option<Moment>,
    /// When its end was first acknowledged.
    gone: Option<Moment>,
    /// When revocations began that ended it for somebody whom it does not belong to.
    stolen: Vec<Moment>,
}

pub type Tokens = HashMap<TokenNumber, TokenPast>;

/// The past of every token.
pub fn tokens(history: &History, clients: &Clients, redis: &RedisPast) -> Tokens {
    let mut tokens = Tokens::new();
    for event in &history.events {
        let (Asked::Mint { client, .. }, Answer::Minted { token, scope, expires_in, .. }) =
            (event.asked, &event.answer)
        else {
            continue;
        };
        let minted = Span::of(event);
        let mut past = TokenPast {
            client,
            minted,
            scope: *scope,
            expires_in: Moment::from(*expires_in) * 1_000_000,
            fates: redis.fates(minted),
            first_attempt: None,
            gone: None,
            stolen: Vec::new(),
        };
        if let Some(client) = clients.get(&client) {
            past.note_kills(client);
        }
        tokens.insert(*token, past);
    }
    note_revocations(history, &mut tokens);
    tokens
}

fn note_revocations(history: &History, tokens: &mut Tokens) {
    let mut of_strangers = Vec::new();
    for event in &history.events {
        let Asked::Revoke { token, by, .. } = event.asked else { continue };
        let Some(past) = tokens.get_mut(&token) else { continue };
        match &event.answer {
            // Refused for good: nothing was recorded.
            Answer::Refused { .. } => {}
            answer => {
                let acknowledged = (*answer == Answer::Done).then_some(event.end);
                match by {
                    By::Stranger(..) => of_strangers.push((token, Span::of(event), acknowledged)),
                    _ => past.note(event.begin, acknowledged),
                }
            }
        }
    }
    for (token, span, acknowledged) in of_strangers {
        if let Some(past) = tokens.get_mut(&token) {
            past.note_stranger(span, acknowledged);
        }
    }
}

impl TokenPast {
    fn note(&mut self, begin: Moment, acknowledged: Option<Moment>) {
        self.first_attempt = earlier(self.first_attempt, Some(begin));
        self.gone = earlier(self.gone, acknowledged);
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

    fn note_kills(&mut self, client: &ClientPast) {
        let minted = self.minted;
        for kill in client.kills.iter().filter(|kill| kill.until >= minted.begin) {
            // One that had begun when the token was minted may or may not reach it.
            let acknowledged = kill.acknowledged.filter(|_| kill.begin > minted.end);
            self.note(kill.begin, acknowledged);
        }
    }

    /// Whether its end was acknowledged before this began.
    pub fn is_gone(&self, span: Span) -> bool {
        self.gone.is_some_and(|gone| gone < span.begin)
    }

    /// Whether somebody had asked for its end before this ended.
    pub fn may_be_revoked(&self, span: Span) -> bool {
        self.first_attempt.is_some_and(|begin| begin < span.end)
    }

    pub fn is_lost(&self, span: Span) -> bool {
        self.fates.possible(span).all(|fate| fate == Fate::Absent)
    }

    fn may_be_lost(&self, span: Span) -> bool {
        self.fates.possible(span).any(|fate| fate != Fate::Present)
    }

    pub fn is_expired(&self, span: Span) -> bool {
        span.begin > self.minted.end + self.expires_in + BLUR
    }

    fn may_be_expired(&self, span: Span) -> bool {
        span.end + BLUR > self.minted.begin + self.expires_in
    }

    /// Whether it may be no more.
    pub fn may_be_gone(&self, span: Span) -> bool {
        self.may_be_revoked(span) || self.may_be_lost(span) || self.may_be_expired(span)
    }

    /// What it may be good for, its client being what it is in this span.
    pub fn scopes<'a>(&'a self, client: &'a ClientPast, span: Span) -> impl Iterator<Item = Scope> + 'a {
        client.scope.possible(span).map(|scope| scope.and(self.scope))
    }
}

fn earlier(one: Option<Moment>, other: Option<Moment>) -> Option<Moment> {
    one.into_iter().chain(other).min()
}
