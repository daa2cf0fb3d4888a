//! Grants that an admin narrows, shortens, freezes and thaws, on every replica.

use std::time::Duration;

use serde_json::Value;
use symbolon::admin::clients::ClientUpdate;
use symbolon::changes::Edit;
use symbolon::domain::clock::Clock as _;
use symbolon::domain::scope::Scope;
use symbolon::domain::token::TokenString;
use symbolon::oauth::TokenRequest;

use crate::cases;
use crate::visitors::{PASSWORD, setting};
use crate::world::{
    ACCESS_TTL, App, Kind, Registration, SCOPE, World, access, code_of, next, redemption, refreshing,
};

const DAY: Duration = Duration::from_secs(86_400);

cases! {
    a_frozen_grant_allows_and_gives_nothing_and_is_as_it_was_once_it_is_thawed,
    a_code_of_a_frozen_grant_is_kept_for_the_thaw,
    a_replay_kills_a_frozen_grant_too,
    time_in_which_a_grant_was_frozen_makes_no_retry_late,
    a_frozen_grant_is_revoked_like_any_other,
    a_narrowed_grant_allows_and_gives_nothing_beyond,
    a_shortened_grant_says_its_end_and_ends_then,
    what_was_restricted_while_a_token_was_made_is_what_its_client_is_told,
    a_grant_that_is_frozen_while_it_is_refreshed_gives_nothing_and_loses_nothing,
    a_client_that_changes_while_it_refreshes_has_replayed_nothing,
    a_grant_that_is_frozen_while_its_code_is_redeemed_gives_nothing,
    users_are_shown_what_holds,
}

impl World {
    /// Edits the grant of a token, and waits until it is known.
    async fn edit(&self, token: &str, edit: Edit) {
        let grant = TokenString::parse(token.as_bytes()).unwrap().grant_id();
        let held = self.admin.held(vec![(grant, None)]).await.unwrap();
        let recorded = self.admin.edit(&held, &edit).await.unwrap();
        self.settle(recorded).await;
    }

    /// What the notes are told about an active token, by every replica alike.
    async fn claims(&self, token: &str) -> Value {
        let mut claims = Vec::new();
        for replica in &self.replicas {
            let answer = replica.introspect(&self.notes, token.as_bytes()).await.unwrap();
            claims.push(serde_json::from_slice::<Value>(&answer.to_json().unwrap()).unwrap());
        }
        assert!(claims.windows(2).all(|pair| pair[0] == pair[1]), "{claims:?}");
        claims.swap_remove(0)
    }
}

fn scope(text: &str) -> Scope {
    Scope::parse(text).unwrap()
}

fn asking_for(request: TokenRequest, text: &str) -> TokenRequest {
    TokenRequest { scope: Some(scope(text)), ..request }
}

async fn two_replicas(kind: Kind) -> (World, App) {
    let world = World::with_keys(kind, &[&[1], &[1]]).await;
    let app = world.usual_app().await;
    (world, app)
}

async fn a_frozen_grant_allows_and_gives_nothing_and_is_as_it_was_once_it_is_thawed(kind: Kind) {
    let (world, app) = two_replicas(kind).await;
    let (first, other) = (world.tokens(&app).await, world.tokens(&app).await);
    for _ in 0..2 {
        world.edit(access(&first), Edit::Freeze).await;
        assert!(!world.is_active(access(&first)).await && !world.is_active_at_mail(access(&first)).await);
        for replica in [0, 1] {
            let refused = world.refresh(replica, &app, next(&first)).await;
            assert_eq!(code_of(refused), "temporarily_unavailable", "to be tried again");
        }
        assert!(world.is_active(access(&other)).await);
        world.edit(access(&first), Edit::Thaw).await;
        assert!(world.is_active(access(&first)).await);
    }
    let second = world.refresh(1, &app, next(&first)).await.unwrap();
    assert_eq!(second.scope.as_str(), SCOPE);
    assert!(world.is_active(access(&second)).await);
    assert!(world.audit().await.is_empty());
}

