//! A database that fails: quick errors, nothing held up for long, nothing confirmed that is lost.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use symbolon::changes::{
    FeedError, FeedStore as _, History as _, KillScope, Projection, RecordedChange, Recorder as _, Renewal,
    SqlFeed, record_in,
};
use symbolon::domain::clock::Clock as _;
use symbolon::domain::position::ChangeNumber;
use symbolon::sql::{Connection, SqlError};

use crate::databases::{Follower, Kind, Sql, head, killed, record, revoke_some, row};
use crate::support::postgres::PostgresServer;
use crate::{cases, eventually, run, runtime};

/// How long an operation may take to find out that SQL cannot be reached.
const AT_ONCE: Duration = Duration::from_secs(3);
/// How long a database that accepts connections and says nothing may be waited for, once.
const FROZEN: Duration = Duration::from_secs(12);
/// How long until a database that came back is used again.
const RECOVERY: Duration = Duration::from_secs(5);

cases!(Kind: postgres = Postgres, sqlite = Sqlite => {
    a_writer_that_freezes_inside_its_transaction_is_not_waited_for_long,
    a_unit_that_panics_writes_nothing_and_harms_nobody,
    a_unit_whose_caller_goes_away_is_finished,
    loading_may_take_longer_than_a_writer_may,
});

/// SQLite has one writer, and a process that freezes while it writes is the whole installation: nothing is asked of
/// it but that others fail in time and go on afterwards.
async fn a_writer_that_freezes_inside_its_transaction_is_not_waited_for_long(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let (beside, now) = (sql.beside(), sql.clock.now());
    let (locked, is_locked) = tokio::sync::oneshot::channel();
    let frozen = runtime().spawn(async move {
        let unit = beside.database.write(move |conn| {
            Box::pin(async move {
                record_in(conn, vec![killed(KillScope::Everything)], now).await?;
                locked.send(()).ok();
                tokio::time::sleep(Duration::from_secs(4)).await;
                Ok(())
            })
        });
        unit.await
    });
    is_locked.await.unwrap();
    let begun = Instant::now();
    match kind {
        Kind::Postgres => {
            assert_eq!(record(&sql.feed(), killed(KillScope::Everything)).await, 1);
            assert!(begun.elapsed() < AT_ONCE, "a frozen writer held others up for {:?}", begun.elapsed());
            let frozen = frozen.await.unwrap();
            assert!(matches!(frozen, Err(SqlError::Uncertain(_) | SqlError::Unavailable(_))), "{frozen:?}");
            assert_eq!(head(&sql.feed()).await, 1, "what was frozen wrote nothing");
        }
        Kind::Sqlite => {
            assert_eq!(head(&sql.feed()).await, 0, "readers do not wait");
            assert_eq!(record(&sql.feed(), killed(KillScope::Everything)).await, 2);
            assert_eq!(frozen.await.unwrap(), Ok(()));
        }
    }
}

async fn a_unit_that_panics_writes_nothing_and_harms_nobody(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let now = sql.clock.now();
    // More often than there are connections.
    for number in 1..=10 {
        let unit = sql.database.write::<(), _>(move |conn| {
            Box::pin(async move {
                record_in(conn, vec![killed(KillScope::Everything)], now).await?;
                panic!("this unit panics, as the case wants");
            })
        });
        assert!(matches!(unit.await, Err(SqlError::Unavailable(_))));
        // Whoever gets its connection next must not commit what it left behind.
        assert_eq!(record(&sql.feed(), killed(KillScope::Everything)).await, number);
        assert_eq!(head(&sql.feed()).await, number);
    }
}

async fn a_unit_whose_caller_goes_away_is_finished(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let feed = sql.feed();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (database, now) = (sql.database.clone(), sql.clock.now());
    let caller = runtime().spawn(async move {
        let unit = database.write(move |conn| {
            Box::pin(async move {
                begun.send(()).ok();
                tokio::time::sleep(Duration::from_millis(50)).await;
                record_in(conn, vec![killed(KillScope::Everything)], now).await
            })
        });
        unit.await
    });
    has_begun.await.unwrap();
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    eventually("the unit commits all the same", RECOVERY, async || (head(&feed).await == 1).then_some(()))
        .await;
}

/// A view that takes its time, as a large one does.
struct SlowView;

#[async_trait]
impl Projection for SlowView {
    type View = ();

    async fn read_all(&self, _conn: &mut Connection) -> Result<(), SqlError> {
        tokio::time::sleep(Duration::from_millis(2500)).await;
        Ok(())
    }

    async fn catch_up(&self, _: &mut Connection, (): (), _: &[RecordedChange]) -> Result<(), SqlError> {
        Ok(())
    }
}

/// A replica that has much to load would else never serve. It holds no lock meanwhile.
async fn loading_may_take_longer_than_a_writer_may(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let grants = revoke_some(&sql, 2).await;
    let feed = SqlFeed::new(sql.database.clone(), SlowView, sql.clock.clone(), None);
    let loading = runtime().spawn(async move { feed.load().await });
    let begun = Instant::now();
    assert_eq!(record(&sql.feed(), killed(KillScope::Everything)).await, 3);
    assert!(begun.elapsed() < Duration::from_secs(2), "it waited {:?}", begun.elapsed());
    let loaded = loading.await.unwrap().unwrap();
    assert!(grants.iter().all(|grant| loaded.revoked.contains(grant)));
    assert!((2..=3).contains(&loaded.position.number.get()));
}

