//! Logging in, over a directory and a grant store.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use symbolon::admin::users::NewUser;
use symbolon::directory::users;
use symbolon::domain::clock::{SystemClock, Timestamp};
use symbolon::domain::entropy::SystemEntropy;
use symbolon::domain::identifier::GrantId;
use symbolon::domain::login_name::LoginName;
use symbolon::domain::password::{Password, PasswordHash};
use symbolon::domain::position::ChangeNumber;
use symbolon::domain::token_key::TokenKeys;
use symbolon::grants::{EncodedRecord, GrantStore, StoreError};
use symbolon::identity::login::{Credentials, LoggedIn, Login, LoginFailure};
use symbolon::identity::passwords::{PasswordPolicy, Passwords};
use symbolon::identity::sessions::{Lifetimes, LoginSessions};
use symbolon::identity::throttle::Throttle;

use crate::cases;
use crate::databases::{Kind, Sql};
use crate::people::admin;
use crate::stores::{self, Store};

const PASSWORD: &str = "correct horse battery staple";
const THREADS: usize = 2;
const BORN: ChangeNumber = ChangeNumber::new(7);
/// Of "password": the example of the reference implementation's manual.
const OUTDATED: &str = "$argon2i$v=19$m=65536,t=2,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b+dWRWJTmaaJObG";

cases!(Kind: postgres = Postgres, sqlite = Sqlite => {
    x6_nobody_but_an_enabled_user_with_the_right_password_is_logged_in,
    x7_after_many_failures_the_right_password_is_refused_too_but_not_at_home,
    x7_many_who_log_in_at_once_are_all_let_in_however_slow_the_store_is,
    x11_each_login_is_a_session_of_its_own,
    an_outdated_hash_is_renewed_at_a_login,
    a_hash_that_is_renewed_brings_back_nothing_that_was_changed_meanwhile,
});

struct Scene {
    sql: Sql,
    store: Store,
    passwords: Arc<Passwords>,
    login: Login,
}

/// A store that takes its time to forget a failure, and counts how many wait for that at once.
struct SlowToForget<'s> {
    store: &'s dyn GrantStore,
    waiting: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait]
impl GrantStore for SlowToForget<'_> {
    async fn load(&self, id: GrantId) -> Result<Option<EncodedRecord>, StoreError> {
        self.store.load(id).await
    }

    async fn insert(
        &self,
        id: GrantId,
        record: &EncodedRecord,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        self.store.insert(id, record, until).await
    }

    async fn compare_and_swap(
        &self,
        id: GrantId,
        expected: &EncodedRecord,
        new: &EncodedRecord,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        self.store.compare_and_swap(id, expected, new, until).await
    }

    async fn remove(&self, id: GrantId) -> Result<bool, StoreError> {
        let waiting = self.waiting.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(waiting, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        self.store.remove(id).await
    }
}

impl Scene {
    async fn fresh(kind: Kind) -> Self {
        let sql = Sql::fresh(kind).await;
        let store = match kind {
            Kind::Postgres => Store::fresh(stores::Kind::Redis).await,
            Kind::Sqlite => Store::fresh(stores::Kind::Sqlite).await,
        };
        let keys = Arc::new(TokenKeys::from_secrets([[7; 32]]).unwrap());
        let policy = PasswordPolicy::new(0, None);
        let passwords = Arc::new(Passwords::start(THREADS, policy, Arc::new(SystemEntropy)).unwrap());
        let lifetimes = Lifetimes { idle: Duration::from_secs(600), absolute: Duration::from_secs(3600) };
        let login = Login::new(
            sql.database.clone(),
            Arc::clone(&passwords),
            Throttle::new(Arc::clone(&keys), Arc::new(SystemClock)),
            LoginSessions::new(keys, Arc::new(SystemEntropy), lifetimes),
            Arc::new(SystemClock),
        );
        Self { sql, store, passwords, login }
    }

    async fn make(&self, name: &str, password: Option<PasswordHash>) {
        let name = LoginName::parse(name).unwrap();
        admin(&self.sql).create_user(NewUser { name, password, must_change_password: false }).await.unwrap();
    }

    async fn with_mira(kind: Kind) -> Self {
        let scene = Self::fresh(kind).await;
        let hash = scene.passwords.hash_new(Password::parse(PASSWORD).unwrap(), "mira").await;
        scene.make("Mira", Some(hash.unwrap().unwrap())).await;
        scene
    }

    async fn log_in(&self, name: &str, password: &str, address: [u8; 4]) -> Option<LoggedIn> {
        self.log_in_over(self.store.grants(), name, password, address).await
    }

    async fn log_in_over(
        &self,
        store: &dyn GrantStore,
        name: &str,
        password: &str,
        address: [u8; 4],
    ) -> Option<LoggedIn> {
        loop {
            let credentials = Credentials {
                name: name.to_owned(),
                password: Password::parse(password).unwrap(),
                address: Some(IpAddr::from(address)),
                browser: "Firefox on Linux".to_owned(),
            };
            match self.login.log_in(store, credentials, BORN).await {
                // Who is told that too many log in comes again.
                Err(LoginFailure::Busy) => tokio::time::sleep(Duration::from_millis(10)).await,
                answer => return answer.unwrap(),
            }
        }
    }
}

