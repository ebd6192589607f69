//! One upload: its staged file, and what needs none.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use layer0_domain::model::digest::Digest;
use layer0_domain::model::registry::BlobPlace;
use layer0_domain::port::blob_bytes::{BlobContent, Settling, UploadBytes};

use super::blobs::BlobFiles;
use super::content::{FileContent, MemoryContent};
use super::packs::{Brought, Packs, Record};
use crate::disk::{Disk, DiskFile, found};

/// So much is written before the system is told to begin to bring it to the disk: while a large blob comes, the disk would have nothing to
/// do, and at its end everything waits for the disk.
const BEGIN_SYNC: u64 = 8 << 20;

/// Where uploads lie, and what they become.
pub(super) struct Whereto {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) blobs: Arc<BlobFiles>,
    pub(super) packs: Arc<Packs>,
    /// The largest blob that goes into a pack; `None` when each has a file of its own.
    pub(super) packed_max: Option<u64>,
}

/// The one who may write to a staged file. The file's length is what the upload has: nothing else needs to be remembered over
/// a restart. There is no file before there is something in it.
pub(super) struct FileUpload {
    to: Arc<Whereto>,
    path: PathBuf,
    is_made: bool,
    /// Open only while a request writes: an upload that waits costs no descriptor.
    file: Option<Box<dyn DiskFile>>,
    length: u64,
    /// Up to where the system was told.
    begun: u64,
    /// All of an upload that came at once and is small: it never has a file.
    last: Option<Record>,
    /// Where it lies when it was completed, of a small one; until it is a blob's, or nobody's.
    packed: Option<Brought>,
    is_kept: bool,
}

impl FileUpload {
    /// Of which nothing is there.
    pub(super) fn begun(to: Arc<Whereto>, path: PathBuf) -> Self {
        Self { to, path, is_made: false, file: None, length: 0, begun: 0, last: None, packed: None, is_kept: false }
    }

    /// Of a file that is there.
    pub(super) fn found(to: Arc<Whereto>, path: PathBuf, length: u64) -> Self {
        Self { is_made: true, length, begun: length, ..Self::begun(to, path) }
    }

    /// The open file; whoever keeps it open puts it back.
    fn opened(&mut self) -> io::Result<Box<dyn DiskFile>> {
        if let Some(file) = self.file.take() {
            return Ok(file);
        }
        if !self.is_made {
            self.to.disk.file_make(&self.path)?;
            self.is_made = true;
        }
        self.to.disk.file_open(&self.path)
    }

    fn is_packed(&self, length: u64) -> bool {
        self.to.packed_max.is_some_and(|most| length <= most)
    }

    /// All of it, of a small one.
    fn record(&mut self) -> io::Result<Record> {
        if let Some(record) = self.last.take() {
            return Ok(record);
        }
        let length = usize::try_from(self.length).expect("it is small");
        let mut record = Record::with_capacity(length);
        if self.is_made {
            let content = self.reread()?;
            let mut bytes = Vec::with_capacity(length);
            while bytes.len() < length {
                let left = length - bytes.len();
                let at = u64::try_from(bytes.len()).expect("a length fits in 64 bits");
                if content.read(&mut bytes, left, at, self.length)? == 0 {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the staged file was cut off"));
                }
            }
            record.extend_from_slice(&bytes);
        }
        Ok(record)
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

    fn append_last(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = u64::try_from(bytes.len()).expect("a length fits in 64 bits");
        if self.length > 0 || !self.is_packed(length) {
            return self.append(bytes);
        }
        let mut record = Record::with_capacity(bytes.len());
        record.extend_from_slice(bytes);
        self.last = Some(record);
        self.length = length;
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        if self.is_made {
            self.to.disk.file_open(&self.path)?.truncate(length)?;
        }
        self.length = length;
        self.begun = self.begun.min(length);
        Ok(())
    }

    fn settle(&mut self, _settling: Settling) -> io::Result<()> {
        Ok(())
    }

    fn rest(&mut self) {
        self.file = None;
        // What came at once and was not completed is as if it had never come.
        if self.last.take().is_some() {
            self.length = 0;
        }
        // Whether what was kept is a blob's was decided.
        if self.is_kept {
            self.packed = None;
        }
    }

    fn refresh(&mut self) -> io::Result<bool> {
        Ok(false)
    }

    fn reread(&mut self) -> io::Result<Box<dyn BlobContent>> {
        match &self.last {
            Some(record) => Ok(Box::new(MemoryContent(record.bytes().to_vec()))),
            None if !self.is_made => Ok(Box::new(MemoryContent(Vec::new()))),
            None => Ok(Box::new(FileContent::staged(self.to.disk.file_read(&self.path)?, self.length))),
        }
    }

    fn complete(&mut self) -> io::Result<()> {
        if self.packed.is_some() {
            return Ok(());
        }
        if self.is_packed(self.length) {
            let record = self.record()?;
            self.packed = Some(self.to.packs.put(record)?);
            return Ok(());
        }
        self.opened()?.sync()
    }

    fn keep(&mut self, digest: &Digest) -> io::Result<BlobPlace> {
        self.file = None;
        if let Some(packed) = &self.packed {
            self.is_kept = true;
            // What stays of it is an upload that nobody goes on with, and is swept as one.
            if std::mem::take(&mut self.is_made) {
                self.to.disk.file_remove(&self.path).ok();
            }
            return Ok(packed.place().words());
        }
        self.to.blobs.take_in(&self.path, digest)?;
        Ok(BlobPlace::new(digest.to_string()))
    }

    fn discard(&mut self) -> io::Result<()> {
        self.file = None;
        if let Some(packed) = self.packed.take().filter(|_| !self.is_kept) {
            let place = packed.place();
            drop(packed);
            self.to.packs.remove(place)?;
        }
        found(self.to.disk.file_remove(&self.path)).map(drop)
    }
}
