//! The server restarts: the engine knows nothing, the containers run on.

use layer0_domain::model::entity::EntityRef;
use layer0_domain::port::engine::Scope;

use super::{CopyState, Role, Subject, identity, wish, wish_service, wish_task};

/// Copies that run are adopted when the engine is told of their service again: the same copies, none restarted.
pub async fn copies_are_adopted(mut subject: Subject) {
    let environment = subject.environment().await;
    let spec = subject.service_wanted(&environment, Role::Serves, 3);
    subject.ensure(wish_service(&spec)).await;
    let before = identity(&subject.service_steady(&spec).await);
    subject.restart().await;
    subject.ensure(wish(&environment, &[])).await;
    subject.ensure(wish_service(&spec)).await;
    assert_eq!(identity(&subject.service_steady(&spec).await), before);
    subject.leave().await;
}

/// What runs without the engine having been told of it is listed, without a generation, and is left alone.
pub async fn strays_are_listed_until_told(mut subject: Subject) {
    let environment = subject.environment().await;
    let spec = subject.service_wanted(&environment, Role::Serves, 1);
    let task = subject.task_wanted(&environment, Role::Serves, 1);
    subject.ensure(wish_service(&spec)).await;
    subject.ensure(wish_task(&task)).await;
    let before = identity(&subject.service_steady(&spec).await);
    subject.task_until("the task to run", &task.id, |seen| seen.copies.iter().any(|copy| copy.started.is_some())).await;
    subject.restart().await;

    let all = subject.observe(Scope::All).await;
    let service_seen = all.services.iter().find(|seen| seen.id == spec.id).expect("the service's copy runs on");
    assert_eq!(service_seen.generation, None);
    assert_eq!(identity(service_seen), before);
    let task_seen = all.tasks.iter().find(|seen| seen.id == task.id).expect("the task's copy runs on");
    assert_eq!(task_seen.generation, None);
    assert!(all.environments.iter().any(|seen| seen.id == environment.id));

    subject.ensure(wish(&environment, &[])).await;
    subject.ensure(wish_service(&spec)).await;
    subject.ensure(wish_task(&task)).await;
    let seen = subject.service_steady(&spec).await;
    assert_eq!((seen.generation, identity(&seen)), (Some(spec.generation), before));
    subject.task_until("the task to be known", &task.id, |seen| seen.generation == Some(task.generation)).await;
    subject.leave().await;
}

/// What the engine was never told of can be removed.
pub async fn strays_can_be_removed(mut subject: Subject) {
    let environment = subject.environment().await;
    let spec = subject.service_wanted(&environment, Role::Serves, 2);
    let task = subject.task_wanted(&environment, Role::Talks, 1);
    subject.ensure(wish_service(&spec)).await;
    subject.ensure(wish_task(&task)).await;
    subject.service_steady(&spec).await;
    subject.restart().await;
    subject.remove(&EntityRef::Service(spec.id.clone())).await;
    subject.remove(&EntityRef::Task(task.id.clone())).await;
    subject.remove(&EntityRef::Environment(environment.id.clone())).await;
    subject.leave().await;
}

/// A task that ended, or runs, is not run once more.
pub async fn tasks_are_not_run_twice(mut subject: Subject) {
    let environment = subject.environment().await;
    let ended = subject.task_wanted(&environment, Role::ExitsThree, 2);
    let running = subject.task_wanted(&environment, Role::Serves, 1);
    subject.ensure(wish_task(&ended)).await;
    subject.ensure(wish_task(&running)).await;
    let has_ended = |seen: &super::TaskSeen| {
        seen.copies.len() == 2 && seen.copies.iter().all(|copy| copy.state == CopyState::Stopped)
    };
    let runs = |seen: &super::TaskSeen| seen.copies.iter().any(|copy| copy.started.is_some());
    let ids = |seen: super::TaskSeen| seen.copies.into_iter().map(|copy| (copy.id, copy.started)).collect::<Vec<_>>();
    let before = ids(subject.task_until("the task to end", &ended.id, has_ended).await);
    let before_running = ids(subject.task_until("the task to run", &running.id, runs).await);
    subject.restart().await;
    subject.ensure(wish(&environment, &[])).await;
    subject.ensure(wish_task(&ended)).await;
    subject.ensure(wish_task(&running)).await;
    let known = |seen: &super::TaskSeen| seen.generation.is_some();
    assert_eq!(
        ids(subject.task_until("the ended task", &ended.id, |seen| known(seen) && has_ended(seen)).await),
        before
    );
    let seen = subject.task_until("the running task", &running.id, |seen| known(seen) && runs(seen)).await;
    assert_eq!(ids(seen), before_running);
    subject.leave().await;
}
