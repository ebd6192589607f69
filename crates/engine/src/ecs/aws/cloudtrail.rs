//! CloudTrail's event history: one read, by the JSON protocol of the service. It needs no trail to be set up, goes back 90 days,
//! and has what changes something as well as what only reads; only the former is asked for ("LookupEvents").

use layer0_domain::model::time::Timestamp;
use serde_json::{Map, Value, json};

use super::logs::Span;
use super::pace::Family;
use super::{Aws, AwsError};

/// Events of one answer ("LookupEvents": 1 to 50).
const PAGE: u32 = 50;

/// Who made a call, as CloudTrail tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::ecs) struct Principal {
    /// Its ARN; empty where there is none (a service of AWS).
    pub(in crate::ecs) arn: String,
    /// For people: a user's name, `role/session`, a service of AWS.
    pub(in crate::ecs) name: String,
}

/// One call that was made, or tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ecs) struct TrailEvent {
    pub(in crate::ecs) id: String,
    pub(in crate::ecs) at: Timestamp,
    pub(in crate::ecs) who: Principal,
    /// As IAM writes it: `ecs:CreateService`.
    pub(in crate::ecs) action: String,
    /// All texts that say what it was about: parameters and resources. They may hold secrets: to be searched, never shown
    /// whole.
    pub(in crate::ecs) mentions: Vec<String>,
    /// AWS's code when it was refused.
    pub(in crate::ecs) refused: Option<String>,
}

impl Aws {
    /// Calls in a span that change something, the newest first: one page, and where to go on. To the second.
    pub(in crate::ecs) async fn trail_page(
        &self,
        span: Span,
        token: Option<&str>,
    ) -> Result<(Vec<TrailEvent>, Option<String>), AwsError> {
        let mut asked = Map::new();
        asked.insert("LookupAttributes".to_owned(), json!([{"AttributeKey": "ReadOnly", "AttributeValue": "false"}]));
        asked.insert("MaxResults".to_owned(), json!(PAGE));
        // In seconds; the events of the second in which a span ends belong to it as far as anybody can tell.
        asked.extend(span.start.map(|at| ("StartTime".to_owned(), json!(at.0.div_euclid(1000)))));
        asked.extend(span.end.map(|at| ("EndTime".to_owned(), json!(at.0.div_euclid(1000).saturating_add(1)))));
        asked.extend(token.map(|token| ("NextToken".to_owned(), json!(token))));
        let target = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents";
        let call = ("cloudtrail:LookupEvents", target);
        let answer = self.ask_json(Family::Trail, &self.trail, call, &Value::Object(asked)).await?;
        let events = answer["Events"].as_array().into_iter().flatten().filter_map(event).collect();
        let next = answer["NextToken"].as_str().filter(|token| !token.is_empty());
        Ok((events, next.map(str::to_owned)))
    }
}

/// An event as `LookupEvents` has it; most of it is in `CloudTrailEvent`, as text ("CloudTrail record contents").
fn event(it: &Value) -> Option<TrailEvent> {
    let record: Value = it["CloudTrailEvent"].as_str().and_then(|text| serde_json::from_str(text).ok())?;
    let source = it["EventSource"].as_str().or_else(|| record["eventSource"].as_str())?;
    let service = source.split('.').next().unwrap_or(source);
    let mut mentions = Vec::new();
    texts(&record["requestParameters"], &mut mentions);
    let resources = it["Resources"].as_array().into_iter().flatten();
    mentions.extend(resources.filter_map(|resource| resource["ResourceName"].as_str().map(str::to_owned)));
    let seconds = it["EventTime"].as_f64()?;
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970 are far below 2^53")]
    let at = Timestamp((seconds * 1000.0) as i64);
    Some(TrailEvent {
        id: it["EventId"].as_str()?.to_owned(),
        at,
        who: principal(&record["userIdentity"], it["Username"].as_str().unwrap_or_default()),
        action: format!("{service}:{}", it["EventName"].as_str()?),
        mentions,
        refused: record["errorCode"].as_str().map(str::to_owned),
    })
}

