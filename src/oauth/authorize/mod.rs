//! The authorization endpoint (RFC 6749 §4.1, RFC 9700 §2.1.1): what is asked for, and the code
//! that is given for it. Who the user is, and whether they consent, others find out.

pub mod response;
mod shown;
mod step;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub use self::response::AuthorizationError;
use self::response::redirect;
pub use self::shown::{AskedAt, ScopeInWords};
pub use self::step::{Presence, Step};
use super::AuthorizationServer;
use super::error::OAuthError;
use super::target::{requested_scope, target};
use crate::directory::{Client, DirectoryView, GrantType};
use crate::domain::entropy;
use crate::domain::identifier::{GrantId, ResourceIdentifier, ResourceServerId, UserId};
use crate::domain::pkce::{self, CodeChallenge};
use crate::domain::position::ChangeNumber;
use crate::domain::redirect_uri::RedirectUri;
use crate::domain::scope::Scope;
use crate::domain::token::{CODE_LIFETIME, PlainToken, TokenKind};
use crate::grants::index::{self, Listing};
use crate::grants::{Code, CodeState, GrantRecord, UserGrant};

/// How often a code is made anew because its grant id was taken.
const ATTEMPTS: usize = 4;

/// The parameters of an authorization request, as they were sent (RFC 6749 §4.1.1, RFC 7636 §4.3,
/// RFC 8707 §2.1; OpenID Connect Core §3.1.2.1 for the last three).
#[derive(Clone, Debug, Default)]
pub struct AuthorizationParameters<'p> {
    /// What is wrong with those of them that could not be read.
    pub malformed: Option<&'static str>,
    pub client_id: Option<&'p str>,
    pub redirect_uri: Option<&'p str>,
    pub response_type: Option<&'p str>,
    pub scope: Option<&'p str>,
    pub state: Option<&'p str>,
    pub code_challenge: Option<&'p str>,
    pub code_challenge_method: Option<&'p str>,
    pub resources: Vec<&'p str>,
    pub prompt: Option<&'p str>,
    pub max_age: Option<&'p str>,
    pub login_hint: Option<&'p str>,
}

/// A request that may be shown to a user.
#[derive(Clone, Debug)]
pub struct AuthorizationRequest {
    pub client: Arc<Client>,
    pub redirect_uri: RedirectUri,
    pub state: Option<String>,
    pub scope: Scope,
    pub audience: BTreeSet<ResourceServerId>,
    pub code_challenge: CodeChallenge,
    pub prompt: Prompt,
    /// How long ago the user may have logged in at most.
    pub max_age: Option<Duration>,
    pub login_hint: Option<String>,
}

/// What the client wants the user to be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// Nothing at all: it wants an error instead.
    pub none: bool,
    pub login: bool,
    pub consent: bool,
}

/// A request that is refused before anybody is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody knows where the answer may be sent: the user is told, and nothing is redirected
    /// (RFC 6749 §4.1.2.1).
    Page(&'static str),
    /// The client is told, at this address.
    Redirect(String),
    /// The answer cannot be known now.
    Unavailable(OAuthError),
}

/// What a user approved.
#[derive(Clone, Debug)]
pub struct Approval {
    pub subject: UserId,
    /// The login session in which they did.
    pub session: GrantId,
    /// The position of the feed that was known before the first fact that it rests on.
    pub born: ChangeNumber,
    /// From where, if that is known.
    pub address: Option<IpAddr>,
}

impl AuthorizationServer {
    /// Reads an authorization request.
    ///
    /// # Errors
    /// Why it is refused, and whom that may be told.
    pub fn authorize(
        &self,
        parameters: &AuthorizationParameters<'_>,
    ) -> Result<AuthorizationRequest, Refusal> {
        let known = self.feed.current().map_err(|error| Refusal::Unavailable(error.into()))?;
        let (client, redirect_uri) = trusted_client(parameters, &known.view)?;
        let state = parameters.state;
        read(parameters, &known.view, client, &redirect_uri)
            .map_err(|error| Refusal::Redirect(error.redirect(&redirect_uri, state, &self.settings.issuer)))
    }

