//! The describe and list operations.

use serde_json::{Map, Value, json};

use super::super::wire::time::iso;
use super::super::wire::{AwsError, Input};
use super::super::world::World;
use super::calls::named;
use super::stack::{Event, Resource, Stack};

/// How many stacks or events a page has. AWS cuts at 1 MB instead, or at 100 events.
const PAGE: usize = 100;

fn paged(all: Vec<Value>, input: &Value, key: &str) -> Result<Value, AwsError> {
    let bad = || AwsError::validation("NextToken is not valid");
    let start = match input.text("NextToken") {
        None => 0,
        Some(token) => token.parse::<usize>().map_err(|_| bad())?,
    };
    let mut answer = Map::new();
    if all.len() > start + PAGE {
        answer.insert("NextToken".to_owned(), json!((start + PAGE).to_string()));
    }
    answer.insert(key.to_owned(), all.into_iter().skip(start).take(PAGE).collect());
    Ok(Value::Object(answer))
}

/// Stacks that can be seen, the newest first.
fn visible(world: &World) -> impl Iterator<Item = &Stack> {
    let all = world.stacks.order.iter().rev().filter_map(|arn| world.stacks.stacks.get(arn));
    all.filter(|stack| stack.visible_ms <= world.now_ms)
}

pub(super) fn stacks(world: &World, input: &Value) -> Result<Value, AwsError> {
    if input.text("StackName").is_some() {
        return Ok(json!({"Stacks": [stack(named(world, input)?)]}));
    }
    let live = visible(world).filter(|stack| stack.status != "DELETE_COMPLETE");
    paged(live.map(stack).collect(), input, "Stacks")
}

/// A stack as DescribeStacks gives it.
pub(super) fn stack(stack: &Stack) -> Value {
    let hidden = |key: &str| {
        let declared = stack.template.get("Parameters").and_then(|declared| declared.get(key));
        declared.is_some_and(|declared| declared.flag("NoEcho"))
    };
    let parameter = |(key, value): (&String, &String)| json!({"ParameterKey": key, "ParameterValue": if hidden(key) { "****" } else { value.as_str() }});
    let outputs: Vec<Value> = stack
        .outputs
        .iter()
        .map(|output| {
            json!({
                "OutputKey": output.key,
                "OutputValue": output.value,
                "Description": output.description,
                "ExportName": output.export,
            })
        })
        .collect();
    json!({
        "StackId": *stack.arn,
        "StackName": stack.name,
        "Description": stack.template.text("Description"),
        "CreationTime": iso(stack.created_ms),
        "LastUpdatedTime": stack.updated_ms.map(iso),
        "DeletionTime": stack.deleted_ms.map(iso),
        "StackStatus": stack.status,
        "StackStatusReason": stack.reason,
        "DisableRollback": stack.on_failure == super::stack::OnFailure::Nothing,
        "EnableTerminationProtection": stack.protected,
        "Parameters": stack.parameters.iter().map(parameter).collect::<Vec<_>>(),
        "Tags": stack.tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect::<Vec<_>>(),
        "Outputs": outputs,
        "Capabilities": stack.capabilities,
        "NotificationARNs": [],
        "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
    })
}

pub(super) fn list(world: &World, input: &Value) -> Result<Value, AwsError> {
    let statuses = input.texts("StackStatusFilter");
    let shown = visible(world).filter(|stack| statuses.is_empty() || statuses.contains(&stack.status));
    let summary = |stack: &Stack| {
        json!({
            "StackId": *stack.arn,
            "StackName": stack.name,
            "CreationTime": iso(stack.created_ms),
            "LastUpdatedTime": stack.updated_ms.map(iso),
            "DeletionTime": stack.deleted_ms.map(iso),
            "StackStatus": stack.status,
            "StackStatusReason": stack.reason,
            "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
        })
    };
    paged(shown.map(summary).collect(), input, "StackSummaries")
}

pub(super) fn events(world: &World, input: &Value) -> Result<Value, AwsError> {
    let stack = named(world, input)?;
    let value = |event: &Event| {
        json!({
            "EventId": event.id,
            "StackId": *stack.arn,
            "StackName": stack.name,
            "LogicalResourceId": event.logical,
            "PhysicalResourceId": event.physical,
            "ResourceType": event.kind,
            "Timestamp": iso(event.at_ms),
            "ResourceStatus": event.status,
            "ResourceStatusReason": event.reason,
            "ResourceProperties": event.properties,
            "ClientRequestToken": event.token,
        })
    };
    paged(stack.events.iter().rev().map(value).collect(), input, "StackEvents")
}

/// The resources of which something is known.
fn resources_of(stack: &Stack) -> impl Iterator<Item = (&String, &Resource)> {
    stack.resources.iter().filter(|(_, resource)| !resource.status.is_empty())
}

pub(super) fn resources(world: &World, input: &Value) -> Result<Value, AwsError> {
    let stack = match input.text("PhysicalResourceId") {
        Some(physical) => {
            let has =
                |stack: &&Stack| stack.resources.values().any(|known| known.physical.as_deref() == Some(physical));
            let found = visible(world).find(has);
            found.ok_or_else(|| AwsError::validation(format!("Stack for {physical} does not exist")))?
        }
        None => named(world, input)?,
    };
    let logical = input.text("LogicalResourceId");
    let shown = resources_of(stack).filter(|(name, _)| logical.is_none_or(|logical| logical == name.as_str()));
    let value = |(name, resource): (&String, &Resource)| {
        json!({
            "StackId": *stack.arn,
            "StackName": stack.name,
            "LogicalResourceId": name,
            "PhysicalResourceId": resource.physical,
            "ResourceType": resource.kind,
            "Timestamp": iso(resource.updated_ms),
            "ResourceStatus": resource.status,
            "ResourceStatusReason": resource.reason,
            "DriftInformation": {"StackResourceDriftStatus": "NOT_CHECKED"},
        })
    };
    // At most 100, and never a second page (API reference, DescribeStackResources).
    Ok(json!({"StackResources": shown.take(100).map(value).collect::<Vec<_>>()}))
}

pub(super) fn list_resources(world: &World, input: &Value) -> Result<Value, AwsError> {
    let stack = named(world, input)?;
    let value = |(name, resource): (&String, &Resource)| {
        json!({
            "LogicalResourceId": name,
            "PhysicalResourceId": resource.physical,
            "ResourceType": resource.kind,
            "LastUpdatedTimestamp": iso(resource.updated_ms),
            "ResourceStatus": resource.status,
            "ResourceStatusReason": resource.reason,
        })
    };
    paged(resources_of(stack).map(value).collect(), input, "StackResourceSummaries")
}

pub(super) fn template(world: &World, input: &Value) -> Result<Value, AwsError> {
    let stack = named(world, input)?;
    Ok(json!({"TemplateBody": stack.template.to_string(), "StagesAvailable": ["Original", "Processed"]}))
}
