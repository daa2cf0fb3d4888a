//! The writing end of a replica: entries that come in together are committed together.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};

use super::acknowledge::Recorded;
use super::audit::{Allowance, Attempt, Unrecorded};
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
    audit: Arc<ToTheAudit>,
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
        let (to, at) = (Arc::clone(&recorder), Arc::clone(&clock));
        let audit = Arc::new(ToTheAudit { recorder: to, clock: at, unrecorded: Unrecorded::default() });
        let noting = Arc::clone(&audit).note(refused);
        let tasks = futures_util::future::join(commit(entries, recorder, clock, wake), noting);
        (Self { queue, attempts, audit }, async { ((), ()) = tasks.await })
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

    /// Records what was refused. It is refused whether that can be recorded or not: a refusal harms nobody.
    pub async fn note(&self, attempt: Attempt) {
        let (reply, noted) = oneshot::channel();
        match self.attempts.try_send((attempt, reply)) {
            Ok(()) => drop(tokio::time::timeout(NOTING, noted).await),
            Err(_) => self.audit.lacks(1, &"too many wait to be recorded"),
        }
    }
}

/// Where what was refused goes.
struct ToTheAudit {
    recorder: Arc<dyn Recorder>,
    clock: Arc<dyn Clock>,
    unrecorded: Unrecorded,
}

impl ToTheAudit {
    async fn note(self: Arc<Self>, mut refused: mpsc::Receiver<(Attempt, oneshot::Sender<()>)>) {
        let mut batch = Vec::new();
        let mut allowance = Allowance::default();
        while refused.recv_many(&mut batch, BATCH).await > 0 {
            // Whose attempt is left out need not wait.
            batch.retain(|(attempt, _)| allowance.admits(attempt, self.clock.boot()));
            if batch.is_empty() {
                continue;
            }
            let (attempts, replies): (Vec<Attempt>, Vec<_>) = batch.drain(..).unzip();
            match self.recorder.record_attempts(attempts.clone()).await {
                Ok(()) => {
                    for reply in replies {
                        // Whoever was refused may be gone.
                        reply.send(()).ok();
                    }
                    self.lacks(0, &"they could not be recorded");
                }
                Err(error) => {
                    for attempt in &attempts {
                        allowance.take_back(attempt);
                    }
                    self.lacks(attempts.len(), &error);
                }
            }
        }
    }

    /// Tells that so many more are missing, with those that it has not told of yet.
    fn lacks(&self, further: usize, why: &dyn fmt::Display) {
        if let Some(missing) = self.unrecorded.count(further, self.clock.boot()) {
            log::warn!("{missing} refusals are not in the audit: {why}");
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    use async_trait::async_trait;

    use super::super::entry::Actor;
    use super::*;
    use crate::domain::clock::SystemClock;
    use crate::domain::identifier::ClientId;
    use crate::domain::position::ChangeNumber;

    /// SQL, as far as it takes attempts, while it can be reached.
    #[derive(Default)]
    struct Audit {
        is_away: AtomicBool,
        tries: Mutex<usize>,
        rows: Mutex<Vec<Attempt>>,
    }

    #[async_trait]
    impl Recorder for Audit {
        async fn record(&self, _: Vec<Entry>) -> Result<Vec<ChangeNumber>, FeedError> {
            Ok(Vec::new())
        }

        async fn record_attempts(&self, attempts: Vec<Attempt>) -> Result<(), FeedError> {
            *self.tries.lock().unwrap() += 1;
            if self.is_away.load(Ordering::Relaxed) {
                return Err(SqlError::Unavailable("away".to_owned()).into());
            }
            self.rows.lock().unwrap().extend(attempts);
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_refusal_that_could_not_be_recorded_is_recorded_when_it_comes_again() {
        let audit = Arc::new(Audit::default());
        let (recorder, clock) = (Arc::clone(&audit), Arc::new(SystemClock));
        let (sequence, task) = Sequence::new(recorder, clock, Arc::new(Notify::new()));
        let task = tokio::spawn(task);
        let attempt = Attempt {
            author: Actor::client(&ClientId::parse("app").unwrap()).into(),
            action: "revoke-grant",
            target: "a".to_owned(),
            why: "it is another client's".to_owned(),
        };
        audit.is_away.store(true, Ordering::Relaxed);
        for tried in 1..=2 {
            sequence.note(attempt.clone()).await;
            // It may have been told to wait no longer.
            for _ in 0..1000 {
                if *audit.tries.lock().unwrap() < tried {
                    tokio::task::yield_now().await;
                }
            }
        }
        assert!(audit.rows.lock().unwrap().is_empty());
        audit.is_away.store(false, Ordering::Relaxed);
        for _ in 0..3 {
            sequence.note(attempt.clone()).await;
        }
        drop(sequence);
        task.await.unwrap();
        assert_eq!(*audit.rows.lock().unwrap(), [attempt], "once in a period, as far as it could be");
        assert_eq!(*audit.tries.lock().unwrap(), 3);
    }
}
