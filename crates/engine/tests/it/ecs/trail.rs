//! What CloudTrail says of an environment and of the instance.

use layer0_domain::model::id::EnvironmentId;
use layer0_domain::model::task_definition::Document;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::engine::{Engine, Want};
use layer0_domain::port::trail::{Trail, TrailAbout, TrailGap, TrailQuery};
use layer0_testkit::aws::{Effect, FakeAws, FakeAwsConfig, Fault, Service, TrailEvent};
use serde_json::json;

use super::stage;

/// A moment at a whole second, which is what CloudTrail shows, long before any test runs.
const THEN: i64 = 1_700_000_000_000;

fn environment() -> TrailAbout {
    let members = vec![stage::load_balancer().entity(), Want::Service(stage::service(1, "app:1", 1, false)).entity()];
    TrailAbout::Environment { id: EnvironmentId::parse("dev-1").expect("an id"), members }
}

fn newest(about: TrailAbout, most: u32) -> TrailQuery {
    TrailQuery { about, start: None, end: None, most }
}

async fn read(engine: &dyn Engine, query: &TrailQuery) -> Trail {
    engine.trail(query).await.expect("that CloudTrail can't be read is no error")
}

fn actions(trail: &Trail) -> Vec<&str> {
    trail.records.iter().map(|record| record.action.as_str()).collect()
}

