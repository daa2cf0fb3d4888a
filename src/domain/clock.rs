//! Time as a parameter: what the wall clock says, and how long the machine has been up.
//!
//! Nothing else in the project reads a clock (`clippy.toml` forbids it). Wall time stamps tokens;
//! boot time measures leases, because it neither jumps nor stops while the machine is suspended.
#![expect(clippy::disallowed_methods, reason = "this is the one place that reads the clocks")]

use std::fmt;
use std::ops::{Add, Sub};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment on the wall clock, in whole seconds since 1970-01-01T00:00:00Z (`NumericDate` of
/// RFC 7519 §2, the unit of `exp` and `iat`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Self(seconds)
    }

    pub const fn unix_seconds(self) -> i64 {
        self.0
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    /// Whole seconds are added; a sum beyond the range stays at its end.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)))
    }
}

impl Sub for Timestamp {
    type Output = Duration;

    /// How long `self` is after `earlier`; zero if it is not.
    fn sub(self, earlier: Self) -> Duration {
        Duration::from_secs(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    /// Whole seconds are taken away; a difference beyond the range stays at its end.
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How much longer than its end something counts as needed: the wall clocks of replicas differ, and
/// whose is ahead must not forget what another still answers for.
pub const CLOCK_SLACK: Duration = Duration::from_secs(60);

/// The longest lease: also the longest that anybody waits for a replica that died.
pub const MAX_LEASE: Duration = Duration::from_secs(3600);

/// Time since the machine booted, suspension included (`CLOCK_BOOTTIME`).
///
/// Only ever compared with boot times of the same machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootTime(Duration);

impl BootTime {
    pub const fn from_duration(since_boot: Duration) -> Self {
        Self(since_boot)
    }

    pub const fn as_duration(self) -> Duration {
        self.0
    }
}

impl Add<Duration> for BootTime {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

impl Sub for BootTime {
    type Output = Duration;

    /// How long `self` is after `earlier`; zero if it is not.
    fn sub(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Where time comes from.
pub trait Clock: Send + Sync {
    /// The wall clock in milliseconds since 1970-01-01T00:00:00Z.
    fn unix_millis(&self) -> i64;

    /// The boot-time clock. Never decreases.
    fn boot(&self) -> BootTime;

    /// The wall clock in whole seconds, rounded down: an `iat` never lies in the future.
    fn now(&self) -> Timestamp {
        Timestamp(self.unix_millis().div_euclid(1000))
    }
}

/// The clocks of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn unix_millis(&self) -> i64 {
        // Through the C library, where a test can give one process a wrong clock. The boot clock
        // below asks the kernel itself.
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis),
        }
    }

    fn boot(&self) -> BootTime {
        // Elsewhere than on Linux the monotonic clock is the one that runs through a suspension
        // (macOS), or the nearest there is.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let id = rustix::time::ClockId::Boottime;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let id = rustix::time::ClockId::Monotonic;
        let time = rustix::time::clock_gettime(id);
        BootTime(Duration::new(
            u64::try_from(time.tv_sec).unwrap_or(0),
            u32::try_from(time.tv_nsec).unwrap_or(0),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_never_go_below_zero() {
        let early = Timestamp::from_unix_seconds(10);
        let late = early + Duration::from_secs(5);
        assert_eq!(late - early, Duration::from_secs(5));
        assert_eq!(early - late, Duration::ZERO);
        assert_eq!(early + Duration::MAX, Timestamp::from_unix_seconds(i64::MAX));
    }

    #[test]
    fn boot_time_does_not_decrease() {
        let first = SystemClock.boot();
        assert!(SystemClock.boot() >= first);
        assert!(SystemClock.now() > Timestamp::from_unix_seconds(1_600_000_000));
    }
}
