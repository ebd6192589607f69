//! Exit codes in words.

use super::{Purpose, Stopped, StoppedContainer};
use crate::model::failure::{Failure, FailureClass};

/// What the ends that stop a task's other containers leave behind: 128 + SIGKILL, 128 + SIGTERM.
const STOPPED_ALONG: [i64; 2] = [137, 143];

/// Why a task failed whose containers ended; `None` for one that ran to a good end.
pub(super) fn failure(stopped: &Stopped<'_>, said: &str) -> Option<Failure> {
    let Some(culprit) = culprit(stopped.containers) else {
        return match stopped.purpose {
            Purpose::RunOnce => None,
            Purpose::Serve => {
                let mut failure = Failure::new(
                    FailureClass::Exited,
                    format!("its containers ended by themselves, with exit code 0{said}"),
                );
                failure.hint = Some(
                    "a service's container must go on running; run what ends by itself with `l0 task create`"
                        .to_owned(),
                );
                Some(failure)
            }
        };
    };
    let (name, code) = (culprit.name, culprit.exit_code.unwrap_or_default());
    let (class, what, hint) = match code {
        137 => (
            FailureClass::Exited,
            "it was killed (SIGKILL), most often for using more memory than it may",
            Some("raise its `memory`, or the task's; or let it end within its `stopTimeout`"),
        ),
        139 => (FailureClass::Exited, "it crashed (SIGSEGV)", None),
        134 => (FailureClass::Exited, "it gave up by itself (SIGABRT)", None),
        143 => (FailureClass::Exited, "it was asked to end (SIGTERM)", None),
        126 => (
            FailureClass::CannotStart,
            "its command can't be executed",
            Some("make the file executable in the image, or correct `command` and `entryPoint`"),
        ),
        127 => (
            FailureClass::CannotStart,
            "its command is not in the image",
            Some("correct `command` and `entryPoint`, or the image's PATH"),
        ),
        _ => (FailureClass::Exited, "it ended by itself", None),
    };
    let mut failure = Failure::new(class, format!("container `{name}` ended with exit code {code}: {what}{said}"));
    if let Some(hint) = hint {
        failure.hint = Some(hint.to_owned());
    }
    Some(failure)
}

/// The container that ended the task: an essential one with a code of its own before one that may only have been stopped
/// along.
fn culprit<'a>(containers: &'a [StoppedContainer<'a>]) -> Option<&'a StoppedContainer<'a>> {
    let failed = || containers.iter().filter(|it| it.exit_code.is_some_and(|code| code != 0));
    let own = |it: &&StoppedContainer<'_>| it.exit_code.is_some_and(|code| !STOPPED_ALONG.contains(&code));
    if let Some(found) = failed().filter(own).find(|it| it.essential) {
        return Some(found);
    }
    // An essential container that ended well ended the task, and took the others along.
    if containers.iter().any(|it| it.essential && it.exit_code == Some(0)) {
        return failed().find(own);
    }
    failed().find(|it| it.essential).or_else(|| failed().next())
}
