//! Walking through a grant store: everything that is there is met, however many pages it takes and whatever happens to
//! the rest meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use symbolon::domain::clock::{Clock as _, SystemClock};
use symbolon::domain::identifier::GrantId;
use symbolon::domain::position::{ChangeHash, ChangeNumber, FeedId, Position};
use symbolon::grants::{Cursor, EncodedRecord, Walk};

use crate::stores::{Kind, Store, far, new_id, record};
use crate::{cases, eventually};

/// More than a page or two.
const MANY: u16 = 2000;

cases!(Kind: redis = Redis, sqlite = Sqlite => {
    an_empty_store_is_walked_through_at_once,
    a_walk_meets_every_record_as_it_is,
    a_walk_meets_what_stays_while_others_come_and_go,
    what_has_ended_is_not_met,
    ids_of_any_bytes_are_met_and_other_keys_are_not,
    a_cursor_of_another_store_is_refused,
});

/// Everything that one walk met, each once, and in how many pages.
async fn walk(store: &Store) -> (BTreeMap<GrantId, EncodedRecord>, usize) {
    let mut walk = Walk::new(Arc::clone(&store.reader), Arc::new(SystemClock));
    let (mut met, mut pages) = (BTreeMap::new(), 0);
    while let Some(records) = walk.next().await.unwrap() {
        pages += 1;
        met.extend(records);
    }
    assert_eq!(walk.next().await.unwrap().map(|records| records.len()), None, "the end stays the end");
    (met, pages)
}

/// Inserts so many, each with a record of its own.
async fn fill(store: &Store, count: u16) -> BTreeMap<GrantId, EncodedRecord> {
    let mut filled = BTreeMap::new();
    for number in 0..count {
        let (id, record) = (new_id(), record(number.to_be_bytes()));
        assert_eq!(store.grants().insert(id, &record, far()).await, Ok(true));
        filled.insert(id, record);
    }
    filled
}

async fn an_empty_store_is_walked_through_at_once(kind: Kind) {
    let store = Store::fresh(kind).await;
    assert_eq!(walk(&store).await, (BTreeMap::new(), 1));
}

async fn a_walk_meets_every_record_as_it_is(kind: Kind) {
    let store = Store::fresh(kind).await;
    let filled = fill(&store, MANY).await;
    let (met, pages) = walk(&store).await;
    assert!(met == filled, "{} records of {}", met.len(), filled.len());
    assert!(pages >= 4, "{pages} pages");
    for (id, record) in filled.iter().take(3) {
        assert_eq!(store.reader.read(*id).await, Ok(Some(record.clone())));
    }
    assert_eq!(store.reader.read(new_id()).await, Ok(None));
}

async fn a_walk_meets_what_stays_while_others_come_and_go(kind: Kind) {
    let store = Store::fresh(kind).await;
    let stays = fill(&store, MANY).await;
    let mut others: Vec<GrantId> = fill(&store, MANY / 2).await.into_keys().collect();
    let mut walk = Walk::new(Arc::clone(&store.reader), Arc::new(SystemClock));
    let mut met = BTreeMap::new();
    while let Some(records) = walk.next().await.unwrap() {
        met.extend(records);
        // Redis's table grows and shrinks under the walk.
        for id in others.drain(..others.len().min(150)) {
            assert_eq!(store.grants().remove(id).await, Ok(true));
        }
        fill(&store, 150).await;
    }
    let missed = stays.iter().filter(|(id, record)| met.get(id) != Some(record)).count();
    assert_eq!(missed, 0, "of {} that stayed", stays.len());
}

async fn what_has_ended_is_not_met(kind: Kind) {
    let store = Store::fresh(kind).await;
    let long = fill(&store, 3).await;
    let end = SystemClock.now() + Duration::from_secs(1);
    store.grants().insert(new_id(), &record("brief"), end).await.unwrap();
    assert_eq!(walk(&store).await.0.len(), 4);
    eventually("what has ended is not met", Duration::from_secs(20), async || {
        (walk(&store).await.0 == long).then_some(())
    })
    .await;
}

async fn ids_of_any_bytes_are_met_and_other_keys_are_not(kind: Kind) {
    let store = Store::fresh(kind).await;
    let ids = [[0; 12], [0xff; 12], *b"[^*?\\]-\n\r\0ab", *b"g:g:g:g:g:g:"].map(GrantId::from_bytes);
    for id in ids {
        assert_eq!(store.grants().insert(id, &record("one"), far()).await, Ok(true));
    }
    let position =
        Position { feed: FeedId([1; 16]), number: ChangeNumber::new(1), hash: ChangeHash([1; 32]) };
    assert_eq!(store.witness.advance(None, position, &[]).await, Ok(true));
    let (met, _) = walk(&store).await;
    assert_eq!(met, ids.into_iter().map(|id| (id, record("one"))).collect());
}

async fn a_cursor_of_another_store_is_refused(kind: Kind) {
    let store = Store::fresh(kind).await;
    let foreign = match kind {
        Kind::Redis => Cursor::After(new_id()),
        Kind::Sqlite => Cursor::Scan(7),
    };
    assert!(store.reader.page(foreign).await.is_err());
}
