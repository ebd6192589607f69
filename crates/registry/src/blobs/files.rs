//! Blobs as files: `blobs/<algorithm>/<first two hex digits>/<hex>`. Synchronous; callers are on blocking threads.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use layer0_domain::model::digest::{Algorithm, Digest};

/// Directories of one algorithm: the first two hex digits.
pub(crate) const FANS: usize = 256;

/// The directory of blobs. Every file in it is complete and was on the disk (fsync) before it got its name.
#[derive(Debug)]
pub(crate) struct BlobFiles {
    root: PathBuf,
    /// Per algorithm and fan-out directory: whether this process has seen to it that the directory's own entry is on
    /// the disk.
    durable: [Vec<AtomicBool>; 2],
}

impl BlobFiles {
    /// Opens the directory, making it where it is missing.
    pub(crate) fn open(root: PathBuf) -> io::Result<Self> {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            fs::create_dir_all(root.join(algorithm.as_str()))?;
        }
        sync_directory(&root)?;
        if let Some(parent) = root.parent() {
            sync_directory(parent)?;
        }
        let unknown = || (0..FANS).map(|_| AtomicBool::new(false)).collect();
        Ok(Self { root, durable: [unknown(), unknown()] })
    }

    /// Where a blob lies, whether it is there or not. A [`Digest`] holds nothing but an algorithm and hex, so no path
    /// can lead outside.
    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
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
    pub(crate) fn metadata(&self, digest: &Digest) -> io::Result<Option<Metadata>> {
        match fs::metadata(self.path(digest)) {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a blob for reading, with its length; `None` when there is none. The open file stays readable when the blob
    /// is deleted.
    pub(crate) fn open_blob(&self, digest: &Digest) -> io::Result<Option<(File, u64)>> {
        match File::open(self.path(digest)) {
            Ok(file) => {
                let length = file.metadata()?.len();
                Ok(Some((file, length)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a blob so that reading it reads the disk: what the machine has in memory of it is dropped first, where it can
    /// be.
    pub(crate) fn open_uncached(&self, digest: &Digest) -> io::Result<Option<File>> {
        let Some((file, _)) = self.open_blob(digest)? else { return Ok(None) };
        // Advice is all it is: a file system that keeps its files in memory has no other place to read them from.
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).ok();
        Ok(Some(file))
    }

    /// The digests in one of the [`FANS`] directories of an algorithm. What is named otherwise is none of ours.
    pub(crate) fn list(&self, algorithm: Algorithm, fan: usize) -> io::Result<Vec<Digest>> {
        let directory = self.root.join(algorithm.as_str()).join(format!("{fan:02x}"));
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            found.extend(name.to_str().and_then(|hex| Digest::parse(&format!("{algorithm}:{hex}")).ok()));
        }
        Ok(found)
    }

    /// Moves a staged file, verified and synced by the caller, to its place, and returns when its name is on the disk
    /// too.
    ///
    /// A file that is there already is replaced: the new one was just verified, the old one may have rotted.
    pub(crate) fn take_in(&self, staged: &Path, digest: &Digest) -> io::Result<()> {
        let directory = self.directory(digest);
        let durable = self.durable(digest);
        if !durable.load(Ordering::Acquire) {
            fs::create_dir_all(&directory)?;
            sync_directory(directory.parent().expect("the fan-out directory lies in the algorithm's"))?;
            durable.store(true, Ordering::Release);
        }
        fs::rename(staged, directory.join(digest.hex()))?;
        sync_directory(&directory)
    }

    /// Removes a blob's file; a missing one is no error. Not synced: a file that comes back after a power cut is only
    /// space.
    pub(crate) fn remove(&self, digest: &Digest) -> io::Result<()> {
        match fs::remove_file(self.path(digest)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Writes a directory's entries to the disk.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
