//! Death at an exact step: a process is killed when its k-th message passes, before that message goes on.
//!
//! Whatever a process does to the world passes through its connections. Killed at message 0, 1, 2, … it has died
//! between each two things that anybody outside could tell apart: a request that it did not send, or an answer that
//! it did not hear.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::process;
use super::proxy::{Direction, Fate, Proxy};

/// Watches the messages of one process on all its paths, in one order.
#[derive(Default)]
pub struct Tripwire {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    victim: Option<u32>,
    left: usize,
    /// The message that it died of.
    tripped: Option<String>,
}

impl Tripwire {
    /// Over no path yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Watches this path too; `name` is for people.
    pub fn watch(self: &Arc<Self>, name: &'static str, path: &Proxy) {
        let wire = Arc::clone(self);
        path.filter(move |direction, piece| wire.touch(name, direction, piece.len()));
    }

    /// Lets `messages` of the victim pass, and kills it when the next one comes.
    pub fn arm(&self, victim: u32, messages: usize) {
        *self.state() = State { victim: Some(victim), left: messages, tripped: None };
    }

    /// The same for a process that `start` brings to life: it sends nothing before it is known.
    pub fn arm_while<T>(&self, messages: usize, start: impl FnOnce() -> (u32, T)) -> T {
        let mut state = self.state();
        let (victim, value) = start();
        *state = State { victim: Some(victim), left: messages, tripped: None };
        value
    }

    /// Kills nobody any more; which message the victim died of, if it did.
    pub fn disarm(&self) -> Option<String> {
        std::mem::take(&mut *self.state()).tripped
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // Everything else of the victim waits meanwhile: the order of messages is the order of this lock.
    fn touch(&self, name: &str, direction: Direction, length: usize) -> Fate {
        let mut state = self.state();
        let Some(victim) = state.victim else { return Fate::Pass };
        if state.tripped.is_none() {
            if state.left > 0 {
                state.left -= 1;
                return Fate::Pass;
            }
            process::kill_at_once(victim);
            state.tripped = Some(format!("{name} {direction:?}, {length} bytes"));
        }
        Fate::Cut(Vec::new())
    }
}
