//! Failures to log in, counted in the grant store: exactly, whoever counts at the same time.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use symbolon::domain::clock::{BootTime, Clock, SystemClock};
use symbolon::domain::token_key::TokenKeys;
use symbolon::grants::GrantStore;
use symbolon::identity::throttle::{Admission, Attempt, Throttle};
use tokio::task::JoinSet;

use crate::cases;
use crate::stores::{Kind, Store};

/// What an account and an address take before anybody has to wait.
const FREE_OF_ACCOUNT: usize = 10;
const FREE_OF_ADDRESS: usize = 50;
const FREE_OF_KNOWN: usize = 500;
const LONGEST_WAIT: Duration = Duration::from_secs(60);

const HOME: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
const ELSEWHERE: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)));

cases!(Kind: redis = Redis, sqlite = Sqlite => {
    x7_of_200_parallel_guesses_at_an_account_exactly_the_free_ones_are_admitted,
    x7_of_200_parallel_guesses_from_an_address_exactly_the_free_ones_are_admitted,
    x7_each_failure_doubles_the_wait_to_a_minute_and_asking_in_vain_prolongs_nothing,
    x7_strangers_make_nobody_wait_at_home,
    x7_strangers_make_nobody_wait_with_whom_they_share_an_address,
    x7_whoever_goes_through_the_accounts_that_an_address_knows_has_to_wait,
    x7_strangers_make_nobody_wait_elsewhere_for_longer_than_a_minute,
    x7_a_success_is_no_failure_and_ends_those_of_its_account,
    x7_an_attempt_that_was_not_made_counts_for_nothing,
    x7_whoever_has_an_account_cannot_guess_at_others_for_free,
    x7_failures_are_forgotten_after_a_day,
});

/// A wall clock that moves when a test says so.
struct StillClock(AtomicI64);

impl Clock for StillClock {
    fn unix_millis(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    fn boot(&self) -> BootTime {
        SystemClock.boot()
    }
}

impl StillClock {
    fn wait(&self, duration: Duration) {
        self.0.fetch_add(i64::try_from(duration.as_millis()).unwrap(), Ordering::Relaxed);
    }
}

/// A store, and what counts in it.
struct Scene {
    store: Store,
    throttle: Arc<Throttle>,
    clock: Arc<StillClock>,
}

impl Scene {
    async fn fresh(kind: Kind) -> Self {
        let clock = Arc::new(StillClock(SystemClock.unix_millis().into()));
        let keys = TokenKeys::from_secrets([[7; 32]]).unwrap();
        let throttle = Throttle::new(Arc::new(keys), Arc::clone(&clock) as _);
        Self { store: Store::fresh(kind).await, throttle: Arc::new(throttle), clock }
    }

    fn grants(&self) -> &dyn GrantStore {
        self.store.grants()
    }

    async fn admit(&self, account: &str, address: Option<IpAddr>) -> Admission {
        self.throttle.admit(self.grants(), account, address).await.unwrap()
    }

    /// An attempt that fails; `None` if it was admitted, else how long to wait.
    async fn fail(&self, account: &str, address: Option<IpAddr>) -> Option<Duration> {
        match self.admit(account, address).await {
            Admission::Admitted(_) => None,
            Admission::Later { after } => Some(after),
        }
    }

    async fn attempt(&self, account: &str, address: Option<IpAddr>) -> Attempt {
        match self.admit(account, address).await {
            Admission::Admitted(attempt) => attempt,
            Admission::Later { after } => panic!("{account} has to wait for {after:?}"),
        }
    }

    async fn succeed(&self, account: &str, address: Option<IpAddr>) {
        let attempt = self.attempt(account, address).await;
        self.throttle.succeeded(self.grants(), attempt).await.unwrap();
    }

