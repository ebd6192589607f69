//! File work off the async threads.

use std::io;

/// Runs `work` on a thread that may block. A panic in it goes on in the caller; a runtime that is shutting down is an
/// error.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(io::Error::other("the server is stopping")),
        },
    }
}

/// Runs `work` to its end even when the caller goes away: a client that hangs up must not leave a commit half done.
pub(crate) async fn to_the_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> io::Result<T> {
    match tokio::spawn(work).await {
        Ok(value) => Ok(value),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(io::Error::other("the server is stopping")),
        },
    }
}
