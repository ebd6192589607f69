//! Everything in a directory of backups is read again.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use serde::Serialize;

use super::name::{BlobName, Hasher};
use super::{Place, STEP, cant};
use crate::error::CliError;

/// What was read, and what is not as it should be.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Checked {
    pub(crate) snapshots: u64,
    pub(crate) blobs: u64,
    pub(crate) bytes: u64,
    /// In words, each with its snapshot or digest.
    pub(crate) findings: Vec<String>,
    /// What kinds of findings there are: for each there is something else to do.
    #[serde(skip)]
    pub(crate) kinds: BTreeSet<Kind>,
}

/// What is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A blob is damaged or missing: the next backup brings it.
    Blob,
    /// A snapshot's own files are damaged or missing: nothing brings back the state of that moment.
    Snapshot,
    /// Something can't be read, which says nothing about it.
    Unread,
}

impl Checked {
    fn find(&mut self, kind: Kind, finding: impl Into<String>) {
        self.findings.push(finding.into());
        self.kinds.insert(kind);
    }

    /// What to do about what was found.
    pub(crate) fn hints(&self) -> impl Iterator<Item = &'static str> {
        self.kinds.iter().map(|kind| match kind {
            Kind::Blob => "the next backup copies again the blobs that are damaged or missing, as long as the instance has them",
            Kind::Snapshot => {
                "the files of a snapshot can't be copied again, since their moment is over: take a new backup, and remove the directory of \
                 the damaged one below `snapshots`; while its manifest can't be read, `--keep` removes no blobs"
            }
            Kind::Unread => "what can't be read may be whole, and was left as it is: see to the reason, and check again",
        })
    }
}

/// Compares all snapshots and the blobs that they name with their sums. A blob that is not what its digest says, or that the disk has
/// lost, is removed, so that the next backup copies it again.
pub(crate) fn check(place: &Place<'_>) -> Result<Checked, CliError> {
    check_with(place, &digest)
}

/// A way to read a file: its digest and how many bytes it has.
type Read<'a> = dyn Fn(&Path, Hasher) -> io::Result<(BlobName, u64)> + 'a;

/// As [`check`], with the caller's way to read a file.
pub(super) fn check_with(place: &Place<'_>, read: &Read<'_>) -> Result<Checked, CliError> {
    // Once may have been the way to the disk.
    let digest = |path: &Path, hasher: &dyn Fn() -> Hasher| match read(path, hasher()) {
        Err(why) if is_loss(&why) => read(path, hasher()),
        read => read,
    };
    let (mut checked, mut named) = (Checked::default(), BTreeSet::new());
    for name in place.snapshots()? {
        checked.snapshots += 1;
        match place.manifest(&name) {
            Ok(manifest) => named.extend(manifest.blobs.iter().filter_map(|blob| BlobName::parse(&blob.digest))),
            Err(why) => checked.find(Kind::Snapshot, why.message),
        }
        let (path, sum) = match place.state(&name) {
            Ok(state) => state,
            Err(why) => {
                checked.find(Kind::Snapshot, why.message);
                continue;
            }
        };
        match digest(&path, &Hasher::sha256) {
            Ok((found, _)) if found == sum => {}
            Ok(_) => checked
                .find(Kind::Snapshot, format!("snapshot `{name}` is damaged: state.db is not what SHA256SUMS says")),
            Err(why) => {
                let lost = is_loss(&why) || why.kind() == io::ErrorKind::NotFound;
                let kind = if lost { Kind::Snapshot } else { Kind::Unread };
                checked.find(kind, cant("read", &path, &why).message);
            }
        }
    }
    for blob in named {
        checked.blobs += 1;
        let path = place.blob(&blob);
        match digest(&path, &|| blob.hasher()) {
            Ok((found, bytes)) if found == blob => checked.bytes += bytes,
            Ok(_) => checked.find(Kind::Blob, format!("blob {blob} is damaged; {}", removed(place, &path))),
            Err(why) if is_loss(&why) => {
                checked.find(Kind::Blob, format!("blob {blob} is damaged ({why}); {}", removed(place, &path)));
            }
            Err(why) if why.kind() == io::ErrorKind::NotFound => {
                checked.find(Kind::Blob, format!("blob {blob} is missing"))
            }
            Err(why) => checked.find(Kind::Unread, cant("read", &path, &why).message),
        }
    }
    Ok(checked)
}

/// Removes a damaged blob: a backup asks only whether one of its length is there. Answers what came of it.
fn removed(place: &Place<'_>, path: &Path) -> String {
    match place.disk.file_remove(path) {
        Ok(()) => "it was removed".to_owned(),
        // A disk that loses data may not let go of it either; the rest is to be read all the same.
        Err(why) => format!("it can't be removed: {why}"),
    }
}

/// Whether by this error a disk says that it has lost data: the read failed, or the file system's own checksum does not fit. All others
/// say nothing about the data. (The registry's `is_loss` is the same.)
pub(super) fn is_loss(why: &io::Error) -> bool {
    const EIO: i32 = 5;
    const EBADMSG: i32 = 74;
    const EUCLEAN: i32 = 117;
    matches!(why.raw_os_error(), Some(EIO | EBADMSG | EUCLEAN))
}

/// The digest and the length of a file.
pub(super) fn digest(path: &Path, mut hasher: Hasher) -> io::Result<(BlobName, u64)> {
    let (mut file, mut buffer, mut length) = (File::open(path)?, vec![0; STEP], 0_u64);
    loop {
        match file.read(&mut buffer) {
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
            Ok(0) => return Ok((hasher.finish(), length)),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                length += u64::try_from(count).unwrap_or(u64::MAX);
            }
        }
    }
}
