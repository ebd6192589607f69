//! The file system, as far as the registry's content goes through it: what decides what is left after a crash, and what
//! is read of it.
//!
//! Uploads and blobs are written and read through [`Disk`] and through nothing else, so that a test can stop, break or
//! forget at every one of its steps (`tests/it/crash`, `tests/it/reads.rs`). It is no abstraction over places to keep blobs
//! in: paths are paths.
//!
//! What the registry relies on, and what it does not:
//! - a file's bytes are on the disk when [`DiskFile::sync`] has returned, and not before;
//! - a new, renamed or removed name is on the disk when [`Disk::directory_sync`] of its directory has returned, and not
//!   before; a rename may be lost on one side and kept on the other;
//! - a name that is there leads to the old file or to the new one, whole, never to a mixture.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, IoSliceMut};
use std::num::NonZeroU64;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::fs::{CWD, FallocateFlags, Mode, OFlags, ResolveFlags, SeekFrom, openat2};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

/// What the registry does to directories and names. Calls may block.
pub trait Disk: Send + Sync + 'static {
    /// Makes a directory, for its owner only, in one that is there. One that is there already is no error.
    ///
    /// # Errors
    /// What the system says.
    fn directory_make(&self, path: &Path) -> io::Result<()>;

    /// Returns when the directory's entries, as they are now, are on the disk.
    ///
    /// # Errors
    /// What the system says. It is not known then what is on the disk.
    fn directory_sync(&self, path: &Path) -> io::Result<()>;

    /// Makes an empty file.
    ///
    /// # Errors
    /// What the system says; `AlreadyExists` when it is there.
    fn file_make(&self, path: &Path) -> io::Result<()>;

    /// Opens a file that is there for writing.
    ///
    /// # Errors
    /// What the system says.
    fn file_open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file that is there for reading.
    ///
    /// # Errors
    /// What the system says.
    fn file_read(&self, path: &Path) -> io::Result<Box<dyn DiskRead>>;

    /// Opens a file that is there for reading, when all of its path is in memory; `None` says nothing.
    fn file_read_ready(&self, _path: &Path) -> Option<Box<dyn DiskRead>> {
        None
    }

    /// What the system says of a file, when all of its path is in memory; `None` says nothing.
    fn file_metadata_ready(&self, _path: &Path) -> Option<fs::Metadata> {
        None
    }

    /// Gives a file another name, in the place of what has that name.
    ///
    /// # Errors
    /// What the system says.
    fn file_rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Takes a file's name away. Whoever has it open can go on reading.
    ///
    /// # Errors
    /// What the system says.
    fn file_remove(&self, path: &Path) -> io::Result<()>;

    /// What the system says of a file.
    ///
    /// # Errors
    /// What the system says.
    fn file_metadata(&self, path: &Path) -> io::Result<fs::Metadata>;
}

/// A file that is open for writing.
pub trait DiskFile: Send {
    /// Writes all these bytes at an offset.
    ///
    /// # Errors
    /// What the system says. Some of the bytes may have been written.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts the file off, or fills it up with zeros.
    ///
    /// # Errors
    /// What the system says.
    fn truncate(&mut self, length: u64) -> io::Result<()>;

    /// Gives back the blocks of these bytes, which are zeros from now on. Where the file system can't, they are written as zeros.
    ///
    /// # Errors
    /// What the system says.
    fn punch(&mut self, offset: u64, length: u64) -> io::Result<()>;

    /// Advises the system to begin to bring these bytes to the disk, and does not wait for it: what a later sync waits for has less
    /// to do. They are no safer for it.
    fn begin_sync(&self, _offset: u64, _length: u64) {}

    /// Returns when the file's bytes and length are on the disk.
    ///
    /// # Errors
    /// What the system says. It is not known then what is on the disk, and another call does not tell.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file that is open for reading. Calls may block.
pub trait DiskRead: Send + Sync {
    /// Reads from an offset on, behind what `bytes` has, as much as it has room for or less; answers how much, 0 at the end
    /// of the file. The room is not filled with zeros first: that would cost as much as checksums do.
    ///
    /// # Errors
    /// What the system says; `bytes` is as it was. An interrupted call is repeated and no error.
    fn read_at(&self, bytes: &mut Vec<u8>, offset: u64) -> io::Result<usize>;

    /// Fills `bytes` from an offset on, when all of that is in memory; else answers `false`, with anything in it.
    fn read_ready(&self, _bytes: &mut [u8], _offset: u64) -> bool {
        false
    }

    /// What the system says of the open file, which may have lost its name.
    ///
    /// # Errors
    /// What the system says.
    fn metadata(&self) -> io::Result<fs::Metadata>;

