//! What a copy's containers say about the copy. Pure.

use std::sync::Arc;

use layer0_domain::model::failure::{Failure, FailureClass, LogLine};
use layer0_domain::model::task::ContainerOutcome;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::engine::ContainerSeen;

use crate::docker::world::{Container, Health, Run};

/// How far a copy is, going by its containers alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::docker) enum Stage {
    /// Some containers were never started, or an essential one is not there; nothing essential has ended.
    Making,
    /// What is there was started, and all that is essential runs. One that is not essential and had ended may have been
    /// removed by somebody since (`docker container prune`).
    Running {
        /// When the last of them was started.
        since: Timestamp,
        /// What the own health checks of the essential containers say together; as on ECS, no others count.
        health: Health,
    },
    /// It is over: something essential has ended, or all of it.
    Ended {
        /// When.
        at: Timestamp,
    },
}

/// How far a copy is.
pub(in crate::docker) fn stage(containers: &[Arc<Container>]) -> Stage {
    let apps: Vec<&Container> = apps(containers).collect();
    let over = apps.iter().any(|app| app.essential && app.run == Run::Ended)
        || (!apps.is_empty() && apps.iter().all(|app| app.run == Run::Ended));
    if over {
        let essential = apps.iter().filter(|app| app.essential && app.run == Run::Ended);
        let first = essential.filter_map(|app| app.finished).min();
        let last = apps.iter().filter_map(|app| app.finished).max();
        return Stage::Ended { at: first.or(last).unwrap_or_default() };
    }
    // All are made before any is started: while some are still to be made, those that are there were not started.
    let essentials = apps.iter().filter(|app| app.essential).count();
    let lacks_essential = apps.first().is_none_or(|app| essentials < app.essentials);
    if lacks_essential || apps.iter().any(|app| app.run == Run::Created) {
        return Stage::Making;
    }
    let since = apps.iter().filter_map(|app| app.started).max().unwrap_or_default();
    let checked = apps.iter().filter(|app| app.essential && app.run == Run::Running).map(|app| app.health);
    let health = checked.fold(Health::None, |so_far, health| match (so_far, health) {
        (Health::Unhealthy, _) | (_, Health::Unhealthy) => Health::Unhealthy,
        (Health::Starting, _) | (_, Health::Starting) => Health::Starting,
        (Health::Healthy, _) | (_, Health::Healthy) => Health::Healthy,
        (Health::None, Health::None) => Health::None,
    });
    Stage::Running { since, health }
}

/// The containers of the definition, without the pause container.
pub(in crate::docker) fn apps(containers: &[Arc<Container>]) -> impl Iterator<Item = &Container> {
    containers.iter().map(|container| &**container).filter(|container| !container.is_pause)
}

/// Whether a container of the definition is not there: not made yet, or removed.
pub(in crate::docker) fn lacks_any(containers: &[Arc<Container>]) -> bool {
    let size = apps(containers).next().map_or(1, |app| app.size);
    apps(containers).count() < size
}

/// The container with which the copy ended: the first essential one that did, else the last of all.
pub(in crate::docker) fn culprit(containers: &[Arc<Container>]) -> Option<&Container> {
    let ended = || apps(containers).filter(|app| app.run == Run::Ended);
    ended()
        .filter(|app| app.essential)
        .min_by_key(|app| app.finished)
        .or_else(|| ended().max_by_key(|app| app.finished))
}

/// Whether a container was killed and nothing says why, or not yet: Docker may say only later that its memory was at an
/// end.
pub(in crate::docker) fn killed(container: &Container) -> bool {
    container.run == Run::Ended && container.exit_code == Some(KILLED) && !container.out_of_memory
}

/// The exit code that Docker reports of what was ended by `SIGKILL`.
const KILLED: i64 = 137;

/// What is said of a container that was killed without a reason that Docker knows; it may never hear of the kernel's.
pub(in crate::docker) const KILLED_BY: &str =
    "by the system because it used more memory than it may, or by somebody; Docker does not say which";

