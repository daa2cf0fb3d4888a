//! A browser, and who sits before it.
//!
//! ```ignore
//! let mira = deployment.user("mira");
//! let app = deployment.app("app", "notes:read", &["--public"]);
//! let ask = app.ask();
//! let answer = Browser::new().allow(deployment.replica(0), &mira, &ask);
//! let tokens = app.redeem(deployment.replica(1), &ask, &answer);
//! let tokens = app.refresh(deployment.replica(0), &tokens.refresh);
//! ```
//!
//! It keeps cookies, fills forms as they are, follows redirects on its own origin, and stops where it is sent elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;

use sha2::{Digest as _, Sha256};

use super::actors::{Client, Token};
use super::cli;
use super::deployment::Deployment;
use super::encoding;
use super::html::{self, Form};
use super::http::{Request, Response};
use super::symbolon::Server;

/// Where [`App`]s are sent answers, unless they are registered otherwise. Nobody is there: tests read the address.
pub const CALLBACK: &str = "https://app.example/callback";
/// More hops than any page needs.
const MOST_REDIRECTS: usize = 8;

/// Somebody with a password.
#[derive(Clone, Debug)]
pub struct User {
    /// What they log in with.
    pub name: String,
    /// Their password.
    pub password: String,
}

impl Deployment {
    /// Registers a user with a password.
    #[track_caller]
    pub fn user(&self, name: &str) -> User {
        let user = User { name: name.to_owned(), password: format!("correct horse of {name} {}", random(6)) };
        let arguments = ["user", "create", name, "--password-stdin", "--json"];
        cli::cli_with_stdin(self.environment(), &arguments, &user.password).success();
        user
    }

    /// Registers a client for codes and refresh tokens at [`CALLBACK`], with further arguments.
    #[track_caller]
    pub fn app(&self, name: &str, scope: &str, further: &[&str]) -> App {
        self.app_at(name, scope, CALLBACK, further)
    }

    /// The same, with a redirect URI of its own.
    #[track_caller]
    pub fn app_at(&self, name: &str, scope: &str, redirect_uri: &str, further: &[&str]) -> App {
        let grants = ["--grant", "authorization_code", "--grant", "refresh_token"];
        let mut arguments = vec!["client", "create", name, "--scope", scope, "--redirect-uri", redirect_uri];
        arguments.extend(grants.iter().chain(further));
        arguments.push("--json");
        let created = self.cli(&arguments).success().json();
        let text = |member: &str| created[member].as_str().unwrap_or_default().to_owned();
        let client = Client { id: text("client_id"), secret: text("client_secret") };
        App { client, redirect_uri: redirect_uri.to_owned() }
    }
}

/// A client that people log in for.
#[derive(Clone, Debug)]
pub struct App {
    /// Its id, and its secret if it has one.
    pub client: Client,
    /// Where it is sent answers.
    pub redirect_uri: String,
}

/// What an app was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// The access token.
    pub access: Token,
    /// The refresh token.
    pub refresh: Token,
    /// `scope`, as it was told.
    pub scope: String,
}

impl App {
    /// An authorization request, with a state and a PKCE verifier of its own.
    pub fn ask(&self) -> Ask {
        let (state, verifier) = (random(16), random(32));
        let challenge = base64url(&Sha256::digest(&verifier));
        let fields = [
            ("response_type", "code"),
            ("client_id", &self.client.id),
            ("redirect_uri", &self.redirect_uri),
            ("state", &state),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Ask { fields, verifier }
    }

    /// Redeems the code of an answer.
    #[track_caller]
    pub fn redeem(&self, server: &Server, ask: &Ask, answer: &Answer) -> Tokens {
        tokens(&self.redemption(server, ask, answer.code()).send())
    }

    /// The request of a redemption, to be changed or sent by hand.
    pub fn redemption(&self, server: &Server, ask: &Ask, code: &str) -> Request {
        let redirect_uri = ask.field("redirect_uri").unwrap_or(&self.redirect_uri);
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", &ask.verifier),
        ];
        self.token_request(server, &fields)
    }

    /// Presents a refresh token.
    #[track_caller]
    pub fn refresh(&self, server: &Server, token: &Token) -> Tokens {
        tokens(&self.refreshing(server, token, &[]).send())
    }

    /// The request of a refresh, with further fields.
    pub fn refreshing(&self, server: &Server, token: &Token, further: &[(&str, &str)]) -> Request {
        let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
        fields.extend_from_slice(further);
        self.token_request(server, &fields)
    }

    /// A request to `/token` with this client's authentication.
    pub fn token_request(&self, server: &Server, fields: &[(&str, &str)]) -> Request {
        let request = Request::post(server.url("/token"));
        if self.client.secret.is_empty() {
            let mut fields = fields.to_vec();
            fields.push(("client_id", &self.client.id));
            return request.form(&fields);
        }
        request.form(fields).basic(&self.client.id, &self.client.secret)
    }
}

