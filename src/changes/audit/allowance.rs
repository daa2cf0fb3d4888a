//! How much of what somebody is refused is written down: whoever may ask must not be able to fill the audit.

use std::collections::{HashMap, HashSet};
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
        seen.len() < PER_ACTOR && seen.insert((attempt.action, attempt.target.clone(), attempt.why.clone()))
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
}
