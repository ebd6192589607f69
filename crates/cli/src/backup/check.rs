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
}

/// Compares all snapshots and the blobs that they name with their sums. A blob that is not what its digest says is removed, so that the
/// next backup copies it again.
pub(crate) fn check(place: &Place<'_>) -> Result<Checked, CliError> {
    let (mut checked, mut named) = (Checked::default(), BTreeSet::new());
    for name in place.snapshots()? {
        checked.snapshots += 1;
        match place.manifest(&name) {
            Ok(manifest) => named.extend(manifest.blobs.iter().filter_map(|blob| BlobName::parse(&blob.digest))),
            Err(why) => checked.findings.push(why.message),
        }
        let (path, sum) = match place.state(&name) {
            Ok(state) => state,
            Err(why) => {
                checked.findings.push(why.message);
                continue;
            }
        };
        match digest(&path, Hasher::sha256()) {
            Ok((found, _)) if found == sum => {}
            Ok(_) => {
                checked.findings.push(format!("snapshot `{name}` is damaged: state.db is not what SHA256SUMS says"))
            }
            Err(why) => checked.findings.push(cant("read", &path, &why).message),
        }
    }
    for blob in named {
        checked.blobs += 1;
        let path = place.blob(&blob);
        match digest(&path, blob.hasher()) {
            Ok((found, bytes)) if found == blob => checked.bytes += bytes,
            Ok(_) => {
                place.disk.file_remove(&path).map_err(|why| cant("remove", &path, &why))?;
                checked.findings.push(format!("blob {blob} is damaged; it was removed"));
            }
            Err(why) if why.kind() == io::ErrorKind::NotFound => {
                checked.findings.push(format!("blob {blob} is missing"))
            }
            Err(why) => checked.findings.push(cant("read", &path, &why).message),
        }
    }
    Ok(checked)
}

/// The digest and the length of a file.
fn digest(path: &Path, mut hasher: Hasher) -> io::Result<(BlobName, u64)> {
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
