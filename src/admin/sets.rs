//! Killing sets of grants, and what is done in the same step: a client that is disabled or gets another secret, a user who
//! has to choose another password, a consent that is taken back.

use std::time::Duration;

use super::{Act, Admin, AdminError};
use crate::changes::{Change, KillScope, Recorded};
use crate::directory::{Client, clients, consents, users};
use crate::domain::identifier::{ClientId, UserId};
use crate::domain::secret::PlainSecret;
use crate::sql::SqlError;

/// What else is done to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AndClient {
    Disable,
    /// A new secret; the old one is good for so long.
    RotateSecret {
        overlap: Duration,
    },
}

impl Admin {
    /// Kills everything of a client, and does something else to it in the same transaction. Returns the new secret, if
    /// there is one.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] when there is none; a public client has no secret.
    pub async fn kill_client(
        &self,
        id: &ClientId,
        and: AndClient,
    ) -> Result<(Client, Option<PlainSecret>, Recorded), AdminError> {
        let action = match and {
            AndClient::Disable => "disable-client",
            AndClient::RotateSecret { .. } => "rotate-client-secret",
        };
        let secret = match and {
            AndClient::Disable => None,
            AndClient::RotateSecret { .. } => Some(PlainSecret::generate(self.entropy.as_ref())?),
        };
        let (which, digest, now) =
            (id.to_string(), secret.as_ref().map(PlainSecret::digest), self.clock.now());
        let acted = self.act(action, id.as_str(), move |conn| {
            Box::pin(async move {
                let mut client = clients::require(conn, &which).await?;
                match (and, digest) {
                    (AndClient::RotateSecret { overlap }, Some(digest)) => {
                        let credentials = client.credentials.as_ref();
                        let credentials = credentials
                            .ok_or_else(|| SqlError::Refused("a public client has no secret".to_owned()))?;
                        client.credentials = Some(credentials.rotate(digest, overlap, now));
                    }
                    _ => client.enabled = false,
                }
                clients::update(conn, &client).await?;
                let kill = Change::Killed(KillScope::Client(client.id.clone()));
                let changes = vec![kill, Change::ClientChanged(client.id.clone())];
                Ok(Act::new(client, changes))
            })
        });
        let (client, recorded) = acted.await.map_err(super::clients::not_found(id.as_str()))?;
        Ok((client, secret, recorded))
    }

    /// Kills everything of a user, who has to choose another password at the next login, in one transaction.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] when there is none.
    pub async fn kill_user_and_password(&self, id: &UserId) -> Result<Recorded, AdminError> {
        let which = id.to_string();
        let acted = self.act("require-password-change", id.as_str(), move |conn| {
            Box::pin(async move {
                let mut user = users::require(conn, &which).await?;
                user.must_change_password = true;
                users::update(conn, &user).await?;
                let kill = Change::Killed(KillScope::Subject(user.id.clone()));
                Ok(Act::new((), vec![kill, Change::UserChanged(user.id)]))
            })
        });
        let ((), recorded) = acted.await.map_err(super::users::explain(id.as_str()))?;
        Ok(recorded)
    }

    /// Takes back what a user allowed a client, which kills all that it was given for them.
    ///
    /// # Errors
    /// When SQL fails; it may have been recorded, and asking again is safe.
    pub async fn withdraw_consent(&self, user: &UserId, client: &ClientId) -> Result<Recorded, AdminError> {
        let target = user.as_str();
        let (user, client) = (user.clone(), client.clone());
        let acted = self.act("withdraw-consent", target, move |conn| {
            Box::pin(async move {
                consents::forget(conn, &user, &client).await?;
                let kill = Change::Killed(KillScope::Consent(user, client));
                Ok(Act::new((), vec![kill]))
            })
        });
        Ok(acted.await?.1)
    }
}
