//! Redeeming a code (RFC 6749 §4.1.3, RFC 7636 §4.6).

use std::time::Duration;

use symbolon::changes::KillScope;
use symbolon::domain::identifier::{ClientId, ResourceIdentifier};
use symbolon::domain::pkce::CodeVerifier;
use symbolon::domain::scope::Scope;
use symbolon::oauth::PresentedGrant;

use crate::cases;
use crate::world::{
    App, Kind, MAIL, NOTES, REDIRECT_URI, Registration, SCOPE, World, access, code_of, next, redemption,
    refreshing,
};

cases! {
    a5_a_code_is_worth_an_access_token_and_a_refresh_token,
    a6_a_replay_kills_what_the_code_gave,
    a7_a_replay_that_proves_nothing_harms_nobody,
    a8_of_fifty_redemptions_at_once_one_succeeds,
    a9_another_client_cannot_redeem_a_code_nor_spoil_it,
    a10_an_expired_code_is_refused,
    a11_a_scope_is_not_looked_at,
    p4_p6_without_the_right_verifier_nothing_happens,
    d3_a_redirect_uri_need_not_be_sent_but_must_be_the_same,
    a_resource_narrows_the_token_and_never_widens_it,
    t6_a_client_needs_the_grant_type,
    a_client_that_may_not_refresh_gets_no_refresh_token,
    x5_no_kind_of_token_passes_for_another,
    r4_what_the_approval_rests_on_may_end_before_the_code_is_redeemed,
    a_public_client_redeems_by_its_id,
}

async fn a5_a_code_is_worth_an_access_token_and_a_refresh_token(kind: Kind) {
    let world = World::new(kind).await;
    let app = world.usual_app().await;
    let issued = world.tokens(&app).await;
    assert_eq!(issued.scope.as_str(), SCOPE);
    assert_eq!(issued.expires_in, Duration::from_secs(900));
    assert!(world.is_active(access(&issued)).await);
    assert!(!world.is_active(next(&issued)).await, "a refresh token is no access token");
    let body = String::from_utf8(issued.to_json().unwrap()).unwrap();
    assert!(body.contains(next(&issued)), "the answer holds the refresh token");
}

async fn a6_a_replay_kills_what_the_code_gave(kind: Kind) {
    let world = World::with_keys(kind, &[&[1], &[1]]).await;
    let app = world.usual_app().await;
    let code = world.code(&app).await;
    let issued = world.redeem(0, &app, &code).await.unwrap();
    // The code of a grant that was refreshed meanwhile is still known.
    let refreshed = world.refresh(0, &app, next(&issued)).await.unwrap();
    assert_eq!(code_of(world.redeem(1, &app, &code).await), "invalid_grant");
    for token in [access(&issued), access(&refreshed)] {
        assert!(!world.is_active(token).await);
    }
    assert_eq!(code_of(world.refresh(0, &app, next(&refreshed)).await), "invalid_grant");
    assert_eq!(code_of(world.redeem(0, &app, &code).await), "invalid_grant");
    assert_eq!(world.audit().await, ["client app: code_replay"], "once");
}

async fn a7_a_replay_that_proves_nothing_harms_nobody(kind: Kind) {
    let world = World::new(kind).await;
    let app = world.usual_app().await;
    let other = world.app("other", Registration::default()).await;
    let code = world.code(&app).await;
    let issued = world.redeem(0, &app, &code).await.unwrap();
    assert_eq!(code_of(world.redeem(0, &other, &code).await), "invalid_grant");
    assert_eq!(
        code_of(world.ask(0, &with_verifier(&app, &code, Some(&"x".repeat(43)))).await),
        "invalid_grant"
    );
    assert!(world.is_active(access(&issued)).await);
    // Nor does one that comes when the code would have expired anyway.
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(code_of(world.redeem(0, &app, &code).await), "invalid_grant");
    assert!(world.is_active(access(&issued)).await);
    assert!(world.audit().await.is_empty());
}

async fn a8_of_fifty_redemptions_at_once_one_succeeds(kind: Kind) {
    let world = World::with_keys(kind, &[&[1], &[1]]).await;
    let app = world.usual_app().await;
    let code = world.code(&app).await;
    let redemptions = (0..50).map(|number| world.redeem(number % 2, &app, &code));
    let outcomes = futures_util::future::join_all(redemptions).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for refused in outcomes.into_iter().filter(Result::is_err) {
        assert_eq!(code_of(refused), "invalid_grant");
    }
}

