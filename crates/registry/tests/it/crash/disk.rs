//! A disk with faults, and with a memory of what is really on it.
//!
//! The files are real ones, in a directory of the test's own: that is what the process sees. Beside them stands what would
//! be left after a power loss: bytes as of each file's last sync, names as of each directory's last sync, and the changes
//! of names since, of which any may have reached the disk.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use layer0_registry::disk::{Disk, DiskFile, DiskRead, OsDisk};

use super::chance::Chance;
use super::faults::{Faults, Kept, Kind, Outcome};

/// What a name leads to: a directory or a file.
type Node = u64;

/// A name appeared (and leads there) or went, in this directory.
struct Change {
    directory: PathBuf,
    name: PathBuf,
    now: Option<Node>,
}

#[derive(Default)]
struct Model {
    nodes: u64,
    /// Names as the process sees them.
    names: BTreeMap<PathBuf, Node>,
    /// Names that are on the disk.
    durable: BTreeMap<PathBuf, Node>,
    /// In order.
    pending: Vec<Change>,
    /// Bytes that are on the disk, of files; a file without has none.
    content: HashMap<Node, Vec<u8>>,
}

impl Model {
    fn node(&mut self) -> Node {
        self.nodes += 1;
        self.nodes
    }

    fn change(&mut self, name: &Path, now: Option<Node>) {
        match now {
            Some(node) => self.names.insert(name.to_owned(), node),
            None => self.names.remove(name),
        };
        let directory = name.parent().expect("below the root").to_owned();
        self.pending.push(Change { directory, name: name.to_owned(), now });
    }
}

/// A change of names has reached the disk.
fn apply(durable: &mut BTreeMap<PathBuf, Node>, name: &Path, now: Option<Node>) {
    match now {
        Some(node) => durable.insert(name.to_owned(), node),
        None => durable.remove(name),
    };
}

/// The disk. Clones are the same.
#[derive(Clone)]
pub(crate) struct FaultyDisk {
    faults: Faults,
    root: PathBuf,
    model: Arc<Mutex<Model>>,
}

impl FaultyDisk {
    /// All below `root`, which is there.
    pub(crate) fn new(faults: Faults, root: &Path) -> Self {
        let disk = Self { faults, root: root.to_owned(), model: Arc::default() };
        disk.settle();
        disk
    }

    fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that is there now has long been on the disk.
    pub(crate) fn settle(&self) {
        let mut model = self.model();
        let before = std::mem::take(&mut *model);
        model.nodes = before.nodes;
        let mut todo = vec![self.root.clone()];
        while let Some(path) = todo.pop() {
            // Whoever has it open has the same one still.
            let node = before.names.get(&path).copied().unwrap_or_else(|| model.node());
            model.names.insert(path.clone(), node);
            if path.is_dir() {
                let entries = fs::read_dir(&path).expect("it is there");
                todo.extend(entries.map(|entry| entry.expect("an entry").path()));
            } else {
                model.content.insert(node, fs::read(&path).expect("it is there"));
            }
        }
        model.durable = model.names.clone();
    }

    /// What a power loss now leaves, in a new directory.
    pub(crate) fn after_power_loss(&self, kept: Kept) -> tempfile::TempDir {
        let model = self.model();
        let mut chance = Chance::new(kept);
        let mut names = model.durable.clone();
        for change in &model.pending {
            if chance.says_yes() {
                apply(&mut names, &change.name, change.now);
            }
        }
        let left = in_memory();
        // A directory sorts before what is in it.
        for (name, node) in &names {
            let inside = name.strip_prefix(&self.root).expect("all is below the root");
            let path = left.path().join(inside);
            // In a directory that is not on the disk, nothing is.
            if !path.parent().is_some_and(Path::is_dir) {
                continue;
            }
            let seen = model.names.iter().find(|(_, seen)| *seen == node).map(|(name, _)| name);
            if seen.is_some_and(|seen| seen.is_dir()) {
                fs::create_dir_all(path).expect("its parent is there");
                continue;
            }
            let durable = model.content.get(node).cloned().unwrap_or_default();
            let bytes = match seen {
                Some(seen) => chance.mixture(durable, &fs::read(seen).expect("it is there")),
                None => durable,
            };
            fs::write(path, bytes).expect("its parent is there");
        }
        left
    }
}

