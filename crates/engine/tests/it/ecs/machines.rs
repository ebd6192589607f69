//! Environments with machines of their own, and kinds of load balancers.

use layer0_domain::model::load_balancer::{LoadBalancerKind, Port, Protocol};
use layer0_domain::model::time::Generation;
use layer0_domain::port::engine::{Engine, Removed, Want};
use layer0_domain::port::pull::Launch;
use layer0_testkit::aws::{FakeAws, FakeAwsConfig};
use layer0_testkit::until::until;

use super::stage;

/// Makes it so and waits for it.
async fn made(engine: &dyn Engine, want: &Want) {
    stage::ensure(engine, want).await.unwrap_or_else(|failure| panic!("{}: {}", want.entity(), failure.message));
    stage::settled(engine, want).await.unwrap_or_else(|failure| panic!("{}: {}", want.entity(), failure.message));
}

fn with_machines(scale: u32, generation: u64) -> Want {
    let Want::Environment { mut environment, reachable_from } = stage::environment() else {
        unreachable!("the stage's environment is one")
    };
    environment.scale = scale;
    environment.generation = Generation(generation);
    Want::Environment { environment, reachable_from }
}

/// What is stateful runs on the environment's machines, which come and go with the environment.
#[tokio::test(flavor = "multi_thread")]
async fn a_stateful_service_runs_on_the_machines_of_its_environment() {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    let engine = stage::engine(&aws).await;
    made(engine.as_ref(), &with_machines(2, 1)).await;
    let mut spec = stage::service(1, "db:1", 1, false);
    spec.launch = Launch::Ec2;
    made(engine.as_ref(), &Want::Service(spec.clone())).await;
    let tasks = aws.world().tasks();
    let on_machines =
        |task: &serde_json::Value| task["launchType"] == "EC2" && task["capacityProviderName"].is_string();
    assert!(!tasks.is_empty() && tasks.iter().all(on_machines), "{tasks:#?}");
    for want in [Want::Service(spec), stage::environment()] {
        stage::remove(engine.as_ref(), &want.entity()).await.expect("it can be taken away");
    }
    assert_eq!(stage::left(&aws), Vec::<String>::new());
}

/// Behind a load balancer that sends to addresses a copy on a machine gets one, where its document says nothing of networks.
#[tokio::test(flavor = "multi_thread")]
async fn a_stateful_service_stands_behind_a_load_balancer() {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    let engine = stage::engine(&aws).await;
    made(engine.as_ref(), &with_machines(2, 1)).await;
    made(engine.as_ref(), &stage::load_balancer()).await;
    let mut spec = stage::service(1, "db:1", 1, true);
    spec.launch = Launch::Ec2;
    made(engine.as_ref(), &Want::Service(spec)).await;
    let tasks = aws.world().tasks();
    let has_address =
        |task: &serde_json::Value| task["launchType"] == "EC2" && task["attachments"][0]["id"].is_string();
    assert!(!tasks.is_empty() && tasks.iter().all(has_address), "{tasks:#?}");
}

/// The machines go before the cluster that they are registered in: a cluster with machines can't be deleted.
#[tokio::test(flavor = "multi_thread")]
async fn an_environment_with_machines_goes_at_the_first_try() {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    let engine = stage::engine(&aws).await;
    made(engine.as_ref(), &with_machines(2, 1)).await;
    until("it to be gone", || async {
        match engine.remove(&stage::environment().entity()).await.expect("AWS answers") {
            Removed::Gone => Ok(()),
            Removed::Going { waiting_for } => Err(waiting_for),
            Removed::Hindered { why, .. } => panic!("{why}"),
        }
    })
    .await;
    assert_eq!(stage::left(&aws), Vec::<String>::new());
}

/// Without machines a stateful service waits for them, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_stateful_service_waits_for_machines() {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    let engine = stage::engine(&aws).await;
    made(engine.as_ref(), &with_machines(0, 1)).await;
    let mut spec = stage::service(1, "db:1", 1, false);
    spec.launch = Launch::Ec2;
    let want = Want::Service(spec);
    stage::ensure(engine.as_ref(), &want).await.expect("it is taken");
    let scope = layer0_domain::port::engine::Scope::One(want.entity());
    let seen = engine.observe(scope).await.expect("AWS answers");
    let waiting = seen.services[0].waiting_for.clone().unwrap_or_default();
    assert!(waiting.contains("machines"), "{waiting}");
    made(engine.as_ref(), &with_machines(2, 2)).await;
    stage::settled(engine.as_ref(), &want).await.expect("it comes up on them");
}

/// Each kind of load balancer stands, changes its listeners, and leaves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_load_balancer_comes_changes_and_goes() {
    let http = Port::forward(80, 80, Protocol::Http);
    let arn = "arn:aws:acm:us-east-1:123456789012:certificate/1".to_owned();
    let https = Port { host_port: 443, protocol: Protocol::Https, certificate_arn: Some(arn.clone()), ..http.clone() };
    let tcp = Port::forward(5432, 5432, Protocol::Tcp);
    let tls = Port { host_port: 5433, protocol: Protocol::Tls, certificate_arn: Some(arn), ..tcp.clone() };
    for (kind, first, then) in [
        (LoadBalancerKind::Application, vec![http.clone()], vec![http.clone(), https.clone()]),
        (LoadBalancerKind::Application, vec![tcp.clone()], vec![tls.clone()]),
        (LoadBalancerKind::Classic, vec![http.clone(), tcp], vec![https]),
    ] {
        let aws = FakeAws::start(FakeAwsConfig::default()).await;
        let engine = stage::engine(&aws).await;
        made(engine.as_ref(), &stage::environment()).await;
        let mut generation = 0;
        for ports in [first, then] {
            generation += 1;
            let Want::LoadBalancer { mut load_balancer, reachable_from } = stage::load_balancer() else {
                unreachable!("the stage's load balancer is one")
            };
            load_balancer.kind = kind;
            load_balancer.ports = ports;
            load_balancer.generation = Generation(generation);
            made(engine.as_ref(), &Want::LoadBalancer { load_balancer, reachable_from }).await;
        }
        for want in [stage::load_balancer(), stage::environment()] {
            stage::remove(engine.as_ref(), &want.entity()).await.expect("it can be taken away");
        }
        assert_eq!(stage::left(&aws), Vec::<String>::new(), "{kind:?}");
    }
}
