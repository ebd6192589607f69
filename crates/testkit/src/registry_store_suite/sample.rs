//! Small legal values, and the steps that most behaviours begin with.

use std::collections::BTreeMap;

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{BlobPlace, BlobSums, Manifest, Repository, Visibility};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::registry_store::{Along, BlobLink, FreedBlob, RegistryStore};

/// When samples are made.
pub const AT: Timestamp = Timestamp(1_700_000_000_000);

/// A repository's name.
#[must_use]
pub fn name(text: &str) -> RepositoryName {
    RepositoryName::parse(text).expect("samples are written with legal words only")
}

/// The digest of a word.
#[must_use]
pub fn digest(word: &str) -> Digest {
    Digest::sha256_of(word.as_bytes())
}

/// A manifest whose bytes are `word`; it needs nothing.
#[must_use]
pub fn manifest(word: &str) -> Manifest {
    Manifest {
        digest: digest(word),
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        bytes: word.as_bytes().to_vec(),
        blobs: Vec::new(),
        children: Vec::new(),
        subject: None,
        artifact_type: None,
        annotations: BTreeMap::new(),
        pushed: AT,
    }
}

/// A manifest that needs blobs of these words; a blob's size is its word's length.
#[must_use]
pub fn manifest_with(word: &str, blobs: &[&str]) -> Manifest {
    Manifest { blobs: blobs.iter().map(|blob| (digest(blob), blob.len() as u64)).collect(), ..manifest(word) }
}

/// Makes a repository.
pub async fn repository(store: &dyn RegistryStore, text: &str) -> RepositoryName {
    let name = name(text);
    store
        .repository_create(&Repository { name: name.clone(), created: AT, visibility: Visibility::Private })
        .await
        .expect("the name is free");
    name
}

/// A blob whose size is its word's length, as a mount links it: without sums.
#[must_use]
pub fn blob(word: &str) -> BlobLink {
    BlobLink { digest: digest(word), size: word.len() as u64, sums: None, place: None }
}

/// Sums for the blob of a word: two pieces, or as many as a byte each leaves.
#[must_use]
pub fn sums(word: &str) -> BlobSums {
    let piece = u32::try_from(word.len().div_ceil(2).max(1)).expect("a word is short");
    let count = u32::try_from(word.len()).expect("a word is short").div_ceil(piece);
    BlobSums { piece, sums: (0..count).map(|at| 0xfedc_ba90 + at).collect() }
}

/// Links a blob whose size is its word's length.
pub async fn link(store: &dyn RegistryStore, repository: &RepositoryName, word: &str) {
    store.blob_link(repository, &blob(word), AT, &Along::NOTHING).await.expect("the repository is there");
}

/// Links a blob as a push does: with sums.
pub async fn push(store: &dyn RegistryStore, repository: &RepositoryName, word: &str) {
    let link = BlobLink { sums: Some(sums(word)), ..blob(word) };
    store.blob_link(repository, &link, AT, &Along::NOTHING).await.expect("the repository is there");
}

/// Puts a manifest that is acceptable.
pub async fn put(store: &dyn RegistryStore, repository: &RepositoryName, manifest: &Manifest, tags: &[&str]) {
    let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
    store.manifest_put(repository, manifest, &tags, &Along::NOTHING).await.expect("all it names is there");
}

/// The blob of a word that no repository holds any more.
#[must_use]
pub fn freed(word: &str, place: Option<&str>) -> FreedBlob {
    FreedBlob { digest: digest(word), place: place.map(BlobPlace::new) }
}

/// Links a blob as a push into a bucket does: with sums and a place.
pub async fn push_to(
    store: &dyn RegistryStore,
    repository: &RepositoryName,
    word: &str,
    place: &str,
) -> Option<BlobPlace> {
    let link = BlobLink { sums: Some(sums(word)), place: Some(BlobPlace::new(place)), ..blob(word) };
    store.blob_link(repository, &link, AT, &Along::NOTHING).await.expect("the repository is there")
}
