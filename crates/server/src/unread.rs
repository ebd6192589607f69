//! What a request brought and nobody read.
//!
//! A client writes its request before it reads the answer, and over HTTP/1 its next request goes over the same connection.
//! Who is refused before his body was read (a push without a token, into no repository, of too much) would find the
//! connection closed under his hands: the library closes it as soon as it has answered. Then the answer is lost, or the
//! next request, which a client may not send again by itself when it has a body. So the rest of the body is read and
//! thrown away before the answer goes out. Where that is too much, or takes too long, the answer says that the connection
//! ends with it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{CONNECTION, EXPECT};
use http::{HeaderValue, Version};
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::oneshot;

/// The most that is thrown away of one request.
const MOST: u64 = 256 * 1024 * 1024;

/// How long that may take, and how long the client may be silent meanwhile.
const LIMIT: Duration = Duration::from_secs(30);
const SILENCE: Duration = Duration::from_secs(5);

/// A body that comes back when it is dropped before its end.
struct Lent<B> {
    /// The body and whether somebody has asked for any of it; `None` only while it is dropped.
    body: Option<(B, bool)>,
    owner: Option<oneshot::Sender<(B, bool)>>,
}

impl<B: HttpBody + Unpin> HttpBody for Lent<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let Some((body, begun)) = &mut self.body else { return Poll::Ready(None) };
        *begun = true;
        Pin::new(body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(|(body, _)| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(|(body, _)| body.size_hint()).unwrap_or_default()
    }
}

impl<B> Drop for Lent<B> {
    fn drop(&mut self) {
        if let (Some(body), Some(owner)) = (self.body.take(), self.owner.take()) {
            // Nobody waits for it when the request was given up.
            drop(owner.send(body));
        }
    }
}

/// The way back of a body that was lent to a handler; `None` where nothing needs to come back.
pub(crate) struct Unread<B>(Option<Back<B>>);

struct Back<B> {
    body: oneshot::Receiver<(B, bool)>,
    /// The client waits for leave to send its body, which reading the body gives it.
    expects: bool,
}

/// Lends a request's body to its handler.
pub(crate) fn lend<B>(request: http::Request<B>) -> (Request, Unread<B>)
where
    B: HttpBody<Data = axum::body::Bytes, Error: Into<axum::BoxError>> + Unpin + Send + 'static,
{
    // HTTP/2 ends a request's stream without harm to the connection.
    if request.version() > Version::HTTP_11 || request.body().is_end_stream() {
        return (request.map(Body::new), Unread(None));
    }
    let expects = request.headers().contains_key(EXPECT);
    let (owner, body) = oneshot::channel();
    let request = request.map(|body| Body::new(Lent { body: Some((body, false)), owner: Some(owner) }));
    (request, Unread(Some(Back { body, expects })))
}

impl<B: HttpBody + Unpin> Unread<B> {
    /// Sees to what the handler left of the body, before its answer goes out. Answers whether the client may send more of it, though
    /// the connection ends.
    pub(crate) async fn settle(self, response: &mut Response) -> bool {
        let Some(mut back) = self.0 else { return false };
        // The handler wants no more of it: whoever sends lost the right to while sending.
        if response.headers().contains_key(CONNECTION) {
            return true;
        }
        // A handler that still has it is still reading.
        let Ok((body, begun)) = back.body.try_recv() else { return false };
        let is_cut = (back.expects && !begun) || !read_to_its_end(body).await;
        if is_cut {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        is_cut
    }
}

/// Reads a body and keeps nothing; `false` when it is too long, too slow, or broke off.
async fn read_to_its_end<B: HttpBody + Unpin>(mut body: B) -> bool {
    let mut left = MOST;
    if body.size_hint().lower() > left {
        return false;
    }
    let reading = async {
        loop {
            let frame = match tokio::time::timeout(SILENCE, body.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(None) => return true,
                Ok(Some(Err(_))) | Err(_) => return false,
            };
            let length = frame.data_ref().map_or(0, hyper::body::Buf::remaining);
            let Some(less) = u64::try_from(length).ok().and_then(|length| left.checked_sub(length)) else {
                return false;
            };
            left = less;
        }
    };
    tokio::time::timeout(LIMIT, reading).await.unwrap_or(false)
}
