//! Changing one's own password: whoever is logged in elsewhere is out, for they may be why.

use std::net::IpAddr;

use super::login::{LoggedIn, Login, LoginFailure};
use super::passwords::UnsuitablePassword;
use super::visitor::within;
use super::{Identity, Unavailable, Visitor};
use crate::changes::audit::Attempt;
use crate::changes::{Author, Change, Entry, KillScope, Recorded, lock_sequence, record_in};
use crate::directory::users::{self, User};
use crate::domain::clock::Timestamp;
use crate::domain::identifier::GrantId;
use crate::domain::password::{Password, PasswordHash};
use crate::domain::position::ChangeNumber;
use crate::grants::GrantStore;
use crate::sql::{Connection, SqlError};

/// What it is called in the audit.
const CHANGE_PASSWORD: &str = "change-password";

/// What somebody typed, and where.
#[derive(Debug)]
pub struct PasswordChange {
    pub current: Password,
    pub new: Password,
    pub address: Option<IpAddr>,
}

/// What became of it.
#[derive(Debug)]
pub enum PasswordChanged {
    /// The user goes on in the same login session, by another token; all others have ended.
    Changed(Box<LoggedIn>),
    /// It is not the user's password, or failed too often.
    Wrong,
    /// The new one is the current one.
    Same,
    Unsuitable(UnsuitablePassword),
}

impl Identity {
    /// Gives a visitor the password that they choose, if they know the current one. All of their login sessions but this
    /// one end, with what was given in them; and of this one the token that it had.
    ///
    /// # Errors
    /// When too many log in at this moment, or a store cannot be asked. The password may have been changed.
    pub async fn change_password(
        &self,
        visitor: &Visitor,
        change: PasswordChange,
    ) -> Result<PasswordChanged, LoginFailure> {
        within(self.change_password_now(visitor, change)).await?
    }

    async fn change_password_now(
        &self,
        visitor: &Visitor,
        change: PasswordChange,
    ) -> Result<PasswordChanged, LoginFailure> {
        let store = self.grants.as_ref();
        let PasswordChange { current, new, address } = change;
        let is_same = current.expose() == new.expose();
        let id = visitor.user.id.clone();
        let read = self.database.read(move |conn| Box::pin(async move { users::find(conn, &id).await }));
        let Some(user) = read.await?.filter(|user| user.enabled) else { return Ok(PasswordChanged::Wrong) };
        if !self.login.knows_password(store, &user, current, address).await? {
            let why = "not the current password, or too many failures".to_owned();
            let target = user.id.to_string();
            let attempt = Attempt { author: visitor.author(), action: CHANGE_PASSWORD, target, why };
            self.feed.note(attempt).await;
            return Ok(PasswordChanged::Wrong);
        }
        if is_same {
            return Ok(PasswordChanged::Same);
        }
        let hashed = match self.login.passwords().hash_new(new, user.name.as_str()).await? {
            Ok(hashed) => hashed,
            Err(unsuitable) => return Ok(PasswordChanged::Unsuitable(unsuitable)),
        };
        let (spared, author) = (visitor.session.id, visitor.author());
        let (before, now) = (user.clone(), self.feed.clock().now());
        let written = self.database.write(move |conn| {
            Box::pin(async move { replace(conn, &before, hashed, spared, author, now).await })
        });
        let Some(number) = written.await? else { return Ok(PasswordChanged::Wrong) };
        self.confirm(Recorded { number, since: self.feed.clock().boot() }).await?;
        let renewed = self.login.sessions().renew(store, &visitor.session, now).await?;
        let Some((session, token)) = renewed else { return Ok(PasswordChanged::Wrong) };
        let lives = self.feed.with_current(|known| session.is_live(known)).map_err(Unavailable::from)?;
        Ok(match lives {
            true => PasswordChanged::Changed(Box::new(LoggedIn { user, session, token })),
            false => PasswordChanged::Wrong,
        })
    }
}

impl Login {
    /// Whether somebody who is logged in knows their password. Failures are counted as those to log in are.
    async fn knows_password(
        &self,
        store: &dyn GrantStore,
        user: &User,
        password: Password,
        address: Option<IpAddr>,
    ) -> Result<bool, LoginFailure> {
        let (guess, kept) = (self.turn().await?, user.password.clone());
        let compared = self.compare(store, &guess, user.name.key(), address, password, kept).await?;
        let Some((_, attempt)) = compared else { return Ok(false) };
        self.throttle().succeeded(store, attempt).await?;
        Ok(true)
    }
}

/// Replaces a password and ends the user's other login sessions, in one transaction; `None` if the user is not as they were
/// when the current password was compared.
async fn replace(
    conn: &mut Connection,
    before: &User,
    password: PasswordHash,
    spared: GrantId,
    author: Author,
    now: Timestamp,
) -> Result<Option<ChangeNumber>, SqlError> {
    lock_sequence(conn).await?;
    let text = |user: &User| user.password.as_ref().map(|hash| hash.expose().to_owned());
    let user = users::find(conn, &before.id).await?;
    let Some(user) = user.filter(|user| user.enabled && text(user) == text(before)) else { return Ok(None) };
    let id = user.id.clone();
    let password_changed_at = Some(now);
    let password = Some(password);
    users::update(conn, &User { password, password_changed_at, must_change_password: false, ..user }).await?;
    let kill = KillScope::other_login_sessions(id.clone(), spared);
    let killed = Entry::new(Change::Killed(kill), author.clone());
    let changed = Entry { action: Some(CHANGE_PASSWORD), ..Entry::new(Change::UserChanged(id), author) };
    Ok(record_in(conn, vec![killed, changed], now).await?.into_iter().max())
}
