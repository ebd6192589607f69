//! ECR, in the region and account that an image's name says.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::PoisonError;

use aws_sdk_ecr::config::Region;
use aws_sdk_ecr::types::{ImageDetail, ImageFailureCode, ImageIdentifier, LayerAvailability, TagStatus};
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image_map::EcrHost;
use layer0_domain::port::pull::aws::CacheRule;

use super::pace::Family;
use super::{Aws, AwsError, Kind};

/// What is understood of what a tag may name.
const MEDIA_TYPES: [&str; 4] = [
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
];
/// Layers, and images, that one call takes (ECR API reference).
const BATCH_MAX: usize = 100;
/// Pages of images that are looked through for tags, of 1,000 images each: what people want to see are the newest.
const PAGES_MAX: usize = 5;
/// The longest configuration of an image that is read. Common ones have a few kilobytes.
const CONFIG_MAX: usize = 4 * 1024 * 1024;

/// A manifest, of an image or an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ecs) struct Manifest {
    /// Of its bytes.
    pub(in crate::ecs) digest: Digest,
    /// The document.
    pub(in crate::ecs) text: String,
}

/// What came of a look for images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ecs) enum Lookup {
    /// Those that are there, in no order.
    Found(Vec<Manifest>),
    /// The repository is not there.
    NoRepository,
}

/// By what an image is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ecs) enum AskedBy {
    /// Its tag.
    Tag(String),
    /// Its digest.
    Digest(Digest),
}

impl AskedBy {
    fn identifier(&self) -> ImageIdentifier {
        match self {
            AskedBy::Tag(tag) => ImageIdentifier::builder().image_tag(tag).build(),
            AskedBy::Digest(digest) => ImageIdentifier::builder().image_digest(digest.to_string()).build(),
        }
    }
}

