//! Threads that hash and do nothing else.
//!
//! A hash takes a core for milliseconds and 19 MiB of memory, and anybody who reaches the login page can ask for one.
//! So there are few threads for it, they give way to all others, and a queue that is full refuses at once.
//!
//! A low priority ([`NICE`]) is not enough to go unnoticed: Linux lets whoever runs finish a part of its slice, up to
//! 0.7 ms, before it gives the core to whoever wakes up. Only `SCHED_IDLE` gives way at once.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use argon2::Block;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

/// A tenth of an even share when every core is wanted, all that is left when not.
const NICE: i32 = 10;

/// How the threads give way to others. Only on Linux has a thread a priority of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GivesWay {
    /// In part, by [`NICE`]: whoever wakes up may still wait for the end of a slice.
    InPart,
    /// Whole and at once (`SCHED_IDLE`): nobody notices, and where every core is wanted nothing is done.
    Wholly,
}

/// What hashing works in. Kept from one hash to the next while there is a queue; wiped when it is given back, for it
/// is made of passwords.
pub(super) type Memory = Zeroizing<Vec<Block>>;

type Job = Box<dyn FnOnce(&mut Memory) + Send>;

/// The queue is full, or the pool is gone: come back later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Busy;

/// The threads. They end with the pool, without finishing what waits.
pub(super) struct Pool(Arc<Queue>);

struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    limit: usize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    closed: bool,
}

impl Pool {
    /// Starts the threads; at most `limit` jobs will wait for one.
    pub(super) fn start(threads: usize, limit: usize, gives_way: GivesWay) -> io::Result<Self> {
        let pool = Self(Arc::new(Queue { state: Mutex::default(), arrived: Condvar::new(), limit }));
        for _ in 0..threads {
            let queue = Arc::clone(&pool.0);
            thread::Builder::new().name("passwords".to_owned()).spawn(move || queue.work(gives_way))?;
        }
        Ok(pool)
    }

    /// Runs `job` on one of the threads. Nobody works for a caller who has stopped waiting.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let (reply, answer) = oneshot::channel();
        self.0.add(Box::new(move |memory| {
            if !reply.is_closed() {
                // Whoever stopped waiting meanwhile does not miss it.
                reply.send(job(memory)).ok();
            }
        }))?;
        answer.await.map_err(|_| Busy)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        state.waiting.clear();
        self.0.arrived.notify_all();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, job: Job) -> Result<(), Busy> {
        let mut state = self.lock();
        if state.waiting.len() >= self.limit {
            return Err(Busy);
        }
        state.waiting.push_back(job);
        self.arrived.notify_one();
        Ok(())
    }

    fn work(&self, gives_way: GivesWay) {
        #[cfg(target_os = "linux")]
        give_way(gives_way);
        let mut memory = Memory::default();
        loop {
            let job = self.lock().waiting.pop_front();
            let job = job.or_else(|| {
                memory = Memory::default();
                self.wait()
            });
            let Some(job) = job else { return };
            // Its caller learns of a panic from the missing reply; the thread is still needed.
            catch_unwind(AssertUnwindSafe(|| job(&mut memory))).ok();
        }
    }

    /// The next job; `None` when the pool is gone.
    fn wait(&self) -> Option<Job> {
        let state = self.lock();
        let mut state = self
            .arrived
            .wait_while(state, |state| state.waiting.is_empty() && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        state.waiting.pop_front()
    }
}

