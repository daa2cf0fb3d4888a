//! Clients: who may ask for tokens, and which.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::credentials::Credentials;
use crate::domain::clock::Timestamp;
use crate::domain::identifier::ClientId;
use crate::domain::origin::Origin;
use crate::domain::redirect_uri::RedirectUri;
use crate::domain::scope::Scope;
use crate::sql::schema::clients;
use crate::sql::{Connection, SqlError, on};

/// A way to obtain tokens, by its `grant_type` (RFC 6749 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GrantType {
    /// RFC 6749 §4.1
    AuthorizationCode,
    /// RFC 6749 §4.4
    ClientCredentials,
    /// RFC 6749 §6
    RefreshToken,
}

impl GrantType {
    pub const ALL: [Self; 3] = [Self::AuthorizationCode, Self::ClientCredentials, Self::RefreshToken];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::ClientCredentials => "client_credentials",
            Self::RefreshToken => "refresh_token",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant_type| grant_type.as_str() == text)
    }
}

impl fmt::Display for GrantType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A registered client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    pub id: ClientId,
    /// For people; unique.
    pub name: String,
    /// `None` for a public client: it cannot keep a secret and so proves nothing.
    pub credentials: Option<Credentials>,
    pub grant_types: BTreeSet<GrantType>,
    /// The most that a token of this client may do, today: narrowing it narrows live tokens too.
    pub scope: Scope,
    /// The lifetime of its access tokens; the server's default where it is missing.
    pub access_token_ttl: Option<Duration>,
    /// Where answers to its authorization requests may be sent.
    pub redirect_uris: Vec<RedirectUri>,
    /// How long the previous refresh token may be presented again; [`RETRY_WINDOW`] where it is
    /// missing.
    pub refresh_retry_window: Option<Duration>,
    /// Whose pages may read what it is answered.
    pub origins: BTreeSet<Origin>,
    pub enabled: bool,
    pub created_at: Timestamp,
}

/// Long enough for a client that lost a response, or whose tabs refresh together.
pub const RETRY_WINDOW: Duration = Duration::from_secs(60);

impl Client {
    pub fn retry_window(&self) -> Duration {
        self.refresh_retry_window.unwrap_or(RETRY_WINDOW)
    }

    /// The redirect URI of this client that a request names.
    pub fn redirect_uri(&self, presented: &str) -> Option<RedirectUri> {
        self.redirect_uris.iter().find_map(|registered| registered.matching(presented))
    }
}

#[derive(Queryable, Insertable, AsChangeset)]
#[diesel(table_name = clients, treat_none_as_null = true)]
struct Row {
    id: String,
    name: String,
    public: bool,
    grant_types: String,
    scope: String,
    access_token_ttl: Option<i64>,
    enabled: bool,
    secret_digest: Option<Vec<u8>>,
    previous_secret_digest: Option<Vec<u8>>,
    previous_secret_expires_at: Option<i64>,
    created_at: i64,
    redirect_uris: String,
    refresh_retry_window: Option<i64>,
    origins: String,
}

