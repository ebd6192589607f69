//! From a snapshot to a data directory.
//!
//! Everything is made below `restoring/` in the new data directory, and moved to its place when all of it is there and was compared; the
//! database last, which is what makes a data directory one. Until then no server takes the directory, and the same command begins anew.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::check::digest;
use super::check::is_loss;
use super::disk::Disk;
use super::manifest::{Blob, Lost, Manifest};
use super::name::{BlobName, Hasher};
use super::place::{lock, names};
use super::{Place, STEP, cant_and, directory_make};
use crate::error::{CliError, Exit};

/// The server's own name for its database.
const DATABASE: &str = "layer0.db";
const SETTINGS: &str = "layer0.toml";
const REGISTRY: &str = "registry";
const DRAFT: &str = "restoring";

/// What may be in a directory that an instance is restored into.
const ALLOWED: [&str; 3] = ["lock", SETTINGS, "lost+found"];

/// What is done about a blob that is damaged in the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnDamage {
    /// Nothing is restored.
    Stop,
    /// The rest is restored.
    LeaveOut,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Restored {
    pub(crate) snapshot: String,
    pub(crate) instance: String,
    pub(crate) version: String,
    pub(crate) begun: String,
    pub(crate) blobs: u64,
    pub(crate) bytes: u64,
    /// Blobs that the backup did not get when it was taken.
    pub(crate) lost: Vec<Lost>,
    /// Blobs that are damaged in the backup.
    pub(crate) damaged: Vec<String>,
    /// Blobs that were restored whole, though the state says that they are damaged.
    pub(crate) whole_again: Vec<String>,
    pub(crate) not_copied: Vec<String>,
    /// Whether the data directory had a `layer0.toml` of its own, which says something else than that of the instance and was kept.
    pub(crate) settings_kept: bool,
    /// Whether the images lay in a bucket, and lie in the data directory now.
    pub(crate) in_bucket: bool,
}

/// What the system said of a path. Of a run that fails nothing stays.
fn cant(what: &str, path: &Path, why: &io::Error) -> CliError {
    let when_full = "what was restored so far was removed: free some space there, or name another directory, and run the command again";
    cant_and(what, path, why, when_full)
}

/// Restores a snapshot, the newest where none is named, into a data directory that is empty or isn't there.
pub(crate) fn restore(
    place: &Place<'_>,
    snapshot: Option<&str>,
    data_dir: &Path,
    on_damage: OnDamage,
) -> Result<Restored, CliError> {
    let all = place.snapshots()?;
    let name = match snapshot {
        Some(name) => all.get(name).ok_or_else(|| none_such(name, &all))?,
        None => all.last().ok_or_else(|| CliError::new(Exit::NotFound, "there is no backup in this directory"))?,
    };
    let manifest = place.manifest(name)?;
    let target = Target::open(data_dir, place.disk)?;
    let run = Run { place, target: &target, name, manifest: &manifest };
    let done = if target.is_done { run.done_before(&all) } else { run.all(on_damage) };
    match done.and_then(|damaged| target.finish().map(|()| damaged)) {
        Ok(damaged) => Ok(Restored {
            snapshot: name.clone(),
            instance: manifest.instance.clone(),
            version: manifest.version.clone(),
            begun: manifest.begun.clone(),
            blobs: u64::try_from(manifest.blobs.len() - damaged.len()).unwrap_or(u64::MAX),
            bytes: whole_bytes(&manifest, &damaged),
            lost: manifest.lost.clone(),
            whole_again: manifest.damaged_there.iter().filter(|it| !damaged.contains(it)).cloned().collect(),
            damaged,
            not_copied: manifest.not_copied.clone(),
            settings_kept: target.has_other_settings(manifest.settings.as_deref()),
            in_bucket: manifest.in_bucket,
        }),
        Err(why) => {
            target.clear();
            Err(why)
        }
    }
}

fn whole_bytes(manifest: &Manifest, damaged: &[String]) -> u64 {
    let whole = manifest.blobs.iter().filter(|blob| !damaged.contains(&blob.digest));
    whole.fold(0, |sum, blob| sum.saturating_add(blob.size))
}

fn none_such(name: &str, all: &BTreeSet<String>) -> CliError {
    let error = CliError::new(Exit::NotFound, format!("there is no snapshot `{name}`"));
    match all.last() {
        Some(newest) => error.hint(format!("`l0 admin backups DIRECTORY` lists all; the newest is {newest}")),
        None => error,
    }
}

/// The data directory, held as a server holds it.
struct Target<'a> {
    root: PathBuf,
    disk: &'a dyn Disk,
    /// A run that was killed after its last step that counts has left no more than a name to remove.
    is_done: bool,
    _lock: File,
}

