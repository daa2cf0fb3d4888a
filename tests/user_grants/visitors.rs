//! Who is in front of a page: what a replica makes of the cookie that another one gave.

use std::net::IpAddr;
use std::time::Duration;

use symbolon::admin::users::NewUser;
use symbolon::domain::entropy::SystemEntropy;
use symbolon::domain::login_name::LoginName;
use symbolon::domain::password::Password;
use symbolon::identity::Visitor;
use symbolon::identity::login::{Credentials, LoggedIn};
use symbolon::identity::passwords::{PasswordPolicy, Passwords};
use symbolon::oauth::IssuedToken;
use symbolon::oauth::authorize::Approval;

use crate::cases;
use crate::world::{App, Kind, SESSION_IDLE_TTL, SESSION_TTL, World, access, parameter};

cases! {
    a_session_is_known_to_every_replica_and_ended_on_all_of_them,
    r4_what_was_given_in_a_session_dies_with_it,
    a_disabled_user_is_nobody_and_enabling_revives_no_session,
    another_password_ends_every_session,
    a_session_that_is_visited_lives_on_and_one_that_is_not_ends,
    no_session_outlives_its_absolute_end,
    who_has_to_change_the_password_is_known_by_it,
}

pub const PASSWORD: &str = "correct horse battery staple";

/// Two replicas, and a user with a password.
pub async fn setting(kind: Kind) -> World {
    let world = World::with_keys(kind, &[&[1], &[1]]).await;
    world.make_user("Mira").await;
    world
}

pub async fn hash(password: &str) -> symbolon::domain::password::PasswordHash {
    let policy = PasswordPolicy::new(0, None);
    let passwords = Passwords::start(1, policy, std::sync::Arc::new(SystemEntropy)).unwrap();
    passwords.hash_new(Password::parse(password).unwrap(), "mira").await.unwrap().unwrap()
}

/// What a visitor approves now.
pub fn approval(visitor: &Visitor) -> Approval {
    Approval {
        subject: visitor.user.id.clone(),
        session: visitor.session.id,
        born: visitor.born,
        address: None,
    }
}

impl World {
    pub async fn make_user(&self, name: &str) {
        let new = NewUser {
            name: LoginName::parse(name).unwrap(),
            password: Some(hash(PASSWORD).await),
            must_change_password: false,
        };
        let (_, recorded) = self.admin.create_user(new).await.unwrap();
        self.settle(recorded).await;
    }

    /// Tokens that a visitor gave a client.
    pub async fn give(&self, visitor: &Visitor, app: &App) -> IssuedToken {
        let approval = Approval {
            subject: visitor.user.id.clone(),
            session: visitor.session.id,
            born: visitor.born,
            address: None,
        };
        let location = self.replicas[0].approve(&self.request(app), &approval).await.unwrap().unwrap();
        self.redeem(1, app, &parameter(&location, "code").unwrap()).await.unwrap()
    }

    pub async fn log_in(&self, password: &str) -> Option<LoggedIn> {
        self.log_in_as("mira", password).await
    }

    pub async fn log_in_as(&self, name: &str, password: &str) -> Option<LoggedIn> {
        let credentials = Credentials {
            name: name.to_owned(),
            password: Password::parse(password).unwrap(),
            address: Some(IpAddr::from([192, 0, 2, 7])),
            browser: "Firefox on Linux".to_owned(),
        };
        self.identities[0].log_in(credentials).await.unwrap()
    }

    /// Whom the other replica sees.
    pub async fn visitor(&self, logged_in: &LoggedIn) -> Option<Visitor> {
        self.identities[1].visitor(logged_in.token.expose().as_bytes(), None).await.unwrap()
    }
}

async fn a_session_is_known_to_every_replica_and_ended_on_all_of_them(kind: Kind) {
    let world = setting(kind).await;
    assert!(world.log_in("another password").await.is_none());
    let logged_in = world.log_in(PASSWORD).await.unwrap();
    let visitor = world.visitor(&logged_in).await.unwrap();
    assert_eq!((&visitor.user.id, visitor.user.name.as_str()), (&logged_in.user.id, "Mira"));
    assert_eq!(visitor.session.id, logged_in.session.id);
    assert!(visitor.born >= logged_in.session.record.born);
    let other = world.log_in(PASSWORD).await.unwrap();
    world.identities[1].end_session(&visitor.session, None).await.unwrap();
    for identity in &world.identities {
        assert!(identity.visitor(logged_in.token.expose().as_bytes(), None).await.unwrap().is_none());
    }
    assert!(world.visitor(&other).await.is_some());
    // What was ended is ended for whoever asks again.
    world.identities[0].end_session(&visitor.session, None).await.unwrap();
}

