//! The directory of people: users, roles, permissions, and what an admin's act leaves in the feed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use symbolon::admin::users::{Entitle, NewUser};
use symbolon::admin::{Admin, AdminError};
use symbolon::changes::{Actor, Bonds, Change, FeedStore as _, KillScope, SqlFeed, WitnessMover};
use symbolon::directory::{DirectoryProjection, Entitlements, User, users};
use symbolon::domain::entropy::SystemEntropy;
use symbolon::domain::identifier::{RoleName, UserId};
use symbolon::domain::login_name::LoginName;
use symbolon::domain::password::PasswordHash;
use symbolon::domain::position::ChangeNumber;
use symbolon::domain::scope::Scope;
use symbolon::grants::sqlite::SqliteGrants;

use crate::cases;
use crate::databases::{Follower, Kind, Sql, head};
use crate::stores::new_id;

cases!(Kind: postgres = Postgres, sqlite = Sqlite => {
    a_user_comes_back_as_it_was_made,
    a_name_is_taken_in_every_spelling,
    a_user_is_found_by_name_and_by_id,
    users_come_in_pages_that_leave_none_out,
    users_roles_and_permissions_meet_many_to_many,
    what_is_given_twice_or_was_never_there_changes_nothing,
    a_deleted_role_is_nobodys_and_a_deleted_user_leaves_nothing,
    disabling_and_deleting_kill_in_the_act_and_enabling_does_not,
    another_password_ends_login_sessions_and_nothing_else,
    a_refused_act_leaves_no_change,
});

pub fn admin(sql: &Sql) -> Admin {
    let feed = SqlFeed::new(sql.database.clone(), DirectoryProjection::default(), sql.clock.clone(), None);
    // Nothing here waits for a witness: no grant store is asked.
    let grants = SqliteGrants::new(sql.database.clone(), sql.clock.clone());
    let witness = WitnessMover::new(Arc::new(grants), Arc::new(feed.clone()));
    let actor = Actor::command_line();
    Admin::new(sql.database.clone(), feed, sql.clock.clone(), Arc::new(SystemEntropy), witness, actor)
}

fn name(text: &str) -> LoginName {
    LoginName::parse(text).unwrap()
}

fn scope(text: &str) -> Scope {
    Scope::parse(text).unwrap()
}

fn role(text: &str) -> RoleName {
    RoleName::parse(text).unwrap()
}

async fn make(admin: &Admin, text: &str) -> User {
    let new = NewUser { name: name(text), password: None, must_change_password: false };
    admin.create_user(new).await.unwrap().0.user
}

async fn entitlements(admin: &Admin, which: &str) -> Entitlements {
    admin.user(which).await.unwrap().entitlements
}

async fn a_user_comes_back_as_it_was_made(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let admin = admin(&sql);
    let password = Some(PasswordHash::from_stored("$argon2id$…".to_owned()));
    let new = NewUser { name: name("Jos\u{e9}@Example.com"), password, must_change_password: true };
    let made = admin.create_user(new).await.unwrap().0.user;
    let found = admin.user("JOSE\u{301}@example.COM").await.unwrap().user;
    assert_eq!((&found.id, &found.name), (&made.id, &made.name));
    assert_eq!(found.name.as_str(), "Jos\u{e9}@Example.com", "shown as it was given");
    assert_eq!(found.password.unwrap().expose(), "$argon2id$…");
    assert_eq!(found.password_changed_at, Some(made.created_at));
    assert!(found.must_change_password && found.enabled);
    let bare = make(&admin, "bare").await;
    let found = admin.user("bare").await.unwrap().user;
    assert!(found.password.is_none() && found.password_changed_at.is_none() && !found.must_change_password);
    assert_ne!(bare.id, made.id);
}

async fn a_name_is_taken_in_every_spelling(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let admin = admin(&sql);
    make(&admin, "Stra\u{df}e").await;
    for taken in ["Stra\u{df}e", "STRASSE", "strasse", "\u{ff33}trasse"] {
        let new = NewUser { name: name(taken), password: None, must_change_password: false };
        let refused = admin.create_user(new).await;
        assert!(matches!(refused, Err(AdminError::Exists(_))), "{taken}: {refused:?}");
    }
    make(&admin, "strase").await;
    // Who takes a name that is free again is somebody else.
    let (first, _) = admin.delete_user("strasse").await.unwrap();
    assert_ne!(make(&admin, "STRASSE").await.id, first.id);
}

async fn a_user_is_found_by_name_and_by_id(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let admin = admin(&sql);
    let user = make(&admin, "alice").await;
    for which in ["alice", "ALICE", user.id.as_str()] {
        assert_eq!(admin.user(which).await.unwrap().user.id, user.id, "{which}");
    }
    let upper = user.id.as_str().to_uppercase();
    for which in ["alice ", "", " ", "%", "al%", "alice' OR '1'='1", "usr_", "alice\0", &upper] {
        let refused = admin.user(which).await;
        assert!(matches!(refused, Err(AdminError::NotFound(_))), "{which:?}: {refused:?}");
    }
}

