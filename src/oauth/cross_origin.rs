//! Which pages of the web may read an answer (OAuth 2.0 for Browser-Based Applications, the CORS
//! protocol of the Fetch standard).
//!
//! It protects nobody from a request, only from having its answer read: so it is judged by what is
//! known, lease or not, and a page is told also why it got no token.

use super::AuthorizationServer;

impl AuthorizationServer {
    /// Whether pages of this origin may read what a request is answered: those that the client
    /// registered which the request names, or any client as long as none is named.
    pub fn may_read(&self, origin: &str, client_id: Option<&str>) -> bool {
        let Some(known) = self.feed.newest() else { return false };
        match client_id {
            None => known.view.knows_origin(origin),
            Some(id) => known.view.find_client(id).is_some_and(|client| client.origins.contains(origin)),
        }
    }
}