async fn a_code_of_a_frozen_grant_is_kept_for_the_thaw(kind: Kind) {
    let (world, app) = two_replicas(kind).await;
    let code = world.code(&app).await;
    world.edit(&code, Edit::Freeze).await;
    assert_eq!(code_of(world.redeem(1, &app, &code).await), "temporarily_unavailable");
    world.edit(&code, Edit::Thaw).await;
    let tokens = world.redeem(0, &app, &code).await.unwrap();
    assert!(world.is_active(access(&tokens)).await);
}

async fn a_replay_kills_a_frozen_grant_too(kind: Kind) {
    let (world, app) = two_replicas(kind).await;
    let first = world.tokens(&app).await;
    let second = world.refresh(0, &app, next(&first)).await.unwrap();
    let third = world.refresh(0, &app, next(&second)).await.unwrap();
    let late = world.tokens(&app).await;
    let successor = world.refresh(0, &app, next(&late)).await.unwrap();
    world.clock.advance(Duration::from_secs(61));
    for tokens in [&third, &successor] {
        world.edit(access(tokens), Edit::Freeze).await;
    }
    assert_eq!(code_of(world.refresh(1, &app, next(&first)).await), "invalid_grant");
    assert_eq!(code_of(world.refresh(1, &app, next(&late)).await), "invalid_grant", "late before the freeze");
    assert_eq!(world.audit().await, ["client app: refresh_reuse"; 2]);
    for tokens in [&third, &successor] {
        world.edit(access(tokens), Edit::Thaw).await;
        assert!(!world.is_active(access(tokens)).await, "a thaw revives nothing");
        assert_eq!(code_of(world.refresh(0, &app, next(tokens)).await), "invalid_grant");
    }
    let code = world.code(&app).await;
    let redeemed = world.redeem(0, &app, &code).await.unwrap();
    world.edit(&code, Edit::Freeze).await;
    assert_eq!(code_of(world.redeem(1, &app, &code).await), "invalid_grant");
    assert_eq!(world.audit().await.last().unwrap(), "client app: code_replay");
    world.edit(&code, Edit::Thaw).await;
    assert!(!world.is_active(access(&redeemed)).await);
}

async fn time_in_which_a_grant_was_frozen_makes_no_retry_late(kind: Kind) {
    let (world, app) = two_replicas(kind).await;
    let first = world.tokens(&app).await;
    // Its client never sees this answer, and tries again for a day.
    let lost = world.refresh(0, &app, next(&first)).await.unwrap();
    world.clock.advance(Duration::from_secs(30));
    world.edit(next(&first), Edit::Freeze).await;
    for _ in 0..3 {
        world.clock.advance(DAY / 3);
        assert_eq!(code_of(world.refresh(1, &app, next(&first)).await), "temporarily_unavailable");
    }
    world.edit(next(&first), Edit::Thaw).await;
    world.clock.advance(Duration::from_secs(20));
    let again = world.refresh(1, &app, next(&first)).await.unwrap();
    assert_eq!(next(&again), next(&lost), "the same branch");
    assert!(world.is_active(access(&again)).await && world.audit().await.is_empty());
    world.clock.advance(Duration::from_secs(20));
    assert_eq!(code_of(world.refresh(0, &app, next(&first)).await), "invalid_grant");
    assert_eq!(world.audit().await, ["client app: refresh_reuse"], "the window is as long as ever");
}

async fn a_frozen_grant_is_revoked_like_any_other(kind: Kind) {
    let (world, app) = two_replicas(kind).await;
    let tokens = world.tokens(&app).await;
    world.edit(access(&tokens), Edit::Freeze).await;
    world.revoke(&app, access(&tokens)).await;
    world.edit(access(&tokens), Edit::Thaw).await;
    assert!(!world.is_active(access(&tokens)).await);
    assert_eq!(code_of(world.refresh(1, &app, next(&tokens)).await), "invalid_grant");
}