async fn users_come_in_pages_that_leave_none_out(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let admin = admin(&sql);
    let mut names: Vec<String> =
        ["b", "A", "a.b", "a-b", "a_b", "ab", "Z", "\u{e9}mile", "\u{3b1}", "a b", "_", "~"]
            .map(str::to_owned)
            .into();
    for name in &names {
        make(&admin, name).await;
    }
    admin.create_role(role("r"), scope("x")).await.unwrap();
    admin.entitle("ab", Entitle::AssignRole("r".to_owned())).await.unwrap();
    names.sort_by_key(|shown| name(shown).key().to_owned());
    for limit in [1, 5, 12, 1000] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = admin.users(after, limit).await.unwrap();
            assert!(page.len() <= usize::try_from(limit).unwrap());
            let Some(last) = page.last() else { break };
            after = Some(last.user.name.clone());
            for of in page {
                assert_eq!(of.entitlements.roles.len(), usize::from(of.user.name.as_str() == "ab"));
                seen.push(of.user.name.to_string());
            }
        }
        assert_eq!(seen, names, "each once, in order, {limit} at a time");
    }
    // A page begins where it is told, whether or not there is such a user.
    let page = admin.users(Some(name("Y")), 10).await.unwrap();
    assert_eq!(page[0].user.name.as_str(), "Z");
}

async fn users_roles_and_permissions_meet_many_to_many(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let admin = admin(&sql);
    for user in ["alice", "bob"] {
        make(&admin, user).await;
    }
    admin.create_role(role("editor"), scope("notes:read notes:write")).await.unwrap();
    admin.create_role(role("Night shift"), Scope::default()).await.unwrap();
    for (user, role) in [("alice", "editor"), ("alice", "Night shift"), ("bob", "editor")] {
        admin.entitle(user, Entitle::AssignRole(role.to_owned())).await.unwrap();
    }
    admin.entitle("bob", Entitle::Grant(scope("billing audit"))).await.unwrap();
    admin.entitle("bob", Entitle::Withdraw(scope("audit"))).await.unwrap();
    let both = BTreeSet::from([role("editor"), role("Night shift")]);
    assert_eq!(
        entitlements(&admin, "alice").await,
        Entitlements { roles: both, permissions: Scope::default() }
    );
    let one = Entitlements { roles: BTreeSet::from([role("editor")]), permissions: scope("billing") };
    assert_eq!(entitlements(&admin, "bob").await, one);
    admin.entitle("alice", Entitle::RemoveRole("editor".to_owned())).await.unwrap();
    assert_eq!(entitlements(&admin, "alice").await.roles, BTreeSet::from([role("Night shift")]));
    assert_eq!(entitlements(&admin, "bob").await, one, "what is taken from one is left to the other");

    admin.update_role("editor", scope("notes:read other")).await.unwrap();
    assert_eq!(admin.role("editor").await.unwrap().permissions, scope("notes:read other"));
    let listed = admin.all_roles().await.unwrap();
    let listed: Vec<_> = listed.iter().map(|role| (role.name.as_str(), role.permissions.as_str())).collect();
    assert_eq!(listed, [("Night shift", ""), ("editor", "notes:read other")]);
    let (first, rest) =
        (admin.roles(String::new(), 1).await.unwrap(), |after: &str| admin.roles(after.into(), 9));
    assert_eq!(first.iter().map(|role| role.name.as_str()).collect::<Vec<_>>(), ["Night shift"]);
    assert_eq!(rest("Night shift").await.unwrap(), [admin.role("editor").await.unwrap()]);
    assert!(rest("editor").await.unwrap().is_empty());
}

async fn what_is_given_twice_or_was_never_there_changes_nothing(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let admin = admin(&sql);
    make(&admin, "alice").await;
    admin.create_role(role("editor"), scope("x")).await.unwrap();
    for _ in 0..2 {
        admin.entitle("alice", Entitle::AssignRole("editor".to_owned())).await.unwrap();
        admin.entitle("alice", Entitle::Grant(scope("y"))).await.unwrap();
    }
    let given = Entitlements { roles: BTreeSet::from([role("editor")]), permissions: scope("y") };
    assert_eq!(entitlements(&admin, "alice").await, given);
    for _ in 0..2 {
        admin.entitle("alice", Entitle::RemoveRole("editor".to_owned())).await.unwrap();
        admin.entitle("alice", Entitle::Withdraw(scope("y"))).await.unwrap();
    }
    assert_eq!(entitlements(&admin, "alice").await, Entitlements::default());
    for missing in [Entitle::AssignRole("nobody".to_owned()), Entitle::RemoveRole("Editor".to_owned())] {
        let refused = admin.entitle("alice", missing).await;
        assert!(
            matches!(&refused, Err(AdminError::NotFound(why)) if why.contains("role list")),
            "{refused:?}"
        );
    }
    let taken = admin.create_role(role("editor"), scope("z")).await;
    assert!(matches!(taken, Err(AdminError::Exists(_))), "{taken:?}");
    assert_eq!(admin.role("editor").await.unwrap().permissions, scope("x"));
}

