//! The rules of the design that the witness model can take out, each with the sentence it stands for.

/// All true is the design.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is one rule, on or off")]
pub struct Rules {
    /// Whoever moves the witness deletes the records in the same step, not after it.
    pub deletions_with_the_witness: bool,
    /// … and on one and the same primary: a failover in between undoes the deletions, not the intent to
    /// move the witness.
    pub deletions_and_witness_on_one_primary: bool,
    /// A new connection that finds the witness behind makes the missing deletions before it serves.
    pub witness_behind_is_mended_on_connecting: bool,
    /// A new connection that finds the witness ahead of SQL does not serve.
    pub witness_ahead_is_not_ready: bool,
    /// The witness says in which history its number stands.
    pub witness_carries_the_hash: bool,
    /// A revocation stays in memory until the witness has passed it.
    pub memory_until_the_witness_passed: bool,
    /// … and then for an hour, however old the revocation is by then.
    pub the_hour_counts_from_the_passing: bool,
    /// A replica that starts cannot know when the witness passed: it remembers every revocation, for an
    /// hour at least.
    pub memory_is_full_at_the_start: bool,
    /// What a new connection finds not deleted goes back into memory.
    pub what_is_deleted_again_is_remembered: bool,
    /// The row of a revocation outlives the grant.
    pub rows_kept_to_the_grants_end: bool,
    /// A replica that misses purged rows reloads everything.
    pub reload_below_the_purge_mark: bool,
    /// `recover` kills everything born before.
    pub recover_kills_everything: bool,
    /// `recover` jumps beyond every number that was ever given.
    pub recover_jumps_the_sequence: bool,
}

impl Rules {
    /// The design.
    pub const ALL: Self = Self {
        deletions_with_the_witness: true,
        deletions_and_witness_on_one_primary: true,
        witness_behind_is_mended_on_connecting: true,
        witness_ahead_is_not_ready: true,
        witness_carries_the_hash: true,
        memory_until_the_witness_passed: true,
        the_hour_counts_from_the_passing: true,
        memory_is_full_at_the_start: true,
        what_is_deleted_again_is_remembered: true,
        rows_kept_to_the_grants_end: true,
        reload_below_the_purge_mark: true,
        recover_kills_everything: true,
        recover_jumps_the_sequence: true,
    };
}
