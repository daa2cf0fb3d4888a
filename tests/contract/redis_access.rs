//! Getting into Redis, and what is found there: passwords, TLS, commands sent, memory, lifetimes.

use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use symbolon::domain::clock::{Clock as _, SystemClock};
use symbolon::domain::entropy::{SystemEntropy, random};
use symbolon::domain::identifier::{ClientId, GrantId, ResourceServerId, UserId};
use symbolon::domain::position::{ChangeHash, ChangeNumber, FeedId, Position};
use symbolon::domain::scope::Scope;
use symbolon::domain::token::TokenDigest;
use symbolon::grants::redis::{ControlPool, RedisUrl};
use symbolon::grants::{
    AccessToken, Code, CodeState, GrantRecord, GrantStore as _, RefreshChain, UserGrant, Witness as _,
};
use tokio::task::JoinSet;

use crate::run;
use crate::stores::{UNHURRIED, Worker, far, new_id, record};
use crate::support::authority::Authority;
use crate::support::redis::{RedisOptions, RedisServer};

const PASSWORD: &str = "correct-horse-battery";
const WRONG: &str = "hunter2-is-not-it";

/// With fewer keys Redis's own tables are oversized.
const RECORDS: u64 = 100_000;

/// The longest that an address can be.
const IPV6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 3, 4, 5, 6);

/// Inserts, swaps, loads, reads the witness.
async fn works(url: &RedisUrl) {
    let worker = Worker::connect(url, UNHURRIED).await;
    let id = new_id();
    assert_eq!(worker.grants.insert(id, &record("one"), far()).await, Ok(true));
    assert_eq!(worker.grants.compare_and_swap(id, &record("one"), &record("two"), far()).await, Ok(true));
    assert_eq!(worker.grants.load(id).await, Ok(Some(record("two"))));
    assert_eq!(ControlPool::new(url).unwrap().read().await, Ok(None));
}

/// Whatever is asked is refused, with words that hold neither password.
async fn is_refused(url: &RedisUrl) -> String {
    let worker = Worker::new(url, UNHURRIED);
    let refusal = worker.refusal().await;
    let loaded = worker.grants.load(new_id()).await.expect_err("nobody was let in");
    let control = ControlPool::new(url).unwrap().read().await.expect_err("nobody was let in");
    let said = format!("{refusal} {refusal:?} {loaded} {control} {control:?} {url:?}");
    assert!(!said.contains(WRONG) && !said.contains(PASSWORD), "a password is shown: {said}");
    said
}

#[test]
fn a_password_lets_in_and_a_wrong_one_is_refused_without_being_shown() {
    run(async {
        let password = Some(PASSWORD.to_owned());
        let redis = RedisServer::start_with(RedisOptions { password, ..RedisOptions::default() });
        let parse = |text: &str| RedisUrl::parse(text, None).unwrap();
        works(&parse(&redis.url())).await;
        let said = is_refused(&parse(&redis.url().replace(PASSWORD, WRONG))).await;
        assert!(said.contains("password"), "{said}");
        let none = parse(&redis.url().replace(&format!(":{PASSWORD}@"), ""));
        assert!(!none.has_password());
        let said = is_refused(&none).await;
        assert!(said.contains("NOAUTH"), "{said}");
    });
}

#[test]
fn a_user_name_with_its_password_lets_in_and_another_name_does_not() {
    run(async {
        let user = Some(("symbolon".to_owned(), PASSWORD.to_owned()));
        let redis = RedisServer::start_with(RedisOptions { user, ..RedisOptions::default() });
        let parse = |text: &str| RedisUrl::parse(text, None).unwrap();
        works(&parse(&redis.url())).await;
        is_refused(&parse(&redis.url().replace(PASSWORD, WRONG))).await;
        is_refused(&parse(&redis.url().replace("symbolon:", "somebody:"))).await;
        is_refused(&parse(&redis.url().replace("symbolon:", ":"))).await;
    });
}

#[test]
fn a_user_that_lacks_a_command_is_told_so() {
    run(async {
        let redis = RedisServer::start();
        redis.command(&["ACL", "SETUSER", "reader", "on", &format!(">{PASSWORD}"), "~*", "+@all", "-role"]);
        let url = format!("redis://reader:{PASSWORD}@127.0.0.1:{}", redis.port());
        let said = is_refused(&RedisUrl::parse(&url, None).unwrap()).await;
        assert!(said.contains("NOPERM"), "{said}");
    });
}

