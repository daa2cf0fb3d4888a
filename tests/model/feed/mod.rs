//! The first model: the feed, its leases and its acknowledgements.

mod replica;
mod request;
mod rules;
mod same;
mod sql;
mod state;
mod step;
mod time;

use crate::search::{Model, Successors};

pub use rules::Rules;
use state::{Change, L, Mint, Position, REPLICAS, Replica, Request, Row, Snapshot, State, Task, Violation};
use step::Step;

/// The model under given rules and in a given size.
#[derive(Clone, Copy)]
pub struct Feed {
    pub rules: Rules,
    /// One or two.
    pub replicas: usize,
    /// One or two: change n ends grant n.
    pub changes: Position,
    /// Whether replica A mints as well: grants that change 1 then has to reach.
    pub mint: bool,
}

type Next = Successors<Step, State>;

impl Feed {
    /// The start: everybody has joined and serves.
    fn serving(&self) -> State {
        let snapshot = Snapshot { position: 0, lease: L };
        let row = Row { applied: 0, beat: 0 };
        let rows = REPLICAS.map(|replica| (replica < self.replicas).then_some(row));
        let task = Task::Idle;
        State {
            changes: [Change::Sent(0); 2],
            rows,
            durable: rows,
            watches: [None; 2],
            replicas: rows.map(|row| row.map(|_| Replica { snapshot, task })),
            request: Request::None,
            mint: Mint::None,
            violation: None,
        }
    }
}

impl Model for Feed {
    type State = State;
    type Step = Step;

    fn initial(&self) -> Vec<State> {
        vec![self.serving()]
    }

    fn violation(&self, state: &State) -> Option<&'static str> {
        state.violation.map(Violation::words)
    }

    /// Everybody serves at the head, and every change is acknowledged.
    fn well(&self, state: &State) -> bool {
        let serves = |replica: &Option<Replica>| {
            replica.is_some_and(|Replica { snapshot, .. }| {
                snapshot.lease > 0 && snapshot.position == state.head()
            })
        };
        state.replicas[..self.replicas].iter().all(serves)
            && (1..=self.changes).all(|number| state.acknowledged(number))
    }

    fn successors(&self, state: &State) -> Vec<(Step, State)> {
        let mut next = Successors::of(*state);
        next.offer(Step::Tick, |state| {
            self.tick(state);
            Some(())
        });
        for number in 1..=self.changes {
            Self::change(number, &mut next);
        }
        if !(self.rules.durable_renewals && self.rules.durable_inserts) {
            next.offer(Step::SqlCrashes, |state| {
                state.rows = state.durable;
                Some(())
            });
        }
        for replica in 0..self.replicas {
            self.row(replica, &mut next);
            self.replica(replica, &mut next);
            self.request(replica, &mut next);
        }
        if self.mint {
            self.mint(&mut next);
        }
        for (_, state) in &mut next.found {
            self.forget(state);
        }
        next.found
    }

    fn canonical(&self, state: &State) -> State {
        self.nameless(state)
    }
}
