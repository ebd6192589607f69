//! The steps of a copy: one end listed, one blob and one manifest copied.

use std::sync::atomic::Ordering;

use super::check::{Spoiled, checked};
use super::{CopyError, Counters, count, of_from, of_to, why};
use crate::model::digest::{Algorithm, Digest};
use crate::model::time::Timestamp;
use crate::plan::copying::{Inventory, Links};
use crate::port::image_end::{EndBlob, EndError, EndManifest, ImageEnd};

/// All of one end.
pub(super) async fn inventory(end: &dyn ImageEnd) -> Result<Inventory, EndError> {
    let (mut inventory, mut next) = (Inventory::default(), None::<String>);
    loop {
        let page = end.entries(next.as_deref()).await?;
        for entry in page.entries {
            if let Some(tag) = entry.tag {
                inventory.tags.insert(tag, entry.digest.clone());
            }
            inventory.manifests.insert(entry.digest);
        }
        next = page.next;
        if next.is_none() {
            return Ok(inventory);
        }
    }
}

pub(super) fn links(manifest: &EndManifest) -> Links {
    let digests = std::iter::once(&manifest.digest)
        .chain(manifest.blobs.iter().map(|blob| &blob.digest))
        .chain(&manifest.children)
        .chain(&manifest.subject);
    let odd = digests.map(Digest::algorithm).find(|algorithm| *algorithm != Algorithm::Sha256);
    Links { children: manifest.children.clone(), subject: manifest.subject.clone(), odd }
}

/// What became of a blob.
pub(super) enum Blob {
    /// It is at the new end.
    There,
    /// It is at neither, and need not be.
    Needless,
    /// It can't be there.
    Cant(String),
}

pub(super) async fn blob_copy(
    from: &dyn ImageEnd,
    to: &dyn ImageEnd,
    blob: &EndBlob,
    counters: &Counters,
) -> Result<Blob, CopyError> {
    let EndBlob { digest, size, is_foreign } = blob;
    match to.blob_size(digest).await.map_err(of_to)? {
        Some(found) if found == *size => return Ok(Blob::There),
        Some(found) => return Ok(Blob::Cant(format!("blob {digest} has {found} bytes there, not {size}"))),
        None => {}
    }
    let Some(content) = from.blob_read(digest).await.map_err(of_from)? else {
        return Ok(if *is_foreign {
            Blob::Needless
        } else {
            Blob::Cant(format!("blob {digest} is missing or damaged"))
        });
    };
    let spoiled = Spoiled::default();
    match to.blob_write(digest, *size, checked(content, digest, *size, &spoiled)).await {
        Ok(()) => {
            count(&counters.blobs_copied, 1);
            counters.bytes_copied.fetch_add(*size, Ordering::Relaxed);
            Ok(Blob::There)
        }
        Err(error) => match spoiled.why() {
            Some(what) => Ok(Blob::Cant(format!("blob {digest} {what}"))),
            None => why(error, of_to).map(|why| Blob::Cant(format!("blob {digest}: {why}"))),
        },
    }
}

/// Writes a manifest where it isn't there, and compares it. Answers why that can't be.
pub(super) async fn manifest_copy(
    to: &dyn ImageEnd,
    manifest: &EndManifest,
    tag: Option<&str>,
    pushed: Option<Timestamp>,
    is_there: bool,
    counters: &Counters,
) -> Result<Option<String>, CopyError> {
    if !is_there {
        if let Err(error) = to.manifest_write(manifest, tag, pushed).await {
            return why(error, of_to).map(Some);
        }
        count(&counters.manifests_copied, 1);
        count(&counters.tags_set, usize::from(tag.is_some()));
    }
    let mut found = to.manifest_read(&manifest.digest).await;
    if is_there && matches!(found, Ok(None) | Err(EndError::Damaged { .. })) {
        // It was listed, and isn't whole: as if it had not been there.
        if let Err(error) = to.manifest_write(manifest, None, pushed).await {
            return why(error, of_to).map(Some);
        }
        count(&counters.manifests_copied, 1);
        found = to.manifest_read(&manifest.digest).await;
    }
    match found {
        Ok(Some(found)) if found.bytes != manifest.bytes => Ok(Some("its bytes are others there".to_owned())),
        Ok(Some(found)) if found.media_type != manifest.media_type => {
            Ok(Some(format!("its media type is {} there, not {}", found.media_type, manifest.media_type)))
        }
        Ok(Some(_)) => Ok(None),
        Ok(None) => {
            let source = format!("manifest {} was taken and is not there", manifest.digest).into();
            Err(of_to(EndError::Unavailable { source }))
        }
        Err(error) => why(error, of_to).map(Some),
    }
}
