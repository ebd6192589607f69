//! The staged file of one upload and the hash of what is in it. Synchronous; used on blocking threads.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use layer0_domain::model::digest::{Algorithm, Digest};
use sha2::{Digest as _, Sha256, Sha512};

/// How much is read at once when a file must be hashed again.
const REREAD: usize = 1 << 20;

/// A running hash.
#[derive(Clone)]
pub(crate) enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
            Algorithm::Sha512 => Self::Sha512(Sha512::new()),
        }
    }

    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha512(hash) => hash.update(bytes),
        }
    }

    fn finish(self) -> Digest {
        match self {
            Self::Sha256(hash) => Digest::from_hash(Algorithm::Sha256, &hash.finalize()),
            Self::Sha512(hash) => Digest::from_hash(Algorithm::Sha512, &hash.finalize()),
        }
        .expect("a hash has the length of its algorithm")
    }
}

/// Where an upload stood at some moment, to go back to.
pub(crate) struct Mark {
    offset: u64,
    hasher: Option<Hasher>,
}

/// The one who may write to a staged file. The file's length is the upload's offset: nothing else needs to be
/// remembered over a restart.
pub(crate) struct Writer {
    path: PathBuf,
    /// Open only while a request writes: an upload that waits costs no descriptor.
    file: Option<File>,
    offset: u64,
    /// What the status route shows while somebody writes.
    shown: Arc<AtomicU64>,
    /// Over all that is in the file; `None` after a restart, when the file is hashed again at the end.
    hasher: Option<Hasher>,
    /// The file was committed, cancelled or swept.
    gone: bool,
}

impl Writer {
    /// Makes a new staged file.
    pub(crate) fn create(path: PathBuf, algorithm: Algorithm, shown: Arc<AtomicU64>) -> io::Result<Self> {
        OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok(Self { path, file: None, offset: 0, shown, hasher: Some(Hasher::new(algorithm)), gone: false })
    }

    /// Goes on with a staged file that an earlier process left.
    pub(crate) fn resume(path: PathBuf, length: u64, shown: Arc<AtomicU64>) -> Self {
        let hasher = (length == 0).then(|| Hasher::new(Algorithm::Sha256));
        shown.store(length, Ordering::Release);
        Self { path, file: None, offset: length, shown, hasher, gone: false }
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
            self.hasher = Some(Hasher::new(algorithm));
        }
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark { offset: self.offset, hasher: self.hasher.clone() }
    }

    fn move_to(&mut self, offset: u64) {
        self.offset = offset;
        self.shown.store(offset, Ordering::Release);
    }

    /// Adds bytes at the end. After an error the file is as long as before the call, as far as the file system lets us.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => OpenOptions::new().write(true).open(&self.path)?,
        };
        if let Err(error) = file.write_all_at(bytes, self.offset) {
            file.set_len(self.offset).ok();
            return Err(error);
        }
        self.file = Some(file);
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        self.move_to(self.offset + u64::try_from(bytes.len()).expect("a length fits in 64 bits"));
        Ok(())
    }

    /// Takes everything after the mark back.
    pub(crate) fn rewind(&mut self, mark: Mark) -> io::Result<()> {
        OpenOptions::new().write(true).open(&self.path)?.set_len(mark.offset)?;
        self.hasher = mark.hasher;
        self.move_to(mark.offset);
        Ok(())
    }

    /// Ends a request: closes the file.
    pub(crate) fn rest(&mut self) {
        self.file = None;
    }

    /// The digest of the whole file by the given algorithm. Uses the running hash where there is one, else reads the
    /// file.
    pub(crate) fn digest(&mut self, algorithm: Algorithm) -> io::Result<Digest> {
        if let Some(hasher) = self.hasher.as_ref().filter(|hasher| hasher.algorithm() == algorithm) {
            return Ok(hasher.clone().finish());
        }
        let mut hasher = Hasher::new(algorithm);
        let mut file = File::open(&self.path)?;
        let mut buffer = vec![0; REREAD];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(hasher.finish()),
                Ok(count) => hasher.update(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns when the content is on the disk.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => OpenOptions::new().write(true).open(&self.path)?,
        };
        file.sync_data()
    }

    /// Notes that the staged file was moved away.
    pub(crate) fn taken(&mut self) {
        self.file = None;
        self.gone = true;
    }

    /// Removes the staged file; the upload is over.
    pub(crate) fn discard(&mut self) {
        self.taken();
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(error = %error, "a staged upload could not be removed; the sweep tries again");
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing call fails the test")]
    use super::*;

    #[test]
    fn a_writer_can_go_back_and_be_resumed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("staged");
        let shown = Arc::new(AtomicU64::new(0));
        let mut writer = Writer::create(path.clone(), Algorithm::Sha256, Arc::clone(&shown)).unwrap();
        writer.append(b"hello ").unwrap();
        let mark = writer.mark();
        writer.append(b"nobody").unwrap();
        writer.rewind(mark).unwrap();
        assert_eq!((writer.offset(), shown.load(Ordering::Acquire)), (6, 6));
        drop(writer);

        let mut writer = Writer::resume(path.clone(), fs::metadata(&path).unwrap().len(), shown);
        writer.append(b"world").unwrap();
        assert_eq!(writer.digest(Algorithm::Sha256).unwrap(), Digest::sha256_of(b"hello world"));
        assert_eq!(writer.digest(Algorithm::Sha512).unwrap(), Algorithm::Sha512.digest_of(b"hello world"));
    }

    #[test]
    fn a_full_disk_is_an_error_and_moves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("staged");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let mut writer = Writer::resume(path, 0, Arc::default());
        assert_eq!(writer.append(b"some").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(writer.offset(), 0);
    }
}
