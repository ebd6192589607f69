//! The operations on repositories.

use serde_json::{Value, json};

use super::super::wire::time::seconds;
use super::super::wire::{AwsError, Input};
use super::super::world::World;
use super::{Repository, check_access, no_repository, registry};

/// A repository as it is described.
fn value(world: &World, registry: &str, name: &str, repository: &Repository) -> Value {
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
}

/// Whether a name is one (API reference, `RepositoryName`): parts of lower-case letters and digits, with one separator between them.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let part = |part: &str| part.split(['.', '_', '-']).all(|word| !word.is_empty() && word.bytes().all(plain));
    (2..=256).contains(&name.len()) && name.split('/').all(part)
}

pub(super) fn create(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    let name = input.required("repositoryName", "InvalidParameterException")?;
    if !is_name(name) {
        return Err(AwsError::invalid_parameter(
            "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression \
             '(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*''",
        ));
    }
    let account = world.caller.clone();
    let key = (account.clone(), name.to_owned());
    if world.ecr.repositories.contains_key(&key) {
        let message = format!("The repository with name '{name}' already exists in the registry with id '{account}'");
        return Err(AwsError::new("RepositoryAlreadyExistsException", message));
    }
    let marks = input.list("tags").to_vec();
    let made = Repository { created_ms: world.now_ms, marks, ..Repository::default() };
    let answer = json!({"repository": value(world, &account, name, &made)});
    world.ecr.repositories.insert(key, made);
    Ok(answer)
}

pub(super) fn delete(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    let name = input.required("repositoryName", "InvalidParameterException")?;
    let account = world.caller.clone();
    let key = (account.clone(), name.to_owned());
    let found = world.ecr.repositories.get(&key).ok_or_else(|| no_repository(&account, name))?;
    if !found.manifests.is_empty() && input.member("force") != Some(&json!(true)) {
        let message = format!(
            "The repository with name '{name}' in registry with id '{account}' cannot be deleted because it still \
             contains images"
        );
        return Err(AwsError::new("RepositoryNotEmptyException", message));
    }
    let answer = json!({"repository": value(world, &account, name, found)});
    world.ecr.repositories.remove(&key);
    Ok(answer)
}

pub(super) fn tags(world: &World, input: &Value) -> Result<Value, AwsError> {
    let arn = input.required("resourceArn", "InvalidParameterException")?;
    let name = arn.split_once(":repository/").map(|(_, name)| name).unwrap_or_default();
    let key = (world.caller.clone(), name.to_owned());
    let found = world.ecr.repositories.get(&key).ok_or_else(|| no_repository(&key.0, name))?;
    Ok(json!({"tags": found.marks}))
}

pub(super) fn tag(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    let arn = input.required("resourceArn", "InvalidParameterException")?;
    let name = arn.split_once(":repository/").map(|(_, name)| name).unwrap_or_default();
    let key = (world.caller.clone(), name.to_owned());
    let found = world.ecr.repositories.get_mut(&key).ok_or_else(|| no_repository(&key.0, name))?;
    for tag in input.list("tags") {
        found.marks.retain(|known| known["Key"] != tag["Key"]);
        found.marks.push(tag.clone());
    }
    Ok(json!({}))
}

pub(super) fn describe(world: &World, input: &Value) -> Result<Value, AwsError> {
    let registry = registry(world, input);
    let names = input.texts("repositoryNames");
    check_access(world, registry, names.first().unwrap_or(&"*"), "DescribeRepositories")?;
    let value = |name: &str, repository: &Repository| value(world, registry, name, repository);
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
    let start: usize = super::super::world::page_start(input, "nextToken")?.and_then(|at| at.parse().ok()).unwrap_or(0);
    let most = input.number("maxResults").and_then(|most| usize::try_from(most).ok()).unwrap_or(100).clamp(1, 1000);
    let page: Vec<Value> =
        all.iter().skip(start).take(most).map(|(name, repository)| value(name, repository)).collect();
    let mut answer = json!({"repositories": page});
    if all.len() > start + most {
        answer["nextToken"] = super::super::world::page_token(&(start + most).to_string());
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn names_are_lower_case_with_single_separators() {
        for name in ["ab", "team/app", "a.b/c_d-e", "1/2"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["a", "Team/app", "team//app", "a__b", "a--b", "/ab", "ab/", "-a", "a-", "a b"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
