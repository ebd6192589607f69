//! Log events: written, read from one stream, read from many.

use std::ops::Bound;

use serde_json::{Map, Value, json};

use super::super::wire::{AwsError, Input};
use super::super::world::World;
use super::streams::streams_with;
use super::{Event, Key, named, no_stream};

/// The most events of an answer, and the most bytes (API reference, GetLogEvents and FilterLogEvents).
const EVENTS_LIMIT: i64 = 10_000;
const BYTES_LIMIT: usize = 1024 * 1024;

pub(super) fn put(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    let (name, group) = named(world, input)?;
    let name = name.to_owned();
    let stream = input.required("logStreamName", "InvalidParameterException")?;
    if !group.streams.contains_key(stream) {
        return Err(no_stream());
    }
    let events = input.list("logEvents");
    let times: Vec<i64> = events.iter().filter_map(|event| event.number("timestamp")).collect();
    if times.len() != events.len() || events.is_empty() || events.len() > 10_000 {
        return Err(AwsError::invalid_parameter("logEvents must have between 1 and 10000 elements with a timestamp"));
    }
    if !times.is_sorted() {
        return Err(AwsError::invalid_parameter(
            "Log events in a single PutLogEvents request must be in chronological order.",
        ));
    }
    for (event, at_ms) in events.iter().zip(times) {
        super::put(world, &name, stream, at_ms, event.text("message").unwrap_or_default());
    }
    Ok(json!({"nextSequenceToken": "49"}))
}

/// How many events an answer may have.
fn limit(input: &Value) -> Result<usize, AwsError> {
    let limit = input.number("limit").unwrap_or(EVENTS_LIMIT);
    let legal = (1..=EVENTS_LIMIT).contains(&limit);
    let refused = || AwsError::invalid_parameter("limit must be between 1 and 10000");
    legal.then(|| usize::try_from(limit).ok()).flatten().ok_or_else(refused)
}

/// The texts of a place in a stream.
fn key_text((at_ms, number): Key) -> String {
    format!("{at_ms:020}{number:020}")
}

fn key_of(text: &str) -> Option<Key> {
    let (at_ms, number) = text.split_at_checked(20)?;
    Some((at_ms.parse().ok()?, number.parse().ok()?))
}

/// From where GetLogEvents reads, and in which direction.
enum From {
    /// After this event, or from the first.
    Forward(Option<Key>),
    /// Before this event, or from the last.
    Backward(Option<Key>),
}

/// One stream. The tokens name the events at the two ends of the page; at an end of the stream the token that was given
/// comes back.
pub(super) fn get(world: &World, input: &Value) -> Result<Value, AwsError> {
    let (_, group) = named(world, input)?;
    let name = input.required("logStreamName", "InvalidParameterException")?;
    let stream = group.streams.get(name).filter(|stream| stream.visible_ms <= world.now_ms).ok_or_else(no_stream)?;
    let bad_token = || AwsError::invalid_parameter("The specified nextToken is invalid.");
    let from = match input.text("nextToken").map(|token| token.split_at_checked(2).unwrap_or((token, ""))) {
        None if input.flag("startFromHead") => From::Forward(None),
        None => From::Backward(None),
        Some(("f/", key)) => From::Forward(Some(key_of(key).ok_or_else(bad_token)?)),
        Some(("b/", key)) => From::Backward(Some(key_of(key).ok_or_else(bad_token)?)),
        Some(_) => return Err(bad_token()),
    };
    let (start_ms, end_ms) = (input.number("startTime"), input.number("endTime"));
    // The end is not included here, other than in FilterLogEvents.
    let fits = |(key, _): &(&Key, &Event)| {
        start_ms.is_none_or(|start_ms| key.0 >= start_ms) && end_ms.is_none_or(|end_ms| key.0 < end_ms)
    };
    let limit = limit(input)?;
    let page: Vec<(&Key, &Event)> = match from {
        From::Forward(after) => {
            let start = after.map_or(Bound::Unbounded, Bound::Excluded);
            bounded(stream.events.range((start, Bound::Unbounded)).filter(fits), limit)
        }
        From::Backward(before) => {
            let end = before.map_or(Bound::Unbounded, Bound::Excluded);
            let mut page = bounded(stream.events.range((Bound::Unbounded, end)).rev().filter(fits), limit);
            page.reverse();
            page
        }
    };
    let given = match from {
        From::Forward(key) | From::Backward(key) => key,
    };
    // An empty page keeps its place: at the far end of what there is when no token said where.
    let rest = match from {
        From::Forward(None) => (i64::MIN / 4, 0),
        From::Backward(None) => stream.events.keys().next_back().copied().unwrap_or((0, 0)),
        From::Forward(Some(key)) | From::Backward(Some(key)) => key,
    };
    let rest = (rest.0.max(0), rest.1);
    let first = page.first().map_or(given.unwrap_or(rest), |(key, _)| **key);
    let last = page.last().map_or(given.unwrap_or(rest), |(key, _)| **key);
    let events: Vec<Value> = page
        .iter()
        .map(|(key, event)| json!({"timestamp": key.0, "message": event.message, "ingestionTime": event.ingestion_ms}))
        .collect();
    Ok(json!({
        "events": events,
        "nextForwardToken": format!("f/{}", key_text(last)),
        "nextBackwardToken": format!("b/{}", key_text(first)),
    }))
}

