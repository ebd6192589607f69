//! A directory of backups.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::disk::{Disk, Output};
use super::manifest::{LAYOUT, Manifest};
use super::name::{BlobName, sha256_hex};
use super::{cant, directory_make};
use crate::error::{CliError, Exit};

const STATE: &str = "state.db";
const MANIFEST: &str = "manifest.json";
const SUMS: &str = "SHA256SUMS";
/// All that is in the directory.
const KNOWN: [&str; 5] = ["lock", "incoming", "blobs", "snapshots", "lost+found"];

/// A directory of backups that this process holds: alone to write, with others to read.
pub(crate) struct Place<'a> {
    root: PathBuf,
    pub(super) disk: &'a dyn Disk,
    _lock: Option<File>,
}

impl<'a> Place<'a> {
    /// Opens the directory to write into it: makes what is missing, and removes what a run that was killed has left. One that has other
    /// things in it is refused.
    pub(crate) fn open(root: &Path, disk: &'a dyn Disk) -> Result<Self, CliError> {
        if let Some(stranger) = stranger(root)? {
            return Err(CliError::new(
                Exit::Refused,
                format!(
                    "{} holds other things (`{stranger}`); name a directory of its own for backups",
                    root.display()
                ),
            ));
        }
        directory_make(disk, root).map_err(|why| cant("create", root, &why))?;
        let lock = lock(root)?.ok_or_else(|| busy(root))?;
        let this = Self { root: root.to_owned(), disk, _lock: Some(lock) };
        for part in ["blobs", "snapshots"] {
            let part = this.root.join(part);
            disk.directory_make(&part).map_err(|why| cant("create", &part, &why))?;
        }
        this.leftovers_remove()?;
        let incoming = this.root.join("incoming");
        disk.directory_make(&incoming).map_err(|why| cant("create", &incoming, &why))?;
        disk.directory_sync(root).map_err(|why| cant("sync", root, &why))?;
        Ok(this)
    }

    /// Opens the directory to write into it, and makes none where none is.
    pub(crate) fn open_made(root: &Path, disk: &'a dyn Disk) -> Result<Self, CliError> {
        must_be(root)?;
        Self::open(root, disk)
    }

    /// Opens the directory to read from it; changes nothing, so that it may lie on what can't be written to.
    pub(crate) fn read(root: &Path, disk: &'a dyn Disk) -> Result<Self, CliError> {
        must_be(root)?;
        let lock = File::open(root.join("lock")).ok();
        match lock.as_ref().map(File::try_lock_shared) {
            Some(Err(TryLockError::WouldBlock)) => Err(busy(root)),
            // Some file systems have no locks to read by.
            _ => Ok(Self { root: root.to_owned(), disk, _lock: lock }),
        }
    }

    /// Removes what is half.
    pub(super) fn leftovers_remove(&self) -> Result<(), CliError> {
        let incoming = self.root.join("incoming");
        self.disk.tree_remove(&incoming).map_err(|why| cant("remove", &incoming, &why))?;
        let snapshots = self.root.join("snapshots");
        for name in names(&snapshots)?.iter().filter(|name| name.starts_with('.')) {
            let left = snapshots.join(name);
            self.disk.tree_remove(&left).map_err(|why| cant("remove", &left, &why))?;
        }
        Ok(())
    }

    /// The snapshots, by name, which is by time.
    pub(crate) fn snapshots(&self) -> Result<BTreeSet<String>, CliError> {
        Ok(names(&self.root.join("snapshots"))?.into_iter().filter(|name| !name.starts_with('.')).collect())
    }

    /// The directory of a snapshot.
    pub(super) fn snapshot(&self, name: &str) -> PathBuf {
        self.root.join("snapshots").join(name)
    }

    /// The state's file in a snapshot's directory, and the digest that it must have.
    pub(super) fn state(&self, name: &str) -> Result<(PathBuf, BlobName), CliError> {
        let path = self.snapshot(name).join(STATE);
        let sum = sums(&self.snapshot(name))?.0;
        BlobName::parse(&format!("sha256:{sum}"))
            .map(|sum| (path, sum))
            .ok_or_else(|| unreadable(name, "its sums are none"))
    }

    /// What a snapshot says of itself, compared with its sum.
    pub(crate) fn manifest(&self, name: &str) -> Result<Manifest, CliError> {
        let path = self.snapshot(name).join(MANIFEST);
        let bytes = fs::read(&path).map_err(|why| cant("read", &path, &why))?;
        if sha256_hex(&bytes) != sums(&self.snapshot(name))?.1 {
            return Err(unreadable(name, "manifest.json is not what SHA256SUMS says"));
        }
        let layout = serde_json::from_slice::<Layout>(&bytes).map_err(|why| unreadable(name, &why.to_string()))?.layout;
        if layout != LAYOUT {
            let said = format!("snapshot `{name}` has layout {layout}, this l0 knows layout {LAYOUT}: use a newer l0");
            return Err(CliError::new(Exit::Refused, said));
        }
        serde_json::from_slice(&bytes).map_err(|why| unreadable(name, &why.to_string()))
    }

    /// Begins a snapshot: a directory that is not listed, and the file in it for the state.
    pub(super) fn snapshot_begin(&self, name: &str) -> Result<(PathBuf, Box<dyn Output>), CliError> {
        let draft = self.snapshot(&format!(".{name}.new"));
        self.disk.directory_make(&draft).map_err(|why| cant("create", &draft, &why))?;
        let path = draft.join(STATE);
        let state = self.disk.file_write(&path).map_err(|why| cant("write", &path, &why))?;
        Ok((draft, state))
    }

