//! Tasks.

use layer0_domain::model::failure::FailureClass;
use layer0_domain::model::id::TaskId;
use layer0_domain::model::time::Generation;
use layer0_domain::port::engine::TaskRun;

use super::{CONTAINER, CopyState, Role, Subject, TaskSeen, wish_task};

impl Subject {
    /// Waits until so many copies of a task have ended.
    pub(super) async fn task_ended(&self, id: &TaskId, copies: usize) -> TaskSeen {
        let ended = |seen: &TaskSeen| {
            seen.copies.len() == copies && seen.copies.iter().all(|copy| copy.state == CopyState::Stopped)
        };
        self.task_until(&format!("{copies} copies to end"), id, ended).await
    }
}

/// The exit codes of a task's copies, which must have one container each.
fn exit_codes(seen: &TaskSeen) -> Vec<Option<i64>> {
    let code = |copy: &super::CopySeen| {
        assert_eq!(copy.containers.len(), 1, "{copy:?}");
        let container = &copy.containers[0];
        assert_eq!((container.name.as_str(), container.status.as_str()), (CONTAINER, "STOPPED"));
        container.outcome.as_ref().expect("a container that ended has an outcome").exit_code
    };
    seen.copies.iter().map(code).collect()
}

/// Each copy runs once and is not replaced, also when the wish comes again.
pub async fn runs_each_copy_once(mut subject: Subject) {
    let environment = subject.environment().await;
    let spec = subject.task_wanted(&environment, Role::ExitsZero, 3);
    subject.ensure(wish_task(&spec)).await;
    let first = subject.task_ended(&spec.id, 3).await;
    assert_eq!(exit_codes(&first), [Some(0); 3]);
    assert_eq!(first.failure, None);
    assert_eq!(first.generation, Some(spec.generation));
    subject.ensure(wish_task(&spec)).await;
    // A later task that runs to its end shows that the second wish had its time.
    let other = subject.task_wanted(&environment, Role::ExitsZero, 1);
    subject.ensure(wish_task(&other)).await;
    subject.task_ended(&other.id, 1).await;
    assert_eq!(subject.task_seen(&spec.id).await.map(|seen| seen.copies), Some(first.copies));
    subject.leave().await;
}

/// An exit code other than 0 is told, and is no failure of the engine.
pub async fn tells_the_exit_code(mut subject: Subject) {
    let environment = subject.environment().await;
    let spec = subject.task_wanted(&environment, Role::ExitsThree, 1);
    subject.ensure(wish_task(&spec)).await;
    let seen = subject.task_ended(&spec.id, 1).await;
    assert_eq!(exit_codes(&seen), [Some(3)]);
    assert_eq!(seen.failure, None);
    subject.leave().await;
}

/// A start that can't come about is told with its class, and not tried again.
pub async fn start_that_cannot_be_is_told(mut subject: Subject) {
    let environment = subject.environment().await;
    let spec = subject.task_wanted(&environment, Role::CannotStart, 1);
    subject.ensure(wish_task(&spec)).await;
    let seen = subject.task_until("the failure", &spec.id, |seen| seen.failure.is_some()).await;
    assert_eq!(seen.failure.map(|failure| failure.class), Some(FailureClass::CannotStart));
    assert!(seen.copies.iter().all(|copy| copy.state == CopyState::Stopped), "nothing goes on: {:?}", seen.copies);
    subject.leave().await;
}

/// A stop ends what runs; a stopped task is told as such and starts nothing more.
pub async fn stops(mut subject: Subject) {
    let environment = subject.environment().await;
    let mut spec = subject.task_wanted(&environment, Role::Serves, 2);
    subject.ensure(wish_task(&spec)).await;
    let all_run = |seen: &TaskSeen| {
        seen.copies.len() == 2 && seen.copies.iter().all(|copy| copy.containers.iter().any(|c| c.status == "RUNNING"))
    };
    subject.task_until("both copies to run", &spec.id, all_run).await;
    spec.run = TaskRun::Stop;
    spec.generation = spec.generation.next();
    subject.ensure(wish_task(&spec)).await;
    let seen = subject.task_ended(&spec.id, 2).await;
    assert_eq!(seen.generation, Some(spec.generation));
    assert_eq!(seen.failure.map(|failure| failure.class), Some(FailureClass::Stopped));
    subject.leave().await;
}

/// An older generation than the one in force is refused.
pub async fn older_is_refused(mut subject: Subject) {
    let environment = subject.environment().await;
    let mut spec = subject.task_wanted(&environment, Role::ExitsZero, 1);
    spec.generation = Generation(5);
    subject.ensure(wish_task(&spec)).await;
    spec.generation = Generation(4);
    subject.ensure_outdated(wish_task(&spec)).await;
    subject.leave().await;
}
