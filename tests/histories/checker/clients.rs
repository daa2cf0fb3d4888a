//! What a client may be allowed, and when all it had was killed.

use std::collections::BTreeMap;

use super::disturbances::{Disturbances, Span};
use super::kills::Kill;
use super::register::{Register, Write};
use crate::history::{Answer, Asked, Change, ClientNumber, History, Scope, SecretNumber};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Enabled,
    Disabled,
    Gone,
}

/// What was done to one client.
pub struct ClientPast {
    pub state: Register<State>,
    pub scope: Register<Scope>,
    secret: Register<SecretNumber>,
    pub kills: Vec<Kill>,
}

/// What the checker makes of credentials that were presented in a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub may_be_good: bool,
    pub may_be_bad: bool,
}

impl ClientPast {
    pub fn credentials(&self, presented: SecretNumber, span: Span) -> Credentials {
        let mut enabled = self.state.possible(span).peekable();
        let exists = enabled.peek().is_some();
        let (mut good, mut bad) = (false, !exists);
        for state in enabled {
            match state {
                State::Enabled => good = true,
                State::Disabled | State::Gone => bad = true,
            }
        }
        Credentials {
            may_be_good: good && self.secret.possible(span).any(|secret| secret == presented),
            may_be_bad: bad || self.secret.possible(span).any(|secret| secret != presented),
        }
    }
}

pub type Clients = BTreeMap<ClientNumber, ClientPast>;

#[derive(Default)]
struct Writes {
    state: Vec<Write<State>>,
    scope: Vec<Write<Scope>>,
    secret: Vec<Write<SecretNumber>>,
    kills: Vec<Kill>,
}

/// The past of every client.
pub fn clients(history: &History, disturbances: &Disturbances<'_>) -> Clients {
    let mut writes: BTreeMap<ClientNumber, Writes> = BTreeMap::new();
    for event in &history.events {
        let Asked::Administer { client, change } = event.asked else { continue };
        let done = event.answer == Answer::Done;
        let span = Span::of(event);
        let until = if done { event.end } else { disturbances.settled(span) };
        let write = Write { begin: event.begin, until, acknowledged: done.then_some(event.end), value: () };
        let writes = writes.entry(client).or_default();
        writes.note(change, write);
        if change.kills() {
            writes.kills.push(Kill::of(event, history, disturbances));
        }
    }
    let past = |writes: Writes| ClientPast {
        state: Register::of(writes.state),
        scope: Register::of(writes.scope),
        secret: Register::of(writes.secret),
        kills: writes.kills,
    };
    writes.into_iter().map(|(client, writes)| (client, past(writes))).collect()
}

impl Writes {
    fn note(&mut self, change: Change, write: Write<()>) {
        match change {
            Change::Create { scope, secret, .. } => {
                self.state.push(write.of(State::Enabled));
                self.scope.push(write.of(scope));
                self.secret.push(write.of(secret));
            }
            Change::Kill => {}
            Change::Scope(scope) => self.scope.push(write.of(scope)),
            Change::Disable => self.state.push(write.of(State::Disabled)),
            Change::Enable => self.state.push(write.of(State::Enabled)),
            Change::Rotate(secret) => self.secret.push(write.of(secret)),
            Change::Delete => self.state.push(write.of(State::Gone)),
        }
    }
}

impl Write<()> {
    fn of<T>(self, value: T) -> Write<T> {
        Write { begin: self.begin, until: self.until, acknowledged: self.acknowledged, value }
    }
}