impl Aws {
    fn registry(&self, region: &str) -> aws_sdk_ecr::Client {
        let mut registries = self.registries.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let config = aws_sdk_ecr::config::Builder::from(&self.sdk).region(Region::new(region.to_owned())).build();
            aws_sdk_ecr::Client::from_conf(config)
        };
        registries.entry(region.to_owned()).or_insert_with(make).clone()
    }

    /// The manifests of up to 100 images of a repository.
    pub(in crate::ecs) async fn images(
        &self,
        host: &EcrHost,
        repository: &str,
        images: &[AskedBy],
    ) -> Result<Lookup, AwsError> {
        let op = "ecr:BatchGetImage";
        let call = self
            .registry(&host.region)
            .batch_get_image()
            .registry_id(&host.account)
            .repository_name(repository)
            .set_image_ids(Some(images.iter().map(AskedBy::identifier).collect()))
            .set_accepted_media_types(Some(MEDIA_TYPES.map(str::to_owned).to_vec()));
        let answer = match self.send(op, Family::Registry, call.send()).await {
            Ok(answer) => answer,
            Err(error) if error.code == "RepositoryNotFoundException" => return Ok(Lookup::NoRepository),
            Err(error) => return Err(error),
        };
        for failure in answer.failures() {
            let code = failure.failure_code().map_or("", ImageFailureCode::as_str);
            if code != ImageFailureCode::ImageNotFound.as_str() {
                return Err(AwsError::refused(op, code, failure.failure_reason().unwrap_or_default(), 400));
            }
        }
        let mut found: Vec<Manifest> = Vec::new();
        for image in answer.images.unwrap_or_default() {
            let digest = image.image_id.and_then(|id| id.image_digest).and_then(|text| Digest::parse(&text).ok());
            let digest = digest.ok_or_else(|| AwsError::incomplete(op, "digest"))?;
            let text = image.image_manifest.ok_or_else(|| AwsError::incomplete(op, "manifest"))?;
            if found.iter().all(|known| known.digest != digest) {
                found.push(Manifest { digest, text });
            }
        }
        Ok(Lookup::Found(found))
    }

    /// Up to `most` tags of a repository, the newest image's first.
    pub(in crate::ecs) async fn newest_tags(
        &self,
        host: &EcrHost,
        repository: &str,
        most: usize,
    ) -> Result<Vec<String>, AwsError> {
        let filter = aws_sdk_ecr::types::DescribeImagesFilter::builder().tag_status(TagStatus::Tagged).build();
        let mut images: Vec<ImageDetail> = Vec::new();
        let mut token = None;
        for _ in 0..PAGES_MAX {
            let call = self
                .registry(&host.region)
                .describe_images()
                .registry_id(&host.account)
                .repository_name(repository)
                .filter(filter.clone())
                .max_results(1000)
                .set_next_token(token);
            let answer = self.send("ecr:DescribeImages", Family::Registry, call.send()).await?;
            images.extend(answer.image_details.unwrap_or_default());
            token = answer.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                break;
            }
        }
        images.sort_by_key(|image| Reverse(image.image_pushed_at));
        Ok(images.into_iter().flat_map(|image| image.image_tags.unwrap_or_default()).take(most).collect())
    }

    /// Those of some layers that the registry does not have.
    pub(in crate::ecs) async fn layers_missing(
        &self,
        host: &EcrHost,
        repository: &str,
        layers: &[Digest],
    ) -> Result<Vec<Digest>, AwsError> {
        let mut missing = Vec::new();
        for some in layers.chunks(BATCH_MAX) {
            let call = self
                .registry(&host.region)
                .batch_check_layer_availability()
                .registry_id(&host.account)
                .repository_name(repository)
                .set_layer_digests(Some(some.iter().map(Digest::to_string).collect()));
            let answer = self.send("ecr:BatchCheckLayerAvailability", Family::Registry, call.send()).await?;
            let there: HashSet<&str> = answer
                .layers()
                .iter()
                .filter(|layer| layer.layer_availability() == Some(&LayerAvailability::Available))
                .filter_map(|layer| layer.layer_digest())
                .collect();
            missing.extend(some.iter().filter(|digest| !there.contains(digest.to_string().as_str())).cloned());
        }
        Ok(missing)
    }

    /// The configuration of an image, as its bytes.
    pub(in crate::ecs) async fn image_config(
        &self,
        host: &EcrHost,
        repository: &str,
        config: &Digest,
    ) -> Result<Vec<u8>, AwsError> {
        let op = "ecr:GetDownloadUrlForLayer";
        let call = self
            .registry(&host.region)
            .get_download_url_for_layer()
            .registry_id(&host.account)
            .repository_name(repository)
            .layer_digest(config.to_string());
        let answer = self.send(op, Family::Registry, call.send()).await?;
        let url = answer.download_url.ok_or_else(|| AwsError::incomplete(op, "address"))?;
        let bytes = self.sender.fetch(op, &url, CONFIG_MAX).await?;
        if config.algorithm().digest_of(&bytes) == *config {
            return Ok(bytes);
        }
        Err(AwsError::refused(op, "", "the content is not what its digest says", 200).with_kind(Kind::Refused))
    }

    /// The policy of a repository; `None` when it has none.
    pub(in crate::ecs) async fn repository_policy(
        &self,
        host: &EcrHost,
        repository: &str,
    ) -> Result<Option<String>, AwsError> {
        let client = self.registry(&host.region);
        let call = client.get_repository_policy().registry_id(&host.account).repository_name(repository);
        match self.send("ecr:GetRepositoryPolicy", Family::Registry, call.send()).await {
            Ok(answer) => Ok(answer.policy_text),
            // A repository that isn't there has none either; that it isn't there is said elsewhere.
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The policy of the account's own registry in a region; `None` when it has none.
    pub(in crate::ecs) async fn registry_policy(&self, region: &str) -> Result<Option<String>, AwsError> {
        let call = self.registry(region).get_registry_policy();
        match self.send("ecr:GetRegistryPolicy", Family::Registry, call.send()).await {
            Ok(answer) => Ok(answer.policy_text),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The rules by which the account's own registry in a region fetches from others: fewer than a page has (ECR service quotas).
    pub(in crate::ecs) async fn cache_rules(&self, region: &str) -> Result<Vec<CacheRule>, AwsError> {
        let call = self.registry(region).describe_pull_through_cache_rules().max_results(1000);
        let answer = self.send("ecr:DescribePullThroughCacheRules", Family::Registry, call.send()).await?;
        let rules = answer.pull_through_cache_rules.unwrap_or_default().into_iter().filter_map(|rule| {
            let upstream = rule.upstream_registry_url.unwrap_or_default();
            rule.ecr_repository_prefix.map(|prefix| CacheRule { prefix, upstream })
        });
        Ok(rules.collect())
    }

    /// A setting of the account's own registry in a region.
    pub(in crate::ecs) async fn registry_setting(&self, region: &str, name: &str) -> Result<String, AwsError> {
        let op = "ecr:GetAccountSetting";
        let call = self.registry(region).get_account_setting().name(name);
        let answer = self.send(op, Family::Registry, call.send()).await?;
        answer.value.ok_or_else(|| AwsError::incomplete(op, "value"))
    }
}
