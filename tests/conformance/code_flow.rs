//! Somebody logs in and allows an application something: the whole way, as a browser goes it (RFC 6749 §4.1).

use serde_json::json;

use crate::support::browser::Browser;
use crate::support::deployment::Deployment;
use crate::world::NOTES;

#[test]
fn a5_somebody_logs_in_and_allows_and_the_code_becomes_tokens() {
    let deployment = Deployment::embedded();
    let server = deployment.replica(0);
    let notes = deployment.resource_server("notes", NOTES, "notes:read notes:write");
    let mira = deployment.user("mira@example.com");
    for further in [&["--public"][..], &[]] {
        let app = deployment.app(&format!("app {}", further.len()), "notes:read notes:write", further);
        let ask = app.ask().with("scope", "notes:read");
        let answer = Browser::new().allow(server, &mira, &ask);
        assert_eq!(answer.get("state").as_deref(), ask.field("state"));
        assert_eq!(answer.get("iss"), Some(server.url("")));
        let tokens = app.redeem(server, &ask, &answer);
        assert_eq!(tokens.scope, "notes:read");
        let seen = notes.introspect(server, &tokens.access);
        assert_eq!(seen.claim("active"), true);
        assert_eq!(seen.claim("username"), "mira@example.com");
        assert_eq!(seen.claim("client_id"), &json!(app.client.id));
        assert_eq!(seen.claim("scope"), "notes:read");
        let next = app.refresh(server, &tokens.refresh);
        assert!(notes.introspect(server, &next.access).active());
        assert_ne!(next.refresh, tokens.refresh);
    }
}
