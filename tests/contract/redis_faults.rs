//! A Redis that fails: errors, never an absent record, and recovery by itself.

use std::time::{Duration, Instant};

use symbolon::domain::identifier::GrantId;
use symbolon::domain::position::{ChangeHash, ChangeNumber, FeedId, Position};
use symbolon::grants::redis::{ControlPool, RedisUrl};
use symbolon::grants::{GrantStore as _, Witness as _, keys};

use crate::stores::{RECOVERY, Worker, far, new_id, record};
use crate::support::ports;
use crate::support::redis::RedisServer;
use crate::{eventually, run};

/// The server's default for a read on the hot path.
const READ_TIMEOUT: Duration = Duration::from_millis(250);
/// The worst that an answer may take while Redis fails.
const WORST: Duration = Duration::from_secs(2);
/// What a shared machine may add to a limit of the design.
const SLOW_MACHINE: Duration = Duration::from_secs(1);

/// A server with one grant in it, and a worker that is connected.
struct Served {
    redis: RedisServer,
    worker: Worker,
    id: GrantId,
}

impl Served {
    async fn start() -> Self {
        let redis = RedisServer::start();
        let worker = Worker::connect(&url(&redis), READ_TIMEOUT).await;
        let id = new_id();
        assert_eq!(worker.grants.insert(id, &record("one"), far()).await, Ok(true));
        Self { redis, worker, id }
    }

    /// Loads until it fails; on the way, and when it does, nothing is said to be absent.
    async fn fails(&self, within: Duration) {
        let begun = Instant::now();
        eventually("loading fails", within + SLOW_MACHINE, async || {
            let asked = Instant::now();
            let loaded = self.worker.grants.load(self.id).await;
            assert!(asked.elapsed() < WORST, "an answer took {:?}", asked.elapsed());
            match loaded {
                Ok(Some(_)) => None,
                Ok(None) => panic!("a store that fails said that a grant is absent"),
                Err(error) => Some(error),
            }
        })
        .await;
        println!("failed after {:?}", begun.elapsed());
    }

    /// Loads until it works again, as said of [`Served::fails`].
    async fn recovers(&self) {
        let begun = Instant::now();
        eventually("loading works again", RECOVERY, async || match self.worker.grants.load(self.id).await {
            Ok(Some(found)) => {
                assert_eq!(found, record("one"));
                Some(())
            }
            Ok(None) => panic!("a store that recovers said that a grant is absent"),
            Err(_) => None,
        })
        .await;
        assert_eq!(self.worker.grants.insert(new_id(), &record("two"), far()).await, Ok(true));
        println!("recovered after {:?}", begun.elapsed());
    }

    /// Waits until the link has verified its connection once more, from beginning to end.
    async fn was_verified_again(&self) {
        let verified = || self.redis.command_calls().get("role").copied().unwrap_or(0);
        let before = verified();
        eventually("the connection is verified again", 2 * WORST + SLOW_MACHINE, async || {
            (verified() > before + 1).then_some(())
        })
        .await;
    }

    /// Waits until the connections so far showed these witnesses.
    async fn is_judged(&self, expected: &[Option<Position>]) {
        eventually(&format!("{expected:?} was judged"), WORST + SLOW_MACHINE, async || {
            let found = self.worker.found();
            assert!(expected.starts_with(&found) || found.starts_with(expected), "{found:?}");
            (found.len() >= expected.len()).then_some(())
        })
        .await;
    }

    /// No call answers as if it had asked.
    async fn refuses_everything(&self) {
        let grants = &self.worker.grants;
        let one = record("one");
        assert!(grants.insert(new_id(), &one, far()).await.is_err());
        assert!(grants.compare_and_swap(self.id, &one, &one, far()).await.is_err());
        assert!(grants.remove(self.id).await.is_err());
        assert!(grants.load(self.id).await.is_err());
        assert!(self.worker.link.check().is_err());
    }
}

