//! Where grants were last introspected, on either database.

use diesel::dsl::sql as fragment;
use diesel::sql_types::{BigInt, Text};
use diesel::{QueryableByName, select, sql_query};
use diesel_async::RunQueryDsl as _;
use symbolon::directory::introspected::{self, LastIntrospected, Sighting};
use symbolon::domain::clock::Timestamp;
use symbolon::domain::identifier::{GrantId, ResourceServerId};
use symbolon::sql::Connection;
use tokio::task::JoinSet;

use crate::databases::{Kind, Sql};
use crate::{cases, run};

cases!(Kind: postgres = Postgres, sqlite = Sqlite => {
    of_each_grant_the_newest_sighting_stands,
    many_are_written_at_once_and_again_by_another_replica,
    replicas_that_write_the_same_grants_at_once_all_succeed,
    rows_of_grants_that_have_ended_are_purged,
    what_has_ended_is_found_without_a_look_at_everything,
});

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_000 + seconds)
}

fn grant(number: u32) -> GrantId {
    let mut bytes = [7; GrantId::BYTES];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    GrantId::from_bytes(bytes)
}

fn sighting(number: u32, server: &str, seen: i64) -> Sighting {
    Sighting { grant: grant(number), server: server.to_owned(), at: at(seen), ends_at: at(1_000) }
}

async fn note(sql: &Sql, sightings: Vec<Sighting>) {
    let noted = sql.database.write(move |conn| Box::pin(introspected::note(conn, sightings)));
    noted.await.unwrap();
}

/// Where and when a grant was last seen.
async fn of(sql: &Sql, number: u32) -> Option<(String, Timestamp)> {
    let read = sql.database.read(move |conn| Box::pin(introspected::of(conn, grant(number))));
    let last: Option<LastIntrospected> = read.await.unwrap();
    last.map(|LastIntrospected { server, at }| (server.to_string(), at))
}

async fn of_each_grant_the_newest_sighting_stands(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    assert_eq!(of(&sql, 1).await, None);
    note(&sql, vec![sighting(1, "rs_one", 10), sighting(2, "rs_two", 10)]).await;
    note(&sql, vec![sighting(1, "rs_two", 20), sighting(2, "rs_one", 5)]).await;
    assert_eq!(of(&sql, 1).await, Some(("rs_two".to_owned(), at(20))));
    assert_eq!(of(&sql, 2).await, Some(("rs_two".to_owned(), at(10))), "a late writer changes nothing");
    assert!(ResourceServerId::parse("rs_one").is_ok());
    note(&sql, Vec::new()).await;
}

async fn many_are_written_at_once_and_again_by_another_replica(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    note(&sql, (0..5_000).map(|number| sighting(number, "rs_one", 10)).collect()).await;
    note(&sql.beside(), (0..5_000).rev().map(|number| sighting(number, "rs_two", 20)).collect()).await;
    for number in [0, 1, 2_500, 4_999] {
        assert_eq!(of(&sql, number).await, Some(("rs_two".to_owned(), at(20))));
    }
}

async fn replicas_that_write_the_same_grants_at_once_all_succeed(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let mut writing = JoinSet::new();
    for writer in 0..4 {
        let database = sql.beside().database;
        writing.spawn(async move {
            for round in 0..5 {
                let sightings = (0..200).map(|number| sighting((number * 7 + writer) % 200, "rs_one", round));
                let sightings = sightings.collect();
                let noted = database.write(move |conn| Box::pin(introspected::note(conn, sightings)));
                noted.await.unwrap();
            }
        });
    }
    writing.join_all().await;
    assert_eq!(of(&sql, 199).await, Some(("rs_one".to_owned(), at(4))));
}

async fn rows_of_grants_that_have_ended_are_purged(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let ended = |number| Sighting { ends_at: at(100), ..sighting(number, "rs_one", 10) };
    note(&sql, (0..1_203).map(ended).chain([sighting(2_000, "rs_one", 10)]).collect()).await;
    let purge = async |ended| introspected::purge(&sql.database, ended).await.unwrap();
    assert_eq!((purge(at(100)).await, purge(at(101)).await, purge(at(101)).await), (0, 1_203, 0));
    assert_eq!((of(&sql, 3).await.is_some(), of(&sql, 2_000).await.is_some()), (false, true));
}

async fn what_has_ended_is_found_without_a_look_at_everything(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    note(&sql, (0..2_000).map(|number| sighting(number, "rs_one", 10)).collect()).await;
    let read = sql.database.read(|conn| {
        Box::pin(async move {
            let query =
                "SELECT grant_id FROM introspected WHERE ends_at < 1800000500 ORDER BY ends_at LIMIT 500";
            match conn {
                Connection::Sqlite(c) => {
                    let lines = sql_query(format!("EXPLAIN QUERY PLAN {query}"));
                    Ok(lines.load::<SqliteStep>(c).await?.into_iter().map(|line| line.detail).collect())
                }
                Connection::Postgres(c) => {
                    sql_query("SET LOCAL enable_seqscan = off").execute(c).await?;
                    let lines = sql_query(format!("EXPLAIN {query}"));
                    Ok(lines.load::<PostgresStep>(c).await?.into_iter().map(|line| line.plan).collect())
                }
            }
        })
    });
    let plan: Vec<String> = read.await.unwrap();
    assert!(plan.iter().any(|line| line.contains("introspected_ends_at")), "{plan:?}");
}

#[derive(QueryableByName)]
struct SqliteStep {
    #[diesel(sql_type = Text)]
    detail: String,
}

#[derive(QueryableByName)]
struct PostgresStep {
    #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
    plan: String,
}

/// PostgreSQL counts such writes itself, within the transaction.
#[test]
fn a_grant_that_is_seen_again_costs_no_index_of_postgres_a_write() {
    run(async {
        let sql = Sql::fresh(Kind::Postgres).await;
        note(&sql, (0..50).map(|number| sighting(number, "rs_one", 10)).collect()).await;
        let again = (0..50).map(|number| sighting(number, "rs_two", 20)).collect();
        let updated = sql.database.write(move |conn| {
            Box::pin(async move {
                introspected::note(conn, again).await?;
                let Connection::Postgres(c) = conn else { unreachable!("the database is PostgreSQL") };
                let count = "pg_stat_get_xact_tuples_hot_updated('introspected'::regclass)";
                Ok(select(fragment::<BigInt>(count)).get_result::<i64>(c).await?)
            })
        });
        assert_eq!(updated.await.unwrap(), 50);
    });
}
