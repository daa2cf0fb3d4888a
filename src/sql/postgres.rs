//! PostgreSQL: one way to connect, for the pool and for the listener alike.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use diesel::ConnectionError;
use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::deadpool::{BuildError, Pool};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use futures_util::FutureExt as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{AsyncMessage, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{SqlError, WAIT_FOR_CONNECTION};

/// Server-side settings of every connection. A commit is durable when it returns, whatever the
/// server's default. A writer that freezes inside a transaction loses it within a second, for it
/// may hold the lock of the change feed.
const SETTINGS: &str = "-c synchronous_commit=on -c idle_in_transaction_session_timeout=1s \
                        -c statement_timeout=5s -c lock_timeout=3s";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Where a PostgreSQL database is and how to get in. Shows no password.
#[derive(Clone)]
pub struct PostgresUrl {
    config: Config,
    ca: Option<PathBuf>,
}

impl PostgresUrl {
    /// Reads a `postgres://` URL. `sslmode=require` (or `verify-full`) means TLS with the server's
    /// certificate checked, against `ca` (a PEM file) or the system's roots; `prefer` (or `allow`) means
    /// the same, unless the server, or somebody in its place, says that it has no TLS.
    pub(super) fn parse(text: &str, ca: Option<PathBuf>) -> Result<Self, String> {
        let text = text.replace("sslmode=verify-full", "sslmode=require");
        let text = text.replace("sslmode=allow", "sslmode=prefer");
        let mut config: Config = text
            .parse()
            .map_err(|_| "is not a URL of the form postgres://user:password@host:port/database".to_owned())?;
        // Which is what the library takes silence for.
        if config.get_ssl_mode() == SslMode::Prefer && !text.contains("sslmode=prefer") {
            config.ssl_mode(if ca.is_some() { SslMode::Require } else { SslMode::Disable });
        }
        config
            .application_name("symbolon")
            .connect_timeout(CONNECT_TIMEOUT)
            .keepalives_idle(Duration::from_secs(5))
            .keepalives_interval(Duration::from_secs(2))
            .keepalives_retries(3)
            .tcp_user_timeout(Duration::from_secs(10));
        Ok(Self { config, ca })
    }

    /// Whether anything but TLS is refused.
    pub fn requires_tls(&self) -> bool {
        self.config.get_ssl_mode() == SslMode::Require
    }

    /// Whether TLS is used if the server has it.
    pub fn offers_tls(&self) -> bool {
        self.config.get_ssl_mode() != SslMode::Disable
    }

    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// Whether the database is on this machine.
    pub fn is_local(&self) -> bool {
        self.config.get_hosts().iter().all(|host| match host {
            Host::Tcp(name) => {
                name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
            #[cfg(unix)]
            Host::Unix(_) => true,
        })
    }

    fn tls(&self) -> Result<MakeRustlsConnect, String> {
        let mut roots = RootCertStore::empty();
        if let Some(ca) = &self.ca {
            let certificates = CertificateDer::pem_file_iter(ca)
                .map_err(|e| format!("cannot read {}: {e}", ca.display()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|e| format!("{}: {e}", ca.display()))?;
                roots.add(certificate).map_err(|e| format!("{}: {e}", ca.display()))?;
            }
        } else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(MakeRustlsConnect::new(config))
    }

    /// Connects for ordinary work: with the settings above, so that nothing hangs for long.
    pub(super) async fn connect(&self) -> Result<AsyncPgConnection, ConnectionError> {
        let mut config = self.config.clone();
        config.options(format!("{} {SETTINGS}", self.config.get_options().unwrap_or_default()).trim());
        self.connect_with(config).await
    }

    /// Connects for migrations, which may take as long as they need.
    pub(super) async fn connect_patiently(&self) -> Result<AsyncPgConnection, ConnectionError> {
        self.connect_with(self.config.clone()).await
    }

    async fn connect_with(&self, config: Config) -> Result<AsyncPgConnection, ConnectionError> {
        let bad = |e: tokio_postgres::Error| ConnectionError::BadConnection(explain(&e));
        if self.offers_tls() {
            let tls = self.tls().map_err(ConnectionError::BadConnection)?;
            let (client, connection) = config.connect(tls).await.map_err(bad)?;
            AsyncPgConnection::try_from_client_and_connection(client, connection).await
        } else {
            let (client, connection) = config.connect(NoTls).await.map_err(bad)?;
            AsyncPgConnection::try_from_client_and_connection(client, connection).await
        }
    }

    /// Opens a connection that hears NOTIFY on `channel`.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn listen(&self, channel: &str) -> Result<Notifications, SqlError> {
        let config = self.config.clone();
        let (hear, heard) = tokio::sync::mpsc::channel(1);
        let unavailable = |e: tokio_postgres::Error| SqlError::Unavailable(explain(&e));
        let client = if self.offers_tls() {
            let tls = self.tls().map_err(SqlError::Unavailable)?;
            let (client, connection) = config.connect(tls).await.map_err(unavailable)?;
            tokio::spawn(forward(connection, hear));
            client
        } else {
            let (client, connection) = config.connect(NoTls).await.map_err(unavailable)?;
            tokio::spawn(forward(connection, hear));
            client
        };
        client.batch_execute(&format!("LISTEN {channel}")).await.map_err(unavailable)?;
        Ok(Notifications { heard, _client: client })
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = self.config.get_dbname().unwrap_or_default();
        write!(f, "postgres://{:?}/{database}", self.config.get_hosts())
    }
}

/// The whole chain: the outermost message of this library says only where it failed.
fn explain(error: &tokio_postgres::Error) -> String {
    use std::error::Error as _;
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

async fn forward<S, T>(mut connection: tokio_postgres::Connection<S, T>, hear: tokio::sync::mpsc::Sender<()>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    loop {
        match std::future::poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notification(_))) => {
                // Full means that a wake-up is waiting already, and one is as good as many.
                if let Err(tokio::sync::mpsc::error::TrySendError::Closed(())) = hear.try_send(()) {
                    return;
                }
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return,
        }
    }
}

/// A connection that hears NOTIFY.
pub struct Notifications {
    heard: tokio::sync::mpsc::Receiver<()>,
    /// Keeps the connection open.
    _client: tokio_postgres::Client,
}

impl Notifications {
    /// Waits for the next notification, or several at once; `None` when the connection is lost.
    pub async fn next(&mut self) -> Option<()> {
        self.heard.recv().await
    }
}

pub(super) fn pool(url: &PostgresUrl, connections: usize) -> Result<Pool<AsyncPgConnection>, BuildError> {
    let mut config = ManagerConfig::default();
    config.recycling_method = RecyclingMethod::Fast;
    let url = url.clone();
    config.custom_setup = Box::new(move |_| {
        let url = url.clone();
        async move { url.connect().await }.boxed()
    });
    let manager = AsyncDieselConnectionManager::new_with_config(String::new(), config);
    Pool::builder(manager)
        .max_size(connections)
        .runtime(deadpool::Runtime::Tokio1)
        .wait_timeout(Some(WAIT_FOR_CONNECTION))
        .create_timeout(Some(CONNECT_TIMEOUT))
        .recycle_timeout(Some(WAIT_FOR_CONNECTION))
        .build()
}
