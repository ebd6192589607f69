//! One client's connection: what is spoken on it, and when it ends.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::HeaderValue;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::AsyncRead as _;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

use super::activity::Activity;
use super::balancer::Choice;
use super::config::Serves;
use super::forward::{self, MOST_TARGETS};
use super::listener::ListenerState;
use super::timer::Deadline;
use super::tunnel;
use super::upstream;
use super::upstream::fields::Origin;
use super::worker::{Seat, Worker};

/// The most bytes of a request's head (a larger one is answered 431), and of what is read or written ahead on a connection: as much as
/// a target's answer may have. The library's own limit is 400 KiB, which anybody could make gigabytes of by many connections.
const BUFFER: usize = 64 * 1024;

/// How much of HTTP/2 bodies a connection takes before its targets do. The library's own limit is 1 MiB for each.
const WINDOW: u32 = 256 * 1024;

/// How long a client that was answered before it had sent everything may go on with it until it reads the answer.
const LINGER_MAX: Duration = Duration::from_secs(5);

/// One connection and what its requests need to know.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) listener: Arc<ListenerState>,
    pub(super) origin: Origin,
    pub(super) activity: Activity,
    seat: Seat,
    /// Goes with the connection.
    _place: OwnedSemaphorePermit,
    /// The connection's place as its requests share it: that of one of them.
    own: Arc<Semaphore>,
    room: Arc<Semaphore>,
    /// Whether the last request had a body, of which more may come.
    sends: AtomicBool,
}

impl AsRef<Activity> for Client {
    fn as_ref(&self) -> &Activity {
        &self.activity
    }
}

impl Client {
    pub(super) fn new(
        listener: Arc<ListenerState>,
        worker: &Arc<Worker>,
        peer: SocketAddr,
        local: SocketAddr,
        place: OwnedSemaphorePermit,
        room: &Arc<Semaphore>,
    ) -> Arc<Self> {
        let peer = HeaderValue::try_from(peer.ip().to_canonical().to_string()).expect("an IP address is a field value");
        let origin = Origin { peer, port: HeaderValue::from(local.port()), local, forwarded: listener.forwarded };
        Arc::new(Self {
            listener,
            origin,
            activity: Activity::new(),
            seat: Seat::take(worker),
            _place: place,
            own: Arc::new(Semaphore::new(1)),
            room: Arc::clone(room),
            sends: AtomicBool::new(false),
        })
    }

    /// Waits for a place for one of several requests at a time. One request of each connection has the connection's, so that
    /// connections which wait for more never wait for each other alone.
    pub(super) async fn place(&self) -> OwnedSemaphorePermit {
        let place = tokio::select! {
            biased;
            own = Arc::clone(&self.own).acquire_owned() => own,
            another = Arc::clone(&self.room).acquire_owned() => another,
        };
        place.expect("the semaphores are never closed")
    }

    /// Notes whether a request that has begun has a body.
    pub(super) fn sends(&self, has_body: bool) {
        self.sends.store(has_body, Ordering::Relaxed);
    }

    pub(super) fn worker(&self) -> &Arc<Worker> {
        self.seat.worker()
    }

    /// Serves the connection to its end, on its worker.
    pub(super) async fn serve(self: Arc<Self>, stream: std::net::TcpStream) {
        let Ok(stream) = TcpStream::from_std(stream) else { return };
        let serves = self.listener.serves.load_full();
        match *serves {
            Serves::Http { .. } | Serves::Redirect { .. } => self.serve_http(stream).await,
            Serves::Tcp { target_port } => self.serve_tcp(stream, target_port).await,
        }
    }

    async fn serve_http(self: Arc<Self>, stream: TcpStream) {
        // `pipeline_flush` stays off: with it, hyper keeps back its 400 to a malformed head as long as it holds unread bytes.
        let mut builder = auto::Builder::new(TokioExecutor::new());
        // Small answers leave with one plain write: measured, 5 % less processor time a request than with the vectored one.
        builder.http1().writev(false).max_buf_size(BUFFER);
        let mut http2 = builder.http2();
        http2.max_send_buf_size(BUFFER).initial_connection_window_size(WINDOW).initial_stream_window_size(WINDOW);
        let io = Watched { io: TokioIo::new(stream), client: Arc::clone(&self), linger: None };
        let requests_of = Arc::clone(&self);
        let service = service_fn(move |request| forward::forward(Arc::clone(&requests_of), request));
        let mut connection = pin!(builder.serve_connection_with_upgrades(io, service));
        let mut closing = pin!(self.listener.closing.wait());
        let mut is_closing = false;
        let mut watchdog = Deadline::at(self.idle_end());
        std::future::poll_fn(|cx| {
            // Looked at first, so that an answer which comes now already tells the client that this connection ends.
            if !is_closing && closing.as_mut().poll(cx).is_ready() {
                is_closing = true;
                watchdog.set(Instant::now() + self.listener.grace);
                connection.as_mut().graceful_shutdown();
            }
            // How a client's connection ended is for the client to mind.
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            loop {
                ready!(watchdog.poll(cx));
                let end = self.idle_end();
                if is_closing || end <= Instant::now() {
                    return Poll::Ready(());
                }
                watchdog.set(end);
            }
        })
        .await;
    }

    /// When the connection, should nothing move on it, is to be ended. While a request is answered it gets twice the time: the target
    /// has the first half to say something, and what is left then is a client that does not take its answer.
    fn idle_end(&self) -> Instant {
        let idle_timeout = self.listener.balancer.settings.load().idle_timeout;
        self.activity.last() + if self.activity.is_running() { idle_timeout * 2 } else { idle_timeout }
    }

    async fn serve_tcp(self: Arc<Self>, stream: TcpStream, target_port: u16) {
        let balancer = &self.listener.balancer;
        let mut tried = Vec::new();
        while tried.len() < MOST_TARGETS
            && let Some(lease) = balancer.lease(Choice::LeastOutstanding, &tried)
        {
            if let Ok(stream_to) = upstream::connect(lease.target().address(target_port)).await {
                let idle_timeout = balancer.settings.load().idle_timeout;
                tunnel::run(stream, stream_to, idle_timeout, &self.listener.closing, self.listener.grace).await;
                return;
            }
            lease.target().probe_now.notify_one();
            tried.push(Arc::clone(lease.target()));
        }
        tracing::debug!("no target of load balancer {} takes a TCP connection: {:?}", balancer.id, balancer.nobody());
    }
}

/// The client's socket; notes when something moves.
struct Watched {
    io: TokioIo<TcpStream>,
    client: Arc<Client>,
    /// The end of the wait for a client that still sends; `None` before.
    linger: Option<Pin<Box<Sleep>>>,
}

impl Watched {
    fn noted(&self, written: io::Result<usize>) -> Poll<io::Result<usize>> {
        self.client.activity.touch(Instant::now());
        Poll::Ready(written)
    }
}

impl Read for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        // What comes while a request is answered is its body. A head that comes drop by drop is no activity.
        if self.client.activity.is_running() {
            self.client.activity.touch(Instant::now());
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, buf));
        self.noted(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// A client that still sends is let go on for a moment: what comes to a closed connection is answered with a reset, which costs it
    /// the answer (RFC 9112, section 9.6).
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
            if !self.client.sends.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
        }
        let this = &mut *self;
        let linger = this.linger.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER_MAX)));
        let mut scratch = [0; 16 << 10];
        while linger.as_mut().poll(cx).is_pending() {
            let mut buffer = tokio::io::ReadBuf::new(&mut scratch);
            match ready!(Pin::new(this.io.inner_mut()).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, bufs));
        self.noted(written)
    }
}
