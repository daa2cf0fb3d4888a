//! A tick of the one clock that all clocks follow. Nobody compares clocks, so one is enough; a frozen
//! replica is one that does nothing while ticks pass.

use super::Feed;
use super::state::{Change, L, Request, State, Task};

impl Feed {
    /// Every clock runs on, whoever is paused.
    pub(super) fn tick(&self, state: &mut State) {
        let older = |age: i8| (age + 1).min(L);
        // A clock cached before the deadline needs to know how long ago that passed.
        let floor = if self.rules.clock_after_the_beginning { 0 } else { -L };
        for change in &mut state.changes {
            match change {
                Change::Sent(age) | Change::Committed(age) if !self.rules.count_from_the_return => {
                    *age = older(*age);
                }
                Change::Returned(age) => *age = older(*age),
                Change::Sent(_) | Change::Committed(_) | Change::Acknowledged => {}
            }
        }
        for watch in state.watches.iter_mut().flatten() {
            watch.age = older(watch.age);
        }
        for replica in state.replicas.iter_mut().flatten() {
            replica.snapshot.lease = (replica.snapshot.lease - 1).max(floor);
            match &mut replica.task {
                Task::Joining(age) if self.rules.renew_after_the_join => *age = 0,
                Task::Idle => {}
                Task::Joining(age)
                | Task::Noted(age)
                | Task::Read(age, _)
                | Task::Published(age)
                | Task::Committed(age, _) => *age = older(*age),
            }
        }
        match &mut state.request {
            Request::None => {}
            Request::CachedClock(_, age) => *age = older(*age),
            Request::CachedSnapshot(_, snapshot) | Request::Judging(_, snapshot) => {
                snapshot.lease = (snapshot.lease - 1).max(floor);
            }
        }
    }
}
