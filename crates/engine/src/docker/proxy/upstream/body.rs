//! A response body on its way to the client, and the connection's way back to the pool.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::{ExchangeError, Upstream};
use crate::docker::proxy::balancer::Lease;

/// A connection that carries an answer, and what is needed to give it back.
#[derive(Debug)]
pub(crate) struct Return {
    pub(crate) upstream: Box<Upstream>,
    pub(crate) lease: Lease,
    pub(crate) worker: usize,
    pub(crate) port: u16,
}

impl Return {
    /// Puts the connection into the pool, unless its target leaves, or it cannot carry another request: the target closes it, or the
    /// last request's body is still being sent.
    fn give_back(mut self) {
        let target = self.lease.target();
        if target.keeps_connections() && self.upstream.is_ready() {
            self.upstream.reused = true;
            target.pool.put(self.worker, self.port, self.upstream);
        }
    }
}

/// A response body that is streamed. Dropped early, it closes the connection: the rest of the body is in it.
#[derive(Debug)]
pub(crate) struct UpstreamBody {
    body: Incoming,
    /// What was taken off `body` already.
    first: Option<Result<Frame<Bytes>, hyper::Error>>,
    back: Option<Return>,
    idle_timeout: Duration,
    /// Whether the target is being waited for, and not the client: only then does the idle timeout run.
    waiting: bool,
}

/// What has come of a body together with the answer's head.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// All of it. Its connection is free.
    Whole(Bytes),
    /// The rest is to come.
    Part(Box<UpstreamBody>),
}

impl UpstreamBody {
    /// Takes over a body that begins to arrive. Small ones have come whole with their head: they need no streaming.
    pub(crate) fn arrive(mut body: Incoming, back: Return, idle_timeout: Duration) -> Arrival {
        if body.is_end_stream() {
            back.give_back();
            return Arrival::Whole(Bytes::new());
        }
        let first = if body.size_hint().exact().is_some() { body.frame().now_or_never().flatten() } else { None };
        match first.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(data))) if body.is_end_stream() => {
                back.give_back();
                Arrival::Whole(data)
            }
            first => {
                let first = first.map(|frame| frame.map(|data| data.map_or_else(|other| other, Frame::data)));
                Arrival::Part(Box::new(Self { body, first, back: Some(back), idle_timeout, waiting: false }))
            }
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ExchangeError>>> {
        if let Some(frame) = self.first.take() {
            return Poll::Ready(Some(frame.map_err(ExchangeError::Broken)));
        }
        let Some(back) = &mut self.back else { return Poll::Ready(None) };
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(frame.map(|frame| frame.map_err(ExchangeError::Broken))),
            Poll::Pending => {
                if !std::mem::replace(&mut self.waiting, true) {
                    back.upstream.await_anew(self.idle_timeout);
                }
                ready!(back.upstream.poll_silence(self.idle_timeout, cx));
                Poll::Ready(Some(Err(ExchangeError::Timeout)))
            }
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = ExchangeError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ExchangeError>>> {
        let frame = ready!(self.poll_body(cx));
        self.waiting = false;
        match &frame {
            Some(Ok(_)) if !self.body.is_end_stream() => {}
            Some(Ok(_)) | None => {
                if let Some(back) = self.back.take() {
                    back.give_back();
                }
            }
            Some(Err(_)) => self.back = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.back.is_none() && self.first.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let hint = self.body.size_hint();
        match (hint.exact(), &self.first) {
            (Some(rest), Some(Ok(first))) => {
                SizeHint::with_exact(rest + first.data_ref().map_or(0, |data| data.len() as u64))
            }
            _ => hint,
        }
    }
}
