//! Tags.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::wire::{AwsError, Input};
use super::super::world::World;
use super::{Ecs, definition, last_part};

/// Tags of a thing.
pub(crate) type Tags = BTreeMap<String, String>;

/// The tags that a list in ECS's form names.
pub(crate) fn tags_of(list: &[Value]) -> Tags {
    let pair = |tag: &Value| Some((tag.text("key")?.to_owned(), tag.text("value").unwrap_or_default().to_owned()));
    list.iter().filter_map(pair).collect()
}

/// Tags in ECS's form.
pub(crate) fn tags_value(tags: &Tags) -> Value {
    tags.iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
}

/// The tags of the thing with this ARN.
fn tags_mut<'a>(ecs: &'a mut Ecs, arn: &str) -> Result<&'a mut Tags, AwsError> {
    let kind = arn.split(':').nth(5).and_then(|resource| resource.split('/').next()).unwrap_or_default();
    let found = match kind {
        "cluster" => ecs.clusters.get_mut(last_part(arn)).map(|cluster| &mut cluster.tags),
        "service" => ecs.services.get_mut(arn).map(|service| &mut service.tags),
        "task" => ecs.tasks.get_mut(last_part(arn)).map(|task| &mut task.tags),
        "task-definition" => definition::registered_mut(ecs, arn).map(|registered| &mut registered.tags),
        _ => return Err(AwsError::invalid_parameter(format!("Invalid arn syntax: {arn}"))),
    };
    found.ok_or_else(|| AwsError::new("ResourceNotFoundException", format!("The specified {kind} could not be found.")))
}

pub(super) fn tag(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    let arn = input.required("resourceArn", "InvalidParameterException")?;
    let added = tags_of(input.list("tags"));
    let tags = tags_mut(&mut world.ecs, arn)?;
    let new = added.keys().filter(|key| !tags.contains_key(*key)).count();
    if tags.len() + new > 50 {
        return Err(AwsError::invalid_parameter("Too many tags: a resource has at most 50"));
    }
    tags.extend(added);
    Ok(json!({}))
}

pub(super) fn untag(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    let arn = input.required("resourceArn", "InvalidParameterException")?;
    let tags = tags_mut(&mut world.ecs, arn)?;
    for key in input.texts("tagKeys") {
        tags.remove(key);
    }
    Ok(json!({}))
}

pub(super) fn list(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    let arn = input.required("resourceArn", "InvalidParameterException")?;
    Ok(json!({"tags": tags_value(tags_mut(&mut world.ecs, arn)?)}))
}