impl From<&Client> for Row {
    fn from(client: &Client) -> Self {
        let columns = client.credentials.as_ref().map(Credentials::columns).unwrap_or_default();
        let words: Vec<_> = client.grant_types.iter().map(|grant| grant.as_str()).collect();
        Self {
            id: client.id.to_string(),
            name: client.name.clone(),
            public: client.credentials.is_none(),
            grant_types: words.join(" "),
            scope: client.scope.to_string(),
            access_token_ttl: client.access_token_ttl.map(seconds),
            enabled: client.enabled,
            secret_digest: columns.0,
            previous_secret_digest: columns.1,
            previous_secret_expires_at: columns.2,
            created_at: client.created_at.unix_seconds(),
            redirect_uris: client.redirect_uris.iter().map(RedirectUri::as_str).collect::<Vec<_>>().join(" "),
            refresh_retry_window: client.refresh_retry_window.map(seconds),
            origins: client.origins.iter().map(Origin::as_str).collect::<Vec<_>>().join(" "),
        }
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

impl TryFrom<Row> for Client {
    type Error = SqlError;

    fn try_from(row: Row) -> Result<Self, SqlError> {
        let unintelligible = |what: &str| SqlError::unintelligible(format!("{what} of {}", row.id));
        let credentials = Credentials::from_columns((
            row.secret_digest,
            row.previous_secret_digest,
            row.previous_secret_expires_at,
        ))?;
        if credentials.is_none() != row.public {
            return Err(unintelligible("the credentials"));
        }
        let grant_types: Option<BTreeSet<_>> =
            row.grant_types.split_ascii_whitespace().map(GrantType::parse).collect();
        let scope = match row.scope.as_str() {
            "" => Scope::default(),
            text => Scope::parse(text).map_err(|_| unintelligible("the scope"))?,
        };
        let duration = |seconds: Option<i64>| {
            let duration = seconds.map(|seconds| u64::try_from(seconds).map(Duration::from_secs));
            duration.transpose().map_err(|_| unintelligible("a duration"))
        };
        let redirect_uris: Result<Vec<_>, _> =
            row.redirect_uris.split_ascii_whitespace().map(RedirectUri::parse).collect();
        let origins: Result<BTreeSet<_>, _> =
            row.origins.split_ascii_whitespace().map(Origin::parse).collect();
        Ok(Self {
            credentials,
            grant_types: grant_types.ok_or_else(|| unintelligible("the grant types"))?,
            scope,
            access_token_ttl: duration(row.access_token_ttl)?,
            redirect_uris: redirect_uris.map_err(|_| unintelligible("the redirect URIs"))?,
            refresh_retry_window: duration(row.refresh_retry_window)?,
            origins: origins.map_err(|_| unintelligible("the origins"))?,
            id: ClientId::parse(&row.id).map_err(|_| unintelligible("the id"))?,
            name: row.name,
            enabled: row.enabled,
            created_at: Timestamp::from_unix_seconds(row.created_at),
        })
    }
}

fn read(rows: Vec<Row>) -> Result<Vec<Client>, SqlError> {
    rows.into_iter().map(Client::try_from).collect()
}

/// All clients, by name.
///
/// # Errors
/// When SQL fails.
pub async fn list(conn: &mut Connection) -> Result<Vec<Client>, SqlError> {
    let query = clients::table.order(clients::name);
    read(on!(conn, c => query.load::<Row>(c).await)?)
}

/// So many clients in the order of their names, from the first whose name comes after `after`.
///
/// # Errors
/// When SQL fails.
pub async fn page(conn: &mut Connection, after: &str, limit: u32) -> Result<Vec<Client>, SqlError> {
    let following = clients::table.filter(clients::name.gt(after));
    let query = following.order(clients::name).limit(i64::from(limit));
    read(on!(conn, c => query.load::<Row>(c).await)?)
}

/// Those of `ids` that exist.
///
/// # Errors
/// When SQL fails.
pub async fn find_all(conn: &mut Connection, ids: &[&str]) -> Result<Vec<Client>, SqlError> {
    let mut found = Vec::with_capacity(ids.len());
    // SQLite takes a limited number of parameters in one statement.
    for ids in ids.chunks(500) {
        let query = clients::table.filter(clients::id.eq_any(ids));
        found.extend(read(on!(conn, c => query.load::<Row>(c).await)?)?);
    }
    Ok(found)
}

/// The client with this id or, where no id fits, this name.
///
/// # Errors
/// [`SqlError::NotFound`] when there is none.
pub async fn require(conn: &mut Connection, id_or_name: &str) -> Result<Client, SqlError> {
    let either = clients::id.eq(id_or_name).or(clients::name.eq(id_or_name));
    let query = clients::table.filter(either).limit(2);
    let rows = on!(conn, c => query.load::<Row>(c).await)?;
    let found = read(rows)?;
    let by_id = found.iter().position(|client| client.id.as_str() == id_or_name);
    found.into_iter().nth(by_id.unwrap_or(0)).ok_or(SqlError::NotFound)
}

/// # Errors
/// [`SqlError::Duplicate`] when the id or the name is taken.
pub async fn insert(conn: &mut Connection, client: &Client) -> Result<(), SqlError> {
    let query = diesel::insert_into(clients::table).values(Row::from(client));
    on!(conn, c => query.execute(c).await)?;
    Ok(())
}

/// # Errors
/// [`SqlError::NotFound`] when it is gone, [`SqlError::Duplicate`] when the new name is taken.
pub async fn update(conn: &mut Connection, client: &Client) -> Result<(), SqlError> {
    let row = clients::table.find(client.id.as_str());
    let query = diesel::update(row).set(Row::from(client));
    match on!(conn, c => query.execute(c).await)? {
        0 => Err(SqlError::NotFound),
        _ => Ok(()),
    }
}

/// # Errors
/// When SQL fails.
pub async fn delete(conn: &mut Connection, id: &ClientId) -> Result<(), SqlError> {
    let query = diesel::delete(clients::table.find(id.as_str()));
    on!(conn, c => query.execute(c).await)?;
    Ok(())
}
