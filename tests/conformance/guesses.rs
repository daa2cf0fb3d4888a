//! Guessing at the secrets of clients and resource servers.

use serde_json::Value;

use crate::support::actors::Client;
use crate::support::deployment::{Deployment, Plan};
use crate::support::http::{Request, Response};

const PATHS: [&str; 3] = ["/token", "/introspect", "/revoke"];
/// More than are free, whatever comes back meanwhile.
const MANY: usize = 200;

struct Scene {
    deployment: Deployment,
    app: Client,
}

impl Scene {
    fn new() -> Self {
        let deployment = Plan::embedded().env("SYMBOLON_TRUSTED_PROXIES", "127.0.0.1").start();
        deployment.resource_server("api", "https://api.example", "notes:read");
        let app = deployment.client("app", "notes:read");
        Self { deployment, app }
    }

    fn ask(&self, path: &str, (id, secret): (&str, &str), from: &str) -> Response {
        let form = [("grant_type", "client_credentials"), ("token", "junk")];
        let request = Request::post(self.deployment.replica(0).url(path)).form(&form);
        request.basic(id, secret).header("x-forwarded-for", from).send()
    }

    /// How many wrong secrets are refused before they are too many.
    fn free(&self, path: &str, id: &str, from: &str) -> usize {
        let statuses = (0..MANY).map(|_| self.ask(path, (id, "wrong"), from).status);
        statuses.take_while(|status| *status == 401).count()
    }

    fn audited(&self) -> Vec<Value> {
        let list = ["audit", "list", "--action", "authenticate", "--json"];
        self.deployment.cli(&list).success().json()["rows"].as_array().unwrap().clone()
    }
}

#[test]
fn x8_whoever_guesses_at_a_secret_is_slowed_down_and_nobody_else() {
    let scene = Scene::new();
    let app = scene.app.id.as_str();
    for (path, index) in PATHS.iter().zip(1..) {
        let (guesser, elsewhere) = (format!("192.0.2.{index}"), format!("198.51.100.{index}"));
        assert!((10..MANY).contains(&scene.free(path, app, &guesser)), "{path}");
        let slowed = scene.ask(path, (app, "wrong"), &guesser);
        assert_eq!((slowed.status, slowed.oauth_error().as_deref()), (429, Some("invalid_client")));
        let again_after: u64 = slowed.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&again_after), "{again_after}");
        assert_eq!(
            scene.ask(path, (app, "wrong"), &elsewhere).status,
            401,
            "another address has its own count"
        );
        assert_eq!(scene.ask(path, ("other", "wrong"), &guesser).status, 401, "and so has another client");
        for from in [&guesser, &elsewhere] {
            let token = scene.ask("/token", (app, &scene.app.secret), from);
            assert_eq!(token.status, 200, "a right secret is no guess");
        }
    }
    let rows = scene.audited();
    let said: Vec<_> = rows.iter().map(|row| ["actor", "target", "from"].map(|name| &row[name])).collect();
    assert_eq!(said, [["anonymous", app, "192.0.2.1"]], "one row a minute for each client");
}

#[test]
fn x8_who_is_nobody_cannot_be_told_from_who_is_somebody() {
    let scene = Scene::new();
    let counts = [scene.app.id.as_str(), "nobody"].map(|id| scene.free("/token", id, "192.0.2.1"));
    assert!(counts[0].abs_diff(counts[1]) <= 2, "some come back meanwhile: {counts:?}");
    let slowed = [scene.app.id.as_str(), "nobody"].map(|id| scene.ask("/token", (id, "wrong"), "192.0.2.1"));
    assert_eq!(slowed[0].body, slowed[1].body);
    // Anybody can make up as many names as they like, so those are not written down.
    assert_eq!(scene.audited().len(), 1);
}
