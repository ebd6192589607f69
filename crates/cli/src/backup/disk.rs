//! The file system, as far as it is changed: every change is one call of [`Disk`], so that a test can stop at each.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// What is done to directories and names. Everything that is made is for its owner only.
pub(crate) trait Disk {
    /// Makes a directory and those above it that are missing. One that is there is no error.
    fn directory_make(&self, path: &Path) -> io::Result<()>;

    /// Returns when the directory's entries are on the disk.
    fn directory_sync(&self, path: &Path) -> io::Result<()>;

    /// Makes a file anew, in the place of one that is there.
    fn file_write(&self, path: &Path) -> io::Result<Box<dyn Output>>;

    /// Gives a file or directory another name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file. None there is no error.
    fn file_remove(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory with all that is in it. None there is no error.
    fn tree_remove(&self, path: &Path) -> io::Result<()>;
}

/// A file that is open for writing.
pub(crate) trait Output {
    /// Writes these bytes behind those that were written.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Returns when the file's bytes are on the disk.
    fn sync(&mut self) -> io::Result<()>;
}

/// The machine's own file system.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OsDisk;

impl Disk for OsDisk {
    fn directory_make(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn directory_sync(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn file_write(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        // A file of another mode would keep it.
        self.file_remove(path)?;
        Ok(Box::new(OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn file_remove(&self, path: &Path) -> io::Result<()> {
        absent_is_fine(fs::remove_file(path))
    }

    fn tree_remove(&self, path: &Path) -> io::Result<()> {
        absent_is_fine(fs::remove_dir_all(path))
    }
}

impl Output for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

fn absent_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
