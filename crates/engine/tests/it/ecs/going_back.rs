//! From a roll-out back to the deployment before: ECS is asked to end the service deployment that is under way.

use std::collections::BTreeSet;

use layer0_domain::port::engine::{CopyState, Engine, Scope, ServiceMode, ServiceSeen, ServiceSpec, Want};
use layer0_testkit::aws::{Effect, FakeAws, FakeAwsConfig, Fault, Service};
use layer0_testkit::until::until;

use super::stage;

pub(super) async fn seen(engine: &dyn Engine, spec: &ServiceSpec) -> ServiceSeen {
    let of = Want::Service(spec.clone()).entity();
    let seen = engine.observe(Scope::One(of)).await.expect("AWS answers");
    seen.services.into_iter().next().expect("it was ensured")
}

fn live(seen: &ServiceSeen) -> BTreeSet<String> {
    let live = seen.copies.iter().filter(|copy| !matches!(copy.state, CopyState::Stopped));
    live.map(|copy| copy.id.to_string()).collect()
}

/// How often an operation was called.
pub(super) fn called(aws: &FakeAws, operation: &str) -> usize {
    aws.calls().iter().filter(|call| call.operation == operation).count()
}

/// A service that runs its first version, and a roll-out of a second that does not get anywhere. Answers the wish for the
/// first again, and the copies that run.
async fn under_way(aws: &FakeAws, engine: &dyn Engine) -> (ServiceSpec, BTreeSet<String>) {
    let first = stage::service(1, "app:1", 1, false);
    for want in [stage::environment(), Want::Service(first.clone())] {
        stage::ensure(engine, &want).await.expect("it can be made");
        stage::settled(engine, &want).await.expect("it can be made");
    }
    until("the first roll-out to be at its end", || async {
        let service = aws.world().services().remove(0);
        match service["currentServiceDeployment"].is_null() {
            true => Ok(()),
            false => Err(service.to_string()),
        }
    })
    .await;
    let before = live(&seen(engine, &first).await);
    aws.capacity("FARGATE", false);
    let second = stage::service(1, "app:2", 2, false);
    stage::ensure(engine, &Want::Service(second)).await.expect("it is taken");
    until("the second to be under way", || async {
        let service = aws.world().services().remove(0);
        match service["deployments"].as_array().map(Vec::len) {
            Some(2) => Ok(()),
            _ => Err(service.to_string()),
        }
    })
    .await;
    let mut back = first;
    back.generation = back.generation.next().next();
    aws.calls_clear();
    (back, before)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_out_that_is_under_way_is_ended_and_the_old_copies_stay() {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    let engine = stage::engine(&aws).await;
    let (back, before) = under_way(&aws, engine.as_ref()).await;
    let want = Want::Service(back.clone());
    stage::ensure(engine.as_ref(), &want).await.expect("it is taken");
    stage::settled(engine.as_ref(), &want).await.expect("it is as before");
    assert_eq!(live(&seen(engine.as_ref(), &back).await), before, "the copies that never went");
    assert_eq!(called(&aws, "StopServiceDeployment"), 1);
    assert_eq!(called(&aws, "UpdateService"), 0, "ECS goes back by itself");
}

/// Where ECS does not let us, or the server that asked is gone, the service is updated or found on its way.
#[tokio::test(flavor = "multi_thread")]
async fn going_back_works_without_the_right_to_stop_and_after_a_lost_answer() {
    for (effect, updates) in [(Effect::AccessDenied { message: None }, 1), (Effect::LostAnswer, 0)] {
        let aws = FakeAws::start(FakeAwsConfig::default()).await;
        let engine = stage::engine(&aws).await;
        let (back, before) = under_way(&aws, engine.as_ref()).await;
        aws.fault(Fault::on(Service::Ecs, "StopServiceDeployment", effect.clone()));
        let want = Want::Service(back.clone());
        stage::ensure(engine.as_ref(), &want).await.expect("it is taken");
        drop(engine);
        let engine = stage::engine(&aws).await;
        for want in [stage::environment(), want] {
            stage::ensure(engine.as_ref(), &want).await.expect("it is taken");
            stage::settled(engine.as_ref(), &want).await.expect("it is as before");
        }
        assert_eq!(live(&seen(engine.as_ref(), &back).await), before, "{effect:?}");
        assert!(called(&aws, "UpdateService") <= updates, "{effect:?}");
    }
}

/// A service whose first roll-out was aborted loses its copies.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_halted_and_not_wanted_goes() {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    let engine = stage::engine(&aws).await;
    let mut spec = stage::service(1, "app:1", 1, false);
    for want in [stage::environment(), Want::Service(spec.clone())] {
        stage::ensure(engine.as_ref(), &want).await.expect("it can be made");
        stage::settled(engine.as_ref(), &want).await.expect("it can be made");
    }
    spec.mode = ServiceMode::Halted;
    spec.desired_count = 0;
    spec.generation = spec.generation.next();
    stage::ensure(engine.as_ref(), &Want::Service(spec.clone())).await.expect("it is taken");
    until("all copies to go", || async {
        let seen = seen(engine.as_ref(), &spec).await;
        if live(&seen).is_empty() { Ok(()) } else { Err(format!("{seen:#?}")) }
    })
    .await;
}

/// A server that begins has not looked at any copy yet, and must not take those that run for none.
#[tokio::test(flavor = "multi_thread")]
async fn what_runs_of_a_halted_service_outlives_the_server() {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    let mut spec = stage::service(1, "app:1", 1, false);
    let before = {
        let engine = stage::engine(&aws).await;
        for want in [stage::environment(), Want::Service(spec.clone())] {
            stage::ensure(engine.as_ref(), &want).await.expect("it can be made");
            stage::settled(engine.as_ref(), &want).await.expect("it can be made");
        }
        live(&seen(engine.as_ref(), &spec).await)
    };
    spec.mode = ServiceMode::Halted;
    spec.generation = spec.generation.next();
    let engine = stage::engine(&aws).await;
    for want in [stage::environment(), Want::Service(spec.clone())] {
        stage::ensure(engine.as_ref(), &want).await.expect("it is taken");
    }
    until("its copies to be seen as they were", || async {
        let seen = seen(engine.as_ref(), &spec).await;
        let healthy = seen.copies.iter().filter(|copy| copy.state == CopyState::Healthy).count();
        if healthy == before.len() { Ok(()) } else { Err(format!("{seen:#?}")) }
    })
    .await;
    assert_eq!(live(&seen(engine.as_ref(), &spec).await), before);
    assert_eq!(called(&aws, "UpdateService"), 0);
}
