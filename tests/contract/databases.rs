//! The two databases, each migrated and of a case's own, and the feed over them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use diesel::dsl::sql;
use diesel::sql_types::{Nullable, Text};

use symbolon::changes::{
    Actor, Change, Entry, FeedError, FeedStore as _, History as _, Incarnation, KillScope, Projection,
    Publish, RecordedChange, Recorder as _, Renewal, ReplicaRow, Replicas as _, Snapshot, SqlFeed,
    record_longest_lifetime,
};
use symbolon::domain::clock::{Clock as _, Timestamp};
use symbolon::domain::identifier::{ClientId, GrantId};
use symbolon::domain::position::ChangeNumber;
use symbolon::domain::token_key::TokenKeys;
use symbolon::sql::{Connection, Database, DatabaseUrl, SqlError, migrations};
use tempfile::TempDir;

use crate::clock::ManualClock;
use crate::runtime;
use crate::stores::new_id;
use crate::support::postgres::PostgresServer;
use crate::support::{psql, scratch};

/// How many connections a replica has.
const CONNECTIONS: usize = 8;
/// The longest lifetime of a grant that every database here has recorded.
pub const LONGEST: Duration = Duration::from_secs(900);
/// The length of every lease here.
pub const LEASE: Duration = Duration::from_secs(30);

/// Runs a query on whichever backend the connection is.
macro_rules! on_either {
    ($conn:expr, $c:ident => $body:expr) => {
        match $conn {
            symbolon::sql::Connection::Sqlite($c) => $body,
            symbolon::sql::Connection::Postgres($c) => $body,
        }
    };
}
pub(crate) use on_either;

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Postgres,
    Sqlite,
}

/// A database of a case's own.
pub struct Sql {
    pub url: DatabaseUrl,
    /// The same as text.
    pub text: String,
    pub database: Database,
    pub clock: Arc<ManualClock>,
    _place: Place,
}

/// What goes when the case is over.
enum Place {
    Directory { _directory: TempDir },
    Database { _database: psql::Database },
    Elsewhere,
}

impl Sql {
    /// A database without any table.
    pub fn empty(kind: Kind) -> Self {
        match kind {
            Kind::Postgres => {
                let database = PostgresServer::shared().database();
                Self::at(&database.url(), Place::Database { _database: database })
            }
            Kind::Sqlite => {
                let directory = scratch::directory("feed");
                let file = directory.path().join("symbolon.db");
                let url = format!("sqlite:{}", file.display());
                Self::at(&url, Place::Directory { _directory: directory })
            }
        }
    }

    /// A migrated database.
    pub async fn fresh(kind: Kind) -> Self {
        Self::empty(kind).migrated().await
    }

    /// A migrated database on a server of the case's own.
    pub async fn on(server: &PostgresServer) -> Self {
        Self::at(&server.url(), Place::Elsewhere).migrated().await
    }

    fn at(text: &str, place: Place) -> Self {
        let url = DatabaseUrl::parse(text, None).unwrap();
        let (text, database) = (text.to_owned(), Self::open(&url));
        Self { url, text, database, clock: ManualClock::new(), _place: place }
    }

    async fn migrated(self) -> Self {
        migrations::run(&self.url).await.unwrap();
        let recorded = self.database.write(|conn| Box::pin(record_longest_lifetime(conn, LONGEST)));
        recorded.await.unwrap();
        self
    }

    fn open(url: &DatabaseUrl) -> Database {
        Database::new(url, CONNECTIONS, runtime().handle().clone()).unwrap()
    }

    /// The same database as another process opens it.
    pub fn beside(&self) -> Self {
        let (url, text, clock) = (self.url.clone(), self.text.clone(), Arc::clone(&self.clock));
        Self { database: Self::open(&url), url, text, clock, _place: Place::Elsewhere }
    }

    /// The feed as the command line uses it: without token keys.
    pub fn feed(&self) -> SqlFeed<NoView> {
        SqlFeed::new(self.database.clone(), NoView, self.clock.clone(), None)
    }

    /// The feed as a replica with these token keys uses it.
    pub fn feed_with(&self, keys: &Arc<TokenKeys>) -> SqlFeed<NoView> {
        SqlFeed::new(self.database.clone(), NoView, self.clock.clone(), Some(Arc::clone(keys)))
    }

    /// Sets the clock of whoever uses this database to so many seconds after the server's.
    pub async fn set_ahead_of_the_server(&self, seconds: i64) {
        if let Some(server) = self.database.wall_clock().await.unwrap() {
            self.clock.set_by(server / 1000 + seconds - self.clock.now().unix_seconds());
        }
    }

    /// Runs statements that the feed itself would never run.
    pub async fn tamper(&self, statements: impl Into<String>) {
        let statements = statements.into();
        let unit = self.database.write(move |conn| Box::pin(async move { conn.batch(&statements).await }));
        unit.await.unwrap();
    }

    /// The one text that a query gives, on either backend.
    pub async fn ask(&self, sqlite: &'static str, postgres: &'static str) -> Option<String> {
        use diesel_async::RunQueryDsl as _;
        let is_sqlite = matches!(self.url, DatabaseUrl::Sqlite(_));
        let expression = sql::<Nullable<Text>>(if is_sqlite { sqlite } else { postgres });
        let unit = self.database.read(move |conn| {
            Box::pin(async move {
                let query = diesel::select(expression);
                Ok(on_either!(conn, c => query.get_result::<Option<String>>(c).await)?)
            })
        });
        unit.await.unwrap()
    }

