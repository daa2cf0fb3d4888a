//! The chain of refresh tokens: one branch, the same answer to a retry, death by a replay.

use std::time::Duration;

use symbolon::admin::clients::ClientUpdate;
use symbolon::changes::KillScope;
use symbolon::domain::identifier::{ClientId, ResourceIdentifier};
use symbolon::domain::scope::Scope;

use crate::cases;
use crate::world::{App, Kind, MAIL, Registration, SCOPE, World, access, code_of, next, refreshing};

const WINDOW: Duration = Duration::from_secs(60);

cases! {
    f1_a_hundred_refreshes_at_once_get_one_pair,
    f2_a_token_from_before_the_last_one_kills_the_grant,
    f3_the_last_token_kills_the_grant_after_the_retry_window,
    f3_the_last_token_kills_the_grant_once_its_successor_was_used,
    f4_a_retry_gets_the_same_pair,
    f4_without_a_window_a_retry_is_a_replay,
    f6_a_revoked_grant_stays_so_within_the_window,
    f8_another_client_harms_nobody,
    f8_a_forged_token_harms_nobody,
    f10_a_token_that_is_not_used_ends,
    f10_a_grant_ends_however_often_it_was_refreshed,
    r1_less_scope_is_for_one_token_only,
    r2_more_scope_is_refused,
    r4_what_a_grant_rests_on_ends_it,
    a_retry_for_something_else_gets_another_access_token,
    a_retry_whose_access_token_has_expired_gets_the_next,
    many_tabs_that_ask_for_different_scopes_share_one_chain,
    a_grant_keeps_eight_access_tokens,
    a_scope_that_the_client_lost_is_not_promised,
    v11_no_token_survives_a_revocation_that_races_with_a_refresh,
    who_was_overtaken_twice_within_one_request_has_replayed_nothing,
    who_was_overtaken_after_it_rotated_has_replayed_nothing,
}

async fn f1_a_hundred_refreshes_at_once_get_one_pair(kind: Kind) {
    let world = World::with_keys(kind, &[&[1], &[1]]).await;
    let app = world.usual_app().await;
    let first = world.tokens(&app).await;
    let refreshes = (0..100).map(|number| world.refresh(number % 2, &app, next(&first)));
    let pairs: Vec<_> =
        futures_util::future::join_all(refreshes).await.into_iter().map(Result::unwrap).collect();
    for pair in &pairs {
        assert_eq!((access(pair), next(pair)), (access(&pairs[0]), next(&pairs[0])));
    }
    assert_ne!(next(&pairs[0]), next(&first));
    assert!(world.is_active(access(&pairs[0])).await);
    let second = world.refresh(1, &app, next(&pairs[0])).await.unwrap();
    assert!(world.is_active(access(&second)).await, "the one branch goes on");
    assert!(world.audit().await.is_empty());
}

/// A grant that was refreshed so often; all its tokens.
async fn chain(world: &World, app: &App, rotations: usize) -> Vec<(String, String)> {
    let first = world.tokens(app).await;
    let mut all = vec![(access(&first).to_owned(), next(&first).to_owned())];
    for _ in 0..rotations {
        let pair = world.refresh(0, app, &all[all.len() - 1].1).await.unwrap();
        all.push((access(&pair).to_owned(), next(&pair).to_owned()));
    }
    all
}

async fn is_burnt(world: &World, app: &App, all: &[(String, String)]) {
    for (access, refresh) in all {
        assert!(!world.is_active(access).await);
        assert_eq!(code_of(world.refresh(0, app, refresh).await), "invalid_grant");
    }
    assert_eq!(world.audit().await, ["client app: refresh_reuse"], "once");
}

async fn f2_a_token_from_before_the_last_one_kills_the_grant(kind: Kind) {
    let world = World::with_keys(kind, &[&[1], &[1]]).await;
    let app = world.usual_app().await;
    let all = chain(&world, &app, 2).await;
    for (access, _) in &all {
        assert!(world.is_active(access).await, "older access tokens live on until they expire");
    }
    assert_eq!(code_of(world.refresh(1, &app, &all[0].1).await), "invalid_grant");
    is_burnt(&world, &app, &all).await;
}

