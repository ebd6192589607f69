//! How containers behave, as data: by image, set through the handle, and by the container's own environment variables, so
//! that a user of `l0 server --engine fake` scripts failures with nothing but a task definition.
//!
//! | variable | meaning |
//! |---|---|
//! | `FAKE_EXIT=3`, `FAKE_EXIT=never` | the container ends with this code, or never by itself |
//! | `FAKE_EXIT_AFTER_MS=500` | how long it runs before it ends (0) |
//! | `FAKE_UNHEALTHY=1` | its health check never passes |
//! | `FAKE_HEALTHY_AFTER_MS=500` | how long it runs before it is healthy |
//! | `FAKE_PULL_MS=500` | how long its image takes to pull |
//! | `FAKE_CANNOT_START=why` | it can't be started, for this reason |
//! | `FAKE_LOG=one` | it writes these lines (divided by line ends) and nothing else |

use std::collections::BTreeMap;

use layer0_domain::model::failure::FailureClass;
use layer0_domain::model::task_definition::{ContainerDefinition, TaskDefinition};

/// What a container does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Behaviour {
    /// How long its image takes to pull; `None` for [`Pace::pull_ms`].
    pub pull_ms: Option<u64>,
    /// How long it runs before its health check passes; `None` for [`Pace::healthy_after_ms`].
    pub healthy_after_ms: Option<u64>,
    /// Whether and how it ends by itself.
    pub ends: Ends,
    /// Whether its health check ever passes.
    pub never_healthy: bool,
    /// Why it can't be started. [`FailureClass::ImageNotFound`], [`FailureClass::PullDenied`] and
    /// [`FailureClass::WrongArchitecture`] show in the pull evidence of the image too.
    pub cannot_start: Option<StartFault>,
    /// The lines it writes when it starts, and nothing else; empty for plausible chatter.
    pub log: Vec<String>,
}

impl Behaviour {
    /// Runs until it is stopped.
    #[must_use]
    pub fn serves() -> Self {
        Self { ends: Ends::Never, ..Self::default() }
    }

    /// Ends with `exit_code` as soon as it is started.
    #[must_use]
    pub fn exits(exit_code: i64) -> Self {
        Self { ends: Ends::With { exit_code, after_ms: 0 }, ..Self::default() }
    }

    /// Runs, but its health check never passes.
    #[must_use]
    pub fn never_healthy() -> Self {
        Self { ends: Ends::Never, never_healthy: true, ..Self::default() }
    }

    /// Can't be started.
    #[must_use]
    pub fn cannot_start(class: FailureClass, message: impl Into<String>) -> Self {
        Self { cannot_start: Some(StartFault { class, message: message.into() }), ..Self::default() }
    }

    /// The same, and it writes these lines.
    #[must_use]
    pub fn with_log<L: Into<String>>(mut self, lines: impl IntoIterator<Item = L>) -> Self {
        self.log = lines.into_iter().map(Into::into).collect();
        self
    }
}

/// Whether and how a container ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ends {
    /// As its use suggests: a service's never, a task's with code 0 after [`Pace::task_ms`].
    #[default]
    ByUse,
    /// Never.
    Never,
    /// With a code, after a time.
    With {
        /// The exit code.
        exit_code: i64,
        /// How long it runs.
        after_ms: u64,
    },
}

/// Why a container can't be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartFault {
    /// The class of the failure.
    pub class: FailureClass,
    /// What the user is told.
    pub message: String,
}

/// How long things take when nothing says otherwise. In milliseconds of the engine's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// To pull an image.
    pub pull_ms: u64,
    /// From the start to the first passed health check.
    pub healthy_after_ms: u64,
    /// To finish the requests of a copy that is on its way out.
    pub drain_ms: u64,
    /// How long a task's container runs.
    pub task_ms: u64,
    /// How long a copy may stay without a passed health check before it counts as failed.
    pub health_limit_ms: u64,
    /// The pause before the first restart, at least 1; it doubles with each.
    pub backoff_first_ms: u64,
    /// The longest pause before a restart.
    pub backoff_max_ms: u64,
}

impl Pace {
    /// All is done at once; restarts pause a tenth of a second at first. For tests.
    #[must_use]
    pub fn at_once() -> Self {
        Self {
            pull_ms: 0,
            healthy_after_ms: 0,
            drain_ms: 0,
            task_ms: 0,
            health_limit_ms: 100,
            backoff_first_ms: 100,
            backoff_max_ms: 10_000,
        }
    }

    /// About what a small service on one machine takes, so that a demo shows every step.
    #[must_use]
    pub fn lifelike() -> Self {
        Self {
            pull_ms: 800,
            healthy_after_ms: 1_200,
            drain_ms: 600,
            task_ms: 2_000,
            health_limit_ms: 5_000,
            backoff_first_ms: 500,
            backoff_max_ms: 60_000,
        }
    }
}

/// What runs in a copy: its containers with their behaviour, resolved when the copy was begun.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) containers: Vec<Script>,
}

/// One container of a [`Program`].
#[derive(Debug)]
pub(super) struct Script {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) essential: bool,
    pub(super) behaviour: Behaviour,
}

impl Program {
    /// The longest pull of its images.
    pub(super) fn pull_ms(&self, pace: &Pace) -> u64 {
        self.containers.iter().map(|c| c.behaviour.pull_ms.unwrap_or(pace.pull_ms)).max().unwrap_or(0)
    }

    /// When the last of its containers is healthy; `None` when one never is.
    pub(super) fn healthy_after_ms(&self, pace: &Pace) -> Option<u64> {
        self.containers.iter().try_fold(0, |longest, c| {
            (!c.behaviour.never_healthy)
                .then(|| longest.max(c.behaviour.healthy_after_ms.unwrap_or(pace.healthy_after_ms)))
        })
    }

