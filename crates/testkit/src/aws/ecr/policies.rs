//! Repository policies and the registry policy.

use serde_json::{Value, json};

use super::super::wire::{AwsError, Input};
use super::super::world::World;
use super::{Repository, no_repository, registry, repository};

/// The longest policy (API reference, RepositoryPolicyText).
const POLICY_LIMIT: usize = 10_240;

fn no_policy(name: &str, registry: &str) -> AwsError {
    AwsError::new(
        "RepositoryPolicyNotFoundException",
        format!(
            "Repository policy does not exist for the repository with name '{name}' in the registry with id '{registry}'"
        ),
    )
}

fn answer(world: &World, input: &Value, policy: &str) -> Value {
    json!({
        "registryId": registry(world, input),
        "repositoryName": input.text("repositoryName"),
        "policyText": policy,
    })
}

pub(super) fn get(world: &World, input: &Value) -> Result<Value, AwsError> {
    let found = repository(world, input, "GetRepositoryPolicy")?;
    let name = input.text("repositoryName").unwrap_or_default();
    let policy = found.policy.as_deref().ok_or_else(|| no_policy(name, registry(world, input)))?;
    Ok(answer(world, input, policy))
}

fn repository_mut<'a>(world: &'a mut World, input: &Value, action: &str) -> Result<&'a mut Repository, AwsError> {
    repository(world, input, action)?;
    let registry = registry(world, input).to_owned();
    let name = input.required("repositoryName", "InvalidParameterException")?.to_owned();
    let gone = no_repository(&registry, &name);
    world.ecr.repositories.get_mut(&(registry, name)).ok_or(gone)
}

pub(super) fn set(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    let text = input.required("policyText", "InvalidParameterException")?;
    let invalid = || {
        AwsError::invalid_parameter(
            "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid repository policy provided'",
        )
    };
    if text.len() > POLICY_LIMIT {
        return Err(invalid());
    }
    let document: Value = serde_json::from_str(text).map_err(|_| invalid())?;
    let statements = document.list("Statement");
    let legal = |statement: &Value| {
        matches!(statement.text("Effect"), Some("Allow" | "Deny")) && statement.member("Resource").is_none()
    };
    if statements.is_empty() || !statements.iter().all(legal) {
        return Err(invalid());
    }
    let unknown = statements.iter().filter_map(|statement| statement.member("Principal")?.get("AWS")).any(|who| {
        let who = who.to_string();
        world.ecr.unknown_accounts.iter().any(|account| who.contains(account.as_str()))
    });
    if unknown {
        // As ECR says it: without the name.
        return Err(AwsError::invalid_parameter(
            "Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Principal not found'",
        ));
    }
    repository_mut(world, input, "SetRepositoryPolicy")?.policy = Some(text.to_owned());
    Ok(answer(world, input, text))
}

pub(super) fn delete(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    let registry = registry(world, input).to_owned();
    let name = input.text("repositoryName").unwrap_or_default().to_owned();
    let policy = repository_mut(world, input, "DeleteRepositoryPolicy")?.policy.take();
    let policy = policy.ok_or_else(|| no_policy(&name, &registry))?;
    Ok(answer(world, input, &policy))
}

/// The longest lifecycle policy (API reference, LifecyclePolicyText).
const LIFECYCLE_LIMIT: usize = 30_720;

fn lifecycle_answer(world: &World, input: &Value, text: &str) -> Value {
    json!({
        "registryId": registry(world, input),
        "repositoryName": input.text("repositoryName"),
        "lifecyclePolicyText": text,
    })
}

pub(super) fn set_lifecycle(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    let text = input.required("lifecyclePolicyText", "InvalidParameterException")?;
    let document: Option<Value> = serde_json::from_str(text).ok();
    let whole = |rule: &Value| {
        let selection = rule.member("selection");
        rule.number("rulePriority").is_some_and(|priority| priority > 0)
            && selection.is_some_and(|it| it.text("tagStatus").is_some() && it.text("countType").is_some())
            && rule.member("action").and_then(|it| it.text("type")).is_some()
    };
    let legal = document.is_some_and(|it| !it.list("rules").is_empty() && it.list("rules").iter().all(whole));
    if !legal || text.len() > LIFECYCLE_LIMIT {
        return Err(AwsError::invalid_parameter(
            "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure'",
        ));
    }
    repository_mut(world, input, "PutLifecyclePolicy")?.lifecycle = Some(text.to_owned());
    Ok(lifecycle_answer(world, input, text))
}

pub(super) fn get_lifecycle(world: &World, input: &Value) -> Result<Value, AwsError> {
    let found = repository(world, input, "GetLifecyclePolicy")?;
    match &found.lifecycle {
        Some(text) => Ok(lifecycle_answer(world, input, text)),
        None => Err(AwsError::new(
            "LifecyclePolicyNotFoundException",
            format!(
                "Lifecycle policy does not exist for the repository with name '{}' in the registry with id '{}'",
                input.text("repositoryName").unwrap_or_default(),
                registry(world, input)
            ),
        )),
    }
}

pub(super) fn get_registry(world: &World) -> Result<Value, AwsError> {
    let registry = &world.caller;
    let policy = world.ecr.registry_policies.get(registry).ok_or_else(|| {
        AwsError::new(
            "RegistryPolicyNotFoundException",
            format!("Registry policy does not exist in the registry with id '{registry}'"),
        )
    })?;
    Ok(json!({"registryId": registry, "policyText": policy}))
}

/// The one setting that has a value before anybody sets it (ECR user guide, "Private registry permissions": the scope V2 is the
/// default).
const DEFAULT: (&str, &str) = ("REGISTRY_POLICY_SCOPE", "V2");

pub(super) fn get_setting(world: &World, input: &Value) -> Result<Value, AwsError> {
    let name = input.required("name", "InvalidParameterException")?;
    let default = || (name == DEFAULT.0).then(|| DEFAULT.1.to_owned());
    let value = world.ecr.settings.get(name).cloned().or_else(default);
    let value = value.ok_or_else(|| AwsError::invalid_parameter(format!("Invalid setting name '{name}'")))?;
    Ok(json!({"name": name, "value": value}))
}