impl<'a> Target<'a> {
    fn open(root: &Path, disk: &'a dyn Disk) -> Result<Self, CliError> {
        let there = names(root)?;
        let begun = there.iter().any(|name| name == DRAFT);
        let ours = |name: &str| begun && [DRAFT, REGISTRY, DATABASE].contains(&name);
        if let Some(stranger) = there.iter().find(|name| !ALLOWED.contains(&name.as_str()) && !ours(name)) {
            let said = format!("{} is not empty: it holds `{stranger}`", root.display());
            return Err(
                CliError::new(Exit::Refused, said).hint("name a data directory that is empty or does not exist yet")
            );
        }
        directory_make(disk, root).map_err(|why| cant("create", root, &why))?;
        let Some(lock) = lock(root)? else {
            let said = format!("{} is held by a server, or by another command", root.display());
            return Err(CliError::new(Exit::Refused, said));
        };
        let is_done = begun && there.iter().any(|name| name == DATABASE);
        let this = Self { root: root.to_owned(), disk, is_done, _lock: lock };
        if !is_done {
            this.begin(begun).map_err(|why| cant("prepare", root, &why))?;
        }
        Ok(this)
    }

    /// Marks the directory as one that is being restored, and removes what an earlier run has left.
    fn begin(&self, begun: bool) -> io::Result<()> {
        let draft = self.draft();
        if begun {
            self.disk.tree_remove(&self.root.join(REGISTRY))?;
            self.disk.directory_sync(&self.root)?;
            self.disk.tree_remove(&draft)?;
        }
        self.disk.directory_make(&draft)?;
        self.disk.directory_sync(&self.root)
    }

    /// Whether there is a `layer0.toml` that does not say what the instance's did.
    fn has_other_settings(&self, settings: Option<&str>) -> bool {
        let there = fs::read(self.root.join(SETTINGS));
        settings.is_some_and(|settings| there.is_ok_and(|there| there != settings.as_bytes()))
    }

    fn draft(&self) -> PathBuf {
        self.root.join(DRAFT)
    }

    /// Moves all to its place, the database last.
    fn finish(&self) -> Result<(), CliError> {
        let (draft, root) = (self.draft(), &self.root);
        let finish = || {
            if !self.is_done {
                self.disk.rename(&draft.join(REGISTRY), &root.join(REGISTRY))?;
                if draft.join(SETTINGS).exists() {
                    self.disk.rename(&draft.join(SETTINGS), &root.join(SETTINGS))?;
                }
                self.disk.directory_sync(root)?;
                self.disk.rename(&draft.join(DATABASE), &root.join(DATABASE))?;
                self.disk.directory_sync(root)?;
            }
            // Empty, so whether its end is on the disk makes no difference.
            self.disk.tree_remove(&draft)
        };
        finish().map_err(|why| cant("finish", root, &why))
    }

    /// Leaves the directory as it was found, as far as that can be. What can't be removed now, the next run removes.
    fn clear(&self) {
        if !self.root.join(DATABASE).exists() {
            let _ = self.disk.tree_remove(&self.root.join(REGISTRY));
            let _ = self.disk.tree_remove(&self.draft());
        }
    }
}

/// What came of a copy.
enum Copied {
    /// It is what its digest says.
    Whole,
    /// It is something else, or not there.
    Other,
    /// The disk says that it has lost it.
    Lost,
}

struct Run<'a> {
    place: &'a Place<'a>,
    target: &'a Target<'a>,
    name: &'a str,
    manifest: &'a Manifest,
}

