//! A blob on its way out, in large batches: read where the connection is served when they are in memory, else on blocking threads.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body::{Frame, SizeHint};
use tokio::task::{JoinError, JoinHandle};

use crate::blobs::{BlobReader, Blobs, ReadError};
use crate::blocking::blocking;
use crate::error::RegistryError;

type Batch = Result<Bytes, ReadError>;

/// Returns when the right to a download has ended.
pub(crate) type Ended = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Up to so many bytes go out unwatched: by the time that somebody could be shut out they are on their way.
const UNWATCHED: u64 = 1 << 20;

/// A download under way. One batch of it is in memory, and one on its way out.
struct Download {
    blobs: Blobs,
    reader: Arc<BlobReader>,
    /// From where the next batch is read, and where the wanted bytes end.
    next: u64,
    end: u64,
    /// The first batch, until it goes out.
    ready: Option<Bytes>,
    /// A batch that had to be waited for.
    reading: Option<JoinHandle<Batch>>,
    ended: Option<Ended>,
}

/// The body of an answer that carries `length` bytes of a blob from `first` on. The first batch is read and checked before
/// this returns, so that a blob that is damaged there is answered with an error. When a later one turns out damaged, or
/// can't be read, or `ended` comes true, the connection breaks, so that no client takes half a blob for a whole one.
pub(crate) async fn body(
    blobs: &Blobs,
    reader: BlobReader,
    first: u64,
    length: u64,
    ended: impl FnOnce() -> Option<Ended>,
) -> Result<Body, RegistryError> {
    if length == 0 {
        return Ok(Body::empty());
    }
    let (reader, end) = (Arc::new(reader), first + length);
    let at_hand = reader.read_ready(first, end);
    let waited = at_hand.is_none();
    let batch = match at_hand {
        Some(batch) => batch,
        None => {
            let reading = Arc::clone(&reader);
            match blocking(move || Ok(reading.read(first, end))).await.map_err(RegistryError::from_io)? {
                Ok(batch) => batch,
                Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                    let digest = reader.digest().clone();
                    tracing::error!(blob.digest = %digest, "the bytes of blob {digest} are gone; it can't be pulled until it is pushed again");
                    return Err(RegistryError::BlobUnknown(digest));
                }
                Err(ReadError::Io(error)) => return Err(RegistryError::from_io(error)),
                Err(ReadError::Damaged { piece }) => return Err(blobs.suspect(reader, piece).await),
            }
        }
    };
    if u64::try_from(batch.len()) == Ok(length) {
        return Ok(Body::from(batch));
    }
    let ended = if length > UNWATCHED { ended() } else { None };
    let next = first + u64::try_from(batch.len()).expect("a length fits in 64 bits");
    let blobs = blobs.clone();
    let mut download = Download { blobs, reader, next, end, ready: Some(batch), reading: None, ended };
    if waited {
        download.wait();
    }
    Ok(Body::new(download))
}

impl Download {
    /// The next batch, when it is there. An error breaks the connection.
    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(ended) = &mut self.ended
            && ended.as_mut().poll(cx).is_ready()
        {
            self.next = self.end;
            return Poll::Ready(Some(Err(io::Error::other("the right to pull has ended"))));
        }
        if let Some(batch) = self.ready.take() {
            return Poll::Ready(Some(Ok(batch)));
        }
        if self.reading.is_none() {
            if self.next >= self.end {
                return Poll::Ready(None);
            }
            match self.reader.read_ready(self.next, self.end) {
                Some(batch) => return Poll::Ready(Some(Ok(self.gone(batch)))),
                None => self.wait(),
            }
        }
        let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
        let read = ready!(Pin::new(reading).poll(cx));
        self.reading = None;
        let batch = self.came(read).map(|batch| self.gone(batch));
        match &batch {
            // Where one had to be waited for, the one after it is fetched while this goes out.
            Ok(_) if self.next < self.end => match self.reader.read_ready(self.next, self.end) {
                Some(batch) => self.ready = Some(self.gone(batch)),
                None => self.wait(),
            },
            Ok(_) => {}
            Err(_) => self.next = self.end,
        }
        Poll::Ready(Some(batch))
    }

    /// Begins to read the next batch on a blocking thread.
    fn wait(&mut self) {
        let (reader, first, end) = (Arc::clone(&self.reader), self.next, self.end);
        self.reading = Some(tokio::task::spawn_blocking(move || reader.read(first, end)));
    }

    /// Notes that a batch goes out.
    fn gone(&mut self, batch: Bytes) -> Bytes {
        self.next += u64::try_from(batch.len()).expect("a length fits in 64 bits");
        batch
    }

    /// What came of a read.
    fn came(&self, read: Result<Batch, JoinError>) -> io::Result<Bytes> {
        match read {
            Ok(Ok(batch)) => Ok(batch),
            Ok(Err(ReadError::Io(error))) => {
                tracing::error!(error = %error, "a blob can't be read; its download breaks off: {error}");
                Err(error)
            }
            Ok(Err(ReadError::Damaged { piece })) => {
                let (blobs, reader) = (self.blobs.clone(), Arc::clone(&self.reader));
                // The client need not wait for what becomes of the blob.
                tokio::spawn(async move { blobs.suspect(reader, piece).await });
                Err(io::Error::new(io::ErrorKind::InvalidData, "the blob is damaged"))
            }
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(io::Error::other("the server is stopping")),
            },
        }
    }
}

impl HttpBody for Download {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.poll_batch(cx).map(|batch| batch.map(|batch| batch.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.next >= self.end && self.ready.is_none() && self.reading.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let ready = self.ready.as_ref().map_or(0, Bytes::len);
        SizeHint::with_exact(self.end - self.next + u64::try_from(ready).expect("a length fits in 64 bits"))
    }
}

/// The same body, which breaks off when `ended` comes true before its end: the client sees that it has no whole.
pub(crate) fn until(body: Body, ended: Ended) -> Body {
    let pieces = body.into_data_stream();
    Body::from_stream(stream::try_unfold((pieces, ended), |(mut pieces, mut ended)| async move {
        tokio::select! {
            piece = pieces.next() => match piece {
                Some(piece) => Ok(Some((piece.map_err(io::Error::other)?, (pieces, ended)))),
                None => Ok(None),
            },
            () = &mut ended => Err(io::Error::other("the right to pull has ended")),
        }
    }))
}
