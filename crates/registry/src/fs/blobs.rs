//! Blobs as files: `blobs/<algorithm>/<first two hex digits>/<hex>`. Synchronous; callers are on blocking threads.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use layer0_domain::model::digest::{Algorithm, Digest};

use crate::disk::{Disk, DiskRead, found};

/// Directories of one algorithm: the first two hex digits.
const FANS: usize = 256;

/// The directory of blobs. Every file in it is complete and was on the disk (fsync) before it got its name.
pub(super) struct BlobFiles {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    /// Per algorithm and fan-out directory: whether this process has seen to it that the directory's own entry is on
    /// the disk.
    durable: [Vec<AtomicBool>; 2],
}

impl BlobFiles {
    /// Whether this is such a directory, with all that [`BlobFiles::make`] makes in it.
    pub(super) fn are_in(root: &Path) -> bool {
        [Algorithm::Sha256, Algorithm::Sha512].iter().all(|algorithm| root.join(algorithm.as_str()).is_dir())
    }

    /// Makes what is missing in the directory, which is there, and returns when it is on the disk.
    pub(super) fn make(root: &Path, disk: &dyn Disk) -> io::Result<()> {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            disk.directory_make(&root.join(algorithm.as_str()))?;
        }
        disk.directory_sync(root)
    }

    /// The directory, with what [`BlobFiles::make`] makes in it.
    pub(super) fn new(root: PathBuf, disk: Arc<dyn Disk>) -> Self {
        let unknown = || (0..FANS).map(|_| AtomicBool::new(false)).collect();
        Self { disk, root, durable: [unknown(), unknown()] }
    }

    /// Where a blob lies, whether it is there or not. A [`Digest`] holds nothing but an algorithm and hex, so no path
    /// can lead outside.
    pub(super) fn path(&self, digest: &Digest) -> PathBuf {
        self.directory(digest).join(digest.hex())
    }

    fn directory(&self, digest: &Digest) -> PathBuf {
        self.root.join(digest.algorithm().as_str()).join(&digest.hex()[..2])
    }

    fn durable(&self, digest: &Digest) -> &AtomicBool {
        let algorithm = match digest.algorithm() {
            Algorithm::Sha256 => 0,
            Algorithm::Sha512 => 1,
        };
        let fan = usize::from_str_radix(&digest.hex()[..2], 16).expect("a digest's hex is hex");
        &self.durable[algorithm][fan]
    }

    /// What the file system says of a blob's file; `None` when there is none.
    pub(super) fn metadata(&self, digest: &Digest) -> io::Result<Option<Metadata>> {
        found(self.disk.file_metadata(&self.path(digest)))
    }

    /// Opens a blob for reading, with its length; `None` when there is none. The open file stays readable when the blob
    /// is deleted.
    pub(super) fn open_blob(&self, digest: &Digest) -> io::Result<Option<(Box<dyn DiskRead>, u64)>> {
        let Some(file) = found(self.disk.file_read(&self.path(digest)))? else { return Ok(None) };
        let length = file.metadata()?.len();
        Ok(Some((file, length)))
    }

    /// As [`BlobFiles::open_blob`], when nothing has to be waited for.
    pub(super) fn open_ready(&self, digest: &Digest) -> Option<(Box<dyn DiskRead>, u64)> {
        let file = self.disk.file_read_ready(&self.path(digest))?;
        let length = file.metadata().ok()?.len();
        Some((file, length))
    }

    /// As [`BlobFiles::metadata`], when nothing has to be waited for and there is one.
    pub(super) fn metadata_ready(&self, digest: &Digest) -> Option<Metadata> {
        self.disk.file_metadata_ready(&self.path(digest))
    }

    /// The digests in one of an algorithm's directories. What is named otherwise, or lies where it does not belong, is none of
    /// ours.
    pub(super) fn list(&self, algorithm: Algorithm, fan: u8) -> io::Result<Vec<Digest>> {
        let fan = self.root.join(algorithm.as_str()).join(format!("{fan:02x}"));
        let Some(entries) = found(fs::read_dir(&fan))? else { return Ok(Vec::new()) };
        let mut digests = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let digest = name.to_str().and_then(|hex| Digest::parse(&format!("{algorithm}:{hex}")).ok());
            digests.extend(digest.filter(|digest| self.directory(digest) == fan));
        }
        Ok(digests)
    }

    /// Moves a staged file, verified and synced by the caller, to its place, and returns when its name is on the disk
    /// too.
    ///
    /// A file that is there already is replaced: the new one was just verified, the old one may have rotted.
    pub(super) fn take_in(&self, staged: &Path, digest: &Digest) -> io::Result<()> {
        let directory = self.directory(digest);
        let durable = self.durable(digest);
        if !durable.load(Ordering::Acquire) {
            self.disk.directory_make(&directory)?;
            self.disk.directory_sync(directory.parent().expect("the fan-out directory lies in the algorithm's"))?;
            durable.store(true, Ordering::Release);
        }
        self.disk.file_rename(staged, &directory.join(digest.hex()))?;
        self.disk.directory_sync(&directory)
    }

    /// Removes a blob's file; a missing one is no error. Not synced: a file that comes back after a power cut is only
    /// space.
    pub(super) fn remove(&self, digest: &Digest) -> io::Result<()> {
        found(self.disk.file_remove(&self.path(digest))).map(drop)
    }
}
