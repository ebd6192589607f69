//! The calls of ECR's API that the registry makes: the token, repositories, and what ECR's own registry does not offer.

use async_trait::async_trait;
use aws_sdk_ecr::Client;
use aws_sdk_ecr::types::{
    EncryptionConfiguration, EncryptionType, ImageDetail, ImageFailureCode, ImageIdentifier,
    ImageScanningConfiguration, ImageTagMutability, Repository as Described, Tag,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::error::operation::BuildError;
use layer0_domain::model::access::Secret;
use layer0_domain::model::registry::ManifestRef;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::BoxError;

use super::Template;
use super::token::{Fetched, TokenSource};

/// The tag by which a repository is known as made by an instance. The same key as on everything else that Layer0 makes on
/// AWS.
const INSTANCE: &str = "layer0.instance";
/// The tag by which one is known that was there before, and was adopted by an instance.
pub(super) const ADOPTED: &str = "layer0.adopted";
/// Entries of one page (ECR API reference: at most 1,000).
const PAGE: i32 = 1000;

/// A call that failed.
#[derive(Debug, thiserror::Error)]
#[error("{op}: {message}")]
pub(super) struct ApiError {
    op: &'static str,
    /// AWS's code; empty when AWS did not answer.
    code: String,
    /// AWS's words.
    message: String,
    #[source]
    source: Option<BoxError>,
}

impl ApiError {
    fn of<E>(op: &'static str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        if let SdkError::ServiceError(context) = &error {
            let code = context.err().code().unwrap_or_default().to_owned();
            let message = context.err().message().unwrap_or("no more was said").to_owned();
            return Self { op, code, message, source: None };
        }
        let message = "AWS did not answer".to_owned();
        Self { op, code: String::new(), message, source: Some(error.into()) }
    }

    fn incomplete(op: &'static str, what: &str) -> Self {
        Self { op, code: String::new(), message: format!("the answer has no {what}"), source: None }
    }

    fn unmade(op: &'static str, error: BuildError) -> Self {
        let message = "the call could not be made".to_owned();
        Self { op, code: String::new(), message, source: Some(error.into()) }
    }

    fn has_code(&self, code: &str) -> bool {
        self.code == code
    }

    /// Whether the repository isn't there.
    pub(super) fn is_missing(&self) -> bool {
        self.has_code("RepositoryNotFoundException")
    }

    /// Whether the repository holds images.
    pub(super) fn is_not_empty(&self) -> bool {
        self.has_code("RepositoryNotEmptyException")
    }

    /// Whether ECR refuses what it was asked, so that asking again is of no use.
    pub(super) fn is_refused(&self) -> bool {
        ["InvalidParameterException", "InvalidTagParameterException", "LimitExceededException", "KmsException"]
            .iter()
            .any(|code| self.has_code(code))
    }

    /// AWS's words, for the user.
    pub(super) fn words(&self) -> &str {
        &self.message
    }
}

/// A repository as ECR describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// Its name in ECR.
    pub(super) name: String,
    pub(super) arn: String,
    pub(super) created: Timestamp,
}

/// Whose a repository is, by its tags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// The instance that made it.
    made_by: Option<String>,
    /// The instance that adopted it.
    adopted_by: Option<String>,
}

impl Marks {
    /// Whether `instance` made it.
    pub(super) fn is_made_by(&self, instance: &str) -> bool {
        self.made_by.as_deref() == Some(instance)
    }

    /// Whether `instance` adopted it.
    pub(super) fn is_adopted_by(&self, instance: &str) -> bool {
        self.adopted_by.as_deref() == Some(instance)
    }

    /// An instance other than this one, whose it is.
    pub(super) fn other_than(&self, instance: &str) -> Option<&str> {
        let all = [self.made_by.as_deref(), self.adopted_by.as_deref()];
        all.into_iter().flatten().find(|owner| *owner != instance)
    }
}

/// The calls.
#[derive(Clone)]
pub(super) struct Api {
    client: Client,
}