#[test]
fn a_password_corrected_at_the_server_lets_the_waiting_worker_in() {
    run(async {
        let password = Some(PASSWORD.to_owned());
        let redis = RedisServer::start_with(RedisOptions { password, ..RedisOptions::default() });
        let url = RedisUrl::parse(&redis.url().replace(PASSWORD, WRONG), None).unwrap();
        let worker = Worker::new(&url, UNHURRIED);
        worker.refusal().await;
        let mut admin = redis.client().unwrap();
        admin.command(&["CONFIG", "SET", "requirepass", WRONG]).unwrap();
        crate::eventually("the worker gets in", crate::stores::RECOVERY, async || worker.link.check().ok())
            .await;
        assert_eq!(worker.grants.load(new_id()).await, Ok(None));
    });
}

#[test]
fn tls_is_spoken_to_a_server_of_the_given_authority_and_to_no_other() {
    run(async {
        let (authority, stranger) = (Authority::new(), Authority::new());
        let tls = Some(authority.files());
        let password = Some(PASSWORD.to_owned());
        let redis = RedisServer::start_with(RedisOptions { password, tls, ..RedisOptions::default() });
        let parse = |ca: Option<PathBuf>| RedisUrl::parse(&redis.tls_url(), ca.as_deref()).unwrap();
        works(&parse(Some(authority.file("authority.pem")))).await;
        is_refused(&parse(None)).await;
        is_refused(&parse(Some(stranger.file("authority.pem")))).await;
        // The certificate is for localhost, not for this address.
        let by_address = redis.tls_url().replace("localhost", "127.0.0.1");
        let by_address = RedisUrl::parse(&by_address, Some(&authority.file("authority.pem"))).unwrap();
        is_refused(&by_address).await;
        assert!(RedisUrl::parse(&redis.tls_url(), Some(&authority.file("missing.pem"))).is_err());
    });
}

#[test]
fn a_url_cannot_switch_the_check_of_certificates_off() {
    run(async {
        let authority = Authority::new();
        let tls = Some(authority.files());
        let redis = RedisServer::start_with(RedisOptions { tls, ..RedisOptions::default() });
        if let Ok(url) = RedisUrl::parse(&format!("{}/#insecure", redis.tls_url()), None) {
            is_refused(&url).await;
        }
    });
}

#[test]
fn a_load_is_one_get_and_nothing_else() {
    run(async {
        let redis = RedisServer::start();
        let worker = Worker::connect(&RedisUrl::parse(&redis.url(), None).unwrap(), UNHURRIED).await;
        let id = new_id();
        worker.grants.insert(id, &record("one"), far()).await.unwrap();
        redis.command(&["CONFIG", "RESETSTAT"]);
        for _ in 0..100 {
            assert_eq!(worker.grants.load(id).await, Ok(Some(record("one"))));
            assert_eq!(worker.grants.load(new_id()).await, Ok(None));
        }
        let mut calls = redis.command_calls();
        calls.retain(|name, _| !matches!(name.as_str(), "info" | "config|resetstat"));
        // Each second the link is verified: one ROLE and one GET of the witness.
        let verified = calls.remove("role").unwrap_or(0);
        assert_eq!(calls.remove("get"), Some(200 + verified));
        assert!(calls.is_empty(), "{calls:?}");
    });
}

#[test]
fn every_key_but_the_witness_has_an_end() {
    run(async {
        let redis = RedisServer::start();
        let url = RedisUrl::parse(&redis.url(), None).unwrap();
        let worker = Worker::connect(&url, UNHURRIED).await;
        let end = SystemClock.now() + Duration::from_secs(900);
        for round in 0..50 {
            let id = new_id();
            worker.grants.insert(id, &record("one"), end).await.unwrap();
            if round % 2 == 0 {
                let swapped = worker.grants.compare_and_swap(id, &record("one"), &record("two"), end).await;
                assert_eq!(swapped, Ok(true));
            }
        }
        let position =
            Position { feed: FeedId([1; 16]), number: ChangeNumber::new(1), hash: ChangeHash([1; 32]) };
        let control = ControlPool::new(&url).unwrap();
        assert_eq!(control.advance(None, position, &[]).await, Ok(true));
        let keys = redis.command(&["KEYS", "*"]);
        assert_eq!(keys.array().len(), 51);
        for key in keys.array() {
            let expires = redis.command(&[b"EXPIRETIME", key.bytes()]).integer();
            if key.bytes() == symbolon::grants::keys::WITNESS {
                assert_eq!(expires, -1, "the witness must not go by itself");
            } else {
                let slack = expires - end.unix_seconds();
                assert!((0..=10).contains(&slack), "a record is kept for {slack} s past its end");
            }
        }
    });
}

