//! A file that is open for reading.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use layer0_domain::model::digest::Digest;
use layer0_domain::port::blob_bytes::BlobContent;

use super::blobs::BlobFiles;
use crate::disk::DiskRead;

/// A file. It stays readable when its name goes.
pub(super) struct FileContent {
    file: Box<dyn DiskRead>,
    length: u64,
    /// What it is; none of a staged file.
    blob: Option<(Arc<BlobFiles>, Digest)>,
}

impl FileContent {
    /// A blob's file.
    pub(super) fn blob(file: Box<dyn DiskRead>, length: u64, blobs: Arc<BlobFiles>, digest: Digest) -> Self {
        Self { file, length, blob: Some((blobs, digest)) }
    }

    /// A staged file.
    pub(super) fn staged(file: Box<dyn DiskRead>, length: u64) -> Self {
        Self { file, length, blob: None }
    }
}

impl BlobContent for FileContent {
    fn length(&self) -> Option<u64> {
        Some(self.length)
    }

    fn read(&self, into: &mut Vec<u8>, most: usize, offset: u64, _until: u64) -> io::Result<usize> {
        let before = into.len();
        into.reserve(most);
        self.file.read_at(into, offset)?;
        // An allocation may have more room than was asked for.
        into.truncate(before + most);
        Ok(into.len() - before)
    }

    fn read_ready(&self, into: &mut [u8], offset: u64) -> bool {
        self.file.read_ready(into, offset)
    }

    fn is_current(&self) -> io::Result<bool> {
        let Some((blobs, digest)) = &self.blob else { return Ok(true) };
        let read = self.file.metadata()?;
        Ok(blobs.metadata(digest)?.is_some_and(|now| (now.dev(), now.ino()) == (read.dev(), read.ino())))
    }
}