    /// Where the user is sent when a request ends without a code.
    pub fn refuse(&self, request: &AuthorizationRequest, error: AuthorizationError) -> String {
        error.redirect(&request.redirect_uri, request.state.as_deref(), &self.settings.issuer)
    }

    /// Gives a code for what a user approved; returns where the user is sent with it, or `None` when
    /// what the approval rests on has ended meanwhile.
    ///
    /// # Errors
    /// Unavailable when the code could not be kept, the client was changed, or the lease ran out.
    pub async fn approve(
        &self,
        request: &AuthorizationRequest,
        approval: &Approval,
    ) -> Result<Option<String>, OAuthError> {
        for _ in 0..ATTEMPTS {
            let grant_id = GrantId::generate(self.entropy.as_ref())?;
            let (record, code) = self.make_code(request, approval, grant_id)?;
            // Listed first, for as long as the code may be redeemed: a page that asks for codes and redeems none must not
            // push out of the list what lives.
            let until = record.needed_until();
            let (list, now) = (Listing::Grants.of(&approval.subject), self.feed.clock().now());
            index::list(self.grants.as_ref(), list, grant_id, until, now).await?;
            if !self.grants.insert(grant_id, &record.encode(), until).await? {
                continue;
            }
            let id = request.client.id.as_str();
            let (unchanged, lives) = self.feed.with_current(|known| {
                let client = known.view.find_client(id);
                let unchanged = client.is_some_and(|client| Arc::ptr_eq(client, &request.client));
                (unchanged, known.is_live(&grant_id, &record.bonds(), record.born))
            })?;
            if unchanged && lives {
                let parameters = [("code", Some(code.expose())), ("state", request.state.as_deref())];
                return Ok(Some(redirect(&request.redirect_uri, &parameters, &self.settings.issuer)));
            }
            // Nobody has seen the code.
            self.grants.remove(grant_id).await?;
            if !lives {
                return Ok(None);
            }
            let why = "the client was changed while the request was approved";
            return Err(OAuthError::unavailable("the client was changed; try again", why));
        }
        Err(OAuthError::unavailable("the server cannot answer now; try again", "every grant id was taken"))
    }

    fn make_code(
        &self,
        request: &AuthorizationRequest,
        approval: &Approval,
        grant_id: GrantId,
    ) -> Result<(GrantRecord, PlainToken), OAuthError> {
        let entropy = self.entropy.as_ref();
        let code = PlainToken::generate(TokenKind::AuthorizationCode, grant_id, &self.keys, entropy)?;
        let now = self.feed.clock().now();
        let (client, lifetime) = (&request.client, self.lasts(request));
        let record = GrantRecord {
            born: approval.born,
            expires_at: now + CODE_LIFETIME + lifetime,
            client: client.id.clone(),
            scope: request.scope.clone(),
            audience: request.audience.iter().cloned().collect(),
            access_tokens: Vec::new(),
            user: Some(UserGrant {
                subject: approval.subject.clone(),
                session: Some(approval.session),
                salt: entropy::random(entropy)?,
                attempt: 0,
                code: Some(Code {
                    digest: code.digest().bound_to(&request.code_challenge),
                    expires_at: now + CODE_LIFETIME,
                    state: CodeState::Pending { redirect_uri: request.redirect_uri.digest() },
                }),
                refresh: None,
                given_at: Some(now),
            }),
            address: approval.address,
        };
        Ok((self.as_all_read(record), code))
    }
}