impl Run<'_> {
    /// An earlier run has come to its end, all but a name to remove. Refuses when that was of another snapshot, which the database tells:
    /// it is the snapshot's, to the byte, until a server starts on it. Answers the blobs that were left out.
    fn done_before(&self, all: &BTreeSet<String>) -> Result<Vec<String>, CliError> {
        let root = &self.target.root;
        let database = root.join(DATABASE);
        let (found, _) = digest(&database, Hasher::sha256()).map_err(|why| cant("read", &database, &why))?;
        let is_of = |name: &str| self.place.state(name).is_ok_and(|(_, sum)| sum == found);
        if !is_of(self.name) {
            let said = format!("{} was restored already, and not from snapshot `{}`", root.display(), self.name);
            let error = CliError::new(Exit::Refused, said);
            return Err(match all.iter().find(|name| is_of(name)) {
                Some(other) => error.hint(format!(
                    "it was restored from `{other}`, which `--snapshot {other}` ends; name another data directory for this one"
                )),
                None => error.hint("a server may have been started on it since; name another data directory"),
            });
        }
        let blobs = root.join(REGISTRY).join("blobs");
        let is_there = |blob: &Blob| {
            let name = BlobName::parse(&blob.digest);
            name.is_some_and(|it| fs::metadata(blobs.join(it.path())).is_ok_and(|it| it.len() == blob.size))
        };
        Ok(self.manifest.blobs.iter().filter(|blob| !is_there(blob)).map(|blob| blob.digest.clone()).collect())
    }

    /// Makes all below the draft; answers the blobs that are damaged in the backup.
    fn all(&self, on_damage: OnDamage) -> Result<Vec<String>, CliError> {
        let (disk, draft) = (self.target.disk, self.target.draft());
        let (registry, mut made) = (draft.join(REGISTRY), BTreeSet::new());
        let mut directory = |path: &Path| {
            for above in path.ancestors().take_while(|above| above.starts_with(&draft)) {
                if !made.insert(above.to_owned()) {
                    break;
                }
            }
            disk.directory_make(path).map_err(|why| cant("create", path, &why))
        };
        directory(&registry.join("blobs"))?;
        directory(&registry.join("uploads"))?;
        let mut damaged = Vec::new();
        for blob in &self.manifest.blobs {
            let name = BlobName::parse(&blob.digest)
                .ok_or_else(|| CliError::new(Exit::Failed, format!("snapshot `{}` names no digest", self.name)))?;
            let to = registry.join("blobs").join(name.path());
            // With damage the rest is read all the same: whoever has to find another copy wants to know of all of it.
            let write = damaged.is_empty() || on_damage == OnDamage::LeaveOut;
            if let (true, Some(fan)) = (write, to.parent()) {
                directory(fan)?;
            }
            if !self.copy(&self.place.blob(&name), &name, write.then_some(&to))? {
                damaged.push(blob.digest.clone());
            }
        }
        if !damaged.is_empty() && on_damage == OnDamage::Stop {
            let mut error = CliError::new(Exit::Failed, "blobs are damaged in the backup, so nothing was restored");
            error.details.extend(damaged.iter().map(|digest| format!("  {digest}")));
            return Err(error
                .hint("another snapshot may not need them; --without-damaged restores the rest, and they count as missing there")
                .field("Damaged", damaged));
        }
        let (state, sum) = self.place.state(self.name)?;
        if !self.copy(&state, &sum, Some(&draft.join(DATABASE)))? {
            let said = format!("snapshot `{}` is damaged: state.db is not what SHA256SUMS says", self.name);
            return Err(CliError::new(Exit::Failed, said).hint("restore another snapshot"));
        }
        if let (Some(settings), false) = (&self.manifest.settings, self.target.root.join(SETTINGS).exists()) {
            let path = draft.join(SETTINGS);
            let write = || {
                let mut file = disk.file_write(&path)?;
                file.write(settings.as_bytes())?;
                file.sync()
            };
            write().map_err(|why| cant("write", &path, &why))?;
        }
        for path in made.iter().rev() {
            disk.directory_sync(path).map_err(|why| cant("sync", path, &why))?;
        }
        Ok(damaged)
    }

    /// Copies a file, and answers whether it is what its digest says; of one that is not, or is not there, nothing stays. What the disk
    /// says once that it has lost may have been the way to it.
    fn copy(&self, from: &Path, name: &BlobName, to: Option<&Path>) -> Result<bool, CliError> {
        match self.copy_once(from, name, to)? {
            Copied::Whole => Ok(true),
            Copied::Other => Ok(false),
            Copied::Lost => Ok(matches!(self.copy_once(from, name, to)?, Copied::Whole)),
        }
    }

    fn copy_once(&self, from: &Path, name: &BlobName, to: Option<&Path>) -> Result<Copied, CliError> {
        let disk = self.target.disk;
        let mut source = match File::open(from) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Copied::Other),
            opened => opened.map_err(|why| cant("read", from, &why))?,
        };
        let write_failed = |why: io::Error| cant("write", to.unwrap_or(from), &why);
        let mut file = to.map(|to| disk.file_write(to)).transpose().map_err(write_failed)?;
        let (mut hasher, mut buffer, mut is_lost) = (name.hasher(), vec![0; STEP], false);
        loop {
            let count = match source.read(&mut buffer) {
                Err(why) if why.kind() == io::ErrorKind::Interrupted => continue,
                Err(why) if is_loss(&why) => {
                    is_lost = true;
                    break;
                }
                // It says nothing of the bytes.
                Err(why) => return Err(cant("read", from, &why)),
                Ok(count) => count,
            };
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
            if let Some(file) = &mut file {
                file.write(&buffer[..count]).map_err(write_failed)?;
            }
        }
        let is_whole = !is_lost && name.is_of(hasher);
        match (file, to) {
            (Some(mut file), _) if is_whole => file.sync().map_err(write_failed)?,
            (Some(_), Some(to)) => disk.file_remove(to).map_err(write_failed)?,
            _ => {}
        }
        Ok(match (is_whole, is_lost) {
            (true, _) => Copied::Whole,
            (false, true) => Copied::Lost,
            (false, false) => Copied::Other,
        })
    }
}
