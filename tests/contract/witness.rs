//! The witness: a mark that moves only from where it is said to be, and takes revoked records along.

use symbolon::domain::identifier::GrantId;
use symbolon::domain::position::{ChangeHash, ChangeNumber, FeedId, Position};
use tokio::task::JoinSet;

use crate::cases;
use crate::stores::{Kind, Store, far, new_id, record};

cases!(Kind: redis = Redis, sqlite = Sqlite => {
    a_store_that_never_had_one_shows_none,
    it_moves_from_none_and_on,
    a_move_from_elsewhere_changes_nothing,
    a_move_deletes_exactly_the_given_grants,
    a_move_deletes_thousands_of_grants_at_once,
    of_many_movers_exactly_one_wins,
    it_outlives_a_restart,
});

fn at(number: u64) -> Position {
    // A hash with every kind of byte: NUL, line ends, and what is no UTF-8.
    let mut hash = [0xff; 32];
    hash[..8].copy_from_slice(&[0, b'\r', b'\n', b'"', 0x80, 0, b'$', number.to_le_bytes()[0]]);
    Position {
        feed: FeedId(*b"feed\0id\r\n\xff\xfe\x004567"),
        number: ChangeNumber::new(number),
        hash: ChangeHash(hash),
    }
}

async fn a_store_that_never_had_one_shows_none(kind: Kind) {
    let store = Store::fresh(kind).await;
    store.grants().insert(new_id(), &record("one"), far()).await.unwrap();
    assert_eq!(store.witness.read().await, Ok(None));
}

async fn it_moves_from_none_and_on(kind: Kind) {
    let store = Store::fresh(kind).await;
    let mut from = None;
    for number in [0, 1, 2, 513, 1 << 33] {
        assert_eq!(store.witness.advance(from, at(number), &[]).await, Ok(true));
        from = Some(at(number));
        assert_eq!(store.witness.read().await, Ok(from));
    }
}

async fn a_move_from_elsewhere_changes_nothing(kind: Kind) {
    let store = Store::fresh(kind).await;
    let id = new_id();
    store.grants().insert(id, &record("one"), far()).await.unwrap();
    assert_eq!(store.witness.advance(Some(at(1)), at(2), &[id]).await, Ok(false), "there is none yet");
    assert_eq!(store.witness.read().await, Ok(None));
    assert_eq!(store.witness.advance(None, at(5), &[]).await, Ok(true));
    let same_number_other_hash = Position { hash: ChangeHash([1; 32]), ..at(5) };
    let other_feed = Position { feed: FeedId([1; 16]), ..at(5) };
    for wrong in [None, Some(at(4)), Some(at(6)), Some(same_number_other_hash), Some(other_feed)] {
        assert_eq!(store.witness.advance(wrong, at(7), &[id]).await, Ok(false), "{wrong:?}");
        assert_eq!(store.witness.read().await, Ok(Some(at(5))));
        assert_eq!(store.grants().load(id).await, Ok(Some(record("one"))));
    }
}

async fn a_move_deletes_exactly_the_given_grants(kind: Kind) {
    let store = Store::fresh(kind).await;
    let ids: Vec<_> = (0..20).map(|_| new_id()).collect();
    for id in &ids {
        store.grants().insert(*id, &record("one"), far()).await.unwrap();
    }
    // One of them was never in the store, one is named twice.
    let revoked = [&ids[..7], &[new_id(), ids[3]]].concat();
    assert_eq!(store.witness.advance(None, at(9), &revoked).await, Ok(true));
    for (index, id) in ids.iter().enumerate() {
        let left = (index >= 7).then(|| record("one"));
        assert_eq!(store.grants().load(*id).await, Ok(left), "{index}");
    }
}

async fn a_move_deletes_thousands_of_grants_at_once(kind: Kind) {
    let store = Store::fresh(kind).await;
    let kept = new_id();
    store.grants().insert(kept, &record("kept"), far()).await.unwrap();
    let revoked: Vec<GrantId> = (0..2000).map(|_| new_id()).collect();
    for id in revoked.iter().step_by(40) {
        store.grants().insert(*id, &record("one"), far()).await.unwrap();
    }
    assert_eq!(store.witness.advance(None, at(2000), &revoked).await, Ok(true));
    for id in revoked.iter().step_by(40) {
        assert_eq!(store.grants().load(*id).await, Ok(None));
    }
    assert_eq!(store.grants().load(kept).await, Ok(Some(record("kept"))));
}

async fn of_many_movers_exactly_one_wins(kind: Kind) {
    let store = Store::fresh(kind).await;
    let mut from = None;
    for round in 0..10 {
        let mut movers = JoinSet::new();
        // As many as the small pool has connections.
        for mover in 0..4 {
            let witness = std::sync::Arc::clone(&store.witness);
            let to = at(round * 10 + mover + 1);
            movers.spawn(async move { (to, witness.advance(from, to, &[]).await.unwrap()) });
        }
        let won: Vec<_> =
            movers.join_all().await.into_iter().filter_map(|(to, won)| won.then_some(to)).collect();
        assert_eq!(won.len(), 1, "round {round}");
        from = Some(won[0]);
        assert_eq!(store.witness.read().await, Ok(from));
    }
}

async fn it_outlives_a_restart(kind: Kind) {
    let store = Store::fresh(kind).await;
    let (revoked, kept) = (new_id(), new_id());
    for id in [revoked, kept] {
        store.grants().insert(id, &record("one"), far()).await.unwrap();
    }
    assert_eq!(store.witness.advance(None, at(3), &[revoked]).await, Ok(true));
    let store = store.restart().await;
    assert_eq!(store.witness.read().await, Ok(Some(at(3))));
    assert_eq!(store.grants().load(revoked).await, Ok(None));
    assert_eq!(store.grants().load(kept).await, Ok(Some(record("one"))));
}
