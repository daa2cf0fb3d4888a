//! Passwords: what a new one must be like, what is kept of it, and whether a typed one fits.
//!
//! All of it happens in a [`pool`] of its own: hashing is made to be slow, and must slow down nobody but who asked.

mod breached;
mod hashing;
mod policy;
mod pool;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

pub use self::breached::BreachedPasswords;
use self::hashing::{Compared, Unintelligible};
pub use self::policy::{LONG_ENOUGH, PasswordPolicy, UnsuitablePassword};
use self::pool::{GivesWay, Memory, Pool};
use crate::domain::entropy::{self, Entropy};
use crate::domain::password::{Password, PasswordHash};

/// How many wait for one thread, each for some 15 ms: longer than a second nobody should.
const QUEUE_PER_THREAD: usize = 64;

/// How long a hash may take where it gives way wholly: ten times what it takes on a core of its own.
const STARVED: Duration = Duration::from_millis(200);

/// Why nothing could be said about a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordError {
    /// Too many are waiting already: come back later.
    Busy,
    /// Why it will not help to come back. Holds no part of a password.
    Failed(String),
}

impl fmt::Display for PasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("too many passwords are being checked; try again in a moment"),
            Self::Failed(why) => write!(f, "the password cannot be processed: {why}"),
        }
    }
}

impl std::error::Error for PasswordError {}

/// Whether a password is the one that is kept.
#[derive(Debug)]
pub enum Verified {
    Wrong,
    Right,
    /// Right, and hashed anew as passwords are hashed now: to be kept instead.
    Outdated(PasswordHash),
}

/// Hashes and verifies passwords. Shared by all workers.
pub struct Passwords {
    pool: Pool,
    /// Where nobody notices.
    quiet: Pool,
    /// Of those whose turn it is, and of all who wait for theirs as well.
    turns: Semaphore,
    places: Semaphore,
    policy: Arc<PasswordPolicy>,
    entropy: Arc<dyn Entropy>,
}

impl Passwords {
    /// Starts `threads` threads; each will use 19 MiB while it hashes.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(threads: usize, policy: PasswordPolicy, entropy: Arc<dyn Entropy>) -> io::Result<Self> {
        let waiting = threads.saturating_mul(QUEUE_PER_THREAD);
        let pool = Pool::start(threads, waiting, GivesWay::InPart)?;
        let quiet = Pool::start(threads, waiting, GivesWay::Wholly)?;
        let (turns, places) = (Semaphore::new(threads), Semaphore::new(threads + waiting));
        Ok(Self { pool, quiet, turns, places, policy: Arc::new(policy), entropy })
    }

    /// What to keep of a new password of the user who logs in as `name`, if the policy takes it.
    ///
    /// # Errors
    /// When too many wait, or the password could not be judged or hashed.
    pub async fn hash_new(
        &self,
        password: Password,
        name: &str,
    ) -> Result<Result<PasswordHash, UnsuitablePassword>, PasswordError> {
        let (policy, entropy, name) = (Arc::clone(&self.policy), Arc::clone(&self.entropy), name.to_owned());
        self.run(move |memory| {
            let judged = policy.judge(&password, &name).map_err(|error| {
                PasswordError::Failed(format!("the list of breached passwords cannot be read: {error}"))
            })?;
            match judged {
                Ok(()) => hash(&password, entropy.as_ref(), memory).map(Ok),
                Err(unsuitable) => Ok(Err(unsuitable)),
            }
        })
        .await
    }

    /// Waits for a turn at verifying. There are as many as threads: what is to be known right before, such as how often
    /// somebody failed, is then of few at a time.
    ///
    /// # Errors
    /// When too many wait already.
    pub async fn turn(&self) -> Result<Turn<'_>, PasswordError> {
        let place = self.places.try_acquire().map_err(|_| PasswordError::Busy)?;
        let permit = self.turns.acquire().await.map_err(|_| PasswordError::Busy)?;
        Ok(Turn { passwords: self, _place: place, _permit: permit })
    }

    async fn verify(
        &self,
        password: Password,
        kept: Option<PasswordHash>,
    ) -> Result<Verified, PasswordError> {
        self.run(self.comparison(password, kept)).await
    }

    fn comparison(
        &self,
        password: Password,
        kept: Option<PasswordHash>,
    ) -> impl Fn(&mut Memory) -> Result<Verified, PasswordError> + Send + Sync + use<> {
        let entropy = Arc::clone(&self.entropy);
        move |memory| {
            let Some(kept) = &kept else {
                hash(&password, entropy.as_ref(), memory)?;
                return Ok(Verified::Wrong);
            };
            match hashing::compare(&password, kept, memory) {
                Ok(Compared::Differs) => Ok(Verified::Wrong),
                Ok(Compared::Fits) => Ok(Verified::Right),
                Ok(Compared::FitsOutdated) => {
                    hash(&password, entropy.as_ref(), memory).map(Verified::Outdated)
                }
                Err(Unintelligible) => Err(PasswordError::Failed("what is kept of it is no hash".to_owned())),
            }
        }
    }

    /// Runs a job where nobody notices; and where every core is wanted by others, so that it gets nowhere there, once
    /// more where it has a share. What it makes is the same.
    async fn run<T: Send + 'static>(
        &self,
        job: impl Fn(&mut Memory) -> Result<T, PasswordError> + Send + Sync + 'static,
    ) -> Result<T, PasswordError> {
        let job = Arc::new(job);
        let again = Arc::clone(&job);
        let quietly = self.quiet.run(move |memory| job(memory));
        let mut quietly = std::pin::pin!(quietly);
        let done = if let Ok(done) = tokio::time::timeout(STARVED, &mut quietly).await {
            done
        } else {
            tokio::select! {
                done = quietly => done,
                done = self.pool.run(move |memory| again(memory)) => done,
            }
        };
        done.unwrap_or(Err(PasswordError::Busy))
    }
}

/// A turn at verifying, until it is dropped.
pub struct Turn<'p> {
    passwords: &'p Passwords,
    _place: SemaphorePermit<'p>,
    _permit: SemaphorePermit<'p>,
}

impl Turn<'_> {
    /// Compares a password with what is kept of a user's. `None`, where there is no such user or
    /// the user has none, is wrong after the same work: its time tells nobody which names exist.
    ///
    /// # Errors
    /// When what is kept is no hash, or many new passwords are being hashed.
    pub async fn verify(
        &self,
        password: Password,
        kept: Option<PasswordHash>,
    ) -> Result<Verified, PasswordError> {
        self.passwords.verify(password, kept).await
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passwords(…)")
    }
}

fn hash(
    password: &Password,
    entropy: &dyn Entropy,
    memory: &mut Memory,
) -> Result<PasswordHash, PasswordError> {
    let salt = entropy::random(entropy).map_err(|error| PasswordError::Failed(error.to_string()))?;
    let hashed = hashing::hash(password, salt, memory);
    hashed.map_err(|Unintelligible| PasswordError::Failed("argon2 refuses its own parameters".to_owned()))
}

#[cfg(test)]
mod tests;
