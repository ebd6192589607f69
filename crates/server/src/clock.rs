//! The real clock and the real source of randomness.

use std::time::{SystemTime, UNIX_EPOCH};

use layer0_domain::model::time::Timestamp;
use layer0_domain::port::clock::Clock;

/// The system's clock and random source.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn random(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the kernel's random source answers once the machine has started");
        bytes
    }
}