async fn a_deleted_role_is_nobodys_and_a_deleted_user_leaves_nothing(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let admin = admin(&sql);
    make(&admin, "alice").await;
    for name in ["one", "two"] {
        admin.create_role(role(name), scope("x")).await.unwrap();
        admin.entitle("alice", Entitle::AssignRole(name.to_owned())).await.unwrap();
    }
    admin.delete_role("one").await.unwrap();
    assert_eq!(entitlements(&admin, "alice").await.roles, BTreeSet::from([role("two")]));
    // A role made anew under the old name is given to nobody.
    admin.create_role(role("one"), scope("y")).await.unwrap();
    assert_eq!(entitlements(&admin, "alice").await.roles, BTreeSet::from([role("two")]));
    admin.entitle("alice", Entitle::Grant(scope("z"))).await.unwrap();
    admin.delete_user("alice").await.unwrap();
    for table in ["user_roles", "user_permissions", "users"] {
        let query: &'static str = format!("cast(count(*) AS text) FROM {table}").leak();
        assert_eq!(sql.ask(query, query).await.as_deref(), Some("0"), "{table}");
    }
    assert_eq!(admin.all_roles().await.unwrap().len(), 2);
}

/// The changes above `number`, as they follow each other.
async fn changes_after(sql: &Sql, follower: &mut Follower) -> Vec<Change> {
    let rows = follower.confirm().await;
    assert_eq!(follower.snapshot.position.number.get(), head(&sql.feed()).await);
    rows.into_iter().map(|row| row.entry.change).collect()
}

async fn disabling_and_deleting_kill_in_the_act_and_enabling_does_not(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let (admin, mut follower) = (admin(&sql), Follower::join(sql.feed(), "a").await.unwrap());
    let id = make(&admin, "alice").await.id;
    let (changed, killed) = (Change::UserChanged(id.clone()), Change::Killed(KillScope::Subject(id.clone())));
    assert_eq!(changes_after(&sql, &mut follower).await, std::slice::from_ref(&changed));
    let (disabled, recorded) = admin.enable_user("alice", false).await.unwrap();
    assert!(!disabled.user.enabled);
    assert_eq!(changes_after(&sql, &mut follower).await, [killed.clone(), changed.clone()]);
    assert_eq!(recorded.number, follower.snapshot.position.number, "it waits for the last of them");
    let (enabled, _) = admin.enable_user("alice", true).await.unwrap();
    assert!(enabled.user.enabled);
    assert_eq!(changes_after(&sql, &mut follower).await, std::slice::from_ref(&changed));
    admin.delete_user("alice").await.unwrap();
    assert_eq!(changes_after(&sql, &mut follower).await, [killed, changed]);
    let refused = admin.user("alice").await;
    assert!(matches!(refused, Err(AdminError::NotFound(_))), "{refused:?}");
}

async fn another_password_ends_login_sessions_and_nothing_else(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let admin = admin(&sql);
    let user = make(&admin, "alice").await;
    sql.clock.advance(Duration::from_secs(60));
    let before = ChangeNumber::new(head(&sql.feed()).await);
    let hash = PasswordHash::from_stored("$other".to_owned());
    let (altered, _) = admin.set_password("alice", hash, true).await.unwrap();
    assert_eq!(altered.user.password.unwrap().expose(), "$other");
    assert!(altered.user.password_changed_at > Some(user.created_at) && altered.user.must_change_password);
    let loaded = sql.feed().load().await.unwrap();
    let (session, grant) = (new_id(), new_id());
    let in_session = Bonds::of_session(session, &user.id);
    assert!(!loaded.is_live(&grant, &in_session, before));
    assert!(loaded.is_live(&grant, &in_session, loaded.position.number), "who logs in anew stays");
    let without = Bonds { session: None, ..in_session };
    assert!(loaded.is_live(&grant, &without, before));
}

async fn a_refused_act_leaves_no_change(kind: Kind) {
    let sql = Sql::fresh(kind).await;
    let admin = admin(&sql);
    make(&admin, "alice").await;
    let before = head(&sql.feed()).await;
    for refused in [
        admin.enable_user("nobody", false).await.map(drop),
        admin.delete_user("nobody").await.map(drop),
        admin.entitle("nobody", Entitle::Grant(scope("x"))).await.map(drop),
        admin.entitle("alice", Entitle::AssignRole("none".to_owned())).await.map(drop),
        admin.update_role("none", scope("x")).await.map(drop),
        admin.delete_role("none").await.map(drop),
        admin
            .create_user(NewUser { name: name("ALICE"), password: None, must_change_password: false })
            .await
            .map(drop),
    ] {
        assert!(refused.is_err());
    }
    assert_eq!(head(&sql.feed()).await, before);
    let id = UserId::parse("usr_nobody").unwrap();
    let orphan =
        sql.database.write(move |conn| Box::pin(async move { users::grant(conn, &id, &scope("x")).await }));
    assert!(orphan.await.is_err(), "nothing is given to nobody");
}
