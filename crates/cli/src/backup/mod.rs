//! Backups of an instance in a directory, and the way back from there.
//!
//! ```text
//! DIRECTORY/
//!   lock                            one backup at a time
//!   incoming/                       blobs on their way in
//!   blobs/sha256/ab/abcd…           blobs of all snapshots, each once: what is there is not copied again
//!   snapshots/20261127T150000.000Z/
//!     state.db                      the state of that moment, a SQLite database
//!     manifest.json                 whose it is, of when, which blobs it names, which of them could not be had
//!     SHA256SUMS                    of both, as `sha256sum -c` reads it
//! ```
//! Invariants:
//! - A snapshot gets its name last, by one rename, after all that it names was synced: it is there as a whole or not at all. Names that
//!   begin with a dot are what a run that was killed has left, and the next one removes.
//! - A blob's file has its name only after its digest was compared and its bytes were synced.
//! - A blob goes only when no snapshot names it, and every snapshot's manifest could be read.
//!
//! `plan` decides and is pure; `take`, `keep`, `check` and `restore` act, and each may be killed anywhere and run again. Files are
//! changed through `disk` and through nothing else, so that a test can stop at every step.

mod check;
pub(crate) mod disk;
mod keep;
pub(crate) mod manifest;
mod name;
mod pace;
mod place;
mod plan;
mod restore;
mod take;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

pub(crate) use check::check;
pub(crate) use keep::{Dropped, keep};
pub(crate) use name::sha256_hex;
pub(crate) use pace::Pace;
pub(crate) use place::Place;
pub(crate) use plan::ahead;
pub(crate) use restore::{OnDamage, Restored, restore};
pub(crate) use take::{Fetched, Progress, Source, take};

use crate::error::{CliError, Exit};

/// How much is read and written at once. Larger memory comes from the system for itself and begins 16 bytes into a page, where reads from
/// a file are slow on some processors (`docs/decisions/0028-aligned-memory.md`).
const STEP: usize = 64 << 10;

/// Makes a directory and those above it that are missing, and makes their names durable: what is kept inside would go with them.
fn directory_make(disk: &dyn disk::Disk, path: &Path) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    let missing: Vec<&Path> = path.ancestors().take_while(|above| !above.is_dir()).collect();
    disk.directory_make(&path)?;
    for above in missing.into_iter().filter_map(Path::parent) {
        match disk.directory_sync(above) {
            // We may make names in it, but not read it: the system writes it when it will.
            Err(why) if why.kind() == io::ErrorKind::PermissionDenied => {}
            synced => synced?,
        }
    }
    Ok(())
}

/// What the system said of a path.
fn cant(what: &str, path: &Path, why: &io::Error) -> CliError {
    cant_and(what, path, why, "free some space there, and run the same command again: what it has copied stays")
}

/// As [`cant`], with what to do when no space is left.
fn cant_and(what: &str, path: &Path, why: &io::Error, when_full: &str) -> CliError {
    let error = CliError::new(Exit::Other, format!("can't {what} {}: {why}", path.display()));
    match why.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => error.hint(when_full),
        _ => error,
    }
}
