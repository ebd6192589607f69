//! Room on the disk that is kept for what gives room back.
//!
//! A delete writes before anything goes: its pages into the WAL, later into the database. On a full disk it would be refused like a push, and
//! the disk would stay full. So a file beside the database holds some of the disk, and goes when a delete finds no room. What takes room is
//! refused from then on until the file is whole again, or else pushes would have what deletes need.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// What is kept. Enough for the pages of [`WAL_PAGES_MAX`](super::writer::WAL_PAGES_MAX) twice, in the WAL and in the database that they
/// make longer.
const BYTES: u64 = 8 * STEP;

/// It is taken in pieces: what is left of it is kept too.
const STEP: u64 = 1024 * 1024;

/// The file that holds the room.
#[derive(Debug)]
pub(super) struct Reserve {
    /// `None` where there is no such thing: a database in memory, a file system that promises no room.
    path: Option<PathBuf>,
    /// How much the file holds.
    held: u64,
}

impl Reserve {
    /// That of a database that is no file.
    pub(super) fn none() -> Self {
        Self { path: None, held: 0 }
    }

    /// That of the database `database`; nothing is held yet.
    pub(super) fn beside(database: &Path) -> Self {
        let mut name = database.as_os_str().to_owned();
        name.push("-reserve");
        Self { path: Some(PathBuf::from(name)), held: 0 }
    }

    /// Takes what is lacking, as far as the disk has it; answers whether all of it is held, or there is nothing to hold.
    pub(super) fn hold(&mut self) -> bool {
        let Some(path) = &self.path else { return true };
        if self.held >= BYTES {
            return true;
        }
        match take(path, &mut self.held) {
            Ok(()) => true,
            Err(error) if is_full(&error) => false,
            Err(error) => {
                tracing::warn!(
                    error = %error, file = %path.display(),
                    "no room can be kept for deletes here: on a full disk they are refused like pushes"
                );
                self.path = None;
                true
            }
        }
    }

    /// Gives the room back to the disk; answers whether there was any.
    pub(super) fn release(&mut self) -> bool {
        let had = std::mem::take(&mut self.held) > 0;
        had && self.path.as_ref().is_some_and(|path| fs::remove_file(path).is_ok())
    }
}

/// Makes the file as long as it should be, or as the disk lets it be; `held` says how long it is.
fn take(path: &Path, held: &mut u64) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(false);
    options.mode(0o600);
    let file = options.open(path)?;
    *held = whole_steps(&file)?;
    while *held < BYTES {
        // From the begin, where there may be holes.
        if let Err(error) = fallocate(&file, FallocateFlags::empty(), 0, *held + STEP) {
            // It may have had a part of the step.
            file.set_len(*held)?;
            return Err(error.into());
        }
        *held += STEP;
    }
    Ok(())
}

/// How much of the file is there. A file that somebody copied may have its length and no room on the disk.
fn whole_steps(file: &File) -> io::Result<u64> {
    let metadata = file.metadata()?;
    Ok(metadata.len().min(metadata.blocks() * 512) / STEP * STEP)
}

fn is_full(error: &io::Error) -> bool {
    [Errno::NOSPC, Errno::DQUOT].iter().any(|full| error.raw_os_error() == Some(full.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_held_given_back_and_held_again() {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let database = directory.path().join("layer0.db");
        let file = directory.path().join("layer0.db-reserve");
        let mut reserve = Reserve::beside(&database);
        assert!(!reserve.release(), "there is nothing yet");
        for _ in 0..2 {
            assert!(reserve.hold());
            let metadata = fs::metadata(&file).expect("it is there");
            assert_eq!(metadata.len(), BYTES);
            assert!(metadata.blocks() * 512 >= BYTES, "it takes its room");
            assert_eq!(metadata.mode() & 0o777, 0o600);
            // As after a start.
            assert!(Reserve::beside(&database).hold());
            assert!(reserve.release());
            assert!(!file.exists());
        }
    }

    #[test]
    fn a_file_without_room_is_not_taken_for_one() {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let file = File::create(directory.path().join("layer0.db-reserve")).expect("a file can be made");
        file.set_len(BYTES).expect("a file can be long");
        assert!(Reserve::beside(&directory.path().join("layer0.db")).hold());
        let metadata = file.metadata().expect("it is there");
        assert!(metadata.blocks() * 512 >= BYTES);
        assert_eq!(metadata.len(), BYTES);
    }

    #[test]
    fn without_a_file_there_is_always_room_and_nothing_to_give_back() {
        let mut reserve = Reserve::none();
        assert!(reserve.hold());
        assert!(!reserve.release());
        // What can't be made for another reason than room stops nobody.
        let mut nowhere = Reserve::beside(Path::new("/nonexistent/layer0.db"));
        assert!(nowhere.hold() && nowhere.hold());
        assert!(!nowhere.release());
    }
}
