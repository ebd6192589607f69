//! CreateStack, UpdateStack, DeleteStack.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::wire::{AwsError, Input};
use super::super::world::{Due, Id, World};
use super::stack::{Leftover, OnFailure, Phase, Resource, Stack, Wanted, Work};
use super::{engine, template};

/// The stack that a request names, by name or ARN; a deleted one only by its ARN.
pub(super) fn named<'a>(world: &'a World, input: &Value) -> Result<&'a Stack, AwsError> {
    let name = input.required("StackName", "ValidationError")?;
    let arn = world.stacks.names.get(name).map_or(name, |arn| &**arn);
    let found = world.stacks.stacks.get(arn).filter(|stack| stack.visible_ms <= world.now_ms);
    found.ok_or_else(|| AwsError::validation(format!("Stack with id {name} does not exist")))
}

fn tags_of(input: &Value) -> BTreeMap<String, String> {
    let pair = |tag: &Value| Some((tag.text("Key")?.to_owned(), tag.text("Value").unwrap_or_default().to_owned()));
    input.list("Tags").iter().filter_map(pair).collect()
}

pub(super) fn create(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    let name = input.required("StackName", "ValidationError")?.to_owned();
    let legal = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    if name.len() > 128 || !name.starts_with(|first: char| first.is_ascii_alphabetic()) || !name.chars().all(legal) {
        return Err(AwsError::validation(format!(
            "1 validation error detected: Value '{name}' at 'stackName' failed to satisfy constraint: Member must satisfy \
             regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
        )));
    }
    let token = input.text("ClientRequestToken").map(str::to_owned);
    if let Some(known) = world.stacks.names.get(&name).and_then(|arn| world.stacks.stacks.get(arn)) {
        if token.as_ref().is_some_and(|token| known.tokens.contains(token)) {
            return Ok(json!({"StackId": *known.arn}));
        }
        return Err(AwsError::new("AlreadyExistsException", format!("Stack [{name}] already exists")));
    }
    let (template, parameters) = template::read(input, None)?;
    let arn: Id = {
        let id = world.uuid();
        world.arn("cloudformation", &format!("stack/{name}/{id}")).into()
    };
    let on_failure = match (input.text("OnFailure"), input.flag("DisableRollback")) {
        (Some("DELETE"), _) => OnFailure::Delete,
        (Some("DO_NOTHING"), _) | (None, true) => OnFailure::Nothing,
        _ => OnFailure::Rollback,
    };
    let stack = Stack {
        arn: arn.clone(),
        name: name.clone(),
        status: "CREATE_IN_PROGRESS",
        reason: None,
        parameters,
        tags: tags_of(input),
        outputs: Vec::new(),
        capabilities: input.texts("Capabilities").into_iter().map(str::to_owned).collect(),
        protected: input.flag("EnableTerminationProtection"),
        on_failure,
        created_ms: world.now_ms,
        updated_ms: None,
        deleted_ms: None,
        visible_ms: world.visible_ms(),
        events: Vec::new(),
        resources: declared(&template, world.now_ms),
        template,
        work: Work::Create,
        tokens: token.iter().cloned().collect::<BTreeSet<_>>(),
        token,
        failed: Vec::new(),
        leftovers: Vec::new(),
        before: None,
    };
    world.stacks.stacks.insert(arn.clone(), stack);
    world.stacks.names.insert(name, arn.clone());
    world.stacks.order.push(arn.clone());
    engine::status(world, &arn, "CREATE_IN_PROGRESS", Some("User Initiated"));
    world.later(0, Due::Stack(arn.clone()));
    Ok(json!({"StackId": *arn}))
}

/// The resources of a template, none of them made.
fn declared(template: &Value, now_ms: i64) -> BTreeMap<String, Resource> {
    let declared = template::resources_of(template);
    let new = |(name, resource): (&String, &Value)| {
        let new = Resource {
            kind: resource.text("Type").unwrap_or_default().to_owned(),
            physical: None,
            attributes: json!({}),
            properties: json!({}),
            status: "",
            reason: None,
            updated_ms: now_ms,
            depends: template::depends(resource, declared),
            retain: resource.text("DeletionPolicy") == Some("Retain"),
            phase: Phase::Waiting,
            before: None,
        };
        (name.clone(), new)
    };
    declared.iter().map(new).collect()
}

