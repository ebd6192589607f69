//! A file that is open for reading.

use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use layer0_domain::model::digest::Digest;
use layer0_domain::port::blob_bytes::BlobContent;

use super::blobs::BlobFiles;
use super::packs::Reading;
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

/// A record in a pack. It stays readable when it is removed.
pub(super) struct PackContent {
    file: Box<dyn DiskRead>,
    /// Where it begins in the file.
    begin: u64,
    length: u64,
    reading: Reading,
}

impl PackContent {
    pub(super) fn new(file: Box<dyn DiskRead>, begin: u64, length: u64, reading: Reading) -> Self {
        Self { file, begin, length, reading }
    }

    /// Advises the system to forget what it has in memory of the record.
    pub(super) fn forget(&self) {
        self.file.forget(self.begin, NonZeroU64::new(self.length));
    }
}

impl BlobContent for PackContent {
    fn length(&self) -> Option<u64> {
        Some(self.length)
    }

    fn read(&self, into: &mut Vec<u8>, most: usize, offset: u64, _until: u64) -> io::Result<usize> {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let (before, most) = (into.len(), most.min(left));
        if most == 0 {
            return Ok(0);
        }
        into.reserve(most);
        self.file.read_at(into, self.begin + offset)?;
        // An allocation may have more room than was asked for.
        into.truncate(before + most);
        Ok(into.len() - before)
    }

    fn read_ready(&self, into: &mut [u8], offset: u64) -> bool {
        let is_inside = u64::try_from(into.len()).is_ok_and(|wanted| offset + wanted <= self.length);
        is_inside && self.file.read_ready(into, self.begin + offset)
    }

    fn is_current(&self) -> io::Result<bool> {
        self.reading.is_current(&*self.file)
    }
}

/// What has come of an upload and is in no file yet.
pub(super) struct MemoryContent(pub(super) Vec<u8>);

impl BlobContent for MemoryContent {
    fn length(&self) -> Option<u64> {
        u64::try_from(self.0.len()).ok()
    }

    fn read(&self, into: &mut Vec<u8>, most: usize, offset: u64, _until: u64) -> io::Result<usize> {
        let left = usize::try_from(offset).ok().and_then(|offset| self.0.get(offset..)).unwrap_or_default();
        let wanted = &left[..most.min(left.len())];
        into.extend_from_slice(wanted);
        Ok(wanted.len())
    }

    fn is_current(&self) -> io::Result<bool> {
        Ok(true)
    }
}
