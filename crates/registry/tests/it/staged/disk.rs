//! A disk that asks a stage before every step.

use std::fs::Metadata;
use std::io;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use layer0_registry::disk::{Disk, DiskFile, DiskRead, OsDisk};

use super::{Stage, Step};

pub(super) struct StagedDisk(pub(super) Arc<dyn Stage>);

impl StagedDisk {
    fn ask(&self, verb: &'static str, path: &Path) -> io::Result<()> {
        self.0.disk(Step::Disk(verb, path))
    }
}

impl Disk for StagedDisk {
    fn directory_make(&self, path: &Path) -> io::Result<()> {
        self.ask("make directory", path)?;
        OsDisk.directory_make(path)
    }

    fn directory_sync(&self, path: &Path) -> io::Result<()> {
        self.ask("sync directory", path)?;
        OsDisk.directory_sync(path)
    }

    fn file_make(&self, path: &Path) -> io::Result<()> {
        self.ask("make", path)?;
        OsDisk.file_make(path)
    }

    fn file_open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.ask("open", path)?;
        let inner = OsDisk.file_open(path)?;
        Ok(Box::new(StagedFile { stage: Arc::clone(&self.0), inner, path: path.to_owned() }))
    }

    fn file_read(&self, path: &Path) -> io::Result<Box<dyn DiskRead>> {
        self.ask("open to read", path)?;
        let inner = OsDisk.file_read(path)?;
        Ok(Box::new(StagedRead { stage: Arc::clone(&self.0), inner, path: path.to_owned() }))
    }

    fn file_rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.ask("rename to", to)?;
        OsDisk.file_rename(from, to)
    }

    fn file_remove(&self, path: &Path) -> io::Result<()> {
        self.ask("remove", path)?;
        OsDisk.file_remove(path)
    }

    fn file_metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.ask("stat", path)?;
        OsDisk.file_metadata(path)
    }
}

struct StagedFile {
    stage: Arc<dyn Stage>,
    inner: Box<dyn DiskFile>,
    path: PathBuf,
}

impl DiskFile for StagedFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.stage.disk(Step::Disk("write", &self.path))?;
        self.inner.write_at(bytes, offset)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.stage.disk(Step::Disk("truncate", &self.path))?;
        self.inner.truncate(length)
    }

    fn punch(&mut self, offset: u64, length: u64) -> io::Result<()> {
        self.stage.disk(Step::Disk("punch", &self.path))?;
        self.inner.punch(offset, length)
    }

    fn begin_sync(&self, offset: u64, length: u64) {
        // No more than advice: whoever refuses it hears of no error.
        if self.stage.disk(Step::Disk("begin sync", &self.path)).is_ok() {
            self.inner.begin_sync(offset, length);
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.stage.disk(Step::Disk("sync", &self.path))?;
        self.inner.sync()
    }
}

struct StagedRead {
    stage: Arc<dyn Stage>,
    inner: Box<dyn DiskRead>,
    path: PathBuf,
}

impl DiskRead for StagedRead {
    fn read_at(&self, bytes: &mut Vec<u8>, offset: u64) -> io::Result<usize> {
        let room = u64::try_from(bytes.capacity() - bytes.len()).expect("a length fits in 64 bits");
        self.stage.disk(Step::Read(&self.path, offset..offset + room))?;
        self.inner.read_at(bytes, offset)
    }

    fn metadata(&self) -> io::Result<Metadata> {
        self.stage.disk(Step::Disk("stat open", &self.path))?;
        self.inner.metadata()
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        self.inner.next_data(offset)
    }

    fn forget(&self, offset: u64, length: Option<NonZeroU64>) {
        self.inner.forget(offset, length);
    }
}
