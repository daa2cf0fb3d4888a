//! The grant store: an allow-list, atomic on one key.

use std::sync::Arc;
use std::time::{Duration, Instant};

use symbolon::domain::clock::{Clock as _, SystemClock, Timestamp};
use symbolon::domain::identifier::GrantId;
use symbolon::grants::{EncodedRecord, GrantStore, StoreError};
use tokio::task::JoinSet;

use crate::stores::{Kind, Store, far, new_id, record};
use crate::{cases, eventually, run};

/// How many tasks race for one key, and how often.
const RACERS: usize = 32;
const ROUNDS: usize = 50;
/// How much longer than its end a record may be visible: some seconds, and a slow machine.
const SLACK: Duration = Duration::from_secs(10);

cases!(Kind: redis = Redis, sqlite = Sqlite => {
    what_was_never_inserted_is_not_there,
    an_insert_is_seen_by_every_worker,
    a_second_insert_of_an_id_is_refused_and_leaves_the_first,
    many_records_are_read_in_the_order_that_they_are_asked_for,
    a_swap_replaces_exactly_what_was_expected,
    a_swap_of_what_is_not_there_does_nothing,
    what_was_removed_is_gone,
    a_record_is_gone_some_seconds_after_its_end,
    a_swap_moves_the_end,
    the_id_of_a_record_that_has_ended_is_free_again,
    ids_and_records_may_hold_any_byte,
    records_of_every_size_come_back_whole,
    of_many_swaps_of_one_record_exactly_one_wins,
    of_many_inserts_of_one_id_exactly_one_wins,
    of_many_removals_of_one_record_exactly_one_finds_it,
    a_swap_and_a_removal_of_one_record_never_both_win,
});

async fn what_was_never_inserted_is_not_there(kind: Kind) {
    let store = Store::fresh(kind).await;
    let id = new_id();
    assert_eq!(store.grants().load(id).await, Ok(None));
    assert_eq!(store.grants().remove(id).await, Ok(false));
}

async fn an_insert_is_seen_by_every_worker(kind: Kind) {
    let store = Store::fresh(kind).await;
    let id = new_id();
    assert_eq!(store.grants().insert(id, &record("first"), far()).await, Ok(true));
    for worker in &store.workers {
        assert_eq!(worker.load(id).await, Ok(Some(record("first"))));
    }
    assert_eq!(store.grants().load(new_id()).await, Ok(None));
}

async fn a_second_insert_of_an_id_is_refused_and_leaves_the_first(kind: Kind) {
    let store = Store::fresh(kind).await;
    let id = new_id();
    assert_eq!(store.workers[0].insert(id, &record("first"), far()).await, Ok(true));
    for worker in &store.workers {
        assert_eq!(worker.insert(id, &record("second"), far()).await, Ok(false));
        assert_eq!(worker.insert(id, &record("first"), far()).await, Ok(false), "not even the same");
        assert_eq!(worker.load(id).await, Ok(Some(record("first"))));
    }
}

async fn many_records_are_read_in_the_order_that_they_are_asked_for(kind: Kind) {
    let store = Store::fresh(kind).await;
    let ids: Vec<GrantId> = (0..1200).map(|_| new_id()).collect();
    for (id, number) in ids.iter().zip(0..).step_by(3) {
        let record = record(format!("{number}"));
        assert_eq!(store.grants().insert(*id, &record, far()).await, Ok(true));
    }
    let mut asked = ids.clone();
    asked.push(ids[0]);
    let found = store.reader.read_many(&asked).await.unwrap();
    for (number, found) in found.iter().enumerate().take(ids.len()) {
        let expected = number.is_multiple_of(3).then(|| record(format!("{number}")));
        assert_eq!(*found, expected, "{number}");
    }
    assert_eq!((found.len(), &found[1200]), (1201, &Some(record("0"))), "even one that is asked for twice");
    assert_eq!(store.reader.read_many(&[]).await, Ok(Vec::new()));
}

