//! A response body on its way to the client, and the connection's way back to the pool.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::pump::Pump;
use super::{ExchangeError, READ_SIZE, READ_SIZE_LONG, Upstream};
use crate::docker::proxy::balancer::Lease;

/// A chunk's size line longer than this is refused.
const MOST_SIZE_LINE: usize = 1024;

/// Trailers longer than this are refused.
const MOST_TRAILERS: usize = 16 * 1024;

/// Where a body ends, and how much of it is still to come.
#[derive(Debug)]
pub(crate) enum Decoder {
    /// Bytes left.
    Length(u64),
    /// In chunks.
    Chunked(Chunk),
    /// When the connection ends.
    Close,
}

/// Where within the chunked coding (RFC 9112, 7.1) the buffer begins.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Chunk {
    /// At a size line.
    Size,
    /// Within data, this many bytes before its end.
    Data(u64),
    /// At the line break after data.
    DataEnd,
    /// In the trailers, which are left out; so many bytes of them were seen.
    Trailers(usize),
    /// Behind the end.
    Done,
}

impl Decoder {
    pub(crate) fn chunked() -> Self {
        Self::Chunked(Chunk::Size)
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunk::Done))
    }

    /// Takes data off the front of `read`; `None` when more must be read first (or all is done).
    pub(crate) fn decode(&mut self, read: &mut BytesMut) -> Result<Option<Bytes>, ExchangeError> {
        match self {
            Self::Length(left) => Ok(take(read, left)),
            Self::Close => Ok(take(read, &mut u64::MAX.clone())),
            Self::Chunked(chunk) => chunk.decode(read),
        }
    }
}

/// Up to `left` bytes off the front.
fn take(read: &mut BytesMut, left: &mut u64) -> Option<Bytes> {
    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(read.len());
    if count == 0 {
        return None;
    }
    *left -= count as u64;
    Some(read.split_to(count).freeze())
}

impl Chunk {
    fn decode(&mut self, read: &mut BytesMut) -> Result<Option<Bytes>, ExchangeError> {
        loop {
            match *self {
                Self::Size => {
                    let Some(line) = line(read, MOST_SIZE_LINE)? else { return Ok(None) };
                    *self = match size(&line)? {
                        0 => Self::Trailers(0),
                        size => Self::Data(size),
                    };
                }
                Self::Data(mut left) => {
                    let data = take(read, &mut left);
                    *self = if left == 0 { Self::DataEnd } else { Self::Data(left) };
                    return Ok(data);
                }
                Self::DataEnd => {
                    if read.len() < 2 {
                        return Ok(None);
                    }
                    if &read[..2] != b"\r\n" {
                        return Err(ExchangeError::Invalid("a chunk is longer than its size"));
                    }
                    read.advance(2);
                    *self = Self::Size;
                }
                Self::Trailers(seen) => {
                    let Some(line) = line(read, MOST_TRAILERS)? else { return Ok(None) };
                    let seen = seen + line.len();
                    if seen > MOST_TRAILERS {
                        return Err(ExchangeError::Invalid("its trailers are too long"));
                    }
                    *self = if line.is_empty() { Self::Done } else { Self::Trailers(seen) };
                }
                Self::Done => return Ok(None),
            }
        }
    }
}

/// A whole line without its break.
fn line(read: &mut BytesMut, most: usize) -> Result<Option<BytesMut>, ExchangeError> {
    match read.iter().take(most).position(|byte| *byte == b'\n') {
        Some(end) if end > 0 && read[end - 1] == b'\r' => {
            let mut line = read.split_to(end + 1);
            line.truncate(end - 1);
            Ok(Some(line))
        }
        Some(_) => Err(ExchangeError::Invalid("a line of the chunked coding ends wrongly")),
        None if read.len() >= most => Err(ExchangeError::Invalid("a line of the chunked coding is too long")),
        None => Ok(None),
    }
}

fn size(line: &[u8]) -> Result<u64, ExchangeError> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
    let digits = std::str::from_utf8(digits).unwrap_or_default();
    let hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then(|| u64::from_str_radix(digits, 16).ok())
        .flatten()
        .ok_or(ExchangeError::Invalid("a chunk's size is malformed"))
}

/// What is needed to give a connection back.
#[derive(Debug)]
pub(crate) struct Return {
    pub(crate) lease: Lease,
    pub(crate) worker: usize,
    pub(crate) port: u16,
}

