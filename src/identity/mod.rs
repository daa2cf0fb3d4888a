//! People: how somebody proves who they are, and who is in front of a page.

mod account;
pub mod browser;
mod consents;
pub mod login;
mod password_change;
pub mod passwords;
pub mod sessions;
pub mod throttle;
mod unavailable;
mod visitor;

use std::sync::Arc;

pub use self::account::{Account, Application, LiveGrant};
use self::login::Login;
pub use self::password_change::{PasswordChange, PasswordChanged};
pub use self::unavailable::Unavailable;
pub use self::visitor::Visitor;
use crate::directory::{ChangeFeed, Users};
use crate::grants::GrantStore;
use crate::sql::Database;

/// What the hosted pages know of people, as one worker has it.
#[derive(Clone)]
pub struct Identity {
    feed: ChangeFeed,
    grants: Arc<dyn GrantStore>,
    users: Users,
    database: Database,
    login: Arc<Login>,
}

impl Identity {
    /// `grants` is the worker's own store; the rest is shared by all workers.
    pub const fn new(
        feed: ChangeFeed,
        grants: Arc<dyn GrantStore>,
        users: Users,
        database: Database,
        login: Arc<Login>,
    ) -> Self {
        Self { feed, grants, users, database, login }
    }
}
