//! What an image needs, and whether all of it is here: walks from a manifest down to its blobs.

use std::collections::{BTreeSet, HashSet};

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{Manifest, ManifestRef, Platform};
use layer0_domain::port::registry_store::RegistryStore;
use serde::Deserialize;

use super::checked::{self, Stored};
use super::document::{Document, Kind};
use crate::blobs::Blobs;
use crate::error::RegistryError;

/// How deep indexes may be nested before the walk stops counting. Real ones have two levels.
const DEEPEST: usize = 8;
/// The largest config that is read for its platform. Docker's own limit for a config is 4 MiB.
const CONFIG_MAX: u64 = 4 << 20;

/// What the walk found.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    /// The platforms of all image manifests reached.
    pub(crate) platforms: BTreeSet<Platform>,
    /// Bytes of all manifests and blobs reached, each digest once.
    pub(crate) size: u64,
    /// What is named and not here, or not whole.
    pub(crate) missing: Vec<Digest>,
}

/// The two fields of an image config that name its platform (image-spec, config.md).
#[derive(Deserialize)]
struct Config {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
}

/// Walks an image. Only reads.
pub(crate) async fn summarize(
    store: &dyn RegistryStore,
    blobs: &Blobs,
    repository: &RepositoryName,
    manifest: &Manifest,
) -> Result<Summary, RegistryError> {
    let mut summary = Summary::default();
    let mut seen: HashSet<Digest> = HashSet::new();
    let mut todo: Vec<(Manifest, Option<Platform>, usize)> = vec![(manifest.clone(), None, 0)];
    seen.insert(manifest.digest.clone());
    while let Some((manifest, platform, depth)) = todo.pop() {
        summary.size += u64::try_from(manifest.bytes.len()).expect("a length fits in 64 bits");
        for (digest, size) in &manifest.blobs {
            if !seen.insert(digest.clone()) {
                continue;
            }
            summary.size = summary.size.saturating_add(*size);
            if blobs.size(repository, digest).await? != Some(*size) {
                summary.missing.push(digest.clone());
            }
        }
        if manifest.children.is_empty() {
            match platform {
                Some(platform) => drop(summary.platforms.insert(platform)),
                None => summary.platforms.extend(config_platform(blobs, repository, &manifest).await?),
            }
        }
        for child in &manifest.children {
            if !seen.insert(child.digest.clone()) {
                continue;
            }
            match checked::read(store, repository, &ManifestRef::Digest(child.digest.clone())).await? {
                Stored::Damaged { .. } | Stored::Missing => summary.missing.push(child.digest.clone()),
                Stored::Whole(found) if depth < DEEPEST => todo.push((found, child.platform.clone(), depth + 1)),
                Stored::Whole(_) => {}
            }
        }
    }
    // Attestations in an index carry this instead of a platform; nothing can run on it.
    summary.platforms.retain(|platform| platform.os != "unknown" && platform.architecture != "unknown");
    summary.missing.sort();
    Ok(summary)
}

/// The platform that an image's config names; `None` when the manifest is no image, or its config is not here or says
/// nothing.
async fn config_platform(
    blobs: &Blobs,
    repository: &RepositoryName,
    manifest: &Manifest,
) -> Result<Option<Platform>, RegistryError> {
    if Kind::of(&manifest.media_type) != Some(Kind::Image) {
        return Ok(None);
    }
    let Ok(document) = Document::parse(&manifest.bytes, Some(&manifest.media_type)) else { return Ok(None) };
    let Some(digest) = document.config else { return Ok(None) };
    let Some(bytes) = blobs.read_small(repository, &digest, CONFIG_MAX).await? else { return Ok(None) };
    let Ok(Config { os: Some(os), architecture: Some(architecture), variant }) = serde_json::from_slice(&bytes) else {
        return Ok(None);
    };
    Ok(Some(Platform { os, architecture, variant: variant.filter(|text| !text.is_empty()) }))
}
