//! Tasks on spare capacity.

use layer0_domain::model::failure::FailureClass;
use layer0_domain::port::engine::{Capacity, Scope, TaskSpec, Want};
use layer0_testkit::aws::{FakeAws, FakeAwsConfig};
use layer0_testkit::until::until;

use super::stage;

fn task(capacity: Capacity) -> TaskSpec {
    TaskSpec { copies: 1, capacity, ..stage::task() }
}

/// A task runs where it was asked to, and when Spot capacity is taken back, that is its failure, whatever its exit code.
#[tokio::test(flavor = "multi_thread")]
async fn a_spot_task_runs_on_spot_and_its_interruption_is_told() {
    for (capacity, provider) in [(Capacity::Spot, Some("FARGATE_SPOT")), (Capacity::Regular, None)] {
        let aws = FakeAws::start(FakeAwsConfig::default()).await;
        let engine = stage::engine(&aws).await;
        let environment = stage::environment();
        stage::ensure(engine.as_ref(), &environment).await.expect("it can be made");
        stage::settled(engine.as_ref(), &environment).await.expect("it can be made");
        let want = Want::Task(task(capacity));
        stage::ensure(engine.as_ref(), &want).await.expect("it is taken");
        let running = until("the task to run", || async {
            let task = aws.world().tasks().pop().ok_or("none")?;
            if task["lastStatus"] == "RUNNING" { Ok(task) } else { Err("not yet") }
        })
        .await;
        assert_eq!(running["capacityProviderName"].as_str(), provider);
        let Some(_) = provider else { continue };
        let id = running["taskArn"].as_str().and_then(|arn| arn.rsplit('/').next()).expect("an id");
        aws.interrupt(id);
        let failure = until("the interruption to be told", || async {
            let seen = engine.observe(Scope::One(want.entity())).await.map_err(|error| error.to_string())?;
            seen.tasks[0].failure.clone().ok_or_else(|| format!("{seen:#?}"))
        })
        .await;
        assert_eq!(failure.class, FailureClass::NoCapacity);
        assert!(failure.message.contains("took back the spare capacity (Spot)"), "{failure:?}");
        assert!(failure.hint.is_some_and(|hint| hint.contains("without Spot")));
    }
}

/// Where there is room for some copies only, these run, and the others follow when there is room: each once.
#[tokio::test(flavor = "multi_thread")]
async fn copies_that_found_no_room_follow() {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    let engine = stage::engine(&aws).await;
    let environment = stage::environment();
    stage::ensure(engine.as_ref(), &environment).await.expect("it can be made");
    stage::settled(engine.as_ref(), &environment).await.expect("it can be made");
    aws.capacity_for("FARGATE", 2);
    let want = Want::Task(TaskSpec { copies: 5, ..task(Capacity::Regular) });
    stage::ensure(engine.as_ref(), &want).await.expect("it is taken");
    until("two to run and the others to wait", || async {
        let seen = engine.observe(Scope::One(want.entity())).await.map_err(|error| error.to_string())?;
        let task = &seen.tasks[0];
        let waits = task.waiting_for.as_deref().is_some_and(|what| what.contains("room"));
        if waits && task.copies.len() == 2 { Ok(()) } else { Err(format!("{seen:#?}")) }
    })
    .await;
    aws.capacity("FARGATE", true);
    until("all five to be there", || async {
        let seen = engine.observe(Scope::One(want.entity())).await.map_err(|error| error.to_string())?;
        let task = &seen.tasks[0];
        if task.copies.len() == 5 && task.waiting_for.is_none() { Ok(()) } else { Err(format!("{seen:#?}")) }
    })
    .await;
    assert_eq!(aws.world().tasks().len(), 5, "each was started once");
}
