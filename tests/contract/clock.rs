//! A clock that stands still until it is told to go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use symbolon::domain::clock::{BootTime, Clock};

/// Where every manual clock begins, in Unix seconds: long ago, for where the clock of SQL is behind
/// a replica's own, it is SQL's that counts.
pub const START: i64 = 1_600_000_000;

/// Wall clock and boot time of one machine, moved by hand.
#[derive(Debug)]
pub struct ManualClock {
    millis: AtomicI64,
    /// By how much it was set: what boot time does not follow.
    set_by: AtomicI64,
}

impl ManualClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { millis: AtomicI64::new(START * 1000), set_by: AtomicI64::new(0) })
    }

    pub fn advance(&self, by: Duration) {
        self.millis.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Somebody sets the wall clock so many seconds further, or back, in no time.
    pub fn set_by(&self, seconds: i64) {
        self.set_by.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn unix_millis(&self) -> i64 {
        self.millis.load(Ordering::SeqCst) + self.set_by.load(Ordering::SeqCst)
    }

    fn boot(&self) -> BootTime {
        let since_start = self.millis.load(Ordering::SeqCst) - START * 1000;
        BootTime::from_duration(Duration::from_millis(u64::try_from(since_start).unwrap()))
    }
}
