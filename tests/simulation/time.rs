//! Time that passes only when the scheduler says so, and clocks that disagree about it.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use symbolon::domain::clock::{BootTime, Clock};

use crate::rng::Rng;

/// The longest lease, and most are that long. Everything else is measured by it.
pub const LEASE: Duration = Duration::from_secs(1);

/// True time, which nobody in the simulation can see.
#[derive(Default)]
pub struct Time {
    micros: AtomicU64,
    /// When the task that is being polled wants to go on; zero when it did not say.
    alarm: AtomicU64,
}

impl Time {
    pub fn micros(&self) -> u64 {
        self.micros.load(Ordering::Relaxed)
    }

    pub fn take_alarm(&self) -> u64 {
        self.alarm.swap(0, Ordering::Relaxed)
    }

    pub fn pass(&self, time: Duration) {
        self.micros.fetch_add(u64::try_from(time.as_micros()).unwrap_or(0), Ordering::Relaxed);
    }
}

/// The clock of one machine: it was started at its own moment and runs at its own speed. The fastest and the
/// slowest are less than a tenth apart, which is what a lease of 0.9 L allows for.
#[derive(Clone)]
pub struct MachineClock {
    pub time: Arc<Time>,
    /// From 950 to 1050.
    pub per_mille: u64,
    pub booted: Duration,
    /// How far the wall clock is off, in milliseconds.
    pub skew: i64,
    pub rng: Arc<Rng>,
}

impl MachineClock {
    /// A look from outside the simulation: it rolls no dice.
    pub fn shown(&self) -> BootTime {
        let shown = Duration::from_micros(self.time.micros() * self.per_mille / 1000);
        BootTime::from_duration(self.booted + shown)
    }
}

impl Clock for MachineClock {
    fn unix_millis(&self) -> i64 {
        let millis = i64::try_from(self.time.micros() / 1000).unwrap_or(i64::MAX);
        1_700_000_000_000 + millis + self.skew
    }

    /// Now and then whoever asks is held up before the clock is read: a thread is no faster than its kernel
    /// lets it be.
    fn boot(&self) -> BootTime {
        if self.rng.below(200) == 0 {
            self.time.pass(LEASE / 20);
        }
        self.shown()
    }
}

/// A scheduling point: anything may happen before the task goes on.
pub async fn breathe() {
    let mut breathed = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut breathed, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Sleeps on a machine's own clock. Nobody wakes the task: [`Time::take_alarm`] tells the scheduler when.
pub async fn pause(clock: &MachineClock, length: Duration) {
    let end = clock.boot() + length;
    poll_fn(|_| {
        let left = end - clock.boot();
        if left.is_zero() {
            return Poll::Ready(());
        }
        let micros = u64::try_from(left.as_micros()).unwrap_or(0);
        clock.time.alarm.store(clock.time.micros() + micros * 1000 / clock.per_mille + 1, Ordering::Relaxed);
        Poll::Pending
    })
    .await;
}
