//! Time as a value. The clock itself is a port.

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This moment and `ms` milliseconds more.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this moment; 0 when `earlier` is later.
    #[must_use]
    pub fn ms_since(self, earlier: Timestamp) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// Whether `earlier` was less than `ms` milliseconds ago. A moment that is still to come was noted before the clock was set back,
    /// nobody knows how long ago: so it was not. What is remembered for a while ends with such a jump, and does not last as long as
    /// the clock went back.
    #[must_use]
    pub fn is_within(self, ms: u64, earlier: Timestamp) -> bool {
        earlier <= self && self.ms_since(earlier) < ms
    }
}

/// Counts the changes to one thing. A write names the generation that it read; when another write came first, the
/// numbers differ and the write is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// The generation after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_that_is_still_to_come_is_within_nothing() {
        let within = |now, earlier| Timestamp(now).is_within(10, Timestamp(earlier));
        assert!(within(5, 5) && within(14, 5));
        assert!(!within(15, 5) && !within(4, 5));
        assert!(!Timestamp(i64::MIN).is_within(u64::MAX, Timestamp(i64::MAX)));
    }
}