async fn a_swap_replaces_exactly_what_was_expected(kind: Kind) {
    let store = Store::fresh(kind).await;
    let (id, other) = (new_id(), new_id());
    let swap = async |expected: &str, new: &str| {
        store.workers[1].compare_and_swap(id, &record(expected), &record(new), far()).await
    };
    store.grants().insert(id, &record("one"), far()).await.unwrap();
    store.grants().insert(other, &record("one"), far()).await.unwrap();
    for wrong in ["two", "", "on", "one ", "One"] {
        assert_eq!(swap(wrong, "three").await, Ok(false), "{wrong:?}");
        assert_eq!(store.grants().load(id).await, Ok(Some(record("one"))));
    }
    assert_eq!(swap("one", "two").await, Ok(true));
    assert_eq!(swap("one", "three").await, Ok(false));
    assert_eq!(swap("two", "two").await, Ok(true), "a record may be swapped for itself");
    assert_eq!(store.grants().load(id).await, Ok(Some(record("two"))));
    assert_eq!(store.grants().load(other).await, Ok(Some(record("one"))));
}

async fn a_swap_of_what_is_not_there_does_nothing(kind: Kind) {
    let store = Store::fresh(kind).await;
    let id = new_id();
    for expected in ["one", ""] {
        let swapped = store.grants().compare_and_swap(id, &record(expected), &record("two"), far()).await;
        assert_eq!(swapped, Ok(false));
        assert_eq!(store.grants().load(id).await, Ok(None));
    }
}

async fn what_was_removed_is_gone(kind: Kind) {
    let store = Store::fresh(kind).await;
    let (id, other) = (new_id(), new_id());
    store.grants().insert(id, &record("one"), far()).await.unwrap();
    store.grants().insert(other, &record("other"), far()).await.unwrap();
    assert_eq!(store.workers[1].remove(id).await, Ok(true));
    assert_eq!(store.grants().load(id).await, Ok(None));
    assert_eq!(store.grants().remove(id).await, Ok(false));
    assert_eq!(store.grants().load(other).await, Ok(Some(record("other"))));
    assert_eq!(store.grants().insert(id, &record("two"), far()).await, Ok(true), "the id is free again");
}

async fn a_record_is_gone_some_seconds_after_its_end(kind: Kind) {
    let store = Store::fresh(kind).await;
    let (brief, swapped, long) = (new_id(), new_id(), new_id());
    let end = SystemClock.now() + Duration::from_secs(2);
    store.grants().insert(brief, &record("brief"), end).await.unwrap();
    store.grants().insert(swapped, &record("brief"), far()).await.unwrap();
    store.grants().insert(long, &record("long"), far()).await.unwrap();
    let swap = store.grants().compare_and_swap(swapped, &record("brief"), &record("briefer"), end).await;
    assert_eq!(swap, Ok(true));
    for id in [brief, swapped] {
        eventually("an ended record is gone", Duration::from_secs(2) + SLACK, async || {
            let found = store.grants().load(id).await.unwrap();
            let is_over = SystemClock.now() >= end;
            assert!(found.is_some() || is_over, "a record went before its end");
            found.is_none().then_some(())
        })
        .await;
        let swap = store.grants().compare_and_swap(id, &record("brief"), &record("again"), far()).await;
        assert_eq!(swap, Ok(false), "what has ended cannot be swapped");
        let swap = store.grants().compare_and_swap(id, &record("briefer"), &record("again"), far()).await;
        assert_eq!(swap, Ok(false), "what has ended cannot be swapped");
        assert_eq!(store.grants().remove(id).await, Ok(false), "nor removed");
    }
    assert_eq!(store.grants().load(long).await, Ok(Some(record("long"))));
}

