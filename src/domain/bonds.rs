//! What a grant, or a login session, stands and falls with.

use super::identifier::{ClientId, GrantId, UserId};

/// What a grant rests on, besides itself: a kill of any of these reaches it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bonds<'g> {
    /// Whom it was given to; `None` for a login session, which is no client's.
    pub client: Option<&'g ClientId>,
    /// For whom it acts; `None` when the client acts for itself.
    pub subject: Option<&'g UserId>,
    /// The login session during which it was given; of a login session, its own id.
    pub session: Option<GrantId>,
}

impl<'g> Bonds<'g> {
    /// What a client was given for itself.
    pub const fn of_client(client: &'g ClientId) -> Self {
        Self { client: Some(client), subject: None, session: None }
    }

    /// A login session itself.
    pub const fn of_session(session: GrantId, subject: &'g UserId) -> Self {
        Self { client: None, subject: Some(subject), session: Some(session) }
    }
}
