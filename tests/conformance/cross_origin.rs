//! What pages of other origins may read (X44; the CORS protocol of the Fetch standard).

use std::sync::OnceLock;

use crate::expect::refused;
use crate::support::actors::Client;
use crate::support::http::{Request, Response};
use crate::support::symbolon::Server;
use crate::world::{World, embedded, scaled};

const APP: &str = "https://spa.example";
const DEVELOPMENT: &str = "http://localhost:5173";
/// Registered by [`Pages::other`] only.
const OTHER: &str = "https://other.example:8443";
const FOREIGN: &str = "https://evil.example";
const FOR_PAGES: [&str; 2] = ["/token", "/revoke"];

/// Clients whose pages run in browsers.
struct Pages {
    world: &'static World,
    /// Registered [`APP`] and [`DEVELOPMENT`].
    app: Client,
    /// Registered [`OTHER`].
    other: Client,
}

fn pages() -> &'static Pages {
    static PAGES: OnceLock<Pages> = OnceLock::new();
    let world = embedded();
    PAGES.get_or_init(|| {
        let client = |name, origins: &[&str]| world.deployment.client_with(name, "notes:read", origins);
        let app = client("pages", &["--origin", APP, "--origin", DEVELOPMENT]);
        Pages { world, app, other: client("other-pages", &["--origin", OTHER]) }
    })
}

impl Pages {
    fn server(&self) -> &Server {
        self.world.server()
    }

    fn mint(&self, client: &Client, origin: &str) -> Response {
        client.token_request(self.server(), &[]).header("origin", origin).send()
    }
}

/// The headers of the protocol.
fn shared(answer: &Response) -> Vec<(&str, &str)> {
    let headers = answer.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    headers.filter(|(name, _)| name.starts_with("access-control-")).collect()
}

#[track_caller]
fn readable(answer: &Response, origin: &str) {
    let expose = ("access-control-expose-headers", "retry-after, www-authenticate, x-request-id");
    let mut headers = shared(answer);
    headers.sort_unstable();
    assert_eq!(headers, [("access-control-allow-origin", origin), expose], "{}", answer.text());
    assert_eq!(answer.header_values("vary"), ["origin"]);
}

#[track_caller]
fn unreadable(answer: &Response) {
    assert_eq!(shared(answer), [], "{} {}", answer.status, answer.text());
}

fn preflight(server: &Server, path: &str, origin: &str) -> Request {
    Request::new("OPTIONS", server.url(path))
        .header("origin", origin)
        .header("access-control-request-method", "POST")
}

#[test]
fn x44_a_page_may_read_what_the_client_that_registered_it_is_answered() {
    let pages = pages();
    for origin in [APP, DEVELOPMENT] {
        readable(&pages.mint(&pages.app, origin).expect_status(200), origin);
    }
    readable(&pages.mint(&pages.other, OTHER).expect_status(200), OTHER);
    // Answered, for it is no page that asks but whoever knows the secret; but for no page to read.
    for (client, origin) in [(&pages.app, OTHER), (&pages.other, APP), (&pages.app, FOREIGN)] {
        let answer = pages.mint(client, origin).expect_status(200);
        unreadable(&answer);
        assert_eq!(answer.header_values("vary"), ["origin"]);
    }
    let token = pages.app.mint(pages.server());
    let revoke = |origin| pages.app.revoke_request(pages.server(), token.as_str()).header("origin", origin);
    unreadable(&revoke(OTHER).send().expect_status(200));
    readable(&revoke(APP).send().expect_status(200), APP);
    // Without a page nothing is said about pages.
    let plain = pages.app.token_request(pages.server(), &[]).send().expect_status(200);
    unreadable(&plain);
    assert_eq!(plain.header("vary"), None);
}

#[test]
fn x44_a_page_is_told_what_went_wrong_too() {
    let pages = pages();
    let (server, app) = (pages.server(), &pages.app);
    let by_id = [
        ("grant_type", "client_credentials"),
        ("token", "x"),
        ("client_id", app.id.as_str()),
        ("client_secret", "x"),
    ];
    for path in FOR_PAGES {
        let post = |form: &[(&str, &str)], origin| {
            Request::post(server.url(path)).form(form).header("origin", origin).send()
        };
        let wrong = post(&by_id, APP).expect_status(401);
        readable(&wrong, APP);
        assert_eq!(wrong.oauth_error().as_deref(), Some("invalid_client"));
        unreadable(&post(&by_id, OTHER).expect_status(401));
        // Another client that nobody registered: not even its absence is for pages.
        unreadable(&post(&[("client_id", "nobody"), ("token", "x")], APP));
        // Nobody is named: any client's pages may read that.
        for origin in [APP, OTHER] {
            readable(&post(&[], origin), origin);
            let json = Request::post(server.url(path)).header("content-type", "application/json").body("{}");
            readable(&json.header("origin", origin).send().expect_status(415), origin);
        }
        unreadable(&post(&[], FOREIGN));
    }
}

