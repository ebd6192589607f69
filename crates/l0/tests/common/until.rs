//! Waiting for a condition.

use std::time::{Duration, Instant};

/// From look to look.
const INTERVAL: Duration = Duration::from_millis(50);

/// How long a condition may take, on a machine that is busy with other tests.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Looks again and again until `look` has an answer.
///
/// # Panics
/// After [`LIMIT`], with what the last look said.
#[track_caller]
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Result<T, String>) -> T {
    until_within(LIMIT, what, look)
}

/// [`until`] with a limit of its own.
#[track_caller]
pub(crate) fn until_within<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let since = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(last) if since.elapsed() > limit => panic!("waited {limit:?} for {what}; at last: {last}"),
            Err(_) => pause(),
        }
    }
}

/// A condition's next look is not worth a busy processor.
#[expect(clippy::disallowed_methods, reason = "the one pause between two looks at processes that can't notify us")]
fn pause() {
    std::thread::sleep(INTERVAL);
}