/// Who it was ("CloudTrail userIdentity element").
fn principal(identity: &Value, username: &str) -> Principal {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let arn = text(&identity["arn"]);
    let issuer = identity["sessionContext"]["sessionIssuer"]["userName"].as_str();
    let invoked_by = identity["invokedBy"].as_str();
    let name = match (identity["type"].as_str(), issuer) {
        (Some("AssumedRole"), Some(role)) => match arn.rsplit_once('/') {
            Some((_, session)) => format!("{role}/{session}"),
            None => role.to_owned(),
        },
        (Some("Root"), _) => "root".to_owned(),
        (Some("AWSService"), _) => invoked_by.unwrap_or("AWS").to_owned(),
        _ => identity["userName"].as_str().unwrap_or(username).to_owned(),
    };
    let name = match invoked_by {
        Some(service) if name != service && !name.is_empty() => format!("{name} through {service}"),
        _ => name,
    };
    Principal { arn, name: if name.is_empty() { "somebody".to_owned() } else { name } }
}

/// All texts in a document, however deep.
fn texts(of: &Value, into: &mut Vec<String>) {
    match of {
        Value::String(text) => into.push(text.clone()),
        Value::Array(all) => all.iter().for_each(|it| texts(it, into)),
        Value::Object(all) => all.values().for_each(|it| texts(it, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the user guide shows one of a role's calls, made by CloudFormation.
    #[test]
    fn an_event_is_read_without_its_parameters() {
        let record = json!({
            "eventVersion": "1.08", "eventTime": "2026-11-26T10:00:07Z", "eventSource": "ecs.amazonaws.com",
            "eventName": "CreateService", "errorCode": "AccessDenied", "errorMessage": "with PASSWORD=hunter2",
            "userIdentity": {
                "type": "AssumedRole", "arn": "arn:aws:sts::123456789012:assumed-role/l0-server/i-1",
                "sessionContext": {"sessionIssuer": {"type": "Role", "userName": "l0-server"}},
                "invokedBy": "cloudformation.amazonaws.com",
            },
            "requestParameters": {"cluster": "l0-prod-dev", "deep": [{"value": "hunter2"}], "desiredCount": 2, "none": null},
        });
        let found = event(&json!({
            "EventId": "e1", "EventName": "CreateService", "EventSource": "ecs.amazonaws.com", "EventTime": 1_795_687_207.0,
            "Username": "i-1", "Resources": [{"ResourceType": "AWS::ECS::Cluster", "ResourceName": "l0-prod-dev"}],
            "CloudTrailEvent": record.to_string(),
        }))
        .expect("an event");
        assert_eq!((found.id.as_str(), found.at), ("e1", Timestamp(1_795_687_207_000)));
        assert_eq!(found.action, "ecs:CreateService");
        assert_eq!(found.who.name, "l0-server/i-1 through cloudformation.amazonaws.com");
        assert_eq!(found.mentions, ["l0-prod-dev", "hunter2", "l0-prod-dev"]);
        assert_eq!(found.refused.as_deref(), Some("AccessDenied"));
        assert!(event(&json!({"EventId": "e2", "CloudTrailEvent": "no JSON"})).is_none());
    }

    #[test]
    fn everybody_has_a_name() {
        for (identity, expected) in [
            (json!({"type": "IAMUser", "userName": "alice", "arn": "arn:aws:iam::1:user/alice"}), "alice"),
            (json!({"type": "Root", "arn": "arn:aws:iam::1:root"}), "root"),
            (json!({"type": "AWSService", "invokedBy": "ecs.amazonaws.com"}), "ecs.amazonaws.com"),
            (json!({"type": "AssumedRole", "arn": "arn:aws:sts::1:assumed-role/r/s"}), "fallback"),
        ] {
            assert_eq!(principal(&identity, "fallback").name, expected);
        }
        assert_eq!(principal(&Value::Null, "").name, "somebody");
    }
}
