//! Recording: numbers in commit order, without holes, chained; each grant revoked once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use symbolon::changes::{
    Bonds, Change, Edit, FeedStore as _, KillScope, RecordedChange, Recorder as _, lock_sequence, record_in,
    record_longest_lifetime,
};
use symbolon::directory::clients;
use symbolon::domain::clock::{CLOCK_SLACK, Clock as _, Timestamp};
use symbolon::domain::identifier::{ResourceServerId, RoleName, UserId};
use symbolon::domain::position::{ChangeHash, ChangeNumber};
use symbolon::domain::scope::Scope;
use symbolon::sql::SqlError;
use tokio::task::JoinSet;

use crate::cases;
use crate::databases::{
    Follower, Kind, LONGEST, Sql, client, entry, head, killed, record, record_all, revoke_some, revoked_until,
};
use crate::directory::bare_client;
use crate::stores::new_id;

const RECORDERS: usize = 16;

cases!(Kind: postgres = Postgres, sqlite = Sqlite => {
    an_empty_feed_begins_at_zero_with_a_name_of_its_own,
    every_kind_of_change_comes_back_as_it_was_recorded,
    concurrent_changes_are_numbered_in_commit_order_without_holes,
    a_batch_keeps_its_order_and_may_be_larger_than_one_statement_takes,
    a_grant_revoked_again_keeps_its_number,
    a_grant_revoked_twice_in_one_batch_has_one_number,
    a_login_session_that_has_ended_keeps_the_number_of_its_end,
    a_lost_rotation_is_recorded_once,
    a_grant_revoked_by_many_at_once_has_one_number,
    an_unknown_end_is_the_longest_lifetime_ever_recorded,
    what_a_unit_of_work_takes_back_leaves_no_number,
    an_empty_batch_records_nothing,
    what_is_read_under_the_lock_of_the_sequence_stays_true_until_the_commit,
});

/// All rows, as a replica that starts from nothing reads them.
async fn all_rows(sql: &Sql, from_the_start: &mut Follower) -> Vec<RecordedChange> {
    let rows = from_the_start.confirm().await;
    assert_chained(&rows);
    assert_eq!(rows.len() as u64, head(&sql.feed()).await);
    rows
}

/// Numbers 1, 2, … and each row proves the one before.
fn assert_chained(rows: &[RecordedChange]) {
    let mut hash = ChangeHash::default();
    for (row, number) in rows.iter().zip(1..) {
        assert_eq!(row.number, ChangeNumber::new(number));
        assert!(row.follows(&hash), "{number}");
        hash = row.hash;
    }
}

async fn an_empty_feed_begins_at_zero_with_a_name_of_its_own(kind: Kind) {
    let (one, other) = (Sql::fresh(kind).await, Sql::fresh(kind).await);
    let (one, other) = (one.feed().load().await.unwrap(), other.feed().load().await.unwrap());
    assert_eq!(one.position.number, ChangeNumber::ZERO);
    assert_eq!(one.position.hash, ChangeHash::default());
    assert_eq!(one.recovered, ChangeNumber::ZERO);
    assert!(one.revoked.is_empty());
    assert_ne!(one.position.feed, other.position.feed);
}

async fn every_kind_of_change_comes_back_as_it_was_recorded(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
    let user = UserId::parse("usr_1").unwrap();
    let ends_at = Some(sql.clock.now());
    let edited = |edit| Change::GrantEdited { grant: new_id(), edit, ends_at };
    let changes = [
        Change::GrantRevoked { grant: new_id(), ends_at: Some(sql.clock.now()) },
        Change::Killed(KillScope::Everything),
        Change::Killed(KillScope::Client(client("app"))),
        edited(Edit::Narrow(Scope::parse("notes:read notes:write").unwrap())),
        edited(Edit::Shorten(sql.clock.now())),
        edited(Edit::Freeze),
        edited(Edit::Thaw),
        Change::RotationLost { grant: new_id(), number: u32::MAX },
        Change::Killed(KillScope::Subject(user.clone())),
        Change::Killed(KillScope::LoginSession { session: new_id(), ends_at: Some(sql.clock.now()) }),
        Change::Killed(KillScope::LoginSessionsOf(user.clone())),
        Change::Killed(KillScope::OtherLoginSessionsOf {
            user: user.clone(),
            spared: new_id(),
            ends_at: Some(sql.clock.now()),
        }),
        Change::Killed(KillScope::Consent(user.clone(), client("app"))),
        Change::UserChanged(user),
        Change::RoleChanged(RoleName::parse("Note editors").unwrap()),
        Change::ClientChanged(client("app")),
        Change::ResourceServerChanged(ResourceServerId::parse("rs_1").unwrap()),
        Change::TokenKeyAdded(crate::databases::keys(0).current().fingerprint().clone()),
    ];
    let mut entries: Vec<_> = changes.into_iter().map(entry).collect();
    entries[0].reason = None;
    entries[1].reason = Some(String::new());
    entries[2].reason = Some("a reason with 'quotes', a\nline end, \u{1f511} and \u{7f}".to_owned());
    record_all(&sql.feed(), entries.clone()).await;
    let rows = all_rows(&sql, &mut follower).await;
    assert!(rows.iter().all(|row| row.recorded_at == sql.clock.now()));
    assert_eq!(rows.into_iter().map(|row| row.entry).collect::<Vec<_>>(), entries);
}