    /// The first container that can't be started.
    pub(super) fn cannot_start(&self) -> Option<(&Script, &StartFault)> {
        self.containers.iter().find_map(|c| c.behaviour.cannot_start.as_ref().map(|fault| (c, fault)))
    }
}

/// Behaviours by image, the longest prefix of whole path components first.
#[derive(Debug, Default)]
pub(super) struct Behaviours {
    by_prefix: BTreeMap<String, Behaviour>,
}

impl Behaviours {
    pub(super) fn set(&mut self, prefix: &str, behaviour: Behaviour) {
        self.by_prefix.insert(prefix.to_owned(), behaviour);
    }

    /// The behaviour set for an image: `host/path:tag` is looked up whole, then without its tag, then by shorter and
    /// shorter prefixes. A digest says nothing.
    pub(super) fn of_image(&self, image: &str) -> Option<&Behaviour> {
        let mut key = image.split_once('@').map_or(image, |(name, _)| name);
        loop {
            if let Some(found) = self.by_prefix.get(key) {
                return Some(found);
            }
            let tag = key.rfind(':').filter(|at| !key[*at..].contains('/'));
            key = &key[..tag.or_else(|| key.rfind('/'))?];
        }
    }

    /// A definition's program as of now.
    pub(super) fn program(&self, definition: &TaskDefinition) -> Program {
        let script = |container: &ContainerDefinition| {
            let behaviour = self.of_image(&container.image).cloned().unwrap_or_default();
            Script {
                name: container.name.clone(),
                image: container.image.clone(),
                essential: container.essential,
                behaviour: with_environment(behaviour, container).0,
            }
        };
        Program { containers: definition.containers.iter().map(script).collect() }
    }
}

/// A behaviour with what the container's environment says on top, and a sentence for each value that says nothing.
fn with_environment(mut behaviour: Behaviour, container: &ContainerDefinition) -> (Behaviour, Vec<String>) {
    let mut ignored = Vec::new();
    let mut number = |name: &str| {
        let text = container.environment.get(name)?;
        let number = text.trim().parse::<u64>().ok();
        if number.is_none() {
            ignored.push(format!("container `{}`: {name}=`{text}` is not a number and is ignored", container.name));
        }
        number
    };
    behaviour.pull_ms = number("FAKE_PULL_MS").or(behaviour.pull_ms);
    behaviour.healthy_after_ms = number("FAKE_HEALTHY_AFTER_MS").or(behaviour.healthy_after_ms);
    let after_ms = number("FAKE_EXIT_AFTER_MS");
    let exit = container.environment.get("FAKE_EXIT").map(|text| (text, text.trim().parse::<i64>()));
    behaviour.ends = match (exit, behaviour.ends) {
        (Some((text, Err(_))), _) if text == "never" => Ends::Never,
        (Some((_, Ok(exit_code))), _) => Ends::With { exit_code, after_ms: after_ms.unwrap_or(0) },
        (Some((text, Err(_))), ends) => {
            let name = &container.name;
            ignored.push(format!("container `{name}`: FAKE_EXIT=`{text}` is not a number or `never` and is ignored"));
            ends
        }
        (None, Ends::With { exit_code, after_ms: usual }) => {
            Ends::With { exit_code, after_ms: after_ms.unwrap_or(usual) }
        }
        (None, ends) => after_ms.map_or(ends, |after_ms| Ends::With { exit_code: 0, after_ms }),
    };
    if let Some(text) = container.environment.get("FAKE_UNHEALTHY") {
        behaviour.never_healthy = !matches!(text.trim(), "" | "0" | "false");
    }
    if let Some(message) = container.environment.get("FAKE_CANNOT_START") {
        behaviour.cannot_start = Some(StartFault { class: FailureClass::CannotStart, message: message.clone() });
    }
    if let Some(text) = container.environment.get("FAKE_LOG") {
        behaviour.log = text.lines().map(str::to_owned).collect();
    }
    (behaviour, ignored)
}

/// What a user should know about a definition: nothing that needs a machine is honoured here.
pub(super) fn warnings(definition: &TaskDefinition) -> Vec<String> {
    let mut said = Vec::new();
    for container in &definition.containers {
        let name = &container.name;
        if container.privileged {
            said.push(format!("container `{name}`: `privileged` means nothing to the fake engine"));
        }
        if !container.devices.is_empty() {
            said.push(format!("container `{name}`: `linuxParameters.devices` mean nothing to the fake engine"));
        }
        if !container.mount_points.is_empty() {
            said.push(format!("container `{name}`: `mountPoints` mean nothing to the fake engine, which has no files"));
        }
        said.extend(with_environment(Behaviour::default(), container).1);
    }
    said.extend(definition.not_modelled.iter().map(|path| format!("`{path}` is not honoured by this engine")));
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_of_whole_components_wins() {
        let mut behaviours = Behaviours::default();
        behaviours.set("host:5000/team", Behaviour::exits(1));
        behaviours.set("host:5000/team/app", Behaviour::exits(2));
        behaviours.set("host:5000/team/app:broken", Behaviour::exits(3));
        let found = |image: &str| behaviours.of_image(image).map(|behaviour| behaviour.ends);
        let exits = |exit_code| Some(Ends::With { exit_code, after_ms: 0 });
        assert_eq!(found("host:5000/team/app:broken"), exits(3));
        assert_eq!(found("host:5000/team/app:good"), exits(2));
        assert_eq!(found("host:5000/team/app@sha256:00"), exits(2));
        assert_eq!(found("host:5000/team/application"), exits(1));
        assert_eq!(found("host:5000/teamwork/app"), None);
        assert_eq!(found("host"), None);
    }
}
