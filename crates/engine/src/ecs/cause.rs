//! Why a task of ECS ended, in our words: what ECS says of it, handed to `domain::plan::stop_reason`.

use layer0_domain::model::failure::{Failure, FailureClass, LogLine};
use layer0_domain::model::task_definition::TaskDefinition;
use layer0_domain::plan::stop_reason::{self, Purpose, Stopped, StoppedContainer};

use super::aws::{EcsDeployment, EcsService, EcsTask};

/// The failure that a service's task shows by its end; `None` for one that was taken away (a scale, an update, a stop) and
/// shows none.
pub(super) fn failed_start(task: &EcsTask, definition: Option<&TaskDefinition>) -> Option<Failure> {
    // Those are nobody's fault: a user's stop, and a machine or Spot capacity that went.
    if matches!(
        task.stop_code.as_str(),
        "UserInitiated" | "SpotInterruption" | "TerminationNotice" | "InfrastructureHealth"
    ) {
        return None;
    }
    failure(task, definition, Purpose::Serve, &[])
}

/// Why a task that was to run once failed. A start that did not come about is a failure, whatever is known of it.
pub(super) fn end(task: &EcsTask, definition: Option<&TaskDefinition>) -> Failure {
    failure(task, definition, Purpose::RunOnce, &[]).unwrap_or_else(|| {
        let words = if task.reason.is_empty() { "ECS gave no reason" } else { &task.reason };
        Failure::new(FailureClass::CannotStart, format!("it did not start: {words}"))
    })
}

/// Why ECS does not even begin copies of a deployment; `None` when it begins all. What it said before the deployment was made is
/// about another one.
pub(super) fn not_begun(seen: &EcsService, deployment: &EcsDeployment) -> Option<Failure> {
    let missing = deployment.running.saturating_add(deployment.pending) < deployment.desired;
    let (at, text) = seen.not_begun.as_ref().filter(|_| missing)?;
    if deployment.created.is_some_and(|created| *at < created) {
        return None;
    }
    let reason = text.split_once(". Reason: ").filter(|(before, _)| before.ends_with("place a task"));
    let reason = reason.map_or(text.as_str(), |(_, reason)| reason);
    let reason = reason.split(" For more information, see the Troubleshooting").next().unwrap_or(reason);
    Some(stop_reason::not_placed(reason, None))
}

fn failure(
    task: &EcsTask,
    definition: Option<&TaskDefinition>,
    purpose: Purpose,
    log_tail: &[LogLine],
) -> Option<Failure> {
    let containers: Vec<StoppedContainer<'_>> = task
        .containers
        .iter()
        .map(|it| StoppedContainer {
            name: &it.name,
            image: &it.image,
            essential: definition.and_then(|all| all.container(&it.name)).is_none_or(|known| known.essential),
            exit_code: it.exit_code.map(i64::from),
            reason: it.reason.as_deref(),
        })
        .collect();
    let text = |text: &'_ str| (!text.is_empty()).then(|| text.to_owned());
    let (code, reason) = (text(&task.stop_code), text(&task.reason));
    stop_reason::failure(&Stopped {
        code: code.as_deref(),
        reason: reason.as_deref(),
        containers: &containers,
        log_tail,
        purpose,
    })
}