async fn a_narrowed_grant_allows_and_gives_nothing_beyond(kind: Kind) {
    let (world, app) = two_replicas(kind).await;
    let first = world.tokens(&app).await;
    world.edit(access(&first), Edit::Narrow(scope("notes:read notes:write"))).await;
    assert_eq!(world.claims(access(&first)).await["scope"], "notes:read notes:write");
    assert!(!world.is_active_at_mail(access(&first)).await, "nothing is left there");
    let second = world.refresh(1, &app, next(&first)).await.unwrap();
    assert_eq!(second.scope.as_str(), "notes:read notes:write", "the client is told");
    // Each takes something more; none gives anything back.
    world.edit(access(&first), Edit::Narrow(scope("mail:send notes:read"))).await;
    for tokens in [&first, &second] {
        assert_eq!(world.claims(access(tokens)).await["scope"], "notes:read");
    }
    let beyond = asking_for(refreshing(&app, next(&second)), "notes:write");
    assert_eq!(code_of(world.ask(0, &beyond).await), "invalid_scope");
    let partly = asking_for(refreshing(&app, next(&second)), "mail:send notes:read");
    let third = world.ask(0, &partly).await.unwrap();
    assert_eq!(third.scope.as_str(), "notes:read");
    assert_eq!(world.claims(access(&third)).await["scope"], "notes:read");
    let again = world.refresh(1, &app, next(&second)).await.unwrap();
    assert_eq!(next(&again), next(&third), "what was refused rotated nothing");
    // Nothing in common: nothing is left anywhere, and asking for it kills nobody.
    world.edit(access(&first), Edit::Narrow(scope("notes:write"))).await;
    assert!(!world.is_active(access(&third)).await && !world.is_active(access(&again)).await);
    assert_eq!(code_of(world.refresh(0, &app, next(&third)).await), "invalid_scope");
    assert!(world.audit().await.is_empty());
}

async fn a_shortened_grant_says_its_end_and_ends_then(kind: Kind) {
    let (world, app) = two_replicas(kind).await;
    let first = world.tokens(&app).await;
    let end = world.clock.now() + Duration::from_secs(600);
    world.edit(access(&first), Edit::Shorten(end)).await;
    world.edit(access(&first), Edit::Shorten(end + DAY)).await;
    assert_eq!(world.claims(access(&first)).await["exp"], end.unix_seconds());
    world.clock.advance(Duration::from_secs(300));
    let second = world.refresh(1, &app, next(&first)).await.unwrap();
    assert!(second.expires_in <= Duration::from_secs(300), "{:?}", second.expires_in);
    assert_eq!(world.claims(access(&second)).await["exp"], end.unix_seconds());
    let again = world.refresh(0, &app, next(&first)).await.unwrap();
    assert!(again.expires_in <= Duration::from_secs(300), "told again: {:?}", again.expires_in);
    // An end beyond a token's own changes nothing about that token.
    let other = world.tokens(&app).await;
    let own = world.claims(access(&other)).await["exp"].clone();
    world.edit(access(&other), Edit::Shorten(world.clock.now() + 2 * ACCESS_TTL)).await;
    assert_eq!(world.claims(access(&other)).await["exp"], own);
    world.clock.advance(Duration::from_secs(301));
    for tokens in [&first, &second] {
        assert!(!world.is_active(access(tokens)).await);
        assert_eq!(code_of(world.refresh(1, &app, next(tokens)).await), "invalid_grant");
    }
    assert!(world.is_active(access(&other)).await && world.audit().await.is_empty(), "an end is no theft");
    let code = world.code(&app).await;
    world.edit(&code, Edit::Shorten(world.clock.now() + Duration::from_secs(50))).await;
    let redeemed = world.redeem(1, &app, &code).await.unwrap();
    assert!(redeemed.expires_in <= Duration::from_secs(50), "{:?}", redeemed.expires_in);
}

async fn what_was_restricted_while_a_token_was_made_is_what_its_client_is_told(kind: Kind) {
    let (world, app) = two_replicas(kind).await;
    let first = world.tokens(&app).await;
    let end = world.clock.now() + Duration::from_secs(60);
    let (second, ()) = world
        .gate
        .hold_back(world.refresh(1, &app, next(&first)), async {
            world.edit(next(&first), Edit::Narrow(scope("notes:read"))).await;
            world.edit(next(&first), Edit::Shorten(end)).await;
        })
        .await;
    let second = second.unwrap();
    assert_eq!(second.scope.as_str(), "notes:read");
    assert!(second.expires_in <= Duration::from_secs(60), "{:?}", second.expires_in);
    let claims = world.claims(access(&second)).await;
    assert_eq!((&claims["scope"], &claims["exp"]), (&"notes:read".into(), &end.unix_seconds().into()));
}