    /// Where the next bytes are that are no hole, from an offset on; `None` when only holes come. A file system without holes has bytes
    /// everywhere.
    ///
    /// # Errors
    /// What the system says.
    fn next_data(&self, offset: u64) -> io::Result<Option<u64>>;

    /// Advises the system to forget what it has in memory of these bytes (`None` for all from there on), so that the next read comes from
    /// the disk. No more than advice: a file system that keeps its files in memory has no other place to read them from.
    fn forget(&self, offset: u64, length: Option<NonZeroU64>);
}

/// The machine's own file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsDisk;

impl Disk for OsDisk {
    fn directory_make(&self, path: &Path) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            made => made,
        }
    }

    fn directory_sync(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn file_make(&self, path: &Path) -> io::Result<()> {
        OpenOptions::new().write(true).create_new(true).open(path).map(drop)
    }

    fn file_open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().write(true).open(path)?))
    }

    fn file_read(&self, path: &Path) -> io::Result<Box<dyn DiskRead>> {
        Ok(Box::new(File::open(path)?))
    }

    fn file_read_ready(&self, path: &Path) -> Option<Box<dyn DiskRead>> {
        Some(Box::new(open_cached(path, OFlags::RDONLY)?))
    }

    fn file_metadata_ready(&self, path: &Path) -> Option<fs::Metadata> {
        open_cached(path, OFlags::PATH)?.metadata().ok()
    }

    fn file_rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn file_remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn file_metadata(&self, path: &Path) -> io::Result<fs::Metadata> {
        fs::metadata(path)
    }
}

/// Opens a file if no directory on its path has to be read from the disk (openat2(2), `RESOLVE_CACHED`, Linux 5.12).
fn open_cached(path: &Path, flags: OFlags) -> Option<File> {
    // What is refused, be it by a system that does not know the call, is tried again in the way that waits.
    openat2(CWD, path, flags | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::CACHED).ok().map(File::from)
}

/// Writes zeros, as far as the file goes.
fn zero(file: &File, offset: u64, length: u64) -> io::Result<()> {
    let zeros = [0; 16 << 10];
    let (mut at, until) = (offset, file.metadata()?.len().min(offset.saturating_add(length)));
    while at < until {
        let step = usize::try_from(until - at).map_or(zeros.len(), |left| left.min(zeros.len()));
        file.write_all_at(&zeros[..step], at)?;
        at += u64::try_from(step).expect("a length fits in 64 bits");
    }
    Ok(())
}

impl DiskFile for File {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn punch(&mut self, offset: u64, length: u64) -> io::Result<()> {
        if length == 0 {
            return Ok(());
        }
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(&*self, hole, offset, length) {
            Err(Errno::OPNOTSUPP) => zero(self, offset, length),
            punched => Ok(punched?),
        }
    }

    fn begin_sync(&self, offset: u64, length: u64) {
        // "Not needed" begins to write what was changed, and forgets what is on the disk already: of what has just been
        // written, next to nothing (posix_fadvise(2), mm/fadvise.c).
        rustix::fs::fadvise(self, offset, NonZeroU64::new(length), rustix::fs::Advice::DontNeed).ok();
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

impl DiskRead for File {
    fn read_at(&self, bytes: &mut Vec<u8>, offset: u64) -> io::Result<usize> {
        loop {
            match rustix::io::pread(self, spare_capacity(bytes), offset) {
                Err(Errno::INTR) => {}
                read => return Ok(read?),
            }
        }
    }

    fn read_ready(&self, bytes: &mut [u8], offset: u64) -> bool {
        let mut filled = 0;
        while filled < bytes.len() {
            let at = offset + u64::try_from(filled).expect("a length fits in 64 bits");
            let mut rest = [IoSliceMut::new(&mut bytes[filled..])];
            // `RWF_NOWAIT` (readv(2)): only what is in the page cache.
            match preadv2(self, &mut rest, at, ReadWriteFlags::NOWAIT) {
                Ok(0) | Err(_) => return false,
                Ok(read) => filled += read,
            }
        }
        true
    }

    fn metadata(&self) -> io::Result<fs::Metadata> {
        Self::metadata(self)
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        match rustix::fs::seek(self, SeekFrom::Data(offset)) {
            Ok(next) => Ok(Some(next)),
            Err(Errno::NXIO) => Ok(None),
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok((offset < self.metadata()?.len()).then_some(offset)),
            Err(error) => Err(error.into()),
        }
    }

    fn forget(&self, offset: u64, length: Option<NonZeroU64>) {
        rustix::fs::fadvise(self, offset, length, rustix::fs::Advice::DontNeed).ok();
    }
}

/// `None` for what isn't there.
pub(crate) fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
