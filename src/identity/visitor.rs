//! Who is in front of a page: logging in, being recognised by a cookie, logging out.
//!
//! Everything that is answered is judged by a snapshot of the feed that was taken after the last await, so that what was
//! ended before a page was asked for is ended on it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::login::{Credentials, LoggedIn, LoginFailure};
use super::sessions::LoginSession;
use super::{Identity, Unavailable};
use crate::changes::{Actor, Author, Change, Entry, KillScope, Recorded};
use crate::directory::{Snapshot, UserFacts};
use crate::domain::position::ChangeNumber;

/// Whatever the stores do, an answer comes within 2 s.
const PATIENCE: Duration = Duration::from_millis(1_800);
/// How often a user is read who keeps being changed.
const ATTEMPTS: usize = 4;

/// Somebody who is logged in.
#[derive(Clone, Debug)]
pub struct Visitor {
    pub session: LoginSession,
    pub user: Arc<UserFacts>,
    /// The position of the feed that was known before the first of these was looked at: the birth number of what is
    /// given to them now.
    pub born: ChangeNumber,
    /// From where they are asking now.
    pub address: Option<IpAddr>,
}

impl Visitor {
    /// As whom they act.
    pub fn author(&self) -> Author {
        Actor::user(&self.user.id).at(self.address)
    }
}

impl Identity {
    /// Logs somebody in; `None` if not, whatever the reason.
    ///
    /// # Errors
    /// When too many log in at this moment, or a store cannot be asked.
    pub async fn log_in(&self, credentials: Credentials) -> Result<Option<LoggedIn>, LoginFailure> {
        let born = self.position()?;
        let logged_in = within(self.login.log_in(self.grants.as_ref(), credentials, born)).await??;
        let Some(logged_in) = logged_in else { return Ok(None) };
        let lives = self.feed.with_current(|known| logged_in.session.is_live(known));
        Ok(lives.map_err(Unavailable::from)?.then_some(logged_in))
    }

    /// Whose login session a cookie holds, and notes that it was seen. `None` for whatever is no session that lives.
    ///
    /// # Errors
    /// When a store cannot be asked.
    pub async fn visitor(
        &self,
        cookie: &[u8],
        address: Option<IpAddr>,
    ) -> Result<Option<Visitor>, Unavailable> {
        let born = self.position()?;
        within(async {
            let (store, sessions) = (self.grants.as_ref(), self.login.sessions());
            let now = self.feed.clock().now();
            let Some(session) = sessions.find(store, cookie, now).await? else { return Ok(None) };
            sessions.see(store, &session, now).await?;
            let user = self.user_of(&session).await?;
            Ok(user.map(|user| Visitor { session, user, born, address }))
        })
        .await?
    }

    /// Logs out whoever a cookie belongs to, with all that was given in the session: of this one, or of all of theirs.
    ///
    /// # Errors
    /// When it is not known to have ended everywhere; the end may have been recorded, and asking again is safe.
    pub async fn log_out(
        &self,
        cookie: &[u8],
        everywhere: bool,
        address: Option<IpAddr>,
    ) -> Result<(), Unavailable> {
        let (store, now) = (self.grants.as_ref(), self.feed.clock().now());
        let found = within(self.login.sessions().find(store, cookie, now)).await??;
        let Some(session) = found else { return Ok(()) };
        // One that has ended may do nothing to others; but that it has may not be known everywhere, and whoever asks
        // again has to wait for it.
        let lives = self.feed.with_current(|known| session.is_live(known))?;
        match everywhere && lives {
            true => self.end_sessions_of(&session.record.subject, address).await,
            false => self.end_session(&session, address).await,
        }
    }

    /// Ends a login session and all that was given in it. It has ended everywhere when this returns.
    ///
    /// # Errors
    /// When that is not known to be so; the end may have been recorded, and asking again is safe.
    pub async fn end_session(
        &self,
        session: &LoginSession,
        address: Option<IpAddr>,
    ) -> Result<(), Unavailable> {
        let change = Change::Killed(KillScope::login_session(session.id));
        let author = Actor::user(&session.record.subject).at(address);
        self.record(Entry::new(change, author)).await?;
        // Nothing rests on it: the feed knows.
        self.grants.remove(session.id).await.ok();
        Ok(())
    }

    /// Records a change and waits until every replica has confirmed it.
    pub(super) async fn record(&self, entry: Entry) -> Result<(), Unavailable> {
        within(async { self.confirm(self.feed.record(entry).await?).await }).await?
    }

    /// Waits until every replica has confirmed a change.
    pub(super) async fn confirm(&self, recorded: Recorded) -> Result<(), Unavailable> {
        // A little less than there is: who has not confirmed is worth telling.
        let acknowledgement = self.feed.acknowledge(recorded, PATIENCE.mul_f64(0.8)).await?;
        if acknowledgement.is_complete() {
            return Ok(());
        }
        let pending: Vec<_> = acknowledgement.pending().collect();
        let pending = pending.join(", ");
        Err(Unavailable(format!("no confirmation of change {} from {pending}", recorded.number)))
    }

    /// The user of a session that lives, by one snapshot and nothing older.
    async fn user_of(&self, session: &LoginSession) -> Result<Option<Arc<UserFacts>>, Unavailable> {
        for _ in 0..ATTEMPTS {
            match self.feed.with_current(|known| judge(known, session))? {
                Judgement::Nobody => return Ok(None),
                Judgement::Visitor(user) => return Ok(Some(user)),
                Judgement::TooEarly => {
                    return Err(Unavailable("the session is newer than what this replica knows".to_owned()));
                }
                Judgement::Unread => self.users.load(&session.record.subject).await?,
            }
        }
        Err(Unavailable("the user keeps changing".to_owned()))
    }

    fn position(&self) -> Result<ChangeNumber, Unavailable> {
        Ok(self.feed.with_current(|known| known.position.number)?)
    }
}

enum Judgement {
    Nobody,
    Visitor(Arc<UserFacts>),
    /// The user has to be read first.
    Unread,
    /// It rests on changes that this replica has yet to read.
    TooEarly,
}

fn judge(known: &Snapshot, session: &LoginSession) -> Judgement {
    if !session.is_live(known) {
        return Judgement::Nobody;
    }
    match known.view.find_user(&session.record.subject) {
        None => Judgement::Unread,
        Some(Some(user)) if user.enabled => Judgement::Visitor(user),
        Some(_) if session.record.born > known.position.number => Judgement::TooEarly,
        Some(_) => Judgement::Nobody,
    }
}

pub(super) async fn within<T>(work: impl Future<Output = T>) -> Result<T, Unavailable> {
    let late = |_| Unavailable("the stores did not answer in time".to_owned());
    tokio::time::timeout(PATIENCE, work).await.map_err(late)
}
