//! What can go wrong with SQL, in the words the rest of the project decides by.

use std::fmt;

use diesel::result::{DatabaseErrorKind, Error};

/// A failed unit of SQL work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SqlError {
    /// The database could not be asked; nothing was written.
    Unavailable(String),
    /// The commit was sent and its outcome is not known: the work may have been recorded.
    Uncertain(String),
    /// A row with the same unique value is there already.
    Duplicate(String),
    /// The row asked for is not there.
    NotFound,
    /// The database holds something that this version does not understand.
    Unintelligible(String),
    /// The unit itself decided to fail; nothing was written.
    Refused(String),
}

impl SqlError {
    pub fn unavailable(error: impl fmt::Display) -> Self {
        Self::Unavailable(error.to_string())
    }

    pub fn unintelligible(what: impl fmt::Display) -> Self {
        Self::Unintelligible(what.to_string())
    }
}

impl From<Error> for SqlError {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::NotFound,
            Error::DatabaseError(DatabaseErrorKind::UniqueViolation, details) => {
                Self::Duplicate(details.message().to_owned())
            }
            Error::DeserializationError(error) => Self::Unintelligible(error.to_string()),
            error => Self::Unavailable(error.to_string()),
        }
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(why) => write!(f, "the database cannot be asked: {why}"),
            Self::Uncertain(why) => write!(f, "the database did not confirm the commit: {why}"),
            Self::Duplicate(what) => write!(f, "there is one already: {what}"),
            Self::NotFound => f.write_str("there is no such row"),
            Self::Unintelligible(what) => {
                write!(f, "the database holds what this version does not understand: {what}")
            }
            Self::Refused(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for SqlError {}
