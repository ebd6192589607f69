//! CloudTrail's event history: calls that change something, as `LookupEvents` shows them.

use serde_json::{Value, json};

use super::wire::request::Request;
use super::wire::{AwsError, Input, Service};
use super::world::{World, unknown_operation};

/// The most events of an answer (API reference, LookupEvents).
const PAGE_MAX: i64 = 50;

/// How many events are kept; AWS keeps 90 days. A simulation makes more than it would want to hold.
const KEPT: usize = 2_000;

/// What only reads begins so.
const READS: [&str; 8] = ["Describe", "List", "Get", "BatchGet", "BatchCheck", "Filter", "Lookup", "Simulate"];

/// What is put before the numbers of pages, so that no other number is taken for one.
const TOKEN: &str = "page/";

/// A call that CloudTrail wrote down.
#[derive(Debug, Clone)]
pub struct TrailEvent {
    /// When, in milliseconds since 1970. Shown to the second.
    pub at_ms: i64,
    /// Who: `userIdentity` of the record.
    pub identity: Value,
    /// The service, as its address begins: `ecs`.
    pub service: String,
    /// The operation.
    pub operation: String,
    /// Whether it only reads.
    pub only_reads: bool,
    /// What was asked.
    pub parameters: Value,
    /// The names of what it was about.
    pub resources: Vec<String>,
    /// The code when it was refused.
    pub error: Option<String>,
}

/// Writes down a call that came over the wire.
pub(super) fn note(world: &mut World, at_ms: i64, request: &Request, error: Option<&AwsError>) {
    let arn = format!("arn:aws:sts::{}:assumed-role/layer0/fake", world.config.account);
    let issuer = json!({"type": "Role", "userName": "layer0"});
    let identity = json!({"type": "AssumedRole", "arn": arn, "sessionContext": {"sessionIssuer": issuer}});
    let event = TrailEvent {
        at_ms,
        identity,
        service: request.service.name().to_owned(),
        operation: request.operation.clone(),
        only_reads: READS.iter().any(|reads| request.operation.starts_with(reads)),
        parameters: request.input.clone(),
        resources: Vec::new(),
        error: error.map(|error| error.code.clone()),
    };
    // What only reads is not looked up by anybody here, and there is most of it.
    if !event.only_reads {
        write(world, event);
    }
}

/// Keeps an event, at its time.
pub(super) fn write(world: &mut World, event: TrailEvent) {
    let place = world.trail.partition_point(|(_, it)| it.at_ms <= event.at_ms);
    let id = world.uuid();
    world.trail.insert(place, (id, event));
    if world.trail.len() > KEPT {
        world.trail.pop_front();
    }
}

/// Answers an operation.
pub(crate) fn answer(world: &World, operation: &str, input: &Value) -> Result<Value, AwsError> {
    match operation {
        "LookupEvents" => lookup(world, input),
        _ => Err(unknown_operation(Service::CloudTrail, operation)),
    }
}

fn lookup(world: &World, input: &Value) -> Result<Value, AwsError> {
    let attributes = input.list("LookupAttributes");
    let refuse = |code: &str, message: &str| AwsError::new(code, message);
    if attributes.len() > 1 {
        return Err(refuse("InvalidLookupAttributesException", "You can only specify one lookup attribute."));
    }
    let only_reads = match attributes.first() {
        None => None,
        Some(it) => match (it.text("AttributeKey"), it.text("AttributeValue")) {
            (Some("ReadOnly"), Some("true")) => Some(true),
            (Some("ReadOnly"), Some("false")) => Some(false),
            _ => return Err(refuse("InvalidLookupAttributesException", "the fake chooses by ReadOnly only")),
        },
    };
    let most = input.number("MaxResults").unwrap_or(PAGE_MAX);
    if !(1..=PAGE_MAX).contains(&most) {
        return Err(refuse("InvalidMaxResultsException", "A maximum results value must be between 1 and 50."));
    }
    let (start_s, end_s) = (input.number("StartTime"), input.number("EndTime"));
    if start_s.zip(end_s).is_some_and(|(start_s, end_s)| start_s > end_s) {
        return Err(refuse("InvalidTimeRangeException", "Start time must be before end time."));
    }
    let from = match input.text("NextToken") {
        None => 0,
        Some(token) => token
            .strip_prefix(TOKEN)
            .and_then(|number| number.parse::<usize>().ok())
            .ok_or_else(|| refuse("InvalidNextTokenException", "Invalid next token."))?,
    };
    let fits = |(_, it): &&(String, TrailEvent)| {
        let at_s = it.at_ms.div_euclid(1000);
        only_reads.is_none_or(|only_reads| it.only_reads == only_reads)
            && start_s.is_none_or(|start_s| at_s >= start_s)
            && end_s.is_none_or(|end_s| at_s <= end_s)
    };
    let most = usize::try_from(most).unwrap_or(0);
    let mut found = world.trail.iter().rev().filter(fits).skip(from);
    let page: Vec<Value> = found.by_ref().take(most).map(|(id, it)| shown(world, id, it)).collect();
    let mut answer = json!({ "Events": page });
    if found.next().is_some() {
        answer["NextToken"] = json!(format!("{TOKEN}{}", from + most));
    }
    Ok(answer)
}

fn shown(world: &World, id: &str, it: &TrailEvent) -> Value {
    let source = format!("{}.amazonaws.com", it.service);
    let record = json!({
        "eventVersion": "1.11",
        "userIdentity": it.identity,
        "eventSource": source,
        "eventName": it.operation,
        "awsRegion": world.config.region,
        "errorCode": it.error,
        "requestParameters": it.parameters,
        "readOnly": it.only_reads,
        "eventID": id,
    });
    let resources: Vec<Value> = it.resources.iter().map(|name| json!({ "ResourceName": name })).collect();
    json!({
        "EventId": id,
        "EventName": it.operation,
        "EventSource": source,
        "EventTime": it.at_ms.div_euclid(1000),
        "ReadOnly": it.only_reads.to_string(),
        "Username": "fake",
        "Resources": resources,
        "CloudTrailEvent": record.to_string(),
    })
}
