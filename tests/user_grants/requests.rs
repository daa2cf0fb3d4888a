//! What a client asks for.

use symbolon::domain::pkce::CodeVerifier;
use symbolon::domain::token::TokenString;
use symbolon::oauth::authorize::AuthorizationParameters;
use symbolon::oauth::{PresentedGrant, Redemption, TokenRequest};

use crate::world::{App, CHALLENGE, REDIRECT_URI, VERIFIER};

/// The parameters of the usual authorization request.
pub fn parameters(app: &App) -> AuthorizationParameters<'_> {
    AuthorizationParameters {
        client_id: Some(&app.id),
        redirect_uri: Some(REDIRECT_URI),
        response_type: Some("code"),
        state: Some("af0ifjsldkj"),
        code_challenge: Some(CHALLENGE),
        code_challenge_method: Some("S256"),
        ..AuthorizationParameters::default()
    }
}

/// A parameter of a redirect.
pub fn parameter(location: &str, name: &str) -> Option<String> {
    let url = url::Url::parse(location).unwrap();
    url.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}

pub fn redemption(app: &App, code: &str) -> TokenRequest {
    request(
        app,
        PresentedGrant::AuthorizationCode(Redemption {
            code: TokenString::parse(code.as_bytes()).ok(),
            redirect_uri: Some(REDIRECT_URI.to_owned()),
            verifier: CodeVerifier::parse(VERIFIER).ok(),
        }),
    )
}

pub fn refreshing(app: &App, token: &str) -> TokenRequest {
    request(app, PresentedGrant::RefreshToken(TokenString::parse(token.as_bytes()).ok()))
}

fn request(app: &App, grant: PresentedGrant) -> TokenRequest {
    TokenRequest {
        grant,
        credentials: app.credentials.clone(),
        scope: None,
        resources: Vec::new(),
        address: None,
    }
}
