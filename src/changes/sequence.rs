//! The writing end of a replica: entries that come in together are committed together.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};

use super::acknowledge::Recorded;
use super::audit::{Allowance, Attempt};
use super::entry::Entry;
use super::store::{FeedError, Recorder};
use crate::domain::clock::Clock;
use crate::sql::SqlError;

/// How many entries one commit takes at most.
const BATCH: usize = 1024;
/// How many entries may wait for a commit before more are refused.
const QUEUE: usize = 16_384;

/// How long somebody who is refused waits for that to be recorded, which it is later if not by then.
const NOTING: Duration = Duration::from_millis(150);

type Reply = oneshot::Sender<Result<Recorded, FeedError>>;

/// Takes entries from all workers. Cheap to clone.
#[derive(Clone)]
pub struct Sequence {
    queue: mpsc::Sender<(Entry, Reply)>,
    attempts: mpsc::Sender<(Attempt, oneshot::Sender<()>)>,
}

impl Sequence {
    /// The sequence and the task that commits what it is given, to be spawned where SQL work runs.
    /// `wake` is notified after each commit.
    pub fn new(
        recorder: Arc<dyn Recorder>,
        clock: Arc<dyn Clock>,
        wake: Arc<Notify>,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, entries) = mpsc::channel(QUEUE);
        let (attempts, refused) = mpsc::channel(QUEUE);
        let noting = note(refused, Arc::clone(&recorder), Arc::clone(&clock));
        let tasks = futures_util::future::join(commit(entries, recorder, clock, wake), noting);
        (Self { queue, attempts }, async { ((), ()) = tasks.await })
    }

    /// Records an entry; returns after its durable commit.
    ///
    /// # Errors
    /// When SQL fails. The change may have been recorded all the same; asking again is safe.
    pub async fn record(&self, entry: Entry) -> Result<Recorded, FeedError> {
        let (reply, replied) = oneshot::channel();
        let unavailable = |why: &str| FeedError::Sql(SqlError::Unavailable(why.to_owned()));
        self.queue
            .try_send((entry, reply))
            .map_err(|_| unavailable("too many changes wait to be recorded"))?;
        replied.await.map_err(|_| unavailable("the server is stopping"))?
    }
}

impl Sequence {
    /// Records what was refused. It is refused whether that can be recorded or not: a refusal harms nobody.
    pub async fn note(&self, attempt: Attempt) {
        let (reply, noted) = oneshot::channel();
        match self.attempts.try_send((attempt, reply)) {
            Ok(()) => drop(tokio::time::timeout(NOTING, noted).await),
            Err(_) => log::warn!("somebody was refused, which is not in the audit: too many are"),
        }
    }
}

async fn note(
    mut refused: mpsc::Receiver<(Attempt, oneshot::Sender<()>)>,
    recorder: Arc<dyn Recorder>,
    clock: Arc<dyn Clock>,
) {
    let mut batch = Vec::new();
    let mut allowance = Allowance::default();
    while refused.recv_many(&mut batch, BATCH).await > 0 {
        // Whose attempt is left out need not wait.
        batch.retain(|(attempt, _)| allowance.admits(attempt, clock.boot()));
        if batch.is_empty() {
            continue;
        }
        let (attempts, replies): (Vec<Attempt>, Vec<_>) = batch.drain(..).unzip();
        match recorder.record_attempts(attempts).await {
            Ok(()) => {
                for reply in replies {
                    // Whoever was refused may be gone.
                    reply.send(()).ok();
                }
            }
            Err(error) => log::warn!("{} were refused, which is not in the audit: {error}", replies.len()),
        }
    }
}

async fn commit(
    mut entries: mpsc::Receiver<(Entry, Reply)>,
    recorder: Arc<dyn Recorder>,
    clock: Arc<dyn Clock>,
    wake: Arc<Notify>,
) {
    let mut batch = Vec::new();
    while entries.recv_many(&mut batch, BATCH).await > 0 {
        let (entries, replies): (Vec<Entry>, Vec<Reply>) = batch.drain(..).unzip();
        let numbers = recorder.record(entries).await;
        let since = clock.boot();
        wake.notify_one();
        match numbers {
            Ok(numbers) => {
                for (reply, number) in replies.into_iter().zip(numbers) {
                    // Whoever asked may be gone; the change is recorded all the same.
                    reply.send(Ok(Recorded { number, since })).ok();
                }
            }
            Err(error) => {
                for reply in replies {
                    reply.send(Err(error.clone())).ok();
                }
            }
        }
    }
}