/// Somebody's call by hand, `seconds` after [`THEN`].
fn by_hand(seconds: i64, operation: &str, parameters: serde_json::Value) -> TrailEvent {
    TrailEvent {
        at_ms: THEN + seconds * 1000,
        identity: json!({"type": "IAMUser", "userName": "alice", "arn": "arn:aws:iam::123456789012:user/alice"}),
        service: "ecs".to_owned(),
        operation: operation.to_owned(),
        only_reads: false,
        parameters,
        resources: vec![],
        error: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_to_an_environment_is_told_without_what_was_sent() {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    let engine = stage::engine(&aws).await;
    let mut spec = stage::service(1, "app:1", 1, true);
    let document = json!({ "containerDefinitions": [{
        "name": "web", "image": "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:1", "memory": 64,
        "portMappings": [{ "containerPort": 80 }],
        "healthCheck": { "command": ["CMD", "check"], "interval": 5, "retries": 1 },
        "environment": [{ "name": "PASSWORD", "value": "hunter2" }],
    }] });
    spec.revision.definition = Document::from_canonical(document).expect("a legal document").definition_with_document();
    for want in [stage::environment(), stage::load_balancer(), Want::Service(spec)] {
        stage::ensure(engine.as_ref(), &want).await.expect("it is taken");
        stage::settled(engine.as_ref(), &want).await.expect("it comes up");
    }
    let registered = aws.world().task_definitions();
    assert!(format!("{registered:?}").contains("hunter2"), "the secret went to AWS: {registered:?}");
    // Others do something too: by hand to ours, and to what is not ours.
    aws.trail(by_hand(1, "StopTask", json!({"cluster": "l0-suite-dev-1", "task": "x", "reason": "hunter2"})));
    aws.trail(by_hand(2, "StopTask", json!({"cluster": "l0-suite-dev-12"})));
    aws.trail(by_hand(3, "StopTask", json!({"cluster": "other"})));
    aws.trail(TrailEvent { only_reads: true, ..by_hand(4, "DescribeTasks", json!({"cluster": "l0-suite-dev-1"})) });

    let all = read(engine.as_ref(), &newest(environment(), 100)).await;
    assert_eq!(all.gap, None);
    assert!(all.records.is_sorted_by_key(|record| record.at), "the oldest first: {all:?}");
    let first = &all.records[0];
    assert_eq!((first.action.as_str(), first.who.as_str()), ("ecs:StopTask", "alice"), "{first:?}");
    assert_eq!((first.at, first.target.as_str()), (Timestamp(THEN + 1000), "l0-suite-dev-1"));
    let by_us: Vec<_> = all.records.iter().filter(|record| record.who == "layer0/fake").collect();
    assert_eq!(by_us.len(), all.records.len() - 1, "{all:#?}");
    for (action, target) in [
        ("cloudformation:CreateStack", "l0-suite-dev-1"),
        ("cloudformation:CreateStack", "l0-suite-lb-1"),
        ("ecs:RegisterTaskDefinition", "l0-suite-web-1"),
        ("ecs:CreateService", "l0-suite-web-1"),
    ] {
        assert!(by_us.iter().any(|it| it.action == action && it.target == target), "{action} {target}: {all:#?}");
    }
    assert!(!format!("{all:?}").contains("hunter2"), "{all:?}");

    // The newest of them, and a span.
    let two = read(engine.as_ref(), &newest(environment(), 2)).await;
    assert_eq!(two.records, all.records[all.records.len() - 2..]);
    let span = |start, end| TrailQuery {
        start: Some(Timestamp(start)),
        end: Some(Timestamp(end)),
        ..newest(environment(), 100)
    };
    assert_eq!(actions(&read(engine.as_ref(), &span(THEN + 1000, THEN + 1000)).await), ["ecs:StopTask"]);
    assert_eq!(read(engine.as_ref(), &span(THEN + 1001, THEN + 1001)).await.records.len(), 1, "it is to the second");
    assert_eq!(read(engine.as_ref(), &span(THEN + 2000, THEN + 9000)).await, Trail::default());
}

/// What this instance's role did, whatever it did it to; not what others did.
#[tokio::test(flavor = "multi_thread")]
async fn the_instance_is_told_by_its_own_role() {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    let engine = stage::engine(&aws).await;
    let of_role = |role: &str, session: &str| {
        json!({
            "type": "AssumedRole", "arn": format!("arn:aws:sts::123456789012:assumed-role/{role}/{session}"),
            "sessionContext": {"sessionIssuer": {"userName": role}},
        })
    };
    let cluster = json!({"cluster": "l0-suite-dev-1"});
    aws.trail(TrailEvent { identity: of_role("layer0", "another"), ..by_hand(1, "StopTask", cluster.clone()) });
    aws.trail(TrailEvent { identity: of_role("layer0-else", "fake"), ..by_hand(2, "StopTask", cluster.clone()) });
    aws.trail(by_hand(3, "StopTask", cluster));
    let refused =
        TrailEvent { error: Some("AccessDenied".to_owned()), ..by_hand(4, "RunTask", json!({"secret": "hunter2"})) };
    aws.trail(TrailEvent { identity: of_role("layer0", "fake"), ..refused });

    let trail = read(engine.as_ref(), &newest(TrailAbout::Instance, 100)).await;
    let told = |it: &layer0_domain::port::trail::TrailRecord| {
        (it.who.clone(), it.action.clone(), it.target.clone(), it.refused.clone())
    };
    let found: Vec<_> = trail.records.iter().map(told).collect();
    let text = |text: &str| text.to_owned();
    assert_eq!(
        found,
        [
            (text("layer0/another"), text("ecs:StopTask"), text("l0-suite-dev-1"), None),
            (text("layer0/fake"), text("ecs:RunTask"), text(""), Some(text("AccessDenied"))),
        ]
    );
}

/// An account with many changes is read page by page, and not for ever: how far back is said.
#[tokio::test(flavor = "multi_thread")]
async fn many_changes_of_others_are_passed_over_up_to_a_bound() {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    let engine = stage::engine(&aws).await;
    aws.trail(by_hand(0, "StopTask", json!({"cluster": "l0-suite-dev-1"})));
    for second in 1..500 {
        aws.trail(by_hand(second, "StopTask", json!({"cluster": "other"})));
    }
    let query = newest(environment(), 10);
    let trail = read(engine.as_ref(), &query).await;
    assert_eq!((actions(&trail), &trail.gap), (vec!["ecs:StopTask"], &None), "the tenth page is the last");
    aws.trail(by_hand(500, "StopTask", json!({"cluster": "other"})));
    aws.calls_clear();
    let trail = read(engine.as_ref(), &query).await;
    assert_eq!(trail, Trail { records: vec![], gap: Some(TrailGap::Older { than: Timestamp(THEN + 1000) }) });
    assert_eq!(aws.calls().len(), 10, "{:?}", aws.calls());
    // Whoever says when is answered.
    let asked = TrailQuery { end: Some(Timestamp(THEN + 500)), ..query };
    assert_eq!(actions(&read(engine.as_ref(), &asked).await), ["ecs:StopTask"]);
    assert_eq!(aws.calls().len(), 11, "in one call");
}

/// A missing right is said in a line that names it; what was read before a fault is shown.
#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_read_is_a_gap() {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    let engine = stage::engine(&aws).await;
    let fault = |effect: Effect, nth: u64| {
        aws.faults_clear();
        aws.fault(Fault::on(Service::CloudTrail, "LookupEvents", effect).nth(nth).times(u64::MAX));
    };
    fault(Effect::AccessDenied { message: None }, 1);
    let trail = read(engine.as_ref(), &newest(environment(), 10)).await;
    let Some(TrailGap::Unreadable { why }) = &trail.gap else { panic!("{trail:?}") };
    assert!(
        why.contains("access denied to cloudtrail:LookupEvents") && why.contains("role") && !why.contains('\n'),
        "{why}"
    );

    for second in 0..60 {
        aws.trail(by_hand(second, "StopTask", json!({"cluster": "l0-suite-dev-1"})));
    }
    fault(Effect::ServerError, 2);
    let trail = read(engine.as_ref(), &newest(environment(), 55)).await;
    assert_eq!(trail.records.len(), 50, "the first page");
    assert!(matches!(&trail.gap, Some(TrailGap::Unreadable { why }) if why.contains("LookupEvents")), "{trail:?}");

    // Throttled once is tried again.
    aws.faults_clear();
    aws.fault(Fault::on(Service::CloudTrail, "LookupEvents", Effect::Throttle));
    let trail = read(engine.as_ref(), &newest(environment(), 55)).await;
    assert_eq!((trail.records.len(), trail.gap), (55, None));
}
