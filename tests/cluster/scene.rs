//! What the tests here share: an installation with somebody to use it, and questions that allow four answers.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::actors::{Client, ResourceServer, Token};
use crate::support::deployment::{Deployment, Plan};
use crate::support::http::{self, Request, Response};
use crate::support::symbolon::Server;
use crate::support::wait;

/// What a request may take on a store that hangs (DESIGN.md §5).
pub const PROMISED: Duration = Duration::from_secs(2);
/// "Recovers by itself": long enough for a loaded machine, too short for anybody to have helped.
pub const SOON: Duration = Duration::from_secs(10);

/// What an introspection comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// 200, `"active":true`
    Active,
    /// 200, exactly `{"active":false}`
    Inactive,
    /// 503 with `Retry-After`
    Unavailable,
    /// No answer: nobody listens, the connection was cut, or it took longer than [`PROMISED`].
    Nothing,
}

/// An installation, a resource server and a client of it.
pub struct Scene {
    pub deployment: Deployment,
    pub api: ResourceServer,
    pub app: Client,
}

impl Scene {
    pub fn of(plan: Plan) -> Self {
        let deployment = plan.start();
        let api = deployment.resource_server("api", "https://api.example", "notes:read notes:write");
        let app = deployment.client("app", "notes:read notes:write");
        Self { deployment, api, app }
    }

    pub fn replica(&self, index: usize) -> &Server {
        self.deployment.replica(index)
    }

    /// A token from a replica, which every replica calls active.
    #[track_caller]
    pub fn live_token(&self) -> Token {
        let token = self.app.mint(self.replica(0));
        self.everywhere(&token, Said::Active);
        token
    }

    pub fn ask(&self, replica: usize, token: &Token) -> Said {
        ask(&self.api, self.replica(replica), token)
    }

    /// Fails unless every replica says this now.
    #[track_caller]
    pub fn everywhere(&self, token: &Token, expected: Said) {
        for server in self.deployment.replicas() {
            assert_eq!(
                ask(&self.api, server, token),
                expected,
                "of {} on {}",
                token.grant_id(),
                server.url("")
            );
        }
    }

    /// The answer to a revocation by the client.
    #[track_caller]
    pub fn revoke(&self, replica: usize, token: &Token) -> Response {
        self.app.revoke_request(self.replica(replica), token.as_str()).send()
    }

    /// Waits until every replica is ready and says that this token is active; nobody may call it inactive meanwhile.
    #[track_caller]
    pub fn wait_for_recovery(&self, token: &Token) {
        for server in self.deployment.replicas() {
            wait::until_true("a replica recovers by itself", SOON, || {
                let said = ask(&self.api, server, token);
                assert_ne!(said, Said::Inactive, "a live token, while a store comes back");
                said == Said::Active && server.is_ready()
            });
        }
    }
}

/// Asks, and allows only the four answers.
#[track_caller]
pub fn ask(api: &ResourceServer, server: &Server, token: &Token) -> Said {
    match api.introspect_request(server, token.as_str()).limit(PROMISED).try_send() {
        Ok(answer) => said(&answer),
        Err(_) => Said::Nothing,
    }
}

/// What an answer of `/introspect` means.
#[track_caller]
pub fn said(answer: &Response) -> Said {
    match answer.status {
        200 if answer.body == br#"{"active":false}"# => Said::Inactive,
        200 if answer.json()["active"] == true => Said::Active,
        503 => {
            assert_unavailable(answer);
            Said::Unavailable
        }
        status => panic!("{status} is no answer to an introspection: {}", answer.text()),
    }
}

/// A 503 says when to try again, in the form that OAuth libraries read.
#[track_caller]
pub fn assert_unavailable(answer: &Response) {
    assert_eq!(answer.status, 503, "{}", answer.text());
    let seconds = answer.header("retry-after").and_then(|value| value.parse::<u64>().ok());
    assert!(seconds.is_some_and(|seconds| seconds > 0), "Retry-After in {:?}", answer.headers);
    assert_eq!(answer.oauth_error().as_deref(), Some("temporarily_unavailable"));
}

/// What a mint came to: a token, or a 503; anything else fails the test.
#[track_caller]
pub fn try_mint(app: &Client, server: &Server) -> Option<Token> {
    let answer = app.token_request(server, &[]).limit(PROMISED).try_send().ok()?;
    if answer.status == 200 {
        return Some(minted(&answer));
    }
    assert_unavailable(&answer);
    None
}

/// The token that an answer of `/token` holds.
#[track_caller]
pub fn minted(answer: &Response) -> Token {
    Token(answer.json()["access_token"].as_str().expect("an access token").to_owned())
}

/// Every check of `/readyz?verbose`, whatever its status.
pub fn readiness(server: &Server) -> Response {
    http::get(&server.management_url("/readyz?verbose"))
}

/// The value of `symbolon_check_failing` for a check.
pub fn check_failing(server: &Server, check: &str) -> bool {
    let metrics = http::get(&server.management_url("/metrics")).expect_status(200).text();
    metrics.contains(&format!("symbolon_check_failing{{check=\"{check}\"}} 1"))
}

/// A process that lives says so, on both listeners, whatever its stores do.
#[track_caller]
pub fn assert_alive(server: &Server) {
    for url in [server.url("/livez"), server.management_url("/livez")] {
        Request::get(url).limit(PROMISED).send().expect_status(200);
    }
}

/// How long something took, with what it gave.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let value = work();
    (value, began.elapsed())
}

/// Lets so many milliseconds pass: between two questions, or for something to go on without us.
pub fn pause(milliseconds: u64) {
    thread::sleep(Duration::from_millis(milliseconds));
}

/// What a test saw, in one line that `docs/RELIABILITY.md` is made from: `cargo test … -- --nocapture | grep '^measured'`.
pub fn measured(seen: &str) {
    let test = thread::current().name().unwrap_or_default().to_owned();
    println!("measured | {} | {seen}", test.rsplit("::").next().unwrap_or_default());
}
