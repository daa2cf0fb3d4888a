//! Whether the checker would have seen it: answers of a real history are made wrong, one at a time, and it has to say
//! so each time.
//!
//! Where an answer must be wrong is found here by simpler means than the checker's, so that both cannot be blind
//! alike.

use std::collections::{HashMap, HashSet};

use crate::checker::{Rule, judge};
use crate::dice::Dice;
use crate::history::{Answer, Asked, Event, Fault, FaultKind, History, Moment, Scope, TokenNumber};

/// How often each mutation is tried.
const TRIES: usize = 4;

/// A kind of wrong answer: where it can be put, and what the checker then has to say.
struct Mutation {
    name: &'static str,
    rule: Rule,
    fits: fn(&Known, &Event) -> bool,
    wrong: fn(&Event) -> Answer,
}

const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "active after an acknowledged revocation",
        rule: Rule::AcknowledgedMeansGone,
        fits: |known, event| introspected(event).is_some_and(|token| known.revoked_before(token, event)),
        wrong: |_| Answer::Active(Scope::ALL),
    },
    Mutation {
        name: "inactive though nobody touched it",
        rule: Rule::NothingIsLost,
        fits: |known, event| introspected(event).is_some_and(|token| known.untouched(token, event)),
        wrong: |_| Answer::Inactive,
    },
    Mutation {
        name: "an active token's scope is another",
        rule: Rule::ScopeIsLive,
        fits: |known, event| introspected(event).is_some_and(|token| known.untouched(token, event)),
        wrong: |event| match event.answer {
            Answer::Active(scope) if scope == Scope::ALL => Answer::Active(Scope::any(0)),
            _ => Answer::Active(Scope::ALL),
        },
    },
    Mutation {
        name: "an internal error",
        rule: Rule::NoOtherStatus,
        fits: |_, event| event.asked.replica().is_some(),
        wrong: |_| Answer::Absurd { status: 500, body: String::new() },
    },
    Mutation {
        name: "503 without Retry-After",
        rule: Rule::UnavailableSaysWhen,
        fits: |_, event| event.asked.replica().is_some(),
        wrong: |_| Answer::Unavailable { retry_after: false },
    },
    Mutation {
        name: "no answer in quiet times",
        rule: Rule::ServersAnswer,
        fits: |known, event| event.asked.replica().is_some() && known.is_quiet(event),
        wrong: |_| Answer::Nothing("reset".to_owned()),
    },
    Mutation {
        name: "an introspection that is refused",
        rule: Rule::RefusalsHaveReasons,
        fits: |_, event| introspected(event).is_some(),
        wrong: |_| Answer::Refused { status: 401, error: "invalid_client".to_owned() },
    },
    Mutation {
        name: "no last answer about a token",
        rule: Rule::EverythingRecovers,
        fits: |known, event| introspected(event).is_some() && event.begin >= known.sweep,
        wrong: |_| Answer::Unavailable { retry_after: true },
    },
];

/// Fails if the checker does not see a wrong answer in this history, which has none.
pub fn are_found(history: &History) {
    let known = Known::of(history);
    let mut history = history.clone();
    let mut dice = Dice::new(history.setup.seed, 1 << 32);
    for mutation in MUTATIONS {
        let places: Vec<usize> = (0..history.events.len())
            .filter(|index| (mutation.fits)(&known, &history.events[*index]))
            .collect();
        assert!(!places.is_empty(), "nowhere to put: {}", mutation.name);
        for _ in 0..TRIES {
            let place = dice.pick(&places);
            let wrong = (mutation.wrong)(&history.events[place]);
            let right = std::mem::replace(&mut history.events[place].answer, wrong);
            let violations = judge(&history).violations;
            let found = violations.iter().any(|violation| violation.rule == mutation.rule);
            assert!(found, "not seen: {} at {:?}, which was {right:?}", mutation.name, history.events[place]);
            history.events[place].answer = right;
        }
        println!("seen {TRIES} of {TRIES}: {} ({} places)", mutation.name, places.len());
    }
}

fn introspected(event: &Event) -> Option<TokenNumber> {
    match (event.asked, &event.answer) {
        (Asked::Introspect { token, .. }, Answer::Active(_) | Answer::Inactive) => Some(token),
        _ => None,
    }
}

/// What can be told of a history at first sight.
struct Known {
    revoked: HashMap<TokenNumber, Moment>,
    /// Tokens of the client that is never changed, without those that anybody tried to revoke.
    untouched: HashSet<TokenNumber>,
    /// When Redis could first have lost anything.
    first_loss: Moment,
    /// Between these something was broken, or had been a moment ago.
    broken: Vec<(Moment, Moment)>,
    sweep: Moment,
}

impl Known {
    fn of(history: &History) -> Self {
        let losses = history.faults.iter().filter(|fault| may_lose(fault.kind));
        let broken =
            |fault: &Fault| (fault.begin, fault.healed.unwrap_or(Moment::MAX - 5_000_000) + 5_000_000);
        let mut known = Self {
            revoked: HashMap::new(),
            untouched: HashSet::new(),
            first_loss: losses.map(|fault| fault.begin).min().unwrap_or(Moment::MAX),
            broken: history.faults.iter().map(broken).collect(),
            sweep: history.sweep.unwrap_or(Moment::MAX),
        };
        for event in &history.events {
            if let (Asked::Mint { client: 0, .. }, Answer::Minted { token, .. }) =
                (event.asked, &event.answer)
            {
                known.untouched.insert(*token);
            }
            if let (Asked::Revoke { token, .. }, Answer::Done) = (event.asked, &event.answer) {
                known.revoked.entry(token).or_insert(event.end);
            }
        }
        for event in &history.events {
            if let Asked::Revoke { token, .. } = event.asked {
                known.untouched.remove(&token);
            }
        }
        known
    }

    fn revoked_before(&self, token: TokenNumber, event: &Event) -> bool {
        self.revoked.get(&token).is_some_and(|end| *end < event.begin)
    }

    fn untouched(&self, token: TokenNumber, event: &Event) -> bool {
        self.untouched.contains(&token) && event.end < self.first_loss
    }

    fn is_quiet(&self, event: &Event) -> bool {
        self.broken.iter().all(|(begin, end)| event.end < *begin || *end < event.begin)
    }
}

const fn may_lose(kind: FaultKind) -> bool {
    matches!(
        kind,
        FaultKind::FlushRedis
            | FaultKind::RestoreRedis(_)
            | FaultKind::DemoteRedisTo(_)
            | FaultKind::KillRedis
            | FaultKind::KillEverything
    )
}