    /// How many of 200 attempts at the same time are admitted, over all workers.
    async fn admitted_of_200(&self, guess: impl Fn(u8) -> (String, Option<IpAddr>)) -> usize {
        let mut guesses = JoinSet::new();
        for number in 0..200 {
            let worker = Arc::clone(&self.store.workers[usize::from(number) % self.store.workers.len()]);
            let (throttle, (account, address)) = (Arc::clone(&self.throttle), guess(number));
            guesses.spawn(async move {
                let admission = throttle.admit(worker.as_ref(), &account, address).await.unwrap();
                matches!(admission, Admission::Admitted(_))
            });
        }
        guesses.join_all().await.into_iter().filter(|admitted| *admitted).count()
    }
}

async fn x7_of_200_parallel_guesses_at_an_account_exactly_the_free_ones_are_admitted(kind: Kind) {
    let scene = Scene::fresh(kind).await;
    let from_everywhere = |number| ("mira".to_owned(), Some(IpAddr::from([203, 0, 113, number])));
    assert_eq!(scene.admitted_of_200(from_everywhere).await, FREE_OF_ACCOUNT);
    assert!(scene.fail("mira", ELSEWHERE).await.is_some());
    assert_eq!(scene.fail("noor", ELSEWHERE).await, None);
}

async fn x7_of_200_parallel_guesses_from_an_address_exactly_the_free_ones_are_admitted(kind: Kind) {
    let scene = Scene::fresh(kind).await;
    let at_everybody = |number| (format!("user{number}"), HOME);
    assert_eq!(scene.admitted_of_200(at_everybody).await, FREE_OF_ADDRESS);
    assert!(scene.fail("mira", HOME).await.is_some());
    assert_eq!(scene.fail("mira", ELSEWHERE).await, None);
}

async fn x7_each_failure_doubles_the_wait_to_a_minute_and_asking_in_vain_prolongs_nothing(kind: Kind) {
    let scene = Scene::fresh(kind).await;
    for _ in 0..FREE_OF_ACCOUNT {
        assert_eq!(scene.fail("mira", None).await, None);
    }
    for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
        let expected = Duration::from_secs(seconds);
        for _ in 0..3 {
            assert_eq!(scene.fail("mira", None).await, Some(expected));
        }
        scene.clock.wait(expected.saturating_sub(Duration::from_millis(1)));
        assert_eq!(scene.fail("mira", None).await, Some(Duration::from_millis(1)));
        scene.clock.wait(Duration::from_millis(1));
        assert_eq!(scene.fail("mira", None).await, None, "{expected:?} are over");
    }
}

async fn x7_strangers_make_nobody_wait_at_home(kind: Kind) {
    let scene = Scene::fresh(kind).await;
    scene.succeed("mira", HOME).await;
    while scene.fail("mira", ELSEWHERE).await.is_none() {}
    scene.succeed("mira", HOME).await;
    // At home one mistypes on an account of one's own, and waits all the same.
    for _ in 0..FREE_OF_ACCOUNT {
        assert_eq!(scene.fail("mira", HOME).await, None);
    }
    assert!(scene.fail("mira", HOME).await.is_some());
    // What happened at home did not end what strangers did.
    assert!(scene.fail("mira", ELSEWHERE).await.is_some());
}

/// An office, say: whoever was there before logs in, whatever somebody there tries on others.
async fn x7_strangers_make_nobody_wait_with_whom_they_share_an_address(kind: Kind) {
    let scene = Scene::fresh(kind).await;
    scene.succeed("mira", HOME).await;
    let guesses = (0..FREE_OF_ADDRESS + 10).map(|number| format!("user{number}"));
    let mut admitted = 0;
    for account in guesses {
        admitted += usize::from(scene.fail(&account, HOME).await.is_none());
    }
    assert_eq!(admitted, FREE_OF_ADDRESS);
    for _ in 0..3 {
        scene.succeed("mira", HOME).await;
    }
    // What mira got right was given back, and nothing beside it.
    assert!(scene.fail("noor", HOME).await.is_some());
}

