//! What goes back to a client: a target's answer, or a short text of our own.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};

use super::activity::Running;
use super::balancer::Nobody;
use super::client::Client;
use super::upstream::ExchangeError;
use super::upstream::body::{Arrival, UpstreamBody};

/// The body of an answer.
#[derive(Debug)]
pub(super) enum ResponseBody {
    /// All of it, until it is taken.
    Whole(Bytes),
    /// Passed on as it comes.
    Stream {
        /// Where it comes from.
        body: Box<UpstreamBody>,
        /// The request is being answered for as long as this is here.
        _running: Running<Client>,
    },
}

impl Default for ResponseBody {
    fn default() -> Self {
        Self::Whole(Bytes::new())
    }
}

impl ResponseBody {
    /// What is left to do of an answer.
    pub(super) fn of(body: Arrival, running: Running<Client>) -> Self {
        match body {
            Arrival::Whole(data) => Self::Whole(data),
            Arrival::Part(body) => Self::Stream { body, _running: running },
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = ExchangeError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ExchangeError>>> {
        match self.get_mut() {
            Self::Whole(data) if data.is_empty() => Poll::Ready(None),
            Self::Whole(data) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(data))))),
            Self::Stream { body, .. } => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(data) => data.is_empty(),
            Self::Stream { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(data) => SizeHint::with_exact(data.len() as u64),
            Self::Stream { body, .. } => body.size_hint(),
        }
    }
}

/// A short answer for people.
pub(super) fn text(status: StatusCode, text: &str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::Whole(Bytes::from(format!("{text}\n"))));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// The same without its content, of which the length is said, where it is known.
pub(super) fn without_content(mut response: Response<ResponseBody>) -> Response<ResponseBody> {
    if let ResponseBody::Whole(content) = response.body_mut() {
        let content = std::mem::take(content);
        if !content.is_empty() {
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(content.len()));
        }
    }
    response
}

/// 503: nobody is there to ask.
pub(super) fn nobody(id: &str, counts: Nobody) -> Response<ResponseBody> {
    let Nobody { healthy, unhealthy, starting, draining } = counts;
    let counts = format!("{healthy} healthy, {unhealthy} unhealthy, {starting} starting, {draining} draining");
    text(StatusCode::SERVICE_UNAVAILABLE, &format!("no healthy target behind load balancer {id}: {counts}"))
}
