//! A connection whose client has to take what is sent to it.
//!
//! The library that serves connections has no timer for writing, and while a write waits it asks nothing of the answer's body. So
//! a client that never reads would hold its connection for ever, with all that the answer has in memory and open, and whatever ends
//! a download (a token that is revoked) would not be noticed. Over HTTP/1 such a client lets the write wait. Over HTTP/2 it may
//! also read everything and never say that more may come: then nothing is there to be written, only a body that is not asked.
//!
//! Who takes a little now and then keeps the connection, as somebody does who asks again and again. So does an answer that has
//! nothing to say: there is nothing to be taken.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long a client may take nothing of what waits for it. A client that writes what it gets to a busy disk pauses for seconds; what
/// is silent for a minute has gone, or wants to be waited for. The same as for what clients send.
pub(crate) const TAKE_MAX: Duration = Duration::from_secs(60);

/// How long a client that was answered before it had sent everything may go on with it until it reads the answer.
const LINGER_MAX: Duration = Duration::from_secs(5);

/// What goes out over HTTP/2 in that time at least, where a body waits: answers to pings, which cost nothing to ask for, are less.
const LEAST: usize = 4 << 10;

/// A connection that ends with an error when its client takes nothing.
pub(crate) struct Taken<S> {
    stream: S,
    limit: Duration,
    /// When a write began to wait; `None` while none does.
    since: Option<Instant>,
    /// Made when a write has to wait for the first time. It may still be set for an earlier wait: setting it anew for each would cost
    /// something with every write of a slow client.
    alarm: Option<Pin<Box<Sleep>>>,
    bodies: Arc<Bodies>,
    /// The end of the time in which [`Self::wrote`] was counted; `None` while there are no bodies.
    turn: Option<Pin<Box<Sleep>>>,
    wrote: usize,
    /// The end of the wait for a client that was cut short; `None` before.
    linger: Option<Pin<Box<Sleep>>>,
}

impl<S> Taken<S> {
    /// Lets nothing wait for longer than this, neither a write nor one of the bodies.
    pub(crate) fn new(stream: S, limit: Duration, bodies: Arc<Bodies>) -> Self {
        Self { stream, limit, since: None, alarm: None, bodies, turn: None, wrote: 0, linger: None }
    }

    /// What a write came to.
    fn written(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(done) = written {
            self.since = None;
            self.wrote = self.wrote.saturating_add(*done.as_ref().unwrap_or(&0));
            return Poll::Ready(done);
        }
        let end = *self.since.get_or_insert_with(Instant::now) + self.limit;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
        while alarm.deadline() < end {
            ready!(alarm.as_mut().poll(cx));
            alarm.as_mut().reset(end);
        }
        ready!(alarm.as_mut().poll(cx));
        Poll::Ready(Err(not_taken()))
    }

    /// Returns when bodies have waited for too long; never while there are none.
    fn poll_bodies(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            if self.turn.is_none() && self.bodies.has_any() {
                self.wrote = 0;
                self.turn = Some(Box::pin(tokio::time::sleep(self.limit)));
            }
            let Some(turn) = &mut self.turn else { return Poll::Pending };
            ready!(turn.as_mut().poll(cx));
            if self.bodies.turn() && self.wrote < LEAST {
                return Poll::Ready(not_taken());
            }
            self.turn = None;
        }
    }
}

fn not_taken() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the client took nothing of its answer for too long")
}

impl<S: AsyncRead + Unpin> AsyncRead for Taken<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // A connection of HTTP/2 is always read from, and a body begins when something came.
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Pending => self.poll_bodies(cx).map(Err),
            read => read,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Taken<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(cx, written)
    }

    /// Nothing waits here: a socket has no memory of its own on this side of a write.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// A client that still sends reads its answer afterwards. Were the connection closed at once, what comes from it meanwhile would be
    /// answered with a reset, and that throws the answer away (RFC 9112, section 9.6).
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            if !self.bodies.is_cut.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
        }
        let this = &mut *self;
        let linger = this.linger.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER_MAX)));
        let mut scratch = [0; 16 << 10];
        while linger.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// The bodies under way on a connection: of HTTP/2 all answers', of HTTP/1 whether one of a request was cut short.
