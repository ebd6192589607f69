//! The side towards the targets: HTTP/1.1 on a pooled connection.
//!
//! This is a small client of our own and not hyper's, for two reasons. A load balancer must know, when a connection breaks, whether a
//! byte of the request has left and whether a byte of the answer has come, for that decides if the request may be repeated elsewhere.
//! And hyper's needs a task and two channels for each connection, where here the task that serves the client drives both ends.
//!
//! ```text
//! connect / pool -> Exchange::run -> Head -> UpstreamBody -> pool (or closed)
//!                     | the request body is pumped while the head is awaited, and on while the response body is read
//! ```

pub(crate) mod body;
pub(crate) mod head;
pub(crate) mod pool;
pub(crate) mod pump;

use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use http::{Method, StatusCode};
use http_body::Body;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use self::body::Decoder;
use self::head::{Framing, Head};
use self::pump::Pump;
use super::timer::Deadline;

/// Longer than any target in reach needs; shorter than a client waits. A machine that is gone without a word costs this once, then
/// its probe has found out.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// What is asked of the kernel at a time.
const READ_SIZE: usize = 8 * 1024;

/// For the rest of a body that is known to be long.
const READ_SIZE_LONG: usize = 64 * 1024;

/// Why an exchange with a target came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    /// The connection ended before a byte of the answer.
    #[error("it closed the connection without an answer")]
    Closed(#[source] Option<io::Error>),
    /// The connection ended within the answer.
    #[error("it broke off its answer")]
    Broken(#[source] Option<io::Error>),
    /// It does not speak HTTP/1, or wrongly.
    #[error("its answer is malformed: {0}")]
    Invalid(&'static str),
    /// It said nothing for the idle timeout.
    #[error("it did not answer in time")]
    Timeout,
    /// The client broke off its request.
    #[error("the client broke off its request")]
    Client,
}

/// One connection to a target.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) stream: TcpStream,
    /// Received, not yet looked at.
    pub(crate) read: BytesMut,
    out: BytesMut,
    deadline: Deadline,
    /// Whether it has carried a request before: then the target may have closed it in the meantime.
    pub(crate) reused: bool,
}

impl Upstream {
    /// Opens a connection, within [`CONNECT_TIMEOUT`].
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Box<Self>> {
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
            .await
            .map_err(|_| io::Error::new(ErrorKind::TimedOut, "no answer to the connection attempt"))??;
        stream.set_nodelay(true)?;
        Ok(Box::new(Self {
            stream,
            read: BytesMut::new(),
            out: BytesMut::new(),
            deadline: Deadline::at(Instant::now() + CONNECT_TIMEOUT),
            reused: false,
        }))
    }

    /// Whether the kernel still knows the connection as open, and silent. Asked before a request that could not be repeated.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut byte = [MaybeUninit::uninit(); 1];
        let seen = SockRef::from(&self.stream).peek(&mut byte);
        self.read.is_empty() && matches!(seen, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// Reads what is there; `Ok(0)` is the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<io::Result<usize>> {
        if self.read.capacity() - self.read.len() < most / 4 {
            self.read.reserve(most);
        }
        tokio_util::io::poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.read)
    }

    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.out))?;
            if written == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            self.out.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

/// The bare connection, for tunnels. What was read ahead comes first.
impl AsyncRead for Upstream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let count = self.read.len().min(buf.remaining());
        buf.put_slice(&self.read[..count]);
        self.read.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Upstream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A request on its way and the answer awaited.
pub(crate) struct Exchange<'a, B> {
    pub(crate) upstream: &'a mut Upstream,
    pub(crate) pump: &'a mut Pump<B>,
    pub(crate) idle_timeout: Duration,
    /// When the request came: saves asking for the time again.
    pub(crate) now: Instant,
}

impl<B: Body<Data = bytes::Bytes> + Unpin> Exchange<'_, B> {
    /// Sends the request as written in the pump's head, and waits for the head of the answer. Interim answers (1xx) are passed over,
    /// but for 101.
    pub(crate) async fn run(mut self) -> Result<Head, ExchangeError> {
        self.upstream.deadline.set(self.now + self.idle_timeout);
        self.upstream.out.clear();
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, ExchangeError>> {
        let mut write_error = None;
        if !self.pump.is_done() {
            match self.pump.poll(self.upstream, cx) {
                Poll::Ready(Err(pump::PumpError::Client)) => return Poll::Ready(Err(ExchangeError::Client)),
                // The target may have said why before it closed; so its answer is still looked for.
                Poll::Ready(Err(pump::PumpError::Target(error))) => write_error = Some(error),
                Poll::Ready(Ok(())) => self.upstream.deadline.set(Instant::now() + self.idle_timeout),
                Poll::Pending => {}
            }
            if self.pump.take_progress() {
                self.upstream.deadline.set(Instant::now() + self.idle_timeout);
            }
        }
        loop {
            match self.upstream.poll_fill(cx, READ_SIZE) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(self.ended(write_error))),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.ended(Some(error)))),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => break,
            }
            while !self.upstream.read.is_empty() {
                match head::read_response(&mut self.upstream.read)? {
                    Some(head) if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS => {}
                    Some(head) => return Poll::Ready(Ok(head)),
                    None => break,
                }
            }
        }
        if let Some(error) = write_error {
            return Poll::Ready(Err(self.ended(Some(error))));
        }
        self.upstream.deadline.poll(cx).map(|()| Err(ExchangeError::Timeout))
    }

    fn ended(&self, source: Option<io::Error>) -> ExchangeError {
        if self.upstream.read.is_empty() { ExchangeError::Closed(source) } else { ExchangeError::Broken(source) }
    }
}

/// How to read the body that follows a head.
pub(crate) fn decoder(method: &Method, head: &Head) -> Decoder {
    let none = *method == Method::HEAD || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    match head.framing {
        _ if none => Decoder::Length(0),
        Framing::Length(length) => Decoder::Length(length),
        Framing::Chunked => Decoder::chunked(),
        Framing::Close => Decoder::Close,
    }
}
