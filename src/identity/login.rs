//! Logging in: a name and a password become a login session, or nothing does.
//!
//! No such user, a wrong password, a disabled user, too many failures: it is one answer after the same work, for
//! whoever knows more than that has learnt something about somebody else.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::Unavailable;
use super::passwords::{PasswordError, Passwords, Turn, Verified};
use super::sessions::{LoginSession, LoginSessions, Visit};
use super::throttle::{Admission, Attempt, Throttle};
use crate::directory::users::{self, User};
use crate::domain::clock::{BootTime, Clock};
use crate::domain::login_name::LoginName;
use crate::domain::password::{Password, PasswordHash};
use crate::domain::position::ChangeNumber;
use crate::domain::token::PlainToken;
use crate::grants::GrantStore;
use crate::sql::{Database, SqlError};

/// How long somebody waits for a turn.
const WAITING: Duration = Duration::from_millis(1_000);
/// Within which the password is compared, from the beginning. Less than any request may take: what could not be compared
/// in time has to be taken back.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// A turn at trying a password, until it is dropped.
pub(super) struct Guess<'p> {
    turn: Turn<'p>,
    began: BootTime,
}

/// What somebody typed, and where.
#[derive(Debug)]
pub struct Credentials {
    pub name: String,
    pub password: Password,
    pub address: Option<IpAddr>,
    /// A few words for the browser, by which its owner knows it again.
    pub browser: String,
}

/// Somebody who is logged in now, if the feed agrees: [`LoginSession::is_live`].
#[derive(Debug)]
pub struct LoggedIn {
    pub user: User,
    pub session: LoginSession,
    pub token: PlainToken,
}

/// Why it could not be said whether somebody may log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginFailure {
    /// Too many log in at this moment.
    Busy,
    Unavailable(Unavailable),
}

impl<E: Into<Unavailable>> From<E> for LoginFailure {
    fn from(error: E) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<PasswordError> for LoginFailure {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::Busy,
            PasswordError::Failed(why) => Self::Unavailable(Unavailable(why)),
        }
    }
}

/// Logs people in. Shared by all workers.
pub struct Login {
    database: Database,
    passwords: Arc<Passwords>,
    throttle: Throttle,
    sessions: LoginSessions,
    clock: Arc<dyn Clock>,
}

impl Login {
    pub const fn new(
        database: Database,
        passwords: Arc<Passwords>,
        throttle: Throttle,
        sessions: LoginSessions,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { database, passwords, throttle, sessions, clock }
    }

    pub const fn sessions(&self) -> &LoginSessions {
        &self.sessions
    }

    pub(super) fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    pub(super) const fn throttle(&self) -> &Throttle {
        &self.throttle
    }

    /// Logs somebody in; `None` if not, whatever the reason. `born` is a position of the feed that was read before:
    /// what is changed from then on, the user's password too, ends the new session.
    ///
    /// # Errors
    /// When too many log in at this moment, or a store cannot be asked.
    pub async fn log_in(
        &self,
        store: &dyn GrantStore,
        credentials: Credentials,
        born: ChangeNumber,
    ) -> Result<Option<LoggedIn>, LoginFailure> {
        let Credentials { name, password, address, browser } = credentials;
        let guess = self.turn().await?;
        let name = LoginName::parse(&name).map_err(|_| name);
        // Names that nobody can have are counted too, as they were typed.
        let account = name.as_ref().map_or_else(String::as_str, LoginName::key);
        let user = match &name {
            Ok(name) => self.find(name.clone()).await?,
            Err(_) => None,
        };
        let kept = user.as_ref().and_then(|user| user.password.clone());
        let compared = self.compare(store, &guess, account, address, password, kept).await?;
        let (Some(user), Some((verified, attempt))) = (user.filter(|user| user.enabled), compared) else {
            return Ok(None);
        };
        self.throttle.succeeded(store, attempt).await?;
        // Not before: an attempt that has yet to be taken back makes others wait.
        drop(guess);
        if let Verified::Outdated(newer) = verified {
            self.renew_hash(&user, newer).await?;
        }
        let visit = Visit { subject: user.id.clone(), address, browser };
        let (session, token) = self.sessions.begin(store, visit, born, self.clock.now()).await?;
        Ok(Some(LoggedIn { user, session, token }))
    }

    /// Waits for a turn at trying a password.
    pub(super) async fn turn(&self) -> Result<Guess<'_>, LoginFailure> {
        let began = self.clock.boot();
        let turn = timeout(WAITING, self.passwords.turn()).await.map_err(|_| LoginFailure::Busy)??;
        Ok(Guess { turn, began })
    }

    /// Compares a password with what is kept of an account's, as a failure until [`Throttle::succeeded`] is told
    /// otherwise. `None` if it is wrong or nobody may try now, after the same work.
    pub(super) async fn compare(
        &self,
        store: &dyn GrantStore,
        guess: &Guess<'_>,
        account: &str,
        address: Option<IpAddr>,
        password: Password,
        kept: Option<PasswordHash>,
    ) -> Result<Option<(Verified, Attempt)>, LoginFailure> {
        let admission = self.throttle.admit(store, account, address).await?;
        let kept = kept.filter(|_| matches!(admission, Admission::Admitted(_)));
        let left = PATIENCE.saturating_sub(self.clock.boot() - guess.began);
        let compared = timeout(left, guess.turn.verify(password, kept)).await;
        let compared = compared.unwrap_or(Err(PasswordError::Busy));
        if let (Err(PasswordError::Busy), Admission::Admitted(attempt)) = (&compared, &admission) {
            self.throttle.not_made(store, *attempt).await?;
        }
        Ok(match (compared?, admission) {
            (Verified::Wrong, _) | (_, Admission::Later { .. }) => None,
            (verified, Admission::Admitted(attempt)) => Some((verified, attempt)),
        })
    }

    async fn find(&self, name: LoginName) -> Result<Option<User>, SqlError> {
        let found =
            self.database.read(move |conn| Box::pin(async move { users::find_by_name(conn, &name).await }));
        found.await
    }

    async fn renew_hash(&self, user: &User, newer: PasswordHash) -> Result<(), SqlError> {
        let before = user.clone();
        let renewed = self
            .database
            .write(move |conn| Box::pin(async move { users::renew_hash(conn, &before, &newer).await }));
        renewed.await
    }
}
