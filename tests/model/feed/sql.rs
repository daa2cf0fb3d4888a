//! What happens in SQL and around it: changes, their acknowledgement, the deleting of rows.

use super::state::{Change, L, Position, Watch, at};
use super::step::Step;
use super::{Feed, Next};
use crate::search::when;

impl Feed {
    /// A change: commit, return, acknowledgement.
    pub(super) fn change(number: Position, next: &mut Next) {
        let index = at(number);
        next.offer(Step::Commit(number), |state| {
            let Change::Sent(age) = state.changes[index] else {
                return None;
            };
            when(state.head() == number - 1)?;
            state.changes[index] = Change::Committed(age);
            state.durable = state.rows;
            Some(())
        });
        next.offer(Step::CommitReturns(number), |state| {
            let Change::Committed(age) = state.changes[index] else {
                return None;
            };
            state.changes[index] = Change::Returned(age);
            Some(())
        });
        next.offer(Step::AcknowledgeByRows(number), |state| {
            let Change::Returned(_) = state.changes[index] else {
                return None;
            };
            when(state.rows.iter().flatten().all(|row| row.applied >= number))?;
            state.changes[index] = Change::Acknowledged;
            Some(())
        });
        next.offer(Step::AcknowledgeByTime(number), |state| {
            when(state.changes[index] == Change::Returned(L))?;
            state.changes[index] = Change::Acknowledged;
            Some(())
        });
    }

    /// A row goes when its beat has been silent for L, or when its replica leaves.
    pub(super) fn row(&self, replica: usize, next: &mut Next) {
        next.offer(Step::WatchRow(replica), |state| {
            let beat = state.rows[replica]?.beat;
            when(state.watches[replica].is_none_or(|watch| watch.beat != beat))?;
            state.watches[replica] = Some(Watch { beat, age: 0 });
            Some(())
        });
        next.offer(Step::DeleteSilentRow(replica), |state| {
            let beat = state.rows[replica]?.beat;
            let watch = state.watches[replica]?;
            when(watch.age == L)?;
            when(watch.beat == beat || !self.rules.delete_on_the_same_beat)?;
            state.delete_row(replica);
            Some(())
        });
        next.offer(Step::DeleteOwnRow(replica), |state| {
            state.rows[replica]?;
            when(state.replicas[replica].is_none() || !self.rules.drain_before_the_delete)?;
            state.delete_row(replica);
            Some(())
        });
    }
}
