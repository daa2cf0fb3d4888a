//! The chain when its store was set back, and when the token key is rotated.

use std::sync::Arc;

use symbolon::domain::clock::{Clock as _, SystemClock, Timestamp};
use symbolon::domain::identifier::GrantId;
use symbolon::domain::token::TokenString;
use symbolon::grants::{EncodedRecord, GrantStore};

use crate::cases;
use crate::world::{Kind, World, access, code_of, next};

cases! {
    a_lost_rotation_is_taken_up_by_who_has_its_token,
    tabs_that_come_with_what_was_lost_share_one_branch_and_it_is_told_once,
    a_lost_rotation_is_made_again_the_same,
    a_lost_redemption_is_taken_up_and_its_code_stays_consumed,
    a_code_that_is_redeemed_again_after_a_set_back_gives_the_same_tokens,
    who_shows_both_sides_of_a_set_back_is_one_client,
    a_rotated_token_key_changes_no_chain,
    a_lost_grant_is_inactive,
}

fn grant_of(token: &str) -> GrantId {
    TokenString::parse(token.as_bytes()).unwrap().grant_id()
}

fn far() -> Timestamp {
    SystemClock.now() + std::time::Duration::from_secs(86_400)
}

/// What the store holds now, to be put back later.
struct Backup {
    grants: Arc<dyn GrantStore>,
    id: GrantId,
    record: EncodedRecord,
}

async fn back_up(world: &mut World, id: GrantId) -> Backup {
    let grants = world.grants().await;
    let record = grants.load(id).await.unwrap().unwrap();
    Backup { grants, id, record }
}

impl Backup {
    async fn restore(&self) {
        self.grants.remove(self.id).await.unwrap();
        assert!(self.grants.insert(self.id, &self.record, far()).await.unwrap());
    }
}

async fn a_lost_rotation_is_taken_up_by_who_has_its_token(kind: Kind) {
    let mut world = World::with_keys(kind, &[&[1], &[1]]).await;
    let app = world.usual_app().await;
    let first = world.tokens(&app).await;
    let backup = back_up(&mut world, grant_of(next(&first))).await;
    let second = world.refresh(0, &app, next(&first)).await.unwrap();
    let third = world.refresh(0, &app, next(&second)).await.unwrap();
    backup.restore().await;
    assert!(!world.is_active(access(&third)).await, "what the store lost is inactive");
    assert!(world.audit().await.is_empty());
    let fourth = world.refresh(1, &app, next(&third)).await.unwrap();
    assert_eq!(world.audit().await, ["client app: lost-rotation"]);
    assert!(world.is_active(access(&fourth)).await);
    // The chain goes on from there: what is older is a replay.
    assert_eq!(code_of(world.refresh(0, &app, next(&first)).await), "invalid_grant");
    assert!(!world.is_active(access(&fourth)).await);
}

async fn tabs_that_come_with_what_was_lost_share_one_branch_and_it_is_told_once(kind: Kind) {
    let mut world = World::with_keys(kind, &[&[1], &[1]]).await;
    let app = world.usual_app().await;
    let first = world.tokens(&app).await;
    let backup = back_up(&mut world, grant_of(next(&first))).await;
    let second = world.refresh(0, &app, next(&first)).await.unwrap();
    for _ in 0..3 {
        backup.restore().await;
        let refreshes = (0..20).map(|number| world.refresh(number % 2, &app, next(&second)));
        let outcomes = futures_util::future::join_all(refreshes).await;
        let pairs: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
        for pair in &pairs {
            assert_eq!((access(pair), next(pair)), (access(&pairs[0]), next(&pairs[0])));
        }
        assert!(world.is_active(access(&pairs[0])).await);
    }
    assert_eq!(world.audit().await, ["client app: lost-rotation"]);
}