fn url(redis: &RedisServer) -> RedisUrl {
    RedisUrl::parse(&redis.url(), None).unwrap()
}

#[test]
fn a_redis_that_is_stopped_fails_and_comes_back_by_itself() {
    run(async {
        let served = Served::start().await;
        for _ in 0..2 {
            served.redis.stop();
            served.fails(Duration::ZERO).await;
            served.refuses_everything().await;
            served.redis.restart();
            served.recovers().await;
        }
    });
}

#[test]
fn a_frozen_redis_fails_in_time_and_comes_back_by_itself() {
    run(async {
        let served = Served::start().await;
        served.redis.freeze();
        let asked = Instant::now();
        assert!(served.worker.grants.load(served.id).await.is_err());
        assert!(asked.elapsed() < READ_TIMEOUT + SLOW_MACHINE, "it took {:?}", asked.elapsed());
        // From now on nobody waits for it.
        let asked = Instant::now();
        served.refuses_everything().await;
        assert!(asked.elapsed() < READ_TIMEOUT, "it took {:?}", asked.elapsed());
        // Long enough for some attempts to connect to fail too.
        tokio::time::sleep(Duration::from_secs(3)).await;
        served.refuses_everything().await;
        served.redis.thaw();
        served.recovers().await;
    });
}

#[test]
fn a_write_to_a_frozen_redis_fails_in_time() {
    run(async {
        let served = Served::start().await;
        served.redis.freeze();
        let asked = Instant::now();
        assert!(served.worker.grants.insert(new_id(), &record("two"), far()).await.is_err());
        assert!(asked.elapsed() < WORST + SLOW_MACHINE, "it took {:?}", asked.elapsed());
        served.redis.thaw();
        served.recovers().await;
    });
}

#[test]
fn an_idle_worker_notices_a_frozen_redis_within_two_seconds() {
    run(async {
        let served = Served::start().await;
        served.redis.freeze();
        eventually("the link goes down", WORST + SLOW_MACHINE, async || served.worker.link.check().err())
            .await;
        served.redis.thaw();
        served.recovers().await;
    });
}

#[test]
fn a_redis_demoted_under_open_connections_fails_and_comes_back_once_promoted() {
    run(async {
        let served = Served::start().await;
        let nowhere = ports::free_port().to_string();
        let control = ControlPool::new(&url(&served.redis)).unwrap();
        assert_eq!(control.read().await, Ok(None));
        served.redis.command(&["REPLICAOF", "127.0.0.1", &nowhere]);
        // It goes on answering reads from old data; asking for its role is what betrays it.
        served.fails(WORST).await;
        served.refuses_everything().await;
        assert!(control.read().await.is_err());
        assert!(control.advance(None, somewhere(), &[]).await.is_err());
        served.redis.command(&["REPLICAOF", "NO", "ONE"]);
        served.recovers().await;
        eventually("the witness can be read again", RECOVERY, async || control.read().await.ok()).await;
    });
}

#[test]
fn a_write_that_a_demoted_redis_refuses_takes_the_link_down_at_once() {
    run(async {
        let served = Served::start().await;
        served.redis.command(&["REPLICAOF", "127.0.0.1", &ports::free_port().to_string()]);
        assert!(served.worker.grants.insert(new_id(), &record("two"), far()).await.is_err());
        served.refuses_everything().await;
        served.redis.command(&["REPLICAOF", "NO", "ONE"]);
        served.recovers().await;
    });
}

