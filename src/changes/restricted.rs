//! What live grants were restricted to: a persistent map, of which each snapshot has its own.
//!
//! The same arithmetic makes the map in memory and the rows in SQL, so that a replica which loads knows what one
//! knows that followed. Restrictions are few: an admin makes each by hand.

use std::time::Duration;

use super::change::Edit;
use crate::domain::clock::Timestamp;
use crate::domain::identifier::GrantId;
use crate::domain::position::ChangeNumber;
use crate::domain::scope::Scope;

/// What holds of one grant besides its record: the strictest of all that was ever done to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restrictions {
    /// Nothing beyond this is allowed any more.
    pub scope: Option<Scope>,
    /// It ends then at the latest.
    pub ends_at: Option<Timestamp>,
    /// When it was frozen last, by the clock of whoever did.
    pub frozen_at: Option<Timestamp>,
    /// When it was thawed since; `None` while it is frozen.
    pub thawed_at: Option<Timestamp>,
    /// The grant's own end, after which nobody asks any more.
    pub needed_until: Timestamp,
    /// The last change that made any of this.
    pub number: ChangeNumber,
}

/// An edit as the feed recorded it.
#[derive(Clone, Copy, Debug)]
pub struct RecordedEdit<'e> {
    pub edit: &'e Edit,
    pub recorded_at: Timestamp,
    pub needed_until: Timestamp,
    pub number: ChangeNumber,
}

impl Restrictions {
    /// What holds after an edit; `None` when nothing ever did.
    pub(super) fn after(before: Option<Self>, recorded: RecordedEdit<'_>) -> Option<Self> {
        if before.is_none() && *recorded.edit == Edit::Thaw {
            return None;
        }
        let mut now = before.unwrap_or_default();
        match recorded.edit {
            Edit::Narrow(scope) => now.scope = Some(now.narrow(scope)),
            Edit::Shorten(end) => now.ends_at = Some(now.end(*end)),
            Edit::Freeze if !now.is_frozen() => {
                (now.frozen_at, now.thawed_at) = (Some(recorded.recorded_at), None);
            }
            Edit::Thaw if now.is_frozen() => now.thawed_at = Some(recorded.recorded_at),
            Edit::Freeze | Edit::Thaw => {}
        }
        now.needed_until = now.needed_until.max(recorded.needed_until);
        now.number = recorded.number;
        Some(now)
    }

    pub const fn is_frozen(&self) -> bool {
        self.frozen_at.is_some() && self.thawed_at.is_none()
    }

    /// Whether the grant allows nothing now, whatever its record says.
    pub fn bars(&self, now: Timestamp) -> bool {
        self.is_frozen() || self.ends_at.is_some_and(|end| end <= now)
    }

    /// What is left of a scope.
    pub fn narrow(&self, scope: &Scope) -> Scope {
        self.scope.as_ref().map_or_else(|| scope.clone(), |narrowed| scope.intersection(narrowed))
    }

    /// When something ends that would end at `end`.
    pub fn end(&self, end: Timestamp) -> Timestamp {
        self.ends_at.map_or(end, |shortened| end.min(shortened))
    }

    /// How much of the time from `since` to `now` the grant was not frozen, as far as the last freeze tells: whoever
    /// could not come is not late.
    pub fn unfrozen(&self, since: Timestamp, now: Timestamp) -> Duration {
        let Some(frozen_at) = self.frozen_at else { return now - since };
        let frozen = self.thawed_at.unwrap_or(now).min(now) - frozen_at.max(since);
        (now - since).saturating_sub(frozen)
    }
}

/// The grants that are restricted. Cloning shares everything.
#[derive(Clone, Debug, Default)]
pub struct RestrictedGrants(imbl::HashMap<GrantId, Restrictions>);

impl RestrictedGrants {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What holds of a grant; `None` for all but a few.
    pub fn of(&self, grant: &GrantId) -> Option<&Restrictions> {
        if self.0.is_empty() { None } else { self.0.get(grant) }
    }

    pub(super) fn edit(&mut self, grant: GrantId, recorded: RecordedEdit<'_>) {
        if let Some(now) = Restrictions::after(self.0.get(&grant).cloned(), recorded) {
            self.0.insert(grant, now);
        }
    }

