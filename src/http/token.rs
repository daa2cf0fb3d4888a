//! `POST /token` (RFC 6749 §3.2).

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::cross_origin::Reader;
use super::form::{Form, Known, Occurs};
use super::observe::observe;
use super::{WorkerState, address, basic, form, respond};
use crate::domain::identifier::ResourceIdentifier;
use crate::domain::pkce::CodeVerifier;
use crate::domain::scope::Scope;
use crate::domain::token::TokenString;
use crate::oauth::{GrantType, OAuthError, PresentedGrant, Redemption, TokenRequest};

/// The parameters that it knows.
pub const KNOWN: Known = &[
    ("grant_type", Occurs::Once),
    ("scope", Occurs::Once),
    ("resource", Occurs::Repeatedly),
    ("client_id", Occurs::Once),
    ("client_secret", Occurs::Once),
    // Of grant types that come later, or never: known, so that repeating them is an error already.
    ("code", Occurs::Once),
    ("code_verifier", Occurs::Once),
    ("redirect_uri", Occurs::Once),
    ("refresh_token", Occurs::Once),
    ("username", Occurs::Once),
    ("password", Occurs::Once),
    ("audience", Occurs::Repeatedly),
];

pub async fn post(request: HttpRequest, payload: Payload, state: Data<WorkerState>) -> HttpResponse {
    let reader = Reader::of(&request);
    let response = observe(&state.shared, &state.shared.endpoints.token, async {
        let form = form::read(&request, payload, KNOWN).await?;
        reader.note_client(&form);
        let token_request = parse(&request, &form)?;
        let issued = state.server.issue(&token_request).await;
        let issued = basic::unless_guessing(&state, &request, &token_request.credentials, issued).await?;
        let grant_type = token_request.grant.grant_type().as_str();
        state.shared.metrics.tokens_issued.count(grant_type);
        let mut response = respond::json(issued.to_json().map_err(respond::unrenderable)?);
        // RFC 6749 §5.1: "the \"Pragma\" response header field [RFC2616] with a value of \"no-cache\"".
        response.headers_mut().insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
        Ok(response)
    })
    .await;
    reader.show(&state, response)
}

fn parse(request: &HttpRequest, form: &Form) -> Result<TokenRequest, OAuthError> {
    let grant_type = form.text("grant_type");
    let grant_type = grant_type.ok_or(OAuthError::InvalidRequest("grant_type is missing"))?;
    let grant_type = GrantType::parse(grant_type).ok_or(OAuthError::UnsupportedGrantType)?;
    let grant = presented(grant_type, form)?;
    let credentials = basic::credentials(request, form)?;
    // Of a code it is ignored (RFC 6749 §4.1.3 knows none): the user has approved one.
    let scope = form.text("scope").filter(|_| grant_type != GrantType::AuthorizationCode);
    let scope = scope.map(Scope::parse).transpose();
    let scope = scope.map_err(|_| OAuthError::InvalidScope("the scope is malformed"))?;
    let resources = form.texts("resource").map(ResourceIdentifier::parse);
    let resources: Result<Vec<_>, _> = resources.collect();
    let resources = resources
        .map_err(|_| OAuthError::InvalidTarget("a resource is an absolute URI without a fragment"))?;
    Ok(TokenRequest { grant, credentials, scope, resources, address: address::of_client(request) })
}

fn presented(grant_type: GrantType, form: &Form) -> Result<PresentedGrant, OAuthError> {
    let token = |name, missing| {
        let text = form.bytes(name).ok_or(OAuthError::InvalidRequest(missing));
        text.map(|text| TokenString::parse(text).ok())
    };
    Ok(match grant_type {
        GrantType::ClientCredentials => PresentedGrant::ClientCredentials,
        GrantType::RefreshToken => {
            PresentedGrant::RefreshToken(token("refresh_token", "refresh_token is missing")?)
        }
        GrantType::AuthorizationCode => PresentedGrant::AuthorizationCode(Redemption {
            code: token("code", "code is missing")?,
            redirect_uri: form.text("redirect_uri").map(str::to_owned),
            verifier: form.text("code_verifier").and_then(|text| CodeVerifier::parse(text).ok()),
        }),
    })
}
