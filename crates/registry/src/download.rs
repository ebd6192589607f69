//! A blob on its way out: large reads on blocking threads, one piece ahead of the client.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::task::JoinHandle;

/// How much is read at once. Two pieces a download are in memory.
const PIECE: u64 = 256 << 10;

type Reading = JoinHandle<io::Result<(File, Bytes)>>;

/// The body of an answer that carries `length` bytes of `file` from `first` on. When the file turns out shorter, the
/// connection breaks, so that no client takes half a blob for a whole one.
pub(crate) fn body(mut file: File, first: u64, length: u64) -> Body {
    if length == 0 {
        return Body::empty();
    }
    let start = tokio::task::spawn_blocking(move || {
        if first > 0 {
            file.seek(SeekFrom::Start(first))?;
        }
        read(file, length)
    });
    Body::from_stream(stream::try_unfold(Some((start, length)), next))
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

async fn next(state: Option<(Reading, u64)>) -> io::Result<Option<(Bytes, Option<(Reading, u64)>)>> {
    let Some((reading, left)) = state else { return Ok(None) };
    let (file, piece) = match reading.await {
        Ok(result) => result?,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => return Err(io::Error::other("the server is stopping")),
        },
    };
    let left = left - u64::try_from(piece.len()).expect("a length fits in 64 bits");
    let then = (left > 0).then(|| (tokio::task::spawn_blocking(move || read(file, left)), left));
    Ok(Some((piece, then)))
}

/// Reads the next piece, whole.
fn read(mut file: File, left: u64) -> io::Result<(File, Bytes)> {
    let length = left.min(PIECE);
    let capacity = usize::try_from(length).expect("a piece is small");
    let mut piece = Vec::with_capacity(capacity);
    (&mut file).take(length).read_to_end(&mut piece)?;
    if piece.len() < capacity {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the blob's file is shorter than it was"));
    }
    Ok((file, piece.into()))
}