async fn concurrent_changes_are_numbered_in_commit_order_without_holes(kind: Kind) {
    let sql = Arc::new(Sql::fresh(kind).await);
    let beside = Arc::new(sql.beside());
    let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
    let known = Arc::new(AtomicU64::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let mut recorders = JoinSet::new();
    for recorder in 0..RECORDERS {
        let (sql, known) = (Arc::clone(if recorder % 2 == 0 { &sql } else { &beside }), Arc::clone(&known));
        recorders.spawn(async move {
            let mut mine = Vec::new();
            for round in 0..8 {
                let committed = known.load(Ordering::SeqCst);
                let entries = (0..=round % 3).map(|_| revoked_until(new_id(), sql.clock.now())).collect();
                let numbers = record_all(&sql.feed(), entries).await;
                assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}");
                assert!(numbers[0] > committed, "{numbers:?} came after {committed} had committed");
                known.fetch_max(numbers[numbers.len() - 1], Ordering::SeqCst);
                mine.extend(numbers);
            }
            mine
        });
    }
    // Whoever follows meanwhile never meets a hole: a number is seen only after all before it.
    let following = {
        let (done, known) = (Arc::clone(&done), Arc::clone(&known));
        tokio::spawn(async move {
            let mut rows = Vec::new();
            loop {
                let last = done.load(Ordering::SeqCst);
                let committed = known.load(Ordering::SeqCst);
                rows.extend(follower.confirm().await);
                assert!(rows.len() as u64 >= committed, "a commit that had returned was not seen");
                if last {
                    return rows;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
    };
    let numbers: Vec<u64> = recorders.join_all().await.into_iter().flatten().collect();
    done.store(true, Ordering::SeqCst);
    let rows = following.await.unwrap();
    assert_chained(&rows);
    let expected: BTreeSet<u64> = (1..=numbers.len() as u64).collect();
    assert_eq!(numbers.into_iter().collect::<BTreeSet<_>>(), expected);
    assert_eq!(rows.len(), expected.len());
    assert_eq!(head(&sql.feed()).await, rows.len() as u64);
}

async fn a_batch_keeps_its_order_and_may_be_larger_than_one_statement_takes(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
    record(&sql.feed(), killed(KillScope::Everything)).await;
    let grants: Vec<_> = (0..5000).map(|_| new_id()).collect();
    let entries = grants.iter().map(|grant| revoked_until(*grant, sql.clock.now())).collect();
    let numbers = record_all(&sql.feed(), entries).await;
    assert_eq!(numbers, (2..=5001).collect::<Vec<_>>());
    let rows = all_rows(&sql, &mut follower).await;
    for (row, grant) in rows.iter().skip(1).zip(&grants) {
        assert!(matches!(&row.entry.change, Change::GrantRevoked { grant: found, .. } if found == grant));
    }
}

async fn a_grant_revoked_again_keeps_its_number(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
    let (grant, other) = (new_id(), new_id());
    let until = |seconds| sql.clock.now() + Duration::from_secs(seconds);
    assert_eq!(record(&sql.feed(), revoked_until(grant, until(60))).await, 1);
    assert_eq!(record(&sql.feed(), revoked_until(other, until(60))).await, 2);
    assert_eq!(record(&sql.feed(), revoked_until(grant, until(90))).await, 1);
    let unknown = entry(Change::GrantRevoked { grant, ends_at: None });
    assert_eq!(record(&sql.beside().feed(), unknown).await, 1);
    assert_eq!(record(&sql.feed(), revoked_until(new_id(), until(60))).await, 3);
    assert_eq!(all_rows(&sql, &mut follower).await.len(), 3);
}

async fn a_login_session_that_has_ended_keeps_the_number_of_its_end(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
    let (session, other) = (new_id(), new_id());
    let ended = |session| killed(KillScope::login_session(session));
    let numbers = record_all(&sql.feed(), vec![ended(session), ended(other), ended(session)]).await;
    assert_eq!(numbers, [1, 2, 1]);
    assert_eq!(record(&sql.beside().feed(), ended(session)).await, 1);
    // A grant of the same id is another thing.
    assert_eq!(record(&sql.feed(), revoked_until(session, sql.clock.now())).await, 3);
    assert_eq!(record(&sql.feed(), ended(session)).await, 1);
    assert_eq!(all_rows(&sql, &mut follower).await.len(), 3);
    let user = UserId::parse("usr_1").unwrap();
    let (loaded, next) = (sql.feed().load().await.unwrap(), ChangeNumber::new(9));
    assert!(!loaded.is_live(&new_id(), &Bonds::of_session(session, &user), next));
    assert!(loaded.is_live(&new_id(), &Bonds::of_session(new_id(), &user), next));
}

/// A new database has no statistics, and PostgreSQL guesses then. It must not guess that reading the whole table is the
/// way to what came last, nor to one grant: each revocation would be slower than the one before.
#[test]
fn neither_recording_nor_following_reads_what_was_recorded_before() {
    const BEFORE: usize = 5_000;
    crate::run(async {
        let sql = Sql::fresh(Kind::Postgres).await;
        let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
        revoke_some(&sql, BEFORE).await;
        for _ in 0..50 {
            record(&sql.feed(), revoked_until(new_id(), sql.clock.now())).await;
            follower.confirm().await;
        }
        // What a connection has counted is reported within a second.
        tokio::time::sleep(Duration::from_secs(2)).await;
        follower.confirm().await;
        let counted = "(SELECT seq_tup_read::text FROM pg_stat_user_tables WHERE relname = 'changes')";
        let read: usize = sql.ask("'0'", counted).await.unwrap().parse().unwrap();
        assert!(read < 10 * BEFORE, "{read} rows were read one by one");
    });
}

async fn a_grant_revoked_twice_in_one_batch_has_one_number(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
    let (old, new) = (new_id(), new_id());
    let revoked = |grant| revoked_until(grant, sql.clock.now());
    assert_eq!(record(&sql.feed(), revoked(old)).await, 1);
    let batch = vec![revoked(new), revoked(old), killed(KillScope::Everything), revoked(new), revoked(old)];
    assert_eq!(record_all(&sql.feed(), batch).await, [2, 1, 3, 2, 1]);
    assert_eq!(record_all(&sql.feed(), vec![revoked(old), revoked(new)]).await, [1, 2]);
    assert_eq!(all_rows(&sql, &mut follower).await.len(), 3);
}

async fn a_lost_rotation_is_recorded_once(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
    let (grant, other) = (new_id(), new_id());
    let lost = |grant, number| entry(Change::RotationLost { grant, number });
    let revoked = |grant| revoked_until(grant, sql.clock.now());
    assert_eq!(
        record_all(&sql.feed(), vec![lost(grant, 3), lost(grant, 3), lost(grant, 4)]).await,
        [1, 1, 2]
    );
    let batch = vec![lost(grant, 4), revoked(grant), lost(other, 4), lost(grant, 3), revoked(grant)];
    assert_eq!(record_all(&sql.beside().feed(), batch).await, [2, 3, 4, 1, 3]);
    let rows = all_rows(&sql, &mut follower).await;
    assert_eq!(rows.len(), 4);
    let loaded = sql.feed().load().await.unwrap();
    assert_eq!(loaded.revoked.len(), 1, "a loss revokes nothing");
}

async fn a_grant_revoked_by_many_at_once_has_one_number(kind: Kind) {
    let sql = Arc::new(Sql::fresh(kind).await);
    let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
    for _ in 0..5 {
        let grant = new_id();
        let mut recorders = JoinSet::new();
        for _ in 0..RECORDERS {
            let sql = Arc::clone(&sql);
            recorders.spawn(async move {
                let noise = revoked_until(new_id(), sql.clock.now());
                record_all(&sql.feed(), vec![noise, revoked_until(grant, sql.clock.now())]).await[1]
            });
        }
        let numbers: BTreeSet<u64> = recorders.join_all().await.into_iter().collect();
        assert_eq!(numbers.len(), 1, "{numbers:?}");
    }
    assert_eq!(all_rows(&sql, &mut follower).await.len(), 5 * (RECORDERS + 1));
}

/// The end that a recorded change says.
fn recorded_end(row: &RecordedChange) -> Timestamp {
    match row.entry.change {
        Change::GrantRevoked { ends_at: Some(ends_at), .. }
        | Change::GrantEdited { ends_at: Some(ends_at), .. }
        | Change::Killed(
            KillScope::LoginSession { ends_at: Some(ends_at), .. }
            | KillScope::OtherLoginSessionsOf { ends_at: Some(ends_at), .. },
        ) => ends_at,
        _ => panic!("a change without an end: {row:?}"),
    }
}

async fn an_unknown_end_is_the_longest_lifetime_ever_recorded(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    sql.set_ahead_of_the_server(3600).await;
    let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
    let mut expected = Vec::new();
    let mut longest = LONGEST;
    for seconds in [60, 900, 86_400, 30] {
        let lifetime = Duration::from_secs(seconds);
        let noted = sql.database.write(move |conn| Box::pin(record_longest_lifetime(conn, lifetime)));
        noted.await.unwrap();
        longest = longest.max(lifetime);
        sql.clock.advance(Duration::from_secs(7));
        record(&sql.feed(), entry(Change::GrantRevoked { grant: new_id(), ends_at: None })).await;
        expected.push(sql.clock.now() + longest + CLOCK_SLACK);
    }
    let ends: Vec<_> = all_rows(&sql, &mut follower).await.iter().map(recorded_end).collect();
    assert_eq!(ends, expected);
}

#[test]
fn whoever_records_with_a_clock_that_is_behind_dates_no_end_too_early() {
    const BEHIND: i64 = 3600;
    crate::run(async {
        let sql = Sql::fresh(Kind::Postgres).await;
        let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
        let user = UserId::parse("usr_1").unwrap();
        sql.set_ahead_of_the_server(-BEHIND).await;
        // Given in this moment, by a replica whose clock is right.
        let given_until = sql.clock.now() + Duration::from_secs(3600) + LONGEST;
        let (known, grant) = (given_until + LONGEST, new_id());
        let entries = vec![
            killed(KillScope::login_session(new_id())),
            killed(KillScope::other_login_sessions(user, new_id())),
            entry(Change::GrantRevoked { grant: new_id(), ends_at: None }),
            entry(Change::GrantEdited { grant, edit: Edit::Freeze, ends_at: None }),
            revoked_until(new_id(), known),
        ];
        record_all(&sql.feed(), entries).await;
        let rows = all_rows(&sql, &mut follower).await;
        let ends: Vec<_> = rows.iter().map(recorded_end).collect();
        assert_eq!(ends.len(), 5);
        assert!(ends.iter().all(|end| *end >= given_until), "{given_until}: {ends:?}");
        assert_eq!(ends[4], known, "an end that is known is not moved");
    });
}

async fn what_a_unit_of_work_takes_back_leaves_no_number(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
    let now = sql.clock.now();
    record(&sql.feed(), killed(KillScope::Everything)).await;
    let taken_back = sql.database.write(move |conn| {
        Box::pin(async move {
            let numbers = record_in(conn, vec![killed(KillScope::Client(client("app")))], now).await?;
            assert_eq!(numbers, [ChangeNumber::new(2)]);
            Err::<(), _>(SqlError::Refused("no".to_owned()))
        })
    });
    assert_eq!(taken_back.await, Err(SqlError::Refused("no".to_owned())));
    assert_eq!(record(&sql.feed(), revoked_until(new_id(), now)).await, 2);
    assert_eq!(all_rows(&sql, &mut follower).await.len(), 2);
    assert!(follower.snapshot.is_live(&new_id(), &Bonds::of_client(&client("app")), ChangeNumber::new(1)));
}

async fn an_empty_batch_records_nothing(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    assert_eq!(sql.feed().record(Vec::new()).await, Ok(Vec::new()));
    assert_eq!(head(&sql.feed()).await, 0);
}

async fn what_is_read_under_the_lock_of_the_sequence_stays_true_until_the_commit(kind: Kind) {
    let sql = Arc::new(Sql::fresh(kind).await);
    let beside = Arc::new(sql.beside());
    let start = bare_client("counter", "0");
    sql.database
        .write(move |conn| Box::pin(async move { clients::insert(conn, &start).await }))
        .await
        .unwrap();
    let mut counters = JoinSet::new();
    for counter in 0..8 {
        let sql = Arc::clone(if counter % 2 == 0 { &sql } else { &beside });
        counters.spawn(async move {
            for _ in 0..5 {
                let now = sql.clock.now();
                let count = sql.database.write(move |conn| {
                    Box::pin(async move {
                        lock_sequence(conn).await?;
                        let mut counter = clients::require(conn, "counter").await?;
                        counter.name = (counter.name.parse::<u64>().unwrap() + 1).to_string();
                        clients::update(conn, &counter).await?;
                        record_in(conn, vec![entry(Change::ClientChanged(counter.id))], now).await
                    })
                });
                count.await.unwrap();
            }
        });
    }
    counters.join_all().await;
    let counter = sql.database.read(|conn| Box::pin(clients::require(conn, "counter"))).await.unwrap();
    assert_eq!(counter.name, "40");
    assert_eq!(head(&sql.feed()).await, 40);
}