async fn a9_another_client_cannot_redeem_a_code_nor_spoil_it(kind: Kind) {
    let world = World::new(kind).await;
    let app = world.usual_app().await;
    let other = world.app("other", Registration::default()).await;
    let code = world.code(&app).await;
    assert_eq!(code_of(world.redeem(0, &other, &code).await), "invalid_grant");
    assert!(world.redeem(0, &app, &code).await.is_ok());
}

async fn a10_an_expired_code_is_refused(kind: Kind) {
    let world = World::new(kind).await;
    let app = world.usual_app().await;
    let (late, soon) = (world.code(&app).await, world.code(&app).await);
    world.clock.advance(Duration::from_secs(55));
    assert!(world.redeem(0, &app, &soon).await.is_ok());
    world.clock.advance(Duration::from_secs(5));
    assert_eq!(code_of(world.redeem(0, &app, &late).await), "invalid_grant");
}

async fn a11_a_scope_is_not_looked_at(kind: Kind) {
    let world = World::new(kind).await;
    let app = world.usual_app().await;
    for scope in ["notes:read", "admin"] {
        let mut request = redemption(&app, &world.code(&app).await);
        request.scope = Some(Scope::parse(scope).unwrap());
        assert_eq!(world.ask(0, &request).await.unwrap().scope.as_str(), SCOPE);
    }
}

fn with_verifier(app: &App, code: &str, verifier: Option<&str>) -> symbolon::oauth::TokenRequest {
    let mut request = redemption(app, code);
    if let PresentedGrant::AuthorizationCode(redemption) = &mut request.grant {
        redemption.verifier = verifier.and_then(|text| CodeVerifier::parse(text).ok());
    }
    request
}

async fn p4_p6_without_the_right_verifier_nothing_happens(kind: Kind) {
    let world = World::new(kind).await;
    let app = world.usual_app().await;
    let code = world.code(&app).await;
    let (wrong, short, long) = ("x".repeat(43), "x".repeat(42), "x".repeat(129));
    for verifier in [None, Some(""), Some(wrong.as_str()), Some(&short), Some(&long), Some("ä")] {
        let outcome = world.ask(0, &with_verifier(&app, &code, verifier)).await;
        assert_eq!(code_of(outcome), "invalid_grant", "{verifier:?}");
    }
    assert!(world.redeem(0, &app, &code).await.is_ok(), "the code is not spent by guesses");
}

async fn d3_a_redirect_uri_need_not_be_sent_but_must_be_the_same(kind: Kind) {
    let world = World::new(kind).await;
    let app = world.usual_app().await;
    let code = world.code(&app).await;
    let with = |uri: Option<&str>| {
        let mut request = redemption(&app, &code);
        if let PresentedGrant::AuthorizationCode(redemption) = &mut request.grant {
            redemption.redirect_uri = uri.map(str::to_owned);
        }
        request
    };
    for uri in ["http://127.0.0.1/callback", "https://app.example/callback/", ""] {
        assert_eq!(code_of(world.ask(0, &with(Some(uri))).await), "invalid_grant", "{uri}");
    }
    assert!(world.ask(0, &with(None)).await.is_ok());
    // Of a loopback address it is the one with the port that was asked for.
    let local = "http://127.0.0.1:49152/callback";
    let request = world.replicas[0]
        .authorize(&symbolon::oauth::authorize::AuthorizationParameters {
            redirect_uri: Some(local),
            ..crate::world::parameters(&app)
        })
        .unwrap();
    let code = world.code_for(&request).await;
    let mut sent = redemption(&app, &code);
    assert_eq!(code_of(world.ask(0, &sent).await), "invalid_grant", "{REDIRECT_URI}");
    if let PresentedGrant::AuthorizationCode(redemption) = &mut sent.grant {
        redemption.redirect_uri = Some(local.to_owned());
    }
    assert!(world.ask(0, &sent).await.is_ok());
}

