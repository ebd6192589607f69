//! ECR: repositories and images as data, policies, and who may read another account's registry.
//!
//! The caller is always of the account of the configuration. Its own registry is open to it; another's is when the hook
//! says so (`FakeAws::ecr_access`), and closed without one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_RANGE, RANGE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use super::wire::answer::{self, Answer};
use super::wire::time::seconds;
use super::wire::{AwsError, Input, Service};
use super::world::{World, unknown_operation};

mod image;
mod images;
mod policies;
pub(crate) mod registry;
mod repositories;

pub use image::FakeImage;
pub use registry::{RegistryCall, Uploads};

/// Where blobs are fetched: `/_layers/DIGEST`.
pub(crate) const BLOB_PATH: &str = "/_layers/";

/// Who may read another account's registry: by its account, the repository, and the action (`ecr:BatchGetImage`).
pub(crate) type Access = Box<dyn Fn(&str, &str, &str) -> bool + Send>;

/// What ECR holds.
#[derive(Default)]
pub(crate) struct Ecr {
    /// By registry (account) and name.
    pub(crate) repositories: BTreeMap<(String, String), Repository>,
    /// By registry.
    pub(crate) registry_policies: BTreeMap<String, String>,
    /// Pull-through cache rules of the account's own registry: by prefix, the registry that is asked.
    pub(crate) cache_rules: BTreeMap<String, String>,
    /// The account's own settings.
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) access: Option<Access>,
    /// Accounts that AWS does not know: no policy may name them.
    pub(crate) unknown_accounts: BTreeSet<String>,
    /// By digest.
    blobs: HashMap<String, Bytes>,
    /// Where this fake is reached.
    pub(crate) endpoint: String,
    /// Its own registry.
    pub(crate) registry: registry::State,
}

/// A repository.
#[derive(Debug, Default)]
pub(crate) struct Repository {
    pub(crate) created_ms: i64,
    pub(crate) policy: Option<String>,
    /// By digest.
    pub(crate) manifests: BTreeMap<String, image::Stored>,
    /// By tag: the digest.
    pub(crate) tags: BTreeMap<String, String>,
    /// By digest: the size, and whether it is there.
    pub(crate) layers: BTreeMap<String, (u64, bool)>,
    pub(crate) lifecycle: Option<String>,
    /// Its tags, as they were given.
    pub(crate) marks: Vec<Value>,
}

/// Answers an operation.
pub(crate) fn answer(world: &mut World, operation: &str, input: &Value) -> Result<Value, AwsError> {
    match operation {
        "CreateRepository" => repositories::create(world, input),
        "DeleteRepository" => repositories::delete(world, input),
        "ListTagsForResource" => repositories::tags(world, input),
        "TagResource" => repositories::tag(world, input),
        "PutLifecyclePolicy" => policies::set_lifecycle(world, input),
        "GetLifecyclePolicy" => policies::get_lifecycle(world, input),
        "DescribeRepositories" => repositories::describe(world, input),
        "BatchDeleteImage" => images::batch_delete(world, input),
        "DescribeImages" => images::describe(world, input),
        "ListImages" => images::list(world, input),
        "BatchGetImage" => images::batch_get(world, input),
        "BatchCheckLayerAvailability" => images::check_layers(world, input),
        "GetDownloadUrlForLayer" => images::download_url(world, input),
        "GetRepositoryPolicy" => policies::get(world, input),
        "SetRepositoryPolicy" => policies::set(world, input),
        "DeleteRepositoryPolicy" => policies::delete(world, input),
        "GetRegistryPolicy" => policies::get_registry(world),
        "PutRegistryPolicy" => policies::put_registry(world, input),
        "DeleteRegistryPolicy" => policies::delete_registry(world),
        "GetAccountSetting" => policies::get_setting(world, input),
        "DescribePullThroughCacheRules" => Ok(cache_rules(world, input)),
        "GetAuthorizationToken" => Ok(authorization(world)),
        _ => Err(unknown_operation(Service::Ecr, operation)),
    }
}

/// The pull-through cache rules, all in one page.
fn cache_rules(world: &World, input: &Value) -> Value {
    let registry = registry(world, input);
    let own = world.ecr.cache_rules.iter().filter(|_| registry == world.caller);
    let rules: Vec<Value> = own
        .map(|(prefix, upstream)| {
            json!({ "ecrRepositoryPrefix": prefix, "upstreamRegistryUrl": upstream, "registryId": registry })
        })
        .collect();
    json!({ "pullThroughCacheRules": rules })
}

