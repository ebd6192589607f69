//! How fast is read: pure, told the time.

use std::num::NonZeroU32;
use std::time::Duration;

const MIB: u64 = 1 << 20;

/// Time that was lost (the disk was slow, the machine slept) is made up for at most this much: a bound on the rate that
/// allows a burst after every pause is none.
const SLACK: Duration = Duration::from_millis(250);

/// How much may be read a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    mib_per_s: NonZeroU32,
}

impl Rate {
    /// So many MiB a second.
    #[must_use]
    pub fn mib_per_s(mib_per_s: NonZeroU32) -> Self {
        Self { mib_per_s }
    }

    /// MiB a second.
    #[must_use]
    pub fn as_mib_per_s(self) -> u32 {
        self.mib_per_s.get()
    }
}

impl Default for Rate {
    /// 64 MiB a second: half of what a slow disk gives, a tenth of a core for hashing, and a TiB in five hours.
    fn default() -> Self {
        Self::mib_per_s(NonZeroU32::new(64).expect("64 is not 0"))
    }
}

/// Spreads reading over time.
#[derive(Debug)]
pub(crate) struct Pace {
    bytes_per_s: u64,
    /// When, after the start, all that was read so far may have been read.
    due: Duration,
}

impl Pace {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { bytes_per_s: u64::from(rate.mib_per_s.get()) * MIB, due: Duration::ZERO }
    }

    /// Notes that so many bytes were read by `now`, counted from the start, and answers how long to wait before the next.
    pub(crate) fn after(&mut self, bytes: usize, now: Duration) -> Duration {
        let nanos = u128::try_from(bytes).expect("a length fits") * 1_000_000_000 / u128::from(self.bytes_per_s);
        let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.due = self.due.max(now.saturating_sub(SLACK)).saturating_add(takes);
        self.due.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(mib_per_s: u32) -> Pace {
        Pace::new(Rate::mib_per_s(NonZeroU32::new(mib_per_s).expect("not 0")))
    }

    const MIB: usize = super::MIB as usize;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn what_was_read_at_once_is_waited_for() {
        let mut pace = pace(10);
        assert_eq!(pace.after(MIB, ms(0)), ms(100));
        assert_eq!(pace.after(MIB, ms(0)), ms(200), "nobody waited");
        assert_eq!(pace.after(MIB, ms(250)), ms(50));
        assert_eq!(pace.after(0, ms(300)), ms(0));
    }

    #[test]
    fn a_slow_disk_is_not_made_slower() {
        let mut pace = pace(10);
        for step in 1..100 {
            assert_eq!(pace.after(MIB, ms(step * 100)), ms(0), "100 ms for each MiB is the rate");
        }
    }

    #[test]
    fn a_pause_is_not_made_up_for() {
        let mut pace = pace(10);
        pace.after(MIB, ms(0));
        // An hour later: 2.5 MiB of slack, and not 36,000 MiB.
        let hour = ms(3_600_000);
        assert_eq!([pace.after(MIB, hour), pace.after(MIB, hour)], [ms(0), ms(0)]);
        assert_eq!(pace.after(MIB, hour), ms(50));
    }

    #[test]
    fn over_a_long_time_the_rate_is_kept_to_the_byte() {
        let mut pace = pace(64);
        let (mut now, mut read) = (Duration::ZERO, 0_u64);
        for step in 0..10_000_usize {
            let bytes = (step * 7_919) % MIB + 1;
            read += bytes as u64;
            now += pace.after(bytes, now);
        }
        let allowed = now.as_secs_f64() * 64.0 * MIB as f64;
        assert!((read as f64 - allowed).abs() < MIB as f64, "{read} of {allowed}");
    }

    #[test]
    fn no_number_is_too_large() {
        let mut pace = pace(1);
        assert!(pace.after(usize::MAX, Duration::MAX) > Duration::ZERO || pace.due == Duration::MAX);
        assert_eq!(Rate::default().as_mib_per_s(), 64);
    }
}
