//! What users see of their own, and end: on one replica, as another one shows and answers it.

use std::time::Duration;

use symbolon::domain::clock::Clock as _;
use symbolon::domain::identifier::{ClientId, GrantId};
use symbolon::domain::scope::Scope;
use symbolon::grants::index::{self, Listing};
use symbolon::identity::{Account, Visitor};

use crate::cases;
use crate::visitors::{PASSWORD, approval, setting};
use crate::world::{App, Kind, Registration, SCOPE, SESSION_TTL, World, access, code_of, next};

cases! {
    sessions_and_what_was_given_are_shown_to_their_user_alone,
    what_was_not_redeemed_or_is_over_is_not_shown,
    codes_that_nobody_redeems_push_nothing_off_the_list,
    one_session_is_ended_with_what_was_given_in_it,
    r4_a_withdrawn_consent_ends_every_grant_of_its_client_and_no_other,
    one_grant_is_revoked_and_its_sibling_lives,
    everywhere_is_every_session_and_nobody_elses,
    x31_nobody_ends_what_is_somebody_elses,
    a_consent_is_remembered_for_its_user_and_client,
    asking_again_to_take_back_adds_nothing_to_the_feed,
    a_list_that_is_full_says_so,
}

async fn apps(world: &World) -> (App, App) {
    (world.usual_app().await, world.app("other", Registration::default()).await)
}

impl World {
    async fn logged_in(&self, name: &str) -> Visitor {
        let logged_in = self.log_in_as(name, PASSWORD).await.unwrap();
        self.visitor(&logged_in).await.unwrap()
    }

    async fn account(&self, visitor: &Visitor) -> Account {
        self.identities[1].account(visitor).await.unwrap()
    }
}

/// Every client that is shown, with how many grants.
fn shown(account: &Account) -> Vec<(&str, usize)> {
    account.applications.iter().map(|shown| (shown.name.as_str(), shown.grants.len())).collect()
}

async fn sessions_and_what_was_given_are_shown_to_their_user_alone(kind: Kind) {
    let world = setting(kind).await;
    world.make_user("Noor").await;
    let (app, other) = apps(&world).await;
    let (first, second) = (world.logged_in("mira").await, world.logged_in("mira").await);
    let noor = world.logged_in("noor").await;
    for (visitor, app) in [(&first, &app), (&second, &app), (&second, &other), (&noor, &app)] {
        world.give(visitor, app).await;
    }
    let account = world.account(&first).await;
    let ids: Vec<_> = account.sessions.iter().map(|session| session.id).collect();
    assert!(ids.len() == 2 && ids.contains(&first.session.id) && ids.contains(&second.session.id));
    assert_eq!(account.sessions[0].record.browser, "Firefox on Linux");
    assert_eq!(shown(&account), [("app", 2), ("other", 1)]);
    let given = &account.applications[0].grants;
    let sessions = [given[0].session, given[1].session];
    assert!(sessions.contains(&Some(first.session.id)) && sessions.contains(&Some(second.session.id)));
    assert_eq!(given[0].scope.as_str(), SCOPE);
    let account = world.account(&noor).await;
    assert_eq!((account.sessions.len(), shown(&account)), (1, vec![("app", 1)]));
}

async fn what_was_not_redeemed_or_is_over_is_not_shown(kind: Kind) {
    let world = setting(kind).await;
    let app = world.usual_app().await;
    let visitor = world.logged_in("mira").await;
    world.replicas[0].approve(&world.request(&app), &approval(&visitor)).await.unwrap().unwrap();
    assert_eq!(shown(&world.account(&visitor).await), []);
    let tokens = world.give(&visitor, &app).await;
    assert_eq!(shown(&world.account(&visitor).await), [("app", 1)]);
    world.revoke(&app, next(&tokens)).await;
    assert_eq!(shown(&world.account(&visitor).await), []);
    world.give(&visitor, &app).await;
    world.clock.advance(crate::world::IDLE_TTL);
    assert_eq!(shown(&world.account(&visitor).await), []);
}

