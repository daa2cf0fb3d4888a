//! Waiting for a condition, never for a time.

use std::thread;
use std::time::{Duration, Instant};

/// How often a condition is looked at: short beside anything that a test measures.
const PAUSE: Duration = Duration::from_millis(5);

/// What `probe` found, or a panic that names `what` when it found nothing within `limit`.
pub fn until<T>(what: &str, limit: Duration, probe: impl FnMut() -> Option<T>) -> T {
    try_until(limit, probe).unwrap_or_else(|| panic!("not within {limit:?}: {what}"))
}

/// What `probe` found within `limit`.
pub fn try_until<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = probe() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(PAUSE);
    }
}

/// Waits until `condition` holds.
pub fn until_true(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    until(what, limit, || condition().then_some(()));
}

/// Holds if `condition` is true for all of `span`; for what must *not* happen.
pub fn stays_true(span: Duration, mut condition: impl FnMut() -> bool) -> bool {
    try_until(span, || (!condition()).then_some(())).is_none()
}
