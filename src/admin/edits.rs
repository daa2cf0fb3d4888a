//! Editing live grants: narrow, shorten, freeze, thaw.
//!
//! The grant store is not touched, for it may be set back: an edit is a change of the feed, and holds beside whatever
//! the record says.

use super::tokens::dead_because;
use super::{Admin, AdminError};
use crate::changes::{Change, Edit, Recorded, Restrictions};
use crate::domain::calendar::rfc3339;
use crate::domain::clock::Timestamp;
use crate::domain::identifier::GrantId;
use crate::domain::scope::Scope;
use crate::grants::GrantRecord;

/// A grant, and what holds of it now.
#[derive(Clone, Debug)]
pub struct Held {
    pub grant_id: GrantId,
    /// What the grant store has; `None` when it has nothing, or could not be asked.
    pub record: Option<GrantRecord>,
    pub restrictions: Restrictions,
    /// Why nothing of it will ever be active again.
    pub dead_because: Option<&'static str>,
}

impl Held {
    /// What it allows; `None` where that is not known, and nothing narrowed it.
    pub fn scope(&self) -> Option<Scope> {
        let granted = self.record.as_ref().map(|record| self.restrictions.narrow(&record.scope));
        granted.or_else(|| self.restrictions.scope.clone())
    }

    /// When it ends; `None` where that is not known, and nothing shortened it.
    pub fn ends_at(&self) -> Option<Timestamp> {
        let own = self.record.as_ref().map(|record| self.restrictions.end(record.expires_at));
        own.or(self.restrictions.ends_at)
    }

    pub const fn is_frozen(&self) -> bool {
        self.restrictions.is_frozen()
    }

    /// Why an edit of it would do nothing, or something else than was meant.
    pub fn objection(&self, edit: &Edit, now: Timestamp) -> Option<String> {
        if let Some(why) = self.dead_because {
            return Some(why.to_owned());
        }
        match edit {
            Edit::Narrow(scope) => self.objection_to_scope(scope),
            Edit::Shorten(end) if *end <= now => {
                Some(format!("{} is over; to end the grant now, revoke it", rfc3339(*end)))
            }
            Edit::Shorten(end) => {
                let ends_at = self.ends_at().filter(|ends_at| ends_at < end)?;
                Some(format!("the grant ends at {} already", rfc3339(ends_at)))
            }
            Edit::Freeze | Edit::Thaw => None,
        }
    }

    fn objection_to_scope(&self, scope: &Scope) -> Option<String> {
        let granted = self.record.as_ref().map(|record| &record.scope);
        if let Some(granted) = granted.filter(|granted| !scope.is_subset(granted)) {
            return Some(format!("the grant was given \"{granted}\", and can be narrowed to a part of that"));
        }
        let left = self.scope().filter(|left| !left.intersects(scope))?;
        Some(format!(
            "the grant allows \"{left}\" now, and nothing of that would be left; to end it, revoke it"
        ))
    }
}

impl Admin {
    /// What holds of grants, each with what the grant store has of it.
    ///
    /// # Errors
    /// When SQL fails.
    pub async fn held(&self, grants: Vec<(GrantId, Option<GrantRecord>)>) -> Result<Vec<Held>, AdminError> {
        let known = self.feed.load_about(grants.iter().map(|(id, _)| *id).collect()).await?;
        let now = self.clock.now();
        let held = grants.into_iter().map(|(grant_id, record)| {
            let restrictions = known.restricted.of(&grant_id).cloned().unwrap_or_default();
            let dead_because = match &record {
                Some(record) => dead_because(&known, now, grant_id, Some(record), None),
                // What the store has lost may come back.
                None if known.revoked.contains(&grant_id) => Some("the grant is revoked"),
                None => None,
            };
            Held { grant_id, record, restrictions, dead_because }
        });
        Ok(held.collect())
    }

    /// Edits grants, all or none.
    ///
    /// # Errors
    /// When SQL fails; the edits may have been recorded, and asking again is safe.
    pub async fn edit(&self, grants: &[Held], edit: &Edit) -> Result<Recorded, AdminError> {
        let changes = grants.iter().map(|held| Change::GrantEdited {
            grant: held.grant_id,
            edit: edit.clone(),
            ends_at: held.record.as_ref().map(|record| record.expires_at),
        });
        self.record_all(changes.collect()).await
    }
}
