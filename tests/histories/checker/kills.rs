//! When everything of somebody was killed at once.

use std::collections::BTreeMap;

use super::disturbances::{Disturbances, Span};
use crate::history::{Answer, Asked, Event, History, KillSet, Moment, SessionNumber, UserNumber};

/// A kill that was, or may have been, recorded.
#[derive(Clone, Copy, Debug)]
pub struct Kill {
    pub begin: Moment,
    /// What is minted later is not reached by it.
    pub until: Moment,
    pub acknowledged: Option<Moment>,
}

impl Kill {
    pub fn of(event: &Event, history: &History, disturbances: &Disturbances<'_>) -> Self {
        let done = event.answer == Answer::Done;
        // Which was not confirmed may be unknown to a replica, which mints by what it knows, for a lease longer.
        let stale = history.setup.lease_millis * 1000;
        let until = if done { event.end } else { disturbances.settled(Span::of(event)) + stale };
        Self { begin: event.begin, until, acknowledged: done.then_some(event.end) }
    }

    /// Whether it may reach what was minted in a span.
    pub const fn may_reach(&self, minted: Span) -> bool {
        self.until >= minted.begin
    }

    /// When it was acknowledged that it has reached what was minted in a span. One that had begun when the token was
    /// minted may or may not reach it.
    pub fn surely_reached(&self, minted: Span) -> Option<Moment> {
        self.acknowledged.filter(|_| self.begin > minted.end)
    }
}

/// The kills of all but clients.
#[derive(Default)]
pub struct Kills {
    everybody: Vec<Kill>,
    users: BTreeMap<UserNumber, Vec<Kill>>,
    sessions: BTreeMap<SessionNumber, Vec<Kill>>,
}

impl Kills {
    pub fn of(history: &History, disturbances: &Disturbances<'_>) -> Self {
        let mut kills = Self::default();
        for event in &history.events {
            let Asked::Kill(set) = event.asked else { continue };
            let those = match set {
                KillSet::Everybody => &mut kills.everybody,
                KillSet::User(user) => kills.users.entry(user).or_default(),
                KillSet::LoginSession(session) => kills.sessions.entry(session).or_default(),
            };
            those.push(Kill::of(event, history, disturbances));
        }
        kills
    }

    /// Those of what was minted by this event.
    pub fn of_minted(&self, asked: &Asked) -> impl Iterator<Item = &Kill> {
        let (user, session) = match asked {
            Asked::Authorize { user, session, .. } => (Some(user), session.as_ref()),
            _ => (None, None),
        };
        let of_user = user.and_then(|user| self.users.get(user)).into_iter().flatten();
        let of_session = session.and_then(|session| self.sessions.get(session)).into_iter().flatten();
        self.everybody.iter().chain(of_user).chain(of_session)
    }
}
