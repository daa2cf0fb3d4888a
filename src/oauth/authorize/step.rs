//! What has to happen before an authorization request can be answered.

use std::time::Duration;

use super::{AuthorizationError, AuthorizationRequest};
use crate::domain::clock::Timestamp;
use crate::domain::scope::Scope;

/// For how long a login that was made for a request counts as made just now: as long as people think about the next page.
const JUST_NOW: Duration = Duration::from_secs(600);

/// Somebody who is logged in.
#[derive(Clone, Copy, Debug)]
pub struct Presence {
    /// When they proved who they are.
    pub authenticated_at: Timestamp,
    /// Whether they did because of this very request.
    pub for_this_request: bool,
    /// Whether they have to choose another password before anything else.
    pub must_change_password: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    LogIn,
    ChangePassword,
    Consent,
    /// The user has allowed all of it before.
    Approve,
    /// The client wanted nobody to be asked.
    Refuse(AuthorizationError),
}

impl AuthorizationRequest {
    /// What comes next, with whoever is there and what they allowed the client before (OpenID Connect Core §3.1.2.1 for
    /// `prompt` and `max_age`).
    pub fn step(&self, present: Option<Presence>, allowed: &Scope, now: Timestamp) -> Step {
        let present = present.filter(|present| self.accepts(*present, now));
        let must_change = present.map(|present| present.must_change_password);
        let is_allowed = self.may_be_remembered() && self.scope.is_subset(allowed);
        match (must_change, is_allowed, self.prompt.none) {
            (None, _, false) => Step::LogIn,
            (Some(true), _, false) => Step::ChangePassword,
            (None | Some(true), _, true) => Step::Refuse(AuthorizationError::LoginRequired),
            (Some(false), true, _) => Step::Approve,
            (Some(false), false, false) => Step::Consent,
            (Some(false), false, true) => Step::Refuse(AuthorizationError::ConsentRequired),
        }
    }

    /// Whether it matters what the user allowed before. RFC 8252 §8.6, of clients that prove nothing and are answered where
    /// another program may listen: "the authorization server SHOULD NOT process authorization requests automatically
    /// without user consent or interaction".
    pub fn may_be_remembered(&self) -> bool {
        let is_impersonable = self.client.credentials.is_none() && self.redirect_uri.is_claimable();
        !self.prompt.consent && !is_impersonable
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
    use crate::directory::{Client, Credentials};
    use crate::domain::identifier::ClientId;
    use crate::domain::pkce::CodeChallenge;
    use crate::domain::redirect_uri::RedirectUri;
    use crate::domain::secret::SecretDigest;
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
            scope: Scope::parse("a b").unwrap(),
            audience: BTreeSet::new(),
            code_challenge: CodeChallenge::parse(&"A".repeat(43)).unwrap(),
            prompt,
            max_age: max_age.map(Duration::from_secs),
            login_hint: None,
        }
    }

    fn there(age: u64, for_this_request: bool) -> Presence {
        let authenticated_at = NOW - Duration::from_secs(age);
        Presence { authenticated_at, for_this_request, must_change_password: false }
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
            let step = request(prompt, max_age).step(present, &Scope::default(), NOW);
            assert_eq!(step, expected, "{prompt:?} {max_age:?} {present:?}");
        }
    }

    #[test]
    fn with_prompt_none_nobody_is_asked_anything() {
        let none = Prompt { none: true, ..Prompt::default() };
        let refused = |present, max_age| request(none, max_age).step(present, &Scope::default(), NOW);
        assert_eq!(refused(None, None), Step::Refuse(AuthorizationError::LoginRequired));
        assert_eq!(
            refused(Some(there(61, false)), Some(60)),
            Step::Refuse(AuthorizationError::LoginRequired)
        );
        assert_eq!(refused(Some(there(1, false)), None), Step::Refuse(AuthorizationError::ConsentRequired));
    }

    #[test]
    fn x20_what_was_allowed_before_is_not_asked_again_unless_another_program_could_be_asking() {
        let (any, consent) = (Prompt::default(), Prompt { consent: true, ..Prompt::default() });
        let none = Prompt { none: true, ..Prompt::default() };
        let secret = || Some(Credentials::new(SecretDigest::of(b"secret")));
        let (web, native) = ("https://app.example/cb", "com.example.app:/cb");
        let refused = Step::Refuse(AuthorizationError::ConsentRequired);
        for (prompt, allowed, uri, credentials, expected) in [
            (any, "a b", web, None, Step::Approve),
            (any, "a b c", web, None, Step::Approve),
            (any, "a", web, None, Step::Consent),
            (none, "a b", web, None, Step::Approve),
            (none, "a", web, None, refused),
            (consent, "a b", web, secret(), Step::Consent),
            (any, "a b", native, None, Step::Consent),
            (any, "a b", "http://127.0.0.1/cb", None, Step::Consent),
            (none, "a b", native, None, refused),
            (any, "a b", native, secret(), Step::Approve),
        ] {
            let mut request = request(prompt, None);
            request.redirect_uri = RedirectUri::parse(uri).unwrap();
            request.client = Arc::new(Client { credentials, ..Client::clone(&request.client) });
            let step = request.step(Some(there(1, false)), &Scope::parse(allowed).unwrap(), NOW);
            assert_eq!(step, expected, "{prompt:?} {allowed} {uri}");
            assert_ne!(request.step(None, &Scope::parse(allowed).unwrap(), NOW), Step::Approve);
        }
    }
}
