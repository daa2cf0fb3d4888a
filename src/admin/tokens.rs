//! Why tokens, and login sessions, are dead.

use crate::changes::Bonds;
use crate::directory::Snapshot;
use crate::domain::clock::Timestamp;
use crate::domain::identifier::GrantId;
use crate::domain::token::{TokenKind, TokenString};
use crate::grants::login_session::LoginSessionRecord;
use crate::grants::{Code, CodeState, GrantRecord};

/// Why a login session is over; `None` when it lives.
pub(super) fn session_dead_because(
    known: &Snapshot,
    now: Timestamp,
    id: GrantId,
    session: &LoginSessionRecord,
) -> Option<&'static str> {
    if !known.is_live(&id, &Bonds::of_session(id, &session.subject), session.born) {
        return Some(
            "the login session was ended, or all of its user's, or everything was revoked since it began",
        );
    }
    (session.expires_at() <= now).then_some("the login session has ended")
}

pub(super) fn dead_because(
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
    if is_shortened(known, now, grant_id, record) {
        return Some(SHORTENED);
    }
    if !known.is_live(&grant_id, &record.bonds(), record.born) {
        return Some(
            "everything of its client, its user, its login session, or of everybody, was revoked after it was issued",
        );
    }
    if let Some(why) = client_dead_because(known, record) {
        return Some(why);
    }
    token.and_then(|token| token_dead_because(record, token, now))
}

pub(super) const SHORTENED: &str = "the grant was shortened, and has ended";

/// Whether the end that a grant was given since is over.
pub(super) fn is_shortened(known: &Snapshot, now: Timestamp, id: GrantId, record: &GrantRecord) -> bool {
    known.restricted.of(&id).is_some_and(|held| held.end(record.expires_at) <= now)
}

pub(super) fn client_dead_because(known: &Snapshot, record: &GrantRecord) -> Option<&'static str> {
    match known.view.find_client(record.client.as_str()) {
        None => Some("its client is deleted"),
        Some(client) if !client.enabled => Some("its client is disabled"),
        Some(_) => None,
    }
}

/// The same of one token of a grant that lives.
pub(super) fn token_dead_because(
    record: &GrantRecord,
    token: &TokenString,
    now: Timestamp,
) -> Option<&'static str> {
    let user = record.user.as_ref();
    match token.kind() {
        TokenKind::Refresh => match user.and_then(|user| user.refresh.as_ref()) {
            None => Some("the grant lives, but it has no refresh token"),
            // Within the retry window it is given its successor again.
            Some(chain) if chain.previous.as_ref() == Some(&token.digest()) => None,
            Some(chain) if chain.current != token.digest() => {
                Some("the grant lives, but this refresh token has been replaced")
            }
            Some(chain) if chain.idle_end() <= now => Some("the refresh token was not used in time"),
            Some(_) => None,
        },
        // Its digest tells nothing without the verifier: but a grant has only one.
        TokenKind::AuthorizationCode => match user.and_then(|user| user.code.as_ref()) {
            Some(code) if code.expires_at <= now => Some("the authorization code has expired"),
            Some(Code { state: CodeState::Pending { .. }, .. }) => None,
            _ => Some("the grant lives, and its authorization code was redeemed"),
        },
        TokenKind::Access | TokenKind::LoginSession | TokenKind::Device => {
            match record.access_token(&token.digest()) {
                None => Some("the grant lives, but this token is none of its access tokens"),
                Some(access_token) if access_token.expires_at <= now => Some("the token has expired"),
                Some(_) => None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::entropy::SystemEntropy;
    use crate::domain::identifier::{ClientId, UserId};
    use crate::domain::position::ChangeNumber;
    use crate::domain::scope::Scope;
    use crate::domain::token::{PlainToken, Successors};
    use crate::domain::token_key::TokenKeys;
    use crate::grants::{RefreshChain, UserGrant};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    fn parse(token: &PlainToken) -> TokenString {
        TokenString::parse(token.expose().as_bytes()).unwrap()
    }

    #[test]
    fn people_are_told_what_became_of_a_code_and_of_a_refresh_token() {
        let keys = TokenKeys::from_secrets([[1; 32]]).unwrap();
        let id = GrantId::generate(&SystemEntropy).unwrap();
        let code = PlainToken::generate(TokenKind::AuthorizationCode, id, &keys, &SystemEntropy).unwrap();
        let code = parse(&code);
        let first = parse(&Successors::new(&code, keys.current(), &[0; 16]).refresh_token(1));
        let second = parse(&Successors::new(&first, keys.current(), &[0; 16]).refresh_token(2));
        let pending = Code {
            digest: code.digest(),
            expires_at: at(60),
            state: CodeState::Pending { redirect_uri: code.digest() },
        };
        let chain = RefreshChain {
            current: second.digest(),
            previous: Some(first.digest()),
            number: 2,
            rotated_at: at(0),
            idle_lifetime: Duration::from_secs(100),
        };
        let record = |code: &Code, refresh: Option<&RefreshChain>| GrantRecord {
            born: ChangeNumber::ZERO,
            expires_at: at(1_000),
            client: ClientId::parse("app").unwrap(),
            scope: Scope::default(),
            audience: Vec::new(),
            access_tokens: Vec::new(),
            user: Some(UserGrant {
                subject: UserId::parse("usr_1").unwrap(),
                session: None,
                salt: [0; 16],
                attempt: 0,
                code: Some(code.clone()),
                refresh: refresh.cloned(),
                given_at: None,
            }),
            address: None,
        };
        let consumed = Code { state: CodeState::Consumed, ..pending.clone() };
        let says =
            |record: &GrantRecord, token, now| token_dead_because(record, token, at(now)).unwrap_or("");
        assert_eq!(says(&record(&pending, None), &code, 59), "");
        assert!(says(&record(&pending, None), &code, 60).contains("expired"));
        assert!(says(&record(&pending, None), &second, 1).contains("no refresh token"));
        let refreshed = record(&consumed, Some(&chain));
        assert!(says(&refreshed, &code, 1).contains("redeemed"));
        assert_eq!(says(&refreshed, &first, 1), "", "a retry is given what it missed");
        let older = RefreshChain { previous: None, ..chain.clone() };
        assert!(says(&record(&consumed, Some(&older)), &first, 1).contains("replaced"));
        assert_eq!(says(&refreshed, &second, 99), "");
        assert!(says(&refreshed, &second, 100).contains("not used in time"));
    }
}
