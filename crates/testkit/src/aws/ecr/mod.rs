//! ECR: repositories and images as data, policies, and who may read another account's registry.
//!
//! The caller is always of the account of the configuration. Its own registry is open to it; another's is when the hook
//! says so (`FakeAws::ecr_access`), and closed without one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use http_body_util::Full;
use serde_json::{Value, json};

use super::wire::answer::{self, Answer};
use super::wire::time::seconds;
use super::wire::{AwsError, Input, Service};
use super::world::{World, unknown_operation};

mod image;
mod images;
mod policies;

pub use image::FakeImage;

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
    /// The account's own settings.
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) access: Option<Access>,
    /// Accounts that AWS does not know: no policy may name them.
    pub(crate) unknown_accounts: BTreeSet<String>,
    /// By digest.
    blobs: HashMap<String, Bytes>,
    /// Where this fake is reached.
    pub(crate) endpoint: String,
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
}

/// Answers an operation.
pub(crate) fn answer(world: &mut World, operation: &str, input: &Value) -> Result<Value, AwsError> {
    match operation {
        "DescribeRepositories" => describe_repositories(world, input),
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
        "GetAuthorizationToken" => Ok(authorization(world)),
        _ => Err(unknown_operation(Service::Ecr, operation)),
    }
}

/// The registry that a request is for.
fn registry<'a>(world: &'a World, input: &'a Value) -> &'a str {
    input.text("registryId").unwrap_or(&world.config.account)
}

/// Whether the caller may do this there.
fn check_access(world: &World, registry: &str, repository: &str, action: &str) -> Result<(), AwsError> {
    let action = format!("ecr:{action}");
    let own = registry == world.config.account;
    if own || world.ecr.access.as_ref().is_some_and(|access| access(registry, repository, &action)) {
        return Ok(());
    }
    Err(AwsError::new(
        "AccessDeniedException",
        format!(
            "User: arn:aws:sts::{}:assumed-role/layer0/fake is not authorized to perform: {action} on resource: \
             arn:aws:ecr:{}:{registry}:repository/{repository} because no resource-based policy allows the {action} action",
            world.config.account, world.config.region
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

fn describe_repositories(world: &World, input: &Value) -> Result<Value, AwsError> {
    let registry = registry(world, input);
    let names = input.texts("repositoryNames");
    check_access(world, registry, names.first().unwrap_or(&"*"), "DescribeRepositories")?;
    let value = |name: &str, repository: &Repository| {
        json!({
            "repositoryArn": format!("arn:aws:ecr:{}:{registry}:repository/{name}", world.config.region),
            "registryId": registry,
            "repositoryName": name,
            "repositoryUri": format!("{registry}.dkr.ecr.{}.amazonaws.com/{name}", world.config.region),
            "createdAt": seconds(repository.created_ms),
            "imageTagMutability": "MUTABLE",
            "imageScanningConfiguration": {"scanOnPush": false},
            "encryptionConfiguration": {"encryptionType": "AES256"},
        })
    };
    if !names.is_empty() {
        let mut found = Vec::new();
        for name in names {
            let key = (registry.to_owned(), name.to_owned());
            let repository = world.ecr.repositories.get(&key).ok_or_else(|| no_repository(registry, name))?;
            found.push(value(name, repository));
        }
        return Ok(json!({"repositories": found}));
    }
    let mine = world.ecr.repositories.iter().filter(|((of, _), _)| of == registry);
    let all: Vec<(&str, &Repository)> = mine.map(|((_, name), repository)| (name.as_str(), repository)).collect();
    let start: usize = super::world::page_start(input, "nextToken")?.and_then(|at| at.parse().ok()).unwrap_or(0);
    let most = input.number("maxResults").and_then(|most| usize::try_from(most).ok()).unwrap_or(100).clamp(1, 1000);
    let page: Vec<Value> =
        all.iter().skip(start).take(most).map(|(name, repository)| value(name, repository)).collect();
    let mut answer = json!({"repositories": page});
    if all.len() > start + most {
        answer["nextToken"] = super::world::page_token(&(start + most).to_string());
    }
    Ok(answer)
}

/// A token for twelve hours.
fn authorization(world: &World) -> Value {
    use base64::Engine as _;
    let token = base64::engine::general_purpose::STANDARD.encode("AWS:fake-password");
    let proxy = format!("https://{}.dkr.ecr.{}.amazonaws.com", world.config.account, world.config.region);
    json!({"authorizationData": [{
        "authorizationToken": token,
        "expiresAt": seconds(world.now_ms + 12 * 3_600_000),
        "proxyEndpoint": proxy,
    }]})
}

/// A blob by its path.
pub(crate) fn blob(world: &World, path: &str) -> Answer {
    let digest = path.strip_prefix(BLOB_PATH).unwrap_or_default();
    match world.ecr.blobs.get(digest) {
        Some(blob) => answer::bytes(200, "application/octet-stream", blob.clone()),
        None => {
            let mut answer = Answer::new(Full::new(Bytes::new()));
            *answer.status_mut() = http::StatusCode::NOT_FOUND;
            answer
        }
    }
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
