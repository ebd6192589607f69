//! Taking away what was long in use.

use layer0_domain::port::engine::Want;
use layer0_testkit::aws::{FakeAws, FakeAwsConfig};

use super::going_back::called;
use super::stage;

/// How many streams CloudWatch shows an answer (`DescribeLogStreams`).
const A_PAGE: usize = 50;

/// Each copy that ever ran left a log stream. All are listed once, not over and over for every few that go.
#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_log_streams_go_page_by_page() {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    let engine = stage::engine(&aws).await;
    let want = Want::Service(stage::service(1, "app:1", 1, false));
    for want in [&stage::environment(), &want] {
        stage::ensure(engine.as_ref(), want).await.expect("it can be made");
        stage::settled(engine.as_ref(), want).await.expect("it can be made");
    }
    let streams = 2_000;
    for number in 0..streams {
        aws.log("l0-suite-dev-1", &format!("l0/web-1/web/{number:032x}"), 1_000, "served");
    }
    // Another service's, whose id begins with the same letters.
    aws.log("l0-suite-dev-1", "l0/web-10/web/1", 1_000, "served");
    aws.calls_clear();
    stage::remove(engine.as_ref(), &want.entity()).await.expect("it can be taken away");
    let (lists, deletes) = (called(&aws, "DescribeLogStreams"), called(&aws, "DeleteLogStream"));
    assert!(deletes >= streams, "{deletes}");
    assert!(lists <= streams / A_PAGE + 20, "{lists} lists for {deletes} streams");
    let logs = aws_sdk_cloudwatchlogs::Client::new(&stage::sdk(&aws).await);
    let left = logs.describe_log_streams().log_group_name("l0-suite-dev-1").send().await.expect("the group is there");
    let left: Vec<String> =
        left.log_streams.unwrap_or_default().into_iter().filter_map(|it| it.log_stream_name).collect();
    assert_eq!(left, ["l0/web-10/web/1"]);
}

/// AWS deletes no stack that is being changed: whoever asks for it then only has to wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_load_balancer_that_is_being_changed_goes_afterwards() {
    let aws = FakeAws::start(FakeAwsConfig { stack_resource_ms: 300, ..FakeAwsConfig::default() }).await;
    let engine = stage::engine(&aws).await;
    let want = stage::load_balancer();
    for want in [&stage::environment(), &want] {
        stage::ensure(engine.as_ref(), want).await.expect("it can be made");
        stage::settled(engine.as_ref(), want).await.expect("it can be made");
    }
    let Want::LoadBalancer { mut load_balancer, reachable_from } = want else { panic!("it is one") };
    load_balancer.idle_timeout_s += 1;
    load_balancer.generation = load_balancer.generation.next();
    let changed = Want::LoadBalancer { load_balancer, reachable_from };
    stage::ensure(engine.as_ref(), &changed).await.expect("it is taken");
    aws.calls_clear();
    stage::remove(engine.as_ref(), &changed.entity()).await.expect("it can be taken away");
    assert!(called(&aws, "DeleteStack") > 1, "the first is refused");
}