async fn a_swap_moves_the_end(kind: Kind) {
    let store = Store::fresh(kind).await;
    let (extended, control) = (new_id(), new_id());
    let end = SystemClock.now() + Duration::from_secs(1);
    store.grants().insert(control, &record("one"), end).await.unwrap();
    store.grants().insert(extended, &record("one"), end).await.unwrap();
    let swap = store.grants().compare_and_swap(extended, &record("one"), &record("two"), far()).await;
    assert_eq!(swap, Ok(true));
    eventually("the control is gone", SLACK, async || {
        store.grants().load(control).await.unwrap().is_none().then_some(())
    })
    .await;
    assert_eq!(store.grants().load(extended).await, Ok(Some(record("two"))));
}

async fn the_id_of_a_record_that_has_ended_is_free_again(kind: Kind) {
    let store = Store::fresh(kind).await;
    let id = new_id();
    store.grants().insert(new_id(), &record("the first insert sweeps"), far()).await.unwrap();
    let ended = SystemClock.now().unix_seconds() - 60;
    let ended = Timestamp::from_unix_seconds(ended);
    store.grants().insert(id, &record("ended"), ended).await.unwrap();
    assert_eq!(store.grants().load(id).await, Ok(None));
    assert_eq!(store.grants().insert(id, &record("new"), far()).await, Ok(true));
    assert_eq!(store.grants().load(id).await, Ok(Some(record("new"))));
}

async fn ids_and_records_may_hold_any_byte(kind: Kind) {
    let store = Store::fresh(kind).await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let backwards: Vec<u8> = every_byte.iter().rev().copied().collect();
    let ids = (0..=255_u8).map(|byte| {
        let mut id = [byte; GrantId::BYTES];
        id[5] = byte.wrapping_add(128);
        GrantId::from_bytes(id)
    });
    for (id, byte) in ids.clone().zip(0..=255_u8) {
        let first = record([&every_byte[..], &[byte]].concat());
        assert_eq!(store.grants().insert(id, &first, far()).await, Ok(true));
        if byte % 2 == 0 {
            let second = record([&backwards[..], &[byte]].concat());
            assert_eq!(store.grants().compare_and_swap(id, &first, &second, far()).await, Ok(true));
        }
    }
    for (id, byte) in ids.zip(0..=255_u8) {
        let body = if byte % 2 == 0 { &backwards } else { &every_byte };
        assert_eq!(store.grants().load(id).await, Ok(Some(record([&body[..], &[byte]].concat()))));
    }
}

async fn records_of_every_size_come_back_whole(kind: Kind) {
    let store = Store::fresh(kind).await;
    for size in [0, 1, 200, 64 * 1024] {
        let id = new_id();
        let bytes =
            |seed: usize| record((seed..seed + size).map(|at| at.to_le_bytes()[0]).collect::<Vec<_>>());
        let (first, second) = (bytes(1), bytes(2));
        assert_eq!(store.grants().insert(id, &first, far()).await, Ok(true), "{size}");
        assert_eq!(store.grants().load(id).await, Ok(Some(first.clone())), "{size}");
        assert_eq!(store.grants().compare_and_swap(id, &first, &second, far()).await, Ok(true), "{size}");
        assert_eq!(store.grants().load(id).await, Ok(Some(second)), "{size}");
        assert_eq!(store.grants().remove(id).await, Ok(true), "{size}");
    }
}

#[test]
fn a_file_that_another_process_holds_fails_in_time_and_is_used_again() {
    run(async {
        use diesel::connection::SimpleConnection as _;
        use diesel::{Connection as _, SqliteConnection};
        let store = Store::fresh(Kind::Sqlite).await;
        let id = new_id();
        store.grants().insert(id, &record("one"), far()).await.unwrap();
        let mut other = SqliteConnection::establish(&store.file().to_string_lossy()).unwrap();
        other.batch_execute("BEGIN IMMEDIATE").unwrap();
        let begun = Instant::now();
        let swapped = store.grants().compare_and_swap(id, &record("one"), &record("two"), far()).await;
        assert!(swapped.is_err(), "{swapped:?}");
        assert!(begun.elapsed() < SLACK, "it took {:?}", begun.elapsed());
        assert_eq!(store.grants().load(id).await, Ok(Some(record("one"))), "readers do not wait");
        other.batch_execute("ROLLBACK").unwrap();
        assert_eq!(store.grants().insert(new_id(), &record("three"), far()).await, Ok(true));
        assert_eq!(store.grants().load(id).await, Ok(Some(record("one"))), "what failed did nothing");
    });
}