async fn f3_the_last_token_kills_the_grant_after_the_retry_window(kind: Kind) {
    let world = World::new(kind).await;
    let app = world.usual_app().await;
    let all = chain(&world, &app, 1).await;
    world.clock.advance(WINDOW + Duration::from_secs(1));
    assert_eq!(code_of(world.refresh(0, &app, &all[0].1).await), "invalid_grant");
    is_burnt(&world, &app, &all).await;
}

async fn f3_the_last_token_kills_the_grant_once_its_successor_was_used(kind: Kind) {
    let world = World::new(kind).await;
    let app = world.usual_app().await;
    let all = chain(&world, &app, 1).await;
    let last = world.refresh(0, &app, &all[1].1).await.unwrap();
    assert_eq!(code_of(world.refresh(0, &app, &all[0].1).await), "invalid_grant");
    assert!(!world.is_active(access(&last)).await);
    is_burnt(&world, &app, &all).await;
}

async fn f4_a_retry_gets_the_same_pair(kind: Kind) {
    let world = World::with_keys(kind, &[&[1], &[1]]).await;
    let app = world.usual_app().await;
    let all = chain(&world, &app, 1).await;
    for (later, replica) in [(0, 0), (30, 1), (29, 0)] {
        world.clock.advance(Duration::from_secs(later));
        let again = world.refresh(replica, &app, &all[0].1).await.unwrap();
        assert_eq!((access(&again), next(&again)), (all[1].0.as_str(), all[1].1.as_str()));
    }
    assert!(world.is_active(&all[1].0).await);
    assert!(world.refresh(1, &app, &all[1].1).await.is_ok());
}

async fn f4_without_a_window_a_retry_is_a_replay(kind: Kind) {
    let world = World::new(kind).await;
    let strict = Registration { retry_window: Some(Duration::ZERO), ..Registration::default() };
    let app = world.app("app", strict).await;
    let all = chain(&world, &app, 1).await;
    assert_eq!(code_of(world.refresh(0, &app, &all[0].1).await), "invalid_grant");
    is_burnt(&world, &app, &all).await;
}

async fn f6_a_revoked_grant_stays_so_within_the_window(kind: Kind) {
    let world = World::with_keys(kind, &[&[1], &[1]]).await;
    let app = world.usual_app().await;
    let all = chain(&world, &app, 1).await;
    world.revoke(&app, &all[1].1).await;
    for (access, refresh) in &all {
        assert!(!world.is_active(access).await);
        assert_eq!(code_of(world.refresh(1, &app, refresh).await), "invalid_grant");
    }
    assert_eq!(world.audit().await, ["client app: "], "it was dead already, so nothing more is written");
}

async fn f8_another_client_harms_nobody(kind: Kind) {
    let world = World::new(kind).await;
    let app = world.usual_app().await;
    let other = world.app("other", Registration::default()).await;
    let all = chain(&world, &app, 2).await;
    for (_, refresh) in &all {
        assert_eq!(code_of(world.refresh(0, &other, refresh).await), "invalid_grant");
    }
    assert!(world.is_active(&all[2].0).await);
    assert!(world.refresh(0, &app, &all[2].1).await.is_ok());
    assert!(world.audit().await.is_empty());
}

async fn f8_a_forged_token_harms_nobody(kind: Kind) {
    let world = World::new(kind).await;
    let app = world.usual_app().await;
    let all = chain(&world, &app, 1).await;
    // The grant id of a real token, and the checksum that belongs to what was made of it.
    let (body, _) = all[1].1.split_at(59);
    for at in [21, 40, 58] {
        let mut forged = body.as_bytes().to_vec();
        forged[at] = if forged[at] == b'0' { b'1' } else { b'0' };
        let mut checksum = [0; 6];
        symbolon::domain::base62::encode(&crc32fast::hash(&forged).to_be_bytes(), &mut checksum);
        let forged = String::from_utf8([forged, checksum.to_vec()].concat()).unwrap();
        assert_eq!(code_of(world.refresh(0, &app, &forged).await), "invalid_grant");
    }
    assert!(world.refresh(0, &app, &all[1].1).await.is_ok());
    assert!(world.audit().await.is_empty());
}