impl Api {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// A token, and the address of the account's own registry.
    pub(super) async fn token(&self) -> Result<(Fetched, String), ApiError> {
        let op = "ecr:GetAuthorizationToken";
        let answer = self.client.get_authorization_token().send().await.map_err(|error| ApiError::of(op, error))?;
        let data = answer.authorization_data.unwrap_or_default().into_iter().next();
        let data = data.ok_or_else(|| ApiError::incomplete(op, "token"))?;
        let token = data.authorization_token.ok_or_else(|| ApiError::incomplete(op, "token"))?;
        let place = data.proxy_endpoint.ok_or_else(|| ApiError::incomplete(op, "address"))?;
        let expires = data.expires_at.and_then(|at| at.to_millis().ok()).map(Timestamp);
        Ok((Fetched { authorization: Secret::new(token), expires }, place))
    }

    /// Makes a repository as the template has it, with the mark of `instance`. `None` when there is one of that name.
    pub(super) async fn repository_create(
        &self,
        name: &str,
        template: &Template,
        instance: &str,
    ) -> Result<Option<Seen>, ApiError> {
        let op = "ecr:CreateRepository";
        let built = |error| ApiError::unmade(op, error);
        let mutability =
            if template.tags_immutable { ImageTagMutability::Immutable } else { ImageTagMutability::Mutable };
        let scanning = ImageScanningConfiguration::builder().scan_on_push(template.scan_on_push).build();
        let encryption = EncryptionConfiguration::builder();
        let encryption = match &template.kms_key {
            Some(key) => encryption.encryption_type(EncryptionType::Kms).kms_key(key),
            None => encryption.encryption_type(EncryptionType::Aes256),
        };
        let call = self
            .client
            .create_repository()
            .repository_name(name)
            .image_tag_mutability(mutability)
            .image_scanning_configuration(scanning)
            .encryption_configuration(encryption.build().map_err(built)?);
        let own = std::iter::once((INSTANCE, instance));
        let others = template.tags.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let tags = own.chain(others).map(|(key, value)| Tag::builder().key(key).value(value).build());
        let call = call.set_tags(Some(tags.collect::<Result<_, _>>().map_err(built)?));
        match call.send().await.map_err(|error| ApiError::of(op, error)) {
            Ok(answer) => {
                let made = answer.repository.ok_or_else(|| ApiError::incomplete(op, "repository"))?;
                seen(op, made).map(Some)
            }
            Err(error) if error.has_code("RepositoryAlreadyExistsException") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Says which images ECR lets go by itself, unless that is said already.
    pub(super) async fn lifecycle_ensure(&self, name: &str, text: &str) -> Result<(), ApiError> {
        let found = self.client.get_lifecycle_policy().repository_name(name).send().await;
        match found.map_err(|error| ApiError::of("ecr:GetLifecyclePolicy", error)) {
            Ok(_) => return Ok(()),
            Err(error) if error.has_code("LifecyclePolicyNotFoundException") => {}
            Err(error) => return Err(error),
        }
        let call = self.client.put_lifecycle_policy().repository_name(name).lifecycle_policy_text(text);
        call.send().await.map(drop).map_err(|error| ApiError::of("ecr:PutLifecyclePolicy", error))
    }

    /// One repository.
    pub(super) async fn repository_get(&self, name: &str) -> Result<Option<Seen>, ApiError> {
        let op = "ecr:DescribeRepositories";
        let call = self.client.describe_repositories().repository_names(name);
        match call.send().await.map_err(|error| ApiError::of(op, error)) {
            Ok(answer) => answer.repositories.unwrap_or_default().into_iter().next().map(|it| seen(op, it)).transpose(),
            // A name that ECR takes for none is no repository's.
            Err(error) if error.is_missing() || error.has_code("InvalidParameterException") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All repositories of the registry, in no order.
    pub(super) async fn repository_list(&self) -> Result<Vec<Seen>, ApiError> {
        let op = "ecr:DescribeRepositories";
        let (mut all, mut token) = (Vec::new(), None);
        loop {
            let call = self.client.describe_repositories().max_results(PAGE).set_next_token(token);
            let answer = call.send().await.map_err(|error| ApiError::of(op, error))?;
            for one in answer.repositories.unwrap_or_default() {
                all.push(seen(op, one)?);
            }
            token = answer.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(all);
            }
        }
    }

    /// The marks that a repository has.
    pub(super) async fn marks(&self, repository: &Seen) -> Result<Marks, ApiError> {
        let op = "ecr:ListTagsForResource";
        let call = self.client.list_tags_for_resource().resource_arn(&repository.arn);
        let answer = call.send().await.map_err(|error| ApiError::of(op, error))?;
        let of = |key: &str| answer.tags().iter().find(|tag| tag.key() == key).map(|tag| tag.value().to_owned());
        Ok(Marks { made_by: of(INSTANCE), adopted_by: of(ADOPTED) })
    }

    /// Marks a repository as one that an instance has adopted. Its other tags stay.
    pub(super) async fn mark_adopted(&self, repository: &Seen, instance: &str) -> Result<(), ApiError> {
        let op = "ecr:TagResource";
        let tag = Tag::builder().key(ADOPTED).value(instance).build().map_err(|error| ApiError::unmade(op, error))?;
        let call = self.client.tag_resource().resource_arn(&repository.arn).tags(tag);
        call.send().await.map(drop).map_err(|error| ApiError::of(op, error))
    }

    /// Deletes a repository; with its images only with `force`.
    pub(super) async fn repository_delete(&self, name: &str, force: bool) -> Result<(), ApiError> {
        let call = self.client.delete_repository().repository_name(name).force(force);
        call.send().await.map(drop).map_err(|error| ApiError::of("ecr:DeleteRepository", error))
    }

    /// How many images a repository holds, as far as one page tells.
    pub(super) async fn images_count(&self, name: &str) -> Result<u64, ApiError> {
        let call = self.client.list_images().repository_name(name).max_results(PAGE);
        let answer = call.send().await.map_err(|error| ApiError::of("ecr:ListImages", error))?;
        Ok(u64::try_from(answer.image_ids().len()).unwrap_or(u64::MAX))
    }

    /// What the images of a repository take, each by itself; 0 when the repository isn't there any more.
    pub(super) async fn images_size(&self, name: &str) -> Result<u64, ApiError> {
        let mut bytes = 0_u64;
        let add = |image: &ImageDetail| {
            let size = image.image_size_in_bytes().and_then(|size| u64::try_from(size).ok());
            bytes = bytes.saturating_add(size.unwrap_or_default());
        };
        self.images_each(name, add).await?;
        Ok(bytes)
    }

    /// When the images of a repository were pushed, by their digests; none when the repository isn't there any more.
    pub(super) async fn images_pushed(&self, name: &str) -> Result<Vec<(String, Timestamp)>, ApiError> {
        let mut pushed = Vec::new();
        let add = |image: &ImageDetail| {
            let at = image.image_pushed_at().and_then(|at| at.to_millis().ok()).map(Timestamp);
            pushed.extend(image.image_digest().map(str::to_owned).zip(at));
        };
        self.images_each(name, add).await?;
        Ok(pushed)
    }

    async fn images_each(&self, name: &str, mut each: impl FnMut(&ImageDetail) + Send) -> Result<(), ApiError> {
        let mut token = None;
        loop {
            let call = self.client.describe_images().repository_name(name).max_results(PAGE).set_next_token(token);
            let answer = match call.send().await.map_err(|error| ApiError::of("ecr:DescribeImages", error)) {
                Ok(answer) => answer,
                Err(error) if error.is_missing() => return Ok(()),
                Err(error) => return Err(error),
            };
            answer.image_details().iter().for_each(&mut each);
            token = answer.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(());
            }
        }
    }

    /// A page of what a repository holds, with and without tags; `None` when it isn't there.
    pub(super) async fn image_page(
        &self,
        name: &str,
        next: Option<&str>,
    ) -> Result<Option<(Vec<ImageIdentifier>, Option<String>)>, ApiError> {
        let call = self.client.list_images().repository_name(name).max_results(PAGE);
        match call.set_next_token(next.map(str::to_owned)).send().await {
            Ok(answer) => {
                let next = answer.next_token.filter(|token| !token.is_empty());
                Ok(Some((answer.image_ids.unwrap_or_default(), next)))
            }
            Err(error) => match ApiError::of("ecr:ListImages", error) {
                error if error.is_missing() => Ok(None),
                error => Err(error),
            },
        }
    }

    /// When an image was pushed; `None` when it isn't there, or ECR does not say.
    pub(super) async fn image_pushed(&self, name: &str, digest: &str) -> Result<Option<Timestamp>, ApiError> {
        let image = self.image(name, digest).await?;
        let pushed = image.and_then(|image| image.image_pushed_at);
        Ok(pushed.and_then(|at| at.to_millis().ok()).map(Timestamp))
    }

    /// The tags that point to an image; none when it isn't there.
    pub(super) async fn image_tags(&self, name: &str, digest: &str) -> Result<Vec<String>, ApiError> {
        Ok(self.image(name, digest).await?.and_then(|image| image.image_tags).unwrap_or_default())
    }

    async fn image(&self, name: &str, digest: &str) -> Result<Option<ImageDetail>, ApiError> {
        let id = ImageIdentifier::builder().image_digest(digest).build();
        let call = self.client.describe_images().repository_name(name).image_ids(id);
        match call.send().await.map_err(|error| ApiError::of("ecr:DescribeImages", error)) {
            Ok(answer) => Ok(answer.image_details.unwrap_or_default().into_iter().next()),
            Err(error) if error.has_code("ImageNotFoundException") || error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes a tag away, or an image with all its tags. Answers whether it was there. The last tag of an image takes the image
    /// along (ECR API reference, `BatchDeleteImage`).
    pub(super) async fn image_delete(&self, name: &str, reference: &ManifestRef) -> Result<bool, ApiError> {
        let op = "ecr:BatchDeleteImage";
        let id = ImageIdentifier::builder();
        let id = match reference {
            ManifestRef::Tag(tag) => id.image_tag(tag),
            ManifestRef::Digest(digest) => id.image_digest(digest.to_string()),
        };
        let call = self.client.batch_delete_image().repository_name(name).image_ids(id.build());
        let answer = match call.send().await.map_err(|error| ApiError::of(op, error)) {
            Ok(answer) => answer,
            Err(error) if error.is_missing() => return Ok(false),
            Err(error) => return Err(error),
        };
        let Some(failure) = answer.failures().first() else { return Ok(true) };
        let code = failure.failure_code().map_or("", ImageFailureCode::as_str);
        if code == ImageFailureCode::ImageNotFound.as_str() {
            return Ok(false);
        }
        // An image that an index names goes after the index.
        let message = failure.failure_reason().unwrap_or("ECR did not say why").to_owned();
        Err(ApiError {
            op,
            code: "InvalidParameterException".to_owned(),
            message: format!("{code}: {message}"),
            source: None,
        })
    }
}

fn seen(op: &'static str, it: Described) -> Result<Seen, ApiError> {
    let created = it.created_at.and_then(|at| at.to_millis().ok()).map_or(Timestamp(0), Timestamp);
    let name = it.repository_name.ok_or_else(|| ApiError::incomplete(op, "name"))?;
    let arn = it.repository_arn.ok_or_else(|| ApiError::incomplete(op, "ARN"))?;
    Ok(Seen { name, arn, created })
}

#[async_trait]
impl TokenSource for Api {
    async fn fetch(&self) -> Result<Fetched, BoxError> {
        Ok(self.token().await.map(|(token, _)| token)?)
    }
}
