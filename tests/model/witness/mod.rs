//! The second model: Redis may lie about the past, and SQL may lose commits.
//!
//! Two changes end two grants: grant n is born at position n - 1 and dies with change n, which is a kill,
//! or a revocation of that grant alone. There is one replica. It serves while it is connected to Redis and
//! up to SQL's head: that it may not otherwise is what the first model is about, so here a change counts as
//! acknowledged when it commits.
//!
//! - **Redis** has a follower, which a failover promotes *under open connections*, and one dump, taken at
//!   any time, whose restoring breaks them and is what the follower then has as well.
//! - **SQL** falls back to an older head at most once, and never together with Redis: the witness stands at
//!   the head that is lost, and from then on nothing befalls Redis. (Both at once is outside the promise.)
//!   What is written since belongs to another history, which is all that the hash in a position is for.
//! - **An hour**, the time for which memory outlasts the passing of the witness, needs no clock. It is so
//!   much longer than what a failover can lose that by its end the follower has what Redis had when it
//!   began.

mod rules;
mod state;
mod step;
mod steps;

use crate::search::{Model, Successors, when};

pub use rules::Rules;
use state::{Kind, NUMBERS, State, at};
use step::Step;

/// The model under given rules.
#[derive(Clone, Copy)]
pub struct Witness {
    pub rules: Rules,
}

type Next = Successors<Step, State>;

impl Model for Witness {
    type State = State;
    type Step = Step;

    fn initial(&self) -> Vec<State> {
        let kinds = [Kind::Kill, Kind::Revocation];
        let pairs = kinds.map(|first| kinds.map(|second| State::first([first, second])));
        pairs.concat()
    }

    fn violation(&self, state: &State) -> Option<&'static str> {
        state.stale.then_some("a grant that was ended for good says active")
    }

    fn well(&self, state: &State) -> bool {
        state.serving().is_some()
    }

    fn successors(&self, state: &State) -> Vec<(Step, State)> {
        let mut next = Successors::of(*state);
        self.sql(&mut next);
        steps::redis(&mut next);
        self.replica(&mut next);
        self.connection(&mut next);
        for number in NUMBERS {
            next.offer(Step::Introspect(number), |state| {
                let replica = state.serving()?;
                let birth = number - 1;
                when(state.acknowledged[at(number)])?;
                when(state.redis.records[at(number)])?;
                when(!replica.knows[at(number)])?;
                when(state.sql.everybody.is_none_or(|kill| birth >= kill))?;
                state.stale = true;
                Some(())
            });
        }
        next.found
    }
}