/// The registry that a request is for.
fn registry<'a>(world: &'a World, input: &'a Value) -> &'a str {
    input.text("registryId").unwrap_or(&world.caller)
}

/// Whether the caller may do this there.
fn check_access(world: &World, registry: &str, repository: &str, action: &str) -> Result<(), AwsError> {
    let action = format!("ecr:{action}");
    let own = registry == world.caller;
    if own || world.ecr.access.as_ref().is_some_and(|access| access(registry, repository, &action)) {
        return Ok(());
    }
    Err(AwsError::new(
        "AccessDeniedException",
        format!(
            "User: arn:aws:sts::{}:assumed-role/layer0/fake is not authorized to perform: {action} on resource: \
             arn:aws:ecr:{}:{registry}:repository/{repository} because no resource-based policy allows the {action} action",
            world.caller, world.config.region
        ),
    ))
}

/// The repository that a request names, which the caller may use so.
fn repository<'a>(world: &'a World, input: &Value, action: &str) -> Result<&'a Repository, AwsError> {
    let registry = registry(world, input);
    let name = input.required("repositoryName", "InvalidParameterException")?;
    check_access(world, registry, name, action)?;
    let key = (registry.to_owned(), name.to_owned());
    world.ecr.repositories.get(&key).ok_or_else(|| no_repository(registry, name))
}

fn no_repository(registry: &str, name: &str) -> AwsError {
    AwsError::new(
        "RepositoryNotFoundException",
        format!("The repository with name '{name}' does not exist in the registry with id '{registry}'"),
    )
}

/// A token for twelve hours.
fn authorization(world: &mut World) -> Value {
    let token = registry::token(world.ecr.registry.given);
    world.ecr.registry.given += 1;
    let proxy = format!("https://{}", registry::host(world));
    json!({"authorizationData": [{
        "authorizationToken": token,
        "expiresAt": seconds(world.now_ms + 12 * 3_600_000),
        "proxyEndpoint": proxy,
    }]})
}

/// A blob by its path, or a range of it. As from S3: an address that is signed is all that may say who asks.
pub(crate) fn blob(world: &World, head: &Parts) -> Answer {
    let status = |status: StatusCode| {
        let mut answer = Answer::new(Full::new(Bytes::new()));
        *answer.status_mut() = status;
        answer
    };
    if head.headers.contains_key(AUTHORIZATION) {
        return status(StatusCode::BAD_REQUEST);
    }
    let digest = head.uri.path().strip_prefix(BLOB_PATH).unwrap_or_default();
    let Some(blob) = world.ecr.blobs.get(digest) else { return status(StatusCode::NOT_FOUND) };
    let range = head.headers.get(RANGE).and_then(|value| value.to_str().ok()).and_then(|it| it.strip_prefix("bytes="));
    let Some((first, last)) = range.and_then(|it| it.split_once('-')) else {
        return answer::bytes(200, "application/octet-stream", blob.clone());
    };
    let end = blob.len();
    let (first, last) = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) if first <= last => (first, (last + 1).min(end)),
        (Ok(first), Err(_)) if last.is_empty() => (first, end),
        (Err(_), Ok(count)) if first.is_empty() && count > 0 => (end.saturating_sub(count), end),
        _ => (end, end),
    };
    let (mut answer, told) = if first < end {
        let part = answer::bytes(206, "application/octet-stream", blob.slice(first..last));
        (part, format!("bytes {first}-{}/{end}", last - 1))
    } else {
        (status(StatusCode::RANGE_NOT_SATISFIABLE), format!("bytes */{end}"))
    };
    let told = HeaderValue::from_str(&told).expect("numbers are text");
    answer.headers_mut().insert(CONTENT_RANGE, told);
    answer
}

/// Puts an image there, with all that it is made of.
pub(crate) fn put_image(world: &mut World, name: &str, tag: &str, image: &FakeImage) -> String {
    let registry = image.registry.clone().unwrap_or_else(|| world.config.account.clone());
    let made = image::make(image, name, tag);
    let now_ms = world.now_ms;
    let repository = world.ecr.repositories.entry((registry, name.to_owned())).or_default();
    if repository.created_ms == 0 {
        repository.created_ms = now_ms;
    }
    for mut stored in made.manifests {
        stored.pushed_ms = now_ms;
        repository.manifests.insert(stored.digest.clone(), stored);
    }
    repository.layers.extend(made.layers);
    repository.tags.insert(tag.to_owned(), made.digest.clone());
    world.ecr.blobs.extend(made.blobs);
    made.digest
}
