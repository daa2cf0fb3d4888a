//! Judges a recorded history, after the run and knowing nothing of the run but the record.
//!
//! What is known of an operation is its span, so everything here says what *may* have been the case during a span.
//! An answer is a violation only if no order of the overlapping operations allows it. What is promised is in
//! DESIGN.md §1:
//!
//! - what was acknowledged holds for every operation that begins later: a revocation, a kill, a narrower scope, a
//!   disabled or deleted client, a retired secret (promises 2, 4, 5);
//! - what was minted lives until somebody asks for its end or Redis loses it; what Redis lost is inactive, and comes
//!   back only with an older dump (promises 1, 7);
//! - who presents a refresh token again is given the same pair, and a replay ends the grant (promise 3);
//! - a revocation that is on its way reaches each replica at its own time, but no replica twice;
//! - refusals have a reason, 503s say when to try again, silence comes only from a server that was killed or frozen;
//! - after every fault all replicas become ready by themselves.
//!
//! | module | what it knows |
//! |---|---|
//! | [`disturbances`] | which faults may explain what |
//! | [`register`] | what a value that is written and read concurrently may be |
//! | [`clients`] | what a client may be allowed, when it was killed |
//! | [`kills`] | when everything of a user, of a login session, of everybody was killed |
//! | [`grants`] | which tokens a refresh token gave, and what it may be answered |
//! | [`edits`] | what a grant was restricted to |
//! | [`redis`] | whether Redis may have a token |
//! | [`tokens`] | whether a token may be alive |
//! | [`answers`] | whether an answer is allowed |
//! | [`excerpt`] | what to look at when one is not |

mod answers;
mod clients;
mod disturbances;
mod edits;
mod excerpt;
mod grants;
mod kills;
mod redis;
mod register;
#[cfg(test)]
mod story;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_edits;
#[cfg(test)]
mod tests_of_grants;
mod tokens;

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::history::{Answer, Asked, Event, History, Moment, TokenNumber};
use answers::Judge;
pub use excerpt::excerpt;

/// What a history may violate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Active, and an introspection that began after the acknowledged end of its token.
    AcknowledgedMeansGone,
    /// A scope that an acknowledged change had taken away, or that was never given.
    ScopeIsLive,
    /// Minted or revoked with a secret, or by a client, that was no longer good.
    CredentialsAreLive,
    /// Inactive, though nobody had asked for its end and Redis has it.
    NothingIsLost,
    /// Active again on a replica that had called it inactive, or anywhere after Redis had lost it.
    NothingComesBack,
    /// Active, though Redis had lost it.
    LostIsInactive,
    /// Active or refreshed, and frozen.
    FreezesHold,
    /// Active after its time, or after the end that it was shortened to.
    TokensExpire,
    /// 400, 401, or a command that failed, without a reason.
    RefusalsHaveReasons,
    /// Somebody else's token was revoked.
    StrangersRevokeNothing,
    /// Two answers to one refresh token.
    RetriesGetTheSame,
    /// Refreshed with a token that was replaced before.
    ReplaysBurn,
    /// A status that is never right.
    NoOtherStatus,
    /// 503 without `Retry-After`.
    UnavailableSaysWhen,
    /// No answer from a server that nobody had killed or frozen.
    ServersAnswer,
    /// Two tokens of one grant id.
    TokensAreUnique,
    /// Not ready by itself after a fault, or without an answer in the end.
    EverythingRecovers,
}

#[derive(Clone, Debug)]
pub struct Violation {
    pub rule: Rule,
    /// Which event, if it is one event's.
    pub event: Option<usize>,
    pub text: String,
}

/// What a history comes to.
#[derive(Debug, Default)]
pub struct Verdict {
    pub violations: Vec<Violation>,
    pub tally: Tally,
}

/// How much there was to judge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub minted: usize,
    pub authorized: usize,
    pub refreshed: usize,
    pub introspected: usize,
    /// Introspections that began after the acknowledged end of their token.
    pub asked_of_the_dead: usize,
    /// Introspections of tokens that had to be active.
    pub asked_of_the_living: usize,
    /// Introspections of tokens that Redis had lost for sure.
    pub asked_of_the_lost: usize,
    /// Introspections of tokens that had to be inactive because they were frozen.
    pub asked_of_the_frozen: usize,
    /// Introspections of tokens that had to be active for less than they were given for.
    pub asked_of_the_narrowed: usize,
    pub revoked: usize,
    pub edited: usize,
    pub administered: usize,
    /// Everything of a user, of a login session, of everybody.
    pub killed: usize,
    pub refused: usize,
    /// Commands that failed.
    pub failed: usize,
    pub unavailable: usize,
    /// 503s while nothing was broken: allowed, but there should be few.
    pub unavailable_without_a_fault: usize,
    pub unanswered: usize,
}

