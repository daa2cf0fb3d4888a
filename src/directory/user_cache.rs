//! What replicas remember of users: there may be millions, so only those that were asked about.
//!
//! Exact, by two rules. Whoever follows the feed forgets a user before the snapshot with the change
//! is published; and what was being read when its user was forgotten is thrown away and read anew.
//! So who takes a snapshot *first* and *then* looks here finds nothing older than that snapshot.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, UnitWeighter};

use super::users::{self, UserFacts};
use crate::domain::identifier::UserId;
use crate::sql::{Database, SqlError};

/// How many users are remembered: some 50 MB when each has a few roles.
const MOST_USERS: u64 = 100_000;
/// How many there is room for from the start.
const FIRST_USERS: usize = 256;
/// How long a request waits for a user to be read: SQL that hangs must not hang it.
const PATIENCE: Duration = Duration::from_secs(1);

/// A user as remembered: `None` for one who is not there.
pub type Remembered = Option<Arc<UserFacts>>;

/// The users that a replica remembers, shared by its workers.
pub struct UserCache(Cache<UserId, Remembered>);

impl Default for UserCache {
    fn default() -> Self {
        let (weighter, hasher) = (UnitWeighter, DefaultHashBuilder::default());
        Self(Cache::with(FIRST_USERS, MOST_USERS, weighter, hasher, DefaultLifecycle::default()))
    }
}

impl fmt::Debug for UserCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserCache({} users)", self.0.len())
    }
}

impl UserCache {
    /// What is remembered of a user; `None` when it has to be read.
    pub fn find(&self, id: &UserId) -> Option<Remembered> {
        self.0.get(id)
    }

    pub(super) fn forget(&self, id: &UserId) {
        self.0.remove(id);
    }

    pub(super) fn forget_all(&self) {
        self.0.clear();
    }

    /// Reads a user unless it is remembered. Whoever asks meanwhile waits for the same read.
    async fn fill<R>(&self, id: &UserId, read: impl Fn() -> R) -> Result<(), SqlError>
    where
        R: Future<Output = Result<Remembered, SqlError>>,
    {
        loop {
            let Err(room) = self.0.get_value_or_guard_async(id).await else { return Ok(()) };
            let user = read().await?;
            // Refused when the user was forgotten since the read began.
            if room.insert(user).is_ok() {
                return Ok(());
            }
        }
    }

    async fn load(&self, database: &Database, id: &UserId) -> Result<(), SqlError> {
        let read = || {
            let (database, id) = (database.clone(), id.clone());
            async move {
                let read = database.read(move |conn| Box::pin(async move { users::facts(conn, &id).await }));
                Ok(read.await?.map(Arc::new))
            }
        };
        let filled = tokio::time::timeout(PATIENCE, self.fill(id, read)).await;
        filled.unwrap_or_else(|_| Err(SqlError::unavailable("it does not answer in time")))
    }
}

/// The users of the directory, remembered or read.
#[derive(Clone)]
pub struct Users {
    cache: Arc<UserCache>,
    database: Database,
}

/// The directory cannot be asked for a user who is not remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsersUnavailable(SqlError);

impl fmt::Display for UsersUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a user cannot be read: {}", self.0)
    }
}

impl std::error::Error for UsersUnavailable {}

impl Users {
    /// `cache` is the one that the feed keeps exact.
    pub const fn new(cache: Arc<UserCache>, database: Database) -> Self {
        Self { cache, database }
    }

    /// Reads a user unless it is remembered. What is remembered then may be judged by only after
    /// the snapshot that it is judged with was taken: look again.
    ///
    /// # Errors
    /// When SQL cannot be asked in time.
    pub async fn load(&self, id: &UserId) -> Result<(), UsersUnavailable> {
        self.cache.load(&self.database, id).await.map_err(UsersUnavailable)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::domain::login_name::LoginName;

    fn id() -> UserId {
        UserId::parse("usr_1").unwrap()
    }

    fn named(name: &str) -> Arc<UserFacts> {
        let (id, name) = (id(), LoginName::parse(name).unwrap());
        let entitlements = users::Entitlements::default();
        Arc::new(UserFacts { id, name, enabled: true, must_change_password: false, entitlements })
    }

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }

    /// Reads "old" at first, and then forgets the user before that read is over, as following the
    /// feed does; reads "new" after that.
    async fn fill_while_forgotten(cache: &UserCache, forget: impl Fn()) -> usize {
        let reads = AtomicUsize::new(0);
        let read = || async {
            match reads.fetch_add(1, Ordering::SeqCst) {
                0 => {
                    forget();
                    Ok(Some(named("old")))
                }
                _ => Ok(Some(named("new"))),
            }
        };
        cache.fill(&id(), read).await.unwrap();
        reads.into_inner()
    }

    #[test]
    fn what_was_read_before_its_user_was_forgotten_is_read_anew() {
        run(async {
            let cache = UserCache::default();
            assert_eq!(fill_while_forgotten(&cache, || cache.forget(&id())).await, 2);
            assert_eq!(cache.find(&id()), Some(Some(named("new"))));
            let cache = UserCache::default();
            assert_eq!(fill_while_forgotten(&cache, || cache.forget_all()).await, 2);
            assert_eq!(cache.find(&id()), Some(Some(named("new"))));
            // Another user's change disturbs nobody.
            let (cache, other) = (UserCache::default(), UserId::parse("usr_2").unwrap());
            assert_eq!(fill_while_forgotten(&cache, || cache.forget(&other)).await, 1);
        });
    }

    #[test]
    fn who_waits_for_a_read_that_is_thrown_away_never_leaves_it_behind() {
        run(async {
            let (cache, id) = (UserCache::default(), id());
            let (begun, go_on) = (tokio::sync::Notify::new(), tokio::sync::Notify::new());
            let reads = AtomicUsize::new(0);
            let first = cache.fill(&id, || async {
                if reads.fetch_add(1, Ordering::SeqCst) > 0 {
                    return Ok(Some(named("new")));
                }
                begun.notify_one();
                go_on.notified().await;
                Ok(Some(named("old")))
            });
            let second = async {
                begun.notified().await;
                let waiting = cache.fill(&id, || async { Ok(Some(named("new"))) });
                let forgetting = async {
                    tokio::task::yield_now().await;
                    cache.forget(&id);
                    go_on.notify_one();
                };
                futures_util::future::join(waiting, forgetting).await.0
            };
            let first = tokio::time::timeout(Duration::from_secs(1), first);
            let (first, second) = futures_util::future::join(first, second).await;
            assert_eq!((first, second), (Ok(Ok(())), Ok(())));
            assert_eq!(cache.find(&id), Some(Some(named("new"))));
        });
    }

    #[test]
    fn a_failed_read_is_not_remembered_and_one_who_is_not_there_is() {
        run(async {
            let cache = UserCache::default();
            let down = || async { Err(SqlError::unavailable("down")) };
            assert!(cache.fill(&id(), down).await.is_err());
            assert_eq!(cache.find(&id()), None);
            cache.fill(&id(), || async { Ok(None) }).await.unwrap();
            assert_eq!(cache.find(&id()), Some(None));
            cache.fill(&id(), down).await.unwrap();
            cache.forget(&id());
            assert_eq!(cache.find(&id()), None);
        });
    }
}
