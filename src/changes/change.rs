//! A change: one numbered row of the feed, chained to the one before.

use sha2::{Digest as _, Sha256};

use super::entry::Entry;
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

/// A set of grants that one number kills.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KillScope {
    Everything,
    Client(ClientId),
    /// Everything that was given for a user.
    Subject(UserId),
    /// One login session, and what was given during it. A session that was ended never lives again,
    /// so the kill can be forgotten after `ends_at`, when nothing of it lives; where that is not
    /// known, recording the change fills in the longest lifetime ever configured.
    LoginSession {
        session: GrantId,
        ends_at: Option<Timestamp>,
    },
    /// Every login session of a user, and what was given during them.
    LoginSessionsOf(UserId),
    /// The same but for one session. Nothing that the kill reaches outlives `ends_at`, so it can be forgotten then; where
    /// that is not known, recording the change fills in the longest lifetime ever configured.
    OtherLoginSessionsOf {
        user: UserId,
        spared: GrantId,
        ends_at: Option<Timestamp>,
    },
    /// What one client was given for one user.
    Consent(UserId, ClientId),
}

impl KillScope {
    /// One login session, whatever its end.
    pub const fn login_session(session: GrantId) -> Self {
        Self::LoginSession { session, ends_at: None }
    }

    /// Every login session of a user but one, whatever the end.
    pub const fn other_login_sessions(user: UserId, spared: GrantId) -> Self {
        Self::OtherLoginSessionsOf { user, spared, ends_at: None }
    }

    /// The two columns that name the set.
    pub fn columns(&self) -> (&'static str, String) {
        match self {
            Self::Everything => ("everything", String::new()),
            Self::Client(id) => ("client", id.to_string()),
            Self::Subject(id) => ("subject", id.to_string()),
            Self::LoginSession { session, .. } => ("login-session", session.to_string()),
            Self::LoginSessionsOf(id) => ("login-sessions", id.to_string()),
            Self::OtherLoginSessionsOf { user, spared, .. } => {
                ("other-login-sessions", format!("{user} {spared}"))
            }
            Self::Consent(user, client) => ("consent", format!("{user} {client}")),
        }
    }

    /// `None` for a set, or a target, that this version does not know.
    pub fn from_columns(scope: &str, target: &str, ends_at: Option<Timestamp>) -> Option<Self> {
        let user = |text| UserId::parse(text).ok();
        let client = |text| ClientId::parse(text).ok();
        match scope {
            "everything" => Some(Self::Everything),
            "client" => client(target).map(Self::Client),
            "subject" => user(target).map(Self::Subject),
            "login-session" => {
                let session = GrantId::from_digits(target.as_bytes())?;
                Some(Self::LoginSession { session, ends_at })
            }
            "login-sessions" => user(target).map(Self::LoginSessionsOf),
            "other-login-sessions" => {
                let (of, spared) = target.split_once(' ')?;
                let spared = GrantId::from_digits(spared.as_bytes())?;
                Some(Self::OtherLoginSessionsOf { user: user(of)?, spared, ends_at })
            }
            "consent" => {
                let (subject, of) = target.split_once(' ')?;
                Some(Self::Consent(user(subject)?, client(of)?))
            }
            _ => None,
        }
    }

    /// The kind of the change that kills the set.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Everything => "kill-everything",
            Self::Client(_) => "kill-client",
            Self::Subject(_) => "kill-subject",
            Self::LoginSession { .. } => "kill-login-session",
            Self::LoginSessionsOf(_) => "kill-login-sessions",
            Self::OtherLoginSessionsOf { .. } => "kill-other-login-sessions",
            Self::Consent(..) => "kill-consent",
        }
    }

    /// When the kill may be forgotten; `None` for one that outlives what it names.
    pub(super) const fn ends_at(&self) -> Option<Timestamp> {
        match self {
            Self::LoginSession { ends_at, .. } | Self::OtherLoginSessionsOf { ends_at, .. } => *ends_at,
            _ => None,
        }
    }
}

pub(super) const REVOKE_GRANT: &str = "revoke-grant";
const LOST_ROTATION: &str = "lost-rotation";

/// Kinds of which each target has one row: recording it again finds the row that is there.
pub(super) const RECORDED_ONCE: [&str; 2] = [REVOKE_GRANT, LOST_ROTATION];

/// Every kind that this version knows: what loading, which does not read the rows, goes by.
pub(super) const KINDS: [&str; 15] = [
    REVOKE_GRANT,
    LOST_ROTATION,
    "kill-everything",
    "kill-client",
    "kill-subject",
    "kill-login-session",
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
            Self::GrantRevoked { ends_at, .. } => *ends_at,
            Self::Killed(scope) => scope.ends_at(),
            _ => None,
        }
    }

    /// The end that recording the change fills in where it is not known; `None` for a change that
    /// has no end.
    pub(super) const fn open_end(&mut self) -> Option<&mut Option<Timestamp>> {
        match self {
            Self::GrantRevoked { ends_at, .. }
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

    fn every_kind() -> Vec<Change> {
        let client = ClientId::parse("app").unwrap();
        let user = UserId::parse("usr_1").unwrap();
        let session = GrantId::from_bytes([6; 12]);
        vec![
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
        assert_eq!(Change::from_columns("freeze-grant", "x", None), None);
        assert_eq!(Change::from_columns("kill-tenant", "x", None), None);
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
