//! How many calls things take, counted at the wire.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use layer0_domain::port::engine::{CopySeen, CopyState, Engine, EngineError, Scope, ServiceSpec, Want};
use layer0_engine::ecs::{EcsConfig, EcsEngine};
use layer0_testkit::aws::{Effect, FakeAws, FakeAwsConfig, Fault, Service};
use layer0_testkit::until::until;

use super::stage;

/// The calls by operation.
fn counted(aws: &FakeAws) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for call in aws.calls() {
        *counts.entry(call.operation).or_default() += 1;
    }
    counts
}

async fn world() -> FakeAws {
    FakeAws::start(FakeAwsConfig::default()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_behind_a_load_balancer_takes_few_calls_to_create_and_none_to_read() {
    let aws = world().await;
    let engine = stage::engine(&aws).await;
    for want in [stage::environment(), stage::load_balancer()] {
        stage::ensure(engine.as_ref(), &want).await.expect("it can be made");
        stage::settled(engine.as_ref(), &want).await.expect("it can be made");
    }
    aws.calls_clear();
    let want = Want::Service(stage::service(1, "app:1", 1, true));
    stage::ensure(engine.as_ref(), &want).await.expect("it can be made");
    let counts = counted(&aws);
    let to_create: usize = counts.values().sum();
    assert!(to_create <= 8, "{to_create} calls to create a service: {counts:?}");
    stage::settled(engine.as_ref(), &want).await.expect("it comes up");

    // Quiet now: what is read comes from what is known.
    until("the service to be quiet", || async {
        aws.calls_clear();
        for _ in 0..20 {
            engine.observe(Scope::One(want.entity())).await.map_err(|error| error.to_string())?;
        }
        let counts = counted(&aws);
        match counts.keys().any(|operation| !["DescribeServices", "ListTasks"].contains(&operation.as_str())) {
            false => Ok(()),
            true => Err(format!("{counts:?}")),
        }
    })
    .await;
}

/// A server that was not told of a service reads it with three calls, besides those that find its cluster.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_another_server_keeps_is_read_with_three_calls() {
    let aws = world().await;
    let engine = stage::engine(&aws).await;
    let want = Want::Service(stage::service(1, "app:1", 1, false));
    for want in [stage::environment(), want.clone()] {
        stage::ensure(engine.as_ref(), &want).await.expect("it can be made");
        stage::settled(engine.as_ref(), &want).await.expect("it can be made");
    }
    drop(engine);
    let other = stage::engine(&aws).await;
    aws.calls_clear();
    let seen = other.observe(Scope::One(want.entity())).await.expect("AWS answers");
    assert_eq!(seen.services.len(), 1);
    let counts = counted(&aws);
    let ecs: usize = counts.iter().filter(|(operation, _)| *operation != "DescribeStacks").map(|(_, n)| n).sum();
    assert!(ecs <= 3, "{counts:?}");
}

/// So many services of ten copies each, in one cluster.
const SERVICES: u32 = 300;
const COPIES: u32 = 10;
/// What observing them once may cost: ⌈services/10⌉ + ⌈tasks/100⌉.
const BUDGET: usize = (SERVICES.div_ceil(10) + (SERVICES * COPIES).div_ceil(100)) as usize;

const NEVER: Duration = Duration::from_secs(3600);

fn wants() -> Vec<Want> {
    let service = |number| ServiceSpec { desired_count: COPIES, ..stage::service(number, "app:1", 1, false) };
    (0..SERVICES).map(|number| Want::Service(service(number))).collect()
}

/// A world in which all of them are up.
async fn filled() -> FakeAws {
    let aws = world().await;
    let engine = stage::engine(&aws).await;
    let environment = stage::environment();
    stage::ensure(engine.as_ref(), &environment).await.expect("it can be made");
    stage::settled(engine.as_ref(), &environment).await.expect("it can be made");
    let wants = wants();
    join_all(wants.iter().map(|want| stage::ensure(engine.as_ref(), want))).await;
    for want in &wants {
        stage::settled(engine.as_ref(), want).await.expect("it comes up");
    }
    aws
}

/// An engine that was told of all of them and has found them quiet.
async fn quiet(aws: &FakeAws, change: impl FnOnce(&mut EcsConfig)) -> EcsEngine {
    let mut config = stage::config();
    change(&mut config);
    let engine = EcsEngine::start(config, &stage::sdk(aws).await);
    stage::ensure(&engine, &stage::environment()).await.expect("it is there");
    let wants = wants();
    join_all(wants.iter().map(|want| stage::ensure(&engine, want))).await;
    for want in &wants {
        stage::settled(&engine, want).await.expect("it is up");
    }
    until("the tasks not to be read any more", || async {
        aws.calls_clear();
        let looked = until("a look", || async { if aws.calls().is_empty() { Err("none") } else { Ok(counted(aws)) } });
        let looked = looked.await;
        if looked.contains_key("DescribeTasks") { Err(format!("{looked:?}")) } else { Ok(()) }
    })
    .await;
    engine
}

/// Hundreds of quiet services with thousands of tasks: ten services a call, and no task.
#[tokio::test(flavor = "multi_thread")]
async fn looking_at_quiet_services_costs_a_tenth_of_a_call_each() {
    let aws = filled().await;
    let engine = quiet(&aws, |config| {
        config.look_stops = NEVER;
        config.look_quiet = Duration::from_millis(300);
    })
    .await;
    let pass = SERVICES.div_ceil(10) as usize;
    aws.calls_clear();
    let counts = until("three looks", || async {
        let counts = counted(&aws);
        if counts.get("DescribeServices").is_some_and(|n| *n >= 3 * pass) { Ok(counts) } else { Err("fewer") }
    })
    .await;
    let total: usize = counts.values().sum();
    assert!(total <= 4 * BUDGET && counts.len() == 1, "{counts:?}");
    drop(engine);
}

/// Of many services the one of which a copy crashed is looked at, and nobody looks at the others for that.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_is_seen_without_a_look_at_all_services() {
    let aws = filled().await;
    let engine = quiet(&aws, |config| config.look_quiet = NEVER).await;
    let want = &wants()[17];
    let name = aws.world().running().into_iter().find(|(name, _)| name.ends_with("-web-17")).expect("it runs");
    let (crashed, observed) = (name.1[0].clone(), want.entity());
    aws.calls_clear();
    aws.crash(&crashed, 1);
    until("the crash to be seen", || async {
        let seen = engine.observe(Scope::One(observed.clone())).await.map_err(|error| error.to_string())?;
        let gone = |copy: &CopySeen| copy.id.as_str() == crashed && copy.state == CopyState::Stopped;
        if seen.services.iter().flat_map(|service| &service.copies).any(gone) {
            Ok(())
        } else {
            Err("not yet".to_owned())
        }
    })
    .await;
    until("the lost copy to be told", || async {
        let seen = engine.observe(Scope::One(observed.clone())).await.map_err(|error| error.to_string())?;
        let lost = seen.services.iter().find_map(|service| service.lost.clone());
        let lost = lost.ok_or_else(|| "not yet".to_owned())?;
        assert_eq!(lost.count, 1);
        assert!(lost.last.message.contains("exit code 1"), "{}", lost.last.message);
        Ok::<(), String>(())
    })
    .await;
    let counts = counted(&aws);
    let services = counts.get("DescribeServices").copied().unwrap_or_default();
    assert!(services < SERVICES.div_ceil(10) as usize, "{counts:?}");
}

