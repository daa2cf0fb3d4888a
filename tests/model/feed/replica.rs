//! A replica's life: load, insert, renew step by step, stop.

use super::state::{Age, L, Mint, Position, Replica, Request, Row, Snapshot, State, Task};
use super::step::Step;
use super::{Feed, Next};

impl Snapshot {
    fn at(self, position: Position) -> Self {
        let position = self.position.max(position);
        Self { position, ..self }
    }

    fn extended(self, lease: i8) -> Self {
        let lease = self.lease.max(lease);
        Self { lease, ..self }
    }
}

impl Feed {
    /// The ticks of lease that a renewal whose t0 is this old earns: the deadline is t0 + L, exclusive.
    pub(super) fn earned(&self, age: Age) -> i8 {
        if self.rules.lease_shorter_than_the_wait { L - age } else { L - age + 1 }
    }

    pub(super) fn replica(&self, index: usize, next: &mut Next) {
        let Some(replica) = next.from.replicas[index] else {
            next.offer(Step::Load(index), |state| {
                load(state, index);
                Some(())
            });
            return;
        };
        next.offer(Step::Stop(index), |state| {
            stop(state, index);
            Some(())
        });
        if let Task::Joining(age) = replica.task {
            next.offer(Step::Insert(index), |state| {
                self.insert(state, index, replica.snapshot, age);
                Some(())
            });
        } else {
            self.renewal(index, replica, next);
        }
    }

    fn insert(&self, state: &mut State, index: usize, snapshot: Snapshot, loaded: Age) {
        state.rows[index] = Some(Row { applied: snapshot.position, beat: 0 });
        if self.rules.durable_inserts {
            state.durable = state.rows;
        }
        state.replicas[index] = Some(Replica {
            snapshot: if self.rules.renew_after_the_join {
                snapshot
            } else {
                snapshot.extended(self.earned(loaded))
            },
            task: Task::Idle,
        });
    }

    /// The next step of a renewal; or it ends without one, because the connection breaks.
    fn renewal(&self, index: usize, replica: Replica, next: &mut Next) {
        let rules = &self.rules;
        let snapshot = replica.snapshot;
        let head = next.from.head();
        let mut goes_on = |step: Step, snapshot: Snapshot, task: Task| {
            next.offer(step, |state| {
                state.replicas[index] = Some(Replica { snapshot, task });
                Some(())
            });
        };
        if replica.task != Task::Idle {
            goes_on(Step::LoseConnection(index), snapshot, Task::Idle);
        }
        match replica.task {
            Task::Idle if rules.t0_before_the_read => {
                goes_on(Step::NoteClock(index), snapshot, Task::Noted(0));
            }
            Task::Idle => goes_on(Step::Read(index), snapshot, Task::Read(L, head)),
            Task::Noted(age) => goes_on(Step::Read(index), snapshot, Task::Read(age, head)),
            Task::Read(age, upto) => {
                if !rules.t0_before_the_read && age > 0 {
                    goes_on(Step::NoteClock(index), snapshot, Task::Read(0, upto));
                }
                if !rules.publish_before_the_commit {
                    return self.commit(index, age, upto, next);
                }
                let mut published = snapshot.at(upto);
                if !rules.lease_after_the_confirmation {
                    published = published.extended(self.earned(age));
                }
                goes_on(Step::Publish(index), published, Task::Published(age));
            }
            Task::Published(age) => self.commit(index, age, snapshot.position, next),
            Task::Committed(age, upto) => {
                let confirmed = snapshot.at(upto).extended(self.earned(age));
                goes_on(Step::Confirm(index), confirmed, Task::Idle);
            }
            Task::Joining(_) => {}
        }
    }

    /// The update of the replica's own row, and its commit: one step, since the row stays locked in between.
    fn commit(&self, index: usize, age: Age, upto: Position, next: &mut Next) {
        let head = next.from.head();
        next.offer(Step::CommitRenewal(index), |state| {
            let replica = state.replicas[index].as_mut()?;
            replica.task = Task::Committed(age, upto);
            if let Some(row) = &mut state.rows[index] {
                row.applied = if self.rules.applied_is_what_was_published { upto } else { head };
                row.beat += 1;
            } else if self.rules.exactly_one_row {
                // It changed no row: the replica has to join anew.
                replica.task = Task::Joining(0);
            }
            if self.rules.durable_renewals {
                state.durable = state.rows;
            }
            Some(())
        });
    }
}

/// A fresh incarnation reads everything up to the head. The row of the last one, if it is still there,
/// could only delay acknowledgements: the model forgets it here.
fn load(state: &mut State, index: usize) {
    state.delete_row(index);
    state.replicas[index] =
        Some(Replica { snapshot: Snapshot { position: state.head(), lease: 0 }, task: Task::Joining(0) });
}

/// With the process goes all that it was doing. Its row stays.
fn stop(state: &mut State, index: usize) {
    state.replicas[index] = None;
    if state.request.replica() == Some(index) {
        state.request = Request::None;
    }
    if index == 0 && !matches!(state.mint, Mint::HandedOut(_)) {
        state.mint = Mint::None;
    }
}
