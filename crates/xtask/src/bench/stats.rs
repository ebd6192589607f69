//! Medians, percentiles, and waiting for something.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// The middle value; of an even number the upper one of both. Not a number when there is none.
pub(crate) fn median(values: &[f64]) -> f64 {
    percentile(values, 50.0)
}

/// What something came to in turns with something else, of which the n-th turns belong together: the middle of their ratios, for
/// what the other came to in the middle. A machine that is shared becomes another one in between; a round sees one of them.
pub(crate) fn paired(values: &[f64], others: &[f64]) -> f64 {
    let ratios: Vec<f64> = values.iter().zip(others).map(|(value, other)| value / other).collect();
    median(&ratios) * median(others)
}

/// The value below which `percent` of the others lie. Not a number when there is none.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index into some thousand values"
)]
pub(crate) fn percentile(values: &[f64], percent: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let index = (sorted.len() as f64 * percent / 100.0) as usize;
    sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// The largest value.
pub(crate) fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NAN, f64::max)
}

/// A duration in milliseconds.
pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Waits for other processes, which can only be looked at again and again.
#[expect(clippy::disallowed_methods, reason = "what other processes do can't be awaited")]
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// Looks every few milliseconds until there is something to see, at most for `limit`.
pub(crate) fn until<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(seen) = look()? {
            return Ok(seen);
        }
        if Instant::now() > end {
            bail!("waited {} s in vain for {what}", limit.as_secs());
        }
        pause(Duration::from_millis(5));
    }
}

/// Does `work` for each of the numbers below `count`, on `threads` threads; stops at the first error.
pub(crate) fn in_parallel(threads: usize, count: usize, work: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let worker = || -> Result<()> {
        loop {
            let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if number >= count {
                return Ok(());
            }
            work(number).inspect_err(|_| next.store(count, std::sync::atomic::Ordering::Relaxed))?;
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker that panics has said why"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn middle_and_edge() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert!((median(&values) - 51.0).abs() < f64::EPSILON);
        assert!((percentile(&values, 99.0) - 100.0).abs() < f64::EPSILON);
        assert!((largest(&values) - 100.0).abs() < f64::EPSILON);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_machine_that_slows_down_changes_no_ratio() {
        // Three times as slow from the second turn of one of them on.
        let (others, values) = ([90.0, 90.0, 30.0, 30.0, 30.0], [45.0, 15.0, 15.0, 15.0, 15.0]);
        assert!((paired(&values, &others) - 15.0).abs() < f64::EPSILON, "half of the other's 30");
        assert!((paired(&others, &others) - 30.0).abs() < f64::EPSILON);
        assert!(paired(&[], &[]).is_nan());
    }

    #[test]
    fn the_first_error_stops_all() {
        let done = std::sync::atomic::AtomicUsize::new(0);
        let work = |number: usize| {
            done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if number == 3 { bail!("three") } else { Ok(()) }
        };
        assert_eq!(in_parallel(1, 100, work).map_err(|why| why.to_string()), Err("three".to_owned()));
        assert_eq!(done.into_inner(), 4);
    }
}
