//! The steps of the witness model.

use super::state::{NUMBERS, Replica, Sql, State, at};
use super::step::Step;
use super::{Next, Witness};
use crate::search::when;

impl Witness {
    pub(super) fn sql(&self, next: &mut Next) {
        for number in NUMBERS {
            next.offer(Step::Commit(number), |state| {
                when(state.sql.head == number - 1 && state.sql.fork.is_none())?;
                state.sql.head = number;
                state.acknowledged[at(number)] = true;
                Some(())
            });
            next.offer(Step::Purge(number), |state| {
                when(state.sql.holds(number) && !state.sql.purged[at(number)])?;
                when(!state.is_revocation(number) || !self.rules.rows_kept_to_the_grants_end)?;
                state.sql.purged[at(number)] = true;
                Some(())
            });
            next.offer(Step::LoseCommits(number - 1), |state| {
                when(state.sql.fork.is_none() && number <= state.sql.head)?;
                when(state.redis.witness.number == state.sql.head)?;
                state.sql.head = number - 1;
                state.sql.fork = Some(number - 1);
                state.replica = None;
                Some(())
            });
        }
        next.offer(Step::CommitOther, |state| {
            when(state.sql.fork.is_some() && state.sql.everybody.is_none())?;
            when(state.sql.head < 2)?;
            state.sql.head += 1;
            Some(())
        });
        next.offer(Step::Recover, |state| {
            when(state.sql.everybody.is_none() && self.is_ahead(state))?;
            let jumped = state.redis.witness.number.max(state.sql.head) + 1;
            state.sql.head = if self.rules.recover_jumps_the_sequence { jumped } else { state.sql.head + 1 };
            state.sql.everybody = Some(if self.rules.recover_kills_everything { state.sql.head } else { 0 });
            state.redis.witness = state.sql.position(state.sql.head);
            state.replica = None;
            Some(())
        });
    }

    /// Whether the witness stands where SQL has never been, or has been in another history.
    fn is_ahead(&self, state: &State) -> bool {
        let witness = state.redis.witness;
        let beyond = witness.number > state.sql.head;
        beyond || (self.rules.witness_carries_the_hash && witness != state.sql.position(witness.number))
    }

    pub(super) fn replica(&self, next: &mut Next) {
        next.offer(Step::Start, |state| {
            when(state.replica.is_none())?;
            let remembers = |number: u8| {
                let passed = state.is_revocation(number) && number <= state.redis.witness.number;
                state.loads(number) && (self.rules.memory_is_full_at_the_start || !passed)
            };
            state.replica = Some(Replica {
                position: state.sql.head,
                knows: NUMBERS.map(remembers),
                connected: false,
                owes: [false; 2],
                half_way: None,
            });
            Some(())
        });
        next.offer(Step::Crash, |state| state.replica.take().map(drop));
        next.offer(Step::CatchUp, |state| {
            let loaded = NUMBERS.map(|number| state.loads(number));
            let Sql { head, purged, .. } = state.sql;
            let replica = state.replica.as_mut()?;
            when(replica.position < head)?;
            for number in replica.position + 1..=head.min(2) {
                let there = self.rules.reload_below_the_purge_mark || !purged[at(number)];
                replica.knows[at(number)] |= loaded[at(number)] && there;
            }
            replica.position = head;
            Some(())
        });
        for number in NUMBERS {
            next.offer(Step::Forget(number), |state| {
                when(state.is_revocation(number))?;
                // What had passed an hour ago, the follower has by now.
                let counts_from_the_passing = self.rules.the_hour_counts_from_the_passing;
                let passed =
                    if counts_from_the_passing { state.follower } else { state.redis }.witness.number;
                when(number <= passed || !self.rules.memory_until_the_witness_passed)?;
                let replica = state.replica.as_mut()?;
                when(replica.connected)?;
                when(std::mem::take(&mut replica.knows[at(number)]))
            });
        }
    }

    pub(super) fn connection(&self, next: &mut Next) {
        next.offer(Step::Disconnect, |state| when(std::mem::take(&mut state.replica.as_mut()?.connected)));
        next.offer(Step::Connect, |state| {
            let replica = state.replica?;
            when(!replica.connected && replica.position == state.sql.head)?;
            when(!self.is_ahead(state) || !self.rules.witness_ahead_is_not_ready)?;
            if self.rules.witness_behind_is_mended_on_connecting {
                self.delete_what_is_missing(state);
                move_witness(state);
            }
            let replica = state.replica.as_mut()?;
            replica.connected = true;
            replica.half_way = None;
            Some(())
        });
        next.offer(Step::DeleteFirst, |state| {
            when(!self.rules.deletions_and_witness_on_one_primary)?;
            let witness = state.redis.witness.number;
            when(witness < state.serving()?.position)?;
            self.delete_what_is_missing(state);
            state.replica.as_mut()?.half_way = Some(witness);
            Some(())
        });
        next.offer(Step::MoveWitness, |state| {
            let replica = state.serving()?;
            let witness = state.redis.witness.number;
            when(witness < replica.position)?;
            if !self.rules.deletions_and_witness_on_one_primary {
                when(replica.half_way == Some(witness))?;
                state.replica.as_mut()?.half_way = None;
            } else if self.rules.deletions_with_the_witness {
                self.delete_what_is_missing(state);
            } else {
                for number in witness + 1..=replica.position.min(2) {
                    state.replica.as_mut()?.owes[at(number)] = state.is_revocation(number);
                }
            }
            move_witness(state);
            Some(())
        });
        next.offer(Step::DeleteLate, |state| {
            let replica = state.replica.as_mut()?;
            when(replica.connected && replica.owes != [false; 2])?;
            for number in NUMBERS {
                state.redis.records[at(number)] &= !replica.owes[at(number)];
            }
            replica.owes = [false; 2];
            Some(())
        });
    }

    /// Deletes the records of what was revoked between the witness and the replica's position.
    fn delete_what_is_missing(&self, state: &mut State) {
        let Some(mut replica) = state.replica else {
            return;
        };
        for number in state.redis.witness.number + 1..=replica.position.min(2) {
            let revoked = state.loads(number) || replica.knows[at(number)];
            if state.is_revocation(number) && revoked {
                state.redis.records[at(number)] = false;
                replica.knows[at(number)] |= self.rules.what_is_deleted_again_is_remembered;
            }
        }
        state.replica = Some(replica);
    }
}

/// Moves the witness to the replica's position; never back.
fn move_witness(state: &mut State) {
    if let Some(Replica { position, .. }) = state.replica
        && state.redis.witness.number < position
    {
        state.redis.witness = state.sql.position(position);
    }
}

/// What befalls Redis; nothing, once SQL has lost commits.
pub(super) fn redis(next: &mut Next) {
    if next.from.sql.fork.is_some() {
        return;
    }
    next.offer(Step::Replicate, |state| {
        state.follower = state.redis;
        Some(())
    });
    next.offer(Step::FailOver, |state| {
        state.redis = state.follower;
        Some(())
    });
    next.offer(Step::Dump, |state| {
        state.dump = state.redis;
        Some(())
    });
    next.offer(Step::Restore, |state| {
        state.redis = state.dump;
        state.follower = state.dump;
        if let Some(replica) = &mut state.replica {
            replica.connected = false;
        }
        Some(())
    });
}
