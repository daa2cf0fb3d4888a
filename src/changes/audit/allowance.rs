//! How much of what somebody is refused is written down: whoever may ask must not be able to fill the audit.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Attempt;
use crate::domain::clock::BootTime;

const PERIOD: Duration = Duration::from_secs(60);
/// Different refusals of one actor that are recorded within a period.
const PER_ACTOR: usize = 60;

type Refusal = (&'static str, String, String);

/// What was recorded in this period.
#[derive(Debug, Default)]
pub struct Allowance {
    since: BootTime,
    of: HashMap<String, HashSet<Refusal>>,
}

impl Allowance {
    /// Whether an attempt is recorded: once in a period, and not when its actor was refused too much else.
    pub fn admits(&mut self, attempt: &Attempt, now: BootTime) -> bool {
        if now - self.since >= PERIOD {
            *self = Self { since: now, of: HashMap::new() };
        }
        let seen = self.of.entry(attempt.author.actor.to_string()).or_default();
        seen.len() < PER_ACTOR && seen.insert(refusal(attempt))
    }

    /// The attempt could not be recorded: the next one like it is to be.
    pub fn take_back(&mut self, attempt: &Attempt) {
        if let Some(seen) = self.of.get_mut(attempt.author.actor.as_str()) {
            seen.remove(&refusal(attempt));
        }
    }
}

fn refusal(attempt: &Attempt) -> Refusal {
    (attempt.action, attempt.target.clone(), attempt.why.clone())
}

/// What is in no audit because it could not be recorded. The log tells of it once in a period: whoever is refused must
/// not be able to fill that either.
#[derive(Debug, Default)]
pub struct Unrecorded(Mutex<Untold>);

#[derive(Debug, Default)]
struct Untold {
    attempts: usize,
    told: Option<BootTime>,
}

impl Unrecorded {
    /// Counts further attempts; returns how many are to be told of now, if that is due.
    pub fn count(&self, further: usize, now: BootTime) -> Option<usize> {
        let mut untold = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        untold.attempts = untold.attempts.saturating_add(further);
        if untold.attempts == 0 || untold.told.is_some_and(|told| now - told < PERIOD) {
            return None;
        }
        untold.told = Some(now);
        Some(std::mem::take(&mut untold.attempts))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::entry::Actor;
    use super::*;
    use crate::domain::identifier::ClientId;

    fn attempt(client: &str, target: &str) -> Attempt {
        Attempt {
            author: Actor::client(&ClientId::parse(client).unwrap()).into(),
            action: "revoke-grant",
            target: target.to_owned(),
            why: "it is another client's".to_owned(),
        }
    }

    #[test]
    fn the_same_is_recorded_once_in_a_period_and_of_one_actor_only_so_much() {
        let mut allowance = Allowance::default();
        let start = BootTime::default() + PERIOD * 10;
        assert!(allowance.admits(&attempt("a", "one"), start));
        assert!(!allowance.admits(&attempt("a", "one"), start));
        assert!(allowance.admits(&attempt("b", "one"), start));
        let admitted = (0..1000).filter(|n| allowance.admits(&attempt("a", &n.to_string()), start)).count();
        assert_eq!(admitted, PER_ACTOR - 1);
        assert!(allowance.admits(&attempt("b", "two"), start), "others are not held to account");
        assert!(allowance.admits(&attempt("a", "one"), start + PERIOD));
    }

    #[test]
    fn what_is_taken_back_is_admitted_again_and_uses_up_nothing() {
        let mut allowance = Allowance::default();
        let start = BootTime::default() + PERIOD * 10;
        for n in 0..1000 {
            let one = attempt("a", &n.to_string());
            assert!(allowance.admits(&one, start), "{n}");
            allowance.take_back(&one);
        }
        assert!(allowance.admits(&attempt("a", "0"), start));
        assert!(!allowance.admits(&attempt("a", "0"), start));
    }

    #[test]
    fn what_is_not_recorded_is_told_once_in_a_period_and_all_of_it() {
        let (unrecorded, start) = (Unrecorded::default(), BootTime::default() + PERIOD);
        assert_eq!(unrecorded.count(0, start), None, "there is nothing to tell");
        assert_eq!(unrecorded.count(2, start), Some(2));
        for _ in 0..1000 {
            assert_eq!(unrecorded.count(1, start + PERIOD / 2), None);
        }
        assert_eq!(unrecorded.count(0, start + PERIOD), Some(1000));
        assert_eq!(unrecorded.count(0, start + PERIOD * 2), None);
    }
}
