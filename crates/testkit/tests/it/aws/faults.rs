//! Faults, throttles, and what is refused before any service sees it.

use std::time::Instant;

use layer0_testkit::aws::{Effect, FakeAwsConfig, Fault, Service, throttle};
use serde_json::json;

use super::client::{Client, network, tag};

const RUN: &str = "AmazonEC2ContainerServiceV20141113.RunTask";

#[tokio::test]
async fn a_lost_answer_was_executed() {
    let client = Client::with_cluster().await;
    let definition = client.definition("job", "team/job:1").await;
    client.aws.fault(Fault::on(Service::Ecs, "RunTask", Effect::LostAnswer));
    let wanted = json!({
        "cluster": "c", "taskDefinition": definition, "launchType": "FARGATE", "networkConfiguration": network(),
        "clientToken": "once",
    });
    assert!(client.try_json(RUN, &wanted).await.is_none(), "the connection was closed");
    assert_eq!(client.aws.world().tasks().len(), 1, "but the task runs");
    let again = client.ecs("RunTask", wanted).await.expect("the fault is over");
    assert_eq!(again["tasks"].as_array().map(Vec::len), Some(1));
    assert_eq!(client.aws.world().tasks().len(), 1, "the token made it one");
    let statuses: Vec<u16> =
        client.aws.calls().iter().filter(|call| call.operation == "RunTask").map(|call| call.status).collect();
    assert_eq!(statuses, [0, 200]);
}

#[tokio::test]
async fn refusals_speak_the_protocol() {
    let client = Client::with_cluster().await;
    client.aws.fault(Fault::on_service(Service::Ecs, Effect::Throttle));
    let throttled = client.ecs("ListClusters", json!({})).await.expect_err("throttled");
    assert_eq!((throttled.status, throttled.code.as_str()), (400, "ThrottlingException"));
    client.aws.fault(Fault::on_any(Effect::ServerError).nth(2));
    client.ecs("ListClusters", json!({})).await.expect("the first is spared");
    let broken = client.query("2010-05-15", "DescribeStacks", &[]).await.expect_err("the second is not");
    assert_eq!((broken.status, broken.code.as_str()), (500, "InternalFailure"));
    client.aws.fault(Fault::on(Service::Ec2, "DescribeSubnets", Effect::AccessDenied { message: None }));
    let denied = client.query("2016-11-15", "DescribeSubnets", &[]).await.expect_err("denied");
    assert_eq!((denied.status, denied.code.as_str()), (403, "UnauthorizedOperation"));
    assert!(denied.message.contains("ec2:DescribeSubnets"), "{}", denied.message);
    client.query("2016-11-15", "DescribeSubnets", &[]).await.expect("once only");
}

#[tokio::test]
async fn a_timeout_has_no_answer_and_no_effect() {
    let client = Client::with_cluster_and(FakeAwsConfig { timeout_ms: 30, ..FakeAwsConfig::default() }).await;
    client.aws.fault(Fault::on(Service::Logs, "CreateLogGroup", Effect::Timeout));
    let before = Instant::now();
    let target = "Logs_20140328.CreateLogGroup";
    assert!(client.try_json(target, &json!({"logGroupName": "g"})).await.is_none());
    assert!(before.elapsed().as_millis() >= 30);
    assert!(client.aws.world().log_groups().is_empty());
    client.aws.fault(Fault::on(Service::Logs, "CreateLogGroup", Effect::Delay(30)));
    let before = Instant::now();
    client.logs("CreateLogGroup", json!({"logGroupName": "g"})).await.expect("late, but there");
    assert!(before.elapsed().as_millis() >= 30);
}

#[tokio::test]
async fn one_creation_can_stay_unseen() {
    let client = Client::with_cluster().await;
    client.aws.fault(Fault::on(Service::Logs, "CreateLogGroup", Effect::NotVisibleFor(3_600_000)));
    for name in ["hidden", "seen"] {
        client.logs("CreateLogGroup", json!({"logGroupName": name})).await.expect("it is new");
    }
    let listed = client.logs("DescribeLogGroups", json!({})).await.expect("a list");
    let names: Vec<_> =
        listed["logGroups"].as_array().expect("a list").iter().map(|group| &group["logGroupName"]).collect();
    assert_eq!(names, ["seen"]);
    let again = client.logs("CreateLogGroup", json!({"logGroupName": "hidden"})).await.expect_err("its name is taken");
    assert_eq!(again.code, "ResourceAlreadyExistsException");
}

#[tokio::test]
async fn buckets_run_dry() {
    let throttles = throttle::documented();
    let client = Client::start(FakeAwsConfig { throttles, ..FakeAwsConfig::default() }).await;
    client.aws.log("logs", "a", 1, "x");
    let mut refused = 0;
    for _ in 0..12 {
        if let Err(refusal) = client.logs("DescribeLogStreams", json!({"logGroupName": "logs"})).await {
            assert_eq!(refusal.code, "ThrottlingException");
            refused += 1;
        }
    }
    assert!(refused >= 1, "five a second are allowed");
    client.logs("DescribeLogGroups", json!({})).await.expect("another bucket");
}

#[tokio::test]
async fn what_nobody_knows_is_refused_by_name() {
    let client = Client::with_cluster().await;
    let unknown = client.ecs("CreateCapacityProvider", json!({})).await.expect_err("the fake does not know it");
    assert_eq!(unknown.code, "UnknownOperationException");
    assert!(unknown.message.contains("ecs:CreateCapacityProvider"), "{}", unknown.message);
    let scaling = client.query("2011-01-01", "DescribeAutoScalingGroups", &[]).await.expect_err("nor this");
    assert_eq!(scaling.code, "InvalidAction");
    let (status, body) = client.send(&[("x-amz-target", RUN)], "{}").await.expect("an answer");
    assert_eq!(status, 403);
    assert!(body.contains("MissingAuthenticationToken"), "{body}");
    let calls = client.aws.calls();
    assert_eq!(calls.len(), 3, "all of them came in over the wire");
    assert_eq!(calls[1].service, None);
    client.aws.calls_clear();
    assert!(client.aws.calls().is_empty());
}

#[tokio::test]
async fn the_caller_has_an_identity() {
    let client = Client::with_cluster().await;
    let xml = client.query("2011-06-15", "GetCallerIdentity", &[]).await.expect("always");
    assert_eq!(tag(&xml, "Account"), Some("123456789012"));
}
