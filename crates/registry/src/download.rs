//! A blob on its way out: large reads on blocking threads, one batch ahead of the client.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::task::JoinHandle;

use crate::blobs::{BlobReader, Blobs, ReadError};
use crate::blocking::blocking;
use crate::error::RegistryError;

type Batch = Result<Bytes, ReadError>;

/// A download under way. Two batches of it are in memory.
struct Download {
    blobs: Blobs,
    reader: Arc<BlobReader>,
    /// From where the next batch is read, and where the wanted bytes end.
    next: u64,
    end: u64,
    /// The batch that goes out next: one that is there, or one that is being read.
    ready: Option<Bytes>,
    reading: Option<JoinHandle<Batch>>,
}

/// The body of an answer that carries `length` bytes of a blob from `first` on. The first batch is read and checked before
/// this returns, so that a blob that is damaged there is answered with an error. When a later one turns out damaged, or
/// can't be read, the connection breaks, so that no client takes half a blob for a whole one.
pub(crate) async fn body(blobs: &Blobs, reader: BlobReader, first: u64, length: u64) -> Result<Body, RegistryError> {
    if length == 0 {
        return Ok(Body::empty());
    }
    let (reader, end) = (Arc::new(reader), first + length);
    let reading = Arc::clone(&reader);
    let batch = match blocking(move || Ok(reading.read(first, end))).await.map_err(RegistryError::from_io)? {
        Ok(batch) => batch,
        Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
            let digest = reader.digest().clone();
            tracing::error!(blob.digest = %digest, "the bytes of blob {digest} are gone; it can't be pulled until it is pushed again");
            return Err(RegistryError::BlobUnknown(digest));
        }
        Err(ReadError::Io(error)) => return Err(RegistryError::from_io(error)),
        Err(ReadError::Damaged { piece }) => return Err(blobs.suspect(reader, piece).await),
    };
    if u64::try_from(batch.len()) == Ok(length) {
        return Ok(Body::from(batch));
    }
    let blobs = blobs.clone();
    let download = Download { blobs, reader, next: first, end, ready: Some(batch), reading: None };
    Ok(Body::from_stream(stream::try_unfold(download, Download::go_on)))
}

impl Download {
    /// Hands the next batch out, and begins to read the one after it.
    async fn go_on(mut self) -> io::Result<Option<(Bytes, Self)>> {
        let batch = match (self.ready.take(), self.reading.take()) {
            (Some(batch), _) => batch,
            (None, Some(reading)) => self.came(reading).await?,
            (None, None) => return Ok(None),
        };
        self.next += u64::try_from(batch.len()).expect("a length fits in 64 bits");
        if self.next < self.end {
            let (reader, first, end) = (Arc::clone(&self.reader), self.next, self.end);
            self.reading = Some(tokio::task::spawn_blocking(move || reader.read(first, end)));
        }
        Ok(Some((batch, self)))
    }

    /// Waits for a batch. An error breaks the connection.
    async fn came(&self, reading: JoinHandle<Batch>) -> io::Result<Bytes> {
        match reading.await {
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

/// The same body, which breaks off when `ended` comes true before its end: the client sees that it has no whole.
pub(crate) fn until(body: Body, ended: impl Future<Output = ()> + Send + 'static) -> Body {
    let pieces = body.into_data_stream();
    Body::from_stream(stream::try_unfold((pieces, Box::pin(ended)), |(mut pieces, mut ended)| async move {
        tokio::select! {
            piece = pieces.next() => match piece {
                Some(piece) => Ok(Some((piece.map_err(io::Error::other)?, (pieces, ended)))),
                None => Ok(None),
            },
            () = &mut ended => Err(io::Error::other("the right to pull has ended")),
        }
    }))
}
