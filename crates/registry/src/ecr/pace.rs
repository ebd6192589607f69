//! How fast ECR is asked to take things in. Its quotas for that are small, and are the account's: what goes over them is
//! answered with 429, which some clients take for a failure. So requests wait here instead.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What has a quota of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taking {
    /// Manifests: `PutImage`.
    Manifest,
    /// The begin of a layer: `InitiateLayerUpload`.
    Begin,
    /// The end of a layer: `CompleteLayerUpload`.
    Complete,
}

/// Requests a second (ECR user guide, "Service quotas": 10, 100 and 100 a region). A fifth is left to others in the account,
/// and to other servers of the instance.
const RATES: [f64; 3] = [8.0, 80.0, 80.0];

/// A bucket for each, which may be overdrawn: whoever takes what isn't there yet waits for it, in the order of coming.
#[derive(Debug)]
pub(crate) struct Pace {
    buckets: [Mutex<(f64, Instant)>; 3],
}

impl Pace {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { buckets: RATES.map(|rate| Mutex::new((rate, now))) }
    }

    /// Waits until it may be done once more.
    pub(crate) async fn turn(&self, what: Taking) {
        let wait = self.take(what, Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    fn take(&self, what: Taking, now: Instant) -> Duration {
        let rate = RATES[what as usize];
        let mut bucket = self.buckets[what as usize].lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(bucket.1).as_secs_f64();
        let left = (bucket.0 + passed * rate).min(rate) - 1.0;
        *bucket = (left, now.max(bucket.1));
        if left >= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(-left / rate) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_second_has_more_than_the_quota_after_the_first_burst() {
        let pace = Pace::new();
        let start = Instant::now();
        let waits: Vec<Duration> = (0..24).map(|_| pace.take(Taking::Manifest, start)).collect();
        assert_eq!(waits[7], Duration::ZERO, "a burst goes at once");
        assert_eq!(waits[8].as_millis(), 125);
        assert_eq!(waits[23].as_millis(), 2000);
        assert_eq!(pace.take(Taking::Begin, start), Duration::ZERO, "each has its own");
        assert_eq!(pace.take(Taking::Manifest, start + Duration::from_secs(9)), Duration::ZERO, "it fills again");
    }
}
