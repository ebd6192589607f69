//! Awaiting a condition instead of sleeping.

use std::fmt::Display;
use std::future::Future;
use std::time::{Duration, Instant};

/// From one look to the next.
const INTERVAL: Duration = Duration::from_millis(10);

/// How long a condition may take. Long, because it is only ever waited out by a test that fails.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Looks until the answer is `Ok`, and gives what is in it. An `Err` says what was seen instead.
///
/// # Panics
/// When the condition does not come true in [`LIMIT`]; the message says what was waited for and what was seen last.
pub async fn until<T, S, F>(what: impl Display, mut look: impl FnMut() -> F) -> T
where
    S: Display,
    F: Future<Output = Result<T, S>>,
{
    let began = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) => {
                let waited = began.elapsed();
                assert!(waited < LIMIT, "waited {waited:.1?} for: {what}\nseen last: {seen}");
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Looks until the answer is yes.
///
/// # Panics
/// As [`until`].
pub async fn until_true<F: Future<Output = bool>>(what: impl Display, mut look: impl FnMut() -> F) {
    until(what, || {
        let answer = look();
        async move { if answer.await { Ok(()) } else { Err("not yet") } }
    })
    .await;
}

/// Awaits a future that has to end.
///
/// # Panics
/// When it does not in [`LIMIT`]; the message says what was waited for.
pub async fn ends<T>(what: impl Display, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LIMIT, future).await {
        Ok(answer) => answer,
        Err(_) => panic!("waited {LIMIT:?} for: {what}"),
    }
}
