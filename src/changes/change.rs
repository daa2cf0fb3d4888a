//! A change: one numbered row of the feed, chained to the one before.

mod edit;
mod kill_scope;

use sha2::{Digest as _, Sha256};

pub use self::edit::Edit;
pub use self::kill_scope::KillScope;
use super::entry::Entry;
use super::restricted::RecordedEdit;
use crate::domain::clock::Timestamp;
use crate::domain::identifier::{ClientId, GrantId, ResourceServerId, RoleName, UserId};
use crate::domain::position::{ChangeHash, ChangeNumber};
use crate::domain::token_key::KeyFingerprint;

/// Everything that can make a token mean less, or something else.
///
/// A new kind needs a variant here and an arm in [`Snapshot::apply`](super::Snapshot): a replica
/// of an older version meets a kind it cannot apply, and stops renewing its lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The grant is dead. `ends_at` is its absolute end, after which nobody asks any more; where it
    /// is not known, recording the change fills in the longest lifetime ever configured.
    GrantRevoked { grant: GrantId, ends_at: Option<Timestamp> },
    /// The store of grants lost a rotation, and whoever holds the refresh token of this number was
    /// believed. Takes nothing away; it is told because something was lost, or is not what it seems.
    RotationLost { grant: GrantId, number: u32 },
    /// Less is left of a live grant, or what was taken for a while is given back. `ends_at` is the grant's absolute
    /// end, as of one that is revoked.
    GrantEdited { grant: GrantId, edit: Edit, ends_at: Option<Timestamp> },
    /// Every grant of the set that was born before this change is dead.
    Killed(KillScope),
    /// The client was made, altered, disabled, enabled or deleted.
    ClientChanged(ClientId),
    /// The same of a resource server.
    ResourceServerChanged(ResourceServerId),
    /// The same of a user; or the user's roles or permissions were altered.
    UserChanged(UserId),
    /// The role was made, given other permissions, or deleted.
    RoleChanged(RoleName),
    /// Tokens may be made under this key from now on.
    TokenKeyAdded(KeyFingerprint),
    /// The database had lost commits: every grant born before this change is dead, and numbers
    /// went on from beyond all that may have been lost.
    Recovered,
}

/// A recorded change that has an end always says it; what does not is kept for ever.
pub(super) const FOREVER: Timestamp = Timestamp::from_unix_seconds(i64::MAX);

pub(super) const REVOKE_GRANT: &str = "revoke-grant";
const LOST_ROTATION: &str = "lost-rotation";
pub(super) const LOGIN_SESSION: &str = "login-session";
pub(super) const KILL_LOGIN_SESSION: &str = "kill-login-session";

/// Kinds of which each target has one row: recording it again finds the row that is there.
pub(super) const RECORDED_ONCE: [&str; 2] = [REVOKE_GRANT, LOST_ROTATION];

/// Every kind that this version knows: what loading, which does not read the rows, goes by.
pub(super) const KINDS: [&str; 19] = [
    REVOKE_GRANT,
    LOST_ROTATION,
    "narrow-grant",
    "shorten-grant",
    "freeze-grant",
    "thaw-grant",
    "kill-everything",
    "kill-client",
    "kill-subject",
    KILL_LOGIN_SESSION,
    "kill-login-sessions",
    "kill-other-login-sessions",
    "kill-consent",
    "client",
    "resource-server",
    "user",
    "role",
    "token-key",
    "recover",
];

impl Change {
    /// The columns `kind` and `target`.
    pub fn columns(&self) -> (&'static str, String) {
        match self {
            Self::GrantRevoked { grant, .. } => (REVOKE_GRANT, grant.to_string()),
            Self::RotationLost { grant, number } => (LOST_ROTATION, format!("{grant} {number}")),
            Self::GrantEdited { grant, edit, .. } => edit.columns(grant),
            Self::Killed(scope) => (scope.kind(), scope.columns().1),
            Self::ClientChanged(id) => ("client", id.to_string()),
            Self::ResourceServerChanged(id) => ("resource-server", id.to_string()),
            Self::UserChanged(id) => ("user", id.to_string()),
            Self::RoleChanged(name) => ("role", name.to_string()),
            Self::TokenKeyAdded(fingerprint) => ("token-key", fingerprint.to_string()),
            Self::Recovered => ("recover", String::new()),
        }
    }

