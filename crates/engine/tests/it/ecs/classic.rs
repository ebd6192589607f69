//! A service behind a classic load balancer: its copies are as healthy as the load balancer finds their machines.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use layer0_domain::model::failure::{Failure, FailureClass};
use layer0_domain::model::load_balancer::LoadBalancerKind;
use layer0_domain::model::task_definition::Document;
use layer0_domain::port::engine::{CopyState, Engine, ServiceSeen, ServiceSpec, Want};
use layer0_domain::port::pull::Launch;
use layer0_engine::ecs::EcsEngine;
use layer0_testkit::aws::{Behaviour, Effect, FakeAws, FakeAwsConfig, Fault, Service};
use layer0_testkit::until::until;
use serde_json::json;

use super::going_back::{called, seen};
use super::stage;

const HEALTH: &str = "DescribeInstanceHealth";
const MACHINES: &str = "DescribeContainerInstances";

/// A second of AWS's that lasts longer than a test: health checks that take seconds never come to an end by themselves.
const FOREVER_MS: u64 = 3_600_000;

async fn world(second_ms: u64) -> FakeAws {
    FakeAws::start(FakeAwsConfig { second_ms, ..FakeAwsConfig::default() }).await
}

/// An environment with machines.
fn environment() -> Want {
    let Want::Environment { mut environment, reachable_from } = stage::environment() else {
        unreachable!("the stage's environment is one")
    };
    environment.scale = 4;
    Want::Environment { environment, reachable_from }
}

fn load_balancer() -> Want {
    let Want::LoadBalancer { mut load_balancer, reachable_from } = stage::load_balancer() else {
        unreachable!("the stage's load balancer is one")
    };
    load_balancer.kind = LoadBalancerKind::Classic;
    Want::LoadBalancer { load_balancer, reachable_from }
}

/// A service of two copies that nobody checks but the load balancer.
fn service(image: &str, generation: u64) -> ServiceSpec {
    let document = json!({ "containerDefinitions": [{
        "name": "web",
        "image": format!("123456789012.dkr.ecr.us-east-1.amazonaws.com/{image}"),
        "memory": 64,
        "portMappings": [{ "containerPort": 80, "hostPort": 80 }],
    }] });
    let mut spec = stage::service(1, image, generation, true);
    spec.revision.definition = Document::from_canonical(document).expect("a legal document").definition_with_document();
    spec.launch = Launch::Ec2;
    spec
}

/// An environment with machines, and a classic load balancer in it.
async fn ready(engine: &dyn Engine) {
    for want in [environment(), load_balancer()] {
        stage::ensure(engine, &want).await.expect("it can be made");
        stage::settled(engine, &want).await.expect("it can be made");
    }
}

/// The same for an engine to which it is there already.
async fn told(engine: &dyn Engine, spec: &ServiceSpec) {
    ready(engine).await;
    stage::ensure(engine, &Want::Service(spec.clone())).await.expect("it is taken");
}

/// Makes an application behind a classic load balancer, rolls another version out, and takes all of it away again.
pub(super) async fn workflow(engine: &dyn Engine) -> Result<(), Box<Failure>> {
    let versions = [service("app:1", 1), service("app:2", 2)];
    stage::workflow_of(engine, environment(), load_balancer(), None, versions).await
}

/// The tasks that run.
fn running(aws: &FakeAws) -> BTreeSet<String> {
    aws.world().running().into_values().flatten().collect()
}

/// How many copies are in this state.
fn count(seen: &ServiceSeen, state: CopyState) -> usize {
    seen.copies.iter().filter(|copy| copy.state == state).count()
}

/// Waits until both copies run and the load balancer was asked about them, and then so many times more.
async fn asked(aws: &FakeAws, times: usize) {
    until("both copies to run", || async {
        let running = running(aws);
        if running.len() == 2 { Ok(()) } else { Err(format!("{running:?}")) }
    })
    .await;
    // The second of these looks began when both ran.
    for times in [2, times] {
        aws.calls_clear();
        until("the load balancer to be asked", || async {
            let asked = called(aws, HEALTH);
            if asked >= times { Ok(()) } else { Err(asked) }
        })
        .await;
    }
}

