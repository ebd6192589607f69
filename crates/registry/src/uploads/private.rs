//! Uploads that nobody can go on with but who has begun them.

use std::sync::Arc;

use layer0_domain::model::digest::Algorithm;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::blob_bytes::Reach;
use tokio::runtime::Handle;

use super::{Claim, Held, Push, Share, Upload, UploadId, Uploads};
use crate::blobs::Blobs;
use crate::blocking::blocking;
use crate::error::RegistryError;

/// An upload whose name nobody knows but who has this: with this it ends, and its bytes go. So it is also when a request is dropped in
/// the middle because its client went away; else they would lie there until they expire.
pub(crate) struct Private {
    uploads: Uploads,
    id: UploadId,
    upload: Arc<Upload>,
    /// It has ended, or will whatever comes.
    ended: bool,
}

impl Private {
    /// The right to write.
    pub(crate) fn hold(&self) -> Result<Held, RegistryError> {
        self.upload.hold()
    }

    /// Ends it and removes what was staged.
    pub(crate) async fn cancel(mut self, held: Held) {
        self.uploads.cancel(&self.id, held).await;
        self.ended = true;
    }

    /// As [`Uploads::finish`].
    pub(crate) async fn finish(
        mut self,
        held: Held,
        claim: Claim,
        push: Push,
        blobs: &Blobs,
    ) -> Result<u64, RegistryError> {
        // From its first step on that runs to its end, and the first step is made here.
        self.ended = true;
        self.uploads.finish(self.id.clone(), held, claim, push, blobs).await
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let (uploads, id, upload) = (self.uploads.clone(), self.id.clone(), Arc::clone(&self.upload));
        match Handle::try_current() {
            // A batch may still be on its way to the disk, on another thread.
            Ok(runtime) => {
                runtime.spawn_blocking(move || {
                    let mut held = Held::new(Arc::clone(&upload.writer).blocking_lock_owned());
                    if !held.is_gone() {
                        held.discard();
                    }
                    uploads.forget(&id);
                });
            }
            Err(_) => {
                if let Ok(mut held) = upload.hold() {
                    held.discard();
                    uploads.forget(&id);
                }
            }
        }
    }
}

impl Uploads {
    /// Begins an upload that only the caller can go on with. Content will be hashed by `algorithm` as it comes.
    pub(crate) async fn begin_private(
        &self,
        id: UploadId,
        algorithm: Algorithm,
        share: Share,
        at: Timestamp,
    ) -> Result<Private, RegistryError> {
        let uploads = self.clone();
        if let Some(bytes) = self.inner.bytes.upload_begin_ready(id.as_str()) {
            let upload = self.inner.begun(id.clone(), bytes, algorithm, share, at);
            return Ok(Private { uploads, id, upload, ended: false });
        }
        // Made there: who goes away before it has begun leaves nothing either.
        let begun = blocking(move || {
            let upload = uploads.inner.make(id.clone(), Reach::Private, algorithm, share, at)?;
            Ok(Private { uploads, id, upload, ended: false })
        });
        begun.await.map_err(RegistryError::from_io)
    }
}
