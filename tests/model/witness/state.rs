//! The state of the witness model: SQL, Redis with a follower and a dump, one replica.

use std::fmt::{self, Display};

pub const NUMBERS: [u8; 2] = [1, 2];

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    Kill,
    Revocation,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct State {
    pub kinds: [Kind; 2],
    /// Which changes were acknowledged.
    pub acknowledged: [bool; 2],
    pub sql: Sql,
    pub redis: Redis,
    pub follower: Redis,
    pub dump: Redis,
    /// `None` is down.
    pub replica: Option<Replica>,
    pub stale: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Sql {
    pub head: u8,
    /// Rows that are no longer there; the kill numbers of purged kills still are.
    pub purged: [bool; 2],
    /// The head that was left when commits were lost. What was written since belongs to another history.
    pub fork: Option<u8>,
    /// The kill number that `recover` gave to everybody.
    pub everybody: Option<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Redis {
    pub records: [bool; 2],
    pub witness: Position,
}

/// A number and, in place of the hash, which history it is a number of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Position {
    pub number: u8,
    pub after_the_fork: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Replica {
    pub position: u8,
    /// The changes whose effect it knows: kill numbers, and revocations in memory.
    pub knows: [bool; 2],
    pub connected: bool,
    /// Against the rules: records still to be deleted although the witness has passed them.
    pub owes: [bool; 2],
    /// Against the rules: it has made the deletions from this witness on, and has yet to move it.
    pub half_way: Option<u8>,
}

impl Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = |flags: [bool; 2]| match flags {
            [false, false] => "none",
            [true, false] => "1",
            [false, true] => "2",
            [true, true] => "1 2",
        };
        let [first, second] = self.kinds;
        let records = set(self.redis.records);
        let witness = self.redis.witness.number;
        write!(f, "{first:?}, {second:?} | head {}", self.sql.head)?;
        write!(f, " | records {records}, witness {witness}")?;
        match self.replica {
            Some(replica) => write!(f, " | at {} knows {}", replica.position, set(replica.knows)),
            None => write!(f, " | down"),
        }
    }
}

/// The index of what belongs to change `number`.
pub fn at(number: u8) -> usize {
    usize::from(number) - 1
}

impl Sql {
    /// Whether the change that ended grant `number` is in SQL's history.
    pub fn holds(self, number: u8) -> bool {
        number <= self.fork.unwrap_or(self.head).min(self.head)
    }

    pub fn position(self, number: u8) -> Position {
        let after_the_fork = self.fork.is_some_and(|fork| number > fork);
        Position { number, after_the_fork }
    }
}

impl State {
    pub fn first(kinds: [Kind; 2]) -> Self {
        let sql = Sql { head: 0, purged: [false; 2], fork: None, everybody: None };
        let redis = Redis { records: [true; 2], witness: sql.position(0) };
        Self {
            kinds,
            acknowledged: [false; 2],
            sql,
            redis,
            follower: redis,
            dump: redis,
            replica: Some(Replica {
                position: 0,
                knows: [false; 2],
                connected: true,
                owes: [false; 2],
                half_way: None,
            }),
            stale: false,
        }
    }

    pub fn is_revocation(&self, number: u8) -> bool {
        self.kinds[at(number)] == Kind::Revocation
    }

    /// Whether a load shows the effect of change `number`.
    pub fn loads(&self, number: u8) -> bool {
        self.sql.holds(number) && !(self.is_revocation(number) && self.sql.purged[at(number)])
    }

    pub fn serving(&self) -> Option<Replica> {
        let replica = self.replica?;
        (replica.connected && replica.position == self.sql.head).then_some(replica)
    }
}
