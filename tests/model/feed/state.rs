//! The state of the feed model: SQL, the writers, the deleter of silent rows, two replicas, one request,
//! one mint.
//!
//! No field holds a time: each clock is an age, or the ticks left to a deadline, and stops where nobody can
//! tell the difference any more. So there are finitely many states although everything may go on for ever.

use std::fmt::{self, Display};

/// One lease, in ticks. It is granted as `now < t0 + L`: the whole-tick stand-in for 0.9 L, since every other
/// wait of this length ends at `now >= start + L`.
pub const L: i8 = 2;

pub const REPLICAS: [usize; 2] = [0, 1];

/// A position in the feed: the number of the last change up to which it goes.
pub type Position = u8;

/// Ticks since something, never more than [`L`]: beyond that, nobody can tell the difference.
pub type Age = i8;

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct State {
    pub changes: [Change; 2],
    pub rows: [Option<Row>; 2],
    /// What SQL would restore if it crashed now. The same rows, while everything commits durably.
    pub durable: [Option<Row>; 2],
    pub watches: [Option<Watch>; 2],
    /// `None` is down: stopped, or crashed.
    pub replicas: [Option<Replica>; 2],
    pub request: Request,
    pub mint: Mint,
    pub violation: Option<Violation>,
}

/// A change, with the one who writes it and acknowledges it. Number n is at index n - 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Change {
    /// On its way to SQL. The age in this and the next state is 0 where it must not count.
    Sent(Age),
    /// In SQL, for every reader to see; its writer does not know it yet.
    Committed(Age),
    /// The commit returned to its writer (or, to whoever takes over, the first read that shows the row).
    Returned(Age),
    Acknowledged,
}

/// A replica's row in SQL. Its incarnation needs no field: the slot is emptied when the replica starts
/// afresh.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Row {
    pub applied: Position,
    /// Counted from the durable row's beat, and 1 for everything later: only equality matters.
    pub beat: u8,
}

/// What the deleter of silent rows remembers: the beat it saw, and how long ago the read that first showed it
/// returned.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Watch {
    pub beat: u8,
    pub age: Age,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Replica {
    pub snapshot: Snapshot,
    pub task: Task,
}

/// What a replica publishes to its workers. The effects of the changes are those up to its position.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Snapshot {
    pub position: Position,
    /// Ticks to the deadline; past it from 0 on.
    pub lease: i8,
}

/// What the one publishing task of a replica is at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Task {
    /// Loaded, without a row. (The age since then counts only where a join is taken for a renewal.)
    Joining(Age),
    Idle,
    /// A renewal, with the age of its t0.
    Noted(Age),
    Read(Age, Position),
    Published(Age),
    /// Committed, not yet confirmed.
    Committed(Age, Position),
}

/// The one request that is watched: an introspection of grant n that began after change n was acknowledged.
/// It is followed only while it can still answer active, so by the design's rules it never gets as far as
/// this.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Request {
    None,
    /// Against the rules: what a worker's loop took before any request began.
    CachedSnapshot(usize, Snapshot),
    CachedClock(usize, Age),
    /// It began after the acknowledgement and holds a snapshot that lacks the change.
    Judging(usize, Snapshot),
}

/// A mint on replica A, justified by a fact that change 1 ends (a client since disabled, a secret since
/// replaced).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Mint {
    None,
    Born(Position),
    /// Authenticated, by a snapshot without change 1. Against the rules the birth number may still be
    /// missing.
    Justified(Option<Position>),
    Stored(Position),
    HandedOut(Position),
}

/// The index of change `number`.
pub fn at(number: Position) -> usize {
    usize::from(number) - 1
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Violation {
    StaleIntrospection,
    DeadMint,
    KillEscaped,
}

impl Violation {
    pub fn words(self) -> &'static str {
        match self {
            Self::StaleIntrospection => "an introspection after the acknowledgement says active",
            Self::DeadMint => "a dead grant is handed out after the kill",
            Self::KillEscaped => "a grant that the kill had to reach says active",
        }
    }
}

impl Request {
    /// The replica that it is on.
    pub fn replica(self) -> Option<usize> {
        match self {
            Self::None => None,
            Self::CachedSnapshot(replica, _) | Self::CachedClock(replica, _) | Self::Judging(replica, _) => {
                Some(replica)
            }
        }
    }
}

impl State {
    /// SQL's head.
    pub fn head(&self) -> Position {
        let committed = |number: Position| !matches!(self.changes[at(number)], Change::Sent(_));
        (1..=2).filter(|&number| committed(number)).max().unwrap_or(0)
    }

    pub fn acknowledged(&self, number: Position) -> bool {
        self.changes[at(number)] == Change::Acknowledged
    }

    /// Whether a request that begins now and judges by a snapshot at `position` would call an ended grant
    /// active.
    pub fn forgets(&self, position: Position) -> bool {
        (position + 1..=2).any(|number| self.acknowledged(number))
    }

    pub fn delete_row(&mut self, replica: usize) {
        self.rows[replica] = None;
        self.durable[replica] = None;
        self.watches[replica] = None;
    }
}

pub fn name(replica: usize) -> char {
    ['A', 'B'][replica]
}

/// One line, such as `head 1 | A at 0 lease 2 row 0 | B down no row`.
impl Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "head {}", self.head())?;
        for replica in REPLICAS {
            match self.replicas[replica] {
                Some(Replica { snapshot, .. }) => {
                    write!(
                        f,
                        " | {} at {} lease {}",
                        name(replica),
                        snapshot.position,
                        snapshot.lease.max(0)
                    )?;
                }
                None => write!(f, " | {} down", name(replica))?,
            }
            match self.rows[replica] {
                Some(row) => write!(f, " row {}", row.applied)?,
                None => write!(f, " no row")?,
            }
        }
        Ok(())
    }
}
