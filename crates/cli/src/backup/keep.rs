//! Old snapshots go, and the blobs that none names any more.

use std::collections::BTreeSet;

use serde::Serialize;

use super::name::BlobName;
use super::{Place, cant, plan};
use crate::error::CliError;

/// What went.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Dropped {
    pub(crate) snapshots: Vec<String>,
    pub(crate) blobs: u64,
    pub(crate) bytes: u64,
}

/// Drops all snapshots but `keep`, the one that was just taken among them, and then the blobs that no snapshot names. `None`, and nothing
/// is dropped, when the one that was taken lacks a blob: one that goes might be the last that has it. When a snapshot that stays can't
/// be read, no blob goes. Killed at any moment, the next run does the rest.
pub(crate) fn keep(place: &Place<'_>, keep: usize, taken: &str) -> Result<Option<Dropped>, CliError> {
    if !place.manifest(taken)?.lost.is_empty() {
        return Ok(None);
    }
    let all = place.snapshots()?;
    let mut dropped = Dropped { snapshots: plan::too_old(&all, keep, taken), ..Dropped::default() };
    let above = place.snapshot("");
    for name in &dropped.snapshots {
        // It is no snapshot from the rename on; what is left of it then, the next run removes.
        let (from, to) = (place.snapshot(name), place.snapshot(&format!(".{name}.gone")));
        let remove = || {
            place.disk.rename(&from, &to)?;
            place.disk.directory_sync(&above)?;
            place.disk.tree_remove(&to)
        };
        remove().map_err(|why| cant("remove", &from, &why))?;
    }
    let mut named = BTreeSet::new();
    for name in place.snapshots()? {
        let manifest = place.manifest(&name).map_err(|why| why.hint("so no blob was removed: it may need them"))?;
        named.extend(manifest.blobs.iter().filter_map(|blob| BlobName::parse(&blob.digest)));
    }
    for blob in plan::unneeded(place.blobs()?, &named) {
        let path = place.blob(&blob);
        let bytes = std::fs::metadata(&path).map_or(0, |it| it.len());
        place.disk.file_remove(&path).map_err(|why| cant("remove", &path, &why))?;
        dropped.blobs += 1;
        dropped.bytes += bytes;
    }
    Ok(Some(dropped))
}
