//! When a connection last moved something, and whether it is being answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

/// Shared by a connection's socket, its requests and its watchdog.
#[derive(Debug)]
pub(super) struct Activity {
    start: Instant,
    /// Milliseconds after `start`.
    last: AtomicU64,
    running: AtomicUsize,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), last: AtomicU64::new(0), running: AtomicUsize::new(0) }
    }

    pub(super) fn touch(&self, now: Instant) {
        let passed = now.saturating_duration_since(self.start).as_millis();
        self.last.store(u64::try_from(passed).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn last(&self) -> Instant {
        self.start + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed) > 0
    }
}

/// A request that is being answered, until it is dropped.
#[derive(Debug)]
pub(super) struct Running<T: AsRef<Activity>> {
    of: Arc<T>,
    /// Its place beside others of the same connection; goes with it.
    _place: Option<OwnedSemaphorePermit>,
}

impl<T: AsRef<Activity>> Running<T> {
    pub(super) fn new(of: &Arc<T>, now: Instant, place: Option<OwnedSemaphorePermit>) -> Self {
        let activity = of.as_ref().as_ref();
        activity.touch(now);
        activity.running.fetch_add(1, Ordering::Relaxed);
        Self { of: Arc::clone(of), _place: place }
    }
}

impl<T: AsRef<Activity>> Drop for Running<T> {
    fn drop(&mut self) {
        (*self.of).as_ref().running.fetch_sub(1, Ordering::Relaxed);
    }
}
