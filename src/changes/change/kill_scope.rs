//! A set of grants that dies by one number.

use super::{KILL_LOGIN_SESSION, LOGIN_SESSION};
use crate::domain::bonds::Bonds;
use crate::domain::clock::Timestamp;
use crate::domain::identifier::{ClientId, GrantId, UserId};

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

    /// Whether something with these bonds belongs to the set.
    pub fn reaches(&self, bonds: &Bonds<'_>) -> bool {
        match self {
            Self::Everything => true,
            Self::Client(id) => bonds.client == Some(id),
            Self::Subject(id) => bonds.subject == Some(id),
            Self::LoginSession { session, .. } => bonds.session == Some(*session),
            Self::LoginSessionsOf(id) => bonds.subject == Some(id) && bonds.session.is_some(),
            Self::OtherLoginSessionsOf { user, spared, .. } => {
                bonds.subject == Some(user) && bonds.session.is_some_and(|session| session != *spared)
            }
            Self::Consent(user, client) => bonds.subject == Some(user) && bonds.client == Some(client),
        }
    }

    /// The two columns that name the set.
    pub fn columns(&self) -> (&'static str, String) {
        match self {
            Self::Everything => ("everything", String::new()),
            Self::Client(id) => ("client", id.to_string()),
            Self::Subject(id) => ("subject", id.to_string()),
            Self::LoginSession { session, .. } => (LOGIN_SESSION, session.to_string()),
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
            LOGIN_SESSION => {
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
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Everything => "kill-everything",
            Self::Client(_) => "kill-client",
            Self::Subject(_) => "kill-subject",
            Self::LoginSession { .. } => KILL_LOGIN_SESSION,
            Self::LoginSessionsOf(_) => "kill-login-sessions",
            Self::OtherLoginSessionsOf { .. } => "kill-other-login-sessions",
            Self::Consent(..) => "kill-consent",
        }
    }

    /// When the kill may be forgotten; `None` for one that outlives what it names.
    pub(in crate::changes) const fn ends_at(&self) -> Option<Timestamp> {
        match self {
            Self::LoginSession { ends_at, .. } | Self::OtherLoginSessionsOf { ends_at, .. } => *ends_at,
            _ => None,
        }
    }
}