/// A failure by the end of a container; `when`, with a space before it, says more of that.
pub(in crate::docker) fn end_failure(container: &Container, when: &str) -> Failure {
    let mut failure = Failure::new(FailureClass::Exited, end_words(container, when));
    let less = "raise the container's `memory` in the deploy, or let it use less";
    if container.out_of_memory {
        failure.hint = Some(less.to_owned());
    } else if killed(container) {
        failure.hint = Some(format!("if nobody did, {less}"));
    }
    failure
}

/// How a container's end is told.
fn end_words(container: &Container, when: &str) -> String {
    let name = &container.container;
    let code = container.exit_code.unwrap_or_default();
    if container.out_of_memory {
        return format!(
            "container `{name}` was killed because it used more memory than it may (exit code {code}){when}"
        );
    }
    if killed(container) {
        return format!("container `{name}` was killed (exit code {code}){when}: {KILLED_BY}");
    }
    format!("container `{name}` ended with exit code {code}{}{when}", signal_words(code))
}

/// Exit codes with which the container runtime ends a container whose program the kernel refuses: 1 (runc 1.1), 255
/// (runc before 1.0).
const REFUSED_CODES: [i64; 2] = [1, 255];

/// Whether the copy may have ended because its program could not be executed at all: one of its containers has such a
/// code and ended within seconds.
pub(in crate::docker) fn never_executed(containers: &[Arc<Container>]) -> bool {
    apps(containers).any(|app| {
        let code = app.exit_code.is_some_and(|code| REFUSED_CODES.contains(&code));
        let lived = app.finished.zip(app.started).map(|(end, start)| end.ms_since(start));
        code && lived.is_some_and(|ms| ms < 2_000)
    })
}

/// The failure of a copy whose program is for another processor. The runtime finds that out after the start and has no
/// way to tell but one line in the container's own log, which this reads: `exec /app: exec format error`, or from
/// runtimes before 2022 `standard_init_linux.go:228: exec user process caused: exec format error`.
pub(in crate::docker) fn foreign_program(words: &[LogLine]) -> Option<Failure> {
    let said = words.iter().find(|line| {
        let by_runtime = line.line.starts_with("exec ") || line.line.starts_with("standard_init_linux.go");
        by_runtime && line.line.ends_with("exec format error")
    })?;
    let message =
        format!("container `{}` can't be started: its program is not for this machine's processor", said.container);
    let mut failure = Failure::new(FailureClass::WrongArchitecture, message);
    failure.log_tail = words.to_vec();
    Some(failure)
}

/// Shells and Docker report a death by signal N as 128 + N.
fn signal_words(code: i64) -> &'static str {
    match code {
        134 => " (it aborted)",
        139 => " (it made an illegal access to memory)",
        143 => " (it was told to stop)",
        _ => "",
    }
}

/// The containers as the port shows them, in the order of the definition where it is known.
pub(in crate::docker) fn containers_seen(containers: &[Arc<Container>]) -> Vec<ContainerSeen> {
    apps(containers)
        .map(|container| ContainerSeen {
            name: container.container.clone(),
            status: match container.run {
                Run::Created => "PENDING",
                Run::Running => "RUNNING",
                Run::Ended => "STOPPED",
            }
            .to_owned(),
            outcome: (container.run == Run::Ended).then(|| outcome(container)),
        })
        .collect()
}

fn outcome(container: &Container) -> ContainerOutcome {
    let reason = if container.out_of_memory {
        Some("out of memory".to_owned())
    } else if container.error.is_empty() {
        None
    } else {
        Some(container.error.clone())
    };
    ContainerOutcome { name: container.container.clone(), exit_code: container.exit_code, reason }
}