    /// `None` for a kind, or a target, that this version does not know.
    pub fn from_columns(kind: &str, target: &str, ends_at: Option<Timestamp>) -> Option<Self> {
        if let Some(scope) = kind.strip_prefix("kill-") {
            return KillScope::from_columns(scope, target, ends_at).map(Self::Killed);
        }
        if let Some((grant, edit)) = Edit::from_columns(kind, target) {
            return Some(Self::GrantEdited { grant, edit, ends_at });
        }
        let change = match kind {
            REVOKE_GRANT => Self::GrantRevoked { grant: GrantId::from_digits(target.as_bytes())?, ends_at },
            LOST_ROTATION => {
                let (grant, number) = target.split_once(' ')?;
                let grant = GrantId::from_digits(grant.as_bytes())?;
                Self::RotationLost { grant, number: number.parse().ok()? }
            }
            "client" => Self::ClientChanged(ClientId::parse(target).ok()?),
            "resource-server" => Self::ResourceServerChanged(ResourceServerId::parse(target).ok()?),
            "user" => Self::UserChanged(UserId::parse(target).ok()?),
            "role" => Self::RoleChanged(RoleName::parse(target).ok()?),
            "token-key" => Self::TokenKeyAdded(KeyFingerprint::from_stored(target)),
            "recover" => Self::Recovered,
            _ => return None,
        };
        Some(change)
    }

    /// The set of grants that this change kills by its number.
    pub const fn killed(&self) -> Option<&KillScope> {
        match self {
            Self::Killed(scope) => Some(scope),
            Self::Recovered => Some(&KillScope::Everything),
            _ => None,
        }
    }

    pub(super) const fn ends_at(&self) -> Option<Timestamp> {
        match self {
            Self::GrantRevoked { ends_at, .. } | Self::GrantEdited { ends_at, .. } => *ends_at,
            Self::Killed(scope) => scope.ends_at(),
            _ => None,
        }
    }

    /// The end that recording the change fills in where it is not known; `None` for a change that
    /// has no end.
    pub(super) const fn open_end(&mut self) -> Option<&mut Option<Timestamp>> {
        match self {
            Self::GrantRevoked { ends_at, .. }
            | Self::GrantEdited { ends_at, .. }
            | Self::Killed(
                KillScope::LoginSession { ends_at, .. } | KillScope::OtherLoginSessionsOf { ends_at, .. },
            ) => Some(ends_at),
            _ => None,
        }
    }
}

/// A change as the feed holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedChange {
    pub number: ChangeNumber,
    pub entry: Entry,
    /// Wall clock of whoever recorded it. Decides retention, nothing else.
    pub recorded_at: Timestamp,
    pub hash: ChangeHash,
}

impl RecordedChange {
    /// Numbers an entry and chains it to the change before.
    pub fn chain(previous: &ChangeHash, number: ChangeNumber, entry: Entry, recorded_at: Timestamp) -> Self {
        let hash = chain_value(previous, number, &entry, recorded_at);
        Self { number, entry, recorded_at, hash }
    }

    /// The grant that this change edits, and how.
    pub(super) fn edit(&self) -> Option<(GrantId, RecordedEdit<'_>)> {
        let Change::GrantEdited { grant, edit, ends_at } = &self.entry.change else { return None };
        let (recorded_at, number) = (self.recorded_at, self.number);
        let needed_until = ends_at.unwrap_or(FOREVER);
        Some((*grant, RecordedEdit { edit, recorded_at, needed_until, number }))
    }

    /// Whether this is what followed the change with the chain value `previous`, unaltered.
    pub fn follows(&self, previous: &ChangeHash) -> bool {
        self.hash == chain_value(previous, self.number, &self.entry, self.recorded_at)
    }
}

