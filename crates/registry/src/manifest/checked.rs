//! Manifests out of the store, compared with their digests. Whatever reads a manifest reads it here.
//!
//! SQLite has no checksums of its own: a byte that rots inside a value comes back as it is. So no manifest is served, and
//! none counts as there, that is not what its digest says; the next push of it replaces what the store has.

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{Manifest, ManifestContent, ManifestRef};
use layer0_domain::port::registry_store::{RegistryStore, RegistryStoreError};

use crate::blocking::blocking;

/// From here on a manifest is parsed and hashed on a blocking thread.
pub(crate) const LARGE: u64 = 32 << 10;

/// What the store has for a reference.
#[derive(Debug)]
pub(crate) enum Stored<M = Manifest> {
    /// The manifest, and it is what its digest says.
    Whole(M),
    /// A manifest that is not; this is what stands beside its bytes.
    Damaged(M),
    /// Nothing.
    Missing,
}

/// What has bytes that a digest tells.
pub(crate) trait Told: Send + 'static {
    /// The digest, and the bytes.
    fn told(&self) -> (&Digest, &[u8]);
}

impl Told for Manifest {
    fn told(&self) -> (&Digest, &[u8]) {
        (&self.digest, &self.bytes)
    }
}

impl Told for ManifestContent {
    fn told(&self) -> (&Digest, &[u8]) {
        (&self.digest, &self.bytes)
    }
}

/// Reads a manifest by tag or digest, with all that was read out of it, and checks it.
pub(crate) async fn read(
    store: &dyn RegistryStore,
    repository: &RepositoryName,
    reference: &ManifestRef,
) -> Result<Stored, RegistryStoreError> {
    checked(repository, store.manifest_get(repository, reference).await?).await
}

/// Reads what is sent of a manifest by tag or digest, and checks it.
pub(crate) async fn content(
    store: &dyn RegistryStore,
    repository: &RepositoryName,
    reference: &ManifestRef,
) -> Result<Stored<ManifestContent>, RegistryStoreError> {
    checked(repository, store.manifest_content(repository, reference).await?).await
}

async fn checked<M: Told>(repository: &RepositoryName, found: Option<M>) -> Result<Stored<M>, RegistryStoreError> {
    let Some(manifest) = found else { return Ok(Stored::Missing) };
    let is_large = u64::try_from(manifest.told().1.len()).is_ok_and(|length| length > LARGE);
    let check = move || {
        let (digest, bytes) = manifest.told();
        let is_whole = digest.algorithm().digest_of(bytes) == *digest;
        (manifest, is_whole)
    };
    let (manifest, is_whole) = if is_large {
        let stopping = |error: std::io::Error| RegistryStoreError::Failed { source: error.into() };
        blocking(move || Ok(check())).await.map_err(stopping)?
    } else {
        check()
    };
    if is_whole {
        return Ok(Stored::Whole(manifest));
    }
    let (digest, _) = manifest.told();
    tracing::error!(
        repository.name = %repository, manifest.digest = %digest,
        "manifest {digest} of repository {repository} is damaged in the store; it counts as missing until it is pushed again"
    );
    Ok(Stored::Damaged(manifest))
}
