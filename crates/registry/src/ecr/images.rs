//! Images of the instance, as ECR's registry shows them.

use std::cmp::Reverse;

use axum::body::Body;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{ManifestRef, Platform, Visibility};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::image_source::{ImageSourceError, SourceAnswer, SourceImage};
use layer0_domain::port::registry_store::{Page, RegistryStoreError};
use serde::Deserialize;

use super::Ecr;
use super::repositories::failed;
use super::translate::{Refusal, next_query};
use super::upstream::{Question, UpstreamError};
use crate::error::RegistryError;
use crate::manifest::document::{Document, Kind, MANIFEST_MAX};
use crate::repositories::TaggedImage;
use crate::source;

/// What is taken when the client does not say.
pub(crate) const ACCEPTED: HeaderValue = HeaderValue::from_static(
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json",
);
/// The longest refusal, and the longest list, that are read.
const REFUSAL_MAX: usize = 64 << 10;
pub(crate) const LIST_MAX: usize = 16 << 20;
/// The largest config that is read for its platform. Docker's own limit for a config is 4 MiB.
const CONFIG_MAX: usize = 4 << 20;
/// Redirects that are followed.
const HOPS: usize = 3;
/// Pages of tags that are read, of 1,000 tags each: as many as ECR keeps images in a repository.
const PAGES_MAX: usize = 100;
/// Variants of an index whose manifests are read for their size. An image for every platform there is has some 20.
const VARIANTS_MAX: usize = 64;

/// What ECR has for a reference.
#[derive(Debug)]
pub(crate) enum Found {
    /// This manifest.
    Manifest(Manifest),
    /// The repository, but not that.
    NoImage,
    /// Not even the repository.
    NoRepository,
}

/// A manifest.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) bytes: Bytes,
}

/// What an image is for, and how large.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) platforms: Vec<Platform>,
    pub(crate) size: u64,
}

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

/// The fields of an image's config that name its platform (image-spec, config.md).
#[derive(Deserialize)]
struct Config {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
}

/// Reads an answer's body, which must not be longer than `most`.
pub(crate) async fn read(answer: Response<Incoming>, most: usize) -> Result<Bytes, RegistryError> {
    match Limited::new(answer.into_body(), most).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(source) => Err(RegistryError::Away { source }),
    }
}

/// Reads an answer that is no success.
pub(crate) async fn refusal(answer: Response<Incoming>) -> Result<Refusal, RegistryError> {
    let status = answer.status();
    // The status is enough when the words can't be read.
    let body = read(answer, REFUSAL_MAX).await.unwrap_or_default();
    Ok(Refusal::read(status, &body))
}

impl Ecr {
    /// What ECR's registry calls something of a repository.
    pub(crate) fn path(&self, name: &RepositoryName, rest: &str) -> String {
        format!("/v2/{}/{rest}", self.place().path_of(name))
    }

    /// A manifest by tag or digest.
    pub(crate) async fn manifest_get(
        &self,
        name: &RepositoryName,
        reference: &ManifestRef,
    ) -> Result<Found, RegistryError> {
        let wanted = match reference {
            ManifestRef::Tag(tag) => tag.clone(),
            ManifestRef::Digest(digest) => digest.to_string(),
        };
        let question = Question::new(Method::GET, self.path(name, &format!("manifests/{wanted}")));
        let answer = self.upstream().ask(question.with(ACCEPT, Some(&ACCEPTED))).await?;
        if answer.status() != StatusCode::OK {
            let refusal = refusal(answer).await?;
            return match refusal.code {
                "NAME_UNKNOWN" => Ok(Found::NoRepository),
                _ if refusal.status == StatusCode::NOT_FOUND => Ok(Found::NoImage),
                _ => Err(refusal.into_error()),
            };
        }
        let media_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_owned();
        let bytes = read(answer, MANIFEST_MAX).await?;
        let digest = match reference {
            ManifestRef::Digest(digest) => digest.algorithm().digest_of(&bytes),
            ManifestRef::Tag(_) => Digest::sha256_of(&bytes),
        };
        if matches!(reference, ManifestRef::Digest(wanted) if *wanted != digest) {
            return Err(RegistryError::ManifestDamaged(digest));
        }
        Ok(Found::Manifest(Manifest { digest, media_type, bytes }))
    }

