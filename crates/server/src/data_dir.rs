//! The data directory: who holds it, and what lies in it for the local CLI.

mod credentials;

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use layer0_domain::model::access::Secret;
use layer0_store::SqliteStore;

pub(crate) use credentials::{config_dir, remember_for_cli};

/// A data directory that this process holds, until it is dropped.
pub(crate) struct DataDir {
    path: PathBuf,
    lock: File,
}

/// Why a data directory can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    /// Another server has it.
    #[error("the data directory {path} is held by another server: {holder}")]
    Held {
        /// Which directory.
        path: String,
        /// Who has it: `l0 server, process 123, listening on 127.0.0.1:9090`.
        holder: String,
    },
    /// It has other things in it, and nothing of ours.
    #[error(
        "{path} holds other files (`{found}`) and no instance; name a directory that is empty or does not exist yet, such as {path}/layer0"
    )]
    Foreign {
        /// Which directory.
        path: String,
        /// One of the things in it.
        found: String,
    },
    /// A restore into it goes on.
    #[error("a restore into {path} is going on; start the server when it has ended")]
    Restoring {
        /// Which directory.
        path: String,
    },
    /// A restore into it did not come to its end.
    #[error(
        "a restore into {path} was cut off; run the same `l0 admin restore` again, which begins it anew, and start the server then"
    )]
    HalfRestored {
        /// Which directory.
        path: String,
    },
    /// A file that others write too can't be understood; it is left as it is. Nothing of its text is repeated: it holds
    /// secrets.
    #[error("{path} is malformed at line {line}, column {column}, and is left as it is")]
    Malformed {
        /// Which file.
        path: String,
        /// The line.
        line: usize,
        /// The column.
        column: usize,
    },
    /// It can't be made, read or written.
    #[error("{what} {path}")]
    Unusable {
        /// What was tried: `can't create`.
        what: &'static str,
        /// Which path.
        path: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

fn unusable(what: &'static str, path: &Path, source: std::io::Error) -> DataDirError {
    DataDirError::Unusable { what, path: path.display().to_string(), source }
}

/// What may lie in a directory that becomes an instance: its settings, a lock that a first start left behind which ended
/// right away, and what file systems put into their own root.
const BEFORE_US: &[&str] = &["layer0.toml", "lock", "lost+found"];

/// What `l0 admin restore` makes first, and removes at its end.
const RESTORING: &str = "restoring";

/// Refuses a directory that has things of others in it and no instance: `/tmp`, a home directory, a slip of the finger.
fn is_for_us(path: &Path) -> Result<(), DataDirError> {
    if path.join(SqliteStore::FILE_NAME).exists() {
        return Ok(());
    }
    if path.join(RESTORING).exists() {
        let path_text = path.display().to_string();
        // A restore that goes on holds it as a server does.
        let lock = OpenOptions::new().read(true).open(path.join("lock"));
        let is_held = lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)));
        return Err(match is_held {
            true => DataDirError::Restoring { path: path_text },
            false => DataDirError::HalfRestored { path: path_text },
        });
    }
    let entries = std::fs::read_dir(path).map_err(|why| unusable("can't read", path, why))?;
    for entry in entries {
        let name = entry.map_err(|why| unusable("can't read", path, why))?.file_name();
        if !BEFORE_US.iter().any(|known| name == *known) {
            let found = name.to_string_lossy().into_owned();
            return Err(DataDirError::Foreign { path: path.display().to_string(), found });
        }
    }
    Ok(())
}

