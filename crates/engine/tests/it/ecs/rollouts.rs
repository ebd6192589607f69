//! ECS's own record of a roll-out is followed: what ends it there is told with its cause.

use aws_sdk_ecs::types::{DeploymentAlarms, DeploymentConfiguration};
use layer0_domain::model::failure::{Failure, FailureClass};
use layer0_domain::port::engine::{CopyState, Engine, ServiceSpec, Want};
use layer0_testkit::aws::{Effect, FakeAws, FakeAwsConfig, Fault, Service};
use layer0_testkit::until::until;

use super::going_back::{called, seen};
use super::stage;

const ALARM: &str = "too-many-errors";

/// The SDK's client, as another user of the account has it.
async fn client(aws: &FakeAws) -> aws_sdk_ecs::Client {
    aws_sdk_ecs::Client::new(&stage::sdk(aws).await)
}

/// The ARN of the service deployment that is under way.
fn current(aws: &FakeAws) -> Option<String> {
    aws.world().services().remove(0)["currentServiceDeployment"].as_str().map(str::to_owned)
}

/// A service that runs its first version, with an alarm that watches its roll-outs.
async fn running(aws: &FakeAws, engine: &dyn Engine) {
    for want in [stage::environment(), Want::Service(stage::service(1, "app:1", 1, false))] {
        stage::ensure(engine, &want).await.expect("it can be made");
        stage::settled(engine, &want).await.expect("it can be made");
    }
    until("the first roll-out to be at its end", || async {
        match current(aws) {
            None => Ok(()),
            Some(arn) => Err(arn),
        }
    })
    .await;
}

/// Lets an alarm watch the roll-outs to come.
async fn watched(aws: &FakeAws) {
    let service = aws.world().services().remove(0);
    let text = |key: &str| service[key].as_str().expect("a text").to_owned();
    let alarms = DeploymentAlarms::builder().alarm_names(ALARM).enable(true).rollback(true).build().expect("complete");
    let configuration = DeploymentConfiguration::builder().alarms(alarms).build();
    let call = client(aws).await.update_service().cluster(text("clusterArn")).service(text("serviceName"));
    call.deployment_configuration(configuration).send().await.expect("it may be changed");
}

/// Rolls out a second version that gets nowhere, until it is under way.
async fn stuck(aws: &FakeAws, engine: &dyn Engine) -> ServiceSpec {
    aws.capacity("FARGATE", false);
    let second = stage::service(1, "app:2", 2, false);
    stage::ensure(engine, &Want::Service(second.clone())).await.expect("it is taken");
    until("the second to be under way", || async { current(aws).ok_or("none") }).await;
    second
}

/// Waits until the wanted deployment counts as failed.
async fn failed(engine: &dyn Engine, spec: &ServiceSpec) -> Failure {
    until("the deployment to have failed", || async {
        let seen = seen(engine, spec).await;
        let failures = seen.failures.iter().find(|it| it.deployment == spec.revision.deployment && it.in_a_row >= 3);
        failures.map(|it| it.last.clone()).ok_or_else(|| format!("{seen:#?}"))
    })
    .await
}