/// A server that starts is told of everything: ten services a call; and told again, as it is from time to time, of nothing.
#[tokio::test(flavor = "multi_thread")]
async fn being_told_of_many_services_costs_a_tenth_of_a_call_each_and_nothing_again() {
    let aws = filled().await;
    let mut config = stage::config();
    // Nobody looks but those who are told.
    (config.look_busy, config.look_stops) = (NEVER, NEVER);
    let engine = EcsEngine::start(config, &stage::sdk(&aws).await);
    stage::ensure(&engine, &stage::environment()).await.expect("it is there");
    // It looks at its stack in its own time.
    stage::settled(&engine, &stage::environment()).await.expect("it is there");
    let wants = wants();
    for allowed in [BUDGET, 0] {
        aws.calls_clear();
        let told = join_all(wants.iter().map(|want| stage::ensure(&engine, want))).await;
        assert!(told.iter().all(Result::is_ok), "{told:?}");
        let counts = counted(&aws);
        let total: usize = counts.values().sum();
        assert!(total <= allowed && counts.keys().all(|it| it == "DescribeServices"), "{counts:?}");
    }
}

/// Whoever is throttled and told for how long tells it on, and goes on by itself afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_throttle_that_says_how_long_is_told_so() {
    let aws = world().await;
    let engine = stage::engine(&aws).await;
    stage::ensure(engine.as_ref(), &stage::environment()).await.expect("it can be made");
    aws.fault(Fault::on(Service::Ecs, "DescribeServices", Effect::ThrottleFor(7)).times(u64::MAX));
    let want = Want::Service(stage::service(1, "app:1", 1, false));
    match engine.ensure(want.clone()).await {
        Err(EngineError::Throttled { after }) => assert_eq!(after, Duration::from_secs(7)),
        other => panic!("{other:?}"),
    }
    aws.faults_clear();
    stage::settled(engine.as_ref(), &want).await.expect("the loop goes on by itself");
    let creates: Vec<_> = aws.calls().into_iter().filter(|call| call.operation == "CreateService").collect();
    assert_eq!(creates.len(), 1, "{creates:?}");
}
