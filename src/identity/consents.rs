//! What users allowed clients, asked and told by the pages.

use super::visitor::within;
use super::{Identity, Unavailable, Visitor};
use crate::changes::Recorded;
use crate::directory::consents;
use crate::domain::identifier::ClientId;
use crate::domain::scope::Scope;

impl Identity {
    /// What a visitor allowed a client before, whether they have to be asked again or not.
    ///
    /// # Errors
    /// When SQL cannot be asked.
    pub async fn consented_scope(&self, visitor: &Visitor, client: &ClientId) -> Result<Scope, Unavailable> {
        let (user, client) = (visitor.user.id.clone(), client.clone());
        let read = self
            .database
            .read(move |conn| Box::pin(async move { consents::find(conn, &user, &client).await }));
        Ok(within(read).await??.map(|consent| consent.scope).unwrap_or_default())
    }

    /// Remembers that a visitor allowed a client something, unless they took it back meanwhile.
    ///
    /// # Errors
    /// When SQL did not confirm.
    pub async fn remember_consent(
        &self,
        visitor: &Visitor,
        client: &ClientId,
        scope: &Scope,
    ) -> Result<(), Unavailable> {
        let (user, client, scope) = (visitor.user.id.clone(), client.clone(), scope.clone());
        let (born, now) = (visitor.born, self.feed.clock().now());
        let written = self.database.write(move |conn| {
            Box::pin(async move { consents::remember(conn, &user, &client, &scope, born, now).await })
        });
        within(written).await??;
        Ok(())
    }

    /// Takes back what a visitor allowed a client, which ends all that it was given for them. It has ended everywhere
    /// when this returns. `false` when there is no such client, or it was never allowed anything.
    ///
    /// # Errors
    /// When that is not known to be so; it may have been recorded, and asking again is safe.
    pub async fn withdraw_consent(&self, visitor: &Visitor, client: &str) -> Result<bool, Unavailable> {
        let found = self.feed.with_current(|known| {
            let client = known.view.find_client(client);
            client.map(|client| client.id.clone())
        });
        let Some(client) = found? else { return Ok(false) };
        within(async {
            let (grants, _) = self.grants_of(visitor).await?;
            let of_client = grants.into_iter().map(|(_, record)| record);
            let given = of_client.filter(|record| record.client == client).map(|record| record.born).max();
            let (user, author, now) = (visitor.user.id.clone(), visitor.author(), self.feed.clock().now());
            let withdrawn = self.database.write(move |conn| {
                Box::pin(async move { consents::withdraw(conn, &user, &client, given, author, now).await })
            });
            let Some(number) = withdrawn.await? else { return Ok(false) };
            self.confirm(Recorded { number, since: self.feed.clock().boot() }).await?;
            Ok(true)
        })
        .await?
    }
}
