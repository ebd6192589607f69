//! The port `ImageEnd`: one repository in the embedded registry, or in one of ECR's (`ecr/end`), whatever the instance says
//! where it lies.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt as _;
use layer0_domain::model::digest::{Algorithm, Digest};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::placement::BackingName;
use layer0_domain::model::registry::{ManifestContent, ManifestRef, Repository, Visibility};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::BoxError;
use layer0_domain::port::image_end::{BlobStream, EndBlob, EndError, EndManifest, Entry, EntryPage, ImageEnd};
use layer0_domain::port::registry_store::{Along, Page, RegistryStoreError};

use crate::blobs::Opened;
use crate::blocking::to_the_end;
use crate::download;
use crate::error::RegistryError;
use crate::manifest::checked::{self, Stored};
use crate::manifest::document::{Document, Kind};
use crate::manifest::resolve;
use crate::registry::Registry;
use crate::uploads::{Claim, Push, Share, Then, UploadId, receive};

/// Entries of one page.
const PAGE: u32 = 500;

impl Registry {
    /// A repository in one of the backings, whether it is there or not; `None` for a backing that there is none of.
    #[must_use]
    pub fn end(&self, backing: &BackingName, repository: &RepositoryName) -> Option<Arc<dyn ImageEnd>> {
        if backing.is_local() {
            return Some(Arc::new(LocalEnd { registry: self.clone(), name: repository.clone() }));
        }
        #[cfg(feature = "ecr")]
        if let Some(ecr) = self.backings().and_then(|all| all.get(backing)) {
            return Some(Arc::new(ecr.end(repository)));
        }
        None
    }
}

/// A repository in the embedded registry.
struct LocalEnd {
    registry: Registry,
    name: RepositoryName,
}

/// What the port says of an error of the registry's.
pub(crate) fn end_error(error: RegistryError) -> EndError {
    match error {
        RegistryError::NameUnknown(_) => EndError::NoRepository,
        error @ (RegistryError::BlobDamaged(_)
        | RegistryError::ManifestDamaged(_)
        | RegistryError::DigestMismatch { .. }
        | RegistryError::SizeInvalid(_)) => EndError::Damaged { what: error.to_string() },
        RegistryError::ContentMissing(missing) => {
            let named: Vec<String> = missing.iter().map(ToString::to_string).collect();
            EndError::Refused { why: format!("what it names is not there: {}", named.join(", ")) }
        }
        error @ (RegistryError::Denied(_)
        | RegistryError::ManifestInvalid(_)
        | RegistryError::ManifestTooLarge { .. }
        | RegistryError::NameInvalid(_)
        | RegistryError::DigestInvalid(_)) => EndError::Refused { why: error.to_string() },
        #[cfg(feature = "ecr")]
        RegistryError::Behind { message, .. } => EndError::Refused { why: message },
        error => EndError::Unavailable { source: error.into() },
    }
}

/// The same of an error of the store's, or of ECR's API.
pub(crate) fn store_error(error: RegistryStoreError) -> EndError {
    match error {
        RegistryStoreError::Refused { why } => EndError::Refused { why },
        error => end_error(error.into()),
    }
}

/// A manifest as the port has it. What an index names and is of no kind of manifest is taken for a blob.
pub(crate) fn end_manifest(digest: Digest, media_type: String, bytes: Vec<u8>) -> Result<EndManifest, EndError> {
    let document = Document::parse(&bytes, Some(&media_type)).map_err(end_error)?;
    let (manifests, others): (Vec<_>, Vec<_>) =
        document.children.into_iter().partition(|child| Kind::of(&child.media_type).is_some());
    let blobs = document.blobs.iter().chain(&others).map(|blob| EndBlob {
        digest: blob.digest.clone(),
        size: blob.size,
        is_foreign: blob.is_foreign(),
    });
    let (blobs, children) = (blobs.collect(), manifests.into_iter().map(|child| child.digest).collect());
    Ok(EndManifest { digest, media_type, bytes, blobs, children, subject: document.subject })
}

/// Content that must have a length, and what it had when it ended.
pub(crate) struct Sized {
    came: Arc<AtomicU64>,
    size: u64,
}

