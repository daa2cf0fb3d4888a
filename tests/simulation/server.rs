//! A server that is asked by messages: SQL, and the grant store.
//!
//! A statement is sent, executed by the server at some later time, and its answer is taken up at a later time
//! again, by a task that may have been frozen, or killed, since. A fault loses the statement or the answer.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};

use tokio::sync::oneshot;

use crate::rng::Rng;

/// No answer came. Whether the statement was executed is not known.
pub struct Lost;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    Answered,
    AnswerLost,
    NeverArrived,
}

impl Fate {
    /// What becomes of a statement whose connection breaks: nobody will tell.
    pub fn of_the_broken(rng: &Rng) -> Self {
        if rng.percent(50) { Self::AnswerLost } else { Self::NeverArrived }
    }
}

type Run<S> = Box<dyn FnOnce(&mut S, Fate) + Send>;

pub struct Statement<S> {
    pub machine: usize,
    pub what: &'static str,
    /// Asked before it is executed; a statement that waits for a lock stays where it is.
    ready: Box<dyn Fn(&S) -> bool + Send>,
    run: Run<S>,
}

pub struct Server<S> {
    state: Mutex<S>,
    inbox: Mutex<Vec<Statement<S>>>,
    cut_off: Mutex<BTreeSet<usize>>,
    /// Whose statements are still on their way.
    held: Mutex<BTreeSet<usize>>,
}

impl<S: 'static> Server<S> {
    pub fn new(state: S) -> Self {
        Self {
            state: Mutex::new(state),
            inbox: Mutex::default(),
            cut_off: Mutex::default(),
            held: Mutex::default(),
        }
    }

    /// A look from outside the simulation.
    pub fn state(&self) -> MutexGuard<'_, S> {
        self.state.lock().unwrap()
    }

    pub async fn call<T, E, F>(&self, machine: usize, what: &'static str, unit: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Lost> + Send + 'static,
        F: FnOnce(&mut S) -> Result<T, E> + Send + 'static,
    {
        self.call_when(machine, what, |_| true, unit).await
    }

    pub async fn call_when<T, E, F>(
        &self,
        machine: usize,
        what: &'static str,
        ready: impl Fn(&S) -> bool + Send + 'static,
        unit: F,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Lost> + Send + 'static,
        F: FnOnce(&mut S) -> Result<T, E> + Send + 'static,
    {
        crate::time::breathe().await;
        if self.cut_off.lock().unwrap().contains(&machine) {
            return Err(Lost.into());
        }
        let (reply, answer) = oneshot::channel();
        let run = Box::new(move |state: &mut S, fate| {
            let answer = match fate {
                Fate::NeverArrived => return,
                Fate::Answered => unit(state),
                Fate::AnswerLost => unit(state).and(Err(Lost.into())),
            };
            reply.send(answer).ok();
        });
        let statement = Statement { machine, what, ready: Box::new(ready), run };
        self.inbox.lock().unwrap().push(statement);
        answer.await.unwrap_or_else(|_| Err(Lost.into()))
    }

    /// Executes one of the statements that have arrived, whoever sent it; `what` names it.
    pub fn step(&self, rng: &Rng, faults: u64) -> Option<(usize, &'static str, Fate)> {
        let statement = {
            let state = self.state();
            let mut inbox = self.inbox.lock().unwrap();
            let held = self.held.lock().unwrap();
            let arrived = |at: &usize| !held.contains(&inbox[*at].machine) && (inbox[*at].ready)(&state);
            let ready: Vec<usize> = (0..inbox.len()).filter(arrived).collect();
            inbox.remove(*rng.pick(&ready)?)
        };
        let fate = if rng.percent(faults) { Fate::of_the_broken(rng) } else { Fate::Answered };
        (statement.run)(&mut self.state(), fate);
        Some((statement.machine, statement.what, fate))
    }

    /// Whether a statement has been sent that is not executed yet.
    pub fn awaits(&self, machine: usize, what: &str) -> bool {
        let inbox = self.inbox.lock().unwrap();
        inbox.iter().any(|statement| statement.machine == machine && statement.what == what)
    }

    /// Executes, or loses, what this machine has sent.
    pub fn settle(&self, machine: usize, mut fate: impl FnMut() -> Fate) {
        let inbox = std::mem::take(&mut *self.inbox.lock().unwrap());
        let (of_it, others) = inbox.into_iter().partition(|statement| statement.machine == machine);
        *self.inbox.lock().unwrap() = others;
        let of_it: Vec<Statement<S>> = of_it;
        for statement in of_it {
            let mut state = self.state();
            // What waits for a lock is lost with its connection.
            let fate = if (statement.ready)(&state) { fate() } else { Fate::NeverArrived };
            (statement.run)(&mut state, fate);
        }
    }

    pub fn cut_off(&self, machine: usize, rng: &Rng) {
        self.cut_off.lock().unwrap().insert(machine);
        self.settle(machine, || Fate::of_the_broken(rng));
    }

    /// Keeps what this machine has sent on its way, or lets it arrive.
    pub fn hold(&self, machine: usize, held: bool) {
        let mut all = self.held.lock().unwrap();
        if held {
            all.insert(machine)
        } else {
            all.remove(&machine)
        };
    }

    pub fn reconnect(&self, machine: usize) {
        self.cut_off.lock().unwrap().remove(&machine);
    }
}