async fn codes_that_nobody_redeems_push_nothing_off_the_list(kind: Kind) {
    let world = setting(kind).await;
    let app = world.usual_app().await;
    let visitor = world.logged_in("mira").await;
    let tokens = world.give(&visitor, &app).await;
    // More than a list has room for.
    for _ in 0..=500 {
        world.replicas[0].approve(&world.request(&app), &approval(&visitor)).await.unwrap().unwrap();
    }
    assert_eq!(shown(&world.account(&visitor).await), [("app", 1)]);
    world.clock.advance(Duration::from_secs(120));
    assert_eq!(shown(&world.account(&visitor).await), [("app", 1)]);
    assert!(world.is_active(access(&tokens)).await);
}

async fn one_session_is_ended_with_what_was_given_in_it(kind: Kind) {
    let world = setting(kind).await;
    let app = world.usual_app().await;
    let (here, elsewhere) = (world.logged_in("mira").await, world.logged_in("mira").await);
    let (kept, ended) = (world.give(&here, &app).await, world.give(&elsewhere, &app).await);
    assert!(world.identities[0].end_own_session(&here, elsewhere.session.id).await.unwrap());
    assert!(world.is_active(access(&kept)).await && !world.is_active(access(&ended)).await);
    let account = world.account(&here).await;
    assert_eq!((account.sessions.len(), shown(&account)), (1, vec![("app", 1)]));
    assert!(!world.identities[1].end_own_session(&here, elsewhere.session.id).await.unwrap());
}

async fn r4_a_withdrawn_consent_ends_every_grant_of_its_client_and_no_other(kind: Kind) {
    let world = setting(kind).await;
    let (app, other) = apps(&world).await;
    let (first, second) = (world.logged_in("mira").await, world.logged_in("mira").await);
    let id = ClientId::parse("app").unwrap();
    world.identities[0].remember_consent(&first, &id, &Scope::parse("notes:read").unwrap()).await.unwrap();
    let ended = [world.give(&first, &app).await, world.give(&second, &app).await];
    let kept = world.give(&first, &other).await;
    assert!(world.identities[0].withdraw_consent(&first, "app").await.unwrap());
    for tokens in &ended {
        assert!(!world.is_active(access(tokens)).await);
        assert_eq!(code_of(world.refresh(1, &app, next(tokens)).await), "invalid_grant");
    }
    assert!(world.is_active(access(&kept)).await);
    assert_eq!(shown(&world.account(&first).await), [("other", 1)]);
    assert!(world.identities[1].consented_scope(&first, &id).await.unwrap().is_empty());
    assert!(!world.identities[0].withdraw_consent(&first, "nobody").await.unwrap());
    // It may be allowed anew.
    let again = world.logged_in("mira").await;
    assert!(world.is_active(access(&world.give(&again, &app).await)).await);
}

async fn one_grant_is_revoked_and_its_sibling_lives(kind: Kind) {
    let world = setting(kind).await;
    let app = world.usual_app().await;
    let visitor = world.logged_in("mira").await;
    world.give(&visitor, &app).await;
    let before = world.account(&visitor).await.applications[0].grants[0].id;
    let sibling = world.give(&visitor, &app).await;
    assert!(world.identities[0].revoke_own_grant(&visitor, before).await.unwrap());
    let left = world.account(&visitor).await;
    assert_eq!(shown(&left), [("app", 1)]);
    assert_ne!(left.applications[0].grants[0].id, before);
    assert!(world.is_active(access(&sibling)).await);
    let audit = world.audit().await;
    assert_eq!(audit, [format!("user {}: ", visitor.user.id)]);
}

async fn everywhere_is_every_session_and_nobody_elses(kind: Kind) {
    let world = setting(kind).await;
    world.make_user("Noor").await;
    let app = world.usual_app().await;
    let [this, second] = [world.log_in(PASSWORD).await.unwrap(), world.log_in(PASSWORD).await.unwrap()];
    let first = world.visitor(&this).await.unwrap();
    let noor = world.logged_in("noor").await;
    let (ended, kept) = (world.give(&first, &app).await, world.give(&noor, &app).await);
    world.identities[0].log_out(this.token.expose().as_bytes(), true, None).await.unwrap();
    assert!(world.visitor(&this).await.is_none() && world.visitor(&second).await.is_none());
    assert!(!world.is_active(access(&ended)).await && world.is_active(access(&kept)).await);
    let again = world.logged_in("mira").await;
    assert_eq!(world.account(&again).await.sessions.len(), 1);
    // One that has ended ends no other; nor does what is no session.
    for cookie in [this.token.expose(), second.token.expose(), "", access(&kept)] {
        world.identities[1].log_out(cookie.as_bytes(), true, None).await.unwrap();
    }
    assert_eq!(world.account(&again).await.sessions.len(), 1);
}

