use layer0_domain::model::audit::AuditRecord;
use layer0_domain::model::id::ServiceId;
use layer0_domain::model::operation::Verb;
use layer0_domain::port::trail::TrailRecord;

use super::*;

fn service() -> EntityRef {
    EntityRef::Service(ServiceId::parse("web-1").expect("an id"))
}

fn operation(at: i64, message: &str) -> OperationLogLine {
    let (verb, entity, entity_name) = (Verb::Create, service(), "web".to_owned());
    OperationLogLine { at: Timestamp(at), verb, entity, entity_name, message: message.to_owned() }
}

fn audit(at: i64, who: &str) -> AuditEntry {
    let record = AuditRecord {
        at: Timestamp(at),
        who: who.to_owned(),
        token: None,
        from: "192.0.2.7".to_owned(),
        action: "service_create".to_owned(),
        target: "service web-1".to_owned(),
        status: 201,
        environment: None,
    };
    AuditEntry { sequence: at.cast_unsigned(), record }
}

fn trail(at: i64, refused: Option<&str>) -> TrailRecord {
    TrailRecord {
        id: at.to_string(),
        at: Timestamp(at),
        source: "cloudtrail",
        who: "l0/i-1".to_owned(),
        action: "ecs:CreateService".to_owned(),
        target: "l0-prod-dev".to_owned(),
        refused: refused.map(str::to_owned),
    }
}

fn of(id: &str) -> About {
    About::Environment(EnvironmentId::parse(id).expect("an id"))
}

fn tail(lines: u32) -> LogQuery {
    LogQuery { tail: Some(lines), ..LogQuery::default() }
}

#[test]
fn all_kinds_are_one_log_in_the_order_of_time() {
    let found = Found {
        operations: vec![operation(2, "asked for"), operation(5, "done")],
        audit: vec![audit(2, "alice"), audit(6, "bad\nname")],
        trail: Trail { records: vec![trail(1, Some("AccessDenied")), trail(4, None)], gap: None },
    };
    let at = |ms: u32, text: &str| format!("1970-01-01T00:00:00.00{ms}Z {text}");
    let expected = [
        at(1, "cloudtrail: l0/i-1: ecs:CreateService l0-prod-dev (AccessDenied)"),
        at(2, "create service `web`: asked for"),
        at(2, "audit: alice: service_create service web-1 (201)"),
        at(4, "cloudtrail: l0/i-1: ecs:CreateService l0-prod-dev"),
        at(5, "create service `web`: done"),
        at(6, "audit: bad name: service_create service web-1 (201)"),
    ];
    assert_eq!(shown(&of("dev"), &found, &LogQuery::default()), expected);
    assert_eq!(shown(&of("dev"), &found, &tail(2)), expected[4..]);
    // Where somebody came from is for admins.
    let lines = shown(&About::Instance, &found, &LogQuery::default());
    assert_eq!(lines[2], at(2, "audit: alice from 192.0.2.7: service_create service web-1 (201)"));
}

#[test]
fn what_is_left_out_is_said() {
    let operations = (0..=i64::from(LINES_MAX)).map(|at| operation(at, "x")).collect();
    let found = Found { operations, ..Found::default() };
    for query in [LogQuery::default(), tail(LINES_MAX + 10)] {
        let lines = shown(&of("dev"), &found, &query);
        assert_eq!(lines.len(), LINES_MAX as usize + 1);
        assert!(lines[0].contains("older events are left out"), "{}", lines[0]);
    }
    assert_eq!(shown(&of("dev"), &found, &tail(5)).len(), 5, "whoever asked for five misses nothing");
}

#[test]
fn a_gap_is_one_line_and_only_where_something_is_missed() {
    let with = |gap: TrailGap, count: i64| Found {
        operations: (100..100 + count).map(|at| operation(at, "x")).collect(),
        audit: vec![],
        trail: Trail { records: vec![], gap: Some(gap) },
    };
    let denied = || TrailGap::Unreadable { why: "CloudTrail could not be read: access denied".to_owned() };
    let lines = shown(&of("dev"), &with(denied(), 3), &tail(2));
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0], "[layer0: CloudTrail could not be read: access denied]");
    let older = |than: i64| TrailGap::Older { than: Timestamp(than) };
    assert!(shown(&of("dev"), &with(older(50), 1), &LogQuery::default())[0].contains("1970-01-01T00:00:00.050Z"));
    assert_eq!(shown(&of("dev"), &with(older(50), 3), &tail(2)).len(), 2, "the newest two are all younger");
    assert_eq!(shown(&of("dev"), &with(older(102), 3), &tail(2)).len(), 3, "one of the newest two may be missing");
}