/// A directory in memory where the machine has one, since there are thousands of them.
pub(crate) fn in_memory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a temporary directory")
}

fn gone() -> io::Error {
    io::Error::other("the process has ended")
}

/// Turns what becomes of a step that either happens or does not into a result.
fn whole(outcome: Outcome) -> io::Result<()> {
    match outcome {
        Outcome::Go => Ok(()),
        Outcome::Refused(error) => Err(error),
        Outcome::Dies | Outcome::Dead => Err(gone()),
    }
}

impl FaultyDisk {
    /// A step in words: the same in every life.
    fn label(&self, verb: &str, path: &Path) -> String {
        let inside = path.strip_prefix(&self.root).expect("all is below the root");
        let parts = inside.iter().map(|part| part.to_string_lossy().chars().take(8).collect::<String>());
        format!("{verb} {}", parts.collect::<Vec<_>>().join("/"))
    }
}

impl Disk for FaultyDisk {
    fn directory_make(&self, path: &Path) -> io::Result<()> {
        let mut model = self.model();
        if model.names.contains_key(path) {
            return Ok(());
        }
        whole(self.faults.step(Kind::Change, true, self.label("make directory", path)))?;
        OsDisk.directory_make(path)?;
        let node = model.node();
        model.change(path, Some(node));
        Ok(())
    }

    fn directory_sync(&self, path: &Path) -> io::Result<()> {
        let mut model = self.model();
        whole(self.faults.step(Kind::Change, false, self.label("sync directory", path)))?;
        let Model { durable, pending, .. } = &mut *model;
        pending.retain(|change| {
            let reaches = change.directory == path;
            if reaches {
                apply(durable, &change.name, change.now);
            }
            !reaches
        });
        Ok(())
    }

    fn file_make(&self, path: &Path) -> io::Result<()> {
        let mut model = self.model();
        whole(self.faults.step(Kind::Change, true, self.label("make", path)))?;
        OsDisk.file_make(path)?;
        let node = model.node();
        model.change(path, Some(node));
        Ok(())
    }

    fn file_open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let model = self.model();
        whole(self.faults.step(Kind::Look, false, self.label("open", path)))?;
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let node = *model.names.get(path).expect("made by this disk");
        Ok(Box::new(FaultyFile { disk: self.clone(), node, file, path: path.to_owned() }))
    }

    fn file_read(&self, path: &Path) -> io::Result<Box<dyn DiskRead>> {
        whole(self.faults.step(Kind::Look, false, self.label("open to read", path)))?;
        let inner = OsDisk.file_read(path)?;
        Ok(Box::new(FaultyRead { disk: self.clone(), inner, path: path.to_owned() }))
    }

    fn file_rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut model = self.model();
        whole(self.faults.step(Kind::Change, true, self.label("rename to", to)))?;
        OsDisk.file_rename(from, to)?;
        let node = *model.names.get(from).expect("made by this disk");
        // Two changes, in two directories: either may be lost.
        model.change(to, Some(node));
        model.change(from, None);
        Ok(())
    }

    fn file_remove(&self, path: &Path) -> io::Result<()> {
        let mut model = self.model();
        whole(self.faults.step(Kind::Change, false, self.label("remove", path)))?;
        OsDisk.file_remove(path)?;
        model.change(path, None);
        Ok(())
    }

    fn file_metadata(&self, path: &Path) -> io::Result<Metadata> {
        whole(self.faults.step(Kind::Look, false, self.label("stat", path)))?;
        OsDisk.file_metadata(path)
    }
}

struct FaultyRead {
    disk: FaultyDisk,
    inner: Box<dyn DiskRead>,
    path: PathBuf,
}

impl DiskRead for FaultyRead {
    fn read_at(&self, bytes: &mut Vec<u8>, offset: u64) -> io::Result<usize> {
        whole(self.disk.faults.step(Kind::Look, false, self.disk.label("read", &self.path)))?;
        self.inner.read_at(bytes, offset)
    }

    fn metadata(&self) -> io::Result<Metadata> {
        whole(self.disk.faults.step(Kind::Look, false, self.disk.label("stat open", &self.path)))?;
        self.inner.metadata()
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        self.inner.next_data(offset)
    }

