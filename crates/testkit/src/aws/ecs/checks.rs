//! What ECS asks of every task definition, with its wordings where they are known.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::wire::{AwsError, Input};
use super::fargate;

/// The longest image reference (API reference, `ContainerDefinition`).
const IMAGE_LIMIT: usize = 255;

/// The most containers of a definition (service quotas).
const CONTAINER_LIMIT: usize = 10;

/// Checks a definition that is to be registered.
pub(super) fn check(definition: &Value) -> Result<(), AwsError> {
    let family = definition.text("family").ok_or_else(|| AwsError::client("Family should not be null or empty."))?;
    let legal = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    if family.len() > 255 || !family.chars().all(legal) {
        return Err(AwsError::client("Family contains invalid characters."));
    }
    let containers = definition.list("containerDefinitions");
    if containers.is_empty() {
        return Err(AwsError::client("Container list cannot be empty."));
    }
    if containers.len() > CONTAINER_LIMIT {
        return Err(AwsError::client(format!("Container list cannot have more than {CONTAINER_LIMIT} elements.")));
    }
    let mut names = BTreeSet::new();
    for container in containers {
        let name =
            container.text("name").ok_or_else(|| AwsError::client("Container.name should not be null or empty."))?;
        if name.len() > 255 || !name.chars().all(legal) {
            return Err(AwsError::client("Container.name contains invalid characters."));
        }
        if !names.insert(name) {
            return Err(AwsError::client(format!("Container.name must be unique: {name}.")));
        }
        check_container(definition, container, name)?;
    }
    if containers.iter().all(|container| container.get("essential") == Some(&Value::Bool(false))) {
        return Err(AwsError::client("Invalid setting for containers. At least one container must be essential."));
    }
    for container in containers {
        for dependency in container.list("dependsOn") {
            let on = dependency.text("containerName").unwrap_or_default();
            if !names.contains(on) {
                return Err(AwsError::client(format!("Container dependency {on} is not a container of the task.")));
            }
        }
    }
    if definition.texts("requiresCompatibilities").contains(&"FARGATE")
        && let Some(problem) = fargate::problem(definition)
    {
        return Err(AwsError::client(problem));
    }
    Ok(())
}

fn check_container(definition: &Value, container: &Value, name: &str) -> Result<(), AwsError> {
    let image =
        container.text("image").ok_or_else(|| AwsError::client("Container.image should not be null or empty."))?;
    if image.len() > IMAGE_LIMIT {
        return Err(AwsError::client(format!(
            "Container.image repository should be {IMAGE_LIMIT} characters or less."
        )));
    }
    if image.chars().any(char::is_whitespace) {
        return Err(AwsError::client("Container.image contains invalid characters."));
    }
    let awsvpc = definition.text("networkMode") == Some("awsvpc");
    if awsvpc && !container.list("links").is_empty() {
        return Err(AwsError::client("Links are not supported when networkMode=awsvpc."));
    }
    for mapping in container.list("portMappings") {
        let (host, port) = (mapping.number("hostPort"), mapping.number("containerPort"));
        if awsvpc && host.is_some_and(|host| host != 0 && Some(host) != port) {
            return Err(AwsError::client(
                "When networkMode=awsvpc, the host ports and container ports in port mappings must match.",
            ));
        }
        if port.is_some_and(|port| !(1..=65_535).contains(&port)) {
            return Err(AwsError::client(format!("Invalid 'containerPort' setting for container '{name}'.")));
        }
    }
    let (memory, reserved) = (container.number("memory"), container.number("memoryReservation"));
    if definition.text("memory").is_none() && memory.is_none() && reserved.is_none() {
        return Err(AwsError::client(format!(
            "Invalid setting for container '{name}'. At least one of 'memory' or 'memoryReservation' must be specified."
        )));
    }
    if memory.is_some_and(|memory| memory < 6) {
        return Err(AwsError::client(format!("Invalid 'memory' setting for container '{name}': the least is 6 MiB.")));
    }
    let log = container.member("logConfiguration").filter(|log| log.text("logDriver") == Some("awslogs"));
    if let Some(log) = log {
        let options = log.member("options").unwrap_or(&Value::Null);
        if options.text("awslogs-group").is_none() {
            return Err(AwsError::client(format!(
                "Log driver awslogs requires options: awslogs-group, awslogs-region (container '{name}')."
            )));
        }
    }
    Ok(())
}

/// The definition as ECS gives it back: the defaults that it adds, sizes as bare numbers. Everything else as it was given.
pub(super) fn with_defaults(mut definition: Value) -> Value {
    let awsvpc = definition.text("networkMode") == Some("awsvpc");
    let sizes = [
        ("cpu", definition.text("cpu").and_then(fargate::cpu_units)),
        ("memory", definition.text("memory").and_then(fargate::memory_mib)),
    ];
    if let Some(members) = definition.as_object_mut() {
        for (key, size) in sizes {
            if let Some(size) = size {
                members.insert(key.to_owned(), json!(size.to_string()));
            }
        }
        for key in ["volumes", "placementConstraints"] {
            members.entry(key).or_insert_with(|| json!([]));
        }
    }
    let containers = definition.get_mut("containerDefinitions").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        let Some(members) = container.as_object_mut() else { continue };
        members.entry("cpu").or_insert_with(|| json!(0));
        members.entry("essential").or_insert_with(|| json!(true));
        for key in ["portMappings", "environment", "mountPoints", "volumesFrom"] {
            members.entry(key).or_insert_with(|| json!([]));
        }
        let mappings = members.get_mut("portMappings").and_then(Value::as_array_mut);
        for mapping in mappings.into_iter().flatten() {
            let Some(mapping) = mapping.as_object_mut() else { continue };
            mapping.entry("protocol").or_insert_with(|| json!("tcp"));
            let host = if awsvpc { mapping.get("containerPort").cloned().unwrap_or(json!(0)) } else { json!(0) };
            mapping.entry("hostPort").or_insert(host);
        }
        if let Some(check) = members.get_mut("healthCheck").and_then(Value::as_object_mut) {
            for (key, default) in [("interval", 30), ("timeout", 5), ("retries", 3)] {
                check.entry(key).or_insert_with(|| json!(default));
            }
        }
    }
    definition
}
