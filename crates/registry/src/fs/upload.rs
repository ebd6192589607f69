//! The staged file of one upload.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use layer0_domain::model::digest::Digest;
use layer0_domain::model::registry::BlobPlace;
use layer0_domain::port::blob_bytes::{BlobContent, Settling, UploadBytes};

use super::blobs::BlobFiles;
use super::content::FileContent;
use crate::disk::{Disk, DiskFile, found};

/// So much is written before the system is told to begin to bring it to the disk: while a large blob comes, the disk would have nothing to
/// do, and at its end everything waits for the disk.
const BEGIN_SYNC: u64 = 8 << 20;

/// The one who may write to a staged file. The file's length is what the upload has: nothing else needs to be remembered over
/// a restart.
pub(super) struct FileUpload {
    disk: Arc<dyn Disk>,
    blobs: Arc<BlobFiles>,
    path: PathBuf,
    /// Open only while a request writes: an upload that waits costs no descriptor.
    file: Option<Box<dyn DiskFile>>,
    length: u64,
    /// Up to where the system was told.
    begun: u64,
}

impl FileUpload {
    /// Of a file that is there.
    pub(super) fn new(disk: Arc<dyn Disk>, blobs: Arc<BlobFiles>, path: PathBuf, length: u64) -> Self {
        Self { disk, blobs, path, file: None, length, begun: length }
    }

    /// The open file; whoever keeps it open puts it back.
    fn opened(&mut self) -> io::Result<Box<dyn DiskFile>> {
        match self.file.take() {
            Some(file) => Ok(file),
            None => self.disk.file_open(&self.path),
        }
    }
}

impl UploadBytes for FileUpload {
    fn length(&self) -> u64 {
        self.length
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.opened()?;
        if let Err(error) = file.write_at(bytes, self.length) {
            file.truncate(self.length).ok();
            return Err(error);
        }
        self.length += u64::try_from(bytes.len()).expect("a length fits in 64 bits");
        if self.length - self.begun >= BEGIN_SYNC {
            file.begin_sync(self.begun, self.length - self.begun);
            self.begun = self.length;
        }
        self.file = Some(file);
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.disk.file_open(&self.path)?.truncate(length)?;
        self.length = length;
        self.begun = self.begun.min(length);
        Ok(())
    }

    fn settle(&mut self, _settling: Settling) -> io::Result<()> {
        Ok(())
    }

    fn rest(&mut self) {
        self.file = None;
    }

    fn refresh(&mut self) -> io::Result<bool> {
        Ok(false)
    }

    fn reread(&mut self) -> io::Result<Box<dyn BlobContent>> {
        Ok(Box::new(FileContent::staged(self.disk.file_read(&self.path)?, self.length)))
    }

    fn complete(&mut self) -> io::Result<()> {
        self.opened()?.sync()
    }

    fn keep(&mut self, digest: &Digest) -> io::Result<BlobPlace> {
        self.blobs.take_in(&self.path, digest)?;
        self.file = None;
        Ok(BlobPlace::new(digest.to_string()))
    }

    fn discard(&mut self) -> io::Result<()> {
        self.file = None;
        found(self.disk.file_remove(&self.path)).map(drop)
    }
}