#[test]
fn a_redis_that_is_out_of_memory_refuses_writes_and_goes_on_reading() {
    run(async {
        let served = Served::start().await;
        let grants = &served.worker.grants;
        served.redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
        for _ in 0..3 {
            assert!(grants.insert(new_id(), &record("two"), far()).await.is_err());
            assert_eq!(grants.load(served.id).await, Ok(Some(record("one"))));
            let swapped = grants.compare_and_swap(served.id, &record("one"), &record("two"), far()).await;
            assert!(swapped.is_err(), "{swapped:?}");
            assert_eq!(grants.load(served.id).await, Ok(Some(record("one"))));
        }
        assert_eq!(grants.remove(served.id).await, Ok(true), "what is revoked can be deleted");
        served.redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
        assert_eq!(grants.insert(served.id, &record("one"), far()).await, Ok(true));
    });
}

#[test]
fn a_redis_that_is_loading_its_data_says_nothing_about_grants() {
    run(async {
        let served = Served::start().await;
        // Slow enough to be seen loading, for some seconds.
        served.redis.command(&["DEBUG", "POPULATE", "20000", "filler", "100"]);
        served.redis.command(&["CONFIG", "SET", "key-load-delay", "100"]);
        let reloading = served.redis.client().unwrap();
        let reload = std::thread::spawn(move || {
            let mut client = reloading;
            client.command(&["DEBUG", "RELOAD"])
        });
        served.fails(WORST).await;
        reload.join().unwrap().unwrap();
        served.recovers().await;
    });
}

#[test]
fn a_flushed_redis_shows_no_witness() {
    run(async {
        let served = Served::start().await;
        let control = ControlPool::new(&url(&served.redis)).unwrap();
        assert_eq!(control.advance(None, somewhere(), &[]).await, Ok(true));
        assert_eq!(control.read().await, Ok(Some(somewhere())));
        served.redis.command(&["FLUSHALL"]);
        assert_eq!(control.read().await, Ok(None));
        assert_eq!(control.advance(Some(somewhere()), somewhere(), &[]).await, Ok(false));
        assert_eq!(control.advance(None, somewhere(), &[]).await, Ok(true));
    });
}

#[test]
fn a_witness_that_goes_back_under_an_open_connection_is_judged_anew() {
    run(async {
        let served = Served::start().await;
        let control = ControlPool::new(&url(&served.redis)).unwrap();
        assert_eq!(control.advance(None, somewhere(), &[]).await, Ok(true));
        let dump = served.redis.dump();
        assert_eq!(control.advance(Some(somewhere()), beyond(), &[]).await, Ok(true));
        served.was_verified_again().await;
        assert_eq!(served.worker.found(), [None], "a witness that moves on is no reason to doubt");
        served.redis.command(&[&b"SET"[..], keys::WITNESS, &somewhere().to_bytes()]);
        served.is_judged(&[None, Some(somewhere())]).await;
        served.redis.command(&[&b"DEL"[..], keys::WITNESS]);
        served.is_judged(&[None, Some(somewhere()), None]).await;
        served.recovers().await;
        // Whoever lost its connection judges what it finds there.
        served.redis.restore(&dump);
        served.recovers().await;
        served.is_judged(&[None, Some(somewhere()), None, Some(somewhere())]).await;
    });
}

#[test]
fn a_witness_that_stays_behind_what_a_replica_remembers_is_judged_anew() {
    run(async {
        let served = Served::start().await;
        let control = ControlPool::new(&url(&served.redis)).unwrap();
        assert_eq!(control.advance(None, somewhere(), &[]).await, Ok(true));
        served.was_verified_again().await;
        served.worker.forget_below(somewhere().number);
        served.was_verified_again().await;
        assert_eq!(served.worker.found(), [None], "at the floor nothing is missing");
        served.worker.forget_below(beyond().number);
        served.is_judged(&[None, Some(somewhere())]).await;
        assert_eq!(control.advance(Some(somewhere()), beyond(), &[]).await, Ok(true));
        served.recovers().await;
    });
}

fn somewhere() -> Position {
    Position { feed: FeedId([7; 16]), number: ChangeNumber::new(9), hash: ChangeHash([9; 32]) }
}

fn beyond() -> Position {
    Position { number: ChangeNumber::new(10), ..somewhere() }
}
