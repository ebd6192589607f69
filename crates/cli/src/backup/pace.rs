//! How fast is copied: pure, told the time.

use std::num::NonZeroU32;
use std::time::Duration;

/// Time that was lost is made up for at most this much: a bound that allows a burst after every pause is none.
const SLACK: Duration = Duration::from_millis(250);

/// MiB a second when nothing is said: as much as `l0 admin verify` reads.
const USUAL: u32 = 64;

/// Spreads copying over time.
#[derive(Debug)]
pub(crate) struct Pace {
    bytes_per_s: u64,
    /// When, after the start, all that was copied so far may have been copied.
    due: Duration,
}

impl Pace {
    /// So many MiB a second.
    pub(crate) fn new(mib_per_s: Option<NonZeroU32>) -> Self {
        Self { bytes_per_s: u64::from(mib_per_s.map_or(USUAL, NonZeroU32::get)) << 20, due: Duration::ZERO }
    }

    /// Notes that so many bytes were copied by `now`, counted from the start, and answers how long to wait before the next.
    pub(crate) fn after(&mut self, bytes: usize, now: Duration) -> Duration {
        let nanos =
            u128::try_from(bytes).unwrap_or(u128::MAX).saturating_mul(1_000_000_000) / u128::from(self.bytes_per_s);
        let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.due = self.due.max(now.saturating_sub(SLACK)).saturating_add(takes);
        self.due.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_and_a_pause_is_not_made_up_for() {
        let mut pace = Pace::new(NonZeroU32::new(10));
        let ms = Duration::from_millis;
        assert_eq!(pace.after(1 << 20, ms(0)), ms(100));
        assert_eq!(pace.after(1 << 20, ms(100)), ms(100));
        assert_eq!(pace.after(1 << 20, ms(400)), ms(0), "a slow disk is not made slower");
        let hour = ms(3_600_000);
        assert_eq!(
            [pace.after(1 << 20, hour), pace.after(1 << 20, hour), pace.after(1 << 20, hour)],
            [ms(0), ms(0), ms(50)]
        );
    }
}
