//! The side towards the targets: HTTP/1.1 on pooled connections, spoken by hyper's client.
//!
//! ```text
//! connect / pool -> Upstream::send -> Answer's head -> UpstreamBody -> pool (or closed)
//!                     | a task of the same worker drives each connection: it sends the request body while the answer is awaited,
//!                     | and on while the answer's body is read; it ends when nobody holds the connection any more
//! ```
//!
//! hyper reads and writes the protocol. What a load balancer must know besides is when a connection broke: whether a byte of the
//! request has left (hyper gives a request back that has not) and whether a byte of the answer has come, for that decides if the
//! request may be repeated elsewhere. [`wire::Wire`], the socket as hyper sees it, takes note of the latter.
//!
//! Rejected: hyper-util's legacy client, which pools for all threads under one lock, hides which connection a request went on, and
//! repeats requests by rules of its own.

pub(crate) mod body;
pub(crate) mod fields;
pub(crate) mod pool;
mod wire;

use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Either, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;

use self::wire::{Gauge, Wire};
use super::timer::Deadline;

/// Longer than any target in reach needs; shorter than a client waits. A machine that is gone without a word costs this once, then
/// its probe has found out.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// What is read at a time at most. An answer whose head has not ended when this much of it is there is refused.
const BUFFER: usize = 64 * 1024;

/// The body of a request: the client's, or none.
pub(crate) type RequestBody = Either<Incoming, Empty<Bytes>>;

/// Why an exchange with a target came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    /// The connection ended before a byte of the answer.
    #[error("it closed the connection without an answer")]
    Closed(#[source] hyper::Error),
    /// The connection ended within the answer.
    #[error("it broke off its answer")]
    Broken(#[source] hyper::Error),
    /// It does not speak HTTP/1, or wrongly.
    #[error("its answer is malformed: {0}")]
    Invalid(hyper::Error),
    /// It said nothing for the idle timeout.
    #[error("it did not answer in time")]
    Timeout,
    /// The client broke off its request.
    #[error("the client broke off its request")]
    Client(#[source] hyper::Error),
}

/// A request that got no answer.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: ExchangeError,
    /// The request itself, if nothing of it has left.
    pub(crate) unsent: Option<Box<Request<RequestBody>>>,
}

/// Opens a connection, within [`CONNECT_TIMEOUT`].
pub(crate) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address))
        .await
        .map_err(|_| io::Error::new(ErrorKind::TimedOut, "no answer to the connection attempt"))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// One HTTP connection to a target. Dropping it closes the connection, unless it became a tunnel.
#[derive(Debug)]
pub(crate) struct Upstream {
    sender: SendRequest<RequestBody>,
    gauge: Arc<Gauge>,
    silence: Deadline,
    /// Whether it has carried a request before: then the target may have closed it in the meantime.
    pub(crate) reused: bool,
    /// Whether it is not to be used again, whatever it says.
    pub(crate) distrusted: bool,
}

impl Upstream {
    /// Opens a connection, within [`CONNECT_TIMEOUT`]. The task that drives it runs where this is called.
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Box<Self>> {
        let gauge = Arc::new(Gauge::new());
        let wire = Wire::new(connect(address).await?, Arc::clone(&gauge));
        // Requests are small: one plain write is cheaper than a vectored one, as it is towards clients.
        let handshake = Builder::new().writev(false).max_buf_size(BUFFER).handshake(TokioIo::new(wire)).await;
        let (sender, connection) = handshake.map_err(io::Error::other)?;
        tokio::spawn(async move {
            // What went wrong is told to the request that it happened to.
            drop(connection.with_upgrades().await);
        });
        Ok(Box::new(Self {
            sender,
            gauge,
            silence: Deadline::at(Instant::now() + CONNECT_TIMEOUT),
            reused: false,
            distrusted: false,
        }))
    }

    /// Whether another request can be sent on it, as far as is known.
    pub(crate) fn is_ready(&self) -> bool {
        !self.distrusted && self.sender.is_ready()
    }

    /// Has the kernel asked, before the next request is sent, whether the target has closed the connection. If so, the request comes
    /// back unsent. Meant for requests that could not be repeated.
    pub(crate) fn look_first(&self) {
        self.gauge.look_first();
    }

    /// Sends a request and waits for the head of the answer, as long as something moves within each `idle_timeout` from `now` on.
    /// Interim answers (1xx) are passed over, but for 101. Dropped before it is ready, it closes the connection.
    pub(crate) async fn send(
        &mut self,
        request: Request<RequestBody>,
        idle_timeout: Duration,
        now: Instant,
    ) -> Result<Response<Incoming>, Failure> {
        self.gauge.begin();
        self.silence.set(now + idle_timeout);
        let mut answer = pin!(self.sender.try_send_request(request));
        let (silence, gauge) = (&mut self.silence, &self.gauge);
        std::future::poll_fn(|cx| match answer.as_mut().poll(cx) {
            Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
            Poll::Ready(Err(mut failure)) => {
                let unsent = failure.take_message().map(Box::new);
                Poll::Ready(Err(Failure { error: gauge.explain(failure.into_error()), unsent }))
            }
            Poll::Pending => {
                ready!(poll_silence(silence, gauge, idle_timeout, cx));
                Poll::Ready(Err(Failure { error: ExchangeError::Timeout, unsent: None }))
            }
        })
        .await
    }

    /// Starts to wait for the target anew.
    fn await_anew(&mut self, idle_timeout: Duration) {
        self.silence.set(Instant::now() + idle_timeout);
    }

    fn poll_silence(&mut self, idle_timeout: Duration, cx: &mut Context<'_>) -> Poll<()> {
        poll_silence(&mut self.silence, &self.gauge, idle_timeout, cx)
    }
}

/// Ready when the deadline is over and the target has taken nothing of the request for the idle timeout either.
fn poll_silence(deadline: &mut Deadline, gauge: &Gauge, idle_timeout: Duration, cx: &mut Context<'_>) -> Poll<()> {
    loop {
        ready!(deadline.poll(cx));
        let end = gauge.last_sent() + idle_timeout;
        if end <= Instant::now() {
            return Poll::Ready(());
        }
        deadline.set(end);
    }
}
