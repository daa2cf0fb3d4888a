//! The change feed, small enough to be explored exhaustively.
//!
//! The promise is that *acknowledged means gone*: once a change is acknowledged, no introspection that
//! begins later says active for what it ended, on no replica, whatever freezes, crashes or is cut off. Each
//! rule of the protocol is there because an interleaving breaks the promise without it. Two models show
//! both halves of that sentence: with all rules no reachable state breaks the promise, and without any one
//! of them a shortest way to break it is printed. `cargo test --test model -- --nocapture` shows the
//! numbers and the ways.
//!
//! # The feed ([`feed`])
//!
//! SQL with its head and one row per replica; for each change a writer that is also its acknowledger; a
//! deleter of silent rows; two replicas, which load, insert, note t0, read, publish, commit, receive the
//! confirmation or lose it, stop and start again. Every such event is one step, and steps interleave
//! freely. Being frozen or cut off needs no step: it is what happens to who takes none while ticks pass. In
//! every state it is checked
//!
//! - that no introspection that began after the acknowledgement of change n says active for what n ended;
//! - that no mint whose final look began after it hands out what is dead, nor escapes the kill by a birth
//!   number too high;
//! - that a state where all serve at the head and every change is acknowledged can still be reached.
//!
//! What is left out, and why nothing is lost by it:
//!
//! - **Time** is a tick that all clocks share. No clock is ever compared with another's, so only durations
//!   count. A lease is L = 2 ticks and granted for `now < t0 + L`, every wait ends at `now >= start + L`:
//!   that stands for 0.9 L against L. Ages stop at L, so time has no end and the states have.
//! - **Requests.** One that begins after an acknowledgement has no past but that. So it begins with its
//!   first look, and is followed only while it can still say active. In the design it never can, hence adds
//!   no state. An earlier one is promised nothing.
//! - **The acknowledger and the deleter** are nobody's: being a replica as well would only tie their steps
//!   together. An acknowledgement is given with the read that allows it, which is the earliest, so the
//!   worst, moment.
//! - **Rows without an owner** may be deleted at any time, and are forgotten when the replica starts again
//!   under its fresh incarnation. Such a row can only delay acknowledgements, so this allows more than can
//!   happen.
//! - **Names.** States that differ by exchanging the two replicas are one. Beats are kept only up to which
//!   are equal.
//! - **Mints** look at one replica only, so one replica is enough there; the grants of the other searches
//!   are as old as can be.
//!
//! # The witness ([`witness`])
//!
//! Redis that fails over or is restored from a dump, SQL that falls back to an older head, the purging of
//! rows, `recover`. What it takes from the first model is that a replica which serves is up to date; its
//! own page says the rest.
//!
//! # The search ([`search`])
//!
//! Breadth first, each state kept once; then backwards from the states where all is well, to find any that
//! cannot get there. A rule that is off turns the sloppy way on, and changes nothing else.

#![cfg(test)]

mod feed;
mod search;
mod witness;

use feed::Feed;
use search::{Model, STUCK, explore};
use witness::Witness;

/// The smallest feed model. Whatever it can break the larger ones can, since the other replica may have left.
const FEED: Feed = Feed { rules: feed::Rules::ALL, replicas: 1, changes: 1, mint: true };

const WITNESS: Witness = Witness { rules: witness::Rules::ALL };

/// Explores everything, says how much that was, and wants it all to be in order.
fn holds(model: &impl Model) {
    match explore(model) {
        Ok(proof) => {
            println!(
                "{} states, {} steps, the farthest state is {} steps away",
                proof.states, proof.steps, proof.depth
            );
        }
        Err(counterexample) => panic!("{counterexample}"),
    }
}

/// Wants a stale answer, and prints the shortest way to one.
fn fails(model: &impl Model) {
    let counterexample = explore(model)
        .err()
        .expect("either the rule is not needed, or the model is too coarse to show why it is");
    println!("{counterexample}");
    assert_ne!(counterexample.violation, STUCK);
}

