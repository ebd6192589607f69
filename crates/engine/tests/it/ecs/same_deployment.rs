//! A roll-out of the deployment that runs already: ECS goes back to the copies before, and the service goes on with them.

use std::sync::Arc;

use layer0_domain::model::load_balancer::{LoadBalancer, Port, Protocol};
use layer0_domain::model::time::Generation;
use layer0_domain::port::engine::{Engine, ServiceSpec, Want};
use layer0_testkit::aws::{Behaviour, FakeAws, FakeAwsConfig};
use layer0_testkit::until::until;
use serde_json::Value;

use super::going_back::{called, seen};
use super::stage;

/// A load balancer that leads to these container ports.
fn balancer(generation: u64, ports: &[(u16, u16)]) -> Want {
    let Want::LoadBalancer { load_balancer, reachable_from } = stage::load_balancer() else {
        unreachable!("the stage's load balancer is one")
    };
    let ports = ports.iter().map(|(host, container)| Port::forward(*host, *container, Protocol::Http)).collect();
    let load_balancer = LoadBalancer { ports, generation: Generation(generation), ..load_balancer };
    Want::LoadBalancer { load_balancer, reachable_from }
}

async fn made(engine: &dyn Engine, want: &Want) {
    stage::ensure(engine, want).await.unwrap_or_else(|failure| panic!("{}: {}", want.entity(), failure.message));
    stage::settled(engine, want).await.unwrap_or_else(|failure| panic!("{}: {}", want.entity(), failure.message));
}

fn service(aws: &FakeAws) -> Value {
    aws.world().services().remove(0)
}

/// The container ports that the service is registered for.
fn registered(aws: &FakeAws) -> Vec<i64> {
    let service = service(aws);
    let all = service["loadBalancers"].as_array().cloned().unwrap_or_default();
    let mut ports: Vec<i64> = all.iter().filter_map(|it| it["containerPort"].as_i64()).collect();
    ports.sort_unstable();
    ports
}

/// Waits until no roll-out is under way.
async fn at_rest(aws: &FakeAws) {
    until("the roll-out to be at its end", || async {
        let service = service(aws);
        let alone = service["deployments"].as_array().map(Vec::len) == Some(1);
        if service["currentServiceDeployment"].is_null() && alone { Ok(()) } else { Err(service.to_string()) }
    })
    .await;
}

/// A service of one container with two ports that runs behind a load balancer, whose next copies can't be started.
async fn running() -> (FakeAws, Arc<dyn Engine>, ServiceSpec) {
    // Slow enough that the engine sees the roll-out before it fails.
    let aws = FakeAws::start(FakeAwsConfig { restart_backoff_ms: 150, ..FakeAwsConfig::default() }).await;
    let engine = stage::engine(&aws).await;
    let mut spec = stage::service(1, "app:1", 1, true);
    spec.revision.definition = stage::definition_with_ports("app:1", &[80, 81]);
    for want in [stage::environment(), balancer(1, &[(80, 80)]), Want::Service(spec.clone())] {
        made(engine.as_ref(), &want).await;
    }
    at_rest(&aws).await;
    aws.behave("app:1", Behaviour::CannotStart { reason: "no such file".to_owned() });
    aws.calls_clear();
    (aws, engine, spec)
}

/// The number of copies changes both ways, though a roll-out of the same deployment failed.
async fn scales(aws: &FakeAws, engine: &dyn Engine, mut spec: ServiceSpec) -> ServiceSpec {
    aws.behave("app:1", Behaviour::Serves);
    for count in [4, 1] {
        spec.desired_count = count;
        spec.generation = spec.generation.next();
        let want = Want::Service(spec.clone());
        made(engine, &want).await;
        let seen = seen(engine, &spec).await;
        assert_eq!(seen.failures, [], "what failed was something else");
    }
    spec
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_could_not_be_registered_elsewhere_is_scaled_and_left_alone() {
    let (aws, engine, spec) = running().await;
    made(engine.as_ref(), &balancer(2, &[(80, 80), (81, 81)])).await;
    until("the service to be rolled out", || async {
        if registered(&aws) == [80, 81] { Ok(()) } else { Err(format!("{:?}", registered(&aws))) }
    })
    .await;
    at_rest(&aws).await;
    assert_eq!(registered(&aws), [80], "ECS went back");
    let spec = scales(&aws, engine.as_ref(), spec).await;
    assert_eq!(called(&aws, "UpdateService"), 3, "registered once, scaled twice");
    assert_eq!(registered(&aws), [80]);
    let warnings = seen(engine.as_ref(), &spec).await.warnings;
    assert!(warnings.iter().any(|it| it.contains("not registered for all ports")), "{warnings:?}");
    // Nothing is under way, so nobody asks how the load balancer finds its copies.
    until("quiet looks", || async {
        aws.calls_clear();
        let asked = until("two looks", || async {
            let looks = called(&aws, "DescribeServices");
            if looks >= 2 { Ok(called(&aws, "DescribeTargetHealth")) } else { Err(looks) }
        })
        .await;
        if asked == 0 { Ok(()) } else { Err(asked) }
    })
    .await;
    // Another load balancer is another matter.
    made(engine.as_ref(), &balancer(3, &[(80, 80), (82, 81)])).await;
    until("the service to be registered for both", || async {
        if registered(&aws) == [80, 81] { Ok(()) } else { Err(format!("{:?}", registered(&aws))) }
    })
    .await;
    made(engine.as_ref(), &Want::Service(spec.clone())).await;
    at_rest(&aws).await;
    assert_eq!(registered(&aws), [80, 81]);
    until("the warning to go", || async {
        let warnings = seen(engine.as_ref(), &spec).await.warnings;
        if warnings.is_empty() { Ok(()) } else { Err(format!("{warnings:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_forced_roll_out_failed_is_scaled() {
    let (aws, engine, spec) = running().await;
    let service = service(&aws);
    let text = |key: &str| service[key].as_str().expect("a text").to_owned();
    let client = aws_sdk_ecs::Client::new(&stage::sdk(&aws).await);
    let call = client.update_service().cluster(text("clusterArn")).service(text("serviceName"));
    call.force_new_deployment(true).send().await.expect("it may be rolled out anew");
    until("the roll-out to be read", || async {
        if called(&aws, "DescribeServiceDeployments") > 0 { Ok(()) } else { Err("not yet") }
    })
    .await;
    at_rest(&aws).await;
    scales(&aws, engine.as_ref(), spec).await;
}