const HOME: [u8; 4] = [192, 0, 2, 1];
const ELSEWHERE: [u8; 4] = [198, 51, 100, 1];

async fn x6_nobody_but_an_enabled_user_with_the_right_password_is_logged_in(kind: Kind) {
    let scene = Scene::with_mira(kind).await;
    let admin = admin(&scene.sql);
    scene.make("without", None).await;
    let logged_in = scene.log_in("MIRA", PASSWORD, HOME).await.unwrap();
    let mira = admin.user("mira").await.unwrap().user;
    assert_eq!((&logged_in.user.id, &logged_in.session.record.subject), (&mira.id, &mira.id));
    assert_eq!(logged_in.session.record.born, BORN);
    assert_eq!(logged_in.session.record.browser, "Firefox on Linux");
    for (name, password) in [
        ("mira", "a wrong password"),
        ("mira", ""),
        ("nobody", PASSWORD),
        ("without", ""),
        ("", ""),
        (" ", PASSWORD),
    ] {
        assert!(scene.log_in(name, password, HOME).await.is_none(), "{name:?} {password:?}");
    }
    admin.enable_user("mira", false).await.unwrap();
    assert!(scene.log_in("mira", PASSWORD, HOME).await.is_none());
    admin.enable_user("mira", true).await.unwrap();
    assert!(scene.log_in("mira", PASSWORD, HOME).await.is_some());
}

async fn x7_after_many_failures_the_right_password_is_refused_too_but_not_at_home(kind: Kind) {
    let scene = Scene::with_mira(kind).await;
    assert!(scene.log_in("mira", PASSWORD, HOME).await.is_some());
    // More than are free: however slow this machine is, some of them made the next wait for long.
    for _ in 0..24 {
        assert!(scene.log_in("mira", "a wrong password", ELSEWHERE).await.is_none());
    }
    assert!(scene.log_in("mira", PASSWORD, ELSEWHERE).await.is_none());
    assert!(scene.log_in("mira", PASSWORD, HOME).await.is_some());
}

/// An attempt counts as a failure until it has succeeded. If many could be between the two, they would make each other
/// wait, and a right password would look wrong.
async fn x7_many_who_log_in_at_once_are_all_let_in_however_slow_the_store_is(kind: Kind) {
    let scene = Scene::with_mira(kind).await;
    let store =
        SlowToForget { store: scene.store.grants(), waiting: AtomicUsize::new(0), most: AtomicUsize::new(0) };
    let logins = (0..16).map(|_| scene.log_in_over(&store, "mira", PASSWORD, HOME));
    let let_in = futures_util::future::join_all(logins).await.iter().flatten().count();
    assert_eq!(let_in, 16);
    assert!(store.most.into_inner() <= THREADS, "as many attempts count as are made at a time");
}

async fn x11_each_login_is_a_session_of_its_own(kind: Kind) {
    let scene = Scene::with_mira(kind).await;
    let first = scene.log_in("mira", PASSWORD, HOME).await.unwrap();
    let second = scene.log_in("mira", PASSWORD, HOME).await.unwrap();
    assert_ne!(first.session.id, second.session.id);
    assert_ne!(first.token.expose(), second.token.expose());
}

async fn an_outdated_hash_is_renewed_at_a_login(kind: Kind) {
    let scene = Scene::fresh(kind).await;
    scene.make("mira", Some(PasswordHash::from_stored(OUTDATED.to_owned()))).await;
    assert!(scene.log_in("mira", "another password", HOME).await.is_none());
    let kept = async || {
        let name = LoginName::parse("mira").unwrap();
        let read = scene
            .sql
            .database
            .read(move |conn| Box::pin(async move { users::find_by_name(conn, &name).await }));
        read.await.unwrap().unwrap().password.unwrap().expose().to_owned()
    };
    assert_eq!(kept().await, OUTDATED);
    for _ in 0..2 {
        assert!(scene.log_in("mira", "password", HOME).await.is_some());
        assert!(kept().await.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    }
}

async fn a_hash_that_is_renewed_brings_back_nothing_that_was_changed_meanwhile(kind: Kind) {
    let scene = Scene::fresh(kind).await;
    scene.make("mira", Some(PasswordHash::from_stored(OUTDATED.to_owned()))).await;
    // Until the login waits for this very transaction; SQLite lets no other write begin before it is over.
    let and_wait = match kind {
        Kind::Postgres => {
            "DO $$ BEGIN FOR look IN 1..500 LOOP \
             EXIT WHEN EXISTS (SELECT FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid); \
             PERFORM pg_sleep(0.01); END LOOP; END $$"
        }
        Kind::Sqlite => "",
    };
    let another =
        scene.passwords.hash_new(Password::parse(PASSWORD).unwrap(), "mira").await.unwrap().unwrap();
    let change = format!(
        "UPDATE users SET enabled = false, must_change_password = true, password_hash = '{}';",
        another.expose()
    );
    let changing = scene.sql.tamper(format!("{change} {and_wait}"));
    let ((), _) = tokio::join!(changing, scene.log_in("mira", "password", HOME));
    let mira = admin(&scene.sql).user("mira").await.unwrap().user;
    assert!(!mira.enabled && mira.must_change_password);
    assert_eq!(mira.password.unwrap().expose(), another.expose());
}