    /// Platforms and size of an image. That all of it is there need not be looked at: ECR takes no manifest whose layers it
    /// does not have.
    pub(crate) async fn summary(&self, name: &RepositoryName, manifest: &Manifest) -> Result<Summary, RegistryError> {
        let mut summary = Summary { platforms: Vec::new(), size: manifest.bytes.len() as u64 };
        let Ok(document) = Document::parse(&manifest.bytes, Some(&manifest.media_type)) else { return Ok(summary) };
        summary.size += document.blobs.iter().map(|blob| blob.size).sum::<u64>();
        if Kind::of(&manifest.media_type) == Some(Kind::Image) {
            if let Some(config) = &document.config {
                summary.platforms.extend(self.platform(name, config).await?);
            }
            return Ok(summary);
        }
        for child in document.children.iter().take(VARIANTS_MAX) {
            let Found::Manifest(variant) = self.manifest_get(name, &ManifestRef::Digest(child.digest.clone())).await?
            else {
                continue;
            };
            summary.size += variant.bytes.len() as u64;
            if let Ok(document) = Document::parse(&variant.bytes, Some(&variant.media_type)) {
                summary.size += document.blobs.iter().map(|blob| blob.size).sum::<u64>();
            }
            // Attestations carry this instead of a platform; nothing can run on it.
            let runnable = |platform: &&Platform| platform.os != "unknown" && platform.architecture != "unknown";
            if let Some(platform) = child.platform.as_ref().filter(runnable)
                && !summary.platforms.contains(platform)
            {
                summary.platforms.push(platform.clone());
            }
        }
        summary.platforms.sort();
        Ok(summary)
    }

    /// The platform that an image's config names; `None` when it names none.
    async fn platform(&self, name: &RepositoryName, config: &Digest) -> Result<Option<Platform>, RegistryError> {
        let question = Question::new(Method::GET, self.path(name, &format!("blobs/{config}")));
        let answer = self.followed(self.upstream().ask(question).await?, &HeaderMap::new()).await?;
        if answer.status() != StatusCode::OK {
            return Ok(None);
        }
        let bytes = read(answer, CONFIG_MAX).await?;
        let Ok(Config { os: Some(os), architecture: Some(architecture), variant }) = serde_json::from_slice(&bytes)
        else {
            return Ok(None);
        };
        Ok(Some(Platform { os, architecture, variant: variant.filter(|text| !text.is_empty()) }))
    }

