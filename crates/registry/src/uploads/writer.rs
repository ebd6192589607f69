//! The staged file of one upload and the hash of what is in it. Synchronous; used on blocking threads.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use layer0_domain::model::digest::{Algorithm, Digest};
use layer0_domain::model::registry::BlobSums;

use crate::content::{ContentHash, Survey};
use crate::disk::{Disk, DiskFile, found};

/// Where an upload stood at some moment, to go back to.
pub(crate) struct Mark {
    offset: u64,
    hash: Option<ContentHash>,
}

/// The one who may write to a staged file. The file's length is the upload's offset: nothing else needs to be
/// remembered over a restart.
pub(crate) struct Writer {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// Open only while a request writes: an upload that waits costs no descriptor.
    file: Option<Box<dyn DiskFile>>,
    offset: u64,
    /// What the status route shows while somebody writes.
    shown: Arc<AtomicU64>,
    /// Over all that is in the file; `None` after a restart, when the file is read again at the end.
    hash: Option<ContentHash>,
    /// The file was committed, cancelled or swept.
    gone: bool,
}

impl Writer {
    /// Makes a new staged file.
    pub(crate) fn create(
        disk: Arc<dyn Disk>,
        path: PathBuf,
        algorithm: Algorithm,
        shown: Arc<AtomicU64>,
    ) -> io::Result<Self> {
        disk.file_make(&path)?;
        Ok(Self { disk, path, file: None, offset: 0, shown, hash: Some(ContentHash::new(algorithm)), gone: false })
    }

    /// Goes on with a staged file that an earlier process left.
    pub(crate) fn resume(disk: Arc<dyn Disk>, path: PathBuf, length: u64, shown: Arc<AtomicU64>) -> Self {
        let hash = (length == 0).then(|| ContentHash::new(Algorithm::Sha256));
        shown.store(length, Ordering::Release);
        Self { disk, path, file: None, offset: length, shown, hash, gone: false }
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.path.clone()
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone
    }

    /// Hashes with another algorithm from now on, where nothing was written yet. Later it is too late, and the file is
    /// hashed again at the end.
    pub(crate) fn expect(&mut self, algorithm: Algorithm) {
        if self.offset == 0 {
            self.hash = Some(ContentHash::new(algorithm));
        }
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark { offset: self.offset, hash: self.hash.clone() }
    }

    fn move_to(&mut self, offset: u64) {
        self.offset = offset;
        self.shown.store(offset, Ordering::Release);
    }

    /// Adds bytes at the end. After an error the file is as long as before the call, as far as the file system lets us.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.opened()?;
        if let Err(error) = file.write_at(bytes, self.offset) {
            file.truncate(self.offset).ok();
            return Err(error);
        }
        self.file = Some(file);
        if let Some(hash) = &mut self.hash {
            hash.update(bytes);
        }
        self.move_to(self.offset + u64::try_from(bytes.len()).expect("a length fits in 64 bits"));
        Ok(())
    }

    /// Takes everything after the mark back.
    pub(crate) fn rewind(&mut self, mark: Mark) -> io::Result<()> {
        self.disk.file_open(&self.path)?.truncate(mark.offset)?;
        self.hash = mark.hash;
        self.move_to(mark.offset);
        Ok(())
    }

    /// Ends a request: closes the file.
    pub(crate) fn rest(&mut self) {
        self.file = None;
    }

    /// The digest of the whole file by the given algorithm, and its checksums. Uses the running hash where there is one,
    /// and ends it; else reads the file.
    pub(crate) fn digest(&mut self, algorithm: Algorithm) -> io::Result<(Digest, BlobSums)> {
        match self.hash.take().filter(|hash| hash.algorithm() == algorithm) {
            Some(hash) => Ok(hash.finish()),
            None => {
                let mut survey = Survey::new(self.disk.file_read(&self.path)?, algorithm);
                survey.run()?;
                Ok(survey.finish().0)
            }
        }
    }

    /// Returns when the content is on the disk.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.opened()?.sync()
    }

    /// The open file; whoever keeps it open puts it back.
    fn opened(&mut self) -> io::Result<Box<dyn DiskFile>> {
        match self.file.take() {
            Some(file) => Ok(file),
            None => self.disk.file_open(&self.path),
        }
    }

    /// Notes that the staged file was moved away.
    pub(crate) fn taken(&mut self) {
        self.file = None;
        self.gone = true;
    }

    /// Removes the staged file; the upload is over.
    pub(crate) fn discard(&mut self) {
        self.taken();
        if let Err(error) = found(self.disk.file_remove(&self.path)) {
            tracing::warn!(error = %error, "a staged upload could not be removed; the sweep tries again");
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing call fails the test")]
    use super::*;
    use crate::disk::OsDisk;

    #[test]
    fn a_writer_can_go_back_and_be_resumed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("staged");
        let shown = Arc::new(AtomicU64::new(0));
        let mut writer = Writer::create(Arc::new(OsDisk), path.clone(), Algorithm::Sha256, Arc::clone(&shown)).unwrap();
        writer.append(b"hello ").unwrap();
        let mark = writer.mark();
        writer.append(b"nobody").unwrap();
        writer.rewind(mark).unwrap();
        assert_eq!((writer.offset(), shown.load(Ordering::Acquire)), (6, 6));
        drop(writer);

        let mut writer = Writer::resume(Arc::new(OsDisk), path.clone(), std::fs::metadata(&path).unwrap().len(), shown);
        writer.append(b"world").unwrap();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let (digest, sums) = writer.digest(algorithm).unwrap();
            assert_eq!(digest, algorithm.digest_of(b"hello world"));
            assert_eq!(sums.sums, [crate::content::sum(b"hello world")]);
        }
    }

    #[test]
    fn a_full_disk_is_an_error_and_moves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("staged");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let mut writer = Writer::resume(Arc::new(OsDisk), path, 0, Arc::default());
        assert_eq!(writer.append(b"some").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(writer.offset(), 0);
    }
}