impl Sized {
    /// The content as a body, which ends with an error when more comes than is wanted.
    pub(crate) fn body(content: BlobStream, size: u64) -> (Self, Body) {
        let came = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&came);
        let pieces = content.map(move |piece| {
            let piece = piece?;
            let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            if counter.fetch_add(length, Ordering::AcqRel).saturating_add(length) > size {
                return Err(BoxError::from(format!("more than {size} bytes came")));
            }
            Ok(Bytes::from(piece))
        });
        (Self { came, size }, Body::from_stream(pieces))
    }

    /// The error of a write that failed: that of the content, when it had another length.
    pub(crate) fn judge(&self, ended: Ended, error: EndError) -> EndError {
        let came = self.came.load(Ordering::Acquire);
        let is_wrong = came > self.size || (ended == Ended::Whole && came != self.size);
        if is_wrong { EndError::Damaged { what: format!("{came} bytes came, not {}", self.size) } } else { error }
    }
}

/// Whether content came to its own end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It did.
    Whole,
    /// It broke off, or nobody knows.
    Broken,
}

#[async_trait]
impl ImageEnd for LocalEnd {
    fn takes(&self, _algorithm: Algorithm) -> bool {
        true
    }

    async fn prepare(&self, visibility: Visibility) -> Result<bool, EndError> {
        let parts = self.registry.parts();
        let repository = Repository { name: self.name.clone(), created: parts.clock.now(), visibility };
        match parts.store.repository_create(&repository).await {
            Ok(()) => Ok(true),
            Err(RegistryStoreError::RepositoryExists(_)) => {
                let changed = parts.store.repository_update(&self.name, visibility).await;
                changed.map(|_| false).map_err(store_error)
            }
            Err(error) => Err(store_error(error)),
        }
    }

    async fn remove(&self) -> Result<(), EndError> {
        match self.registry.parts().blobs.repository_vacate(self.name.clone()).await {
            Ok(()) | Err(RegistryStoreError::RepositoryMissing(_)) => Ok(()),
            Err(error) => Err(store_error(error)),
        }
    }

    async fn entries(&self, next: Option<&str>) -> Result<EntryPage, EndError> {
        let store = &self.registry.parts().store;
        // Manifests first; a mark that is no digest is a tag. An empty one is where tags begin.
        let mark = next.map(|next| (Digest::parse(next).ok(), next));
        if let Some((None, tag)) = mark {
            return self.tags((!tag.is_empty()).then(|| tag.trim_start_matches(':').to_owned())).await;
        }
        if store.repository_get(&self.name).await.map_err(store_error)?.is_none() {
            return Err(EndError::NoRepository);
        }
        let after = mark.and_then(|(digest, _)| digest);
        let found = store.manifest_list(&self.name, after.as_ref(), PAGE).await.map_err(store_error)?;
        let is_last = found.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
        let next = match found.last() {
            Some(last) if !is_last => last.to_string(),
            _ => String::new(),
        };
        let entries = found.into_iter().map(|digest| Entry { digest, tag: None }).collect();
        Ok(EntryPage { entries, next: Some(next) })
    }

    async fn referrers(&self, _subject: &Digest) -> Result<Vec<Digest>, EndError> {
        // The list of manifests has all.
        Ok(Vec::new())
    }

    async fn manifest_read(&self, digest: &Digest) -> Result<Option<EndManifest>, EndError> {
        let reference = ManifestRef::Digest(digest.clone());
        match checked::content(self.registry.parts().store.as_ref(), &self.name, &reference)
            .await
            .map_err(store_error)?
        {
            Stored::Missing => Ok(None),
            Stored::Damaged(ManifestContent { digest, .. }) => Err(end_error(RegistryError::ManifestDamaged(digest))),
            Stored::Whole(stored) => end_manifest(stored.digest, stored.media_type, stored.bytes).map(Some),
        }
    }

    async fn pushed(&self) -> Result<BTreeMap<Digest, Timestamp>, EndError> {
        // What is copied from here goes to ECR, which takes no time from anybody.
        Ok(BTreeMap::new())
    }