async fn x31_nobody_ends_what_is_somebody_elses(kind: Kind) {
    let world = setting(kind).await;
    world.make_user("Noor").await;
    let app = world.usual_app().await;
    let mira = world.logged_in("mira").await;
    let noors = world.log_in_as("noor", PASSWORD).await.unwrap();
    let noor = world.visitor(&noors).await.unwrap();
    let tokens = world.give(&mira, &app).await;
    let grant = world.account(&mira).await.applications[0].grants[0].id;
    let identity = &world.identities[0];
    assert!(!identity.end_own_session(&noor, mira.session.id).await.unwrap());
    assert!(!identity.revoke_own_grant(&noor, grant).await.unwrap());
    // One kind of record is not taken for another.
    assert!(!identity.end_own_session(&mira, grant).await.unwrap());
    assert!(!identity.revoke_own_grant(&mira, mira.session.id).await.unwrap());
    identity.withdraw_consent(&noor, "app").await.unwrap();
    identity.log_out(noors.token.expose().as_bytes(), true, None).await.unwrap();
    assert!(world.is_active(access(&tokens)).await);
    assert_eq!(world.account(&mira).await.sessions.len(), 1);
}

async fn a_consent_is_remembered_for_its_user_and_client(kind: Kind) {
    let world = setting(kind).await;
    world.make_user("Noor").await;
    apps(&world).await;
    let (mira, noor) = (world.logged_in("mira").await, world.logged_in("noor").await);
    let [app, other] = ["app", "other"].map(|id| ClientId::parse(id).unwrap());
    let read = Scope::parse("notes:read").unwrap();
    world.identities[0].remember_consent(&mira, &app, &read).await.unwrap();
    let identity = &world.identities[1];
    assert_eq!(identity.consented_scope(&mira, &app).await.unwrap(), read);
    assert!(identity.consented_scope(&mira, &other).await.unwrap().is_empty());
    assert!(identity.consented_scope(&noor, &app).await.unwrap().is_empty());
    // Shown without a grant: the user would not be asked again.
    assert_eq!(shown(&world.account(&mira).await), [("app", 0)]);
}

async fn asking_again_to_take_back_adds_nothing_to_the_feed(kind: Kind) {
    let world = setting(kind).await;
    let app = world.usual_app().await;
    let visitor = world.logged_in("mira").await;
    let (before, identity) = (world.head().await, &world.identities[0]);
    for _ in 0..3 {
        assert!(!identity.withdraw_consent(&visitor, "app").await.unwrap(), "it was never allowed anything");
    }
    assert_eq!(world.head().await, before);
    // A grant whose consent SQL does not know is ended all the same.
    let tokens = world.give(&visitor, &app).await;
    for _ in 0..3 {
        assert!(identity.withdraw_consent(&visitor, "app").await.unwrap());
        assert!(!world.is_active(access(&tokens)).await);
    }
    assert_eq!(world.head().await, before.next(), "once");
}

async fn a_list_that_is_full_says_so(kind: Kind) {
    let mut world = setting(kind).await;
    let visitor = world.logged_in("mira").await;
    for (name, listing) in [("noor", Listing::Grants), ("olga", Listing::LoginSessions)] {
        world.make_user(name).await;
        let full = world.logged_in(name).await;
        assert!(!world.account(&full).await.may_be_more);
        let (store, now) = (world.grants().await, world.clock.now());
        for number in 0..500_u16 {
            let mut id = [1; GrantId::BYTES];
            id[..2].copy_from_slice(&number.to_be_bytes());
            let (list, ends_at) = (listing.of(&full.user.id), full.session.record.ends_at + SESSION_TTL);
            index::list(store.as_ref(), list, GrantId::from_bytes(id), ends_at, now).await.unwrap();
        }
        assert!(world.account(&full).await.may_be_more, "{listing:?}");
    }
    assert!(!world.account(&visitor).await.may_be_more);
}