async fn r4_what_was_given_in_a_session_dies_with_it(kind: Kind) {
    let world = setting(kind).await;
    let app = world.usual_app().await;
    let logged_in = world.log_in(PASSWORD).await.unwrap();
    let visitor = world.visitor(&logged_in).await.unwrap();
    let tokens = world.give(&visitor, &app).await;
    assert!(world.is_active(access(&tokens)).await);
    world.identities[0].end_session(&visitor.session, None).await.unwrap();
    assert!(!world.is_active(access(&tokens)).await);
    // Nor is anything given by whoever was asked before.
    assert_eq!(world.replicas[1].approve(&world.request(&app), &approval(&visitor)).await.unwrap(), None);
}

async fn a_disabled_user_is_nobody_and_enabling_revives_no_session(kind: Kind) {
    let world = setting(kind).await;
    let logged_in = world.log_in(PASSWORD).await.unwrap();
    let (_, recorded) = world.admin.enable_user("mira", false).await.unwrap();
    world.settle(recorded).await;
    assert!(world.visitor(&logged_in).await.is_none());
    assert!(world.log_in(PASSWORD).await.is_none());
    let (_, recorded) = world.admin.enable_user("mira", true).await.unwrap();
    world.settle(recorded).await;
    assert!(world.visitor(&logged_in).await.is_none());
    let again = world.log_in(PASSWORD).await.unwrap();
    assert!(world.visitor(&again).await.is_some());
    let (_, recorded) = world.admin.delete_user("mira").await.unwrap();
    world.settle(recorded).await;
    assert!(world.visitor(&again).await.is_none());
}

async fn another_password_ends_every_session(kind: Kind) {
    let world = setting(kind).await;
    let logged_in = world.log_in(PASSWORD).await.unwrap();
    let newer = "another horse battery staple";
    let (_, recorded) = world.admin.set_password("mira", hash(newer).await, false).await.unwrap();
    world.settle(recorded).await;
    assert!(world.visitor(&logged_in).await.is_none());
    assert!(world.log_in(PASSWORD).await.is_none());
    assert!(world.log_in(newer).await.is_some());
}

async fn a_session_that_is_visited_lives_on_and_one_that_is_not_ends(kind: Kind) {
    let world = setting(kind).await;
    let (visited, forgotten) = (world.log_in(PASSWORD).await.unwrap(), world.log_in(PASSWORD).await.unwrap());
    for _ in 0..3 {
        world.clock.advance(SESSION_IDLE_TTL / 2);
        assert!(world.visitor(&visited).await.is_some());
    }
    assert!(world.visitor(&forgotten).await.is_none());
    world.clock.advance(SESSION_IDLE_TTL);
    assert!(world.visitor(&visited).await.is_none());
}

async fn no_session_outlives_its_absolute_end(kind: Kind) {
    let world = setting(kind).await;
    let logged_in = world.log_in(PASSWORD).await.unwrap();
    let step = SESSION_IDLE_TTL * 9 / 10;
    let mut passed = Duration::ZERO;
    while passed + step < SESSION_TTL {
        world.clock.advance(step);
        passed += step;
        assert!(world.visitor(&logged_in).await.is_some(), "after {passed:?}");
    }
    world.clock.advance(SESSION_TTL.saturating_sub(passed));
    assert!(world.visitor(&logged_in).await.is_none());
}

async fn who_has_to_change_the_password_is_known_by_it(kind: Kind) {
    let world = setting(kind).await;
    let logged_in = world.log_in(PASSWORD).await.unwrap();
    assert!(!world.visitor(&logged_in).await.unwrap().user.must_change_password);
    let (_, recorded) = world.admin.set_password("mira", hash(PASSWORD).await, true).await.unwrap();
    world.settle(recorded).await;
    let logged_in = world.log_in(PASSWORD).await.unwrap();
    assert!(world.visitor(&logged_in).await.unwrap().user.must_change_password);
}