/// The tokens of a 200 from `/token`.
#[track_caller]
pub fn tokens(response: &Response) -> Tokens {
    let body = response.clone().expect_status(200).json();
    let text =
        |member: &str| body[member].as_str().unwrap_or_else(|| panic!("no {member}: {body}")).to_owned();
    Tokens {
        access: Token(text("access_token")),
        refresh: Token(text("refresh_token")),
        scope: text("scope"),
    }
}

/// An authorization request.
#[derive(Clone, Debug)]
pub struct Ask {
    fields: Vec<(String, String)>,
    /// What the code is redeemed with (RFC 7636).
    pub verifier: String,
}

impl Ask {
    /// With one more parameter.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Without a parameter.
    pub fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(found, _)| found != name);
        self
    }

    /// With another value in place of the one that it has.
    pub fn changed(self, name: &str, value: &str) -> Self {
        self.without(name).with(name, value)
    }

    /// The first value of a parameter.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The parameters as they stand in an address.
    pub fn query(&self) -> String {
        let fields: Vec<_> =
            self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        encoding::form(&fields)
    }

    /// Where the browser is sent with it.
    pub fn address(&self) -> String {
        format!("/authorize?{}", self.query())
    }
}

/// What an app is told at its redirect URI.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The whole address.
    pub url: String,
}

impl Answer {
    /// Every value of a parameter, decoded.
    pub fn all(&self, name: &str) -> Vec<String> {
        let query = self.url.split_once('?').map_or("", |(_, query)| query);
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs.filter(|(found, _)| found == name).map(|(_, value)| value.into_owned()).collect()
    }

    /// The one value of a parameter; `None` if it is not there.
    #[track_caller]
    pub fn get(&self, name: &str) -> Option<String> {
        let values = self.all(name);
        assert!(values.len() <= 1, "{name} is there {} times: {}", values.len(), self.url);
        values.into_iter().next()
    }

    /// The code. Fails the test if there is an error instead.
    #[track_caller]
    pub fn code(&self) -> &str {
        let mut pairs = self.url.split(['?', '&']);
        let code = pairs.find_map(|pair| pair.strip_prefix("code="));
        code.unwrap_or_else(|| panic!("no code: {}", self.url))
    }
}

/// A page that is open.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its path and query.
    pub address: String,
    /// The page itself, with its headers.
    pub response: Response,
}

impl Page {
    /// Its path.
    pub fn path(&self) -> &str {
        self.address.split('?').next().unwrap_or_default()
    }

    /// Its only form.
    #[track_caller]
    pub fn form(&self) -> Form {
        let mut forms = html::forms(&self.response.text());
        assert_eq!(forms.len(), 1, "{}: {}", self.address, self.response.text());
        forms.remove(0)
    }
}

/// Where a browser has come to.
#[derive(Clone, Debug)]
pub enum Landing {
    /// A page of ours.
    Page(Page),
    /// It was sent elsewhere.
    Left(Answer),
}

impl Landing {
    /// The page. Fails the test if it was sent elsewhere.
    #[track_caller]
    pub fn page(self) -> Page {
        match self {
            Self::Page(page) => page,
            Self::Left(answer) => panic!("left for {}", answer.url),
        }
    }

    /// Where it was sent. Fails the test if it is on a page.
    #[track_caller]
    pub fn left(self) -> Answer {
        match self {
            Self::Left(answer) => answer,
            Self::Page(Page { address, response }) => {
                panic!("still here, on {address}: {} {}", response.status, response.text())
            }
        }
    }
}

/// A browser without script. All replicas are one origin to it, as they are behind a load balancer.
#[derive(Clone, Debug, Default)]
pub struct Browser {
    /// Name and value.
    pub cookies: BTreeMap<String, String>,
}

impl Browser {
    /// One that was never here.
    pub fn new() -> Self {
        Self::default()
    }

