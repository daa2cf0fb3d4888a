//! Login sessions, kept in the grant store.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use symbolon::domain::clock::{Clock as _, SystemClock, Timestamp};
use symbolon::domain::entropy::SystemEntropy;
use symbolon::domain::identifier::{GrantId, UserId};
use symbolon::domain::position::ChangeNumber;
use symbolon::domain::token::{PlainToken, TokenKind};
use symbolon::domain::token_key::TokenKeys;
use symbolon::grants::{EncodedRecord, GrantStore, StoreError};
use symbolon::identity::sessions::{Lifetimes, LoginSession, LoginSessions, Visit};
use tokio::task::JoinSet;

use crate::cases;
use crate::stores::{Kind, Store};

const IDLE: Duration = Duration::from_secs(3600);
const ABSOLUTE: Duration = Duration::from_secs(10 * 3600);
const BORN: ChangeNumber = ChangeNumber::new(7);

cases!(Kind: redis = Redis, sqlite = Sqlite => {
    a_session_is_found_by_its_token_from_every_worker_and_after_a_restart,
    x11_each_login_is_a_session_of_its_own,
    a_session_ends_when_it_is_not_seen,
    a_session_that_is_seen_lives_on_to_its_absolute_end,
    seeing_a_session_that_was_removed_does_not_bring_it_back,
    sessions_are_listed_with_when_and_where,
    of_many_logins_at_the_same_time_every_one_is_listed,
});

fn sessions(seed: u8) -> LoginSessions {
    let keys = Arc::new(TokenKeys::from_secrets([[seed; 32]]).unwrap());
    LoginSessions::new(keys, Arc::new(SystemEntropy), Lifetimes { idle: IDLE, absolute: ABSOLUTE })
}

fn mira() -> Visit {
    Visit {
        subject: UserId::parse("usr_mira").unwrap(),
        address: Some(IpAddr::from([192, 0, 2, 7])),
        browser: "Firefox on Linux".to_owned(),
    }
}

fn now() -> Timestamp {
    SystemClock.now()
}

/// Logs in, and finds the session again by its token.
async fn log_in(grants: &dyn GrantStore, visit: Visit, at: Timestamp) -> (LoginSession, PlainToken) {
    sessions(1).begin(grants, visit, BORN, at).await.unwrap()
}

async fn found(grants: &dyn GrantStore, token: &PlainToken, at: Timestamp) -> Option<LoginSession> {
    sessions(1).find(grants, token.expose().as_bytes(), at).await.unwrap()
}

async fn a_session_is_found_by_its_token_from_every_worker_and_after_a_restart(kind: Kind) {
    let store = Store::fresh(kind).await;
    let (begun, token) = log_in(store.grants(), mira(), now()).await;
    for worker in &store.workers {
        assert_eq!(found(worker.as_ref(), &token, now()).await.unwrap().record, begun.record);
    }
    let store = store.restart().await;
    let found = found(store.grants(), &token, now()).await.unwrap();
    assert_eq!((found.id, &found.record.subject, found.record.born), (begun.id, &mira().subject, BORN));
}

async fn x11_each_login_is_a_session_of_its_own(kind: Kind) {
    let store = Store::fresh(kind).await;
    let (first, first_token) = log_in(store.grants(), mira(), now()).await;
    let (second, second_token) = log_in(store.grants(), mira(), now()).await;
    assert_ne!(first.id, second.id);
    assert_ne!(first_token.expose(), second_token.expose());
    assert!(store.grants().remove(first.id).await.unwrap());
    assert!(found(store.grants(), &first_token, now()).await.is_none());
    assert!(found(store.grants(), &second_token, now()).await.is_some());
}

async fn a_session_ends_when_it_is_not_seen(kind: Kind) {
    let store = Store::fresh(kind).await;
    let begun = now();
    let (_, token) = log_in(store.grants(), mira(), begun).await;
    assert!(found(store.grants(), &token, begun + IDLE - Duration::from_secs(1)).await.is_some());
    assert!(found(store.grants(), &token, begun + IDLE).await.is_none());
}

async fn a_session_that_is_seen_lives_on_to_its_absolute_end(kind: Kind) {
    let store = Store::fresh(kind).await;
    let begun = now();
    let (_, token) = log_in(store.grants(), mira(), begun).await;
    let mut at = begun;
    while at < begun + ABSOLUTE {
        let session = found(store.grants(), &token, at).await.expect("it was seen half an hour ago");
        sessions(1).see(store.grants(), &session, at).await.unwrap();
        at = at + IDLE / 2;
    }
    assert!(found(store.grants(), &token, at).await.is_none());
}

