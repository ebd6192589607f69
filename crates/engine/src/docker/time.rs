//! Time that only goes forward, for back-off and patience: a clock that is set must not make copies look late.

use std::sync::Arc;
use std::time::{Duration, Instant};

use layer0_domain::model::time::Timestamp;
use layer0_domain::port::clock::Clock;

/// The clock as it was at the start, plus the time that passed since.
pub(super) struct Ticker {
    base: Timestamp,
    started: Instant,
}

impl Ticker {
    pub(super) fn start(clock: &Arc<dyn Clock>) -> Self {
        Self { base: clock.now(), started: Instant::now() }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.base.plus_ms(i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    /// How long until a moment; zero for one that is past.
    pub(super) fn until(&self, at: Timestamp) -> Duration {
        Duration::from_millis(at.ms_since(self.now()))
    }
}