/// The first events, as many as an answer holds.
fn bounded<'a>(events: impl Iterator<Item = (&'a Key, &'a Event)>, limit: usize) -> Vec<(&'a Key, &'a Event)> {
    let mut bytes = 0;
    let fits = |event: &(&Key, &Event)| {
        bytes += event.1.size();
        bytes <= BYTES_LIMIT
    };
    events.take(limit).take_while(fits).collect()
}

/// Many streams, merged by time.
pub(super) fn filter(world: &World, input: &Value) -> Result<Value, AwsError> {
    let (_, group) = named(world, input)?;
    let (names, prefix) = (input.texts("logStreamNames"), input.text("logStreamNamePrefix"));
    if !names.is_empty() && prefix.is_some() {
        return Err(AwsError::invalid_parameter("logStreamNamePrefix and logStreamNames are mutually exclusive."));
    }
    if names.len() > 100 {
        return Err(AwsError::invalid_parameter("logStreamNames can have at most 100 elements"));
    }
    if input.text("filterPattern").is_some() {
        return Err(AwsError::invalid_parameter("the fake does not filter by pattern"));
    }
    let streams = if names.is_empty() {
        streams_with(world, group, prefix.unwrap_or_default())
    } else {
        // AWS refuses a request of which no stream exists; missing ones beside others are ignored.
        let found: Vec<_> = names
            .iter()
            .filter_map(|name| group.streams.get_key_value(*name))
            .filter(|(_, stream)| stream.visible_ms <= world.now_ms)
            .collect();
        if found.is_empty() {
            return Err(no_stream());
        }
        found
    };
    let limit = limit(input)?;
    let after = match input.text("nextToken") {
        None => None,
        Some(token) => {
            Some(key_of(token).ok_or_else(|| AwsError::invalid_parameter("The specified nextToken is invalid."))?)
        }
    };
    let end_ms = input.number("endTime").unwrap_or(i64::MAX);
    let start = match (after, input.number("startTime")) {
        (Some(after), _) => Bound::Excluded(after),
        (None, Some(start_ms)) => Bound::Included((start_ms, 0)),
        (None, None) => Bound::Unbounded,
    };
    let mut found: Vec<(Key, &str, &Event)> = Vec::new();
    for (name, stream) in streams {
        let range = stream.events.range((start, Bound::Unbounded)).take_while(|(key, _)| key.0 <= end_ms);
        found.extend(range.take(limit + 1).map(|(key, event)| (*key, name.as_str(), event)));
    }
    found.sort_by_key(|(key, ..)| *key);
    let mut bytes = 0;
    let held = found
        .iter()
        .take(limit)
        .take_while(|(_, _, event)| {
            bytes += event.size();
            bytes <= BYTES_LIMIT
        })
        .count();
    let more = found.len() > held;
    found.truncate(held);
    let mut answer = Map::new();
    if more && let Some((key, ..)) = found.last() {
        answer.insert("nextToken".to_owned(), json!(key_text(*key)));
    }
    let event = |(key, stream, event): (Key, &str, &Event)| {
        json!({
            "logStreamName": stream,
            "timestamp": key.0,
            "message": event.message,
            "ingestionTime": event.ingestion_ms,
            "eventId": key_text(key),
        })
    };
    answer.insert("events".to_owned(), found.into_iter().map(event).collect());
    answer.insert("searchedLogStreams".to_owned(), json!([]));
    Ok(Value::Object(answer))
}