    /// Forgets grants that have ended before `now`.
    pub(super) fn prune(&mut self, now: Timestamp) {
        if self.0.values().any(|restrictions| restrictions.needed_until < now) {
            self.0.retain(|_, restrictions| restrictions.needed_until >= now);
        }
    }
}

impl FromIterator<(GrantId, Restrictions)> for RestrictedGrants {
    fn from_iter<I: IntoIterator<Item = (GrantId, Restrictions)>>(grants: I) -> Self {
        Self(grants.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn scope(text: &str) -> Scope {
        Scope::parse(text).unwrap()
    }

    /// What holds after these edits, one a second from 1.
    fn after(edits: &[Edit]) -> Option<Restrictions> {
        (1..).zip(edits).fold(None, |before, (second, edit)| {
            let number = ChangeNumber::new(second);
            let recorded_at = at(i64::try_from(second).unwrap());
            Restrictions::after(before, RecordedEdit { edit, recorded_at, needed_until: at(900), number })
        })
    }

    #[test]
    fn the_strictest_scope_and_the_earliest_end_stand_in_whatever_order_they_came() {
        let narrows = [scope("a b c"), scope("b c d")].map(Edit::Narrow);
        let shortens = [at(50), at(40), at(60)].map(Edit::Shorten);
        let mut edits = [&narrows[..], &shortens[..]].concat();
        for _ in 0..2 {
            let held = after(&edits).unwrap();
            assert_eq!((held.scope.clone(), held.ends_at), (Some(scope("b c")), Some(at(40))));
            assert_eq!(held.narrow(&scope("a b")), scope("b"));
            assert_eq!((held.end(at(30)), held.end(at(70))), (at(30), at(40)));
            edits.reverse();
        }
        let nothing = after(&[Edit::Narrow(scope("a")), Edit::Narrow(scope("b"))]).unwrap();
        assert!(nothing.narrow(&scope("a b")).is_empty());
    }

    #[test]
    fn a_thaw_undoes_a_freeze_and_nothing_else() {
        let kept = [Edit::Narrow(scope("a")), Edit::Shorten(at(40))];
        let frozen = after(&[&kept[..], &[Edit::Freeze, Edit::Freeze]].concat()).unwrap();
        assert!(frozen.is_frozen());
        let thawed = after(&[&kept[..], &[Edit::Freeze, Edit::Freeze, Edit::Thaw]].concat()).unwrap();
        assert!(!thawed.is_frozen());
        assert_eq!((thawed.scope, thawed.ends_at), (Some(scope("a")), Some(at(40))));
        let again = after(&[Edit::Freeze, Edit::Thaw, Edit::Thaw, Edit::Freeze]).unwrap();
        assert!(again.is_frozen(), "one thaw is not kept for the next freeze");
        assert_eq!(after(&[Edit::Thaw]), None, "there was nothing to undo");
    }

    #[test]
    fn time_in_which_a_grant_was_frozen_does_not_count() {
        let thawed =
            Restrictions { frozen_at: Some(at(100)), thawed_at: Some(at(150)), ..Restrictions::default() };
        for (since, now, counted) in
            [(40, 90, 50), (90, 120, 10), (90, 150, 10), (90, 170, 30), (120, 170, 20), (160, 170, 10)]
        {
            let expected = Duration::from_secs(counted);
            assert_eq!(thawed.unfrozen(at(since), at(now)), expected, "{since} to {now}");
        }
        let frozen = Restrictions { thawed_at: None, ..thawed };
        assert_eq!(frozen.unfrozen(at(90), at(1_000)), Duration::from_secs(10));
        assert_eq!(Restrictions::default().unfrozen(at(90), at(1_000)), Duration::from_secs(910));
    }

    #[test]
    fn a_grant_is_forgotten_after_its_own_end_whatever_end_it_was_given() {
        let grant = GrantId::from_bytes([1; 12]);
        let edit = Edit::Shorten(at(40));
        let recorded = RecordedEdit {
            edit: &edit,
            recorded_at: at(1),
            needed_until: at(900),
            number: ChangeNumber::new(1),
        };
        let mut grants = RestrictedGrants::default();
        grants.edit(grant, recorded);
        grants.prune(at(900));
        assert_eq!(
            grants.of(&grant).and_then(|held| held.ends_at),
            Some(at(40)),
            "its record may say otherwise"
        );
        grants.prune(at(901));
        assert!(grants.is_empty());
    }
}
