//! The bytes of one upload and the hash of what is in them. Synchronous; used on blocking threads.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use layer0_domain::model::digest::{Algorithm, Digest};
use layer0_domain::model::registry::{BlobPlace, BlobSums};
use layer0_domain::port::blob_bytes::{Naming, Settling, UploadBytes};

use super::batch::Batch;
use super::hashing::Hashing;
use super::staged::{Share, Staged};
use crate::content::Survey;
use crate::error::RegistryError;

/// The one who may write to an upload in this process.
pub(crate) struct Writer {
    bytes: Box<dyn UploadBytes>,
    /// What the status route shows while somebody writes.
    shown: Arc<AtomicU64>,
    /// What it counts with; nothing once it is gone.
    share: Share,
    /// Over all that it has; `None` for one that was found, whose bytes are read again at the end.
    hash: Option<Hashing>,
    /// What has come last, where it is written at the end.
    unwritten: Batch,
    /// The upload was committed, cancelled or swept.
    gone: bool,
}

impl Writer {
    /// Of an upload that has just begun.
    pub(crate) fn begun(
        bytes: Box<dyn UploadBytes>,
        algorithm: Algorithm,
        shown: Arc<AtomicU64>,
        share: Share,
    ) -> Self {
        let hash = Some(Hashing::new(algorithm));
        Self { bytes, shown, share, hash, unwritten: Batch::default(), gone: false }
    }

    /// Of an upload that another process has begun, or an earlier one. What is counted of one that is shared may not be all of it,
    /// so nothing is taken for known there.
    pub(crate) fn found(bytes: Box<dyn UploadBytes>, naming: Naming, shown: Arc<AtomicU64>, share: Share) -> Self {
        let is_empty = naming == Naming::Digest && bytes.length() == 0;
        let hash = is_empty.then(|| Hashing::new(Algorithm::Sha256));
        let mut this = Self { bytes, shown, share, hash, unwritten: Batch::default(), gone: false };
        this.show();
        this
    }

    pub(crate) fn offset(&self) -> u64 {
        self.bytes.length()
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone
    }

    /// Hashes with another algorithm from now on, where nothing was written yet. Later it is too late, and all is hashed
    /// again at the end.
    pub(crate) fn expect(&mut self, algorithm: Algorithm) {
        if self.offset() == 0 && self.hash.is_some() {
            self.hash = Some(Hashing::new(algorithm));
        }
    }

    /// Shows and counts how many bytes there are.
    fn show(&mut self) {
        let length = self.bytes.length();
        self.shown.store(length, Ordering::Release);
        self.share.set(if self.gone { 0 } else { length });
    }

    /// Counts bytes that are about to be added. An error says that the owner may not have them.
    pub(super) fn claim(&mut self, bytes: u64) -> Result<(), RegistryError> {
        self.share.claim(bytes)
    }

    /// Counts what was claimed no more, where it was not added.
    pub(super) fn unclaim(&mut self) {
        self.show();
    }

    /// What it counts with; `None` for one that is not counted.
    pub(super) fn staged(&self) -> Option<Arc<Staged>> {
        self.share.of().cloned()
    }