async fn x7_whoever_goes_through_the_accounts_that_an_address_knows_has_to_wait(kind: Kind) {
    let scene = Scene::fresh(kind).await;
    let accounts: Vec<_> =
        (0..=FREE_OF_KNOWN / FREE_OF_ACCOUNT).map(|number| format!("user{number}")).collect();
    for account in &accounts {
        scene.succeed(account, HOME).await;
    }
    let mut admitted = 0;
    for account in &accounts {
        for _ in 0..FREE_OF_ACCOUNT {
            admitted += usize::from(scene.fail(account, HOME).await.is_none());
        }
    }
    assert_eq!(admitted, FREE_OF_KNOWN);
}

async fn x7_strangers_make_nobody_wait_elsewhere_for_longer_than_a_minute(kind: Kind) {
    let scene = Scene::fresh(kind).await;
    let mut admitted = 0;
    for _ in 0..40 {
        admitted += usize::from(scene.fail("mira", None).await.is_none());
        scene.clock.wait(LONGEST_WAIT);
    }
    assert_eq!(admitted, 40);
    assert!(scene.fail("mira", None).await.is_none());
    scene.clock.wait(LONGEST_WAIT);
    scene.succeed("mira", ELSEWHERE).await;
}

async fn x7_a_success_is_no_failure_and_ends_those_of_its_account(kind: Kind) {
    let scene = Scene::fresh(kind).await;
    for _ in 0..3 * FREE_OF_ADDRESS {
        scene.succeed("mira", HOME).await;
    }
    for address in [HOME, ELSEWHERE] {
        for _ in 0..3 {
            for _ in 1..FREE_OF_ACCOUNT {
                assert_eq!(scene.fail("noor", address).await, None);
            }
            scene.succeed("noor", address).await;
        }
    }
}

async fn x7_an_attempt_that_was_not_made_counts_for_nothing(kind: Kind) {
    let scene = Scene::fresh(kind).await;
    let give_up = async |address| match scene.admit("mira", address).await {
        Admission::Admitted(attempt) => scene.throttle.not_made(scene.grants(), attempt).await.unwrap(),
        Admission::Later { after } => panic!("told to wait {after:?}"),
    };
    for address in [HOME, None] {
        for _ in 0..2 * FREE_OF_ADDRESS {
            give_up(address).await;
        }
    }
    // At home it is another count, from which nothing is taken that was there before.
    let Admission::Admitted(attempt) = scene.admit("mira", HOME).await else { panic!("told to wait") };
    scene.throttle.succeeded(scene.grants(), attempt).await.unwrap();
    for _ in 0..FREE_OF_ACCOUNT {
        give_up(HOME).await;
        assert_eq!(scene.fail("mira", HOME).await, None);
        give_up(ELSEWHERE).await;
    }
    assert!(scene.fail("mira", HOME).await.is_some(), "failures count as before");
}

async fn x7_whoever_has_an_account_cannot_guess_at_others_for_free(kind: Kind) {
    let scene = Scene::fresh(kind).await;
    let mut admitted = 0;
    for number in 0..FREE_OF_ADDRESS + 10 {
        admitted += usize::from(scene.fail(&format!("user{number}"), HOME).await.is_none());
        if let Admission::Admitted(own) = scene.admit("mallory", HOME).await {
            scene.throttle.succeeded(scene.grants(), own).await.unwrap();
        }
    }
    // The last free attempt may have been taken for the own account, and given back.
    assert_eq!(admitted, FREE_OF_ADDRESS);
}

async fn x7_failures_are_forgotten_after_a_day(kind: Kind) {
    let scene = Scene::fresh(kind).await;
    while scene.fail("mira", None).await.is_none() {}
    scene.clock.wait(Duration::from_secs(86_400));
    for _ in 0..FREE_OF_ACCOUNT {
        assert_eq!(scene.fail("mira", None).await, None);
    }
    assert!(scene.fail("mira", None).await.is_some());
}
