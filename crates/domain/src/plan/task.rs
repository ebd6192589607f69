//! Whether a task is at its end, and how it ended.

use super::verdict::Verdict;
use crate::model::task::{CopyOutcome, Task, TaskOutcome, TaskWanted};
use crate::model::time::Timestamp;
use crate::port::engine::{CopyState, TaskSeen};

/// What a look at a task's operation comes to, and the outcome to keep when it is at its end.
#[must_use]
pub fn judge(task: &Task, seen: Option<&TaskSeen>, now: Timestamp) -> (Verdict, Option<TaskOutcome>) {
    let Some(seen) = seen.filter(|seen| seen.generation >= Some(task.generation)) else {
        return (Verdict::Wait("waiting for the engine to take the task".to_owned()), None);
    };
    let ended = seen.copies.iter().filter(|copy| copy.state == CopyState::Stopped).count();
    let all = task.copies as usize;
    let at_end = match (task.wanted, &seen.failure) {
        (TaskWanted::Stop, _) | (_, Some(_)) => ended == seen.copies.len(),
        (TaskWanted::Run, None) => ended >= all,
    };
    if !at_end {
        let text = match (&seen.waiting_for, all) {
            (Some(what), _) => format!("waiting for {what}"),
            (None, 1) => "running".to_owned(),
            (None, _) => format!("running: {ended} of {all} copies ended"),
        };
        return (Verdict::Wait(text), None);
    }
    let outcome = TaskOutcome {
        ended: now,
        copies: seen
            .copies
            .iter()
            .map(|copy| CopyOutcome {
                copy: copy.id.clone(),
                containers: copy.containers.iter().filter_map(|container| container.outcome.clone()).collect(),
            })
            .collect(),
        failure: seen.failure.clone(),
    };
    let verdict = match (&seen.failure, task.wanted) {
        (Some(failure), TaskWanted::Run) => Verdict::Failed(failure.clone()),
        (_, TaskWanted::Stop) => Verdict::Done("stopped".to_owned()),
        (None, TaskWanted::Run) => Verdict::Done(codes(&outcome)),
    };
    (verdict, Some(outcome))
}

fn codes(outcome: &TaskOutcome) -> String {
    let codes: Vec<String> = outcome
        .copies
        .iter()
        .flat_map(|copy| &copy.containers)
        .map(|container| match container.exit_code {
            Some(code) => format!("`{}` ended with exit code {code}", container.name),
            None => format!("`{}` never ran", container.name),
        })
        .collect();
    codes.join(", ")
}
