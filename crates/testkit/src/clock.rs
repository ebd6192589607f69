//! Clocks for tests.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use layer0_domain::model::time::Timestamp;
use layer0_domain::port::clock::Clock;

/// A clock that stands still until it is told otherwise, with random bytes that are the same in every run: those of the
/// first call, those of the second, and so on, all different.
#[derive(Debug)]
pub struct FixedClock {
    now_ms: AtomicI64,
    random: Random,
}

impl FixedClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self { now_ms: AtomicI64::new(now.0), random: Random::default() }
    }

    /// Sets the time, backwards too.
    pub fn set(&self, now: Timestamp) {
        self.now_ms.store(now.0, Ordering::SeqCst);
    }

    /// Sets the clock forward.
    pub fn advance_ms(&self, ms: i64) {
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Default for FixedClock {
    /// 2024-01-01T00:00:00Z.
    fn default() -> Self {
        Self::at(Timestamp(1_704_067_200_000))
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now_ms.load(Ordering::SeqCst))
    }

    fn random(&self) -> [u8; 32] {
        self.random.next()
    }
}

/// The machine's time, with the random bytes of a [`FixedClock`].
#[derive(Debug, Default)]
pub struct RunningClock {
    random: Random,
}

impl Clock for RunningClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn random(&self) -> [u8; 32] {
        self.random.next()
    }
}

/// Numbered blocks of bytes that look random.
#[derive(Debug, Default)]
struct Random {
    calls: AtomicU64,
}

impl Random {
    fn next(&self) -> [u8; 32] {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let mut bytes = [0; 32];
        for (word, chunk) in (0..).zip(bytes.chunks_exact_mut(8)) {
            chunk.copy_from_slice(&mix(call * 4 + word).to_le_bytes());
        }
        bytes
    }
}

/// SplitMix64: one to one, so that no two words are the same.
fn mix(seed: u64) -> u64 {
    let mut word = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_what_it_was_set_to() {
        let clock = FixedClock::at(Timestamp(5));
        clock.advance_ms(10);
        assert_eq!(clock.now(), Timestamp(15));
        clock.set(Timestamp(1));
        assert_eq!(clock.now(), Timestamp(1));
    }

    #[test]
    fn random_bytes_repeat_in_the_next_run_only() {
        let (one, other) = (FixedClock::default(), FixedClock::default());
        let first = one.random();
        assert_eq!(first, other.random());
        assert_ne!(first, one.random());
    }
}
