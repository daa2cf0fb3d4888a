//! Leases: a renewal confirms what it published and nothing else; a row that is gone stays gone.

use std::time::Duration;

use symbolon::changes::{FeedError, FeedStore as _, History as _, KillScope, Renewal, Replicas as _};
use symbolon::domain::position::ChangeNumber;

use crate::cases;
use crate::databases::{Follower, Kind, LEASE, Sql, head, killed, record, revoke_some, row};

cases!(Kind: postgres = Postgres, sqlite = Sqlite => {
    a_replica_that_joined_is_seen_with_what_it_loaded,
    a_renewal_confirms_what_was_published_and_adds_one_to_the_beat,
    a_renewal_publishes_only_what_follows_its_position,
    an_incarnation_joins_once,
    a_renewal_without_a_row_says_so_and_changes_nothing,
    who_left_is_gone_and_leaving_twice_is_no_error,
    only_a_beat_that_stood_still_is_evicted,
    who_is_alone_forgets_all_others,
    a_renewal_below_the_purge_mark_asks_for_a_reload,
    commits_that_were_lost_are_noticed,
    commits_that_were_lost_and_replaced_are_noticed,
    a_row_that_was_tampered_with_is_noticed,
    a_row_that_is_missing_asks_for_a_reload,
    another_feed_is_noticed,
    replicas_that_renew_at_once_do_not_disturb_each_other,
});

async fn a_replica_that_joined_is_seen_with_what_it_loaded(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    assert_eq!(sql.feed().replicas().await, Ok(Vec::new()));
    revoke_some(&sql, 3).await;
    let follower = Follower::join(sql.feed(), "host:8080").await.unwrap();
    let rows = sql.beside().feed().replicas().await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].incarnation, follower.incarnation);
    assert_eq!(rows[0].name, "host:8080");
    assert_eq!(rows[0].applied, ChangeNumber::new(3));
    assert_eq!((rows[0].beat, rows[0].lease), (0, LEASE));
}

async fn a_renewal_confirms_what_was_published_and_adds_one_to_the_beat(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
    let other = Follower::join(sql.feed(), "b").await.unwrap();
    for (round, changes) in (1..).zip([0, 2, 0, 1]) {
        revoke_some(&sql, changes).await;
        assert_eq!(follower.confirm().await.len(), changes);
        let row = follower.row().await.unwrap();
        assert_eq!(row.applied, follower.snapshot.position.number);
        assert_eq!(row.applied.get(), head(&sql.feed()).await);
        assert_eq!((row.beat, row.lease), (round, LEASE));
    }
    let other = other.row().await.unwrap();
    assert_eq!((other.applied, other.beat), (ChangeNumber::ZERO, 0), "another replica's row is its own");
}

async fn a_renewal_publishes_only_what_follows_its_position(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let mut early = Follower::join(sql.feed(), "early").await.unwrap();
    revoke_some(&sql, 2).await;
    let mut late = Follower::join(sql.feed(), "late").await.unwrap();
    revoke_some(&sql, 3).await;
    let numbers = |rows: &[symbolon::changes::RecordedChange]| -> Vec<u64> {
        rows.iter().map(|row| row.number.get()).collect()
    };
    assert_eq!(numbers(&early.confirm().await), [1, 2, 3, 4, 5]);
    assert_eq!(numbers(&late.confirm().await), [3, 4, 5]);
    assert!(late.confirm().await.is_empty());
    assert_eq!(early.snapshot.position, late.snapshot.position);
}

async fn an_incarnation_joins_once(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let first = row("a", ChangeNumber::ZERO);
    sql.feed().join(&first).await.unwrap();
    assert!(matches!(sql.feed().join(&first).await, Err(FeedError::Sql(_))));
    assert_eq!(sql.feed().replicas().await.unwrap().len(), 1);
}

async fn a_renewal_without_a_row_says_so_and_changes_nothing(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
    Follower::join(sql.feed(), "b").await.unwrap();
    assert_eq!(sql.feed().evict(&follower.incarnation, 0).await, Ok(true));
    let before = sql.feed().replicas().await;
    revoke_some(&sql, 1).await;
    for _ in 0..2 {
        assert_eq!(follower.renew().await.unwrap().0, Renewal::RowGone);
        assert_eq!(sql.feed().replicas().await, before);
    }
}

async fn who_left_is_gone_and_leaving_twice_is_no_error(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
    let other = Follower::join(sql.feed(), "b").await.unwrap();
    for _ in 0..2 {
        follower.feed.leave(&follower.incarnation).await.unwrap();
        assert_eq!(follower.row().await, None);
    }
    assert!(other.row().await.is_some());
    assert_eq!(follower.renew().await.unwrap().0, Renewal::RowGone);
}

