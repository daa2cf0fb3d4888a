//! Consents, on either database.

use std::sync::Arc;

use symbolon::admin::clients::NewClient;
use symbolon::admin::users::NewUser;
use symbolon::changes::{Actor, KillScope, newest_kill};
use symbolon::directory::{Consent, GrantType, consents};
use symbolon::domain::clock::Timestamp;
use symbolon::domain::identifier::{ClientId, UserId};
use symbolon::domain::login_name::LoginName;
use symbolon::domain::position::ChangeNumber;
use symbolon::domain::redirect_uri::RedirectUri;
use symbolon::domain::scope::Scope;
use tokio::task::JoinSet;

use crate::cases;
use crate::databases::{Kind, Sql, head};
use crate::people::admin;

cases!(Kind: postgres = Postgres, sqlite = Sqlite => {
    what_is_allowed_adds_up_for_each_user_and_client,
    x20_what_was_asked_before_a_withdrawal_is_not_remembered_after_it,
    withdrawing_forgets_and_kills_in_one_act_and_leaves_other_consents,
    what_was_never_allowed_is_withdrawn_without_a_trace,
    what_lives_is_killed_though_its_consent_was_lost,
    a_consent_goes_with_its_user_and_with_its_client,
    of_parallel_decisions_none_outlives_a_later_withdrawal,
});

const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

fn scope(text: &str) -> Scope {
    Scope::parse(text).unwrap()
}

fn client(id: &str) -> ClientId {
    ClientId::parse(id).unwrap()
}

struct Scene {
    sql: Sql,
    mira: UserId,
    noor: UserId,
}

impl Scene {
    /// Two users, and the clients `app` and `other`.
    async fn fresh(kind: Kind) -> Self {
        let sql = Sql::fresh(kind).await;
        let admin = admin(&sql);
        for id in ["app", "other"] {
            let new = NewClient {
                name: id.to_owned(),
                id: Some(client(id)),
                public: false,
                grant_types: [GrantType::AuthorizationCode].into(),
                scope: scope("a b c"),
                access_token_ttl: None,
                redirect_uris: vec![RedirectUri::parse("https://app.example/cb").unwrap()],
                refresh_retry_window: None,
                origins: [].into(),
                secret: None,
            };
            admin.create_client(new).await.unwrap();
        }
        let mut users = Vec::new();
        for name in ["mira", "noor"] {
            let name = LoginName::parse(name).unwrap();
            let new = NewUser { name, password: None, must_change_password: false };
            users.push(admin.create_user(new).await.unwrap().0.user.id);
        }
        let [mira, noor] = users.try_into().unwrap();
        Self { sql, mira, noor }
    }

    async fn allow(&self, user: &UserId, id: &str, words: &str, born: ChangeNumber) -> bool {
        let (user, client, scope) = (user.clone(), client(id), scope(words));
        let written = self.sql.database.write(move |conn| {
            Box::pin(async move { consents::remember(conn, &user, &client, &scope, born, NOW).await })
        });
        written.await.unwrap()
    }

    /// What mira allowed, by client.
    async fn allowed(&self) -> Vec<(String, String)> {
        let of = |consents: Vec<Consent>| {
            consents.into_iter().map(|consent| (consent.client.to_string(), consent.scope.to_string()))
        };
        of(self.all(&self.mira).await).collect()
    }

    async fn all(&self, user: &UserId) -> Vec<Consent> {
        let user = user.clone();
        let read =
            self.sql.database.read(move |conn| Box::pin(async move { consents::of_user(conn, &user).await }));
        read.await.unwrap()
    }

    async fn withdraw(&self, id: &str) -> Option<ChangeNumber> {
        self.withdraw_given(id, None).await
    }

    /// Takes back, while the store has a grant that was born then.
    async fn withdraw_given(&self, id: &str, given: Option<ChangeNumber>) -> Option<ChangeNumber> {
        let (user, client) = (self.mira.clone(), client(id));
        let written = self.sql.database.write(move |conn| {
            Box::pin(async move {
                let author = Actor::user(&user).into();
                consents::withdraw(conn, &user, &client, given, author, NOW).await
            })
        });
        written.await.unwrap()
    }

    async fn newest_kill(&self, user: &UserId, id: &str) -> ChangeNumber {
        let killed = KillScope::Consent(user.clone(), client(id));
        let read =
            self.sql.database.read(move |conn| Box::pin(async move { newest_kill(conn, &killed).await }));
        read.await.unwrap()
    }

    async fn head(&self) -> ChangeNumber {
        ChangeNumber::new(head(&self.sql.feed()).await)
    }
}

