//! File work off the async threads.

use std::io;

use tokio::runtime::Handle;

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

/// Drops what takes long to be dropped, and for which nobody waits, on a thread that may block; here where there is no runtime.
pub(crate) fn drop_elsewhere<T: Send + 'static>(what: T) {
    match Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(move || drop(what))),
        Err(_) => drop(what),
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
