//! Room on the disk that is kept for what gives room back.
//!
//! A delete writes before anything goes: its pages into the WAL, later into the database. On a full disk it would be refused like a push, and
//! the disk would stay full. So a file beside the database holds some of the disk, and goes when a delete finds no room. What takes room is
//! refused from then on until the file is whole again, or else pushes would have what deletes need.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::{Errno, retry_on_intr};

/// What is kept. Enough twice for the pages of a WAL that is about to be written back: in it, and in the database that they make longer.
pub(super) const BYTES: u64 = 8 * 1024 * 1024;

/// It is taken in pieces, so that what is left of it is kept too; all of these divide [`BYTES`].
const STEPS: [u64; 2] = [1024 * 1024, 64 * 1024];

/// The file that holds the room.
#[derive(Debug)]
pub(super) struct Reserve {
    /// `None` where there is no such thing: a database in memory, a file system that promises no room.
    path: Option<PathBuf>,
    /// How much the file holds.
    held: u64,
    /// Whether the log says already that it can't be had now.
    is_told: bool,
}

impl Reserve {
    /// That of a database that is no file.
    pub(super) fn none() -> Self {
        Self { path: None, held: 0, is_told: false }
    }

    /// That of the database `database`; nothing is held yet.
    pub(super) fn beside(database: &Path) -> Self {
        let mut name = database.as_os_str().to_owned();
        name.push("-reserve");
        Self { path: Some(PathBuf::from(name)), held: 0, is_told: false }
    }

    /// Takes what is lacking, as far as the disk has it; answers whether all of it is held, or can't be had for another reason than
    /// room.
    pub(super) fn hold(&mut self) -> bool {
        let Some(path) = &self.path else { return true };
        if self.held >= BYTES {
            return true;
        }
        let error = match take(path, &mut self.held) {
            Ok(()) => return true,
            Err(error) if is_full(&error) => return false,
            Err(error) => error,
        };
        if !std::mem::replace(&mut self.is_told, true) {
            tracing::warn!(
                error = %error, file = %path.display(),
                "no room can be kept for deletes: on a full disk they are refused like pushes"
            );
        }
        if promises_none(&error) {
            self.release();
            self.path = None;
        }
        true
    }

    /// Gives back what an earlier start has kept; answers whether there was any.
    pub(super) fn give_at_start(&mut self) -> bool {
        let kept = self.path.as_ref().and_then(|path| fs::metadata(path).ok());
        self.held = kept.map_or(0, |kept| kept.len());
        self.release()
    }

    /// How much is held, in bytes.
    pub(super) fn held(&self) -> u64 {
        self.held
    }

    /// Whether there is room that should be held and is not.
    pub(super) fn is_short(&self) -> bool {
        self.path.is_some() && self.held < BYTES
    }

    /// Gives all of the room back to the disk; answers whether there was any.
    pub(super) fn release(&mut self) -> bool {
        self.give(u64::MAX)
    }

    /// Gives so much of the room back to the disk, or what is left of it; answers whether there was any.
    pub(super) fn give(&mut self, bytes: u64) -> bool {
        let [.., least] = STEPS;
        let left = self.held.saturating_sub(bytes) / least * least;
        let had = std::mem::replace(&mut self.held, left) > left;
        // The file stays: whoever reads it (a copy of the directory) would keep its room otherwise.
        let shorten = |path: &PathBuf| OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(left));
        had && self.path.as_ref().is_some_and(|path| shorten(path).is_ok())
    }
}

/// Whether a file can't be made beside a database, for lack of room.
pub(super) fn has_no_room_for_a_name(database: &Path) -> bool {
    let mut name = database.as_os_str().to_owned();
    name.push("-room");
    match OpenOptions::new().create_new(true).write(true).mode(0o600).open(&name) {
        Ok(_) => {
            fs::remove_file(&name).ok();
            false
        }
        Err(error) => is_full(&error),
    }
}

/// Makes the file as long as it should be, or as the disk lets it be; `held` says how long it is.
fn take(path: &Path, held: &mut u64) -> io::Result<()> {
    let file = OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(path)?;
    *held = there(&file)?;
    for step in STEPS {
        while *held < BYTES {
            // From the begin, where there may be holes.
            let taken = retry_on_intr(|| fallocate(&file, FallocateFlags::empty(), 0, *held + step));
            match taken.map_err(io::Error::from) {
                Ok(()) => *held += step,
                Err(error) => {
                    // It may have had a part of the step.
                    file.set_len(*held)?;
                    if is_full(&error) {
                        break;
                    }
                    return Err(error);
                }
            }
        }
    }
    if *held < BYTES {
        return Err(ErrorKind::StorageFull.into());
    }
    // Some file systems say yes and hold nothing.
    if there(&file)? < BYTES { Err(ErrorKind::Unsupported.into()) } else { Ok(()) }
}

/// How much of the file is there. A file that somebody copied may have its length and no room on the disk.
fn there(file: &File) -> io::Result<u64> {
    let metadata = file.metadata()?;
    let [.., least] = STEPS;
    Ok(metadata.len().min(metadata.blocks() * 512) / least * least)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// Whether asking again gives nothing else.
fn promises_none(error: &io::Error) -> bool {
    let never = [Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL, Errno::PERM, Errno::ROFS];
    error.kind() == ErrorKind::Unsupported
        || never.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
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
            assert_eq!(fs::metadata(&file).expect("it stays").blocks(), 0);
        }
    }

    #[test]
    fn it_is_given_in_parts() {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let mut reserve = Reserve::beside(&directory.path().join("layer0.db"));
        assert!(reserve.hold() && !reserve.is_short());
        let length = || fs::metadata(directory.path().join("layer0.db-reserve")).expect("it is there").len();
        for (given, left) in [(1, BYTES - 64 * 1024), (1024 * 1024, BYTES - 1088 * 1024), (BYTES, 0)] {
            assert!(reserve.give(given));
            assert_eq!((reserve.held(), length(), reserve.is_short()), (left, left, true));
        }
        assert!(!reserve.give(1), "nothing is left");
        assert!(reserve.hold() && length() == BYTES);
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
