//! Requests and answers, and raw bytes for what no honest client sends.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

use super::encoding;

/// Longer than any answer may take, shorter than a test run's patience.
const LIMIT: Duration = Duration::from_secs(30);

const FORM: &str = "application/x-www-form-urlencoded";

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in small letters, in the order of arrival.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first value of a header; its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_values(name).first().copied()
    }

    /// All values of a header.
    pub fn header_values(&self, name: &str) -> Vec<&str> {
        let same = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {} {}", self.status, self.text()))
    }

    /// The `error` of an OAuth error body (RFC 6749 §5.2), if it is one.
    pub fn oauth_error(&self) -> Option<String> {
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        Some(body.get("error")?.as_str()?.to_owned())
    }

    /// Fails, showing the whole answer, unless the status is this.
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?}\n{}", self.headers, self.text());
        self
    }
}

/// A request in the making.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    limit: Duration,
}

impl Request {
    /// Any method.
    pub fn new(method: &str, url: impl Into<String>) -> Self {
        Self { method: method.to_owned(), url: url.into(), headers: Vec::new(), body: None, limit: LIMIT }
    }

    /// A POST.
    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    /// A GET.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// One more header; a repeated name is sent twice.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The credentials of a client or a resource server.
    pub fn basic(self, id: &str, secret: &str) -> Self {
        let value = encoding::basic(id, secret);
        self.header("authorization", &value)
    }

    /// A form body; a repeated name is sent twice.
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        self.header("content-type", FORM).body(encoding::form(fields))
    }

    /// Any body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The same, by way of this address: a proxy before the server.
    pub fn by_way_of(mut self, address: SocketAddr) -> Self {
        let (_, rest) = self.url.split_once("://").expect("an absolute URL");
        let path = rest.find('/').map_or("", |at| &rest[at..]);
        self.url = format!("http://{address}{path}");
        self
    }

    /// How long the whole exchange may take.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The answer. Fails the test if there is none.
    #[track_caller]
    pub fn send(self) -> Response {
        let what = format!("{} {}", self.method, self.url);
        self.try_send().unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// The answer, or why there was none (refused, cut off, too late).
    pub fn try_send(self) -> Result<Response, ureq::Error> {
        self.try_send_by(agent())
    }

    /// The same, over a connection that is kept.
    pub fn try_send_on(self, connections: &KeptConnections) -> Result<Response, ureq::Error> {
        self.try_send_by(&connections.0)
    }

    fn try_send_by(self, agent: &Agent) -> Result<Response, ureq::Error> {
        let mut request = ureq::http::Request::builder().method(self.method.as_str()).uri(&self.url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        // A POST without a body is sent as one of no bytes; a GET goes without, unless it was given one.
        let always = matches!(self.method.as_str(), "POST" | "PUT" | "PATCH");
        let answer = match self.body.or_else(|| always.then(Vec::new)) {
            Some(body) => run(agent, request.body(body)?, self.limit),
            None => run(agent, request.body(())?, self.limit),
        }?;
        read(answer)
    }
}

/// Connections that are kept from one request to the next, for whoever sends many. One that the server has closed is
/// made anew.
pub struct KeptConnections(Agent);

impl KeptConnections {
    /// None yet.
    pub fn new() -> Self {
        Self(agent_keeping(8))
    }
}

/// A form POST, with credentials if there are any.
#[track_caller]
pub fn post_form(url: &str, fields: &[(&str, &str)], credentials: Option<(&str, &str)>) -> Response {
    let request = Request::post(url).form(fields);
    match credentials {
        Some((id, secret)) => request.basic(id, secret).send(),
        None => request.send(),
    }
}

/// A POST of any bytes.
#[track_caller]
pub fn post_raw(url: &str, body: &[u8], headers: &[(&str, &str)]) -> Response {
    request("POST", url, headers, Some(body))
}

/// A GET.
#[track_caller]
pub fn get(url: &str) -> Response {
    Request::get(url).send()
}

/// Anything.
#[track_caller]
pub fn request(method: &str, url: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Response {
    let request =
        headers.iter().fold(Request::new(method, url), |request, (name, value)| request.header(name, value));
    match body {
        Some(body) => request.body(body).send(),
        None => request.send(),
    }
}

/// Sends bytes and reads until the other side closes, or has been silent for `silence`.
pub fn raw(address: SocketAddr, bytes: &[u8], silence: Duration) -> io::Result<Vec<u8>> {
    raw_parts(address, &[bytes], Duration::ZERO, silence)
}

/// The same, with a pause between the parts: a client that sends slowly.
pub fn raw_parts(
    address: SocketAddr,
    parts: &[&[u8]],
    pause: Duration,
    silence: Duration,
) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(silence))?;
    stream.set_write_timeout(Some(LIMIT))?;
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            std::thread::sleep(pause);
        }
        // A server that has already refused the request closes; what it answered is still worth reading.
        if stream.write_all(part).is_err() {
            break;
        }
    }
    let mut answer = Vec::new();
    let mut chunk = [0_u8; 4096];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(&chunk[..length]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                break;
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset && !answer.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
    Ok(answer)
}

fn run(
    agent: &Agent,
    request: ureq::http::Request<impl ureq::AsSendBody>,
    limit: Duration,
) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
    let request = agent.configure_request(request).timeout_global(Some(limit)).build();
    agent.run(request)
}

fn read(answer: ureq::http::Response<ureq::Body>) -> Result<Response, ureq::Error> {
    let (parts, mut body) = answer.into_parts();
    let header = |(name, value): (&ureq::http::HeaderName, &ureq::http::HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Ok(Response {
        status: parts.status.as_u16(),
        headers: parts.headers.iter().map(header).collect(),
        body: body.read_to_vec()?,
    })
}

fn agent() -> &'static Agent {
    static AGENT: OnceLock<Agent> = OnceLock::new();
    // A kept connection would make a test's first request after a restart fail, or land on another replica's port.
    AGENT.get_or_init(|| agent_keeping(0))
}

fn agent_keeping(connections: usize) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .allow_non_standard_methods(true)
        .proxy(None)
        .user_agent("symbolon-tests")
        .max_idle_connections(connections)
        .build()
        .into()
}
