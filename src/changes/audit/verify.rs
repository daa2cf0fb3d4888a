//! Proving that the audit is as it was written: a walk along its chain.

use std::fmt;

use super::{AuditBounds, AuditMark, AuditRow, PURGE};

/// What is wrong with the first row that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not there.
    Removed,
    /// It does not say what was written; or the row before does not, and was given a chain value that fits.
    Altered,
    /// What was written there stands at this number.
    Reordered { with: i64 },
    /// The audit ended before it: it was not written by this server.
    Added,
    /// It is not the one that was noted.
    NotAsNoted,
}

/// The first row at which the chain does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    pub number: i64,
    pub fault: Fault,
}

impl Broken {
    /// One word, for programs.
    pub const fn name(&self) -> &'static str {
        match self.fault {
            Fault::Removed => "removed",
            Fault::Altered => "altered",
            Fault::Reordered { .. } => "reordered",
            Fault::Added => "added",
            Fault::NotAsNoted => "not_as_noted",
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.number;
        match self.fault {
            Fault::Removed => write!(f, "row {number} was removed"),
            Fault::Altered => write!(f, "row {number} was altered, or the one before it"),
            Fault::Reordered { with } => {
                write!(f, "row {number} was reordered: what was written there stands at row {with}")
            }
            Fault::Added => write!(f, "row {number} was added: the audit ended before it"),
            Fault::NotAsNoted => {
                write!(f, "row {number} is not the one that was noted: the audit was written anew")
            }
        }
    }
}

/// A walk along the chain, row by row.
#[derive(Clone, Debug)]
pub struct Walk {
    at: AuditMark,
    noted: Option<AuditMark>,
    /// Up to which row the last purge on the way took rows away.
    purged: Option<i64>,
}

impl Walk {
    /// Begins after `start`, which is known to be right. `noted` is a place to prove on the way.
    pub fn new(start: AuditMark, noted: Option<AuditMark>) -> Result<Self, Broken> {
        let walk = Self { at: start, noted, purged: None };
        walk.check_noted()?;
        Ok(walk)
    }

    /// The last row that is proved.
    pub const fn at(&self) -> AuditMark {
        self.at
    }

    /// Goes on to the row that is next in the database, whose audit ends at `head`.
    ///
    /// # Errors
    /// When it is not what followed.
    pub fn step(&mut self, row: &AuditRow, head: AuditMark) -> Result<(), Broken> {
        let number = self.at.number.saturating_add(1);
        if number > head.number {
            return Err(Broken { number: row.number, fault: Fault::Added });
        }
        if row.number != number {
            return Err(Broken { number, fault: Fault::Removed });
        }
        let hash = row.chain_value(&self.at.hash, number);
        if row.hash != hash.0 {
            return Err(Broken { number, fault: Fault::Altered });
        }
        self.at = AuditMark { number, hash };
        if row.action == PURGE {
            self.purged = row.detail.as_deref().and_then(|detail| detail.rsplit(' ').next()?.parse().ok());
        }
        self.check_noted()
    }

    /// Ends where the database has no further row.
    ///
    /// # Errors
    /// When the audit ended later, or otherwise.
    pub fn end(&self, AuditBounds { purged, head }: AuditBounds) -> Result<(), Broken> {
        if self.at.number < head.number {
            return Err(Broken { number: self.at.number.saturating_add(1), fault: Fault::Removed });
        }
        if self.at != head {
            return Err(Broken { number: self.at.number, fault: Fault::Altered });
        }
        // Retention leaves a row about what it took away; what else is missing somebody removed.
        if purged.number > self.purged.unwrap_or(0) {
            return Err(Broken { number: purged.number, fault: Fault::Removed });
        }
        match self.noted {
            Some(noted) if noted.number > head.number => {
                Err(Broken { number: head.number.saturating_add(1), fault: Fault::Removed })
            }
            _ => Ok(()),
        }
    }

    /// Whether `row` is what was written after the place reached, given that `found`, which stands there, is not.
    pub fn belongs_here(&self, row: &AuditRow, found: &AuditRow) -> bool {
        let hash = row.chain_value(&self.at.hash, self.at.number.saturating_add(1));
        [&row.hash, &found.hash].into_iter().any(|stored| *stored == hash.0)
    }

    fn check_noted(&self) -> Result<(), Broken> {
        match self.noted {
            Some(noted) if noted.number == self.at.number && noted != self.at => {
                Err(Broken { number: noted.number, fault: Fault::NotAsNoted })
            }
            _ => Ok(()),
        }
    }
}
