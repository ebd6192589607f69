//! A socket to a target, as hyper's client sees it, and what is to be known of it besides.

use std::io::{self, ErrorKind, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::ExchangeError;
use crate::docker::proxy::activity::Activity;

/// What is known of one connection. Both who holds the connection and the task that drives it live on one thread.
#[derive(Debug)]
pub(super) struct Gauge {
    /// Whether to ask the kernel before the next read.
    look: AtomicBool,
    /// Whether a byte came since the request was handed over.
    received: AtomicBool,
    sent: Activity,
}

impl Gauge {
    pub(super) fn new() -> Self {
        Self { look: AtomicBool::new(false), received: AtomicBool::new(false), sent: Activity::new() }
    }

    pub(super) fn look_first(&self) {
        self.look.store(true, Ordering::Relaxed);
    }

    /// A request begins; until now the connection was silent.
    pub(super) fn begin(&self) {
        self.received.store(false, Ordering::Relaxed);
    }

    /// When the target last took something.
    pub(super) fn last_sent(&self) -> Instant {
        self.sent.last()
    }

    /// What an error of hyper's means here.
    pub(super) fn explain(&self, error: hyper::Error) -> ExchangeError {
        if error.is_user() {
            ExchangeError::Client(error)
        } else if error.is_parse() {
            ExchangeError::Invalid(error)
        } else if self.received.load(Ordering::Relaxed) {
            ExchangeError::Broken(error)
        } else {
            ExchangeError::Closed(error)
        }
    }
}

/// The socket.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    gauge: Arc<Gauge>,
    /// Whether the target takes nothing any more.
    deaf: bool,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, gauge: Arc<Gauge>) -> Self {
        Self { stream, gauge, deaf: false }
    }

    /// Whether the kernel knows the connection as open, and silent. The event loop may not have heard of its end yet.
    fn is_quiet(&self) -> bool {
        let mut byte = [MaybeUninit::uninit(); 1];
        let seen = SockRef::from(&self.stream).peek(&mut byte);
        matches!(seen, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// A target that takes nothing any more may have said why before, as one does that refuses a long upload and closes. So a failed
    /// write is kept back, and the reading side tells how it ends: with an answer, or with the end of the connection.
    fn written(&mut self, result: io::Result<usize>, length: usize) -> usize {
        match result {
            Ok(count) => {
                self.gauge.sent.touch(Instant::now());
                count
            }
            Err(_) => {
                self.deaf = true;
                length
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.gauge.look.swap(false, Ordering::Relaxed) && !self.is_quiet() {
            // Nothing read is the end. hyper reads an idle connection before it sends, and then does not send.
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.gauge.received.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.deaf {
            return Poll::Ready(Ok(buf.len()));
        }
        let result = ready!(Pin::new(&mut self.stream).poll_write(cx, buf));
        Poll::Ready(Ok(self.written(result, buf.len())))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = bufs.iter().map(|buf| buf.len()).sum();
        if self.deaf {
            return Poll::Ready(Ok(length));
        }
        let result = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs));
        Poll::Ready(Ok(self.written(result, length)))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn the_kernel_knows_of_an_end_before_the_event_loop_does() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let stream = TcpStream::connect(address).await.expect("it listens");
        let (peer, _) = listener.accept().expect("a connection waits");
        let gauge = Arc::new(Gauge::new());
        let mut wire = Wire::new(stream, Arc::clone(&gauge));
        gauge.look_first();
        assert!(wire.read_u8().now_or_never().is_none(), "it is open and silent");
        drop(peer);
        // Nothing was awaited since, so the event loop has not heard of it.
        assert!(wire.read_u8().now_or_never().is_none());
        gauge.look_first();
        let seen = wire.read_u8().now_or_never().expect("it is known at once");
        assert_eq!(seen.map_err(|error| error.kind()), Err(ErrorKind::UnexpectedEof));
    }
}