#[derive(Default)]
pub(crate) struct Bodies {
    count: Mutex<Count>,
    /// Whether the connection ends though its client may send more of a request.
    is_cut: AtomicBool,
}

#[derive(Default)]
struct Count {
    /// All that are there.
    all: usize,
    /// The number of the turn that runs.
    turn: u64,
    /// How many have handed something out and were asked for nothing since, in this turn and before it.
    fresh: usize,
    old: usize,
}

impl Bodies {
    fn count(&self) -> MutexGuard<'_, Count> {
        // Whole at every moment that somebody could panic.
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the connection ends though its client may send more.
    pub(crate) fn cut(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
    }

    fn has_any(&self) -> bool {
        self.count().all > 0
    }

    /// Begins the next turn; answers whether one has waited through all of this one.
    fn turn(&self) -> bool {
        let mut count = self.count();
        let has_waited = count.old > 0;
        count.turn += 1;
        count.old += std::mem::take(&mut count.fresh);
        has_waited
    }

    /// The same body, counted while it is there.
    pub(crate) fn counted(self: &Arc<Self>, body: Body) -> Body {
        self.count().all += 1;
        Body::new(Counted { body, waits: None, bodies: Arc::clone(self) })
    }
}

struct Counted {
    body: Body,
    /// The turn in which it handed something out, while it is asked for nothing more.
    waits: Option<u64>,
    bodies: Arc<Bodies>,
}

impl Counted {
    fn waits_no_more(&mut self) {
        if let Some(turn) = self.waits.take() {
            let mut count = self.bodies.count();
            let of = if turn == count.turn { &mut count.fresh } else { &mut count.old };
            *of -= 1;
        }
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.waits_no_more();
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(_))) = &frame {
            let mut count = self.bodies.count();
            count.fresh += 1;
            let turn = count.turn;
            drop(count);
            self.waits = Some(turn);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.waits_no_more();
        self.bodies.count().all -= 1;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_waited_for_only_so_long() {
        let (ours, mut theirs) = duplex(10);
        let mut ours = Taken::new(ours, LIMIT, Arc::default());
        let begun = Instant::now();
        // What has room needs nobody to take it, and nobody waits while there is nothing to be said.
        ours.write_all(&[1; 10]).await.expect("there is room");
        tokio::time::advance(10 * LIMIT).await;
        theirs.read_exact(&mut [0; 10]).await.expect("it is there");
        // Each byte that is taken begins the wait anew.
        let slow = async {
            for _ in 0..10 {
                tokio::time::advance(LIMIT - Duration::from_secs(1)).await;
                theirs.read_u8().await.expect("it is there");
            }
        };
        let (written, ()) = tokio::join!(ours.write_all(&[2; 20]), slow);
        written.expect("it is taken at last");
        assert!(Instant::now() - begun > 19 * LIMIT);
        let stuck = Instant::now();
        let error = ours.write_all(&[3; 20]).await.expect_err("nobody takes it");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let waited = Instant::now() - stuck;
        assert!(waited >= LIMIT && waited < LIMIT + Duration::from_secs(1), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_nobody_asks_ends_the_connection_and_a_silent_one_does_not() {
        use futures_util::{StreamExt as _, stream};
        use http_body_util::BodyExt as _;

        let bodies: Arc<Bodies> = Arc::default();
        let (ours, _theirs) = duplex(10);
        let mut ours = Taken::new(ours, LIMIT, Arc::clone(&bodies));
        let body = || {
            let pieces = stream::iter([Ok::<_, io::Error>("one"), Ok("two")]);
            bodies.counted(Body::from_stream(pieces.chain(stream::pending())))
        };
        let mut silent = body();
        for _ in 0..2 {
            silent.frame().await.expect("there is more").expect("it is no error");
        }
        let asked = tokio::time::timeout(Duration::from_secs(1), silent.frame()).await;
        assert!(asked.is_err(), "it has nothing to say");
        let day = tokio::time::timeout(24 * 60 * LIMIT, ours.read_u8()).await;
        assert!(day.is_err(), "{day:?}");
        let mut left = body();
        left.frame().await.expect("there is more").expect("it is no error");
        let error = ours.read_u8().await.expect_err("nobody asks for the rest");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop((silent, left));
        assert!(!bodies.has_any());
        assert!(tokio::time::timeout(10 * LIMIT, ours.read_u8()).await.is_err());
    }
}