/// SHA-256 over the chain value before and every column, each with its length, so that no two
/// different rows are written alike.
fn chain_value(
    previous: &ChangeHash,
    number: ChangeNumber,
    entry: &Entry,
    recorded_at: Timestamp,
) -> ChangeHash {
    let (kind, target) = entry.change.columns();
    let ends_at = entry.change.ends_at().map_or(-1, Timestamp::unix_seconds);
    let mut hash = Sha256::new_with_prefix(b"symbolon/change/v1");
    hash.update(previous.0);
    hash.update(number.get().to_be_bytes());
    hash.update(ends_at.to_be_bytes());
    hash.update(recorded_at.unix_seconds().to_be_bytes());
    hash.update([u8::from(entry.reason.is_some())]);
    let reason = entry.reason.as_deref().unwrap_or_default();
    for text in [kind, &target, entry.author.actor.as_str(), reason] {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    ChangeHash(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::super::entry::Actor;
    use super::*;
    use crate::domain::scope::Scope;

    fn every_kind() -> Vec<Change> {
        let client = ClientId::parse("app").unwrap();
        let user = UserId::parse("usr_1").unwrap();
        let session = GrantId::from_bytes([6; 12]);
        let edited = |edit| Change::GrantEdited {
            grant: GrantId::from_bytes([5; 12]),
            edit,
            ends_at: Some(Timestamp::from_unix_seconds(99)),
        };
        vec![
            edited(Edit::Narrow(Scope::parse("read write").unwrap())),
            edited(Edit::Shorten(Timestamp::from_unix_seconds(96))),
            edited(Edit::Freeze),
            edited(Edit::Thaw),
            Change::GrantRevoked {
                grant: GrantId::from_bytes([5; 12]),
                ends_at: Some(Timestamp::from_unix_seconds(99)),
            },
            Change::RotationLost { grant: GrantId::from_bytes([5; 12]), number: 7 },
            Change::Killed(KillScope::Everything),
            Change::Killed(KillScope::Client(client.clone())),
            Change::Killed(KillScope::Subject(user.clone())),
            Change::Killed(KillScope::LoginSession {
                session,
                ends_at: Some(Timestamp::from_unix_seconds(98)),
            }),
            Change::Killed(KillScope::LoginSessionsOf(user.clone())),
            Change::Killed(KillScope::OtherLoginSessionsOf {
                user: user.clone(),
                spared: session,
                ends_at: Some(Timestamp::from_unix_seconds(97)),
            }),
            Change::Killed(KillScope::Consent(user.clone(), client.clone())),
            Change::ClientChanged(client),
            Change::ResourceServerChanged(ResourceServerId::parse("rs_1").unwrap()),
            Change::UserChanged(user),
            Change::RoleChanged(RoleName::parse("Note editors").unwrap()),
            Change::TokenKeyAdded(KeyFingerprint::from_stored("abc")),
            Change::Recovered,
        ]
    }

    #[test]
    fn every_kind_survives_its_columns() {
        for change in every_kind() {
            let (kind, target) = change.columns();
            assert_eq!(Change::from_columns(kind, &target, change.ends_at()), Some(change));
        }
        assert_eq!(Change::from_columns("bury-grant", "x", None), None);
        assert_eq!(Change::from_columns("kill-tenant", "x", None), None);
    }

    #[test]
    fn an_edit_is_not_guessed_from_a_target_of_another_kind() {
        let grant = GrantId::from_bytes([5; 12]).to_string();
        for (kind, rest) in [
            ("narrow-grant", ""),
            ("narrow-grant", " "),
            ("narrow-grant", " read  write"),
            ("shorten-grant", ""),
            ("shorten-grant", " soon"),
            ("freeze-grant", " 96"),
            ("thaw-grant", " read"),
        ] {
            assert_eq!(Change::from_columns(kind, &format!("{grant}{rest}"), None), None, "{kind}{rest}");
        }
        assert_eq!(Change::from_columns("thaw-grant", "app", None), None);
    }

    #[test]
    fn every_set_survives_its_columns() {
        for scope in every_kind().iter().filter_map(Change::killed) {
            let (name, target) = scope.columns();
            assert_eq!(KillScope::from_columns(name, &target, scope.ends_at()).as_ref(), Some(scope));
        }
    }

    #[test]
    fn a_set_is_not_guessed_from_a_target_of_another_kind() {
        for (scope, target) in [
            ("client", "usr_1"),
            ("subject", "app"),
            ("login-session", "usr_1"),
            ("login-sessions", "app"),
            ("consent", "usr_1"),
            ("consent", "app usr_1"),
            ("consent", "usr_1  app"),
            ("consent", "usr_1 app other"),
        ] {
            assert_eq!(KillScope::from_columns(scope, target, None), None, "{scope} {target}");
        }
    }

    #[test]
    fn loading_knows_every_kind_that_following_knows() {
        let kinds: std::collections::BTreeSet<_> =
            every_kind().iter().map(|change| change.columns().0).collect();
        assert_eq!(kinds, std::collections::BTreeSet::from(KINDS));
    }

    #[test]
    fn every_column_is_in_the_chain() {
        let entry = |change: &Change, actor: &str, reason: Option<&str>| {
            Entry::new(change.clone(), Actor::from_stored(actor.to_owned()))
                .because(reason.map(ToOwned::to_owned))
        };
        let start = ChangeHash::default();
        let at = Timestamp::from_unix_seconds;
        let one = ChangeNumber::new(1);
        let mut hashes = std::collections::HashSet::new();
        for change in every_kind() {
            for (actor, reason) in [("a", None), ("a", Some("")), ("ab", Some("c")), ("a", Some("bc"))] {
                for (number, recorded_at) in [(one, at(5)), (one, at(6)), (one.next(), at(5))] {
                    let row =
                        RecordedChange::chain(&start, number, entry(&change, actor, reason), recorded_at);
                    assert!(row.follows(&start));
                    assert!(!row.follows(&row.hash));
                    assert!(hashes.insert(row.hash));
                }
            }
        }
    }
}