async fn what_is_allowed_adds_up_for_each_user_and_client(kind: Kind) {
    let scene = Scene::fresh(kind).await;
    assert!(scene.allowed().await.is_empty());
    let born = scene.head().await;
    for (id, words) in [("app", "b"), ("app", "a"), ("app", "b"), ("other", "c")] {
        assert!(scene.allow(&scene.mira, id, words, born).await);
    }
    assert!(scene.allow(&scene.noor, "app", "c", born).await);
    let expected = [("app", "a b"), ("other", "c")].map(|(id, words)| (id.to_owned(), words.to_owned()));
    assert_eq!(scene.allowed().await, expected);
    let (user, app) = (scene.mira.clone(), client("app"));
    let read =
        scene.sql.database.read(move |conn| Box::pin(async move { consents::find(conn, &user, &app).await }));
    let found = read.await.unwrap().unwrap();
    assert_eq!((found.scope, found.granted_at), (scope("a b"), NOW));
    assert_eq!(scene.head().await, born, "allowing more takes no change of the feed");
}

async fn x20_what_was_asked_before_a_withdrawal_is_not_remembered_after_it(kind: Kind) {
    let scene = Scene::fresh(kind).await;
    let asked_at = scene.head().await;
    assert!(scene.allow(&scene.mira, "app", "b", asked_at).await);
    let number = scene.withdraw("app").await.unwrap();
    assert!(!scene.allow(&scene.mira, "app", "a", asked_at).await);
    assert!(scene.allowed().await.is_empty());
    assert!(scene.allow(&scene.mira, "app", "a", number).await);
    assert!(scene.allow(&scene.mira, "other", "a", asked_at).await);
    assert!(scene.allow(&scene.noor, "app", "a", asked_at).await);
}

async fn withdrawing_forgets_and_kills_in_one_act_and_leaves_other_consents(kind: Kind) {
    let scene = Scene::fresh(kind).await;
    let born = scene.head().await;
    for id in ["app", "other"] {
        scene.allow(&scene.mira, id, "a", born).await;
    }
    scene.allow(&scene.noor, "app", "a", born).await;
    let number = scene.withdraw("app").await.unwrap();
    assert_eq!(scene.newest_kill(&scene.mira, "app").await, number);
    for (user, id) in [(&scene.mira, "other"), (&scene.noor, "app")] {
        assert_eq!(scene.newest_kill(user, id).await, ChangeNumber::ZERO);
    }
    assert_eq!(scene.allowed().await, [("other".to_owned(), "a".to_owned())]);
    assert_eq!(scene.all(&scene.noor).await.len(), 1);
    // Asked for again, there is a change to wait for.
    assert_eq!(scene.withdraw("app").await, Some(number));
}

async fn what_was_never_allowed_is_withdrawn_without_a_trace(kind: Kind) {
    let scene = Scene::fresh(kind).await;
    let born = scene.head().await;
    for _ in 0..3 {
        assert_eq!(scene.withdraw("app").await, None);
        assert_eq!(scene.withdraw("nobody").await, None);
    }
    assert!(scene.allow(&scene.mira, "app", "a", born).await, "nothing forbids it");
    let number = scene.withdraw("app").await;
    for _ in 0..3 {
        assert_eq!(scene.withdraw("app").await, number, "the kill that did it");
    }
    assert_eq!(scene.head().await, number.unwrap(), "one change");
}

async fn what_lives_is_killed_though_its_consent_was_lost(kind: Kind) {
    let scene = Scene::fresh(kind).await;
    let born = scene.head().await;
    let number = scene.withdraw_given("app", Some(born)).await;
    assert!(number > Some(born), "nothing that was born then lives");
    assert_eq!(scene.withdraw_given("app", Some(born)).await, number, "it is dead already");
    assert!(scene.withdraw_given("app", number).await > number, "what was born since is not");
}

async fn a_consent_goes_with_its_user_and_with_its_client(kind: Kind) {
    let scene = Scene::fresh(kind).await;
    let born = scene.head().await;
    for id in ["app", "other"] {
        scene.allow(&scene.mira, id, "a", born).await;
    }
    scene.allow(&scene.noor, "app", "a", born).await;
    admin(&scene.sql).delete_client("other").await.unwrap();
    assert_eq!(scene.allowed().await, [("app".to_owned(), "a".to_owned())]);
    admin(&scene.sql).delete_user("mira").await.unwrap();
    assert!(scene.allowed().await.is_empty());
    assert_eq!(scene.all(&scene.noor).await.len(), 1);
}

async fn of_parallel_decisions_none_outlives_a_later_withdrawal(kind: Kind) {
    let scene = Arc::new(Scene::fresh(kind).await);
    for round in 0..10 {
        let asked_at = scene.head().await;
        assert!(scene.allow(&scene.mira, "app", "b", asked_at).await);
        let mut deciding = JoinSet::new();
        for _ in 0..4 {
            let scene = Arc::clone(&scene);
            deciding.spawn(async move { scene.allow(&scene.mira.clone(), "app", "a", asked_at).await });
        }
        let withdrawing = Arc::clone(&scene);
        deciding.spawn(async move { withdrawing.withdraw("app").await.is_some() });
        deciding.join_all().await;
        // Whichever came first: what was asked before the withdrawal is gone.
        assert!(scene.allowed().await.is_empty(), "round {round}");
    }
}
