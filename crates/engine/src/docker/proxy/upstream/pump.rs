//! A request on its way to a target: its head, then its body as the client sends it.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body::Body;
use tokio::io::AsyncWrite;

use super::Upstream;
use super::head::Length;

/// Which side broke it off.
#[derive(Debug)]
pub(crate) enum PumpError {
    /// The client, or its body is not as long as announced.
    Client,
    /// The target.
    Target(io::Error),
}

/// A request that is being sent. The head is kept, so that it can be sent again to another target.
#[derive(Debug)]
pub(crate) struct Pump<B> {
    head: BytesMut,
    head_sent: usize,
    body: Option<B>,
    length: Length,
    /// Bytes that the body still owes, if its length is known.
    owed: u64,
    /// The chunk that is being written.
    chunk: Bytes,
    /// Whether a chunk's closing line break is owed.
    within_chunk: bool,
    body_touched: bool,
    progress: bool,
}

impl<B: Body<Data = Bytes> + Unpin> Pump<B> {
    pub(crate) fn new(head: BytesMut, body: B, length: Length) -> Self {
        let owed = if let Length::Known(bytes) = length { bytes } else { 0 };
        let body = (length != Length::None).then_some(body);
        Self {
            head,
            head_sent: 0,
            body,
            length,
            owed,
            chunk: Bytes::new(),
            within_chunk: false,
            body_touched: false,
            progress: false,
        }
    }

    /// Whether all has been handed to the kernel.
    pub(crate) fn is_done(&self) -> bool {
        self.body.is_none() && self.chunk.is_empty() && self.head_sent == self.head.len()
    }

    /// Whether nothing of the body was taken from the client, so that the request can start over.
    pub(crate) fn can_restart(&self) -> bool {
        !self.body_touched
    }

    /// Whether nothing left for the target at all.
    pub(crate) fn is_unsent(&self) -> bool {
        self.head_sent == 0
    }

    /// Begins again, on another connection.
    pub(crate) fn restart(&mut self) {
        self.head_sent = 0;
    }

    /// Whether something moved since this was last asked.
    pub(crate) fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.progress)
    }

    /// Sends on; ready when all is sent.
    pub(crate) fn poll(&mut self, upstream: &mut Upstream, cx: &mut Context<'_>) -> Poll<Result<(), PumpError>> {
        loop {
            ready!(self.poll_flush(upstream, cx)).map_err(PumpError::Target)?;
            let Some(body) = &mut self.body else { return Poll::Ready(Ok(())) };
            self.body_touched = true;
            match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    self.progress = true;
                    // Trailers are left out, as RFC 9110 (6.5.1) lets a proxy do.
                    if let Ok(data) = frame.into_data() {
                        self.frame(upstream, data)?;
                    }
                }
                Some(Err(_)) => return Poll::Ready(Err(PumpError::Client)),
                None => {
                    self.body = None;
                    if self.owed > 0 {
                        return Poll::Ready(Err(PumpError::Client));
                    }
                    if self.length == Length::Chunked {
                        upstream.out.put_slice(if self.within_chunk { b"\r\n0\r\n\r\n" } else { b"0\r\n\r\n" });
                    }
                }
            }
        }
    }

    fn frame(&mut self, upstream: &mut Upstream, data: Bytes) -> Result<(), PumpError> {
        if data.is_empty() {
            return Ok(());
        }
        let length = data.len() as u64;
        if self.length == Length::Chunked {
            let line_break = if self.within_chunk { "\r\n" } else { "" };
            upstream.out.put_slice(format!("{line_break}{length:x}\r\n").as_bytes());
            self.within_chunk = true;
        } else {
            self.owed = self.owed.checked_sub(length).ok_or(PumpError::Client)?;
        }
        self.chunk = data;
        Ok(())
    }

    fn poll_flush(&mut self, upstream: &mut Upstream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.head_sent < self.head.len() {
            let written = ready!(Pin::new(&mut upstream.stream).poll_write(cx, &self.head[self.head_sent..]))?;
            if written == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            self.head_sent += written;
        }
        while !self.chunk.is_empty() {
            let pieces = [IoSlice::new(&upstream.out), IoSlice::new(&self.chunk)];
            let pieces = if upstream.out.is_empty() { &pieces[1..] } else { &pieces[..] };
            let mut written = ready!(Pin::new(&mut upstream.stream).poll_write_vectored(cx, pieces))?;
            if written == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            let framing = written.min(upstream.out.len());
            upstream.out.advance(framing);
            written -= framing;
            self.chunk.advance(written);
        }
        upstream.poll_write_out(cx)
    }
}
