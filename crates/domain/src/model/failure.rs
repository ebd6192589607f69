//! Why something failed, in words a user can act on.

use serde::{Deserialize, Serialize};

/// The classes of failure. Each has its own next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The image, tag or digest does not exist.
    ImageNotFound,
    /// The engine may not pull the image.
    PullDenied,
    /// There is no way over the network to what is needed.
    NoRoute,
    /// The image has no variant for this machine.
    WrongArchitecture,
    /// Not enough memory, CPU or disk.
    NoCapacity,
    /// A port is held by somebody else.
    PortTaken,
    /// The copy runs but its health check does not pass.
    Unhealthy,
    /// The container ended by itself.
    Exited,
    /// The container could not be started (no such command, bad mount, bad user).
    CannotStart,
    /// The engine asked us to slow down.
    Throttled,
    /// It took longer than it may.
    Timeout,
    /// The engine does not answer.
    EngineUnavailable,
    /// A newer change took its place.
    Superseded,
    /// A user stopped it.
    Stopped,
    /// None of the above; the message says more.
    Other,
}

impl FailureClass {
    /// What the user can do next, where there is something.
    #[must_use]
    pub fn next_step(self) -> Option<&'static str> {
        Some(match self {
            FailureClass::ImageNotFound => {
                "push the image, or correct its name or tag; `l0 image resolve IMAGE` shows what a name becomes"
            }
            FailureClass::PullDenied => {
                "`l0 image resolve IMAGE` shows which registry is asked; the engine has no credential for it"
            }
            FailureClass::NoRoute => "`l0 image check IMAGE --environment ENVIRONMENT` shows which way is missing",
            FailureClass::WrongArchitecture => {
                "build and push the image for this platform (`docker buildx build --platform …`)"
            }
            FailureClass::NoCapacity => "lower the deploy's memory or CPU, or free some on this machine",
            FailureClass::PortTaken => "choose another host port, or stop what holds it",
            FailureClass::Unhealthy => {
                "check that the container does what its own health check asks, listens on the load balancer's container port and answers the health check path; the log lines above show what it said"
            }
            FailureClass::Exited => "the log lines above are the last the container wrote",
            FailureClass::CannotStart => {
                "correct the command, user, mounts or limits in the deploy's file, and make a new deploy of it"
            }
            FailureClass::EngineUnavailable => "start the Docker engine; the operation goes on by itself",
            FailureClass::Timeout => "`l0 operation get ID` shows what it waited for",
            FailureClass::Throttled => "nothing: it is tried again",
            FailureClass::Superseded | FailureClass::Stopped | FailureClass::Other => return None,
        })
    }
}

/// One failure with its cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Which kind.
    pub class: FailureClass,
    /// What happened, a sentence a user understands.
    pub message: String,
    /// What to do next, more exact than the class's own advice.
    pub hint: Option<String>,
    /// The last lines that the failed copy wrote, each with its container's name.
    pub log_tail: Vec<LogLine>,
}

impl Failure {
    /// A failure with the class's own advice and no log lines.
    #[must_use]
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), hint: class.next_step().map(str::to_owned), log_tail: Vec::new() }
    }
}

/// One line of a container's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// The container's name; copies of a service are told apart by `container/copy`.
    pub container: String,
    /// The line without its end.
    pub line: String,
}
