//! Logs of what has a long history: thousands of streams, long logs, copies and deployments that are gone.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::failure::LogLine;
use layer0_domain::model::id::ServiceId;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::engine::{Engine, LogQuery, ServiceSpec, Want};
use layer0_testkit::aws::{FakeAws, FakeAwsConfig};
use layer0_testkit::until::ends;

use super::stage;

/// The log group of the stage's environment.
const GROUP: &str = "l0-suite-dev-1";

/// A moment long after any test runs: what is written then is newer than the making of its stream.
const THEN: i64 = 4_000_000_000_000;

async fn world() -> (FakeAws, std::sync::Arc<dyn Engine>) {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    let engine = stage::engine(&aws).await;
    let environment = stage::environment();
    stage::ensure(engine.as_ref(), &environment).await.expect("it is taken");
    stage::settled(engine.as_ref(), &environment).await.expect("it comes up");
    (aws, engine)
}

fn web() -> EntityRef {
    EntityRef::Service(ServiceId::parse("web-1").expect("an id"))
}

async fn lines(engine: &dyn Engine, query: LogQuery) -> Vec<LogLine> {
    let stream = engine.logs(&web(), query).await.expect("it has a log");
    let lines = ends("the log to end", stream.collect::<Vec<_>>()).await;
    lines.into_iter().map(|line| line.expect("a line")).collect()
}

/// Every stream of a service is found, however many it had, and none of a service whose id begins alike.
#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_thousand_streams_are_one_log() {
    const STREAMS: i64 = 1_200;
    let (aws, engine) = world().await;
    for number in 0..STREAMS {
        // Of deployments that had other containers, and of others.
        let container = if number % 2 == 0 { "old" } else { "main" };
        aws.log(GROUP, &format!("l0/web-1/{container}/{number:04}"), THEN + number, &format!("line {number}"));
        aws.log(GROUP, &format!("l0/web-12/main/{number:04}"), THEN + number, "of another");
    }
    let all = lines(engine.as_ref(), LogQuery::default()).await;
    let texts: Vec<&str> = all.iter().map(|line| line.line.as_str()).collect();
    let expected: Vec<String> = (0..STREAMS).map(|number| format!("line {number}")).collect();
    assert_eq!(texts, expected);
    assert_eq!(all.iter().map(|line| line.container.as_str()).collect::<BTreeSet<_>>().len(), 1_200);

    // The newest lines take a bounded number of calls, and say what they leave out.
    aws.calls_clear();
    let newest = lines(engine.as_ref(), LogQuery { tail: Some(5), ..LogQuery::default() }).await;
    assert!(newest[0].line.contains("1160 older streams are left out"), "{}", newest[0].line);
    let texts: Vec<&str> = newest[1..].iter().map(|line| line.line.as_str()).collect();
    assert_eq!(texts, expected[1_160..]);
    let calls = aws.calls().iter().filter(|call| call.operation == "GetLogEvents").count();
    // The end of a stream shows in the second answer.
    assert_eq!(calls, 2 * 40);
    assert!(aws.calls().len() < 140, "{}", aws.calls().len());

    let span = LogQuery { start: Some(Timestamp(THEN + 3)), end: Some(Timestamp(THEN + 5)), ..LogQuery::default() };
    let texts: Vec<String> = lines(engine.as_ref(), span).await.into_iter().map(|line| line.line).collect();
    assert_eq!(texts, expected[3..=5]);
}

/// Whoever follows from the newest lines on does not wait for the rest of a long log; what comes is told once.
#[tokio::test(flavor = "multi_thread")]
async fn a_follow_begins_at_the_end_of_a_long_log() {
    let (aws, engine) = world().await;
    for number in 0..25_000 {
        aws.log(GROUP, "l0/web-1/main/a", THEN + number * 10, &format!("line {number}"));
    }
    // A log is followed as long as the engine knows of its service.
    let spec = ServiceSpec { desired_count: 0, ..stage::service(1, "app:1", 1, false) };
    stage::ensure(engine.as_ref(), &Want::Service(spec)).await.expect("it is taken");
    aws.calls_clear();
    let query = LogQuery { tail: Some(2), follow: true, ..LogQuery::default() };
    let mut stream = engine.logs(&web(), query).await.expect("it has a log");
    let mut next = async || {
        let line = ends("the next line", stream.next()).await.expect("it goes on").expect("a line");
        line.line
    };
    assert_eq!([next().await, next().await], ["line 24998", "line 24999"]);
    let pages = aws.calls().iter().filter(|call| call.operation == "FilterLogEvents").count();
    assert_eq!(pages, 1, "the rest is not read");
    for number in 25_000..25_003 {
        // Late, as CloudWatch shows it: before what was told last.
        let late = if number == 25_001 { 7 } else { 0 };
        aws.log(GROUP, "l0/web-1/main/a", THEN + (number - late) * 10, &format!("line {number}"));
        assert_eq!(next().await, format!("line {number}"));
    }
}