/// The address of a copy in its environment's network.
pub(in crate::docker) fn address(containers: &[Arc<Container>], network: &str) -> Option<std::net::Ipv4Addr> {
    let owner = containers.iter().find(|container| container.is_pause).or_else(|| containers.first())?;
    (owner.run == Run::Running).then(|| owner.networks.get(network).copied().flatten()).flatten()
}

/// The container that is connected to networks for the whole copy.
pub(in crate::docker) fn network_owner(containers: &[Arc<Container>]) -> Option<&Arc<Container>> {
    containers.iter().find(|container| container.is_pause).or_else(|| containers.first().filter(|only| only.size == 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::world::sample;

    /// Of a copy of an init container, an app and a second app; both apps are essential.
    fn of_three(name: &str, run: Run) -> Arc<Container> {
        let essential = name != "init";
        Arc::new(Container { container: name.into(), essential, size: 3, essentials: 2, run, ..sample() })
    }

    #[test]
    fn a_kill_without_a_reason_is_not_told_as_one_with() {
        let ended = |code| Container { run: Run::Ended, exit_code: Some(code), ..sample() };
        let words = end_words(&Container { out_of_memory: true, ..ended(137) }, "");
        assert!(words.contains("more memory than it may"), "{words}");
        let words = end_words(&ended(137), " before it was healthy");
        assert!(words.contains("137) before it was healthy: by"), "{words}");
        assert!(words.ends_with("Docker does not say which"), "{words}");
        let hint = |code| end_failure(&ended(code), "").hint.expect("each has one");
        assert!(hint(137).contains("raise") && !hint(1).contains("raise"));
        assert!(!killed(&ended(1)) && !killed(&Container { run: Run::Running, ..ended(137) }));
    }

    fn is_running(containers: &[Arc<Container>]) -> bool {
        matches!(stage(containers), Stage::Running { .. })
    }

    #[test]
    fn a_copy_runs_on_when_an_ended_init_container_is_removed() {
        assert!(is_running(&[Arc::new(Container { size: 2, ..sample() })]));
        let (app, other) = (of_three("app", Run::Running), of_three("other", Run::Running));
        assert!(is_running(&[of_three("init", Run::Ended), Arc::clone(&app), Arc::clone(&other)]));
        assert!(is_running(&[Arc::clone(&app), Arc::clone(&other)]));
        assert!(lacks_any(&[app, other]));
    }

    #[test]
    fn only_the_health_of_essential_containers_counts() {
        let beside = Container { container: "init".into(), essential: false, size: 2, ..sample() };
        let app = Container { size: 2, health: Health::Healthy, ..sample() };
        for health in [Health::Starting, Health::Unhealthy] {
            let copy = [Arc::new(Container { health, ..beside.clone() }), Arc::new(app.clone())];
            let stage = stage(&copy);
            assert!(matches!(stage, Stage::Running { health: Health::Healthy, .. }), "{stage:?}");
        }
    }

    #[test]
    fn a_copy_that_lacks_what_is_essential_is_half_made() {
        let (init, app) = (of_three("init", Run::Running), of_three("app", Run::Running));
        assert_eq!(stage(&[Arc::clone(&app)]), Stage::Making, "the other app is not there");
        assert_eq!(stage(&[init, app]), Stage::Making, "the other app is not there");
        assert_eq!(stage(&[of_three("init", Run::Running)]), Stage::Making, "no app is there");
        assert_eq!(stage(&[Arc::new(Container { is_pause: true, ..sample() })]), Stage::Making, "nothing is there");
        assert_eq!(stage(&[]), Stage::Making);
    }

    #[test]
    fn a_copy_is_being_made_while_one_of_its_containers_was_never_started() {
        let made = [of_three("init", Run::Created), of_three("app", Run::Created)];
        assert_eq!(stage(&made), Stage::Making);
        let waits = [of_three("init", Run::Ended), of_three("app", Run::Created), of_three("other", Run::Running)];
        assert_eq!(stage(&waits), Stage::Making);
    }
}