/// Waits until the service deployment that is under way was read.
async fn followed(aws: &FakeAws) {
    aws.calls_clear();
    until("the service deployment to be read", || async {
        if called(aws, "DescribeServiceDeployments") >= 2 { Ok(()) } else { Err("not yet") }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_that_ends_a_roll_out_is_the_cause() {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    let engine = stage::engine(&aws).await;
    running(&aws, engine.as_ref()).await;
    watched(&aws).await;
    let second = stuck(&aws, engine.as_ref()).await;
    until("the alarm to be told of", || async {
        let waiting = seen(engine.as_ref(), &second).await.waiting_for.unwrap_or_default();
        if waiting.contains(ALARM) { Ok(()) } else { Err(waiting) }
    })
    .await;
    let service = aws.world().services().remove(0);
    aws.alarm(service["serviceArn"].as_str().expect("an ARN"), ALARM);
    let cause = failed(engine.as_ref(), &second).await;
    assert_eq!(cause.class, FailureClass::Unhealthy);
    assert!(cause.message.starts_with("ECS gave the deployment up: alarm `too-many-errors` went off"), "{cause:?}");
    assert!(cause.hint.is_some_and(|hint| hint.contains("CloudWatch")));
}

/// Copies that are up are not called healthy while an alarm may still end the roll-out; when it is over, they are.
#[tokio::test(flavor = "multi_thread")]
async fn copies_are_good_when_the_watch_is_over() {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    let engine = stage::engine(&aws).await;
    running(&aws, engine.as_ref()).await;
    watched(&aws).await;
    let second = stage::service(1, "app:2", 2, false);
    let want = Want::Service(second.clone());
    stage::ensure(engine.as_ref(), &want).await.expect("it is taken");
    until("the second version to be good, and the watch over", || async {
        let open = current(&aws).is_some();
        let seen = seen(engine.as_ref(), &second).await;
        let of_it = seen.copies.iter().filter(|copy| copy.deployment.as_ref() == Some(&second.revision.deployment));
        let good = of_it.filter(|copy| copy.state == CopyState::Healthy).count();
        if good == 2 && !open && seen.waiting_for.is_none() { Ok(()) } else { Err(format!("{open} {seen:#?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_out_that_somebody_ended_in_ecs_is_told_so() {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    let engine = stage::engine(&aws).await;
    running(&aws, engine.as_ref()).await;
    let second = stuck(&aws, engine.as_ref()).await;
    followed(&aws).await;
    let arn = current(&aws).expect("it is under way");
    let stop = client(&aws).await.stop_service_deployment().service_deployment_arn(arn);
    stop.send().await.expect("it can be stopped");
    let cause = failed(engine.as_ref(), &second).await;
    assert_eq!(cause.class, FailureClass::Stopped);
    assert!(cause.message.starts_with("the roll-out was ended in ECS, and not by Layer0 (ECS: "), "{cause:?}");
}

/// Without the right to read service deployments, deployments and events have to do; it is not asked over and over.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_read_it_what_ecs_shows_has_to_do() {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    let engine = stage::engine(&aws).await;
    let denied = Fault::on(Service::Ecs, "DescribeServiceDeployments", Effect::AccessDenied { message: None });
    aws.fault(denied.times(u64::MAX));
    running(&aws, engine.as_ref()).await;
    let second = stuck(&aws, engine.as_ref()).await;
    // Only when the engine has seen it at work does it know that ECS went away from it.
    until("the engine to have looked", || async {
        let looked = called(&aws, "DescribeServices");
        let before = seen(engine.as_ref(), &second).await;
        if looked > 5 && before.generation.is_some() { Ok(()) } else { Err(looked) }
    })
    .await;
    let arn = current(&aws).expect("it is under way");
    let stop = client(&aws).await.stop_service_deployment().service_deployment_arn(arn);
    stop.send().await.expect("it can be stopped");
    let cause = failed(engine.as_ref(), &second).await;
    assert!(cause.message.starts_with("ECS gave the deployment up: "), "{cause:?}");
    assert_eq!(called(&aws, "DescribeServiceDeployments"), 1, "once refused, it is left alone");
}

/// ECS makes no task that it has no place for: only its events say why no copy comes up.
#[tokio::test(flavor = "multi_thread")]
async fn copies_that_have_no_place_are_told_with_the_reason() {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    let engine = stage::engine(&aws).await;
    let denied = Fault::on(Service::Ecs, "DescribeServiceDeployments", Effect::AccessDenied { message: None });
    aws.fault(denied.times(u64::MAX));
    running(&aws, engine.as_ref()).await;
    let second = stuck(&aws, engine.as_ref()).await;
    let last = until("the reason to be told", || async {
        let seen = seen(engine.as_ref(), &second).await;
        match (&seen.waiting_for, &seen.failures[..]) {
            (Some(waiting), [known]) if waiting.contains("Fargate capacity") => Ok(known.clone()),
            _ => Err(format!("{seen:#?}")),
        }
    })
    .await;
    assert_eq!((last.in_a_row, last.last.class), (0, FailureClass::NoCapacity), "no start failed, and ECS tries on");
    let said =
        "(ECS: Capacity is unavailable at this time. Please try again later or in a different availability zone.)";
    assert!(last.last.message.ends_with(said), "{last:?}");
    let arn = current(&aws).expect("it is under way");
    let stop = client(&aws).await.stop_service_deployment().service_deployment_arn(arn);
    stop.send().await.expect("it can be stopped");
    let cause = failed(engine.as_ref(), &second).await;
    assert_eq!(cause.class, FailureClass::NoCapacity);
    assert!(cause.message.starts_with("ECS gave the deployment up: AWS has no Fargate capacity"), "{cause:?}");
    // What is placed at last waits for nothing any more.
    aws.capacity("FARGATE", true);
    let third = stage::service(1, "app:3", 3, false);
    stage::ensure(engine.as_ref(), &Want::Service(third.clone())).await.expect("it is taken");
    stage::settled(engine.as_ref(), &Want::Service(third.clone())).await.expect("it comes up");
    let after = seen(engine.as_ref(), &third).await;
    assert!(after.waiting_for.is_none() && after.failures.iter().all(|it| it.in_a_row > 0), "{after:#?}");
}

/// What ECS gave up while no server was there is not rolled out once more.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_up_meanwhile_is_not_rolled_out_again() {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    let engine = stage::engine(&aws).await;
    running(&aws, engine.as_ref()).await;
    let second = stuck(&aws, engine.as_ref()).await;
    let arn = current(&aws).expect("it is under way");
    drop(engine);
    let stop = client(&aws).await.stop_service_deployment().service_deployment_arn(arn);
    stop.send().await.expect("it can be stopped");
    until("ECS to be back", || async { current(&aws).map_or(Ok(()), Err) }).await;
    aws.calls_clear();
    let engine = stage::engine(&aws).await;
    for want in [stage::environment(), Want::Service(second.clone())] {
        stage::ensure(engine.as_ref(), &want).await.expect("it is taken");
    }
    let cause = failed(engine.as_ref(), &second).await;
    assert_eq!(cause.class, FailureClass::Stopped, "{cause:?}");
    assert_eq!(called(&aws, "UpdateService"), 0);
    // Another version is another matter.
    aws.capacity("FARGATE", true);
    let third = Want::Service(stage::service(1, "app:3", 3, false));
    stage::ensure(engine.as_ref(), &third).await.expect("it is taken");
    stage::settled(engine.as_ref(), &third).await.expect("it comes up");
}

/// Of many services only those that are being rolled out are asked for, all in one call.
#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_under_way_is_read() {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    let engine = stage::engine(&aws).await;
    running(&aws, engine.as_ref()).await;
    let more: Vec<Want> = (2..8).map(|number| Want::Service(stage::service(number, "app:1", 1, false))).collect();
    for want in &more {
        stage::ensure(engine.as_ref(), want).await.expect("it can be made");
    }
    for want in &more {
        stage::settled(engine.as_ref(), want).await.expect("it comes up");
    }
    until("nothing to be under way", || async {
        let busy = aws.world().services().iter().filter(|it| !it["currentServiceDeployment"].is_null()).count();
        if busy == 0 { Ok(()) } else { Err(busy) }
    })
    .await;
    until("quiet looks", || async {
        aws.calls_clear();
        let counted = until("two looks", || async {
            let looks = called(&aws, "DescribeServices");
            if looks >= 4 { Ok(called(&aws, "DescribeServiceDeployments")) } else { Err(looks) }
        })
        .await;
        if counted == 0 { Ok(()) } else { Err(counted) }
    })
    .await;
    stuck(&aws, engine.as_ref()).await;
    followed(&aws).await;
    let (looks, reads) = (called(&aws, "DescribeServices"), called(&aws, "DescribeServiceDeployments"));
    assert!(reads <= looks, "{reads} reads in {looks} looks");
}
