//! How late answers are, as data.
//!
//! AWS publishes no figures for the calls that Layer0 makes. What is certain of their shape is that most answers take tens of
//! milliseconds, that changes take longer than looks, and that a few take many times as long as most: a log-normal
//! distribution has that shape, with a median and one number for how long its tail is.

use super::world::Random;

/// How late the answers to looks and to changes are.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Latency {
    /// Calls that only read.
    pub reads: Delay,
    /// All other calls.
    pub writes: Delay,
}

/// How late answers are.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Delay {
    /// Half of them are at most this late, in milliseconds; 0: none is late.
    pub median_ms: f64,
    /// The standard deviation of the delay's logarithm; 0: all are as late as the median. With 0.5 one in a hundred takes
    /// more than 3.2 times the median, with 1.0 more than 10 times.
    pub spread: f64,
}

/// No answer is later than so many times the median: a client's patience ends somewhere, and so does a run.
const MOST: f64 = 50.0;

impl Latency {
    /// As far as one can say from outside: looks take 40 ms and changes 120 ms as a rule; of a hundred one takes more than
    /// three times as long.
    #[must_use]
    pub const fn lifelike() -> Self {
        Self { reads: Delay { median_ms: 40.0, spread: 0.5 }, writes: Delay { median_ms: 120.0, spread: 0.5 } }
    }

    /// How late the next answer to an operation is, in milliseconds.
    pub(crate) fn draw_ms(&self, operation: &str, random: &mut Random) -> u64 {
        let reads = ["Describe", "List", "Get", "Batch", "Filter", "Simulate"];
        let delay = if reads.iter().any(|verb| operation.starts_with(verb)) { self.reads } else { self.writes };
        delay.draw_ms(random)
    }
}

impl Delay {
    fn draw_ms(self, random: &mut Random) -> u64 {
        if self.median_ms <= 0.0 {
            return 0;
        }
        // Box and Muller: two even numbers make one of the normal distribution.
        let (radius, turn) = (even(random), even(random));
        let normal = (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * turn).cos();
        let delay_ms = self.median_ms * (self.spread * normal).exp().min(MOST);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most some thousand, and not less than 0"
        )]
        let whole_ms = delay_ms.round() as u64;
        whole_ms
    }
}

/// An even number above 0, up to 1.
fn even(random: &mut Random) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits are what fits")]
    let number = ((random.next() >> 11) + 1) as f64;
    number / 9_007_199_254_740_992.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(latency: Latency, operation: &str) -> Vec<u64> {
        let mut random = Random::new(7);
        let mut all: Vec<u64> = (0..10_000).map(|_| latency.draw_ms(operation, &mut random)).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn half_are_below_the_median_and_one_in_a_hundred_is_far_above() {
        let reads = draws(Latency::lifelike(), "DescribeTasks");
        assert!((38..=42).contains(&reads[5_000]), "{}", reads[5_000]);
        assert!((115..=140).contains(&reads[9_900]), "{}", reads[9_900]);
        let writes = draws(Latency::lifelike(), "UpdateService");
        assert!((114..=126).contains(&writes[5_000]), "{}", writes[5_000]);
    }

    #[test]
    fn nothing_is_late_unless_it_is_asked_for() {
        assert_eq!(draws(Latency::default(), "DescribeTasks").last(), Some(&0));
    }

    #[test]
    fn the_same_seed_is_late_in_the_same_way() {
        assert_eq!(draws(Latency::lifelike(), "RunTask"), draws(Latency::lifelike(), "RunTask"));
    }
}
