//! The body of a request on its way to ECR, which can be sent again as long as no more of it was sent than is kept.
//!
//! ECR judges a request by its head, so a refusal comes when little of the body is on its way. What is kept is bounded;
//! when a body has gone further, it can't be sent again, and whoever sent it has to.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::poll_fn;
use futures_util::{Stream, stream};
use tokio::sync::Notify;

/// How much of a body is kept: what lies in the buffers of both ends' sockets until a refusal can be here.
const KEPT_MAX: usize = 1 << 20;

/// Why a body did not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The client sent nothing for too long.
    Idle,
    /// The client went away.
    Gone,
}

struct State {
    source: BodyDataStream,
    kept: Vec<Bytes>,
    kept_len: usize,
    /// Whether more was sent than is kept.
    is_past: bool,
    has_ended: bool,
    broken: Option<Broken>,
    /// Bytes of it that are known.
    came: u64,
    /// Which attempt may read; those before are over.
    attempt: u32,
}

/// A body that can be sent again.
#[derive(Clone)]
pub(crate) struct Replay {
    state: Arc<Mutex<State>>,
    idle: Duration,
    ended: Arc<Notify>,
}

impl Replay {
    /// A client's body, of which nothing may come for as long as `idle`.
    pub(crate) fn new(body: Body, idle: Duration) -> Self {
        let state = State {
            source: body.into_data_stream(),
            kept: Vec::new(),
            kept_len: 0,
            is_past: false,
            has_ended: false,
            broken: None,
            came: 0,
            attempt: 0,
        };
        Self { state: Arc::new(Mutex::new(state)), idle, ended: Arc::new(Notify::new()) }
    }

    /// A body that is all here.
    pub(crate) fn of(bytes: Bytes) -> Self {
        Self::new(Body::empty(), Duration::MAX).behind(bytes)
    }