async fn a_resource_narrows_the_token_and_never_widens_it(kind: Kind) {
    let world = World::new(kind).await;
    let app = world.usual_app().await;
    let resource = |text| vec![ResourceIdentifier::parse(text).unwrap()];
    let mut narrowed = redemption(&app, &world.code(&app).await);
    narrowed.resources = resource(NOTES);
    let issued = world.ask(0, &narrowed).await.unwrap();
    assert_eq!(issued.scope.as_str(), "notes:read notes:write");
    assert!(world.is_active(access(&issued)).await && !world.is_active_at_mail(access(&issued)).await);
    let whole = world.refresh(0, &app, next(&issued)).await.unwrap();
    assert_eq!(whole.scope.as_str(), SCOPE, "the refresh token stands for the whole grant");
    assert!(world.is_active_at_mail(access(&whole)).await);

    // What was narrowed when the user was asked stays so.
    let request = world.replicas[0]
        .authorize(&symbolon::oauth::authorize::AuthorizationParameters {
            resources: vec![NOTES],
            ..crate::world::parameters(&app)
        })
        .unwrap();
    let code = world.code_for(&request).await;
    for elsewhere in [MAIL, "https://unknown.example"] {
        let mut request = redemption(&app, &code);
        request.resources = resource(elsewhere);
        assert_eq!(code_of(world.ask(0, &request).await), "invalid_target", "{elsewhere}");
    }
    let issued = world.redeem(0, &app, &code).await.unwrap();
    let mut elsewhere = refreshing(&app, next(&issued));
    elsewhere.resources = resource(MAIL);
    assert_eq!(code_of(world.ask(0, &elsewhere).await), "invalid_target");
}

async fn t6_a_client_needs_the_grant_type(kind: Kind) {
    let world = World::new(kind).await;
    let app = world.app("app", Registration { refresh: false, ..Registration::default() }).await;
    let issued = world.tokens(&app).await;
    assert_eq!(code_of(world.refresh(0, &app, access(&issued)).await), "unauthorized_client");
}

async fn a_client_that_may_not_refresh_gets_no_refresh_token(kind: Kind) {
    let world = World::new(kind).await;
    let app = world.app("app", Registration { refresh: false, ..Registration::default() }).await;
    let code = world.code(&app).await;
    let issued = world.redeem(0, &app, &code).await.unwrap();
    assert!(issued.refresh_token.is_none());
    assert!(world.is_active(access(&issued)).await);
    assert_eq!(code_of(world.redeem(0, &app, &code).await), "invalid_grant");
    assert!(!world.is_active(access(&issued)).await, "its code can be replayed all the same");
}

async fn x5_no_kind_of_token_passes_for_another(kind: Kind) {
    let world = World::new(kind).await;
    let app = world.usual_app().await;
    let code = world.code(&app).await;
    assert_eq!(code_of(world.refresh(0, &app, &code).await), "invalid_grant");
    let issued = world.redeem(0, &app, &code).await.unwrap();
    for token in [access(&issued), next(&issued)] {
        assert_eq!(code_of(world.redeem(0, &app, token).await), "invalid_grant");
    }
    assert_eq!(code_of(world.refresh(0, &app, access(&issued)).await), "invalid_grant");
    assert_eq!(code_of(world.refresh(0, &app, "junk").await), "invalid_grant");
    assert!(world.is_active(access(&issued)).await);
    assert!(world.refresh(0, &app, next(&issued)).await.is_ok());
}

async fn r4_what_the_approval_rests_on_may_end_before_the_code_is_redeemed(kind: Kind) {
    let world = World::with_keys(kind, &[&[1], &[1]]).await;
    let app = world.usual_app().await;
    let id = ClientId::parse(&app.id).unwrap();
    for scope in [
        KillScope::Subject(world.user.clone()),
        KillScope::LoginSessionsOf(world.user.clone()),
        KillScope::Consent(world.user.clone(), id.clone()),
        KillScope::Client(id),
        KillScope::Everything,
        world.login_session(),
    ] {
        let (code, approval) = (world.code(&app).await, world.approval());
        world.kill(scope.clone()).await;
        assert_eq!(code_of(world.redeem(1, &app, &code).await), "invalid_grant", "{scope:?}");
        let late = world.replicas[0].approve(&world.request(&app), &approval).await.unwrap();
        assert_eq!(late, None, "{scope:?}: no code for what was approved before");
    }
}

async fn a_public_client_redeems_by_its_id(kind: Kind) {
    let world = World::new(kind).await;
    let app = world.app("spa", Registration { public: true, ..Registration::default() }).await;
    assert_eq!(app.credentials.secret, None);
    let issued = world.tokens(&app).await;
    let refreshed = world.refresh(0, &app, next(&issued)).await.unwrap();
    world.revoke(&app, next(&refreshed)).await;
    assert!(!world.is_active(access(&issued)).await && !world.is_active(access(&refreshed)).await);
}
