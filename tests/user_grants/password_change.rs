//! Changing one's own password: who may, and what it ends.

use std::net::IpAddr;

use symbolon::domain::password::Password;
use symbolon::identity::passwords::UnsuitablePassword;
use symbolon::identity::{PasswordChange, PasswordChanged, Visitor};

use crate::cases;
use crate::visitors::{PASSWORD, hash, setting};
use crate::world::{Kind, World, access};

cases! {
    another_password_ends_all_other_sessions_and_this_browser_stays_logged_in,
    the_current_password_is_needed_and_its_failures_are_counted,
    what_is_no_new_password_changes_nothing,
    who_had_to_change_the_password_has_not_to_any_more,
    of_two_changes_at_the_same_time_one_is_made,
}

const NEW: &str = "another horse battery staple";

impl World {
    async fn change(&self, visitor: &Visitor, current: &str, new: &str) -> PasswordChanged {
        self.change_from(visitor, current, new, [192, 0, 2, 7]).await
    }

    async fn change_from(
        &self,
        visitor: &Visitor,
        current: &str,
        new: &str,
        address: [u8; 4],
    ) -> PasswordChanged {
        let change = PasswordChange {
            current: Password::parse(current).unwrap(),
            new: Password::parse(new).unwrap(),
            address: Some(IpAddr::from(address)),
        };
        self.identities[0].change_password(visitor, change).await.unwrap()
    }

    async fn visitor_now(&self) -> Visitor {
        let logged_in = self.log_in(PASSWORD).await.unwrap();
        self.visitor(&logged_in).await.unwrap()
    }
}

async fn another_password_ends_all_other_sessions_and_this_browser_stays_logged_in(kind: Kind) {
    let world = setting(kind).await;
    let app = world.usual_app().await;
    let elsewhere = world.log_in(PASSWORD).await.unwrap();
    let stranger = world.visitor(&elsewhere).await.unwrap();
    let tokens = world.give(&stranger, &app).await;
    let here = world.log_in(PASSWORD).await.unwrap();
    let visitor = world.visitor(&here).await.unwrap();
    let kept = world.give(&visitor, &app).await;
    let PasswordChanged::Changed(logged_in) = world.change(&visitor, PASSWORD, NEW).await else {
        panic!("not changed")
    };
    assert!(world.visitor(&elsewhere).await.is_none());
    assert!(!world.is_active(access(&tokens)).await);
    // What was given in this browser goes on, and so does the session.
    assert!(world.is_active(access(&kept)).await);
    let goes_on = world.visitor(&logged_in).await.unwrap();
    assert_eq!((&goes_on.user.id, goes_on.session.id), (&visitor.user.id, visitor.session.id));
    assert_eq!(logged_in.session.id, visitor.session.id);
    assert_eq!(goes_on.session.record.browser, "Firefox on Linux");
    // The cookie from before is no way in.
    assert_ne!(logged_in.token.expose(), here.token.expose());
    assert!(world.visitor(&here).await.is_none());
    assert!(world.log_in(PASSWORD).await.is_none());
    assert!(world.log_in(NEW).await.is_some());
    // Once more, from elsewhere: now it is this one that ends.
    let other = world.log_in(NEW).await.unwrap();
    let other = world.visitor(&other).await.unwrap();
    let again = world.change(&other, NEW, "one more horse battery staple").await;
    assert!(matches!(again, PasswordChanged::Changed(_)), "{again:?}");
    assert!(world.visitor(&logged_in).await.is_none() && !world.is_active(access(&kept)).await);
}

async fn the_current_password_is_needed_and_its_failures_are_counted(kind: Kind) {
    let world = setting(kind).await;
    let visitor = world.visitor_now().await;
    let thief = [198, 51, 100, 9];
    for _ in 0..24 {
        let refused = world.change_from(&visitor, "a wrong password", NEW, thief).await;
        assert!(matches!(refused, PasswordChanged::Wrong), "{refused:?}");
    }
    // Guessed at too often from there: even the right one is not told.
    let refused = world.change_from(&visitor, PASSWORD, NEW, thief).await;
    assert!(matches!(refused, PasswordChanged::Wrong), "{refused:?}");
    assert!(matches!(world.change(&visitor, PASSWORD, NEW).await, PasswordChanged::Changed(_)));
}

async fn what_is_no_new_password_changes_nothing(kind: Kind) {
    let world = setting(kind).await;
    let visitor = world.visitor_now().await;
    let same = world.change(&visitor, PASSWORD, PASSWORD).await;
    assert!(matches!(same, PasswordChanged::Same), "{same:?}");
    let short = world.change(&visitor, PASSWORD, "short").await;
    assert!(matches!(short, PasswordChanged::Unsuitable(UnsuitablePassword::Short)), "{short:?}");
    // Whoever does not know the password learns nothing of what would be taken.
    let wrong = world.change(&visitor, "a wrong password", "short").await;
    assert!(matches!(wrong, PasswordChanged::Wrong), "{wrong:?}");
    assert!(world.log_in(PASSWORD).await.is_some());
}

async fn who_had_to_change_the_password_has_not_to_any_more(kind: Kind) {
    let world = setting(kind).await;
    let (_, recorded) = world.admin.set_password("mira", hash(PASSWORD).await, true).await.unwrap();
    world.settle(recorded).await;
    let visitor = world.visitor_now().await;
    assert!(visitor.user.must_change_password);
    let PasswordChanged::Changed(logged_in) = world.change(&visitor, PASSWORD, NEW).await else {
        panic!("not changed")
    };
    assert!(!world.visitor(&logged_in).await.unwrap().user.must_change_password);
}

async fn of_two_changes_at_the_same_time_one_is_made(kind: Kind) {
    let world = setting(kind).await;
    let visitor = world.visitor_now().await;
    let newer = ["one horse battery staple", "two horse battery staple"];
    let both = newer.map(|new| world.change(&visitor, PASSWORD, new));
    let [one, two] = both;
    let (one, two) = futures_util::future::join(one, two).await;
    let made = |changed: &PasswordChanged| matches!(changed, PasswordChanged::Changed(_));
    assert!(made(&one) != made(&two), "{one:?} {two:?}");
    let stands = if made(&one) { newer[0] } else { newer[1] };
    assert!(world.log_in(stands).await.is_some());
}