/// Each of `RACERS` does the same at the same time; which of them got `true`.
async fn race<F>(store: &Store, act: impl Fn(usize, Arc<dyn GrantStore>) -> F) -> Vec<usize>
where
    F: Future<Output = Result<bool, StoreError>> + Send + 'static,
{
    let mut racers = JoinSet::new();
    for racer in 0..RACERS {
        let worker = Arc::clone(&store.workers[racer % store.workers.len()]);
        let act = act(racer, worker);
        racers.spawn(async move { (racer, act.await) });
    }
    let outcomes = racers.join_all().await;
    outcomes.into_iter().filter_map(|(racer, won)| won.expect("the store answers").then_some(racer)).collect()
}

fn entry(round: usize, racer: usize) -> EncodedRecord {
    record(format!("round {round}, racer {racer}"))
}

async fn of_many_swaps_of_one_record_exactly_one_wins(kind: Kind) {
    let store = Store::fresh(kind).await;
    let id = new_id();
    let mut current = record("start");
    store.grants().insert(id, &current, far()).await.unwrap();
    for round in 0..ROUNDS {
        let winners = race(&store, |racer, worker| {
            let expected = current.clone();
            async move { worker.compare_and_swap(id, &expected, &entry(round, racer), far()).await }
        })
        .await;
        assert_eq!(winners.len(), 1, "round {round}: {winners:?}");
        current = entry(round, winners[0]);
        assert_eq!(store.grants().load(id).await, Ok(Some(current.clone())));
    }
}

async fn of_many_inserts_of_one_id_exactly_one_wins(kind: Kind) {
    let store = Store::fresh(kind).await;
    for round in 0..ROUNDS {
        let id = new_id();
        let winners =
            race(&store, |racer, worker| async move { worker.insert(id, &entry(round, racer), far()).await })
                .await;
        assert_eq!(winners.len(), 1, "round {round}: {winners:?}");
        assert_eq!(store.grants().load(id).await, Ok(Some(entry(round, winners[0]))));
    }
}

async fn of_many_removals_of_one_record_exactly_one_finds_it(kind: Kind) {
    let store = Store::fresh(kind).await;
    for round in 0..ROUNDS / 5 {
        let id = new_id();
        store.grants().insert(id, &record("one"), far()).await.unwrap();
        let winners = race(&store, |_, worker| async move { worker.remove(id).await }).await;
        assert_eq!(winners.len(), 1, "round {round}: {winners:?}");
    }
}

async fn a_swap_and_a_removal_of_one_record_never_both_win(kind: Kind) {
    let store = Store::fresh(kind).await;
    for round in 0..ROUNDS / 5 {
        let id = new_id();
        let start = record("start");
        store.grants().insert(id, &start, far()).await.unwrap();
        // Even racers swap the start, odd ones swap it for what they then remove.
        let winners = race(&store, |racer, worker| {
            let start = start.clone();
            async move {
                let swapped = worker.compare_and_swap(id, &start, &entry(round, racer), far()).await?;
                Ok(swapped && (racer % 2 == 0 || worker.remove(id).await?))
            }
        })
        .await;
        assert_eq!(winners.len(), 1, "round {round}: {winners:?}");
        let left = (winners[0] % 2 == 0).then(|| entry(round, winners[0]));
        assert_eq!(store.grants().load(id).await, Ok(left));
    }
}
