//! Bytes both ways: raw TCP listeners, and connections after an upgrade.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};
use tokio::time::{Instant, sleep, sleep_until};

use super::activity::Activity;
use super::listener::Closing;

/// Buffer for each way.
const BUFFER: usize = 16 * 1024;

/// Copies until both sides have ended, one broke, nothing moved for `idle_timeout`, or `grace` after the listener began to close.
pub(super) async fn run(
    a: impl AsyncRead + AsyncWrite + Unpin,
    b: impl AsyncRead + AsyncWrite + Unpin,
    idle_timeout: Duration,
    closing: &Closing,
    grace: Duration,
) {
    let activity = Activity::new();
    let mut a = Watched { io: a, activity: &activity };
    let mut b = Watched { io: b, activity: &activity };
    tokio::select! {
        // How a side ended is the two ends' business; both are closed.
        _ = copy_bidirectional_with_sizes(&mut a, &mut b, BUFFER, BUFFER) => {}
        () = idle(&activity, idle_timeout) => {}
        () = async { closing.wait().await; sleep(grace).await } => {}
    }
}

async fn idle(activity: &Activity, idle_timeout: Duration) {
    loop {
        let end = activity.last() + idle_timeout;
        if end <= Instant::now() {
            return;
        }
        sleep_until(end).await;
    }
}

/// Notes when something was read.
struct Watched<'a, T> {
    io: T,
    activity: &'a Activity,
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<'_, T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let result = ready!(Pin::new(&mut self.io).poll_read(cx, buf));
        self.activity.touch(Instant::now());
        Poll::Ready(result)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<'_, T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