pub(super) fn update(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    let stack = named(world, input)?;
    let arn = stack.arn.clone();
    let token = input.text("ClientRequestToken").map(str::to_owned);
    if token.as_ref().is_some_and(|token| stack.tokens.contains(token)) {
        return Ok(json!({"StackId": *arn}));
    }
    let updatable = ["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_FAILED"];
    if !updatable.contains(&stack.status) {
        return Err(AwsError::validation(format!("Stack:{arn} is in {} state and can not be updated.", stack.status)));
    }
    let (template, parameters) = template::read(input, Some(stack))?;
    // Without tags in the request a stack keeps those it has.
    let tags = if input.member("Tags").is_some() { tags_of(input) } else { stack.tags.clone() };
    let same_template =
        ["Resources", "Outputs", "Parameters"].iter().all(|key| template.get(key) == stack.template.get(key));
    if same_template && parameters == stack.parameters && tags == stack.tags {
        return Err(AwsError::validation("No updates are to be performed."));
    }
    let now_ms = world.now_ms;
    let mut wanted = declared(&template, now_ms);
    let Some(stack) = world.stacks.stacks.get_mut(&arn) else { return Ok(json!({"StackId": *arn})) };
    for (name, resource) in &mut wanted {
        match stack.resources.remove(name) {
            Some(known) if known.kind == resource.kind => {
                let (depends, retain) = (std::mem::take(&mut resource.depends), resource.retain);
                *resource = Resource { depends, retain, phase: Phase::Waiting, before: None, ..known };
            }
            Some(other) => {
                stack.resources.insert(format!("{name}\u{0}before"), other);
            }
            None => {}
        }
    }
    // What is left over is not wanted any more: it goes at the end, and comes back if the update fails.
    let removed = std::mem::replace(&mut stack.resources, wanted);
    for (name, resource) in removed {
        let logical = name.trim_end_matches("\u{0}before").to_owned();
        if resource.physical.is_some() {
            stack.leftovers.push(Leftover { logical, resource, replaced: false });
        }
    }
    stack.before = Some(Wanted {
        template: std::mem::replace(&mut stack.template, template),
        parameters: std::mem::replace(&mut stack.parameters, parameters),
        tags: std::mem::replace(&mut stack.tags, tags),
    });
    stack.work = Work::Update;
    stack.failed.clear();
    stack.updated_ms = Some(now_ms);
    stack.tokens.extend(token.clone());
    stack.token = token;
    engine::status(world, &arn, "UPDATE_IN_PROGRESS", Some("User Initiated"));
    world.later(0, Due::Stack(arn.clone()));
    Ok(json!({"StackId": *arn}))
}

pub(super) fn delete(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    // A stack that is not there is deleted already.
    let Ok(stack) = named(world, input) else { return Ok(json!({})) };
    let arn = stack.arn.clone();
    if stack.status == "DELETE_COMPLETE" || stack.work == Work::Delete {
        return Ok(json!({}));
    }
    if stack.protected {
        return Err(AwsError::validation(format!(
            "Stack [{}] cannot be deleted while TerminationProtection is enabled",
            stack.name
        )));
    }
    if matches!(stack.work, Work::Update | Work::UpdateRollback | Work::Cleanup) {
        return Err(AwsError::validation(format!("Stack [{arn}] cannot be deleted while in status {}", stack.status)));
    }
    let retained: Vec<String> = input.texts("RetainResources").into_iter().map(str::to_owned).collect();
    if !retained.is_empty() && stack.status != "DELETE_FAILED" {
        return Err(AwsError::validation(
            "RetainResources can only be specified for a stack in the DELETE_FAILED state.",
        ));
    }
    let token = input.text("ClientRequestToken").map(str::to_owned);
    let Some(stack) = world.stacks.stacks.get_mut(&arn) else { return Ok(json!({})) };
    stack.work = Work::Delete;
    stack.failed.clear();
    stack.tokens.extend(token.clone());
    stack.token = token;
    for (name, resource) in &mut stack.resources {
        resource.retain |= retained.contains(name);
        // What is being made is finished first; its end sees that the stack is to go.
        if resource.phase != Phase::Working {
            resource.phase = if resource.physical.is_some() { Phase::Waiting } else { Phase::Done };
        }
    }
    engine::status(world, &arn, "DELETE_IN_PROGRESS", Some("User Initiated"));
    world.later(0, Due::Stack(arn));
    Ok(json!({}))
}
