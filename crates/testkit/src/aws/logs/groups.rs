//! Log groups.

use serde_json::{Map, Value, json};

use super::super::wire::{AwsError, Input};
use super::super::world::{World, page_start, page_token};
use super::{Group, group_ensure, name_of, named, no_group};

/// The days that a retention may be (API reference, PutRetentionPolicy).
const RETENTIONS: [i64; 23] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653, 0];

pub(super) fn create(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    let name = input.required("logGroupName", "InvalidParameterException")?;
    let legal = |letter: char| letter.is_ascii_alphanumeric() || "._-/#".contains(letter);
    if name.len() > 512 || !name.chars().all(legal) {
        return Err(AwsError::invalid_parameter(format!(
            "1 validation error detected: Value '{name}' at 'logGroupName' failed to satisfy constraint: Member must satisfy \
             regular expression pattern: [\\.\\-_/#A-Za-z0-9]+"
        )));
    }
    if !group_ensure(world, name) {
        return Err(AwsError::new("ResourceAlreadyExistsException", "The specified log group already exists"));
    }
    if let (Some(group), Some(tags)) = (world.logs.groups.get_mut(name), input.member("tags")) {
        group.tags = tags.clone();
    }
    Ok(json!({}))
}

pub(super) fn delete(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    let name = named(world, input)?.0.to_owned();
    world.logs.groups.remove(&name).ok_or_else(no_group)?;
    Ok(json!({}))
}

pub(super) fn put_retention(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    named(world, input)?;
    let days = input.number("retentionInDays").filter(|days| *days > 0 && RETENTIONS.contains(days));
    let days = days.ok_or_else(|| AwsError::invalid_parameter("retentionInDays is not one of the allowed values"))?;
    let group = world.logs.groups.get_mut(name_of(input)?).ok_or_else(no_group)?;
    group.retention_days = Some(days);
    Ok(json!({}))
}

pub(super) fn describe(world: &World, input: &Value) -> Result<Value, AwsError> {
    let prefix = input.text("logGroupNamePrefix").unwrap_or_default();
    let part = input.text("logGroupNamePattern").unwrap_or_default();
    let after = page_start(input, "nextToken")?;
    let most = input.number("limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(50).clamp(1, 50);
    let shown = world.logs.groups.range(prefix.to_owned()..).take_while(|(name, _)| name.starts_with(prefix));
    let mut shown: Vec<(&String, &Group)> = shown
        .filter(|(name, group)| group.visible_ms <= world.now_ms && name.contains(part))
        .filter(|(name, _)| after.as_ref().is_none_or(|after| *name > after))
        .take(most + 1)
        .collect();
    let more = shown.len() > most;
    shown.truncate(most);
    let mut answer = Map::new();
    if more && let Some((last, _)) = shown.last() {
        answer.insert("nextToken".to_owned(), page_token(last));
    }
    answer.insert("logGroups".to_owned(), shown.into_iter().map(|(name, group)| value(name, group)).collect());
    Ok(Value::Object(answer))
}

/// A group as DescribeLogGroups gives it.
pub(crate) fn value(name: &str, group: &Group) -> Value {
    let mut value = json!({
        "logGroupName": name,
        "arn": format!("{}:*", group.arn),
        "logGroupArn": group.arn,
        "creationTime": group.created_ms,
        "metricFilterCount": 0,
        "storedBytes": group.stored_bytes,
        "logGroupClass": "STANDARD",
    });
    if let Some(days) = group.retention_days {
        value["retentionInDays"] = json!(days);
    }
    value
}
