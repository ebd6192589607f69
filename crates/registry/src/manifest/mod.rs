//! Manifests: what is read out of them, and what must hold before one is kept.

pub(crate) mod checked;
pub(crate) mod document;
pub(crate) mod image;

use std::collections::BTreeMap;

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{ChildManifest, Manifest, ManifestRef};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::registry_store::RegistryStore;

use self::checked::Stored;
use self::document::{Document, Kind};
use crate::blobs::Blobs;
use crate::error::{MISSING_SHOWN, RegistryError};

/// What of a manifest's content a repository holds.
pub(crate) struct Sighted {
    pub(crate) found: Found,
    /// What it does not hold.
    pub(crate) missing: Vec<Digest>,
}

/// A manifest with that of its content which is there.
pub(crate) struct Found {
    media_type: String,
    blobs: Vec<(Digest, u64)>,
    children: Vec<ChildManifest>,
    subject: Option<Digest>,
    artifact_type: Option<String>,
    annotations: BTreeMap<String, String>,
}

impl Found {
    /// The record for the store.
    pub(crate) fn record(self, bytes: Vec<u8>, digest: Digest, at: Timestamp) -> Manifest {
        let Self { media_type, blobs, children, subject, artifact_type, annotations } = self;
        Manifest { digest, media_type, bytes, blobs, children, subject, artifact_type, annotations, pushed: at }
    }
}

/// Lets others go on now and then: each look is answered at once, and a manifest may name tens of thousands.
async fn let_others(at: usize) {
    if at % 64 == 63 {
        tokio::task::yield_now().await;
    }
}

/// Looks which of a manifest's content the repository holds. What is there must have the size that the manifest says, else no
/// client could pull the image. Foreign layers need not be there; one that is there is kept with the image. An index's entry of an
/// unknown media type may be a blob. When `most` are missing the rest is not looked for: each look is a read of the store.
pub(crate) async fn look(
    store: &dyn RegistryStore,
    blobs: &Blobs,
    repository: &RepositoryName,
    document: Document,
    most: usize,
) -> Result<Sighted, RegistryError> {
    let mut held = Vec::with_capacity(document.blobs.len());
    let mut missing = Vec::new();
    for (at, blob) in document.blobs.into_iter().enumerate() {
        if missing.len() == most {
            break;
        }
        let_others(at).await;
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
    for (at, child) in document.children.into_iter().enumerate() {
        if missing.len() == most {
            break;
        }
        let_others(at).await;
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
    let Document { media_type, subject, artifact_type, annotations, .. } = document;
    let found = Found { media_type, blobs: held, children, subject, artifact_type, annotations };
    Ok(Sighted { found, missing })
}

/// Compares a manifest with what the repository holds and makes the record for the store, which checks once more, and
/// for good, that nothing is missing.
pub(crate) async fn resolve(
    store: &dyn RegistryStore,
    blobs: &Blobs,
    repository: &RepositoryName,
    document: Document,
    bytes: Vec<u8>,
    digest: Digest,
    at: Timestamp,
) -> Result<Manifest, RegistryError> {
    let Sighted { found, missing } = look(store, blobs, repository, document, MISSING_SHOWN).await?;
    if !missing.is_empty() {
        return Err(RegistryError::ContentMissing(missing));
    }
    Ok(found.record(bytes, digest, at))
}
