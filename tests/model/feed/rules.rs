//! The rules of the design that the model can take out, each with the sentence it stands for.

/// All true is the design.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is one rule, on or off")]
pub struct Rules {
    /// A request judges by its snapshot's own deadline, not by whatever the replica's is by then.
    pub deadline_inside_the_snapshot: bool,
    /// The snapshot is taken after the request began.
    pub snapshot_after_the_beginning: bool,
    /// The clock is read after the request began.
    pub clock_after_the_beginning: bool,
    /// A lease lasts less than L, which is what everybody else waits for.
    pub lease_shorter_than_the_wait: bool,
    /// A renewal notes t0 before it reads the rows.
    pub t0_before_the_read: bool,
    /// A renewal publishes what it read before it commits that it did.
    pub publish_before_the_commit: bool,
    /// A lease is extended only when the renewal's commit has been confirmed.
    pub lease_after_the_confirmation: bool,
    /// … and only when it changed exactly the replica's own row.
    pub exactly_one_row: bool,
    /// `applied` is the position just published, not a head read separately.
    pub applied_is_what_was_published: bool,
    /// A replica that joins serves only after a renewal in a later transaction.
    pub renew_after_the_join: bool,
    /// An acknowledger counts L from the return of the change's commit, not from its start.
    pub count_from_the_return: bool,
    /// A silent row is deleted only if its beat is still the one that was watched.
    pub delete_on_the_same_beat: bool,
    /// A replica that leaves drops its lease before it deletes its row.
    pub drain_before_the_delete: bool,
    /// Renewals commit durably.
    pub durable_renewals: bool,
    /// Inserts commit durably.
    pub durable_inserts: bool,
    /// A mint notes its birth number before it reads the first fact that justifies it.
    pub birth_before_the_first_fact: bool,
    /// A birth number is the position of the replica's own snapshot, not SQL's head.
    pub birth_from_the_snapshot: bool,
    /// A mint that its final snapshot finds dead is not handed out.
    pub final_snapshot: bool,
}

impl Rules {
    /// The design.
    pub const ALL: Self = Self {
        deadline_inside_the_snapshot: true,
        snapshot_after_the_beginning: true,
        clock_after_the_beginning: true,
        lease_shorter_than_the_wait: true,
        t0_before_the_read: true,
        publish_before_the_commit: true,
        lease_after_the_confirmation: true,
        exactly_one_row: true,
        applied_is_what_was_published: true,
        renew_after_the_join: true,
        count_from_the_return: true,
        delete_on_the_same_beat: true,
        drain_before_the_delete: true,
        durable_renewals: true,
        durable_inserts: true,
        birth_before_the_first_fact: true,
        birth_from_the_snapshot: true,
        final_snapshot: true,
    };
}
