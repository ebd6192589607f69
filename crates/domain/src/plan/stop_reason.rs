//! Why a task of ECS stopped, in words: from stop code, reasons and exit codes to a [`Failure`] with the next step.
//!
//! ECS tells it in three places that have to be read together: the task's `stopCode`, its `stoppedReason` (cut short, and
//! often a mere "Task failed to start"), and each container's `reason` and `exitCode`. The words are AWS's, Docker's and
//! containerd's; which of them mean what is one table (`words`), and the words in its tests are real ones.
//!
//! What is shown to a user keeps ECS's own text behind ours, so that it can be searched for, without the signatures of
//! presigned addresses and the passwords that stand in addresses ([`scrub()`]).

use crate::model::failure::{Failure, FailureClass, LogLine};

mod exits;
mod scrub;
#[cfg(test)]
mod tests;
mod words;

pub use scrub::scrub;

/// A task that stopped, as ECS describes it.
#[derive(Debug, Clone, Copy)]
pub struct Stopped<'a> {
    /// `stopCode`.
    pub code: Option<&'a str>,
    /// `stoppedReason`.
    pub reason: Option<&'a str>,
    /// Its containers.
    pub containers: &'a [StoppedContainer<'a>],
    /// The last lines that they wrote.
    pub log_tail: &'a [LogLine],
    /// What it was to do.
    pub purpose: Purpose,
}

/// A container of a task that stopped.
#[derive(Debug, Clone, Copy)]
pub struct StoppedContainer<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its image, as the task definition has it.
    pub image: &'a str,
    /// Whether its end is the task's.
    pub essential: bool,
    /// `exitCode`; `None` when it never ran.
    pub exit_code: Option<i64>,
    /// `reason`.
    pub reason: Option<&'a str>,
}

/// What a task was to do: whether its end is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Serve until it is stopped.
    Serve,
    /// Run to its end.
    RunOnce,
}

/// Why it failed; `None` when it did not: it ran to its end, or the service had no more use for it.
///
/// A start that did not come about is a failure whatever the exit codes say: a container that never ran has none.
#[must_use]
pub fn failure(stopped: &Stopped<'_>) -> Option<Failure> {
    let found = by_words(stopped).or_else(|| by_code(stopped))?;
    Some(Failure { log_tail: stopped.log_tail.to_vec(), ..found })
}

/// Why a task was not even begun: one of the `failures` of `RunTask`, or what a service's event says of a placement.
#[must_use]
pub fn not_placed(reason: &str, detail: Option<&str>) -> Failure {
    // Two of the bare words of `RunTask` say less than what they stand for.
    let meaning = match reason.trim() {
        "ATTRIBUTE" => "ATTRIBUTE (a machine is missing an attribute)",
        "AGENT" => "AGENT (the machine's agent is disconnected)",
        other => other,
    };
    let text = match detail {
        Some(detail) if !detail.is_empty() => format!("{meaning}: {detail}"),
        _ => meaning.to_owned(),
    };
    let said = said(&text);
    words::find(&text, None).map_or_else(
        || {
            let mut failure = Failure::new(FailureClass::NoCapacity, format!("ECS found no place for the task{said}"));
            failure.hint =
                Some("see ECS's words; quotas are in Service Quotas, machines in `l0 environment get`".to_owned());
            failure
        },
        |found| found.failure(&said),
    )
}

/// ECS's own words, to be put behind ours.
fn said(text: &str) -> String {
    let text = scrub(text.trim());
    if text.is_empty() { String::new() } else { format!(" (ECS: {text})") }
}

/// By what is said, the longest text first: a container's reason is whole where the task's is cut short.
fn by_words(stopped: &Stopped<'_>) -> Option<Failure> {
    let of_containers = stopped.containers.iter().filter_map(|it| it.reason.map(|reason| (reason, Some(it))));
    let mut texts: Vec<(&str, Option<&StoppedContainer<'_>>)> = of_containers.collect();
    texts.extend(stopped.reason.map(|reason| (reason, None)));
    texts.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
    for (text, container) in texts {
        // A reason of the task that concerns one container most often names its image or its name.
        let container = container.or_else(|| named_in(text, stopped.containers));
        if let Some(found) = words::find(text, container) {
            return Some(found.failure(&said(text)));
        }
    }
    let foreign = stopped.log_tail.iter().find(|line| line.line.to_ascii_lowercase().contains("exec format error"))?;
    let container =
        stopped.containers.iter().find(|it| it.name == foreign.container.split('/').next().unwrap_or_default());
    words::find(&foreign.line, container).map(|found| found.failure(""))
}

fn named_in<'a>(text: &str, containers: &'a [StoppedContainer<'a>]) -> Option<&'a StoppedContainer<'a>> {
    match containers {
        [only] => Some(only),
        several => several.iter().find(|it| text.contains(it.image) || text.contains(&format!("({})", it.name))),
    }
}

fn by_code(stopped: &Stopped<'_>) -> Option<Failure> {
    let reason = stopped.reason.unwrap_or_default();
    let said = said(reason);
    let with = |class: FailureClass, message: &str, hint: &str| {
        let mut failure = Failure::new(class, format!("{message}{said}"));
        failure.hint = Some(hint.to_owned());
        Some(failure)
    };
    match stopped.code.unwrap_or_default() {
        "TaskFailedToStart" => with(
            FailureClass::CannotStart,
            "the task could not be started",
            "`l0 image check IMAGE --environment ENVIRONMENT` shows what a start needs and lacks",
        ),
        "UserInitiated" => Some(Failure::new(FailureClass::Stopped, format!("it was stopped by a user{said}"))),
        // A service that is scaled in, updated or deleted stops tasks; that is what it was told.
        "ServiceSchedulerInitiated" => None,
        "SpotInterruption" => with(
            FailureClass::NoCapacity,
            "AWS took back the spare capacity (Spot) that it ran on",
            "nothing for a service: another copy is started; run a task that must not be interrupted without Spot",
        ),
        "TerminationNotice" => with(
            FailureClass::NoCapacity,
            "AWS took back the machine that it ran on",
            "nothing for a service: another copy is started; run the task again",
        ),
        "InfrastructureHealth" => with(
            FailureClass::Other,
            "the machine that it ran on, at AWS, was not healthy",
            "nothing for a service: another copy is started; run the task again",
        ),
        "EssentialContainerExited" => exits::failure(stopped, &said),
        _ => {
            if stopped.containers.iter().any(|it| it.exit_code.is_none()) {
                return with(
                    FailureClass::CannotStart,
                    "a container of the task never ran",
                    "`l0 image check IMAGE --environment ENVIRONMENT` shows what a start needs and lacks",
                );
            }
            exits::failure(stopped, &said)
        }
    }
}
