//! Authorization server metadata (RFC 8414): what works here, and nothing else.

use serde::Serialize;

use super::AuthorizationServer;
use crate::directory::GrantType;
use crate::domain::pkce;

/// The secret methods of RFC 6749 §2.3.1.
const SECRET_METHODS: [&str; 2] = ["client_secret_basic", "client_secret_post"];
/// The same, and the one of clients without a secret.
const CLIENT_METHODS: [&str; 3] = ["client_secret_basic", "client_secret_post", "none"];

/// The metadata document. RFC 8414 §3.2: "Claims with zero elements MUST be omitted".
#[derive(Clone, Debug, Serialize)]
pub struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    introspection_endpoint: String,
    revocation_endpoint: String,
    /// Stated, because the default of RFC 8414 §2 includes `implicit`.
    grant_types_supported: [&'static str; 3],
    response_types_supported: [&'static str; 1],
    /// Stated, because the default includes `fragment`.
    response_modes_supported: [&'static str; 1],
    code_challenge_methods_supported: [&'static str; 1],
    /// RFC 9207 §3
    authorization_response_iss_parameter_supported: bool,
    token_endpoint_auth_methods_supported: [&'static str; 3],
    introspection_endpoint_auth_methods_supported: [&'static str; 2],
    revocation_endpoint_auth_methods_supported: [&'static str; 3],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<String>,
}

impl AuthorizationServer {
    /// The metadata. Built from the configured issuer only, never from a request's headers.
    pub fn metadata(&self) -> Metadata {
        let issuer = self.settings.issuer.as_ref();
        let endpoint = |path: &str| format!("{}{path}", issuer.trim_end_matches('/'));
        let known = self.feed.newest();
        let scopes = known.map(|known| known.view.scopes()).unwrap_or_default();
        Metadata {
            issuer: issuer.to_owned(),
            authorization_endpoint: endpoint("/authorize"),
            token_endpoint: endpoint("/token"),
            introspection_endpoint: endpoint("/introspect"),
            revocation_endpoint: endpoint("/revoke"),
            grant_types_supported: GrantType::ALL.map(GrantType::as_str),
            response_types_supported: ["code"],
            response_modes_supported: ["query"],
            code_challenge_methods_supported: [pkce::METHOD],
            authorization_response_iss_parameter_supported: true,
            token_endpoint_auth_methods_supported: CLIENT_METHODS,
            introspection_endpoint_auth_methods_supported: SECRET_METHODS,
            revocation_endpoint_auth_methods_supported: CLIENT_METHODS,
            scopes_supported: scopes.words().map(str::to_owned).collect(),
        }
    }
}