impl Return {
    /// Puts the connection into the pool, unless its target leaves. What the target sent unasked ends it.
    pub(crate) fn give_back(self, mut upstream: Box<Upstream>) {
        let target = self.lease.target();
        if target.keeps_connections() && upstream.read.is_empty() {
            upstream.reused = true;
            target.pool.put(self.worker, self.port, upstream);
        }
    }
}

/// A response body that is streamed. Dropped early, it closes the connection: the rest of the body is in it.
#[derive(Debug)]
pub(crate) struct UpstreamBody<B> {
    upstream: Option<Box<Upstream>>,
    decoder: Decoder,
    /// The request body, where the target answers before it has all of it.
    pump: Option<Pump<B>>,
    back: Option<Return>,
    keep_alive: bool,
    idle_timeout: Duration,
    /// Whether the target is being waited for, and not the client: only then does the idle timeout run.
    waiting: bool,
}

impl<B: Body<Data = Bytes> + Unpin> UpstreamBody<B> {
    pub(crate) fn new(
        upstream: Box<Upstream>,
        decoder: Decoder,
        pump: Pump<B>,
        back: Return,
        keep_alive: bool,
        idle_timeout: Duration,
    ) -> Self {
        let pump = (!pump.is_done()).then_some(pump);
        let mut body = Self {
            upstream: Some(upstream),
            decoder,
            pump,
            back: Some(back),
            keep_alive,
            idle_timeout,
            waiting: false,
        };
        body.finish_if_done();
        body
    }

    fn finish_if_done(&mut self) {
        if !self.decoder.is_done() {
            return;
        }
        if let (Some(upstream), Some(back)) = (self.upstream.take(), self.back.take())
            && self.keep_alive
            && self.pump.is_none()
        {
            back.give_back(upstream);
        }
    }

    /// The body, if all of it has come already; its connection is free then.
    pub(crate) fn whole(mut self) -> Result<Bytes, Box<Self>> {
        if self.decoder.is_done() {
            return Ok(Bytes::new());
        }
        match (&mut self.decoder, &mut self.upstream) {
            (Decoder::Length(left), Some(upstream)) if upstream.read.len() as u64 >= *left => {
                let data = take(&mut upstream.read, left).unwrap_or_default();
                self.finish_if_done();
                Ok(data)
            }
            _ => Err(Box::new(self)),
        }
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ExchangeError>>> {
        loop {
            let Some(upstream) = &mut self.upstream else { return Poll::Ready(None) };
            if let Some(pump) = &mut self.pump {
                match pump.poll(upstream, cx) {
                    Poll::Ready(Ok(())) => self.pump = None,
                    // A target may answer and not want the rest of the request; the answer counts.
                    Poll::Ready(Err(_)) => {
                        self.pump = None;
                        self.keep_alive = false;
                    }
                    Poll::Pending => self.waiting &= !pump.take_progress(),
                }
            }
            if let Some(data) = self.decoder.decode(&mut upstream.read)? {
                self.finish_if_done();
                return Poll::Ready(Some(Ok(data)));
            }
            if self.decoder.is_done() {
                self.finish_if_done();
                return Poll::Ready(None);
            }
            let long = matches!(self.decoder, Decoder::Length(left) if left > READ_SIZE_LONG as u64);
            let most = if long { READ_SIZE_LONG } else { READ_SIZE };
            match upstream.poll_fill(cx, most) {
                Poll::Ready(Ok(0)) if matches!(self.decoder, Decoder::Close) => {
                    self.upstream = None;
                    self.back = None;
                    return Poll::Ready(None);
                }
                Poll::Ready(Ok(0)) => return Poll::Ready(Some(Err(ExchangeError::Broken(None)))),
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(ExchangeError::Broken(Some(error))))),
                Poll::Ready(Ok(_)) => self.waiting = false,
                Poll::Pending => {
                    if !std::mem::replace(&mut self.waiting, true) {
                        upstream.deadline.set(Instant::now() + self.idle_timeout);
                    }
                    ready!(upstream.deadline.poll(cx));
                    return Poll::Ready(Some(Err(ExchangeError::Timeout)));
                }
            }
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for UpstreamBody<B> {
    type Data = Bytes;
    type Error = ExchangeError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ExchangeError>>> {
        let data = ready!(self.poll_data(cx));
        self.waiting = false;
        if matches!(data, Some(Err(_))) {
            self.upstream = None;
            self.back = None;
        }
        Poll::Ready(data.map(|data| data.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.upstream.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.decoder {
            Decoder::Length(left) => SizeHint::with_exact(left),
            Decoder::Chunked(_) | Decoder::Close => SizeHint::default(),
        }
    }
}
