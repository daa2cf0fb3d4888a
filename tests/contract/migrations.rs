//! Migrations: up, down, up again, by one or by many; every column of the schema is there.

use diesel::backend::Backend;
use diesel::{Connection as _, SqliteConnection};
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _};
use diesel_migrations::{FileBasedMigrations, MigrationHarness};
use symbolon::changes::Recorder as _;
use symbolon::changes::audit::AuditRow;
use symbolon::domain::clock::{Clock as _, SystemClock};
use symbolon::domain::position::{ChangeHash, ChangeNumber, FeedId, Position};
use symbolon::grants::sqlite::SqliteGrants;
use symbolon::grants::{GrantStore as _, Witness as _};
use symbolon::sql::migrations::{self, SchemaState};
use symbolon::sql::{Database, DatabaseUrl, SqlError, schema};
use tokio::task::JoinSet;

use crate::databases::{Kind, Sql, client, keys, killed, on_either, record, row};
use crate::stores::{far, new_id, record as grant_record};
use crate::support::scratch;
use crate::{cases, directory, run, runtime};

/// How many processes start at once.
const MIGRATORS: usize = 4;

cases!(Kind: postgres = Postgres, sqlite = Sqlite => {
    an_empty_database_is_older_and_then_current,
    migrating_again_does_nothing,
    every_migration_can_be_taken_back_and_made_again,
    a_database_of_a_newer_version_is_refused,
    many_migrators_at_once_do_the_work_once,
    every_column_can_be_read_and_holds_what_was_written,
});

async fn an_empty_database_is_older_and_then_current(kind: Kind) {
    let sql = Sql::empty(kind);
    let known = migrations_in(&sql.url);
    assert!(known > 0);
    for _ in 0..2 {
        assert_eq!(migrations::state(&sql.url).await, Ok(SchemaState::Older { missing: known }));
    }
    assert_eq!(migrations::run(&sql.url).await, Ok(known));
    assert_eq!(migrations::state(&sql.url).await, Ok(SchemaState::Current));
}

async fn migrating_again_does_nothing(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    record(&sql.feed(), killed(symbolon::changes::KillScope::Everything)).await;
    for _ in 0..2 {
        assert_eq!(migrations::run(&sql.url).await, Ok(0));
    }
    assert_eq!(crate::databases::head(&sql.feed()).await, 1);
}

async fn every_migration_can_be_taken_back_and_made_again(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    for _ in 0..2 {
        let taken_back = revert_all(&sql.url, &sql.text).await;
        assert_eq!(migrations::state(&sql.url).await, Ok(SchemaState::Older { missing: taken_back }));
        assert_eq!(tables(&sql).await, None, "something was left behind");
        assert_eq!(migrations::run(&sql.url).await, Ok(taken_back));
        assert_eq!(record(&sql.feed(), killed(symbolon::changes::KillScope::Everything)).await, 1);
    }
}

/// The names of all tables but those of diesel's own.
async fn tables(sql: &Sql) -> Option<String> {
    sql.ask(
        "group_concat(name) FROM sqlite_master WHERE substr(name, 1, 2) <> '__' AND substr(name, 1, 7) <> 'sqlite_'",
        "string_agg(tablename, ',') FROM pg_tables WHERE schemaname = 'public' AND left(tablename, 2) <> '__'",
    )
    .await
}

async fn a_database_of_a_newer_version_is_refused(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    sql.tamper("INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')").await;
    assert_eq!(migrations::state(&sql.url).await, Ok(SchemaState::Newer { unknown: 1 }));
    assert!(matches!(migrations::run(&sql.url).await, Err(SqlError::Refused(_))));
    assert_eq!(migrations::state(&sql.url).await, Ok(SchemaState::Newer { unknown: 1 }));
}

async fn many_migrators_at_once_do_the_work_once(kind: Kind) {
    for round in 0..4 {
        let sql = Sql::empty(kind);
        let mut migrators = JoinSet::new();
        for _ in 0..MIGRATORS {
            let url = sql.url.clone();
            migrators.spawn_on(async move { migrations::run(&url).await }, runtime().handle());
        }
        let ran: Vec<_> = migrators.join_all().await;
        let known = migrations_in(&sql.url);
        assert!(ran.iter().all(Result::is_ok), "round {round}: {ran:?}");
        assert_eq!(ran.into_iter().map(Result::unwrap).sum::<usize>(), known, "round {round}");
        assert_eq!(migrations::state(&sql.url).await, Ok(SchemaState::Current));
    }
}