async fn a_lost_rotation_is_made_again_the_same(kind: Kind) {
    let mut world = World::with_keys(kind, &[&[1], &[1]]).await;
    let app = world.usual_app().await;
    let first = world.tokens(&app).await;
    let backup = back_up(&mut world, grant_of(next(&first))).await;
    let second = world.refresh(0, &app, next(&first)).await.unwrap();
    backup.restore().await;
    let again = world.refresh(1, &app, next(&first)).await.unwrap();
    assert_eq!((access(&again), next(&again)), (access(&second), next(&second)));
    assert!(world.is_active(access(&second)).await);
}

async fn a_lost_redemption_is_taken_up_and_its_code_stays_consumed(kind: Kind) {
    let mut world = World::with_keys(kind, &[&[1], &[1]]).await;
    let app = world.usual_app().await;
    let code = world.code(&app).await;
    let backup = back_up(&mut world, grant_of(&code)).await;
    let first = world.redeem(0, &app, &code).await.unwrap();
    backup.restore().await;
    let second = world.refresh(1, &app, next(&first)).await.unwrap();
    assert_eq!(world.audit().await, ["client app: lost-rotation"]);
    assert!(world.is_active(access(&second)).await);
    assert_eq!(code_of(world.redeem(0, &app, &code).await), "invalid_grant");
    assert!(!world.is_active(access(&second)).await, "a replayed code kills the grant");
}

async fn a_code_that_is_redeemed_again_after_a_set_back_gives_the_same_tokens(kind: Kind) {
    let mut world = World::with_keys(kind, &[&[1], &[1]]).await;
    let app = world.usual_app().await;
    let code = world.code(&app).await;
    let backup = back_up(&mut world, grant_of(&code)).await;
    let first = world.redeem(0, &app, &code).await.unwrap();
    backup.restore().await;
    let again = world.redeem(1, &app, &code).await.unwrap();
    assert_eq!((access(&again), next(&again)), (access(&first), next(&first)), "there is no second branch");
}

async fn who_shows_both_sides_of_a_set_back_is_one_client(kind: Kind) {
    let mut world = World::with_keys(kind, &[&[2, 1], &[1, 2]]).await;
    let app = world.usual_app().await;
    let first = world.tokens(&app).await;
    let backup = back_up(&mut world, grant_of(next(&first))).await;
    let second = world.refresh(0, &app, next(&first)).await.unwrap();
    backup.restore().await;
    // One tab never had the answer, the other did; the replicas have different current keys.
    let retry = world.refresh(1, &app, next(&first)).await.unwrap();
    assert_eq!(next(&retry), next(&second));
    let third = world.refresh(1, &app, next(&second)).await.unwrap();
    assert!(world.is_active(access(&third)).await);
    assert!(world.audit().await.is_empty());
}

async fn a_rotated_token_key_changes_no_chain(kind: Kind) {
    let world = World::with_keys(kind, &[&[1, 2], &[2, 1]]).await;
    let app = world.usual_app().await;
    let first = world.tokens(&app).await;
    let second = world.refresh(0, &app, next(&first)).await.unwrap();
    let retry = world.refresh(1, &app, next(&first)).await.unwrap();
    assert_eq!((access(&retry), next(&retry)), (access(&second), next(&second)));
    let third = world.refresh(1, &app, next(&second)).await.unwrap();
    let retry = world.refresh(0, &app, next(&second)).await.unwrap();
    assert_eq!((access(&retry), next(&retry)), (access(&third), next(&third)));
}

async fn a_lost_grant_is_inactive(kind: Kind) {
    let mut world = World::new(kind).await;
    let app = world.usual_app().await;
    let first = world.tokens(&app).await;
    let grants = world.grants().await;
    assert!(grants.remove(grant_of(next(&first))).await.unwrap());
    assert_eq!(code_of(world.refresh(0, &app, next(&first)).await), "invalid_grant");
    assert!(!world.is_active(access(&first)).await);
    assert!(world.audit().await.is_empty());
}
