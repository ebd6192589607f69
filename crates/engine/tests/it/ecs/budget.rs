//! How many calls things take, counted at the wire.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use layer0_domain::port::engine::{Scope, Want};
use layer0_testkit::aws::{FakeAws, FakeAwsConfig};
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
        match counts.keys().any(|operation| operation != "DescribeServices") {
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

/// Thirty quiet services in a cluster cost three calls a look.
#[tokio::test(flavor = "multi_thread")]
async fn quiet_services_cost_a_tenth_of_a_call_a_look() {
    const SERVICES: u32 = 30;
    let aws = world().await;
    let engine = stage::engine(&aws).await;
    let environment = stage::environment();
    stage::ensure(engine.as_ref(), &environment).await.expect("it can be made");
    stage::settled(engine.as_ref(), &environment).await.expect("it can be made");
    let wants: Vec<Want> =
        (0..SERVICES).map(|number| Want::Service(stage::service(number, "app:1", 1, false))).collect();
    join_all(wants.iter().map(|want| async {
        stage::ensure(engine.as_ref(), want).await.expect("it can be made");
        stage::settled(engine.as_ref(), want).await.expect("it comes up");
    }))
    .await;
    // The loop looks at what is quiet at fixed intervals; between two of its looks there are none but these calls.
    until("looks that ask for services only, ten a call", || async {
        aws.calls_clear();
        let looked = until("two looks", || async {
            let counts = counted(&aws);
            if counts.get("DescribeServices").is_some_and(|n| *n >= 6) { Ok(counts) } else { Err("fewer") }
        })
        .await;
        if looked.len() == 1 { Ok(()) } else { Err(format!("{looked:?}")) }
    })
    .await;
}
