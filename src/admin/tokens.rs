//! Tokens, as an admin on call meets them: find out whose it is, and kill it.

use super::{Admin, AdminError};
use crate::changes::{Bonds, Change, FeedStore, Recorded};
use crate::directory::Snapshot;
use crate::domain::clock::Timestamp;
use crate::domain::identifier::GrantId;
use crate::domain::token::{TokenPart, TokenString};
use crate::grants::{EncodedRecord, GrantRecord};

/// What is known of a grant, for people. Holds no secret.
#[derive(Debug)]
pub struct Inspection {
    pub grant_id: GrantId,
    /// What the grant store has.
    pub record: Option<GrantRecord>,
    /// Why no token of the grant is active anywhere; `None` when it lives.
    pub dead_because: Option<&'static str>,
    /// Why the given token is not active at the resource server asked about; `None` when it is,
    /// or none was asked about.
    pub inactive_there_because: Option<&'static str>,
}

impl Admin {
    /// Finds out about a grant, from `stored`: what the grant store has under its id.
    /// `at` names a resource server to answer for.
    ///
    /// # Errors
    /// When SQL fails, a record is not understood, or there is no such resource server.
    pub async fn inspect(
        &self,
        part: &TokenPart,
        stored: Option<EncodedRecord>,
        at: Option<&str>,
    ) -> Result<Inspection, AdminError> {
        let caller = match at {
            Some(which) => Some(self.resource_server(which).await?),
            None => None,
        };
        let known = self.feed.load().await?;
        let now = self.clock.now();
        let grant_id = part.grant_id();
        let record = stored.map(|stored| stored.decode()).transpose()?;
        let token = match part {
            TokenPart::Whole(token) => Some(token),
            TokenPart::Prefix(..) | TokenPart::GrantId(_) => None,
        };
        let dead_because = dead_because(&known, now, grant_id, record.as_ref(), token);
        let inactive_there_because = caller.as_ref().and_then(|caller| {
            let record = record.as_ref().filter(|_| dead_because.is_none());
            let Some(record) = record else { return dead_because };
            let access_token = token.and_then(|token| record.access_token(&token.digest()));
            let (scope, audience) = access_token.map_or((&record.scope, record.audience.as_slice()), |own| {
                (record.scope_of(own), record.audience_of(own))
            });
            if !caller.enabled {
                Some("the resource server is disabled")
            } else if !audience.contains(&caller.id) {
                Some("the token is not meant for this resource server: it is not in its audience")
            } else if !known
                .view
                .find_client(record.client.as_str())
                .is_some_and(|client| scope.intersection(&client.scope).intersects(&caller.scope))
            {
                Some("no scope of the token that its client may still use belongs to this resource server")
            } else {
                None
            }
        });
        Ok(Inspection { grant_id, record, dead_because, inactive_there_because })
    }

    /// Revokes a grant, whether or not the grant store has it now: it may come back.
    ///
    /// # Errors
    /// When SQL fails; the revocation may have been recorded, and asking again is safe.
    pub async fn revoke(
        &self,
        grant: GrantId,
        stored: Option<EncodedRecord>,
        reason: Option<String>,
    ) -> Result<Recorded, AdminError> {
        // A record that is not understood must not be in the way of killing it.
        let record = stored.and_then(|stored| stored.decode().ok());
        let ends_at = record.map(|record| record.expires_at);
        self.record(Change::GrantRevoked { grant, ends_at }, reason).await
    }
}

fn dead_because(
    known: &Snapshot,
    now: Timestamp,
    grant_id: GrantId,
    record: Option<&GrantRecord>,
    token: Option<&TokenString>,
) -> Option<&'static str> {
    if known.revoked.contains(&grant_id) {
        return Some("the grant is revoked");
    }
    let Some(record) = record else {
        return Some("the grant store has no such grant: it ended, or never was");
    };
    if record.expires_at <= now {
        return Some("the grant has ended");
    }
    let bonds = Bonds { client: Some(&record.client), subject: record.subject(), session: record.session() };
    if !known.is_live(&grant_id, &bonds, record.born) {
        return Some(
            "everything of its client, its user, its login session, or of everybody, was revoked after it was issued",
        );
    }
    match known.view.find_client(record.client.as_str()) {
        None => return Some("its client is deleted"),
        Some(client) if !client.enabled => return Some("its client is disabled"),
        Some(_) => {}
    }
    let token = token?;
    match record.access_token(&token.digest()) {
        None => Some("the grant lives, but this token is none of its access tokens"),
        Some(access_token) if access_token.expires_at <= now => Some("the token has expired"),
        Some(_) => None,
    }
}
