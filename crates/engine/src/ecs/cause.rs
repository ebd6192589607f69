//! Why a task ended, in our words.

use layer0_domain::model::failure::{Failure, FailureClass};

use super::aws::EcsTask;

/// The failure that a service's task shows by its end; `None` for one that was taken away (a scale, an update, a stop) and
/// shows none.
pub(super) fn failed_start(task: &EcsTask) -> Option<Failure> {
    match task.stop_code.as_str() {
        "UserInitiated" | "SpotInterruption" | "TerminationNotice" | "InfrastructureHealth" => None,
        // The scheduler ends copies for many reasons; only these are the copy's own.
        "ServiceSchedulerInitiated" if !task.reason.contains("health check") => None,
        _ => Some(end(task)),
    }
}

/// Why a task ended.
pub(super) fn end(task: &EcsTask) -> Failure {
    let reasons = task.containers.iter().filter_map(|it| it.reason.clone().map(|why| (it.name.clone(), why)));
    let container = reasons.into_iter().next();
    let words = match &container {
        Some((name, why)) => format!("container `{name}`: {why}"),
        None => task.reason.clone(),
    };
    let all = format!("{} {words}", task.reason);
    let class = if task.stop_code == "UserInitiated" {
        FailureClass::Stopped
    } else if all.contains("CannotPull") {
        if all.contains("not found") || all.contains("manifest unknown") {
            FailureClass::ImageNotFound
        } else if all.contains("platform") {
            FailureClass::WrongArchitecture
        } else {
            FailureClass::PullDenied
        }
    } else if all.contains("health check") {
        FailureClass::Unhealthy
    } else if all.contains("OutOfMemory") || all.contains("RESOURCE:") || all.contains("Capacity is unavailable") {
        FailureClass::NoCapacity
    } else if task.stop_code == "TaskFailedToStart" || all.contains("CannotStart") || all.contains("CannotCreate") {
        FailureClass::CannotStart
    } else {
        FailureClass::Exited
    };
    let codes: Vec<String> = task
        .containers
        .iter()
        .filter_map(|it| it.exit_code.map(|code| format!("`{}` ended with exit code {code}", it.name)))
        .collect();
    let message = match (class, codes.is_empty()) {
        (FailureClass::Exited, false) => codes.join(", "),
        _ if words.is_empty() => "ECS gave no reason".to_owned(),
        _ => words,
    };
    Failure::new(class, message)
}
