//! Who talks to Symbolon: clients, which mint and revoke, and resource servers, which introspect and revoke.

use serde_json::Value;

use super::http::{Request, Response};
use super::symbolon::Server;

/// A client that was registered through the command line.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its id.
    pub id: String,
    /// Its secret; empty for a public client.
    pub secret: String,
}

/// A resource server that was registered through the command line.
#[derive(Clone, Debug)]
pub struct ResourceServer {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: String,
}

/// A token as a client holds it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub String);

impl Token {
    /// The whole string.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part that is safe to show and enough to find it by: the 17 digits after the kind.
    pub fn grant_id(&self) -> &str {
        &self.0[4..21]
    }
}

/// A 200 from `/introspect`.
#[derive(Clone, Debug)]
pub struct Introspection(pub Value);

impl Introspection {
    /// Whether the token is good here, now.
    pub fn active(&self) -> bool {
        self.0["active"].as_bool().unwrap_or_else(|| panic!("no boolean `active` in {}", self.0))
    }

    /// A member of the answer, `null` if it is not there.
    pub fn claim(&self, name: &str) -> &Value {
        &self.0[name]
    }

    /// The words of `scope`, sorted.
    pub fn scope(&self) -> Vec<&str> {
        let mut words: Vec<&str> = self.0["scope"].as_str().unwrap_or_default().split_whitespace().collect();
        words.sort_unstable();
        words
    }
}

impl Client {
    /// A token for all that the client is registered for.
    #[track_caller]
    pub fn mint(&self, server: &Server) -> Token {
        self.mint_with(server, &[])
    }

    /// A token for this scope.
    #[track_caller]
    pub fn mint_scope(&self, server: &Server, scope: &str) -> Token {
        self.mint_with(server, &[("scope", scope)])
    }

    /// A token for what these further fields ask.
    #[track_caller]
    pub fn mint_with(&self, server: &Server, fields: &[(&str, &str)]) -> Token {
        let answer = self.token_request(server, fields).send().expect_status(200).json();
        let token = answer["access_token"].as_str().unwrap_or_else(|| panic!("no access_token in {answer}"));
        Token(token.to_owned())
    }

    /// The request of a mint, to be changed or sent by hand.
    pub fn token_request(&self, server: &Server, fields: &[(&str, &str)]) -> Request {
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend_from_slice(fields);
        Request::post(server.url("/token")).form(&form).basic(&self.id, &self.secret)
    }

    /// Revokes a token; returns when that is acknowledged.
    #[track_caller]
    pub fn revoke(&self, server: &Server, token: &Token) {
        self.revoke_request(server, token.as_str()).send().expect_status(200);
    }

    /// The request of a revocation.
    pub fn revoke_request(&self, server: &Server, token: &str) -> Request {
        token_form(server, "/revoke", token).basic(&self.id, &self.secret)
    }
}

impl ResourceServer {
    /// What the token may do here. Fails the test unless the server answers 200.
    #[track_caller]
    pub fn introspect(&self, server: &Server, token: &Token) -> Introspection {
        Introspection(self.introspect_str(server, token.as_str()).expect_status(200).json())
    }

    /// The answer for any text in place of a token, whatever its status.
    #[track_caller]
    pub fn introspect_str(&self, server: &Server, token: &str) -> Response {
        self.introspect_request(server, token).send()
    }

    /// The request of an introspection.
    pub fn introspect_request(&self, server: &Server, token: &str) -> Request {
        token_form(server, "/introspect", token).basic(&self.id, &self.secret)
    }

    /// Revokes a token that it saw abused; returns when that is acknowledged.
    #[track_caller]
    pub fn revoke(&self, server: &Server, token: &Token) {
        self.revoke_request(server, token.as_str()).send().expect_status(200);
    }

    /// The request of a revocation.
    pub fn revoke_request(&self, server: &Server, token: &str) -> Request {
        token_form(server, "/revoke", token).basic(&self.id, &self.secret)
    }
}

fn token_form(server: &Server, path: &str, token: &str) -> Request {
    Request::post(server.url(path)).form(&[("token", token)])
}