    fn forget(&self, offset: u64, length: Option<NonZeroU64>) {
        self.inner.forget(offset, length);
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    node: Node,
    file: File,
    path: PathBuf,
}

impl DiskFile for FaultyFile {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let _model = self.disk.model();
        let outcome = self.disk.faults.step(Kind::Change, true, self.disk.label("write", &self.path));
        let (bytes, result) = match outcome {
            Outcome::Go => (bytes, Ok(())),
            Outcome::Refused(error) => (&bytes[..bytes.len() / 2], Err(error)),
            Outcome::Dies => (&bytes[..bytes.len() / 2], Err(gone())),
            Outcome::Dead => return Err(gone()),
        };
        self.file.write_all_at(bytes, offset)?;
        result
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let _model = self.disk.model();
        whole(self.disk.faults.step(Kind::Change, false, self.disk.label("truncate", &self.path)))?;
        self.file.set_len(length)
    }

    fn punch(&mut self, offset: u64, length: u64) -> io::Result<()> {
        let _model = self.disk.model();
        whole(self.disk.faults.step(Kind::Change, false, self.disk.label("punch", &self.path)))?;
        DiskFile::punch(&mut self.file, offset, length)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut model = self.disk.model();
        // Blocks that were promised may turn out not to be there: it may need space.
        whole(self.disk.faults.step(Kind::Change, true, self.disk.label("sync", &self.path)))?;
        let length = usize::try_from(self.file.metadata()?.len()).expect("it is small");
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, 0)?;
        model.content.insert(self.node, bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path).ok()?.read_to_end(&mut bytes).unwrap();
        Some(bytes)
    }

    /// The model itself: what it forgets and what it keeps.
    #[test]
    fn only_what_was_synced_is_there_after_a_power_loss() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let disk = FaultyDisk::new(Faults::default(), root);
        disk.directory_make(&root.join("d")).unwrap();
        disk.directory_sync(root).unwrap();
        for name in ["named", "unnamed", "moved"] {
            disk.file_make(&root.join(name)).unwrap();
            let mut file = disk.file_open(&root.join(name)).unwrap();
            file.write_at(b"synced", 0).unwrap();
            file.sync().unwrap();
            file.write_at(b"later", 6).unwrap();
            if name != "unnamed" {
                disk.directory_sync(root).unwrap();
            }
        }
        disk.file_rename(&root.join("moved"), &root.join("d/moved")).unwrap();
        assert_eq!(read(&root.join("d/moved")), Some(b"syncedlater".to_vec()));

        let left = disk.after_power_loss(Kept::Synced);
        // Its directory was synced after the second file was made, for the third.
        for (name, content) in [("named", true), ("unnamed", true), ("moved", true), ("d/moved", false)] {
            assert_eq!(read(&left.path().join(name)), content.then(|| b"synced".to_vec()), "{name}");
        }
        disk.directory_sync(&root.join("d")).unwrap();
        let left = disk.after_power_loss(Kept::Synced);
        for name in ["moved", "d/moved"] {
            assert_eq!(
                read(&left.path().join(name)),
                Some(b"synced".to_vec()),
                "{name} is in the directory that was not synced"
            );
        }
        disk.directory_sync(root).unwrap();
        assert_eq!(read(&disk.after_power_loss(Kept::Synced).path().join("moved")), None);

        disk.file_remove(&root.join("named")).unwrap();
        assert!(read(&disk.after_power_loss(Kept::Synced).path().join("named")).is_some());
        let mut kept: Vec<_> =
            (0..64).map(|seed| read(&disk.after_power_loss(Kept::Mixture(seed)).path().join("named"))).collect();
        kept.sort();
        kept.dedup();
        assert_eq!(kept, [None, Some(b"synced".to_vec())], "either, and its bytes are gone with the process");
        let mut kept: Vec<_> = (0..64)
            .map(|seed| read(&disk.after_power_loss(Kept::Mixture(seed)).path().join("d/moved")).unwrap())
            .collect();
        kept.sort();
        kept.dedup();
        assert!(kept.contains(&b"synced".to_vec()) && kept.contains(&b"syncedlater".to_vec()), "{kept:?}");
        assert!(kept.contains(&vec![0; 11]) && kept.contains(&b"syncedla".to_vec()), "{kept:?}");
    }
}
