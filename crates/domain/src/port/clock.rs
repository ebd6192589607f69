//! Time and randomness from outside.

use crate::model::time::Timestamp;

/// The clock and the source of randomness. Both in one port: whoever fixes one in a test fixes the other.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Random bytes, good enough for secrets: from the operating system's source, never from a seeded generator (but in
    /// tests).
    fn random(&self) -> [u8; 32];
}

/// Comfort on top of [`Clock`].
pub trait ClockExt: Clock {
    /// 64 random bits, for ids.
    fn random_u64(&self) -> u64 {
        let bytes = self.random();
        u64::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]])
    }
}

impl<T: Clock + ?Sized> ClockExt for T {}