async fn f10_a_token_that_is_not_used_ends(kind: Kind) {
    let world = World::new(kind).await;
    let app = world.usual_app().await;
    let (used, idle) = (world.tokens(&app).await, world.tokens(&app).await);
    world.clock.advance(Duration::from_secs(10 * 86_400));
    let used = world.refresh(0, &app, next(&used)).await.unwrap();
    world.clock.advance(Duration::from_secs(5 * 86_400));
    assert!(world.refresh(0, &app, next(&used)).await.is_ok());
    assert_eq!(code_of(world.refresh(0, &app, next(&idle)).await), "invalid_grant");
    assert!(world.audit().await.is_empty());
}

async fn f10_a_grant_ends_however_often_it_was_refreshed(kind: Kind) {
    let world = World::new(kind).await;
    let app = world.usual_app().await;
    let mut tokens = world.tokens(&app).await;
    for _ in 0..3 {
        world.clock.advance(Duration::from_secs(9 * 86_400));
        tokens = world.refresh(0, &app, next(&tokens)).await.unwrap();
    }
    world.clock.advance(Duration::from_secs(3 * 86_400 - 60));
    tokens = world.refresh(0, &app, next(&tokens)).await.unwrap();
    assert!(tokens.expires_in <= Duration::from_secs(120), "no access token outlives its grant");
    world.clock.advance(Duration::from_secs(121));
    assert_eq!(code_of(world.refresh(0, &app, next(&tokens)).await), "invalid_grant");
    assert!(!world.is_active(access(&tokens)).await);
}

fn scope(text: &str) -> Scope {
    Scope::parse(text).unwrap()
}

async fn r1_less_scope_is_for_one_token_only(kind: Kind) {
    let world = World::new(kind).await;
    let app = world.usual_app().await;
    let first = world.tokens(&app).await;
    let mut less = refreshing(&app, next(&first));
    less.scope = Some(scope("notes:read"));
    let narrowed = world.ask(0, &less).await.unwrap();
    assert_eq!(narrowed.scope.as_str(), "notes:read");
    assert!(world.is_active(access(&narrowed)).await && !world.is_active_at_mail(access(&narrowed)).await);
    let whole = world.refresh(0, &app, next(&narrowed)).await.unwrap();
    assert_eq!(whole.scope.as_str(), SCOPE);
    assert!(world.is_active_at_mail(access(&whole)).await);
}

async fn r2_more_scope_is_refused(kind: Kind) {
    let world = World::new(kind).await;
    let app = world.usual_app().await;
    let request = world.replicas[0]
        .authorize(&symbolon::oauth::authorize::AuthorizationParameters {
            scope: Some("notes:read"),
            ..crate::world::parameters(&app)
        })
        .unwrap();
    let code = world.code_for(&request).await;
    let first = world.redeem(0, &app, &code).await.unwrap();
    assert_eq!(first.scope.as_str(), "notes:read");
    for more in [SCOPE, "notes:read notes:write", "mail:send", "admin"] {
        let mut request = refreshing(&app, next(&first));
        request.scope = Some(scope(more));
        assert_eq!(code_of(world.ask(0, &request).await), "invalid_scope", "{more}");
    }
    assert!(world.refresh(0, &app, next(&first)).await.is_ok(), "nothing was rotated");
}

async fn r4_what_a_grant_rests_on_ends_it(kind: Kind) {
    let world = World::with_keys(kind, &[&[1], &[1]]).await;
    let app = world.usual_app().await;
    let id = ClientId::parse(&app.id).unwrap();
    for scope in [
        KillScope::Subject(world.user.clone()),
        KillScope::Consent(world.user.clone(), id.clone()),
        KillScope::Client(id),
        world.login_session(),
    ] {
        let first = world.tokens(&app).await;
        let second = world.refresh(0, &app, next(&first)).await.unwrap();
        world.kill(scope.clone()).await;
        for tokens in [&first, &second] {
            assert_eq!(code_of(world.refresh(1, &app, next(tokens)).await), "invalid_grant", "{scope:?}");
            assert!(!world.is_active(access(tokens)).await, "{scope:?}");
        }
    }
    assert!(world.audit().await.is_empty(), "what is dead is not revoked again");
}