    /// The same with this before it, which is here already and does not count for what is kept.
    pub(crate) fn behind(self, first: Bytes) -> Self {
        if !first.is_empty() {
            let mut state = self.state();
            state.came += u64::try_from(first.len()).unwrap_or(u64::MAX);
            state.kept.insert(0, first);
        }
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body from its start; `None` when that is not kept any more. An earlier attempt ends.
    pub(crate) fn attempt(&self) -> Option<Body> {
        let attempt = {
            let mut state = self.state();
            if state.is_past || state.broken.is_some() {
                return None;
            }
            state.attempt += 1;
            // Of an attempt before.
            let _ = self.ended.notified().now_or_never();
            state.attempt
        };
        let reading = Reading { replay: self.clone(), attempt, at: 0 };
        Some(Body::from_stream(stream::try_unfold(reading, Reading::go_on)))
    }

    /// Whether it can be sent again.
    pub(crate) fn is_kept(&self) -> bool {
        let state = self.state();
        !state.is_past && state.broken.is_none()
    }

    /// Why it broke, when it did.
    pub(crate) fn broken(&self) -> Option<Broken> {
        self.state().broken
    }

    /// How many bytes of it have come.
    pub(crate) fn came(&self) -> u64 {
        self.state().came
    }

    /// Returns when all of it was handed on.
    pub(crate) async fn ended(&self) {
        self.ended.notified().await;
    }

    fn poll(&self, context: &mut Context<'_>, attempt: u32, at: usize) -> Poll<io::Result<Option<Bytes>>> {
        let mut state = self.state();
        if state.attempt != attempt {
            return Poll::Ready(Err(io::Error::other("another attempt has begun")));
        }
        if let Some(kept) = state.kept.get(at) {
            return Poll::Ready(Ok(Some(kept.clone())));
        }
        if state.has_ended {
            return Poll::Ready(Ok(None));
        }
        match Pin::new(&mut state.source).poll_next(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => {
                state.has_ended = true;
                Poll::Ready(Ok(None))
            }
            Poll::Ready(Some(Err(error))) => {
                state.broken = Some(Broken::Gone);
                Poll::Ready(Err(io::Error::other(error)))
            }
            Poll::Ready(Some(Ok(piece))) => {
                state.came += u64::try_from(piece.len()).unwrap_or(u64::MAX);
                state.kept_len += piece.len();
                if state.kept_len > KEPT_MAX {
                    state.is_past = true;
                    state.kept = Vec::new();
                }
                if !state.is_past {
                    state.kept.push(piece.clone());
                }
                Poll::Ready(Ok(Some(piece)))
            }
        }
    }
}

/// One attempt to send it.
struct Reading {
    replay: Replay,
    attempt: u32,
    /// Which kept piece comes next.
    at: usize,
}

/// It has ended when nobody reads it any more, too: whoever knows its length does not ask for an end behind the last byte.
impl Drop for Reading {
    fn drop(&mut self) {
        if self.replay.state().attempt == self.attempt {
            self.replay.ended.notify_one();
        }
    }
}

impl Reading {
    async fn go_on(mut self) -> io::Result<Option<(Bytes, Self)>> {
        let next = poll_fn(|context| self.replay.poll(context, self.attempt, self.at));
        match tokio::time::timeout(self.replay.idle, next).await {
            Ok(Ok(Some(piece))) => {
                self.at += 1;
                Ok(Some((piece, self)))
            }
            Ok(Ok(None)) => Ok(None),
            Ok(Err(error)) => Err(error),
            Err(_) => {
                self.replay.state().broken = Some(Broken::Idle);
                Err(io::Error::new(io::ErrorKind::TimedOut, "the client sent nothing for too long"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use http_body_util::BodyExt;

    use super::*;

    fn pieces(count: usize, size: usize) -> Body {
        let piece = Bytes::from(vec![7_u8; size]);
        Body::from_stream(stream::iter((0..count).map(move |_| Ok::<_, io::Error>(piece.clone()))))
    }

    async fn read(body: Body) -> usize {
        body.collect().await.expect("it is whole").to_bytes().len()
    }

    /// Whoever sends it with its length reads no further than that.
    #[tokio::test]
    async fn it_has_ended_when_nobody_reads_on() {
        let replay = Replay::new(pieces(2, 100), Duration::from_secs(60));
        let before = replay.attempt().expect("the first");
        let mut now = replay.attempt().expect("the second").into_data_stream();
        drop(before);
        for _ in 0..2 {
            now.next().await.expect("a piece").expect("it is whole");
        }
        assert!(replay.ended().now_or_never().is_none(), "the first one's end says nothing");
        drop(now);
        replay.ended().now_or_never().expect("it has ended");
    }

    #[tokio::test]
    async fn what_was_sent_is_sent_again_from_the_start() {
        let replay = Replay::new(pieces(4, 100), Duration::from_secs(60));
        let mut first = replay.attempt().expect("the first").into_data_stream();
        for _ in 0..2 {
            first.next().await.expect("a piece").expect("it is whole");
        }
        let second = replay.attempt().expect("the second");
        assert!(first.next().await.expect("an end").is_err(), "the first is over");
        assert_eq!(read(second).await, 400);
        assert_eq!(replay.came(), 400);
        replay.ended().await;
        assert_eq!(read(replay.attempt().expect("once more")).await, 400);
    }

    #[tokio::test]
    async fn what_is_too_long_to_keep_is_sent_once() {
        let replay = Replay::new(pieces(3, KEPT_MAX / 2), Duration::from_secs(60));
        let first = replay.attempt().expect("the first");
        assert_eq!(read(first).await, KEPT_MAX / 2 * 3);
        assert!(replay.attempt().is_none());
    }

    #[tokio::test]
    async fn what_was_here_before_it_goes_first_each_time() {
        let first = Bytes::from(vec![1; KEPT_MAX * 4]);
        let replay = Replay::new(pieces(2, 100), Duration::from_secs(60)).behind(first);
        for _ in 0..2 {
            assert_eq!(read(replay.attempt().expect("an attempt")).await, KEPT_MAX * 4 + 200);
        }
        assert_eq!(replay.came(), u64::try_from(KEPT_MAX).expect("small") * 4 + 200);
    }

    #[tokio::test]
    async fn a_client_that_sends_nothing_is_given_up() {
        let silent = Body::from_stream(stream::pending::<io::Result<Bytes>>());
        let replay = Replay::new(silent, Duration::from_millis(5));
        let body = replay.attempt().expect("the first");
        assert!(body.collect().await.is_err());
        assert_eq!(replay.broken(), Some(Broken::Idle));
        assert!(replay.attempt().is_none());
    }

    #[tokio::test]
    async fn a_body_that_is_here_is_always_here() {
        let replay = Replay::of(Bytes::from(vec![1; KEPT_MAX * 4]));
        for _ in 0..3 {
            assert_eq!(read(replay.attempt().expect("an attempt")).await, KEPT_MAX * 4);
        }
    }
}