async fn a_grant_that_is_frozen_while_it_is_refreshed_gives_nothing_and_loses_nothing(kind: Kind) {
    let (world, app) = two_replicas(kind).await;
    let first = world.tokens(&app).await;
    let freezing = world.edit(next(&first), Edit::Freeze);
    let (refused, ()) = world.gate.hold_back(world.refresh(1, &app, next(&first)), freezing).await;
    assert_eq!(code_of(refused), "temporarily_unavailable");
    world.clock.advance(DAY);
    world.edit(next(&first), Edit::Thaw).await;
    // The store has rotated, which its client cannot know.
    let second = world.refresh(0, &app, next(&first)).await.unwrap();
    assert!(world.is_active(access(&second)).await);
    assert!(world.refresh(1, &app, next(&second)).await.is_ok() && world.audit().await.is_empty());
}

async fn a_client_that_changes_while_it_refreshes_has_replayed_nothing(kind: Kind) {
    let world = World::with_keys(kind, &[&[1], &[1]]).await;
    let strict = Registration { retry_window: Some(Duration::ZERO), ..Registration::default() };
    let app = world.app("app", strict).await;
    let first = world.tokens(&app).await;
    let changing = async {
        let update = ClientUpdate { scope: Some(scope("notes:read")), ..ClientUpdate::default() };
        let (_, recorded) = world.admin.update_client(&app.id, update).await.unwrap();
        world.settle(recorded).await;
    };
    let (second, ()) = world.gate.hold_back(world.refresh(1, &app, next(&first)), changing).await;
    let second = second.expect("its token was the current one");
    assert_eq!(second.scope.as_str(), "notes:read");
    assert!(world.is_active(access(&second)).await && world.audit().await.is_empty());
    assert_eq!(
        code_of(world.refresh(0, &app, next(&first)).await),
        "invalid_grant",
        "and now it is a replay"
    );
}

async fn a_grant_that_is_frozen_while_its_code_is_redeemed_gives_nothing(kind: Kind) {
    let (world, app) = two_replicas(kind).await;
    let code = world.code(&app).await;
    let (redemption, freezing) = (redemption(&app, &code), world.edit(&code, Edit::Freeze));
    let (refused, ()) = world.gate.hold_back(world.ask(1, &redemption), freezing).await;
    // The code is used up: to ask again, or later, would be a replay.
    assert_eq!(code_of(refused), "invalid_grant");
    assert!(world.audit().await.is_empty());
}

async fn users_are_shown_what_holds(kind: Kind) {
    let world = setting(kind).await;
    let app = world.usual_app().await;
    let logged_in = world.log_in_as("mira", PASSWORD).await.unwrap();
    let visitor = world.visitor(&logged_in).await.unwrap();
    let tokens = world.give(&visitor, &app).await;
    let shown = async || {
        let account = world.identities[1].account(&visitor).await.unwrap();
        let grants = account.applications.into_iter().flat_map(|application| application.grants);
        grants.map(|grant| (grant.scope.to_string(), grant.is_frozen)).collect::<Vec<_>>()
    };
    assert_eq!(shown().await, [(SCOPE.to_owned(), false)]);
    world.edit(access(&tokens), Edit::Narrow(scope("notes:read"))).await;
    world.edit(access(&tokens), Edit::Freeze).await;
    assert_eq!(shown().await, [("notes:read".to_owned(), true)]);
    world.edit(access(&tokens), Edit::Thaw).await;
    world.edit(access(&tokens), Edit::Shorten(world.clock.now() + Duration::from_secs(60))).await;
    assert_eq!(shown().await, [("notes:read".to_owned(), false)]);
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(shown().await, []);
}
