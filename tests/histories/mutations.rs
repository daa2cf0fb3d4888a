//! Whether the checker would have seen it: answers of a real history are made wrong, one at a time, and it has to say
//! so each time.
//!
//! Where an answer must be wrong is found by simpler means than the checker's ([`known`](crate::known)), so that both
//! cannot be blind alike.

use crate::checker::{Rule, judge};
use crate::dice::Dice;
use crate::history::{Answer, Event, History, KillSet, RefreshNumber, Scope};
use crate::known::{Known, introspected, refreshed};

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
        name: "active after everything of its user was killed",
        rule: Rule::AcknowledgedMeansGone,
        fits: |known, event| known.killed_before(event, |set| matches!(set, KillSet::User(_))),
        wrong: |_| Answer::Active(Scope::ALL),
    },
    Mutation {
        name: "active after its login session was killed",
        rule: Rule::AcknowledgedMeansGone,
        fits: |known, event| known.killed_before(event, |set| matches!(set, KillSet::LoginSession(_))),
        wrong: |_| Answer::Active(Scope::ALL),
    },
    Mutation {
        name: "active after everybody's were killed",
        rule: Rule::AcknowledgedMeansGone,
        fits: |known, event| known.killed_before(event, |set| set == KillSet::Everybody),
        wrong: |_| Answer::Active(Scope::ALL),
    },
    Mutation {
        name: "active while it is frozen",
        rule: Rule::FreezesHold,
        fits: |known, event| known.is_frozen(event),
        wrong: |_| Answer::Active(Scope::ALL),
    },
    Mutation {
        name: "active for more than it was narrowed to",
        rule: Rule::ScopeIsLive,
        fits: |known, event| known.is_narrowed(event),
        wrong: |_| Answer::Active(Scope::ALL),
    },
    Mutation {
        name: "a grant is refreshed that was revoked",
        rule: Rule::AcknowledgedMeansGone,
        fits: |known, event| refreshed(event).is_some_and(|(grant, _)| known.revoked_before(grant, event)),
        wrong: |event| led(event, 1),
    },
    Mutation {
        name: "an honest client is refused",
        rule: Rule::RefusalsHaveReasons,
        fits: |known, event| known.is_honest(event),
        wrong: |_| Answer::Refused { status: 400, error: "invalid_grant".to_owned() },
    },
    Mutation {
        name: "a refresh token leads to another than before",
        rule: Rule::RetriesGetTheSame,
        fits: |known, event| known.is_retry(event),
        wrong: |event| led(event, 1_000_000),
    },
    Mutation {
        name: "an internal error",
        rule: Rule::NoOtherStatus,
        fits: |_, event| event.asked.is_request(),
        wrong: |_| Answer::Absurd { status: 500, body: String::new() },
    },
    Mutation {
        name: "503 without Retry-After",
        rule: Rule::UnavailableSaysWhen,
        fits: |_, event| event.asked.is_request(),
        wrong: |_| Answer::Unavailable { retry_after: false },
    },
    Mutation {
        name: "no answer in quiet times",
        rule: Rule::ServersAnswer,
        fits: |known, event| event.asked.is_request() && known.is_quiet(event),
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

/// The answer to a refresh, with a refresh token so much further on.
fn led(event: &Event, further: RefreshNumber) -> Answer {
    let (token, presented) = refreshed(event).unwrap_or_default();
    let (grant, scope) = match &event.answer {
        Answer::Refreshed { grant, scope, .. } => (grant.clone(), *scope),
        _ => (String::new(), Scope::ALL),
    };
    Answer::Refreshed { token, grant, scope, refresh: presented + further }
}
