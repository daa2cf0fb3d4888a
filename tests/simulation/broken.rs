//! Rules that can be broken on purpose: a simulation that cannot fail proves nothing.

/// Each breaks one rule of the design; the names of the exhaustive model's rules are kept where it has them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Broken {
    /// A renewal sets `applied` to SQL's head at its commit, not to what was published.
    AppliedIsTheHead,
    /// A renewal uses rows that were read before its t0 was noted.
    RowsBeforeT0,
    /// A renewal commits first and publishes then.
    PublishAfterTheCommit,
    /// A renewal is called confirmed although its commit failed.
    FailureIsConfirmed,
    /// A renewal is called confirmed although it changed no row.
    NoRowIsConfirmed,
    /// Renewals do not survive a crash of SQL.
    NotDurable,
    /// A silent row is deleted whatever its beat is by now.
    EvictIgnoresTheBeat,
    /// A row is deleted while requests are still taken.
    DeleteBeforeDrain,
    /// L is counted from before the commit.
    CountsFromBeforeTheCommit,
    /// The acknowledger judges by rows that it had read earlier.
    StaleRead,
    /// The wait is no longer than the lease that a slow clock measures.
    WaitAsShortAsTheLease,
    /// A request judges by the snapshot that its worker took before.
    CachedSnapshot,
    /// A request compares with the time that its worker read before.
    CachedClock,
    /// A request compares the newest deadline, and judges by the snapshot that it took earlier.
    DeadlineOutsideTheSnapshot,
    /// A mint takes its birth number after the fact that justifies it.
    BirthAfterTheFact,
    /// A mint takes its birth number from SQL's head.
    BirthFromTheHead,
    /// A mint is handed out without a last look.
    NoFinalSnapshot,
    /// The witness is moved, and the records are deleted later.
    DeletionsAfterTheWitness,
    /// A connection is served from although its store is behind what is remembered.
    BehindIsServed,
    /// Revocations are forgotten as soon as the witness has passed them.
    NoMemory,
}
