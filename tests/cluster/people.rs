//! Somebody who logs in to apps: the cast of the tests about refresh tokens.

use std::io;

use crate::scene::{PROMISED, SOON, Said, Scene, assert_unavailable};
use crate::support::actors::Token;
use crate::support::browser::{self, App, Browser, Tokens, User};
use crate::support::deployment::{Deployment, Plan};
use crate::support::http::Response;
use crate::support::symbolon::Server;
use crate::support::wait;

/// All that the apps are registered for, and all that they ask for.
pub const SCOPE: &str = "notes:read notes:write";

/// Two replicas, two apps, and somebody who uses both.
pub struct People {
    pub scene: Scene,
    pub mira: User,
    /// With a secret.
    pub server_side: App,
    /// Without one.
    pub in_browser: App,
}

impl People {
    pub fn of(plan: Plan) -> Self {
        Self::with_apps(plan, &[])
    }

    /// The apps are registered with further arguments.
    pub fn with_apps(plan: Plan, further: &[&str]) -> Self {
        Self::live_in(Scene::of(plan), further)
    }

    pub fn live_in(scene: Scene, further: &[&str]) -> Self {
        let deployment = &scene.deployment;
        let mira = deployment.user("mira");
        let server_side = deployment.app("server-side", SCOPE, further);
        let in_browser = deployment.app("in-browser", SCOPE, &[&["--public"], further].concat());
        Self { scene, mira, server_side, in_browser }
    }

    pub fn deployment(&self) -> &Deployment {
        &self.scene.deployment
    }

    pub fn replica(&self, index: usize) -> &Server {
        self.scene.replica(index)
    }

    pub fn apps(&self) -> [&App; 2] {
        [&self.server_side, &self.in_browser]
    }

    /// Mira logs in and allows; the app redeems the code at the other replica. Both replicas know of it.
    #[track_caller]
    pub fn log_in(&self, app: &App) -> Tokens {
        self.log_in_as(&self.mira, app)
    }

    /// The same for somebody else.
    #[track_caller]
    pub fn log_in_as(&self, user: &User, app: &App) -> Tokens {
        let tokens = log_in(user, app, [self.replica(0), self.replica(1)]);
        self.scene.everywhere(&tokens.access, Said::Active);
        tokens
    }

    /// What the feed says became of the grant of a token.
    pub fn audit(&self, token: &Token) -> Vec<String> {
        let query = format!(
            "SELECT kind || ', ' || actor || ', ' || coalesce(reason, '-') FROM changes \
             WHERE kind IN ('revoke-grant', 'lost-rotation') AND left(target, 17) = '{}' ORDER BY number",
            token.grant_id()
        );
        self.deployment().database().execute(&query).lines().map(str::to_owned).collect()
    }

    /// Fails unless these tokens, and whatever else their grant has, are dead on every replica.
    #[track_caller]
    pub fn is_dead(&self, app: &App, tokens: &Tokens) {
        self.scene.everywhere(&tokens.access, Said::Inactive);
        for server in self.deployment().replicas() {
            refused(&app.refreshing(server, &tokens.refresh, &[]).send());
        }
    }
}

/// Somebody logs in at the first server and allows all; the app redeems the code at the second.
#[track_caller]
pub fn log_in(user: &User, app: &App, [pages, token]: [&Server; 2]) -> Tokens {
    let ask = app.ask().with("scope", SCOPE);
    let answer = Browser::new().allow(pages, user, &ask);
    let tokens = app.redeem(token, &ask, &answer);
    assert_eq!(words(&tokens.scope), words(SCOPE));
    tokens
}

/// The words of a scope, sorted.
pub fn words(scope: &str) -> Vec<&str> {
    let mut words: Vec<&str> = scope.split(' ').collect();
    words.sort_unstable();
    words
}

/// Nobody gets anything for this token.
#[track_caller]
pub fn refused(answer: &Response) {
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(answer.oauth_error().as_deref(), Some("invalid_grant"));
}

/// A refresh while something is broken: tokens, or a 503 or silence in time. Anything else fails the test.
#[track_caller]
pub fn try_refresh(app: &App, server: &Server, token: &Token) -> Option<Tokens> {
    let answer = app.refreshing(server, token, &[]).limit(PROMISED).try_send().ok()?;
    if answer.status == 200 {
        return Some(browser::tokens(&answer));
    }
    assert_unavailable(&answer);
    None
}

/// What a client does that has lost its way: it tries until it is answered.
#[track_caller]
pub fn refresh_at_last(app: &App, server: &Server, token: &Token) -> Tokens {
    wait::until("a refresh is answered", SOON, || try_refresh(app, server, token))
}

/// The tokens in an answer as it went over the wire.
pub fn tokens_in(answer: &[u8]) -> io::Result<Tokens> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    assert!(head.starts_with("HTTP/1.1 200"), "{text}");
    Ok(browser::tokens(&Response { status: 200, headers: Vec::new(), body: body.as_bytes().to_vec() }))
}
