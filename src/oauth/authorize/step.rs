//! What has to happen before an authorization request can be answered.

use std::time::Duration;

use super::{AuthorizationError, AuthorizationRequest};
use crate::domain::clock::Timestamp;

/// For how long a login that was made for a request counts as made just now: as long as people think about the next page.
const JUST_NOW: Duration = Duration::from_secs(600);

/// Somebody who is logged in.
#[derive(Clone, Copy, Debug)]
pub struct Presence {
    /// When they proved who they are.
    pub authenticated_at: Timestamp,
    /// Whether they did because of this very request.
    pub for_this_request: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    LogIn,
    Consent,
    /// The client wanted nobody to be asked.
    Refuse(AuthorizationError),
}

impl AuthorizationRequest {
    /// What comes next, with whoever is there (OpenID Connect Core §3.1.2.1 for `prompt` and `max_age`).
    pub fn step(&self, present: Option<Presence>, now: Timestamp) -> Step {
        let is_logged_in = present.is_some_and(|present| self.accepts(present, now));
        match (is_logged_in, self.prompt.none) {
            (false, false) => Step::LogIn,
            (true, false) => Step::Consent,
            (false, true) => Step::Refuse(AuthorizationError::LoginRequired),
            (true, true) => Step::Refuse(AuthorizationError::ConsentRequired),
        }
    }

    /// Whether a login is recent enough. A client that wants a new one gets it once: not never, by going back, and not
    /// for ever again, by thinking for longer than `max_age`.
    fn accepts(&self, present: Presence, now: Timestamp) -> bool {
        let age = now - present.authenticated_at;
        if present.for_this_request && age <= JUST_NOW {
            return true;
        }
        // Zero asks for a new login, however fast somebody is.
        !self.prompt.login && self.max_age.is_none_or(|most| !most.is_zero() && age <= most)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;
    use crate::directory::Client;
    use crate::domain::identifier::ClientId;
    use crate::domain::pkce::CodeChallenge;
    use crate::domain::redirect_uri::RedirectUri;
    use crate::domain::scope::Scope;
    use crate::oauth::authorize::Prompt;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn request(prompt: Prompt, max_age: Option<u64>) -> AuthorizationRequest {
        let client = Client {
            id: ClientId::parse("app").unwrap(),
            name: "app".to_owned(),
            credentials: None,
            grant_types: BTreeSet::new(),
            scope: Scope::default(),
            access_token_ttl: None,
            redirect_uris: Vec::new(),
            refresh_retry_window: None,
            origins: BTreeSet::new(),
            enabled: true,
            created_at: NOW,
        };
        AuthorizationRequest {
            client: Arc::new(client),
            redirect_uri: RedirectUri::parse("https://app.example/cb").unwrap(),
            state: None,
            scope: Scope::default(),
            audience: BTreeSet::new(),
            code_challenge: CodeChallenge::parse(&"A".repeat(43)).unwrap(),
            prompt,
            max_age: max_age.map(Duration::from_secs),
            login_hint: None,
        }
    }

    fn there(age: u64, for_this_request: bool) -> Presence {
        Presence { authenticated_at: NOW - Duration::from_secs(age), for_this_request }
    }

    #[test]
    fn a_login_counts_unless_the_client_wants_a_newer_one_and_the_one_for_this_request_does() {
        let (any, again) = (Prompt::default(), Prompt { login: true, ..Prompt::default() });
        for (prompt, max_age, present, expected) in [
            (any, None, None, Step::LogIn),
            (any, None, Some(there(10_000_000, false)), Step::Consent),
            (any, Some(60), Some(there(60, false)), Step::Consent),
            (any, Some(60), Some(there(61, false)), Step::LogIn),
            (any, Some(60), Some(there(61, true)), Step::Consent),
            (any, Some(0), Some(there(0, false)), Step::LogIn),
            (any, Some(0), Some(there(20, true)), Step::Consent),
            (again, None, Some(there(0, false)), Step::LogIn),
            (again, None, Some(there(600, true)), Step::Consent),
            (again, None, Some(there(601, true)), Step::LogIn),
            (again, Some(3600), Some(there(0, false)), Step::LogIn),
            (any, Some(3600), Some(there(601, true)), Step::Consent),
        ] {
            let step = request(prompt, max_age).step(present, NOW);
            assert_eq!(step, expected, "{prompt:?} {max_age:?} {present:?}");
        }
    }

    #[test]
    fn with_prompt_none_nobody_is_asked_anything() {
        let none = Prompt { none: true, ..Prompt::default() };
        let refused = |present, max_age| request(none, max_age).step(present, NOW);
        assert_eq!(refused(None, None), Step::Refuse(AuthorizationError::LoginRequired));
        assert_eq!(
            refused(Some(there(61, false)), Some(60)),
            Step::Refuse(AuthorizationError::LoginRequired)
        );
        assert_eq!(refused(Some(there(1, false)), None), Step::Refuse(AuthorizationError::ConsentRequired));
    }
}
