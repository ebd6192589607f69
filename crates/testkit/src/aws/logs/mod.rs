//! CloudWatch Logs: groups of streams of events.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::wire::{AwsError, Input, Service};
use super::world::{World, unknown_operation};

mod events;
mod groups;
mod streams;

pub(crate) use groups::value as group_value;

/// The place of an event among all of a group: its timestamp, then its number.
pub(crate) type Key = (i64, u64);

/// What CloudWatch Logs holds.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    /// By name.
    pub(crate) groups: BTreeMap<String, Group>,
    /// Counts the events.
    events: u64,
}

/// A log group.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) arn: String,
    pub(crate) created_ms: i64,
    pub(crate) visible_ms: i64,
    pub(crate) retention_days: Option<i64>,
    pub(crate) tags: Value,
    /// What all its events add up to.
    pub(crate) stored_bytes: usize,
    /// By name.
    pub(crate) streams: BTreeMap<String, Stream>,
}

/// A log stream.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) created_ms: i64,
    pub(crate) visible_ms: i64,
    pub(crate) last_ingestion_ms: Option<i64>,
    pub(crate) events: BTreeMap<Key, Event>,
}

/// A line.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) message: String,
    pub(crate) ingestion_ms: i64,
}

impl Event {
    /// What it counts for the 1 MB of an answer (API reference, PutLogEvents: 26 bytes beside the message).
    fn size(&self) -> usize {
        self.message.len() + 26
    }
}

/// Answers an operation.
pub(crate) fn answer(world: &mut World, operation: &str, input: &Value) -> Result<Value, AwsError> {
    match operation {
        "CreateLogGroup" => groups::create(world, input),
        "DeleteLogGroup" => groups::delete(world, input),
        "DescribeLogGroups" => groups::describe(world, input),
        "PutRetentionPolicy" => groups::put_retention(world, input),
        "CreateLogStream" => streams::create(world, input),
        "DeleteLogStream" => streams::delete(world, input),
        "DescribeLogStreams" => streams::describe(world, input),
        "PutLogEvents" => events::put(world, input),
        "GetLogEvents" => events::get(world, input),
        "FilterLogEvents" => events::filter(world, input),
        _ => Err(unknown_operation(Service::Logs, operation)),
    }
}

/// A group that a request names (`logGroupName`, or `logGroupIdentifier` with a name or an ARN), if it can be seen.
fn named<'a>(world: &'a World, input: &Value) -> Result<(&'a str, &'a Group), AwsError> {
    let name = name_of(input)?;
    let found = world.logs.groups.get_key_value(name).filter(|(_, group)| group.visible_ms <= world.now_ms);
    found.map(|(name, group)| (name.as_str(), group)).ok_or_else(no_group)
}

fn name_of(input: &Value) -> Result<&str, AwsError> {
    if let Some(identifier) = input.text("logGroupIdentifier") {
        return Ok(identifier.split(":log-group:").last().unwrap_or(identifier).trim_end_matches(":*"));
    }
    input.required("logGroupName", "InvalidParameterException")
}

fn no_group() -> AwsError {
    AwsError::new("ResourceNotFoundException", "The specified log group does not exist.")
}

fn no_stream() -> AwsError {
    AwsError::new("ResourceNotFoundException", "The specified log stream does not exist.")
}

/// Makes a group unless it is there.
pub(crate) fn group_ensure(world: &mut World, name: &str) -> bool {
    if world.logs.groups.contains_key(name) {
        return false;
    }
    let group = Group {
        arn: world.arn("logs", &format!("log-group:{name}")),
        created_ms: world.now_ms,
        visible_ms: world.visible_ms(),
        retention_days: None,
        tags: json!({}),
        stored_bytes: 0,
        streams: BTreeMap::new(),
    };
    world.logs.groups.insert(name.to_owned(), group);
    true
}

/// Makes a stream unless it is there; `false` when its group is not.
pub(crate) fn stream_ensure(world: &mut World, group: &str, stream: &str) -> bool {
    let (created_ms, visible_ms) = (world.now_ms, world.visible_ms());
    let Some(group) = world.logs.groups.get_mut(group) else { return false };
    if !group.streams.contains_key(stream) {
        let new = Stream { created_ms, visible_ms, last_ingestion_ms: None, events: BTreeMap::new() };
        group.streams.insert(stream.to_owned(), new);
    }
    true
}

/// Writes a line. What has no stream is lost, as with the log driver.
pub(crate) fn put(world: &mut World, group: &str, stream: &str, at_ms: i64, message: &str) {
    world.logs.events += 1;
    let number = world.logs.events;
    let ingestion_ms = world.now_ms.max(at_ms);
    let Some(group) = world.logs.groups.get_mut(group) else { return };
    let Some(stream) = group.streams.get_mut(stream) else { return };
    let event = Event { message: message.to_owned(), ingestion_ms };
    group.stored_bytes += event.size();
    stream.last_ingestion_ms = Some(ingestion_ms);
    stream.events.insert((at_ms, number), event);
}
