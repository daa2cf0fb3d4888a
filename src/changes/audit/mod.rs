//! The audit: what was done, and what was tried in vain; in commit order, each row chained to the one before.
//!
//! Rows are written in the transactions that record the changes, so what cannot be audited does not happen. They outlive
//! the rows of the feed, which are kept for as long as a replica may need them.

mod allowance;
mod verify;

use std::fmt;

use diesel::prelude::*;
use sha2::{Digest as _, Sha256};

pub use self::allowance::{Allowance, Unrecorded};
pub use self::verify::{Broken, Fault, Walk};
use super::change::{Change, Edit, KillScope};
use super::entry::{Author, Entry};
use crate::domain::calendar;
use crate::domain::clock::Timestamp;
use crate::domain::position::{ChangeHash, ChangeNumber};
use crate::sql::schema::audit;

/// What retention does: its rows say up to which number it took rows away, at the end of their detail.
pub(super) const PURGE: &str = "purge-audit";

/// What became of what somebody wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// It was recorded already: that change is what they were told of.
    Repeated,
    Refused,
}

impl Outcome {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Repeated => "repeated",
            Self::Refused => "refused",
        }
    }
}

/// Something that an authenticated caller wanted and was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub author: Author,
    pub action: &'static str,
    /// A grant id, a client id, a name, …; never a secret.
    pub target: String,
    /// Why it was refused.
    pub why: String,
}

/// What a row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    pub author: Author,
    pub action: &'static str,
    pub target: String,
    pub detail: Option<String>,
    pub outcome: Outcome,
    pub reason: Option<String>,
    pub change: Option<ChangeNumber>,
}

impl Deed {
    /// That an entry was recorded, as the change of this number.
    pub fn recorded(entry: &Entry, change: ChangeNumber, outcome: Outcome) -> Self {
        let (target, beside) = about(&entry.change);
        Self {
            author: entry.author.clone(),
            action: entry.action(),
            target,
            detail: entry.detail.clone().or(beside),
            outcome,
            reason: entry.reason.clone(),
            change: Some(change),
        }
    }
}

impl From<Attempt> for Deed {
    fn from(attempt: Attempt) -> Self {
        let Attempt { author, action, target, why } = attempt;
        let (outcome, reason) = (Outcome::Refused, Some(why));
        Self { author, action, target, detail: None, outcome, reason, change: None }
    }
}

/// What a change is about: one thing, by which it is found; and what else it names.
fn about(change: &Change) -> (String, Option<String>) {
    match change {
        Change::RotationLost { grant, number } => {
            (grant.to_string(), Some(format!("refresh token {number} was taken up")))
        }
        Change::GrantEdited { grant, edit, .. } => (grant.to_string(), extent(edit)),
        Change::Killed(KillScope::OtherLoginSessionsOf { user, spared, .. }) => {
            (user.to_string(), Some(format!("all but {spared}")))
        }
        Change::Killed(KillScope::Consent(user, client)) => {
            (user.to_string(), Some(format!("client {client}")))
        }
        change => (change.columns().1, None),
    }
}

/// What an edit leaves of a grant.
fn extent(edit: &Edit) -> Option<String> {
    match edit {
        Edit::Narrow(scope) => Some(format!("to \"{scope}\"")),
        Edit::Shorten(end) => Some(format!("until {}", calendar::rfc3339(*end))),
        Edit::Freeze | Edit::Thaw => None,
    }
}

/// A row as the database has it, which may not be as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Insertable)]
#[diesel(table_name = audit)]
pub struct AuditRow {
    pub number: i64,
    /// Unix seconds, by the clock of whoever recorded it.
    pub recorded_at: i64,
    pub actor: String,
    pub place: Option<String>,
    pub action: String,
    pub target: String,
    pub detail: Option<String>,
    pub outcome: String,
    pub reason: Option<String>,
    pub change: Option<i64>,
    pub hash: Vec<u8>,
}

impl AuditRow {
    /// SHA-256 over the chain value before and every column, each with its length, so that no two different rows are
    /// written alike.
    fn chain_value(&self, previous: &ChangeHash, number: i64) -> ChangeHash {
        let Self { recorded_at, actor, place, action, target, detail, outcome, reason, change, .. } = self;
        let mut hash = Sha256::new_with_prefix(b"symbolon/audit/v1");
        hash.update(previous.0);
        for number in [number, *recorded_at, change.unwrap_or(-1)] {
            hash.update(number.to_be_bytes());
        }
        for text in [actor, action, target, outcome] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
        for text in [place, detail, reason] {
            hash.update([u8::from(text.is_some())]);
            let text = text.as_deref().unwrap_or_default();
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
        ChangeHash(hash.finalize().into())
    }
}

/// A place in the audit: a row's number, and the chain value that proves that it is that row. Noted elsewhere, it proves
/// later that nothing up to it was altered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditMark {
    pub number: i64,
    pub hash: ChangeHash,
}

impl AuditMark {
    /// The row that says this, after this place; which moves on to it.
    pub fn append(&mut self, deed: Deed, now: Timestamp) -> AuditRow {
        let mut row = AuditRow {
            number: self.number.saturating_add(1),
            recorded_at: now.unix_seconds(),
            place: deed.author.place().map(str::to_owned),
            actor: deed.author.actor.to_string(),
            action: deed.action.to_owned(),
            target: deed.target,
            detail: deed.detail,
            outcome: deed.outcome.as_str().to_owned(),
            reason: deed.reason,
            change: deed.change.and_then(|change| i64::try_from(change.get()).ok()),
            hash: Vec::new(),
        };
        let hash = row.chain_value(&self.hash, row.number);
        *self = Self { number: row.number, hash };
        row.hash = hash.0.to_vec();
        row
    }

    /// Reads what [`fmt::Display`] wrote: `NUMBER:HASH`.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, digits) = text.split_once(':')?;
        let number = number.parse().ok().filter(|number| *number >= 0)?;
        let mut hash = [0; 32];
        if digits.len() != 2 * hash.len() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        for (byte, digits) in hash.iter_mut().zip(digits.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self { number, hash: ChangeHash(hash) })
    }
}

impl fmt::Display for AuditMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.number)?;
        self.hash.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Where the audit begins and ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditBounds {
    /// The last row that retention has deleted: what the first one follows.
    pub purged: AuditMark,
    pub head: AuditMark,
}

/// Which rows are wanted; all of this has to be so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    pub since: Option<Timestamp>,
    /// Not at this moment any more.
    pub until: Option<Timestamp>,
    /// What the actor begins with.
    pub actor: Option<String>,
    pub action: Option<String>,
    pub target: Option<String>,
    pub outcome: Option<Outcome>,
}

#[cfg(test)]
mod tests;