impl DataDir {
    /// Takes hold of the directory. One that isn't there is made, for its owner only. One that is there keeps its mode,
    /// which is its owner's business: every file in it is for its owner only in any case.
    pub(crate) fn open(path: &Path) -> Result<Self, DataDirError> {
        if path.is_dir() {
            is_for_us(path)?;
        } else {
            make(path).map_err(|why| unusable("can't create", path, why))?;
        }
        let lock_path = path.join("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(|why| unusable("can't open", &lock_path, why))?;
        match lock.try_lock() {
            Ok(()) => {
                let held = Self { path: path.to_owned(), lock };
                held.say("starting");
                Ok(held)
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = lock.read_to_string(&mut holder);
                let holder = holder.trim();
                let holder = if holder.is_empty() { "one that has not said its name" } else { holder };
                Err(DataDirError::Held { path: path.display().to_string(), holder: holder.to_owned() })
            }
            Err(TryLockError::Error(why)) => Err(unusable("can't lock", &lock_path, why)),
        }
    }

    /// Writes into the lock file who holds it, for the one that comes second. It holds without the words too: a full disk
    /// must not keep the server from coming back.
    pub(crate) fn say(&self, where_: &str) {
        let text = format!("l0 server, process {}, {where_}\n", std::process::id());
        let mut lock = &self.lock;
        let write = |lock: &mut &File| {
            lock.set_len(0)?;
            lock.rewind()?;
            lock.write_all(text.as_bytes())
        };
        if let Err(why) = write(&mut lock) {
            tracing::warn!(error = %why, "the lock of the data directory does not say who holds it: {why}");
        }
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the file that tells the local CLI where the server is, unless it says that already.
    pub(crate) fn write_endpoint(&self, endpoint: &str) -> Result<(), DataDirError> {
        let path = self.path.join("endpoint");
        match std::fs::read_to_string(&path) {
            Ok(text) if text.strip_suffix('\n') == Some(endpoint) => Ok(()),
            _ => write_private(&path, endpoint),
        }
    }

    /// Writes the first token, for the local CLI.
    pub(crate) fn write_admin_token(&self, auth: &Secret) -> Result<(), DataDirError> {
        write_private(&self.path.join("admin-token"), auth.expose())
    }

    /// The first token, if its file is still there.
    pub(crate) fn admin_token(&self) -> Option<Secret> {
        let text = std::fs::read_to_string(self.path.join("admin-token")).ok()?;
        Some(Secret::new(text.trim()))
    }
}

/// Makes a directory and those above it that are missing, for their owner only, and makes their names durable: what is kept
/// inside would go with them.
fn make(path: &Path) -> std::io::Result<()> {
    let path = std::path::absolute(path)?;
    let there = path.ancestors().skip(1).find(|above| above.is_dir()).unwrap_or(Path::new("/")).to_owned();
    DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
    for above in path.ancestors().skip(1) {
        match File::open(above) {
            Ok(directory) => directory.sync_all()?,
            // We may pass through it and make names in it, but not read it: the system writes it when it will.
            Err(why) if why.kind() == ErrorKind::PermissionDenied => {}
            Err(why) => return Err(why),
        }
        if above == there {
            break;
        }
    }
    Ok(())
}

/// Writes a file for its owner only, whole or not at all, and durably.
fn write_private(path: &Path, text: &str) -> Result<(), DataDirError> {
    // A name of its own: two processes that write the same file never write into each other's draft.
    let staged = path.with_extension(format!("{}.new", std::process::id()));
    let write = || {
        match std::fs::remove_file(&staged) {
            Err(why) if why.kind() != ErrorKind::NotFound => return Err(why),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&staged)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        std::fs::rename(&staged, path)?;
        // The new name is on the disk only when its directory is.
        match path.parent() {
            Some(directory) => File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(|why| {
        // The draft holds a secret; nobody needs it any more.
        let _ = std::fs::remove_file(&staged);
        unusable("can't write", path, why)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_second_is_told_who_is_first() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = DataDir::open(dir.path()).expect("the first gets it");
        first.say("listening on 127.0.0.1:9090");
        let Err(DataDirError::Held { holder, .. }) = DataDir::open(dir.path()) else { panic!("the second got it too") };
        assert_eq!(holder, format!("l0 server, process {}, listening on 127.0.0.1:9090", std::process::id()));
        drop(first);
        assert!(DataDir::open(dir.path()).is_ok(), "free again");
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).expect("there").permissions().mode() & 0o777
    }

    #[test]
    fn a_directory_of_others_is_refused_and_left_as_it_is() {
        let outer = tempfile::tempdir().expect("a directory");
        let shared = outer.path().join("shared");
        std::fs::create_dir(&shared).expect("made");
        std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o777)).expect("set");
        std::fs::write(shared.join("thesis.txt"), "years of work").expect("written");
        let Err(why) = DataDir::open(&shared) else { panic!("it was taken") };
        assert!(matches!(&why, DataDirError::Foreign { found, .. } if found == "thesis.txt"), "{why}");
        assert_eq!(mode(&shared), 0o777);
        assert_eq!(std::fs::read_dir(&shared).expect("read").count(), 1, "nothing was added");

        std::fs::create_dir(shared.join(RESTORING)).expect("made");
        let Err(why) = DataDir::open(&shared) else { panic!("it was taken") };
        assert!(matches!(&why, DataDirError::HalfRestored { .. }), "{why}");
        std::fs::remove_dir(shared.join(RESTORING)).expect("removed");

        // With an instance in it, it is ours, and its mode is its owner's business.
        std::fs::write(shared.join(SqliteStore::FILE_NAME), "").expect("written");
        let held = DataDir::open(&shared).expect("ours");
        held.write_admin_token(&Secret::new("secret")).expect("written");
        assert_eq!(
            (mode(&shared), mode(&shared.join("lock")), mode(&shared.join("admin-token"))),
            (0o777, 0o600, 0o600)
        );
    }

    #[test]
    fn a_new_directory_is_for_its_owner_and_a_prepared_one_is_taken() {
        let outer = tempfile::tempdir().expect("a directory");
        let new = outer.path().join("deep/new");
        drop(DataDir::open(&new).expect("made"));
        assert_eq!(mode(&new), 0o700);
        drop(DataDir::open(&new).expect("what a start that ended at once left behind"));

        let prepared = outer.path().join("prepared");
        std::fs::create_dir(&prepared).expect("made");
        std::fs::write(prepared.join("layer0.toml"), "").expect("written");
        assert!(DataDir::open(&prepared).is_ok());
    }
}