    async fn manifest_write(
        &self,
        manifest: &EndManifest,
        tag: Option<&str>,
        pushed: Option<Timestamp>,
    ) -> Result<(), EndError> {
        let parts = self.registry.parts();
        if parts.store.repository_get(&self.name).await.map_err(store_error)?.is_none() {
            return Err(EndError::NoRepository);
        }
        let document = Document::parse(&manifest.bytes, Some(&manifest.media_type)).map_err(end_error)?;
        let (bytes, digest) = (manifest.bytes.clone(), manifest.digest.clone());
        let (store, now) = (Arc::clone(&parts.store), parts.clock.now());
        // Another clock's time may lie ahead of ours, and nothing is younger than what comes now.
        let pushed = pushed.map_or(now, |pushed| pushed.min(now));
        let record = resolve(store.as_ref(), &parts.blobs, &self.name, document, bytes, digest, pushed).await;
        let (record, tags) = (record.map_err(end_error)?, Vec::from_iter(tag.map(str::to_owned)));
        let name = self.name.clone();
        let put = to_the_end(async move { store.manifest_put(&name, &record, &tags, &Along::NOTHING).await }).await;
        put.map_err(|error| end_error(RegistryError::from_io(error)))?.map_err(store_error)
    }

    async fn manifest_delete(&self, digest: &Digest) -> Result<(), EndError> {
        self.registry.parts().store.manifest_delete(&self.name, digest).await.map(drop).map_err(store_error)
    }

    async fn tag_delete(&self, tag: &str) -> Result<(), EndError> {
        self.registry.parts().store.tag_delete(&self.name, tag).await.map(drop).map_err(store_error)
    }

    async fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, EndError> {
        let parts = self.registry.parts();
        parts.blobs.promise(&self.name, digest, parts.config.blob_grace).await.map_err(end_error)
    }

    async fn blob_read(&self, digest: &Digest) -> Result<Option<BlobStream>, EndError> {
        let blobs = &self.registry.parts().blobs;
        let Opened::Whole(reader) = blobs.open_blob(&self.name, digest).await.map_err(end_error)? else {
            return Ok(None);
        };
        let size = reader.size();
        match download::body(blobs, reader, 0, size, || None).await {
            Ok(body) => Ok(Some(pieces(body))),
            Err(RegistryError::BlobDamaged(_)) => Ok(None),
            Err(error) => Err(end_error(error)),
        }
    }

    async fn blob_write(&self, digest: &Digest, size: u64, content: BlobStream) -> Result<(), EndError> {
        let parts = self.registry.parts();
        if parts.store.repository_get(&self.name).await.map_err(store_error)?.is_none() {
            return Err(EndError::NoRepository);
        }
        let id = UploadId::new(parts.clock.random(), &self.name);
        let begun = parts.uploads.begin_private(id, digest.algorithm(), Share::nobodys(), parts.clock.now()).await;
        let upload = begun.map_err(end_error)?;
        let (sized, body) = Sized::body(content, size);
        let held = upload.hold().map_err(end_error)?;
        let (held, received) =
            receive(held, body, Some(size), Some(size), Then::Finish, parts.config.body_idle, None).await;
        if let Err(error) = received {
            upload.cancel(held).await;
            return Err(sized.judge(Ended::Broken, end_error(error)));
        }
        let push = Push::alone(self.name.clone(), parts.clock.now());
        upload.finish(held, Claim::Said(digest.clone()), push, &parts.blobs).await.map(drop).map_err(end_error)
    }
}

impl LocalEnd {
    async fn tags(&self, after: Option<String>) -> Result<EntryPage, EndError> {
        let store = &self.registry.parts().store;
        let page = Page { after, most: Some(PAGE) };
        let Some(tags) = store.tag_list(&self.name, page).await.map_err(store_error)? else {
            return Err(EndError::NoRepository);
        };
        let is_last = tags.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
        // A tag can look like no digest, but must not look like the begin of the tags.
        let next = tags.last().filter(|_| !is_last).map(|last| format!(":{last}"));
        let mut entries = Vec::with_capacity(tags.len());
        for tag in tags {
            let found = store.manifest_get(&self.name, &ManifestRef::Tag(tag.clone())).await.map_err(store_error)?;
            entries.extend(found.map(|manifest| Entry { digest: manifest.digest, tag: Some(tag) }));
        }
        Ok(EntryPage { entries, next })
    }
}

/// A body in pieces.
pub(crate) fn pieces(body: Body) -> BlobStream {
    body.into_data_stream().map(|piece| piece.map(Vec::from).map_err(BoxError::from)).boxed()
}
