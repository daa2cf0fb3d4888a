//! Users' grants: which access tokens each refresh token gave, and what a refresh may be answered.

use std::collections::{BTreeMap, HashMap};

use super::disturbances::{Disturbances, Span};
use super::redis::{RedisPast, Rewrite};
use super::tokens::TokenPast;
use super::{Rule, Verdict};
use crate::history::{Answer, Asked, Event, History, Moment, RefreshNumber, Scope, TokenNumber};

/// One request with a refresh token.
#[derive(Clone, Copy)]
struct Presented<'h> {
    index: usize,
    event: &'h Event,
    refresh: RefreshNumber,
}

/// An access token that a refresh gave.
pub struct Refreshed {
    /// The first token of its grant.
    pub grant: TokenNumber,
    /// From the first request that may have made it to the first answer that had it.
    pub minted: Span,
    /// Every request that made it or may have, however often: what is lost it makes again.
    pub rewrites: Vec<Rewrite>,
}

/// All requests with refresh tokens, by grant.
pub struct Grants<'h>(BTreeMap<TokenNumber, Vec<Presented<'h>>>);

impl<'h> Grants<'h> {
    pub fn of(history: &'h History) -> Self {
        let mut grants: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (index, event) in history.events.iter().enumerate() {
            if let Asked::Refresh { grant, presented, .. } = event.asked {
                grants.entry(grant).or_default().push(Presented { index, event, refresh: presented });
            }
        }
        Self(grants)
    }

    /// Every access token that was given by a refresh.
    pub fn refreshed(&self, disturbances: &Disturbances<'_>) -> HashMap<TokenNumber, Refreshed> {
        let mut found = HashMap::new();
        for (grant, requests) in &self.0 {
            for request in requests {
                let Answer::Refreshed { token, .. } = request.event.answer else { continue };
                found.entry(token).or_insert_with(|| {
                    let same = requests.iter().filter(|other| other.refresh == request.refresh);
                    let rewrites: Vec<_> =
                        same.filter_map(|other| rewrite(token, other.event, disturbances)).collect();
                    let begin = rewrites.iter().map(|rewrite| rewrite.span.begin).min();
                    // The events are in the order of their ends, so this is the first that had the token.
                    let minted = Span { begin: begin.unwrap_or(request.event.begin), end: request.event.end };
                    Refreshed { grant: *grant, minted, rewrites }
                });
            }
        }
        found
    }

    /// Whether a refresh is a replay: a token is presented whose successor was used. Surely, or perhaps.
    pub fn is_replay(&self, event: &Event) -> Replay {
        let Asked::Refresh { grant, presented, .. } = event.asked else { return Replay::No };
        let later = self.0.get(&grant).into_iter().flatten().filter(|other| other.refresh > presented);
        let (mut replay, span) = (Replay::No, Span::of(event));
        for other in later.filter(|other| other.event.begin < span.end) {
            let used = matches!(other.event.answer, Answer::Refreshed { .. });
            match (used && other.event.end < span.begin, &replay) {
                (true, Replay::Since(since)) => replay = Replay::Since((*since).min(other.event.begin)),
                (true, _) => replay = Replay::Since(other.event.begin),
                (false, Replay::No) => replay = Replay::Perhaps,
                (false, _) => {}
            }
        }
        replay
    }

    /// Promise 3: whoever presents a token again is given the same pair again.
    pub fn retries_get_the_same(&self, redis: &RedisPast, verdict: &mut Verdict) {
        for requests in self.0.values() {
            let mut first: BTreeMap<RefreshNumber, (&Event, TokenNumber, RefreshNumber)> = BTreeMap::new();
            for Presented { index, event, refresh } in requests {
                let Answer::Refreshed { token, refresh: next, .. } = event.answer else { continue };
                let (before, gave, led_to) = *first.entry(*refresh).or_insert((*event, token, next));
                // Which of the access tokens it has made a store may forget, and where the chain leads it cannot.
                let between = Span { begin: before.begin.min(event.begin), end: event.end };
                if next != led_to || (token != gave && !redis.is_upset(between)) {
                    let text = format!("given {gave} and {led_to} at {}, now others", before.begin / 1000);
                    verdict.find(Rule::RetriesGetTheSame, Some(*index), text);
                }
            }
        }
    }
}

/// Whether a request with a token that was replaced before is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    No,
    Perhaps,
    /// Its successor was first used then.
    Since(Moment),
}

fn rewrite(token: TokenNumber, event: &Event, disturbances: &Disturbances<'_>) -> Option<Rewrite> {
    match &event.answer {
        Answer::Refreshed { token: given, .. } => {
            Some(Rewrite { span: Span::of(event), certain: *given == token })
        }
        Answer::Refused { .. } => None,
        _ => Some(Rewrite { span: disturbances.aftermath(Span::of(event)), certain: false }),
    }
}

/// What is wrong with the answer to a refresh, if anything is. `grant` is the past of the grant's first token, which is
/// in every version of its record.
pub fn refresh(
    grant: &TokenPast,
    replay: Replay,
    redis: &RedisPast,
    span: Span,
    answer: &Answer,
) -> Option<(Rule, String)> {
    let left = || grant.edits.left(grant.scope, span);
    match answer {
        Answer::Refreshed { .. } if grant.is_gone(span) => {
            Some((Rule::AcknowledgedMeansGone, "refreshed after its acknowledged end".to_owned()))
        }
        Answer::Refreshed { .. } if grant.is_lost(span) => {
            Some((Rule::LostIsInactive, "refreshed, though Redis had lost it".to_owned()))
        }
        Answer::Refreshed { .. } if grant.is_expired(span) => {
            Some((Rule::TokensExpire, "refreshed after its time".to_owned()))
        }
        Answer::Refreshed { .. } if grant.edits.is_frozen(span) => {
            Some((Rule::FreezesHold, "refreshed while it was frozen".to_owned()))
        }
        Answer::Refreshed { scope, .. } if !left().contains(scope) => {
            Some((Rule::ScopeIsLive, format!("refreshed for {scope}, which was not granted")))
        }
        Answer::Refreshed { .. } => {
            // What Redis has forgotten is nothing to be told from the newest.
            let forgotten = |since| redis.is_upset(Span { begin: since, end: span.end });
            let wrong = matches!(replay, Replay::Since(since) if !forgotten(since));
            wrong.then(|| (Rule::ReplaysBurn, "the successor of this token was used before".to_owned()))
        }
        Answer::Refused { status: 400, error } if error == "invalid_grant" => {
            let allowed = replay != Replay::No || grant.may_be_gone(span);
            (!allowed).then(|| {
                (Rule::RefusalsHaveReasons, "an honest client lost its grant for nothing".to_owned())
            })
        }
        Answer::Refused { status: 400, error }
            if error == "invalid_scope" && left().into_iter().any(Scope::is_empty) =>
        {
            None
        }
        other => Some((Rule::RefusalsHaveReasons, format!("{other:?} to a refresh"))),
    }
}
