//! Which states count as one: those that differ only in names, or in what can make no difference any more.

use super::Feed;
use super::state::{L, Mint, REPLICAS, Replica, Request, State, Task, Watch};

impl Feed {
    /// Replicas have names only in traces; but a mint is always on A.
    pub(super) fn nameless(&self, state: &State) -> State {
        if self.mint || self.replicas == 1 {
            return *state;
        }
        let mut swapped = *state;
        swapped.replicas.swap(0, 1);
        swapped.rows.swap(0, 1);
        swapped.durable.swap(0, 1);
        swapped.watches.swap(0, 1);
        if let Request::CachedSnapshot(replica, _)
        | Request::CachedClock(replica, _)
        | Request::Judging(replica, _) = &mut swapped.request
        {
            *replica = 1 - *replica;
        }
        swapped.min(*state)
    }

    pub(super) fn forget(&self, state: &mut State) {
        for index in REPLICAS {
            self.forget_beats(state, index);
        }
        for Replica { snapshot, task } in state.replicas.iter_mut().flatten() {
            let pointless = match *task {
                // Too old to extend a lease: as good as a new renewal whose confirmation is lost.
                Task::Noted(age) => self.earned(age) == 0,
                // The confirmation would change nothing.
                Task::Committed(age, upto) => {
                    self.earned(age) <= snapshot.lease.max(0) && upto <= snapshot.position
                }
                _ => false,
            };
            if pointless {
                *task = Task::Idle;
            }
        }
        if state.mint == Mint::HandedOut(0) {
            // Born like the grants that there are anyway, and as mortal.
            state.mint = Mint::None;
        }
    }

    /// Beats grow for ever, but all that matters is which are equal: the durable row's becomes 0, a later
    /// one 1.
    fn forget_beats(&self, state: &mut State, index: usize) {
        let rows = [state.durable[index], state.rows[index]];
        let beats = rows.map(|row| row.map(|row| row.beat));
        let durable = beats[0].or(beats[1]).unwrap_or(0);
        let renamed = |beat: u8| u8::from(beat > durable);
        // Against the rules, a DELETE at the end of a watch is on its way and no longer asks for the beat.
        let under_way = |watch: &Watch| !self.rules.delete_on_the_same_beat && watch.age == L;
        state.watches[index] = state.watches[index]
            // Who may delete a row without an owner does not matter: its owner may have meant to.
            .filter(|_| state.replicas[index].is_some())
            // A watch on a beat that is gone starts again.
            .filter(|watch| beats.contains(&Some(watch.beat)) || under_way(watch))
            .map(|Watch { beat, age }| Watch { beat: renamed(beat), age });
        for rows in [&mut state.rows, &mut state.durable] {
            if let Some(row) = &mut rows[index] {
                row.beat = renamed(row.beat);
            }
        }
    }
}
