//! Tasks that ECS shows late: what `RunTask` started need not be listed yet ("eventual consistency" in its documentation).

use std::sync::Arc;

use layer0_domain::port::engine::{Engine, Scope, Want};
use layer0_testkit::aws::{Behaviour, Effect, FakeAws, FakeAwsConfig, Fault, Service};

use super::stage;

/// An environment, and what the next `RunTask` starts stays invisible for so long.
async fn late(behaviour: Behaviour, for_ms: u64) -> (FakeAws, Arc<dyn Engine>) {
    let aws = FakeAws::start(FakeAwsConfig::default()).await;
    aws.behave("job", behaviour);
    let engine = stage::engine(&aws).await;
    environment(engine.as_ref()).await;
    aws.fault(Fault::on(Service::Ecs, "RunTask", Effect::NotVisibleFor(for_ms)));
    (aws, engine)
}

async fn environment(engine: &dyn Engine) {
    let environment = stage::environment();
    stage::ensure(engine, &environment).await.expect("it can be made");
    stage::settled(engine, &environment).await.expect("it can be made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_shown_late_is_watched_to_its_end() {
    let (aws, engine) = late(Behaviour::Exits { code: 0, after_ms: 0 }, 500).await;
    let task = stage::task();
    let want = Want::Task(task.clone());
    stage::ensure(engine.as_ref(), &want).await.expect("it is taken");
    let seen = engine.observe(Scope::One(want.entity())).await.expect("AWS answers").tasks.remove(0);
    assert_eq!((seen.failure, seen.copies.len()), (None, 2), "what was started is known at once");
    stage::ended(engine.as_ref(), &task).await.expect("it ends well");
    assert_eq!(aws.world().tasks().len(), 2, "each was started once");
}

/// The next server knows by the note that copies were started, and not by itself which.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_meanwhile_waits_for_it_too() {
    let (aws, engine) = late(Behaviour::Exits { code: 0, after_ms: 0 }, 1000).await;
    let task = stage::task();
    let want = Want::Task(task.clone());
    stage::ensure(engine.as_ref(), &want).await.expect("it is taken");
    drop(engine);
    let engine = stage::engine(&aws).await;
    environment(engine.as_ref()).await;
    stage::ensure(engine.as_ref(), &want).await.expect("it is taken");
    stage::ended(engine.as_ref(), &task).await.expect("it ends well");
    assert_eq!(aws.world().tasks().len(), 2, "each was started once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_taken_away_before_it_is_shown_does_not_run_on() {
    let (aws, engine) = late(Behaviour::Serves, 300).await;
    let want = Want::Task(stage::task());
    stage::ensure(engine.as_ref(), &want).await.expect("it is taken");
    stage::remove(engine.as_ref(), &want.entity()).await.expect("it can be taken away");
    let tasks = aws.world().tasks();
    assert!(tasks.iter().all(|task| task["lastStatus"] == "STOPPED"), "{tasks:#?}");
}