/// Lowers the priority of the calling thread.
#[cfg(target_os = "linux")]
fn give_way(gives_way: GivesWay) {
    use rustix::process::{getpriority_process, setpriority_process};
    use thread_priority::{NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy};
    let in_part = || setpriority_process(None, getpriority_process(None).unwrap_or(0).max(NICE));
    let wholly = || {
        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        let thread = thread_priority::thread_native_id();
        thread_priority::set_thread_priority_and_policy(thread, ThreadPriority::Min, idle)
    };
    let lowered = match gives_way {
        GivesWay::InPart => in_part(),
        // A container may forbid it.
        GivesWay::Wholly => wholly().or_else(|_| in_part()),
    };
    if let Err(error) = lowered {
        log::warn!("password hashing runs at full priority: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A job that says when it begins and ends when told.
    fn held(pool: &Arc<Pool>) -> (mpsc::Sender<()>, tokio::task::JoinHandle<Result<(), Busy>>) {
        let (release, released) = mpsc::channel();
        let (start, begun) = mpsc::channel();
        let pool = Arc::clone(pool);
        let running = tokio::spawn(async move {
            let job = move |_: &mut Memory| {
                start.send(()).unwrap();
                released.recv().unwrap();
            };
            pool.run(job).await
        });
        begun.recv().unwrap();
        (release, running)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn x9_a_full_queue_refuses_at_once_and_what_waits_is_answered() {
        let pool = Arc::new(Pool::start(1, 2, GivesWay::InPart).unwrap());
        let (release, running) = held(&pool);
        let mut waiting = Vec::new();
        for number in 0..2 {
            let shared = Arc::clone(&pool);
            waiting.push(tokio::spawn(async move { shared.run(move |_| number).await }));
            while pool.0.lock().waiting.len() <= number {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(pool.run(|_| 2).await, Err(Busy));
        release.send(()).unwrap();
        assert_eq!(running.await.unwrap(), Ok(()));
        for (number, waiting) in waiting.into_iter().enumerate() {
            assert_eq!(waiting.await.unwrap(), Ok(number));
        }
        assert_eq!(pool.run(|_| 3).await, Ok(3));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nobody_works_for_a_caller_who_has_left() {
        let pool = Arc::new(Pool::start(1, 2, GivesWay::InPart).unwrap());
        let (release, running) = held(&pool);
        let (done, was_done) = mpsc::channel();
        let shared = Arc::clone(&pool);
        let leaves = tokio::spawn(async move { shared.run(move |_| done.send(())).await });
        while pool.0.lock().waiting.is_empty() {
            tokio::task::yield_now().await;
        }
        leaves.abort();
        leaves.await.unwrap_err();
        release.send(()).unwrap();
        running.await.unwrap().unwrap();
        assert_eq!(pool.run(|_| ()).await, Ok(()));
        assert_eq!(was_done.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    }

    #[tokio::test]
    async fn a_job_that_panics_takes_no_thread_with_it() {
        let pool = Pool::start(1, 1, GivesWay::InPart).unwrap();
        let panics = pool.run(|_| panic!("on purpose")).await;
        assert_eq!(panics, Err::<(), _>(Busy));
        assert_eq!(pool.run(|_| 1).await, Ok(1));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_threads_give_way_and_no_other_does() {
        use rustix::process::getpriority_process;
        let before = getpriority_process(None).unwrap();
        let pool = Pool::start(1, 1, GivesWay::InPart).unwrap();
        let inside = pool.run(|_| getpriority_process(None).unwrap()).await;
        assert_eq!(inside, Ok(before.max(NICE)));
        assert_eq!(getpriority_process(None).unwrap(), before);
    }

    /// The scheduling policy of the calling thread (proc(5), `/proc/pid/stat`).
    #[cfg(target_os = "linux")]
    fn policy() -> Option<u32> {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(38)?.parse().ok()
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn threads_that_give_way_wholly_run_when_nobody_else_wants_to() {
        const SCHED_IDLE: u32 = 5;
        let before = policy();
        let pool = Pool::start(1, 1, GivesWay::Wholly).unwrap();
        assert_eq!(pool.run(|_| policy()).await, Ok(Some(SCHED_IDLE)));
        assert_eq!(policy(), before);
    }

    #[tokio::test]
    async fn memory_is_given_back_when_nothing_waits() {
        let pool = Pool::start(1, 1, GivesWay::InPart).unwrap();
        pool.run(|memory| memory.resize(8, Block::default())).await.unwrap();
        // The thread may look for more work before it gives memory back, and find the question.
        while pool.run(|memory| memory.len()).await != Ok(0) {
            tokio::task::yield_now().await;
        }
    }
}