/// Looks that take longer together than a copy that nobody checks has to run for.
fn settling() -> usize {
    let config = stage::config();
    usize::try_from(config.settle.as_millis() / config.look_busy.as_millis()).expect("it is small") + 2
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_are_healthy_when_their_machines_are_in_service_and_not_before() {
    let aws = world(FOREVER_MS).await;
    let engine = stage::engine(&aws).await;
    let spec = service("app:1", 1);
    told(engine.as_ref(), &spec).await;
    asked(&aws, settling()).await;
    let now = seen(engine.as_ref(), &spec).await;
    assert_eq!((count(&now, CopyState::Starting), now.copies.len()), (2, 2), "{now:#?}");
    assert_eq!(now.warnings, Vec::<String>::new());
    let (looks, asked) = (called(&aws, "DescribeServices"), called(&aws, HEALTH));
    assert!(asked <= looks + 1, "{asked} questions in {looks} looks");
    assert_eq!(called(&aws, MACHINES), 0, "what machines they run on is known");

    for (at, task) in running(&aws).iter().enumerate() {
        aws.target_health(task, true);
        until("one more copy to be healthy", || async {
            let now = seen(engine.as_ref(), &spec).await;
            if count(&now, CopyState::Healthy) == at + 1 { Ok(()) } else { Err(format!("{now:#?}")) }
        })
        .await;
    }
    stage::settled(engine.as_ref(), &Want::Service(spec.clone())).await.expect("both are healthy");
    // Where nothing is under way nobody asks.
    until("quiet looks", || async {
        aws.calls_clear();
        let asked = until("looks", || async {
            let looks = called(&aws, "DescribeServices");
            if looks >= 3 { Ok(called(&aws, HEALTH)) } else { Err(looks) }
        })
        .await;
        if asked == 0 { Ok(()) } else { Err(asked) }
    })
    .await;

    aws.configure(|config| config.second_ms = 1);
    for want in [Want::Service(spec), load_balancer(), environment()] {
        stage::remove(engine.as_ref(), &want.entity()).await.expect("it can be taken away");
    }
    assert_eq!(stage::left(&aws), Vec::<String>::new());
}

/// Each machine is asked for once, whatever services and roll-outs it carries.
#[tokio::test(flavor = "multi_thread")]
async fn a_roll_out_goes_from_version_to_version_and_asks_for_each_machine_once() {
    let aws = world(1).await;
    let engine = stage::engine(&aws).await;
    ready(engine.as_ref()).await;
    aws.calls_clear();
    for generation in 1..=4 {
        let want = Want::Service(service(&format!("app:{generation}"), generation));
        stage::ensure(engine.as_ref(), &want).await.expect("it is taken");
        stage::settled(engine.as_ref(), &want).await.expect("it comes up");
    }
    let asked = called(&aws, MACHINES);
    assert!((1..=4).contains(&asked), "{asked} questions for four machines");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_load_balancer_has_against_a_machine_is_told() {
    let aws = world(FOREVER_MS).await;
    let engine = stage::engine(&aws).await;
    let spec = service("app:1", 1);
    told(engine.as_ref(), &spec).await;
    asked(&aws, 1).await;
    let task = running(&aws).into_iter().next().expect("one runs");
    aws.target_health(&task, false);
    let waiting = until("the cause to be told", || async {
        let now = seen(engine.as_ref(), &spec).await;
        let waiting = now.waiting_for.clone().unwrap_or_default();
        let is_told = count(&now, CopyState::Unhealthy) == 1 && waiting.contains("Instance has failed");
        if is_told { Ok(waiting) } else { Err(format!("{now:#?}")) }
    })
    .await;
    assert!(waiting.starts_with("the load balancer to find i-"), "{waiting}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_stays_out_of_service_fails_the_roll_out() {
    let aws = world(1).await;
    aws.behave("app:1", Behaviour::UnhealthyTarget);
    let engine = stage::engine(&aws).await;
    let spec = service("app:1", 1);
    told(engine.as_ref(), &spec).await;
    let cause = until("the deployment to have failed", || async {
        let now = seen(engine.as_ref(), &spec).await;
        assert_eq!(count(&now, CopyState::Healthy), 0, "{now:#?}");
        let failures = now.failures.iter().find(|it| it.in_a_row >= 3);
        failures.map(|it| it.last.clone()).ok_or_else(|| format!("{now:#?}"))
    })
    .await;
    assert_eq!(cause.class, FailureClass::Unhealthy);
    assert!(cause.message.starts_with("the load balancer's health check did not pass"), "{cause:?}");
    assert!(cause.message.contains("(elb l0-"), "{cause:?}");
}

/// Without the right to ask, a copy is healthy when it has run for a while, as one that nobody checks; which right is missing is
/// told while copies come up and afterwards, and it is not asked over and over.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_ask_a_while_has_to_do_and_it_is_told() {
    for (service_of, operation, action) in [
        (Service::Elb, HEALTH, "elasticloadbalancing:DescribeInstanceHealth"),
        (Service::Ecs, MACHINES, "ecs:DescribeContainerInstances"),
    ] {
        let aws = world(FOREVER_MS).await;
        let denied = Fault::on(service_of, operation, Effect::AccessDenied { message: None });
        aws.fault(denied.times(u64::MAX));
        let spec = service("app:1", 1);
        let mut patient = stage::config();
        patient.settle = Duration::from_secs(3600);
        let engine: Arc<dyn Engine> = Arc::new(EcsEngine::start(patient, &stage::sdk(&aws).await));
        told(engine.as_ref(), &spec).await;
        until("the missing right to be told", || async {
            let now = seen(engine.as_ref(), &spec).await;
            let waiting = now.waiting_for.clone().unwrap_or_default();
            let is_told = waiting.starts_with("copies to run for 3600s")
                && waiting.contains(&format!("access denied to {action}"))
                && count(&now, CopyState::Starting) == 2;
            if is_told { Ok(()) } else { Err(format!("{now:#?}")) }
        })
        .await;
        drop(engine);

        aws.calls_clear();
        let engine = stage::engine(&aws).await;
        told(engine.as_ref(), &spec).await;
        stage::settled(engine.as_ref(), &Want::Service(spec.clone())).await.expect("time makes them healthy");
        let now = seen(engine.as_ref(), &spec).await;
        let warned = now.warnings.iter().any(|warning| {
            warning.contains(&format!("access denied to {action}")) && warning.contains("when it has run for 150ms")
        });
        assert!(warned, "{now:#?}");
        assert_eq!(called(&aws, operation), 1, "once refused, it is left alone");
    }
}

/// Whoever has trouble with AWS's servers waits, and does not take the copies for healthy meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn trouble_is_waited_out() {
    let aws = world(1).await;
    let engine = stage::engine(&aws).await;
    for (operation, service_of) in [(HEALTH, Service::Elb), (MACHINES, Service::Ecs)] {
        for effect in [Effect::Throttle, Effect::ServerError, Effect::LostAnswer] {
            aws.fault(Fault::on(service_of, operation, effect).times(3));
        }
    }
    let spec = service("app:1", 1);
    told(engine.as_ref(), &spec).await;
    stage::settled(engine.as_ref(), &Want::Service(spec.clone())).await.expect("it comes up");
    assert_eq!(seen(engine.as_ref(), &spec).await.warnings, Vec::<String>::new());
    let failed = aws.calls().iter().filter(|call| call.operation == HEALTH && call.status != 200).count();
    assert!(failed >= 3, "{failed} calls went wrong");
}