#[test]
fn a_writer_that_freezes_under_the_lock_of_the_head_delays_others_by_about_a_second() {
    run(async {
        let sql = Sql::fresh(Kind::Postgres).await;
        let mut config: tokio_postgres::Config = sql.text.parse().unwrap();
        config.options("-c idle_in_transaction_session_timeout=1s");
        let (stranger, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
        let connection = runtime().spawn(connection);
        stranger.batch_execute("BEGIN; SELECT 1 FROM feed FOR UPDATE").await.unwrap();
        let begun = Instant::now();
        let numbers = sql.feed().record(vec![killed(KillScope::Everything)]).await;
        assert_eq!(numbers, Ok(vec![ChangeNumber::new(1)]));
        assert!(begun.elapsed() < AT_ONCE, "it held others up for {:?}", begun.elapsed());
        println!("a frozen writer delayed others by {:?}", begun.elapsed());
        assert!(connection.await.unwrap().is_err(), "the frozen writer has lost its connection");
    });
}

fn is_unavailable<T: std::fmt::Debug>(outcome: &Result<T, FeedError>) {
    let unavailable = matches!(outcome, Err(FeedError::Sql(SqlError::Unavailable(_))));
    assert!(unavailable, "not unavailable: {outcome:?}");
}

#[test]
fn a_postgres_that_is_stopped_is_unavailable_at_once_and_used_again_when_it_is_back() {
    run(async {
        let server = PostgresServer::start();
        let sql = Sql::on(&server).await;
        let feed = sql.feed();
        let mut follower = Follower::join(feed.clone(), "a").await.unwrap();
        revoke_some(&sql, 2).await;
        follower.confirm().await;
        for _ in 0..2 {
            server.stop();
            for _ in 0..10 {
                let begun = Instant::now();
                is_unavailable(&feed.head().await);
                is_unavailable(&feed.record(vec![killed(KillScope::Everything)]).await);
                is_unavailable(&follower.renew().await);
                is_unavailable(&feed.load().await.map(drop));
                assert!(begun.elapsed() < AT_ONCE, "it took {:?}", begun.elapsed());
            }
            server.restart();
            eventually("the feed can be read again", RECOVERY, async || feed.head().await.ok()).await;
            eventually("the lease can be renewed again", RECOVERY, async || follower.renew().await.ok())
                .await;
        }
        assert_eq!(head(&feed).await, 2, "nothing was recorded meanwhile");
        revoke_some(&sql, 1).await;
        assert_eq!(follower.confirm().await.len(), 1);
    });
}

#[test]
fn what_was_confirmed_outlives_a_postgres_that_is_killed() {
    run(async {
        let server = PostgresServer::start();
        let sql = Sql::on(&server).await;
        let feed = sql.feed();
        let mut follower = Follower::join(feed.clone(), "a").await.unwrap();
        let joined = row("joined", ChangeNumber::ZERO);
        let mut changes = 0;
        for beat in 1..=3 {
            let grants = revoke_some(&sql, 3).await;
            changes += 3;
            let rows = follower.confirm().await;
            feed.join(&symbolon::changes::ReplicaRow {
                incarnation: symbolon::changes::Incarnation(format!("{}{beat}", joined.incarnation.0)),
                ..joined.clone()
            })
            .await
            .unwrap();
            server.kill();
            server.restart();
            let replicas = eventually("the replicas can be read again", RECOVERY, async || {
                symbolon::changes::Replicas::replicas(&feed).await.ok()
            })
            .await;
            assert_eq!(replicas.len(), 1 + usize::try_from(beat).unwrap(), "a join that returned is lost");
            let row = follower.row().await.unwrap();
            assert_eq!((row.beat, row.applied.get()), (beat, changes), "a renewal that returned is lost");
            assert_eq!(head(&feed).await, changes, "a change that was recorded is lost");
            // A database that has just come up on a busy machine may give up a unit once more.
            let hash =
                eventually("rows are read", RECOVERY, async || feed.hash_of(rows[2].number).await.ok()).await;
            assert_eq!(hash, Some(rows[2].hash));
            let loaded = eventually("all is loaded", RECOVERY, async || feed.load().await.ok()).await;
            assert!(grants.iter().all(|grant| loaded.revoked.contains(grant)));
        }
        assert_eq!(follower.renew().await.unwrap().0, Renewal::Confirmed);
    });
}

#[test]
fn a_frozen_postgres_fails_in_time_and_is_used_again_when_it_thaws() {
    run(async {
        let server = PostgresServer::start();
        let sql = Sql::on(&server).await;
        let feed = sql.feed();
        record(&feed, killed(KillScope::Everything)).await;
        server.freeze();
        let kill = || feed.record(vec![killed(KillScope::Everything)]);
        let asked = Instant::now();
        let outcome = tokio::time::timeout(FROZEN, kill()).await.expect("a frozen server is not waited for");
        assert!(matches!(outcome, Err(FeedError::Sql(_))), "{outcome:?}");
        println!("a frozen PostgreSQL: {outcome:?} after {:?}", asked.elapsed());
        let asked = Instant::now();
        is_unavailable(&kill().await);
        assert!(asked.elapsed() < AT_ONCE, "it took {:?}", asked.elapsed());
        server.thaw();
        eventually("the feed can be read again", RECOVERY, async || feed.head().await.ok()).await;
        // What was asked for while it stood still may have been recorded: the caller was told so.
        let number = record(&feed, killed(KillScope::Everything)).await;
        assert!((2..=3).contains(&number), "{number}");
    });
}
