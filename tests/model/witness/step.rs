//! What can happen, in words.

use std::fmt::{self, Display};

#[derive(Clone, Copy)]
pub enum Step {
    Commit(u8),
    CommitOther,
    Purge(u8),
    LoseCommits(u8),
    Recover,
    Start,
    CatchUp,
    Crash,
    Connect,
    Disconnect,
    MoveWitness,
    DeleteFirst,
    DeleteLate,
    Forget(u8),
    Replicate,
    FailOver,
    Dump,
    Restore,
    Introspect(u8),
}

impl Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Commit(n) => write!(f, "change {n} is committed and acknowledged"),
            Self::CommitOther => write!(f, "an unrelated change commits"),
            Self::Purge(n) => write!(f, "row {n} is purged"),
            Self::LoseCommits(n) => write!(f, "SQL falls back to head {n}"),
            Self::Recover => write!(f, "the operator runs recover"),
            Self::Start => write!(f, "the replica starts and loads everything"),
            Self::CatchUp => write!(f, "the replica reads on to the head"),
            Self::Crash => write!(f, "the replica crashes"),
            Self::Connect => write!(f, "the replica connects to Redis"),
            Self::Disconnect => write!(f, "the connection to Redis breaks"),
            Self::MoveWitness => write!(f, "the replica moves the witness"),
            Self::DeleteFirst => write!(f, "the replica deletes, to move the witness next"),
            Self::DeleteLate => write!(f, "the replica deletes what the witness passed"),
            Self::Forget(n) => write!(f, "an hour later the replica forgets revocation {n}"),
            Self::Replicate => write!(f, "the follower catches up"),
            Self::FailOver => write!(f, "Redis fails over, connections stay open"),
            Self::Dump => write!(f, "Redis is dumped"),
            Self::Restore => write!(f, "Redis is restored from the dump"),
            Self::Introspect(n) => write!(f, "grant {n} is introspected"),
        }
    }
}