    /// One request, whatever comes of it. Cookies are sent and kept.
    #[track_caller]
    pub fn send(&mut self, request: Request) -> Response {
        self.try_send(request).unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// The same, for a server that may give no answer.
    #[track_caller]
    pub fn try_send(&mut self, request: Request) -> Result<Response, ureq::Error> {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = match cookies.is_empty() {
            true => request,
            false => request.header("cookie", &cookies.join("; ")),
        };
        let response = request.try_send()?;
        response.header_values("set-cookie").into_iter().for_each(|line| self.keep(line));
        Ok(response)
    }

    /// Opens an address, as if it were typed or followed from elsewhere.
    #[track_caller]
    pub fn open(&mut self, server: &Server, address: &str) -> Landing {
        let mut address = address.to_owned();
        for _ in 0..MOST_REDIRECTS {
            let response = self.send(Request::get(server.url(&address)));
            match target(&response) {
                None => return Landing::Page(Page { address, response }),
                Some(target) if target.starts_with('/') => address = target,
                Some(url) => return Landing::Left(Answer { url }),
            }
        }
        panic!("redirected without end, at last to {address}");
    }

    /// Sends a page's form, with these values in place of its own and by this button, and goes where that leads.
    #[track_caller]
    pub fn submit(
        &mut self,
        server: &Server,
        page: &Page,
        values: &[(&str, &str)],
        button: Option<(&str, &str)>,
    ) -> Landing {
        let request = filled(server, page, values, button);
        let response = self.send(request);
        match target(&response) {
            None => Landing::Page(Page { address: page.form().action, response }),
            Some(target) if target.starts_with('/') => self.open(server, &target),
            Some(url) => Landing::Left(Answer { url }),
        }
    }

    /// Logs in on a login page.
    #[track_caller]
    pub fn log_in(&mut self, server: &Server, page: &Page, user: &User) -> Landing {
        self.submit(server, page, &[("username", &user.name), ("password", &user.password)], None)
    }

    /// Goes the whole way of a request, logging in and allowing whatever is asked.
    #[track_caller]
    pub fn allow(&mut self, server: &Server, user: &User, ask: &Ask) -> Answer {
        self.decide(server, user, ask, "allow")
    }

    /// The same, with the other decision.
    #[track_caller]
    pub fn deny(&mut self, server: &Server, user: &User, ask: &Ask) -> Answer {
        self.decide(server, user, ask, "deny")
    }

    #[track_caller]
    fn decide(&mut self, server: &Server, user: &User, ask: &Ask, decision: &str) -> Answer {
        let mut landing = self.open(server, &ask.address());
        for _ in 0..MOST_REDIRECTS {
            landing = match landing {
                Landing::Left(answer) => return answer,
                Landing::Page(page) if page.path() == "/login" => self.log_in(server, &page, user),
                Landing::Page(page) => self.submit(server, &page, &[], Some(("decision", decision))),
            };
            if let Landing::Page(page) = &landing {
                assert_eq!(page.response.status, 200, "{}: {}", page.address, page.response.text());
            }
        }
        panic!("asked without end");
    }

    /// Keeps a cookie as a browser would, and refuses one that is not for this host alone and for no script.
    #[track_caller]
    fn keep(&mut self, line: &str) {
        let mut parts = line.split("; ");
        let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).expect("a name and a value");
        let attributes: Vec<&str> = parts.collect();
        assert!(name.starts_with("__Host-"), "{name}");
        let (lifetime, rest): (Vec<_>, Vec<_>) =
            attributes.into_iter().partition(|attribute| attribute.starts_with("Max-Age="));
        assert_eq!(rest, ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"], "{name}");
        match lifetime.as_slice() {
            ["Max-Age=0"] => self.cookies.remove(name),
            _ => self.cookies.insert(name.to_owned(), value.to_owned()),
        };
    }
}

/// The request that a browser sends for a page's form.
#[track_caller]
pub fn filled(
    server: &Server,
    page: &Page,
    values: &[(&str, &str)],
    button: Option<(&str, &str)>,
) -> Request {
    let form = page.form();
    assert_eq!(form.method, "post");
    let value_of = |name: &str| values.iter().find(|(found, _)| *found == name).map(|(_, value)| *value);
    let mut fields: Vec<(&str, &str)> =
        form.inputs.iter().map(|(name, value)| (name.as_str(), value_of(name).unwrap_or(value))).collect();
    if let Some((name, value)) = button {
        let is_there = form.buttons.iter().any(|button| *button == (name.to_owned(), value.to_owned()));
        assert!(is_there, "no button {name}={value} on {}", page.address);
        fields.push((name, value));
    }
    Request::post(server.url(&form.action))
        .form(&fields)
        .header("origin", &server.url(""))
        .header("sec-fetch-site", "same-origin")
}

/// Where an answer redirects to. RFC 9700 §4.12: what was posted must not be posted on.
#[track_caller]
pub fn target(response: &Response) -> Option<String> {
    match response.status {
        302 | 303 => Some(response.header("location").expect("a redirect says where to").to_owned()),
        300..400 => panic!("{} {:?}", response.status, response.headers),
        _ => None,
    }
}

/// So many random bytes, in hexadecimal digits.
fn random(bytes: usize) -> String {
    let mut random = vec![0_u8; bytes];
    File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut random)).expect("random bytes");
    random.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn base64url(bytes: &[u8]) -> String {
    encoding::base64(bytes).replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned()
}
