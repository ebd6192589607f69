//! The right to write to an upload.

use std::ops::{Deref, DerefMut};

use tokio::sync::OwnedMutexGuard;

use super::writer::Writer;

/// The right to write to an upload; whoever holds it is the only one. Giving it back closes the staged file, also when a
/// request ends in the middle because its client went away: an upload that waits costs no descriptor.
pub(crate) struct Held(OwnedMutexGuard<Writer>);

impl Held {
    /// Takes the writer until this is dropped.
    pub(super) fn new(writer: OwnedMutexGuard<Writer>) -> Self {
        Self(writer)
    }
}

impl Deref for Held {
    type Target = Writer;

    fn deref(&self) -> &Writer {
        &self.0
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut Writer {
        &mut self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.let_go();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use axum::body::{Body, Bytes};
    use futures_util::{StreamExt, stream};
    use layer0_domain::model::digest::Algorithm;
    use layer0_domain::model::image::RepositoryName;
    use layer0_domain::model::time::Timestamp;
    use layer0_testkit::until::until_true;

    use super::super::{Share, Then, UploadId, Uploads, receive};
    use crate::disk::OsDisk;
    use crate::fs::FileBytes;

    /// Whether this process has a file open below a directory.
    fn has_open(below: &Path) -> bool {
        let open = std::fs::read_dir("/proc/self/fd").expect("Linux has it").filter_map(Result::ok);
        open.filter_map(|entry| std::fs::read_link(entry.path()).ok()).any(|path| path.starts_with(below))
    }

    #[tokio::test]
    async fn a_request_that_is_dropped_in_the_middle_leaves_no_file_open() {
        let _alone = super::super::batch::ALONE.lock().await;
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().canonicalize().expect("it is there");
        let uploads = Uploads::new(Arc::new(FileBytes::open(&root, Arc::new(OsDisk)).expect("a directory")));
        let id = UploadId::new([7; 32], &RepositoryName::parse("team/app").expect("a name"));
        let upload = uploads.begin_private(id, Algorithm::Sha256, Share::nobodys(), Timestamp(0)).await;
        let upload = upload.expect("it begins");
        // More than one batch, and then nothing for ever.
        let first = Ok::<_, std::convert::Infallible>(Bytes::from(vec![1; 3 << 19]));
        let body = Body::from_stream(stream::iter([first]).chain(stream::pending()));
        let held = upload.hold().expect("nobody else writes");
        let mut receiving = Box::pin(receive(held, body, None, None, Then::Rest, Duration::from_secs(600), None));
        tokio::select! {
            _ = &mut receiving => panic!("the body never ends"),
            () = until_true("a batch is written", || async { has_open(&root) }) => {}
        }
        assert!(has_open(&root), "it is being written");
        drop(receiving);
        until_true("another may write", || async { upload.hold().is_ok() }).await;
        assert!(!has_open(&root));
    }
}