/// Judges a complete history.
pub fn judge(history: &History) -> Verdict {
    let judge = Judge::of(history);
    let mut verdict = Verdict::default();
    for (index, event) in history.events.iter().enumerate() {
        verdict.tally.count(event);
        judge.event(index, event, &mut verdict);
    }
    judge.by_each_other(&mut verdict);
    tokens_are_unique(history, &mut verdict);
    everything_recovers(history, &mut verdict);
    verdict
}

impl Verdict {
    fn find(&mut self, rule: Rule, event: Option<usize>, text: impl Into<String>) {
        self.violations.push(Violation { rule, event, text: text.into() });
    }

    /// How often each rule was violated.
    pub fn by_rule(&self) -> BTreeMap<Rule, usize> {
        self.violations.iter().fold(BTreeMap::new(), |mut counts, violation| {
            *counts.entry(violation.rule).or_default() += 1;
            counts
        })
    }
}

impl Tally {
    fn count(&mut self, event: &Event) {
        match (&event.asked, &event.answer) {
            (_, Answer::Unavailable { .. }) => self.unavailable += 1,
            (_, Answer::Nothing(_)) => self.unanswered += 1,
            (_, Answer::Refused { .. }) => self.refused += 1,
            (_, Answer::Failed(_)) => self.failed += 1,
            (Asked::Mint { .. }, Answer::Minted { .. }) => self.minted += 1,
            (Asked::Authorize { .. }, Answer::Minted { .. }) => self.authorized += 1,
            (Asked::Refresh { .. }, Answer::Refreshed { .. }) => self.refreshed += 1,
            (Asked::Edit { .. }, Answer::Done) => self.edited += 1,
            (Asked::Kill(_), Answer::Done) => self.killed += 1,
            (Asked::Introspect { .. }, Answer::Active(_) | Answer::Inactive) => self.introspected += 1,
            (Asked::Revoke { .. }, Answer::Done) => self.revoked += 1,
            (Asked::Administer { .. }, Answer::Done) => self.administered += 1,
            _ => {}
        }
    }
}

fn tokens_are_unique(history: &History, verdict: &mut Verdict) {
    let mut grants = HashMap::new();
    for (index, event) in history.events.iter().enumerate() {
        if let Answer::Minted { token, grant, .. } = &event.answer
            && grants.insert(grant.as_str(), *token).is_some()
        {
            verdict.find(Rule::TokensAreUnique, Some(index), format!("{grant} was minted before"));
        }
    }
    for (index, event) in history.events.iter().enumerate() {
        if let (Asked::Refresh { grant: asked, .. }, Answer::Refreshed { grant, .. }) =
            (event.asked, &event.answer)
            && grants.get(grant.as_str()) != Some(&asked)
        {
            verdict.find(Rule::TokensAreUnique, Some(index), format!("{grant} is another grant"));
        }
    }
}

fn everything_recovers(history: &History, verdict: &mut Verdict) {
    for fault in history.faults.iter().filter(|fault| fault.healed.is_none()) {
        verdict.find(Rule::EverythingRecovers, None, format!("not ready again after {:?}", fault.kind));
    }
    let Some(sweep) = history.sweep else { return };
    let (introspected, revoked) = answered_since(sweep, history);
    for event in &history.events {
        if let Answer::Minted { token, grant, .. } | Answer::Refreshed { token, grant, .. } = &event.answer {
            let silent = |replica: &u8| !introspected.contains(&(*token, *replica));
            for replica in (0..history.setup.replicas).filter(silent) {
                let text = format!("in the end, replica {replica} had no answer for {grant}");
                verdict.find(Rule::EverythingRecovers, None, text);
            }
        }
    }
    for (token, _) in revoked.iter().filter(|(_, done)| !**done) {
        let text = format!("in the end, token {token} could not be revoked");
        verdict.find(Rule::EverythingRecovers, None, text);
    }
}

/// Which tokens each replica answered for in the end, and which were revoked, or only asked to be.
fn answered_since(
    sweep: Moment,
    history: &History,
) -> (HashSet<(TokenNumber, u8)>, BTreeMap<TokenNumber, bool>) {
    let (mut introspected, mut revoked) = (HashSet::new(), BTreeMap::new());
    for event in history.events.iter().filter(|event| event.begin >= sweep) {
        match (event.asked, &event.answer) {
            (Asked::Introspect { token, replica }, Answer::Active(_) | Answer::Inactive) => {
                introspected.insert((token, replica));
            }
            (Asked::Revoke { token, .. }, answer) => {
                *revoked.entry(token).or_default() |= *answer == Answer::Done;
            }
            _ => {}
        }
    }
    (introspected, revoked)
}
