//! That it cannot be said now who somebody is.

use std::fmt;

use crate::changes::{FeedError, NoLease};
use crate::directory::UsersUnavailable;
use crate::domain::entropy::EntropyUnavailable;
use crate::grants::StoreError;
use crate::sql::SqlError;

/// Something that has to be asked does not answer: why, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable(pub String);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unavailable {}

macro_rules! from {
    ($($error:ty),*) => {
        $(impl From<$error> for Unavailable {
            fn from(error: $error) -> Self {
                Self(error.to_string())
            }
        })*
    };
}

from!(NoLease, FeedError, SqlError, StoreError, UsersUnavailable, EntropyUnavailable);
