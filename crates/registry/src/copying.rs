//! What a copy of the instance needs of the registry: bytes that stay, and a way to read them.

use std::io;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::registry::BlobPlace;
use layer0_domain::port::blob_bytes::BlobContent;

use crate::blobs::BytesHold;
use crate::blocking::blocking;
use crate::registry::Registry;

/// How much is read at once.
const STEP: usize = 256 << 10;

impl Registry {
    /// Keeps all bytes of blobs where they are until what it answers is dropped. A copy of the state that is made after this names
    /// no blob whose bytes can go. Any number may hold at once; pushes, pulls, deletes and collections go on, but what they free comes
    /// back with the last hold.
    #[must_use]
    pub fn bytes_hold(&self) -> BytesHold {
        self.parts().blobs.hold()
    }

    /// The bytes of a blob as they lie there, read from the medium and compared with nothing: whoever gets them compares the digest.
    /// `None` when there are none. `place` is what the state says of where they lie. The answer breaks off when they can't be read.
    ///
    /// # Errors
    /// What the disk or the bucket says; [`is_passing`](crate::is_passing) tells what may be tried again.
    pub async fn blob_raw(&self, digest: &Digest, place: Option<BlobPlace>) -> io::Result<Option<Body>> {
        let Some(content) = self.parts().blobs.open_raw(digest, place).await? else { return Ok(None) };
        // Where opening asks nobody, the first read tells whether there is anything.
        let (content, first) = match read(content, 0).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let offset = u64::try_from(first.len()).expect("a step is small");
        let rest = stream::try_unfold((content, Some(first), offset), |(content, ready, offset)| async move {
            if let Some(bytes) = ready {
                return Ok::<_, io::Error>((!bytes.is_empty()).then_some((bytes, (content, None, offset))));
            }
            let (content, bytes) = read(content, offset).await?;
            let offset = offset + u64::try_from(bytes.len()).expect("a step is small");
            Ok((!bytes.is_empty()).then_some((bytes, (content, None, offset))))
        });
        Ok(Some(Body::from_stream(rest)))
    }
}

async fn read(content: Box<dyn BlobContent>, offset: u64) -> io::Result<(Box<dyn BlobContent>, Bytes)> {
    blocking(move || {
        let mut bytes = Vec::with_capacity(STEP);
        while let Err(error) = content.read(&mut bytes, STEP, offset, u64::MAX) {
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        Ok((content, Bytes::from(bytes)))
    })
    .await
}
