//! What goes back to the client.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use http::{Method, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;

use super::Closed;

/// What every answer in XML begins with.
const PROLOGUE: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// The body of an answer.
pub(super) type Body = UnsyncBoxBody<Bytes, Closed>;

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    pub(super) fn xml(root: &str, inner: &str) -> Self {
        let body = format!("{PROLOGUE}<{root}>{inner}</{root}>");
        Self { status: 200, headers: vec![("content-type", "application/xml".to_owned())], body: body.into() }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    fn head(&self) -> http::response::Builder {
        let mut response = Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(*name, value);
        }
        response
    }

    /// The answer as it should be.
    pub(super) fn whole(self, method: &Method) -> Response<Body> {
        let head = self.head();
        let body = if method == Method::HEAD { Bytes::new() } else { self.body };
        head.body(Full::new(body).map_err(|never| match never {}).boxed_unsync()).expect("the answer is one")
    }

    /// The answer, which breaks off in the middle of its body.
    pub(super) fn broken(self) -> Response<Body> {
        let mut head = self.head();
        if !self.headers.iter().any(|(name, _)| *name == "content-length") {
            head = head.header("content-length", self.body.len());
        }
        let half = self.body.slice(..self.body.len() / 2);
        // The first half is on its way before the connection ends.
        let pieces: BoxStream<'static, Result<Frame<Bytes>, Closed>> = stream::iter([Ok(Frame::data(half))])
            .chain(stream::once(async {
                tokio::task::yield_now().await;
                Err(Closed)
            }))
            .boxed();
        head.body(StreamBody::new(pieces).boxed_unsync()).expect("the answer is one")
    }
}

/// 200 and white space at once, and what was done about it when it was done.
pub(super) fn slow(after: Duration, act: impl FnOnce() -> Answer + Send + 'static) -> Response<Body> {
    let begun = Bytes::from(format!("{PROLOGUE} \n"));
    let pieces: BoxStream<'static, Result<Frame<Bytes>, Closed>> = stream::iter([Ok(Frame::data(begun))])
        .chain(stream::once(async move {
            tokio::time::sleep(after).await;
            Ok(Frame::data(act().body.slice(PROLOGUE.len()..)))
        }))
        .boxed();
    Response::new(StreamBody::new(pieces).boxed_unsync())
}

/// An error as S3 writes it.
pub(super) fn refused(status: u16, code: &str) -> Answer {
    let answer = Answer::xml("Error", &format!("<Code>{code}</Code><Message>{code} was wished for</Message>"));
    Answer { status, ..answer }
}