async fn seeing_a_session_that_was_removed_does_not_bring_it_back(kind: Kind) {
    let store = Store::fresh(kind).await;
    let (session, token) = log_in(store.grants(), mira(), now()).await;
    store.grants().remove(session.id).await.unwrap();
    let later = now() + IDLE / 2;
    sessions(1).see(store.grants(), &session, later).await.unwrap();
    assert!(found(store.grants(), &token, later).await.is_none());
}

async fn sessions_are_listed_with_when_and_where(kind: Kind) {
    let store = Store::fresh(kind).await;
    let begun = now();
    let phone = Visit { address: None, browser: "Safari on iPhone".to_owned(), ..mira() };
    let noor = Visit { subject: UserId::parse("usr_noor").unwrap(), ..mira() };
    let (first, _) = log_in(store.grants(), mira(), begun).await;
    let (second, _) = log_in(store.grants(), phone.clone(), begun + Duration::from_secs(60)).await;
    let (ended, _) = log_in(store.grants(), mira(), begun).await;
    log_in(store.grants(), noor, begun).await;
    store.grants().remove(ended.id).await.unwrap();
    let at = begun + Duration::from_secs(120);
    let (listed, _) = sessions(1).of(store.grants(), &mira().subject, at).await.unwrap();
    let ids: Vec<GrantId> = listed.iter().map(|session| session.id).collect();
    assert_eq!(ids, [second.id, first.id]);
    let newest = &listed[0].record;
    assert_eq!(newest.created_at, begun + Duration::from_secs(60));
    assert_eq!((newest.address, &newest.browser), (None, &phone.browser));
    assert_eq!(listed[1].record.address, mira().address);
    assert!(sessions(1).of(store.grants(), &mira().subject, begun + ABSOLUTE).await.unwrap().0.is_empty());
}

async fn of_many_logins_at_the_same_time_every_one_is_listed(kind: Kind) {
    let store = Store::fresh(kind).await;
    let mut logins = JoinSet::new();
    for number in 0..50 {
        let worker = Arc::clone(&store.workers[number % store.workers.len()]);
        logins.spawn(async move { log_in(worker.as_ref(), mira(), now()).await.0.id });
    }
    let mut begun = logins.join_all().await;
    let (listed, _) = sessions(1).of(store.grants(), &mira().subject, now()).await.unwrap();
    let mut listed: Vec<GrantId> = listed.into_iter().map(|session| session.id).collect();
    begun.sort();
    listed.sort();
    assert_eq!(listed, begun);
}

/// A store that nobody may ask.
struct Untouchable;

#[async_trait]
impl GrantStore for Untouchable {
    async fn load(&self, id: GrantId) -> Result<Option<EncodedRecord>, StoreError> {
        Err(StoreError::new(format!("{id} was looked up")))
    }

    async fn insert(&self, _: GrantId, _: &EncodedRecord, _: Timestamp) -> Result<bool, StoreError> {
        Err(StoreError::new("something was inserted"))
    }

    async fn compare_and_swap(
        &self,
        _: GrantId,
        _: &EncodedRecord,
        _: &EncodedRecord,
        _: Timestamp,
    ) -> Result<bool, StoreError> {
        Err(StoreError::new("something was swapped"))
    }

    async fn remove(&self, _: GrantId) -> Result<bool, StoreError> {
        Err(StoreError::new("something was removed"))
    }
}

#[test]
fn what_is_no_login_session_of_ours_is_not_looked_up() {
    crate::run(async {
        let id = GrantId::from_bytes([9; GrantId::BYTES]);
        let token = |kind, seed: u8| {
            let keys = TokenKeys::from_secrets([[seed; 32]]).unwrap();
            PlainToken::generate(kind, id, &keys, &SystemEntropy).unwrap()
        };
        let genuine = token(TokenKind::LoginSession, 1);
        let find = async |text: &str| sessions(1).find(&Untouchable, text.as_bytes(), now()).await;
        for other in [
            "",
            "sys_",
            &genuine.expose()[..59],
            token(TokenKind::Access, 1).expose(),
            token(TokenKind::LoginSession, 2).expose(),
        ] {
            assert!(matches!(find(other).await, Ok(None)), "{other}");
        }
        // The one that is ours is, and a store that cannot be asked is not "logged out".
        assert!(find(genuine.expose()).await.is_err());
    });
}