    /// What an answer leads to in the end: goes where ECR sends clients for a blob. `headers` go along.
    pub(crate) async fn followed(
        &self,
        mut answer: Response<Incoming>,
        headers: &HeaderMap,
    ) -> Result<Response<Incoming>, UpstreamError> {
        for _ in 0..HOPS {
            if !answer.status().is_redirection() {
                break;
            }
            let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok()?.parse::<Uri>().ok());
            let Some(location) = location else { break };
            answer = if self.upstream().is_here(&location) {
                let path = location.path_and_query().map_or("/", |path| path.as_str());
                let mut question = Question::new(Method::GET, path);
                question.headers = headers.clone();
                self.upstream().ask(question).await?
            } else {
                self.upstream().fetch(location, headers.clone()).await?
            };
        }
        Ok(answer)
    }

    /// One page of tags as ECR orders them, and the query of the next; `None` when the repository isn't there.
    async fn tag_page(
        &self,
        name: &RepositoryName,
        query: &str,
    ) -> Result<Option<(Vec<String>, Option<String>)>, RegistryError> {
        let question = Question::new(Method::GET, self.path(name, &format!("tags/list?{query}")));
        let answer = self.upstream().ask(question).await?;
        if answer.status() != StatusCode::OK {
            let refusal = refusal(answer).await?;
            return if refusal.status == StatusCode::NOT_FOUND { Ok(None) } else { Err(refusal.into_error()) };
        }
        let next = next_query(answer.headers());
        let body = read(answer, LIST_MAX).await?;
        let list: Tags =
            serde_json::from_slice(&body).map_err(|source| RegistryError::Away { source: source.into() })?;
        Ok(Some((list.tags.unwrap_or_default(), next)))
    }

    /// Tags in byte order; `None` when the repository isn't there. ECR has an order of its own, so all are read.
    pub(crate) async fn tags(&self, name: &RepositoryName, page: Page) -> Result<Option<Vec<String>>, RegistryError> {
        let (mut tags, mut query) = (Vec::new(), "n=1000".to_owned());
        for _ in 0..PAGES_MAX {
            let Some((some, next)) = self.tag_page(name, &query).await? else { return Ok(None) };
            tags.extend(some);
            match next {
                Some(next) => query = next,
                None => break,
            }
        }
        tags.sort_unstable();
        tags.dedup();
        if let Some(after) = &page.after {
            tags.retain(|tag| tag > after);
        }
        tags.truncate(page.most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX)));
        Ok(Some(tags))
    }

    /// The same, for callers that are no clients of the registry.
    pub(crate) async fn tag_list(
        &self,
        name: &RepositoryName,
        page: Page,
    ) -> Result<Option<Vec<String>>, RegistryStoreError> {
        self.tags(name, page).await.map_err(RegistryError::outside)
    }

    /// The manifests without a tag, in byte order of their digests; `None` when the repository isn't there.
    pub(crate) async fn untagged(&self, name: &RepositoryName) -> Result<Option<Vec<Digest>>, RegistryStoreError> {
        let theirs = self.place().path_of(name);
        let (mut found, mut next) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let page = self.parts.api.image_page(&theirs, next.as_deref()).await.map_err(failed)?;
            let Some((images, after)) = page else { return Ok(None) };
            let untagged = images.iter().filter(|image| image.image_tag().is_none());
            found.extend(untagged.filter_map(|image| Digest::parse(image.image_digest()?).ok()));
            next = after;
            if next.is_none() {
                break;
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(Some(found))
    }

    /// The image that would go with a tag, because no other tag points to it; `None` for a tag that isn't there or is not alone.
    pub(crate) async fn image_of_last_tag(
        &self,
        name: &RepositoryName,
        tag: &str,
    ) -> Result<Option<Digest>, RegistryStoreError> {
        let reference = ManifestRef::Tag(tag.to_owned());
        let found = self.manifest_get(name, &reference).await.map_err(RegistryError::outside)?;
        let Found::Manifest(Manifest { digest, .. }) = found else { return Ok(None) };
        let theirs = self.place().path_of(name);
        let tags = self.parts.api.image_tags(&theirs, &digest.to_string()).await.map_err(failed)?;
        Ok(tags.iter().all(|it| it == tag).then_some(digest))
    }

    /// One image by tag or digest; `None` when it, or the repository, isn't there.
    pub(crate) async fn image_get(
        &self,
        name: &RepositoryName,
        reference: &ManifestRef,
    ) -> Result<Option<TaggedImage>, RegistryStoreError> {
        let found = self.manifest_get(name, reference).await.map_err(RegistryError::outside)?;
        let Found::Manifest(manifest) = found else { return Ok(None) };
        let Summary { platforms, size } = self.summary(name, &manifest).await.map_err(RegistryError::outside)?;
        let theirs = self.place().path_of(name);
        let pushed = self.parts.api.image_pushed(&theirs, &manifest.digest.to_string()).await.map_err(failed)?;
        let tag = match reference {
            ManifestRef::Tag(tag) => tag.clone(),
            ManifestRef::Digest(digest) => digest.to_string(),
        };
        let Manifest { digest, media_type, .. } = manifest;
        let (pushed, missing) = (pushed.unwrap_or(Timestamp(0)), Vec::new());
        Ok(Some(TaggedImage { tag, digest, media_type, size, pushed, platforms, missing }))
    }
}

impl Ecr {
    /// What is known about an image of a repository.
    ///
    /// # Errors
    /// ECR can't be asked.
    pub(crate) async fn describe(
        &self,
        name: &RepositoryName,
        reference: &ManifestRef,
    ) -> Result<SourceAnswer, ImageSourceError> {
        let visibility = Visibility::Private;
        match self.manifest_get(name, reference).await.map_err(source::failed)? {
            Found::NoRepository => Ok(SourceAnswer::NoRepository),
            Found::NoImage => {
                let all = self.tag_list(name, Page::default()).await.map_err(source::failed)?;
                let Some(mut tags) = all else { return Ok(SourceAnswer::NoRepository) };
                tags.sort_by_cached_key(|tag| Reverse(source::natural(tag)));
                tags.truncate(source::TAGS_SHOWN);
                Ok(SourceAnswer::NoImage { tags, visibility })
            }
            Found::Manifest(manifest) => {
                let Summary { platforms, size } = self.summary(name, &manifest).await.map_err(source::failed)?;
                let Manifest { digest, media_type, .. } = manifest;
                let missing = Vec::new();
                Ok(SourceAnswer::Found(SourceImage { digest, media_type, platforms, size, missing, visibility }))
            }
        }
    }
}

/// A body that goes on as it comes.
pub(crate) fn streamed(answer: Response<Incoming>) -> Body {
    Body::new(answer.into_body())
}