    /// Ends a snapshot: from now on it is listed. The state is synced.
    pub(super) fn snapshot_end(
        &self,
        name: &str,
        draft: &Path,
        state: &BlobName,
        manifest: &Manifest,
    ) -> Result<(), CliError> {
        let mut text =
            serde_json::to_vec_pretty(manifest).map_err(|why| CliError::new(Exit::Other, why.to_string()))?;
        text.push(b'\n');
        let state = state.to_string();
        let state = state.rsplit(':').next().unwrap_or_default();
        let sums = format!("{state}  {STATE}\n{}  {MANIFEST}\n", sha256_hex(&text));
        for (file, bytes) in [(MANIFEST, text.as_slice()), (SUMS, sums.as_bytes())] {
            let path = draft.join(file);
            let write = || {
                let mut file = self.disk.file_write(&path)?;
                file.write(bytes)?;
                file.sync()
            };
            write().map_err(|why| cant("write", &path, &why))?;
        }
        let (all, to) = (self.root.join("snapshots"), self.snapshot(name));
        let finish = || {
            self.disk.directory_sync(draft)?;
            self.disk.rename(draft, &to)?;
            self.disk.directory_sync(&all)
        };
        finish().map_err(|why| cant("write", &to, &why))
    }

    /// Where a blob lies, or would.
    pub(super) fn blob(&self, name: &BlobName) -> PathBuf {
        self.root.join("blobs").join(name.path())
    }

    /// Whether a blob of this length is there. Its digest was compared when it came.
    pub(super) fn has(&self, name: &BlobName, size: u64) -> bool {
        fs::metadata(self.blob(name)).is_ok_and(|it| it.is_file() && it.len() == size)
    }

    /// A file for a blob on its way in.
    pub(super) fn blob_begin(&self, name: &BlobName) -> Result<(PathBuf, Box<dyn Output>), CliError> {
        let path = self.root.join("incoming").join(name.flat());
        let file = self.disk.file_write(&path).map_err(|why| cant("write", &path, &why))?;
        Ok((path, file))
    }

    /// Gives a blob, compared and synced, its name.
    pub(super) fn blob_end(&self, name: &BlobName, incoming: &Path) -> Result<(), CliError> {
        let path = self.blob(name);
        let (fan, blobs) = (path.parent().unwrap_or(&self.root), self.root.join("blobs"));
        let finish = || {
            if !fan.is_dir() {
                self.disk.directory_make(fan)?;
            }
            self.disk.rename(incoming, &path)?;
            self.disk.directory_sync(fan)?;
            // The names above, which may be new: the disk has them already for all but the first.
            self.disk.directory_sync(fan.parent().unwrap_or(&blobs))?;
            self.disk.directory_sync(&blobs)
        };
        finish().map_err(|why| cant("write", &path, &why))
    }

    /// All blobs that are there, whoever names them.
    pub(super) fn blobs(&self) -> Result<Vec<BlobName>, CliError> {
        let mut found = Vec::new();
        for algorithm in ["sha256", "sha512"] {
            let above = self.root.join("blobs").join(algorithm);
            for fan in names(&above)? {
                let all = names(&above.join(&fan))?;
                found.extend(all.iter().filter_map(|hex| BlobName::parse(&format!("{algorithm}:{hex}"))));
            }
        }
        Ok(found)
    }
}

#[derive(serde::Deserialize)]
struct Layout {
    layout: u32,
}

/// Holds a directory, as a server holds its own: alone, until the file is dropped. `None` while somebody else holds it.
pub(super) fn lock(root: &Path) -> Result<Option<File>, CliError> {
    let path = root.join("lock");
    let mut options = OpenOptions::new();
    let lock = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let lock = lock.map_err(|why| cant("open", &path, &why))?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(why)) => Err(cant("lock", &path, &why)),
    }
}

/// Refuses what is no directory of backups.
fn must_be(root: &Path) -> Result<(), CliError> {
    if root.join("snapshots").is_dir() {
        return Ok(());
    }
    Err(CliError::new(Exit::NotFound, format!("{} is no directory of backups", root.display())))
}

fn busy(root: &Path) -> CliError {
    CliError::new(Exit::Refused, format!("another command works in {}", root.display())).hint("wait until it has ended")
}

fn unreadable(name: &str, why: &str) -> CliError {
    CliError::new(Exit::Failed, format!("snapshot `{name}` is damaged: {why}"))
}

/// The sums of a snapshot's state and manifest.
fn sums(snapshot: &Path) -> Result<(String, String), CliError> {
    let path = snapshot.join(SUMS);
    let text = fs::read_to_string(&path).map_err(|why| cant("read", &path, &why))?;
    let of = |file: &str| {
        let line = text.lines().find_map(|line| line.strip_suffix(file).and_then(|line| line.strip_suffix("  ")));
        line.map(str::to_owned)
    };
    of(STATE).zip(of(MANIFEST)).ok_or_else(|| CliError::new(Exit::Failed, format!("{} is damaged", path.display())))
}

/// Something in a directory that is to be one of backups and is none; `None` also for a directory that isn't there.
fn stranger(root: &Path) -> Result<Option<String>, CliError> {
    Ok(names(root)?.into_iter().find(|name| !KNOWN.contains(&name.as_str())))
}

/// The names in a directory; none when it isn't there.
pub(super) fn names(directory: &Path) -> Result<Vec<String>, CliError> {
    let entries = match fs::read_dir(directory) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(|why| cant("read", directory, &why))?,
    };
    let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    entries.map(name).collect::<io::Result<_>>().map_err(|why| cant("read", directory, &why))
}
