//! The one snapshot that a replica's workers see, and who may replace it.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;

use super::snapshot::Snapshot;
use crate::domain::clock::BootTime;

/// Holds the newest snapshot, read by everybody. Written by the replica's one lease task, and by a renewal that this gave
/// up and that comes late; so whoever writes holds a lock, and positions never go back.
pub struct Published<V> {
    newest: ArcSwapOption<Snapshot<V>>,
    /// Held while one replaces it, so that it is compared and replaced in one step.
    writer: Mutex<()>,
    /// The newest version of grant records that every replica read, when they were last looked at.
    record_version: AtomicU8,
}

impl<V> Default for Published<V> {
    fn default() -> Self {
        Self { newest: ArcSwapOption::empty(), writer: Mutex::default(), record_version: AtomicU8::default() }
    }
}

impl<V: Clone> Published<V> {
    /// The newest snapshot, whether or not its lease still runs; `None` before the first.
    pub fn newest(&self) -> Option<Arc<Snapshot<V>>> {
        self.newest.load_full()
    }

    /// Looks at the newest snapshot without taking a share in it: the count of shares is one place
    /// in memory, over which the workers' cores would quarrel at every request.
    pub(super) fn look<T>(&self, at: impl FnOnce(Option<&Arc<Snapshot<V>>>) -> T) -> T {
        at(self.newest.load().as_ref())
    }

    /// Replaces the snapshot. Positions never go back: an older one is not published, and the
    /// newest is returned either way.
    pub(super) fn publish(&self, snapshot: Snapshot<V>) -> Arc<Snapshot<V>> {
        let _writing = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(newest) = self.newest()
            && newest.position.number > snapshot.position.number
        {
            return newest;
        }
        let snapshot = Arc::new(snapshot);
        self.newest.store(Some(Arc::clone(&snapshot)));
        snapshot
    }

    pub(super) fn record_version(&self) -> u8 {
        self.record_version.load(Ordering::Relaxed)
    }

    pub(super) fn set_record_version(&self, version: u8) {
        self.record_version.store(version, Ordering::Relaxed);
    }

    /// Publishes the same state with another end of its lease.
    pub(super) fn set_deadline(&self, deadline: BootTime) {
        if let Some(newest) = self.newest() {
            self.publish(Snapshot { deadline, ..Snapshot::clone(&newest) });
        }
    }
}
