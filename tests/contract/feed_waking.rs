//! Waking: whoever follows the feed hears of a change that another process recorded.

use std::sync::Arc;
use std::time::{Duration, Instant};

use symbolon::changes::{KillScope, Sequence, wake_on_changes};
use symbolon::domain::position::ChangeNumber;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::cases;
use crate::databases::{Kind, Sql, entry, head, killed, record};
use crate::runtime;
use crate::stores::new_id;

/// A renewal comes every second anyhow: waking later than that is worth nothing.
const WITHIN: Duration = Duration::from_secs(1);

cases!(Kind: postgres = Postgres, sqlite = Sqlite => {
    a_change_of_another_process_wakes_within_a_second,
    the_sequence_commits_what_comes_in_together_and_wakes,
});

async fn a_change_of_another_process_wakes_within_a_second(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let beside = sql.beside();
    let wake = Arc::new(Notify::new());
    let waking = runtime().spawn(wake_on_changes(sql.feed(), Arc::clone(&wake)));
    // The first comes when it listens: something may have been recorded before.
    tokio::time::timeout(Duration::from_secs(10), wake.notified()).await.expect("it listens");
    let mut slowest = Duration::ZERO;
    for _ in 0..5 {
        record(&beside.feed(), killed(KillScope::Everything)).await;
        let committed = Instant::now();
        tokio::time::timeout(WITHIN, wake.notified()).await.expect("woken within a second");
        slowest = slowest.max(committed.elapsed());
        // Let a wake-up that was under way arrive before the next change.
        tokio::time::timeout(Duration::from_millis(150), wake.notified()).await.ok();
    }
    println!("{kind:?}: woken after {slowest:?} at the latest");
    waking.abort();
}

async fn the_sequence_commits_what_comes_in_together_and_wakes(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let wake = Arc::new(Notify::new());
    let (sequence, commits) =
        Sequence::new(Arc::new(sql.feed()), Arc::clone(&sql.clock) as _, Arc::clone(&wake));
    let commits = runtime().spawn(commits);
    let mut entries = JoinSet::new();
    for _ in 0..500 {
        let sequence = sequence.clone();
        let revoked = symbolon::changes::Change::GrantRevoked { grant: new_id(), ends_at: None };
        entries.spawn(async move { sequence.record(entry(revoked)).await.unwrap().number });
    }
    let mut numbers = entries.join_all().await;
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=500).map(ChangeNumber::new).collect::<Vec<_>>());
    assert_eq!(head(&sql.feed()).await, 500);
    tokio::time::timeout(WITHIN, wake.notified()).await.expect("whoever tails is woken");
    drop(sequence);
    commits.await.unwrap();
}
