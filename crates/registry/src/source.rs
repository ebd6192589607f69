//! The port `ImageSource` for our own registry.

use std::cmp::Reverse;

use async_trait::async_trait;
use http::StatusCode;
use layer0_domain::model::backing::BackingPlace;
use layer0_domain::model::image::{ImageRef, RepositoryName};
use layer0_domain::model::registry::{Manifest, ManifestRef, Visibility};
use layer0_domain::port::image_source::{ImageSource, ImageSourceError, PullCredential, SourceAnswer, SourceImage};
use layer0_domain::port::registry_store::Page;

use crate::error::RegistryError;
use crate::manifest::checked::{self, Stored};
use crate::manifest::image::{named_platforms, summarize};
use crate::registry::Registry;

/// How many tags are shown for an image that is not there.
pub(crate) const TAGS_SHOWN: usize = 10;
/// How many tags are looked at for that.
const TAGS_READ: u32 = 1_000;

impl Registry {
    /// Whether a reference points to this registry.
    fn is_ours(&self, image: &ImageRef) -> bool {
        image
            .host()
            .is_some_and(|host| self.parts().config.registry_hosts.iter().any(|ours| ours.eq_ignore_ascii_case(host)))
    }

    /// Who may pull from a repository; one that has gone meanwhile is nobody's.
    async fn visibility(&self, name: &RepositoryName) -> Result<Visibility, ImageSourceError> {
        let found = self.parts().store.repository_get(name).await.map_err(failed)?;
        Ok(found.map_or(Visibility::Private, |it| it.visibility))
    }
}

#[async_trait]
impl ImageSource for Registry {
    async fn describe(&self, image: &ImageRef) -> Result<SourceAnswer, ImageSourceError> {
        let reference = match (image.digest(), image.tag_or_default()) {
            (Some(digest), _) => ManifestRef::Digest(digest.clone()),
            (None, Some(tag)) => ManifestRef::Tag(tag.to_owned()),
            (None, None) => return Ok(SourceAnswer::NotOurs),
        };
        // What lies beside a registry's prefix is as foreign as any other image of ECR.
        #[cfg(feature = "ecr")]
        if let Some((ecr, name)) = self.backings().and_then(|backings| backings.holding(image)) {
            return ecr.describe(&name, &reference).await;
        }
        if !self.is_ours(image) {
            return Ok(SourceAnswer::NotOurs);
        }
        let parts = self.parts();
        // A path that is no repository name is no repository.
        let Ok(name) = RepositoryName::parse(image.path()) else { return Ok(SourceAnswer::NoRepository) };
        #[cfg(feature = "ecr")]
        if let Some(ecr) = self.ecr_of(&name).await.map_err(failed)? {
            return ecr.describe(&name, &reference).await;
        }
        let mut read = checked::read(parts.store.as_ref(), &name, &reference).await.map_err(failed)?;
        // What an upstream has is as good as here: the engine's pull fetches it.
        let mirror = self.mirrors().and_then(|all| Some((all, all.of(&name)?)));
        if let Some((mirrors, mirror)) = mirror {
            read = match mirrors.manifest(self, mirror, &name, &reference).await {
                Ok(served) => Stored::Whole(served.manifest.as_ref().clone()),
                Err(error) if error.is_missing() => Stored::Missing,
                // A registry that asks for a login says so of what it does not have, too.
                Err(RegistryError::Upstream { status: StatusCode::FORBIDDEN, message: said, .. }) => {
                    return Ok(SourceAnswer::Withheld { said });
                }
                Err(RegistryError::Upstream { message: said, .. }) => return Err(ImageSourceError::Upstream { said }),
                Err(error) => return Err(failed(error)),
            };
        }
        match read {
            Stored::Missing => {
                let Some(mut tags) =
                    parts.store.tag_list(&name, Page { after: None, most: Some(TAGS_READ) }).await.map_err(failed)?
                else {
                    return Ok(SourceAnswer::NoRepository);
                };
                tags.sort_by_cached_key(|tag| Reverse(natural(tag)));
                tags.truncate(TAGS_SHOWN);
                Ok(SourceAnswer::NoImage { tags, visibility: self.visibility(&name).await? })
            }
            Stored::Damaged(Manifest { digest, media_type, .. }) => Ok(SourceAnswer::Found(SourceImage {
                missing: vec![digest.clone()],
                digest,
                media_type,
                platforms: Vec::new(),
                size: 0,
                visibility: self.visibility(&name).await?,
            })),
            Stored::Whole(manifest) => {
                let mut summary =
                    summarize(parts.store.as_ref(), &parts.blobs, &name, &manifest).await.map_err(failed)?;
                if mirror.is_some() {
                    summary.missing.clear();
                    // Not those that happened to be pulled, but all that there are.
                    summary.platforms.extend(named_platforms(&manifest));
                }
                Ok(SourceAnswer::Found(SourceImage {
                    digest: manifest.digest,
                    media_type: manifest.media_type,
                    platforms: summary.platforms.into_iter().collect(),
                    size: summary.size,
                    missing: summary.missing,
                    visibility: self.visibility(&name).await?,
                }))
            }
        }
    }

    async fn visibility_of(&self, repository: &RepositoryName) -> Result<Visibility, ImageSourceError> {
        self.visibility(repository).await
    }

    async fn place_of(&self, repository: &RepositoryName) -> Result<Option<BackingPlace>, ImageSourceError> {
        self.repository_place(repository).await.map_err(failed)
    }

    async fn credential(&self, image: &ImageRef) -> Result<Option<PullCredential>, ImageSourceError> {
        // Whoever pulls from ECR is let in there by its role, and needs none of ours.
        if !self.is_ours(image) {
            return Ok(None);
        }
        let Ok(name) = RepositoryName::parse(image.path()) else { return Ok(None) };
        self.parts().minter.mint(&name).await.map(Some).map_err(|source| ImageSourceError::Failed { source })
    }
}

pub(crate) fn failed(error: impl std::error::Error + Send + Sync + 'static) -> ImageSourceError {
    ImageSourceError::Failed { source: error.into() }
}

/// A key that orders `1.10` after `1.9`: runs of digits by their value, everything else by its bytes.
pub(crate) fn natural(tag: &str) -> Vec<(u8, u128, String)> {
    let mut parts = Vec::new();
    let mut rest = tag;
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
        let (part, tail) = rest.split_at(end);
        parts.push(match part.parse() {
            Ok(number) if digits => (1, number, String::new()),
            _ => (0, 0, part.to_owned()),
        });
        rest = tail;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::{Reverse, natural};

    #[test]
    fn versions_order_by_number() {
        let mut tags = vec!["v1.9", "latest", "v1.10", "v2", "1.0", "v1.9-rc1"];
        tags.sort_by_cached_key(|tag| Reverse(natural(tag)));
        assert_eq!(tags, ["1.0", "v2", "v1.10", "v1.9-rc1", "v1.9", "latest"]);
    }
}