/// Every row of a table, in the types of its columns.
macro_rules! rows {
    ($database:expr, $table:ident, $row:ty) => {{
        let read = $database.read(|conn| {
            Box::pin(async move {
                Ok(on_either!(conn, c => schema::$table::table.load::<$row>(c).await)?)
            })
        });
        read.await.unwrap()
    }};
}

type Bytes = Vec<u8>;
type Feed = (i32, Bytes, i64, Bytes, i64, i64, i64, i64, Bytes, i64, Bytes);
type Directory = (
    String,
    String,
    String,
    String,
    bool,
    bool,
    Bytes,
    Option<Bytes>,
    Option<i64>,
    i64,
    String,
    bool,
    String,
);
type Users = (String, String, String, Option<String>, Option<i64>, bool, bool, i64);
type Clients = (
    String,
    String,
    bool,
    String,
    String,
    Option<i64>,
    bool,
    Option<Bytes>,
    Option<Bytes>,
    Option<i64>,
    i64,
    String,
    Option<i64>,
    String,
);

async fn every_column_can_be_read_and_holds_what_was_written(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let feed = sql.feed_with(&keys(1));
    let joined = row("host:8080", ChangeNumber::ZERO);
    symbolon::changes::FeedStore::join(&feed, &joined).await.unwrap();
    feed.record(vec![killed(symbolon::changes::KillScope::Client(client("app")))]).await.unwrap();
    directory::fill(&sql).await;
    let now = sql.clock.now().unix_seconds();

    let rows = rows!(sql.database, feed, Feed);
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].0, rows[0].1.len(), rows[0].2, rows[0].3.len()), (1, 16, 2, 32));
    assert_eq!((rows[0].4, rows[0].5, rows[0].6), (0, 0, 900));
    assert_eq!((rows[0].7, rows[0].8.len(), rows[0].9, rows[0].10.as_slice()), (2, 32, 0, &[0; 32][..]));
    let rows =
        rows!(sql.database, changes, (i64, String, String, Option<i64>, i64, String, Option<String>, Bytes));
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[1].0, rows[1].1.as_str(), rows[1].2.as_str()), (2, "kill-client", "app"));
    assert_eq!((rows[1].3, rows[1].4, rows[1].5.as_str()), (None, now, "command line"));
    assert_eq!((rows[1].6.is_some(), rows[1].7.len()), (true, 32));
    let rows: Vec<AuditRow> = rows!(sql.database, audit, AuditRow);
    assert_eq!(rows.len(), 2);
    assert_eq!((rows[1].number, rows[1].action.as_str(), rows[1].target.as_str()), (2, "kill-client", "app"));
    assert_eq!((rows[1].recorded_at, rows[1].change, rows[1].hash.len()), (now, Some(2), 32));
    let rows = rows!(sql.database, kills, (String, String, i64, Option<i64>));
    assert_eq!(rows, [("client".to_owned(), "app".to_owned(), 2, None)]);
    let rows = rows!(sql.database, replicas, (String, String, i64, i64, i64, i64));
    assert_eq!(rows, [(joined.incarnation.0, joined.name, 0, 0, 30_000, 4)]);
    let rows = rows!(sql.database, token_keys, (String, i64));
    assert_eq!(rows, [(keys(1).current().fingerprint().to_string(), now)]);
    let rows: Vec<Clients> = rows!(sql.database, clients, Clients);
    assert!(rows.iter().any(|row| row.5.is_some() && row.8.is_some() && row.9.is_some() && row.12.is_some()));
    assert_eq!(rows!(sql.database, users, Users), []);
    assert_eq!(rows!(sql.database, roles, (String, i64)), []);
    assert_eq!(rows!(sql.database, role_permissions, (String, String)), []);
    assert_eq!(rows!(sql.database, user_roles, (String, String)), []);
    assert_eq!(rows!(sql.database, user_permissions, (String, String)), []);
    assert_eq!(rows!(sql.database, consents, (String, String, String, i64)), []);
    assert_eq!(rows!(sql.database, introspected, (String, String, i64, i64)), []);
    let rows: Vec<Directory> = rows!(sql.database, resource_servers, Directory);
    assert!(rows.iter().any(|row| row.4 && row.7.is_some() && row.8.is_some()));
}