    /// Adds bytes at the end.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes.append(bytes)?;
        self.added(bytes);
        Ok(())
    }

    /// Adds a batch at the end, and answers one that is empty. What is added is there; its hash may not be taken yet.
    pub(super) fn append_batch(&mut self, mut batch: Batch) -> (Batch, io::Result<()>) {
        if let Err(error) = self.bytes.append(&batch) {
            batch.clear();
            return (batch, Err(error));
        }
        let spare = match &mut self.hash {
            Some(hash) => hash.add(batch),
            None => {
                batch.clear();
                batch
            }
        };
        self.show();
        (spare, Ok(()))
    }

    fn added(&mut self, bytes: &[u8]) {
        if let Some(hash) = &mut self.hash {
            hash.update(bytes);
        }
        self.show();
    }

    /// Keeps bytes that [`write`](Self::write) adds at the end: whoever ends the upload anyway saves a hop to a thread.
    pub(super) fn put_off(&mut self, bytes: Batch) {
        self.unwritten = bytes;
    }

    /// Adds what was put off, after which nothing comes.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.unwritten);
        if bytes.is_empty() {
            return Ok(());
        }
        self.bytes.append_last(&bytes)?;
        self.added(&bytes);
        Ok(())
    }

    /// Takes everything back that came after there were so many bytes. A hash can't be taken back: what is left is read again at the end.
    pub(crate) fn rewind(&mut self, offset: u64) -> io::Result<()> {
        self.unwritten = Batch::default();
        self.bytes.truncate(offset)?;
        self.hash = self.hash.take().filter(|hash| hash.length() == offset);
        self.show();
        Ok(())
    }

    /// Returns when what has come is found by others too.
    pub(crate) fn settle(&mut self, settling: Settling) -> io::Result<()> {
        self.bytes.settle(settling)
    }

    /// Ends a request.
    pub(crate) fn rest(&mut self) {
        self.bytes.rest();
        self.show();
    }

    /// Looks whether another process has written to it; answers whether there is anything else than before.
    pub(crate) fn refresh(&mut self) -> io::Result<bool> {
        let moved = self.bytes.refresh()?;
        if moved {
            self.hash = None;
            self.show();
        }
        Ok(moved)
    }

    /// Whether there is a running hash of all that it has.
    pub(super) fn is_hashed(&self) -> bool {
        self.hash.as_ref().is_some_and(|hash| hash.length() == self.bytes.length())
    }

    /// The digest of all bytes by the given algorithm, and their checksums. Uses the running hash where there is one of exactly
    /// these bytes, and ends it; else reads them.
    pub(crate) fn digest(&mut self, algorithm: Algorithm) -> io::Result<(Digest, BlobSums)> {
        let of_all = |hash: &Hashing| hash.algorithm() == algorithm && hash.length() == self.bytes.length();
        match self.hash.take().filter(of_all) {
            Some(hash) => Ok(hash.finish().finish()),
            None => Survey::new(self.bytes.reread()?, algorithm).run(),
        }
    }

    /// Returns when the content is kept for good.
    pub(crate) fn complete(&mut self) -> io::Result<()> {
        self.bytes.complete()
    }

    /// Whether what was completed may be a blob's of another process.
    pub(crate) fn is_shared(&self) -> bool {
        self.bytes.is_shared()
    }

    /// The digest of what was completed, read from where it lies, when that may be something else than what was appended.
    pub(super) fn inferred(&mut self, algorithm: Algorithm) -> io::Result<Option<Digest>> {
        if !self.bytes.is_inferred() {
            return Ok(None);
        }
        let (digest, _) = Survey::new(self.bytes.reread()?, algorithm).run()?;
        Ok(Some(digest))
    }

    /// Gives the right to write back: what was put off is as if it had never come.
    pub(super) fn let_go(&mut self) {
        self.unwritten = Batch::default();
        self.rest();
    }

    /// Makes the content a blob's, and answers where it lies.
    pub(crate) fn keep(&mut self, digest: &Digest) -> io::Result<BlobPlace> {
        self.bytes.keep(digest)
    }

    /// Notes that the bytes are a blob's now.
    pub(crate) fn taken(&mut self) {
        self.bytes.rest();
        self.over();
    }

    /// Takes the bytes away; the upload is over.
    pub(crate) fn discard(&mut self) {
        if let Err(error) = self.bytes.discard() {
            tracing::warn!(error = %error, "a staged upload could not be removed; the sweep tries again");
        }
        self.over();
    }

    fn over(&mut self) {
        self.hash = None;
        self.gone = true;
        self.share.set(0);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing call fails the test")]
    use layer0_domain::port::blob_bytes::{BlobBytes as _, Reach};

    use super::*;
    use crate::disk::OsDisk;
    use crate::fs::FileBytes;

    #[test]
    fn a_writer_can_go_back_and_be_resumed() {
        let directory = tempfile::tempdir().unwrap();
        let bytes = FileBytes::open(directory.path(), Arc::new(OsDisk)).unwrap();
        let shown = Arc::new(AtomicU64::new(0));
        let begun = bytes.upload_begin("staged", Reach::Named).unwrap();
        let mut writer = Writer::begun(begun, Algorithm::Sha256, Arc::clone(&shown), Share::nobodys());
        writer.append(b"hello ").unwrap();
        let mark = writer.offset();
        writer.append(b"nobody").unwrap();
        writer.rewind(mark).unwrap();
        assert_eq!((writer.offset(), shown.load(Ordering::Acquire)), (6, 6));
        writer.append(b"again").unwrap();
        assert_eq!(writer.digest(Algorithm::Sha256).unwrap().0, Digest::sha256_of(b"hello again"));
        writer.rewind(6).unwrap();
        drop(writer);

        let mut writer =
            Writer::found(bytes.upload_find("staged").unwrap().unwrap(), Naming::Digest, shown, Share::nobodys());
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
        let bytes = FileBytes::open(directory.path(), Arc::new(OsDisk)).unwrap();
        std::os::unix::fs::symlink("/dev/full", directory.path().join("registry/uploads/staged")).unwrap();
        let mut writer = Writer::found(
            bytes.upload_find("staged").unwrap().unwrap(),
            Naming::Digest,
            Arc::default(),
            Share::nobodys(),
        );
        assert_eq!(writer.append(b"some").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(writer.offset(), 0);
    }
}
