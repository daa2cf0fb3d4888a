//! What a replica answers: introspections that began after an acknowledgement, and mints.

use super::state::{Mint, Position, Replica, Request, Snapshot, Violation};
use super::step::Step;
use super::{Feed, Next};
use crate::search::when;

impl Feed {
    /// An introspection that begins after an acknowledgement, on a replica whose snapshot may lack the
    /// change.
    pub(super) fn request(&self, index: usize, next: &mut Next) {
        let rules = &self.rules;
        let Some(Replica { snapshot, .. }) = next.from.replicas[index] else {
            return;
        };
        match next.from.request {
            Request::None => {
                next.offer(Step::TakeSnapshot(index), |state| {
                    when(state.forgets(snapshot.position))?;
                    // An expired snapshot with its own deadline can only answer 503.
                    when(snapshot.lease > 0 || !rules.deadline_inside_the_snapshot)?;
                    state.request = Request::Judging(index, snapshot);
                    Some(())
                });
                if !rules.snapshot_after_the_beginning {
                    next.offer(Step::CacheSnapshot(index), |state| {
                        state.request = Request::CachedSnapshot(index, snapshot);
                        Some(())
                    });
                }
                if !rules.clock_after_the_beginning {
                    next.offer(Step::CacheClock(index), |state| {
                        state.request = Request::CachedClock(index, 0);
                        Some(())
                    });
                }
            }
            Request::CachedSnapshot(of, cached) if of == index => {
                next.offer(Step::TakeSnapshot(index), |state| {
                    when(state.forgets(cached.position))?;
                    state.request = Request::Judging(index, cached);
                    Some(())
                });
            }
            Request::CachedClock(of, age) if of == index => {
                next.offer(Step::TakeSnapshot(index), |state| {
                    when(state.forgets(snapshot.position))?;
                    let lease = snapshot.lease + age;
                    state.request = Request::Judging(index, Snapshot { lease, ..snapshot });
                    Some(())
                });
            }
            Request::Judging(of, taken) if of == index => {
                next.offer(Step::Answer(index), |state| {
                    let judged_by = if rules.deadline_inside_the_snapshot { taken } else { snapshot };
                    when(judged_by.lease > 0)?;
                    state.violation = Some(Violation::StaleIntrospection);
                    Some(())
                });
            }
            _ => {}
        }
    }

    /// A mint on replica A: birth number, fact, record, final snapshot. Change 1 is the kill that must
    /// reach it.
    pub(super) fn mint(&self, next: &mut Next) {
        const KILL: Position = 1;
        let rules = &self.rules;
        let head = next.from.head();
        let acknowledged = next.from.acknowledged(KILL);
        if let Mint::HandedOut(birth) = next.from.mint {
            for index in 0..self.replicas {
                next.offer(Step::Introspect(index), |state| {
                    when(acknowledged && birth >= KILL)?;
                    when(state.replicas[index]?.snapshot.lease > 0)?;
                    state.violation = Some(Violation::KillEscaped);
                    Some(())
                });
            }
        }
        let Some(Replica { snapshot, .. }) = next.from.replicas[0] else {
            return;
        };
        let birth = if rules.birth_from_the_snapshot { snapshot.position } else { head };
        match next.from.mint {
            Mint::None if rules.birth_before_the_first_fact => {
                next.offer(Step::NoteBirth, |state| {
                    state.mint = Mint::Born(birth);
                    Some(())
                });
            }
            Mint::None => next.offer(Step::Authenticate, |state| {
                when(snapshot.position < KILL)?;
                state.mint = Mint::Justified(None);
                Some(())
            }),
            Mint::Born(birth) => next.offer(Step::Authenticate, |state| {
                when(snapshot.position < KILL)?;
                state.mint = Mint::Justified(Some(birth));
                Some(())
            }),
            Mint::Justified(None) => next.offer(Step::NoteBirth, |state| {
                state.mint = Mint::Justified(Some(birth));
                Some(())
            }),
            Mint::Justified(Some(birth)) => next.offer(Step::Store, |state| {
                state.mint = Mint::Stored(birth);
                Some(())
            }),
            Mint::Stored(birth) => next.offer(Step::HandOut, |state| {
                when(snapshot.lease > 0)?;
                let dead = snapshot.position >= KILL && birth < KILL;
                if !dead || !rules.final_snapshot {
                    state.mint = Mint::HandedOut(birth);
                    if acknowledged && birth < KILL {
                        state.violation = Some(Violation::DeadMint);
                    }
                } else {
                    state.mint = Mint::None;
                }
                Some(())
            }),
            Mint::HandedOut(_) => {}
        }
    }
}