#[test]
fn the_design_holds() {
    holds(&Feed { replicas: 2, changes: 2, mint: false, ..FEED });
}

#[test]
fn the_design_holds_for_mints() {
    holds(&Feed { changes: 2, ..FEED });
}

#[test]
fn the_design_holds_when_redis_lies() {
    holds(&WITNESS);
}

/// A row that SQL loses between its insert and its first renewal only makes that renewal change no row.
#[test]
fn without_durable_inserts_the_design_still_holds() {
    let mut model = Feed { replicas: 2, mint: false, ..FEED };
    model.rules.durable_inserts = false;
    holds(&model);
}

/// One test for each rule: without it, a stale answer is found. The smallest model is enough for that.
macro_rules! needed {
    ($model:expr; $($test:ident: $rule:ident,)*) => {$(
        #[test]
        fn $test() {
            let mut model = $model;
            model.rules.$rule = false;
            fails(&model);
        }
    )*};
}

needed! {
    FEED;
    without_deadline_inside_the_snapshot_a_stale_answer_is_found: deadline_inside_the_snapshot,
    without_snapshot_after_the_beginning_a_stale_answer_is_found: snapshot_after_the_beginning,
    without_clock_after_the_beginning_a_stale_answer_is_found: clock_after_the_beginning,
    without_lease_shorter_than_the_wait_a_stale_answer_is_found: lease_shorter_than_the_wait,
    without_t0_before_the_read_a_stale_answer_is_found: t0_before_the_read,
    without_publish_before_the_commit_a_stale_answer_is_found: publish_before_the_commit,
    without_lease_after_the_confirmation_a_stale_answer_is_found: lease_after_the_confirmation,
    without_exactly_one_row_a_stale_answer_is_found: exactly_one_row,
    without_applied_is_what_was_published_a_stale_answer_is_found: applied_is_what_was_published,
    without_renew_after_the_join_a_stale_answer_is_found: renew_after_the_join,
    without_count_from_the_return_a_stale_answer_is_found: count_from_the_return,
    without_delete_on_the_same_beat_a_stale_answer_is_found: delete_on_the_same_beat,
    without_drain_before_the_delete_a_stale_answer_is_found: drain_before_the_delete,
    without_durable_renewals_a_stale_answer_is_found: durable_renewals,
    without_birth_before_the_first_fact_a_stale_answer_is_found: birth_before_the_first_fact,
    without_birth_from_the_snapshot_a_stale_answer_is_found: birth_from_the_snapshot,
    without_final_snapshot_a_stale_answer_is_found: final_snapshot,
}

needed! {
    WITNESS;
    without_deletions_with_the_witness_a_stale_answer_is_found: deletions_with_the_witness,
    without_deletions_and_witness_on_one_primary_a_stale_answer_is_found: deletions_and_witness_on_one_primary,
    without_witness_behind_is_mended_on_connecting_a_stale_answer_is_found: witness_behind_is_mended_on_connecting,
    without_witness_ahead_is_not_ready_a_stale_answer_is_found: witness_ahead_is_not_ready,
    without_witness_carries_the_hash_a_stale_answer_is_found: witness_carries_the_hash,
    without_memory_until_the_witness_passed_a_stale_answer_is_found: memory_until_the_witness_passed,
    without_the_hour_counts_from_the_passing_a_stale_answer_is_found: the_hour_counts_from_the_passing,
    without_memory_is_full_at_the_start_a_stale_answer_is_found: memory_is_full_at_the_start,
    without_what_is_deleted_again_is_remembered_a_stale_answer_is_found: what_is_deleted_again_is_remembered,
    without_rows_kept_to_the_grants_end_a_stale_answer_is_found: rows_kept_to_the_grants_end,
    without_reload_below_the_purge_mark_a_stale_answer_is_found: reload_below_the_purge_mark,
    without_recover_kills_everything_a_stale_answer_is_found: recover_kills_everything,
    without_recover_jumps_the_sequence_a_stale_answer_is_found: recover_jumps_the_sequence,
}