#[test]
fn x44_a_preflight_is_answered_for_a_registered_origin_and_a_form_only() {
    let pages = pages();
    let server = pages.server();
    for (path, origin) in FOR_PAGES.into_iter().flat_map(|path| [APP, OTHER].map(|origin| (path, origin))) {
        let request = preflight(server, path, origin);
        let asked = request.header("access-control-request-headers", "authorization,x-evil").send();
        let asked = asked.expect_status(204);
        let mut headers = shared(&asked);
        headers.sort_unstable();
        let allowed = [
            ("access-control-allow-headers", "authorization, content-type"),
            ("access-control-allow-methods", "POST"),
            ("access-control-allow-origin", origin),
            ("access-control-max-age", "7200"),
        ];
        assert_eq!(headers, allowed, "{path}");
        assert_eq!((asked.body.len(), asked.header_values("vary")), (0, vec!["origin"]));
    }
    for path in FOR_PAGES {
        let get = Request::new("OPTIONS", server.url(path)).header("origin", APP);
        for refusal in [
            preflight(server, path, FOREIGN),
            preflight(server, path, "null"),
            get.clone(),
            get.clone().header("access-control-request-method", "GET"),
            get.header("access-control-request-method", "DELETE"),
        ] {
            let refusal = refusal.send();
            refused(&refusal, 405, "invalid_request");
            unreadable(&refusal);
        }
    }
    for path in ["/introspect", "/authorize", "/login", "/consent", "/admin", "/livez"] {
        unreadable(&preflight(server, path, APP).send());
        unreadable(&Request::get(server.url(path)).header("origin", APP).send());
        unreadable(&Request::post(server.url(path)).header("origin", APP).form(&[("token", "x")]).send());
    }
    let answer = pages.world.notes.introspect_request(server, "x").header("origin", APP).send();
    unreadable(&answer.expect_status(200));
}

#[test]
fn x44_an_origin_is_the_same_bytes_or_none() {
    let pages = pages();
    for origin in [
        "null",
        "*",
        "https://spa.example/",
        "https://spa.example:443",
        "https://SPA.example",
        "http://spa.example",
        "https://spa.example.evil",
        "https://evil.spa.example",
        "https://spa.example, https://evil.example",
        "https://spa.example https://evil.example",
        "spa.example",
    ] {
        unreadable(&pages.mint(&pages.app, origin).expect_status(200));
        unreadable(&preflight(pages.server(), "/token", origin).send());
    }
    // Two headers are as good as none: nobody knows which of them a browser wrote.
    let twice = pages.app.token_request(pages.server(), &[]).header("origin", APP).header("origin", FOREIGN);
    unreadable(&twice.send());
    let twice = preflight(pages.server(), "/token", APP).header("origin", FOREIGN);
    unreadable(&twice.send());
}

#[test]
fn x44_what_is_registered_holds_at_the_next_request_on_every_replica() {
    let deployment = &scaled().deployment;
    let app = deployment.client("late-pages", "notes:read");
    let origin = "https://late.example";
    let each = |look: &dyn Fn(&Server)| deployment.replicas().for_each(look);
    let minted = |server: &Server| app.token_request(server, &[]).header("origin", origin).send();
    each(&|server| {
        unreadable(&minted(server));
        unreadable(&preflight(server, "/token", origin).send().expect_status(405));
    });
    deployment.cli(&["client", "update", &app.id, "--origin", origin]).success();
    each(&|server| {
        readable(&minted(server).expect_status(200), origin);
        preflight(server, "/token", origin).send().expect_status(204);
    });
    // Disabled, it is told so: a page that could not read it would take the server for absent.
    deployment.cli(&["client", "disable", &app.id]).success();
    each(&|server| readable(&minted(server).expect_status(401), origin));
    deployment.cli(&["client", "enable", &app.id]).success();
    deployment.cli(&["client", "update", &app.id, "--no-origin"]).success();
    each(&|server| {
        unreadable(&minted(server).expect_status(200));
        unreadable(&preflight(server, "/token", origin).send().expect_status(405));
    });
    deployment.cli(&["client", "update", &app.id, "--origin", origin]).success();
    deployment.cli(&["client", "delete", &app.id]).success();
    each(&|server| {
        unreadable(&minted(server).expect_status(401));
        unreadable(&preflight(server, "/token", origin).send().expect_status(405));
    });
}

#[test]
fn x44_anybody_may_read_the_metadata() {
    let server = embedded().server();
    for path in ["/.well-known/oauth-authorization-server", "/openapi.json"] {
        let answer = Request::get(server.url(path)).header("origin", FOREIGN).send().expect_status(200);
        assert_eq!(shared(&answer), [("access-control-allow-origin", "*")]);
    }
}