async fn a_retry_for_something_else_gets_another_access_token(kind: Kind) {
    let world = World::with_keys(kind, &[&[1], &[1]]).await;
    let app = world.usual_app().await;
    let all = chain(&world, &app, 1).await;
    let mut for_mail = refreshing(&app, &all[0].1);
    for_mail.resources = vec![ResourceIdentifier::parse(MAIL).unwrap()];
    let mut to_read = refreshing(&app, &all[0].1);
    to_read.scope = Some(scope("notes:read"));
    let (mail, read) = (world.ask(1, &for_mail).await.unwrap(), world.ask(0, &to_read).await.unwrap());
    for other in [&mail, &read] {
        assert_eq!(next(other), all[1].1, "there is one chain");
        assert_ne!(access(other), all[1].0);
    }
    assert!(world.is_active_at_mail(access(&mail)).await && !world.is_active(access(&mail)).await);
    assert_eq!(access(&world.ask(0, &for_mail).await.unwrap()), access(&mail), "and again the same");
    assert_eq!(access(&world.refresh(1, &app, &all[0].1).await.unwrap()), all[1].0);
}

async fn a_retry_whose_access_token_has_expired_gets_the_next(kind: Kind) {
    let world = World::new(kind).await;
    let long = Registration { retry_window: Some(Duration::from_secs(3600)), ..Registration::default() };
    let app = world.app("app", long).await;
    let all = chain(&world, &app, 1).await;
    world.clock.advance(Duration::from_secs(901));
    let again = world.refresh(0, &app, &all[0].1).await.unwrap();
    assert_eq!(next(&again), all[1].1);
    assert_ne!(access(&again), all[1].0);
    assert!(world.is_active(access(&again)).await && !world.is_active(&all[1].0).await);
    assert_eq!(access(&world.refresh(0, &app, &all[0].1).await.unwrap()), access(&again));
}

async fn many_tabs_that_ask_for_different_scopes_share_one_chain(kind: Kind) {
    let world = World::with_keys(kind, &[&[1], &[1]]).await;
    let app = world.usual_app().await;
    let first = world.tokens(&app).await;
    let scopes = ["mail:send", "notes:read", "notes:write", "mail:send notes:read", SCOPE];
    let refreshes = (0..10).map(|number| {
        let mut request = refreshing(&app, next(&first));
        request.scope = Some(scope(scopes[number % scopes.len()]));
        let world = &world;
        async move { world.ask(number % 2, &request).await }
    });
    let outcomes = futures_util::future::join_all(refreshes).await;
    let pairs: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    for (number, pair) in pairs.iter().enumerate() {
        assert_eq!(pair.scope.as_str(), scopes[number % scopes.len()]);
        assert_eq!(next(pair), next(&pairs[0]));
        assert_eq!(access(pair), access(&pairs[number % scopes.len()]));
    }
}

async fn a_grant_keeps_eight_access_tokens(kind: Kind) {
    let world = World::new(kind).await;
    let app = world.usual_app().await;
    let first = world.tokens(&app).await;
    let mut narrow = refreshing(&app, next(&first));
    narrow.scope = Some(scope("mail:send"));
    let narrowed = world.ask(0, &narrow).await.unwrap();
    let mut whole = vec![access(&first).to_owned()];
    let mut refresh = next(&narrowed).to_owned();
    for _ in 0..8 {
        let pair = world.refresh(0, &app, &refresh).await.unwrap();
        whole.push(access(&pair).to_owned());
        next(&pair).clone_into(&mut refresh);
    }
    assert!(world.is_active_at_mail(access(&narrowed)).await, "another scope's tokens are in nobody's way");
    for (age, token) in whole.iter().rev().enumerate() {
        assert_eq!(world.is_active(token).await, age < 7, "{age}");
    }
}

