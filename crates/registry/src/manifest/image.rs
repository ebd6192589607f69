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

/// Walks an image. Only reads, and holds one manifest at a time: an index may name thousands of large ones.
pub(crate) async fn summarize(
    store: &dyn RegistryStore,
    blobs: &Blobs,
    repository: &RepositoryName,
    manifest: &Manifest,
) -> Result<Summary, RegistryError> {
    let mut walk = Walk { blobs, repository, summary: Summary::default(), seen: HashSet::new(), todo: Vec::new() };
    walk.seen.insert(manifest.digest.clone());
    walk.visit(manifest, None, 0).await?;
    while let Some((digest, platform, depth)) = walk.todo.pop() {
        match checked::read(store, repository, &ManifestRef::Digest(digest.clone())).await? {
            Stored::Damaged(_) | Stored::Missing => walk.summary.missing.push(digest),
            Stored::Whole(found) if depth <= DEEPEST => walk.visit(&found, platform, depth).await?,
            Stored::Whole(_) => {}
        }
    }
    let mut summary = walk.summary;
    summary.platforms.retain(is_platform);
    summary.missing.sort();
    Ok(summary)
}

/// Whether something can run on it: attestations in an index carry a word in its place.
fn is_platform(platform: &Platform) -> bool {
    platform.os != "unknown" && platform.architecture != "unknown"
}

/// The platforms that an index gives its entries, here or not.
pub(crate) fn named_platforms(manifest: &Manifest) -> Vec<Platform> {
    let Ok(document) = Document::parse(&manifest.bytes, Some(&manifest.media_type)) else { return Vec::new() };
    document.children.into_iter().filter_map(|child| child.platform).filter(is_platform).collect()
}

/// A walk that is under way.
struct Walk<'a> {
    blobs: &'a Blobs,
    repository: &'a RepositoryName,
    summary: Summary,
    /// What was counted, or will be.
    seen: HashSet<Digest>,
    /// The manifests to go to, each with the platform that its index gives it and its depth.
    todo: Vec<(Digest, Option<Platform>, usize)>,
}

impl Walk<'_> {
    /// Counts a manifest and its blobs, and notes its children.
    async fn visit(
        &mut self,
        manifest: &Manifest,
        platform: Option<Platform>,
        depth: usize,
    ) -> Result<(), RegistryError> {
        let summary = &mut self.summary;
        let length = u64::try_from(manifest.bytes.len()).expect("a length fits in 64 bits");
        summary.size = summary.size.saturating_add(length);
        for (digest, size) in &manifest.blobs {
            if !self.seen.insert(digest.clone()) {
                continue;
            }
            summary.size = summary.size.saturating_add(*size);
            if self.blobs.size(self.repository, digest).await? != Some(*size) {
                summary.missing.push(digest.clone());
            }
        }
        if manifest.children.is_empty() {
            match platform {
                Some(platform) => drop(summary.platforms.insert(platform)),
                None => summary.platforms.extend(config_platform(self.blobs, self.repository, manifest).await?),
            }
        }
        for child in &manifest.children {
            if self.seen.insert(child.digest.clone()) {
                self.todo.push((child.digest.clone(), child.platform.clone(), depth + 1));
            }
        }
        Ok(())
    }
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