/// What a token of a client leaves in the store.
fn client_credentials(number: u64) -> (GrantId, GrantRecord) {
    let now = SystemClock.now();
    let mut digest = [0; 16];
    digest[..8].copy_from_slice(&number.to_be_bytes());
    let token = AccessToken {
        digest: TokenDigest::from_bytes(digest),
        issued_at: now,
        expires_at: now + Duration::from_secs(900),
        attempt: 0,
        restriction: None,
    };
    let record = GrantRecord {
        born: ChangeNumber::new(1_000_000 + number),
        expires_at: token.expires_at,
        client: ClientId::generate(&SystemEntropy).unwrap(),
        scope: Scope::parse("notes:read notes:write").unwrap(),
        audience: vec![ResourceServerId::generate(&SystemEntropy).unwrap()],
        access_tokens: vec![token],
        user: None,
        address: Some(IpAddr::from([192, 0, 2, 7])),
    };
    (new_id(), record)
}

/// What a user's grant leaves in the store: one access token, and a refresh token that was rotated.
fn of_a_user(number: u64) -> (GrantId, GrantRecord) {
    let (id, mut record) = client_credentials(number);
    let now = SystemClock.now();
    let digest = |byte| TokenDigest::from_bytes([byte; 16]);
    record.expires_at = now + Duration::from_secs(30 * 86_400);
    record.user = Some(UserGrant {
        subject: UserId::generate(&SystemEntropy).unwrap(),
        session: Some(new_id()),
        salt: random(&SystemEntropy).unwrap(),
        attempt: 10_000,
        code: Some(Code { digest: digest(1), expires_at: now, state: CodeState::Consumed }),
        refresh: Some(RefreshChain {
            current: digest(2),
            previous: Some(digest(3)),
            number: 10_000,
            rotated_at: now,
            idle_lifetime: Duration::from_secs(14 * 86_400),
        }),
        given_at: Some(now),
    });
    (id, record)
}

#[test]
fn a_token_of_a_client_takes_at_most_256_bytes_of_redis() {
    measure(client_credentials, 256);
    let of_ipv6 = |number| {
        let (id, record) = client_credentials(number);
        (id, GrantRecord { address: Some(IPV6.into()), ..record })
    };
    measure(of_ipv6, 256);
}

/// With room left, of 512 bytes, for an entry in the index of its user's grants (141 at most).
#[test]
fn a_grant_of_a_user_takes_at_most_371_bytes_of_redis() {
    measure(of_a_user, 371);
    let of_ipv6 = |number| {
        let (id, record) = of_a_user(number);
        (id, GrantRecord { address: Some(IPV6.into()), ..record })
    };
    measure(of_ipv6, 371);
}

fn measure(made: fn(u64) -> (GrantId, GrantRecord), most: u64) {
    run(async {
        let redis = RedisServer::start();
        let url = RedisUrl::parse(&redis.url(), None).unwrap();
        let worker = Worker::connect(&url, Duration::from_secs(5)).await;
        let used = || {
            let info = redis.command(&["INFO", "memory"]).text();
            let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
            line.unwrap().trim().parse::<u64>().unwrap()
        };
        let before = used();
        let mut inserts = JoinSet::new();
        let tasks = 50;
        for task in 0..tasks {
            let grants = std::sync::Arc::clone(&worker.grants);
            inserts.spawn(async move {
                for number in (task..RECORDS).step_by(usize::try_from(tasks).unwrap()) {
                    let (id, record) = made(number);
                    let inserted = grants.insert(id, &record.encode(), record.expires_at).await;
                    assert_eq!(inserted, Ok(true));
                }
            });
        }
        inserts.join_all().await;
        assert_eq!(redis.command(&["DBSIZE"]).integer(), i64::try_from(RECORDS).unwrap());
        let bytes = (used() - before).div_ceil(RECORDS);
        let length = made(1).1.encode().as_bytes().len();
        println!("Redis uses {bytes} bytes for a record of {length} bytes, over {RECORDS} records");
        assert!(bytes <= most, "{bytes} bytes a record");
    });
}
