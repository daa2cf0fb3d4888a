//! What can be done to a live grant short of revoking it.

use crate::domain::clock::Timestamp;
use crate::domain::identifier::GrantId;
use crate::domain::scope::Scope;

/// An edit of a live grant. What a scope or an end takes away never comes back; a freeze does, by a thaw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// The grant allows nothing beyond this scope from now on.
    Narrow(Scope),
    /// The grant ends then at the latest.
    Shorten(Timestamp),
    /// The grant allows nothing until it is thawed.
    Freeze,
    Thaw,
}

impl Edit {
    /// What it is called in the feed and in the audit.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Narrow(_) => "narrow-grant",
            Self::Shorten(_) => "shorten-grant",
            Self::Freeze => "freeze-grant",
            Self::Thaw => "thaw-grant",
        }
    }

    /// The columns `kind` and `target` of the change that edits `grant`.
    pub(super) fn columns(&self, grant: &GrantId) -> (&'static str, String) {
        let target = match self {
            Self::Narrow(scope) => format!("{grant} {scope}"),
            Self::Shorten(end) => format!("{grant} {end}"),
            Self::Freeze | Self::Thaw => grant.to_string(),
        };
        (self.kind(), target)
    }

    /// `None` for a kind, or a target, that is no edit of a grant.
    pub(super) fn from_columns(kind: &str, target: &str) -> Option<(GrantId, Self)> {
        let (grant, what) =
            target.split_once(' ').map_or((target, None), |(grant, what)| (grant, Some(what)));
        let edit = match (kind, what) {
            ("narrow-grant", Some(scope)) => Self::Narrow(Scope::parse(scope).ok()?),
            ("shorten-grant", Some(end)) => Self::Shorten(Timestamp::from_unix_seconds(end.parse().ok()?)),
            ("freeze-grant", None) => Self::Freeze,
            ("thaw-grant", None) => Self::Thaw,
            _ => return None,
        };
        Some((GrantId::from_digits(grant.as_bytes())?, edit))
    }
}