    /// Takes back every change after `last`, as a restored backup or a failover to a standby that
    /// lagged behind would.
    pub async fn lose_commits_after(&self, last: u64) {
        self.tamper(format!(
            "DELETE FROM changes WHERE number > {last};
             UPDATE feed SET number = {last}, hash = (SELECT hash FROM changes WHERE number = {last});"
        ))
        .await;
    }
}

/// Derives nothing from the feed.
#[derive(Clone, Copy)]
pub struct NoView;

#[async_trait]
impl Projection for NoView {
    type View = ();

    async fn read_all(&self, _conn: &mut Connection) -> Result<(), SqlError> {
        Ok(())
    }

    async fn catch_up(&self, _: &mut Connection, _: (), _: &[RecordedChange]) -> Result<(), SqlError> {
        Ok(())
    }
}

/// What a replica does, step by step: it holds its newest snapshot and has a row.
pub struct Follower {
    pub feed: SqlFeed<NoView>,
    pub incarnation: Incarnation,
    pub snapshot: Arc<Snapshot<()>>,
    keys: Arc<TokenKeys>,
}

impl Follower {
    /// Loads everything and joins.
    pub async fn join(feed: SqlFeed<NoView>, name: &str) -> Result<Self, FeedError> {
        let snapshot = Arc::new(feed.load().await?);
        let row = row(name, snapshot.position.number);
        feed.join(&row).await?;
        Ok(Self { feed, incarnation: row.incarnation, snapshot, keys: keys(0) })
    }

    /// One renewal; the rows that it published come along.
    pub async fn renew(&mut self) -> Result<(Renewal, Vec<RecordedChange>), FeedError> {
        let seen = Arc::new(std::sync::Mutex::new((Vec::new(), None)));
        let publish: Publish<()> = {
            let (seen, from, keys) = (Arc::clone(&seen), Arc::clone(&self.snapshot), Arc::clone(&self.keys));
            Arc::new(move |rows: &[RecordedChange], ()| {
                let next = from.apply(rows, (), &keys)?;
                let position = next.position;
                *seen.lock().unwrap() = (rows.to_vec(), Some(Arc::new(next)));
                Ok(position)
            })
        };
        let renewal = self.feed.renew(&self.incarnation, Arc::clone(&self.snapshot), publish).await?;
        let (rows, next) = std::mem::take(&mut *seen.lock().unwrap());
        if let Some(next) = next {
            self.snapshot = next;
        }
        Ok((renewal, rows))
    }

    /// A renewal that has to succeed.
    pub async fn confirm(&mut self) -> Vec<RecordedChange> {
        let (renewal, rows) = self.renew().await.unwrap();
        assert_eq!(renewal, Renewal::Confirmed);
        rows
    }

    /// Its row, as everybody sees it.
    pub async fn row(&self) -> Option<ReplicaRow> {
        let rows = self.feed.replicas().await.unwrap();
        rows.into_iter().find(|row| row.incarnation == self.incarnation)
    }
}

/// A row under a name that no other row has.
pub fn row(name: &str, applied: ChangeNumber) -> ReplicaRow {
    let incarnation = Incarnation(new_id().to_string());
    ReplicaRow { incarnation, name: name.to_owned(), applied, beat: 0, lease: LEASE, record_version: 4 }
}

/// Token keys that differ by their seed.
pub fn keys(seed: u8) -> Arc<TokenKeys> {
    Arc::new(TokenKeys::from_secrets([[seed; 32]]).unwrap())
}

pub fn entry(change: Change) -> Entry {
    Entry::new(change, Actor::command_line()).because(Some("a case of the contract".to_owned()))
}

pub fn revoked_until(grant: GrantId, ends_at: Timestamp) -> Entry {
    entry(Change::GrantRevoked { grant, ends_at: Some(ends_at) })
}

pub fn killed(scope: KillScope) -> Entry {
    entry(Change::Killed(scope))
}

pub fn client(name: &str) -> ClientId {
    ClientId::parse(name).unwrap()
}

/// The number of the one change that is recorded here.
pub async fn record(feed: &SqlFeed<NoView>, entry: Entry) -> u64 {
    record_all(feed, vec![entry]).await[0]
}

/// The numbers of changes recorded in one batch.
pub async fn record_all(feed: &SqlFeed<NoView>, entries: Vec<Entry>) -> Vec<u64> {
    let numbers = feed.record(entries).await.unwrap();
    numbers.into_iter().map(ChangeNumber::get).collect()
}

/// Records `count` revocations of fresh grants, one a commit.
pub async fn revoke_some(sql: &Sql, count: usize) -> Vec<GrantId> {
    let ends_at = sql.clock.now() + LONGEST;
    let grants: Vec<GrantId> = (0..count).map(|_| new_id()).collect();
    for grant in &grants {
        record(&sql.feed(), revoked_until(*grant, ends_at)).await;
    }
    grants
}

/// The number at the end of the feed.
pub async fn head(feed: &SqlFeed<NoView>) -> u64 {
    feed.head().await.unwrap().position.number.get()
}
