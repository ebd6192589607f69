//! Manifests: what is read out of them, and what must hold before one is kept.

pub(crate) mod checked;
pub(crate) mod document;
pub(crate) mod image;

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{ChildManifest, Manifest, ManifestRef};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::registry_store::RegistryStore;

use self::checked::Stored;
use self::document::{Document, Kind};
use crate::blobs::Blobs;
use crate::error::{MISSING_SHOWN, RegistryError};

/// Compares a manifest with what the repository holds and makes the record for the store, which checks once more, and
/// for good, that nothing is missing.
///
/// Every blob must be there with the size that the manifest says, else no client could pull the image. Foreign layers
/// need not be there; one that is there is kept with the image. An index's entry of an unknown media type may be a
/// blob. When as much is missing as an answer shows, the rest is not looked for: each look is a read of the store.
pub(crate) async fn resolve(
    store: &dyn RegistryStore,
    blobs: &Blobs,
    repository: &RepositoryName,
    document: Document,
    bytes: Vec<u8>,
    digest: Digest,
    at: Timestamp,
) -> Result<Manifest, RegistryError> {
    let mut held = Vec::with_capacity(document.blobs.len());
    let mut missing = Vec::new();
    for blob in document.blobs {
        if missing.len() == MISSING_SHOWN {
            break;
        }
        match blobs.size(repository, &blob.digest).await? {
            Some(size) if size == blob.size => held.push((blob.digest, size)),
            None if blob.is_foreign() => {}
            None => missing.push(blob.digest),
            Some(size) => {
                return Err(RegistryError::ManifestInvalid(format!(
                    "the manifest says that {} has {} bytes; it has {size}",
                    blob.digest, blob.size
                )));
            }
        }
    }
    let mut children = Vec::with_capacity(document.children.len());
    for child in document.children {
        if missing.len() == MISSING_SHOWN {
            break;
        }
        if Kind::of(&child.media_type).is_none()
            && let Some(size) = blobs.size(repository, &child.digest).await?
        {
            held.push((child.digest, size));
            continue;
        }
        match checked::read(store, repository, &ManifestRef::Digest(child.digest.clone())).await? {
            Stored::Whole(_) => children.push(ChildManifest { digest: child.digest, platform: child.platform }),
            Stored::Damaged(_) | Stored::Missing => missing.push(child.digest),
        }
    }
    if !missing.is_empty() {
        return Err(RegistryError::ContentMissing(missing));
    }
    Ok(Manifest {
        digest,
        media_type: document.media_type,
        bytes,
        blobs: held,
        children,
        subject: document.subject,
        artifact_type: document.artifact_type,
        annotations: document.annotations,
        pushed: at,
    })
}