async fn a_scope_that_the_client_lost_is_not_promised(kind: Kind) {
    let world = World::with_keys(kind, &[&[1], &[1]]).await;
    let app = world.usual_app().await;
    let first = world.tokens(&app).await;
    let narrow = async |text: &str| {
        let scope = text.split_whitespace().collect::<Scope>();
        let update = ClientUpdate { scope: Some(scope), ..ClientUpdate::default() };
        let (_, recorded) = world.admin.update_client(&app.id, update).await.unwrap();
        world.settle(recorded).await;
    };
    narrow("notes:read").await;
    let second = world.refresh(1, &app, next(&first)).await.unwrap();
    assert_eq!(second.scope.as_str(), "notes:read");
    narrow("").await;
    assert_eq!(code_of(world.refresh(0, &app, next(&second)).await), "invalid_scope");
    narrow(SCOPE).await;
    assert_eq!(world.refresh(1, &app, next(&second)).await.unwrap().scope.as_str(), SCOPE);
}

async fn v11_no_token_survives_a_revocation_that_races_with_a_refresh(kind: Kind) {
    let world = World::with_keys(kind, &[&[1], &[1]]).await;
    let app = world.usual_app().await;
    for _ in 0..20 {
        let first = world.tokens(&app).await;
        let (refreshed, ()) = futures_util::future::join(
            world.refresh(1, &app, next(&first)),
            world.revoke(&app, access(&first)),
        )
        .await;
        let refreshed = refreshed.map_err(|error| assert_eq!(error.code(), "invalid_grant")).ok();
        assert!(!world.is_active(access(&first)).await);
        if let Some(second) = refreshed {
            assert!(!world.is_active(access(&second)).await);
            assert_eq!(code_of(world.refresh(0, &app, next(&second)).await), "invalid_grant");
        }
    }
}

/// Another tab of the same client comes with the same token, and goes on with what it is given.
async fn overtake(world: &World, app: &App, refresh_token: &str) -> String {
    let second = world.refresh(0, app, refresh_token).await.unwrap();
    let third = world.refresh(0, app, next(&second)).await.unwrap();
    assert!(world.is_active(access(&third)).await);
    next(&third).to_owned()
}

/// Nobody was logged out, and who comes with the old token from now on is a thief.
async fn only_a_new_request_is_a_replay(world: &World, app: &App, old: &str, newest: &str) {
    assert!(world.audit().await.is_empty());
    let fourth = world.refresh(1, app, newest).await.unwrap();
    assert!(world.is_active(access(&fourth)).await, "the grant lives");
    assert_eq!(code_of(world.refresh(1, app, old).await), "invalid_grant");
    assert_eq!(world.audit().await, ["client app: refresh_reuse"]);
    assert!(!world.is_active(access(&fourth)).await);
}

async fn who_was_overtaken_twice_within_one_request_has_replayed_nothing(kind: Kind) {
    let world = World::with_keys(kind, &[&[1], &[1]]).await;
    let app = world.usual_app().await;
    let first = world.tokens(&app).await;
    let slow = world.refresh(1, &app, next(&first));
    let (late, newest) = world.gate.hold_back_before(slow, overtake(&world, &app, next(&first))).await;
    assert_eq!(code_of(late), "temporarily_unavailable", "its token was the current one when it came");
    only_a_new_request_is_a_replay(&world, &app, next(&first), &newest).await;
}

async fn who_was_overtaken_after_it_rotated_has_replayed_nothing(kind: Kind) {
    let world = World::with_keys(kind, &[&[1], &[1]]).await;
    let app = world.usual_app().await;
    let first = world.tokens(&app).await;
    let meanwhile = async {
        // What it has made does not fit any more, so it looks again.
        let update = ClientUpdate { scope: Some(scope("notes:read")), ..ClientUpdate::default() };
        let (_, recorded) = world.admin.update_client(&app.id, update).await.unwrap();
        world.settle(recorded).await;
        overtake(&world, &app, next(&first)).await
    };
    let (late, newest) = world.gate.hold_back(world.refresh(1, &app, next(&first)), meanwhile).await;
    assert_eq!(code_of(late), "temporarily_unavailable");
    only_a_new_request_is_a_replay(&world, &app, next(&first), &newest).await;
}