async fn only_a_beat_that_stood_still_is_evicted(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
    follower.confirm().await;
    follower.confirm().await;
    for wrong in [0, 1, 3] {
        assert_eq!(sql.feed().evict(&follower.incarnation, wrong).await, Ok(false));
    }
    assert_eq!(follower.row().await.unwrap().beat, 2);
    assert_eq!(sql.beside().feed().evict(&follower.incarnation, 2).await, Ok(true));
    assert_eq!(sql.feed().evict(&follower.incarnation, 2).await, Ok(false));
    assert_eq!(follower.row().await, None);
}

async fn who_is_alone_forgets_all_others(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
    Follower::join(sql.feed(), "b").await.unwrap();
    sql.feed().forget_replicas().await.unwrap();
    assert_eq!(sql.feed().replicas().await, Ok(Vec::new()));
    assert_eq!(follower.renew().await.unwrap().0, Renewal::RowGone);
}

async fn a_renewal_below_the_purge_mark_asks_for_a_reload(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
    for _ in 0..3 {
        record(&sql.feed(), killed(KillScope::Everything)).await;
    }
    // While it has a row nothing is purged that it has not applied; so somebody took its row away.
    sql.feed().evict(&follower.incarnation, 0).await.unwrap();
    sql.clock.advance(Duration::from_secs(60));
    assert_eq!(sql.feed().purge(Duration::from_secs(30)).await, Ok(3));
    let (renewal, rows) = follower.renew().await.unwrap();
    assert_eq!((renewal, rows.len()), (Renewal::Reload, 0));
    let mut again = Follower::join(sql.feed(), "a").await.unwrap();
    assert_eq!(again.snapshot.position.number, ChangeNumber::new(3));
    record(&sql.feed(), killed(KillScope::Everything)).await;
    assert_eq!(again.confirm().await.len(), 1);
}

fn lost(seen: u64, head: u64) -> FeedError {
    FeedError::LostCommits { seen: ChangeNumber::new(seen), head: ChangeNumber::new(head) }
}

async fn commits_that_were_lost_are_noticed(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
    revoke_some(&sql, 5).await;
    follower.confirm().await;
    let before = follower.row().await;
    sql.lose_commits_after(3).await;
    assert_eq!(follower.renew().await.unwrap_err(), lost(5, 3));
    assert_eq!(follower.row().await, before, "nothing was confirmed");
}

async fn commits_that_were_lost_and_replaced_are_noticed(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
    revoke_some(&sql, 5).await;
    follower.confirm().await;
    sql.lose_commits_after(3).await;
    // The numbers come again, with other changes: to the same number, then beyond it.
    revoke_some(&sql, 2).await;
    assert_eq!(follower.renew().await.unwrap_err(), lost(5, 5));
    revoke_some(&sql, 1).await;
    assert_eq!(follower.renew().await.unwrap_err(), lost(5, 6));
}

async fn a_row_that_was_tampered_with_is_noticed(kind: Kind) {
    let changes = [
        "kind = 'client', target = 'app'",
        "ends_at = ends_at + 1",
        "ends_at = NULL",
        "recorded_at = recorded_at + 1",
        "actor = 'somebody else'",
        "reason = NULL",
        "reason = ''",
        "hash = (SELECT hash FROM changes WHERE number = 1)",
    ];
    for change in changes {
        let sql = Sql::fresh(kind).await;
        revoke_some(&sql, 1).await;
        let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
        revoke_some(&sql, 3).await;
        sql.tamper(format!("UPDATE changes SET {change} WHERE number = 3")).await;
        assert_eq!(follower.renew().await.unwrap_err(), lost(1, 4), "{change}");
    }
}

async fn a_row_that_is_missing_asks_for_a_reload(kind: Kind) {
    for missing in [2, 3, 4] {
        let sql = Sql::fresh(kind).await;
        revoke_some(&sql, 1).await;
        let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
        revoke_some(&sql, 3).await;
        sql.tamper(format!("DELETE FROM changes WHERE number = {missing}")).await;
        assert_eq!(follower.renew().await.unwrap().0, Renewal::Reload, "{missing}");
        assert_eq!(follower.row().await.unwrap().beat, 0, "nothing was confirmed");
    }
}

async fn another_feed_is_noticed(kind: Kind) {
    let (sql, other) = (Sql::fresh(kind).await, Sql::fresh(kind).await);
    let mut follower = Follower::join(sql.feed(), "a").await.unwrap();
    follower.feed = other.feed();
    assert_eq!(follower.renew().await.unwrap_err(), FeedError::ForeignFeed);
}

async fn replicas_that_renew_at_once_do_not_disturb_each_other(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let beside = sql.beside();
    let mut tasks = tokio::task::JoinSet::new();
    for replica in 0..6 {
        let feed = if replica % 2 == 0 { sql.feed() } else { beside.feed() };
        let mut follower = Follower::join(feed, &format!("replica {replica}")).await.unwrap();
        tasks.spawn(async move {
            for _ in 0..10 {
                follower.confirm().await;
            }
            follower
        });
    }
    revoke_some(&sql, 10).await;
    for mut follower in tasks.join_all().await {
        follower.confirm().await;
        let row = follower.row().await.unwrap();
        assert_eq!((row.beat, row.applied.get()), (11, 10));
    }
}