#[test]
fn the_file_of_the_embedded_grants_is_migrated_and_every_column_can_be_read() {
    run(async {
        let directory = scratch::directory("grants");
        let url = DatabaseUrl::SqliteGrants(directory.path().join("grants.db"));
        let known = migrations_in(&url);
        assert_eq!(migrations::run(&url).await, Ok(known));
        assert_eq!(migrations::run(&url).await, Ok(0));
        assert_eq!(revert_all(&url, "").await, known);
        assert_eq!(migrations::run(&url).await, Ok(known));
        let database = Database::new(&url, 2, runtime().handle().clone()).unwrap();
        let grants = SqliteGrants::new(database.clone(), std::sync::Arc::new(SystemClock));
        let (id, end) = (new_id(), far());
        grants.insert(id, &grant_record("one"), end).await.unwrap();
        let position =
            Position { feed: FeedId([1; 16]), number: ChangeNumber::new(1), hash: ChangeHash::default() };
        grants.advance(None, position, &[]).await.unwrap();
        let rows = rows!(database, grants, (Bytes, Bytes, i64));
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].0.as_slice(), rows[0].1.as_slice()), (id.as_bytes().as_slice(), &b"one"[..]));
        assert!((0..=10).contains(&(rows[0].2 - end.unix_seconds())), "it goes some seconds after its end");
        let rows = rows!(database, witness, (i32, Bytes));
        assert_eq!(rows, [(1, position.to_bytes().to_vec())]);
    });
}

#[test]
fn the_command_line_migrates_the_grants_from_several_places_at_once() {
    run(async {
        let directory = scratch::directory("grants");
        for round in 0..4 {
            let url = DatabaseUrl::SqliteGrants(directory.path().join(format!("{round}.db")));
            let mut migrators = JoinSet::new();
            for _ in 0..MIGRATORS {
                let url = url.clone();
                migrators.spawn_on(async move { migrations::run(&url).await }, runtime().handle());
            }
            let ran: Vec<_> = migrators.join_all().await;
            assert!(ran.iter().all(Result::is_ok), "round {round}: {ran:?}");
        }
    });
}

fn files(url: &DatabaseUrl) -> FileBasedMigrations {
    FileBasedMigrations::from_path(match url {
        DatabaseUrl::Postgres(_) => "migrations/postgres",
        DatabaseUrl::Sqlite(_) => "migrations/sqlite",
        DatabaseUrl::SqliteGrants(_) => "migrations/grants",
    })
    .expect("tests run in the repository's root")
}

/// How many migrations there are for this database.
fn migrations_in(url: &DatabaseUrl) -> usize {
    use diesel::migration::MigrationSource;
    let source = files(url);
    MigrationSource::<diesel::sqlite::Sqlite>::migrations(&source).unwrap().len()
}

/// Takes every migration back, as `diesel migration redo` does; how many there were.
async fn revert_all(url: &DatabaseUrl, text: &str) -> usize {
    fn revert<DB: Backend>(conn: &mut impl MigrationHarness<DB>, files: FileBasedMigrations) -> usize {
        conn.revert_all_migrations(files).unwrap().len()
    }
    let files = files(url);
    match url {
        DatabaseUrl::Sqlite(path) | DatabaseUrl::SqliteGrants(path) => {
            revert(&mut SqliteConnection::establish(&path.to_string_lossy()).unwrap(), files)
        }
        DatabaseUrl::Postgres(_) => {
            let conn = AsyncPgConnection::establish(text).await.unwrap();
            let work = move || revert(&mut AsyncConnectionWrapper::<AsyncPgConnection>::from(conn), files);
            runtime().spawn_blocking(work).await.unwrap()
        }
    }
}