/// RFC 6749 §4.1.2.1: "If the request fails due to a missing, invalid, or mismatching redirection
/// URI, or if the client identifier is missing or invalid, the authorization server … MUST NOT
/// automatically redirect the user-agent to the invalid redirection URI."
fn trusted_client(
    parameters: &AuthorizationParameters<'_>,
    view: &DirectoryView,
) -> Result<(Arc<Client>, RedirectUri), Refusal> {
    let id =
        parameters.client_id.ok_or(Refusal::Page("the request does not say which application it is of"))?;
    let client = view.find_client(id).filter(|client| client.enabled);
    let client = client.ok_or(Refusal::Page("the application is not known here"))?;
    let presented =
        parameters.redirect_uri.ok_or(Refusal::Page("the request does not say where to go back"))?;
    let redirect_uri = client.redirect_uri(presented);
    let redirect_uri = redirect_uri
        .ok_or(Refusal::Page("the application is not registered for the address to go back to"))?;
    Ok((Arc::clone(client), redirect_uri))
}

fn read(
    parameters: &AuthorizationParameters<'_>,
    view: &DirectoryView,
    client: Arc<Client>,
    redirect_uri: &RedirectUri,
) -> Result<AuthorizationRequest, AuthorizationError> {
    use AuthorizationError as Error;
    if let Some(why) = parameters.malformed {
        return Err(Error::InvalidRequest(why));
    }
    match parameters.response_type {
        Some("code") => {}
        Some(_) => return Err(Error::UnsupportedResponseType),
        None => return Err(Error::InvalidRequest("response_type is missing")),
    }
    if !client.grant_types.contains(&GrantType::AuthorizationCode) {
        return Err(Error::UnauthorizedClient);
    }
    let code_challenge = read_challenge(parameters)?;
    let scope = parameters.scope.map(Scope::parse).transpose();
    let scope = scope.map_err(|_| Error::InvalidScope("the scope is malformed"))?;
    let scope = requested_scope(scope.as_ref(), &client.scope)?;
    let resources: Result<Vec<_>, _> =
        parameters.resources.iter().map(|text| ResourceIdentifier::parse(text)).collect();
    let resources =
        resources.map_err(|_| Error::InvalidTarget("a resource is an absolute URI without a fragment"))?;
    let (scope, audience) = target(view, &resources, scope, None)?;
    Ok(AuthorizationRequest {
        client,
        redirect_uri: redirect_uri.clone(),
        state: parameters.state.map(str::to_owned),
        scope,
        audience,
        code_challenge,
        prompt: read_prompt(parameters.prompt)?,
        max_age: parameters.max_age.map(read_max_age).transpose()?,
        login_hint: parameters.login_hint.map(str::to_owned),
    })
}

/// RFC 9700 §2.1.1, for every client: a code without a challenge could be redeemed by whoever
/// intercepts it.
fn read_challenge(parameters: &AuthorizationParameters<'_>) -> Result<CodeChallenge, AuthorizationError> {
    let challenge = parameters.code_challenge;
    let challenge =
        challenge.ok_or(AuthorizationError::InvalidRequest("code_challenge is missing (PKCE)"))?;
    // RFC 7636 §4.3: without a method it is "plain", which hides nothing.
    if parameters.code_challenge_method != Some(pkce::METHOD) {
        return Err(AuthorizationError::InvalidRequest("code_challenge_method must be S256"));
    }
    let malformed = AuthorizationError::InvalidRequest("code_challenge is not a SHA-256 in base64url");
    CodeChallenge::parse(challenge).map_err(|_| malformed)
}

fn read_prompt(text: Option<&str>) -> Result<Prompt, AuthorizationError> {
    let mut prompt = Prompt::default();
    for word in text.unwrap_or_default().split_ascii_whitespace() {
        match word {
            "none" => prompt.none = true,
            "login" => prompt.login = true,
            "consent" => prompt.consent = true,
            _ => return Err(AuthorizationError::InvalidRequest("prompt knows none, login and consent")),
        }
    }
    if prompt.none && (prompt.login || prompt.consent) {
        return Err(AuthorizationError::InvalidRequest("prompt=none goes with nothing else"));
    }
    Ok(prompt)
}

fn read_max_age(text: &str) -> Result<Duration, AuthorizationError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = text.parse().ok().filter(|_| digits);
    seconds
        .map(Duration::from_secs)
        .ok_or(AuthorizationError::InvalidRequest("max_age is not a number of seconds"))
}
