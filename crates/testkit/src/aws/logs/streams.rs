//! Log streams.

use serde_json::{Map, Value, json};

use super::super::wire::{AwsError, Input};
use super::super::world::{World, page_start, page_token};
use super::{Event, Group, Stream, named, no_group, no_stream, stream_ensure};

pub(super) fn create(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    let (group, stream) =
        (named(world, input)?.0.to_owned(), input.required("logStreamName", "InvalidParameterException")?);
    if world.logs.groups.get(&group).is_some_and(|group| group.streams.contains_key(stream)) {
        return Err(AwsError::new("ResourceAlreadyExistsException", "The specified log stream already exists"));
    }
    if !stream_ensure(world, &group, stream) {
        return Err(no_group());
    }
    Ok(json!({}))
}

pub(super) fn delete(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    let name = named(world, input)?.0.to_owned();
    let stream = input.required("logStreamName", "InvalidParameterException")?;
    let group = world.logs.groups.get_mut(&name).ok_or_else(no_group)?;
    let removed = group.streams.remove(stream).ok_or_else(no_stream)?;
    group.stored_bytes -= removed.events.values().map(Event::size).sum::<usize>();
    Ok(json!({}))
}

pub(super) fn describe(world: &World, input: &Value) -> Result<Value, AwsError> {
    let (_, group) = named(world, input)?;
    let prefix = input.text("logStreamNamePrefix").unwrap_or_default();
    let by_time = match input.text("orderBy").unwrap_or("LogStreamName") {
        "LogStreamName" => false,
        "LastEventTime" => true,
        other => return Err(AwsError::invalid_parameter(format!("Invalid orderBy: {other}"))),
    };
    if by_time && !prefix.is_empty() {
        return Err(AwsError::invalid_parameter("Cannot order by LastEventTime with a logStreamNamePrefix."));
    }
    let most = match input.number("limit") {
        None => 50,
        Some(limit) => usize::try_from(limit)
            .ok()
            .filter(|limit| (1..=50).contains(limit))
            .ok_or_else(|| AwsError::invalid_parameter("limit must be between 1 and 50"))?,
    };
    let mut streams = streams_with(world, group, prefix);
    if by_time {
        // The sort is stable, so equal times stay in the order of the names.
        streams.sort_by_key(|(_, stream)| stream.events.keys().next_back().map(|(at_ms, _)| *at_ms));
    }
    if input.flag("descending") {
        streams.reverse();
    }
    let start: usize = page_start(input, "nextToken")?.and_then(|at| at.parse().ok()).unwrap_or(0);
    let mut answer = Map::new();
    if streams.len() > start + most {
        answer.insert("nextToken".to_owned(), page_token(&(start + most).to_string()));
    }
    let page = streams.into_iter().skip(start).take(most).map(|(name, stream)| value(group, name, stream));
    answer.insert("logStreams".to_owned(), page.collect());
    Ok(Value::Object(answer))
}

/// The streams whose names begin so, that can be seen, by name.
pub(super) fn streams_with<'a>(world: &World, group: &'a Group, prefix: &str) -> Vec<(&'a String, &'a Stream)> {
    let named = group.streams.range(prefix.to_owned()..).take_while(|(name, _)| name.starts_with(prefix));
    named.filter(|(_, stream)| stream.visible_ms <= world.now_ms).collect()
}

fn value(group: &Group, name: &str, stream: &Stream) -> Value {
    let mut value = json!({
        "logStreamName": name,
        "creationTime": stream.created_ms,
        "arn": format!("{}:log-stream:{name}", group.arn),
        "storedBytes": 0,
        "uploadSequenceToken": "49",
    });
    if let (Some(first), Some(last)) = (stream.events.keys().next(), stream.events.keys().next_back()) {
        value["firstEventTimestamp"] = json!(first.0);
        value["lastEventTimestamp"] = json!(last.0);
    }
    if let Some(ingestion_ms) = stream.last_ingestion_ms {
        value["lastIngestionTime"] = json!(ingestion_ms);
    }
    value
}
