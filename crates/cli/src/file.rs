//! Files that hold secrets or belong to other programs too: written whole or not at all, and in turn.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use crate::error::{CliError, Exit};

/// How long another program may hold a lock; it needs milliseconds.
const LOCK_MAX: Duration = Duration::from_secs(5);

/// A file can't be read or written.
pub(crate) fn unusable(what: &str, path: &Path, why: &std::io::Error) -> CliError {
    CliError::new(Exit::Other, format!("{} can't be {what}: {why}", path.display()))
}

/// The text of a file; `None` when it is not there.
pub(crate) fn read(path: &Path) -> Result<Option<String>, CliError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(None),
        Err(why) => Err(CliError::usage(format!("{} can't be read: {why}", path.display()))),
    }
}

/// The right to change what lies beside the lock file, until the answer is dropped.
pub(crate) fn turn(lock: &Path) -> Result<File, CliError> {
    if let Some(directory) = lock.parent() {
        directory_make(directory)?;
    }
    let file = private(OpenOptions::new().write(true).create(true).truncate(false)).open(lock);
    let file = file.map_err(|why| unusable("opened", lock, &why))?;
    // The lock has no timeout of its own, so a thread waits for it. When nobody waits for the thread any more, it lets go of
    // the lock as soon as it gets it.
    let (give, get) = mpsc::channel();
    std::thread::spawn(move || {
        let locked = file.lock().map(|()| file);
        let _ = give.send(locked);
    });
    let locked = get.recv_timeout(LOCK_MAX).unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
    locked.map_err(|why| unusable("locked", lock, &why))
}

/// Replaces a file by another text, whole or not at all. A new one is for its owner only; one that was there keeps its
/// mode. Behind a symbolic link it is the file that the link names: people keep their settings elsewhere and link to them.
pub(crate) fn replace(path: &Path, text: &str) -> Result<(), CliError> {
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if let Some(directory) = path.parent() {
        directory_make(directory)?;
    }
    let staged = staged(&path);
    let write = || -> std::io::Result<()> {
        let mut file = private(OpenOptions::new().write(true).create_new(true)).open(&staged)?;
        file.write_all(text.as_bytes())?;
        if let Ok(old) = std::fs::metadata(&path) {
            file.set_permissions(old.permissions())?;
        }
        file.sync_all()?;
        std::fs::rename(&staged, &path)
    };
    write().map_err(|why| {
        // The draft may hold a secret; nobody needs it any more.
        let _ = std::fs::remove_file(&staged);
        unusable("written", &path, &why)
    })
}

/// A name beside the file that no other process writes to.
fn staged(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    path.with_file_name(name)
}

fn directory_make(directory: &Path) -> Result<(), CliError> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(directory).map_err(|why| unusable("made", directory, &why))
}

/// For its owner only, where there are owners.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_new_file_is_its_owners_and_an_old_one_keeps_its_mode_behind_its_link() {
        let dir = tempfile::tempdir().expect("a directory");
        let new = dir.path().join("deep/new.json");
        replace(&new, "1").expect("written");
        let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&new), mode(new.parent().expect("a directory"))), (0o600, 0o700));

        let real = dir.path().join("real.json");
        std::fs::write(&real, "old").expect("written");
        std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).expect("set");
        let link = dir.path().join("link.json");
        std::os::unix::fs::symlink(&real, &link).expect("linked");
        replace(&link, "new").expect("written");
        assert_eq!(std::fs::read_to_string(&real).expect("read"), "new");
        assert!(link.is_symlink());
        assert_eq!(mode(&real), 0o640);
        let drafts = std::fs::read_dir(dir.path()).expect("read").filter_map(Result::ok);
        assert_eq!(drafts.filter(|entry| entry.file_name().to_string_lossy().ends_with(".new")).count(), 0);
    }

    #[test]
    fn the_second_waits_for_the_first() {
        let dir = tempfile::tempdir().expect("a directory");
        let lock = dir.path().join("lock");
        let count = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let _turn = turn(&lock).expect("a turn");
                    assert_eq!(count.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0, "alone");
                    std::thread::yield_now();
                    count.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                });
            }
        });
    }
}
