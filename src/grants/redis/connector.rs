//! Making and verifying connections: the one way to a Redis server.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use deadpool::managed::Manager as _;
use deadpool_redis::Manager;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, TlsCertificates, Value};

use crate::domain::position::Position;
use crate::grants::{StoreError, keys};

/// How long connecting, with TLS and authentication, may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How long an answer may take before the connection counts as lost. Reads on the hot path wait
/// much shorter.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Where Redis is and how to get in. Shows no password.
#[derive(Clone)]
pub struct RedisUrl {
    info: ConnectionInfo,
}

impl RedisUrl {
    /// Reads `redis://` or `rediss://` (TLS) `user:password@host:port/db`; `ca` is a PEM file to
    /// check the server's certificate against, instead of the system's roots.
    ///
    /// # Errors
    /// What is wrong and what would be right; never shows the text itself.
    pub fn parse(text: &str, ca: Option<&Path>) -> Result<Self, String> {
        if text.starts_with("redis+sentinel://") || text.starts_with("redis+cluster://") {
            return Err("names a Sentinel or a Cluster, which this version cannot use yet; give \
                        the single server as redis:// or rediss://"
                .to_owned());
        }
        let form = "is not a URL of the form redis://user:password@host:port/db (rediss:// with TLS)";
        if !(text.starts_with("redis://") || text.starts_with("rediss://")) {
            return Err(form.to_owned());
        }
        let root_cert = match ca {
            Some(path) => {
                Some(std::fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?)
            }
            None => None,
        };
        let client = if text.starts_with("rediss://") {
            Client::build_with_tls(text, TlsCertificates { client_tls: None, root_cert })
        } else {
            Client::open(text)
        };
        let client = client.map_err(|error| match error.is_io_error() {
            true => error.to_string(),
            false => form.to_owned(),
        })?;
        let tcp = TcpSettings::default().set_nodelay(true);
        #[cfg(target_os = "linux")]
        let tcp = tcp.set_user_timeout(Duration::from_secs(5));
        Ok(Self { info: client.get_connection_info().clone().set_tcp_settings(tcp) })
    }

    pub fn has_tls(&self) -> bool {
        matches!(self.info.addr(), ConnectionAddr::TcpTls { .. })
    }

    /// Whether Redis is on this machine.
    pub fn is_local(&self) -> bool {
        match self.info.addr() {
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => {
                host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
            _ => true,
        }
    }

    pub fn has_password(&self) -> bool {
        self.info.redis_settings().password().is_some()
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "redis at {}", self.info.addr())
    }
}

/// Makes connections to one Redis server, for a [`Link`](super::Link). Each request on them has a
/// time limit of the link's; a second timer under it would be paid for by every request.
pub struct Connector {
    manager: Manager,
}

impl Connector {
    /// # Errors
    /// When the address makes no sense.
    pub fn new(url: &RedisUrl) -> Result<Self, StoreError> {
        Ok(Self { manager: manager(url, None)? })
    }

    /// Connects, and verifies that this is a server to serve from: a primary that answers. Returns
    /// the witness found there too; whether it admits the store is the caller's to judge.
    ///
    /// # Errors
    /// When the server cannot be reached, refuses us, or is no primary.
    pub async fn connect(&self) -> Result<(MultiplexedConnection, Option<Position>), StoreError> {
        let mut conn = self.manager.create().await.map_err(|error| StoreError::new(explain(&error)))?;
        let witness = verify(&mut conn).await?;
        Ok((conn, witness))
    }
}

/// Makes connections that wait so long for an answer; `None` when whoever uses them sees to that.
pub(super) fn manager(url: &RedisUrl, response_timeout: Option<Duration>) -> Result<Manager, StoreError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(response_timeout);
    Manager::new_with_config(url.info.clone(), config).map_err(StoreError::new)
}

/// Verifies that a connection leads to a primary, and reads the witness there.
///
/// A primary that is demoted goes on answering reads from old data on open connections: asking
/// for its role is the way to notice.
pub(super) async fn verify(conn: &mut MultiplexedConnection) -> Result<Option<Position>, StoreError> {
    let mut ask = redis::pipe();
    ask.cmd("ROLE").cmd("GET").arg(keys::WITNESS);
    let answer = tokio::time::timeout(RESPONSE_TIMEOUT, ask.query_async(conn)).await;
    let answer = answer.map_err(|_| StoreError::new("Redis does not answer in time"))?;
    let (role, witness): (Vec<Value>, Option<Vec<u8>>) =
        answer.map_err(|error| StoreError::new(explain(&error)))?;
    let is_primary = match role.first() {
        Some(Value::BulkString(name)) => name == b"master",
        Some(Value::SimpleString(name)) => name == "master",
        _ => false,
    };
    if !is_primary {
        return Err(StoreError::new("this Redis server is a read-only replica, not a primary"));
    }
    match witness {
        None => Ok(None),
        Some(bytes) => Position::from_bytes(&bytes)
            .map(Some)
            .ok_or_else(|| StoreError::new("the witness in Redis is malformed")),
    }
}

/// The error without anything that was sent: some of Redis's messages repeat arguments.
pub(super) fn explain(error: &redis::RedisError) -> String {
    // The error of a pipeline keeps to itself which code the failed command was answered with.
    let answers = error.clone().into_server_errors();
    let code = error.code().or_else(|| Some(answers.as_ref()?.first()?.1.code()));
    match (code, error.is_timeout()) {
        (_, true) => "Redis does not answer in time".to_owned(),
        (Some(code @ ("WRONGPASS" | "NOAUTH")), _) => {
            format!("Redis refuses the user name or password ({code})")
        }
        (None, _) if error.kind() == redis::ErrorKind::AuthenticationFailed => {
            "Redis refuses the user name or password".to_owned()
        }
        (Some("NOPERM"), _) => {
            "Redis refuses a command to this user (NOPERM); docs/REDIS-KEYS.md lists those needed".to_owned()
        }
        (Some(code), _) => format!("Redis answers {code}"),
        (None, _) if error.is_io_error() => error.to_string(),
        (None, _) => error.category().to_owned(),
    }
}
