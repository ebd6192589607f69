//! One copy: a program with the state of its containers.
//!
//! ```text
//! Pending ── pulled ──► Starting ── check passes ──► Healthy ◄──► Unhealthy
//!    │                     │                            │             │
//!    └ can't start         └ ends, never healthy        └──── ends ───┴──► Draining ──► Stopped
//! ```

use std::sync::Arc;

use layer0_domain::model::failure::{Failure, FailureClass};
use layer0_domain::model::id::{CopyId, DeploymentId};
use layer0_domain::model::task::ContainerOutcome;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::engine::{ContainerSeen, CopySeen, CopyState};

use super::behaviour::{Ends, Pace, Program, Script};

/// How a container was stopped when it did not end by itself: 128 and the number of `SIGTERM`.
const STOPPED_BY_TERM: i64 = 143;

/// Whose copy it is, as far as that matters to how it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Service,
    Task,
}

#[derive(Debug)]
pub(super) struct Copy {
    pub(super) id: CopyId,
    pub(super) deployment: Option<DeploymentId>,
    pub(super) program: Arc<Program>,
    pub(super) state: CopyState,
    pub(super) was_healthy: bool,
    pub(super) started: Option<Timestamp>,
    /// How each container ended, in the order of the program.
    pub(super) ends: Vec<Option<End>>,
    /// Whether log lines name the copy too, because there are others.
    pub(super) named_in_logs: bool,
}

/// How a container ended.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) at: Timestamp,
    pub(super) exit_code: Option<i64>,
    pub(super) reason: Option<String>,
}

/// What a copy does next, when nobody disturbs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Images are there: the containers start.
    Pulled,
    /// The container of this number ends by itself.
    ContainerEnds(usize),
    /// All checks pass.
    ChecksPass,
    /// It was without a passed check for as long as it may be.
    GiveUp,
    /// Its last request is answered.
    Drained,
}

/// What came of a step, for the owner to act on.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Nothing that the owner has to do something about.
    Nothing,
    /// It is healthy now.
    Healthy,
    /// It ended by itself, or was without a passed check for too long; and why.
    Ended(Failure),
    /// It was asked to go and is gone.
    Left,
}

impl Copy {
    pub(super) fn new(id: CopyId, deployment: Option<DeploymentId>, program: Arc<Program>, named: bool) -> Self {
        let ends = program.containers.iter().map(|_| None).collect();
        Self {
            id,
            deployment,
            program,
            state: CopyState::Pending,
            was_healthy: false,
            started: None,
            ends,
            named_in_logs: named,
        }
    }

    /// Whether it runs or is about to, and is not on its way out.
    pub(super) fn is_wanted(&self) -> bool {
        !matches!(self.state, CopyState::Draining | CopyState::Stopped)
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.state == CopyState::Healthy
    }

    /// Takes a step at `now`. Further steps go to `schedule` with the milliseconds until they come.
    pub(super) fn step(
        &mut self,
        step: Step,
        used_by: Use,
        now: Timestamp,
        pace: &Pace,
        schedule: impl FnMut(u64, Step),
    ) -> Outcome {
        match step {
            Step::Pulled if self.state == CopyState::Pending => self.start(used_by, now, pace, schedule),
            Step::ContainerEnds(at) if self.state != CopyState::Stopped && self.ends[at].is_none() => {
                let exit_code = match self.program.containers[at].behaviour.ends {
                    Ends::With { exit_code, .. } => exit_code,
                    Ends::ByUse | Ends::Never => 0,
                };
                self.container_end(at, exit_code, now)
            }
            Step::ChecksPass if matches!(self.state, CopyState::Starting | CopyState::Unhealthy) => {
                self.state = CopyState::Healthy;
                self.was_healthy = true;
                Outcome::Healthy
            }
            Step::GiveUp if matches!(self.state, CopyState::Starting | CopyState::Unhealthy) => {
                let names: Vec<_> = self.program.containers.iter().map(|c| format!("`{}`", c.name)).collect();
                let message = format!(
                    "copy `{}` runs, but its health check did not pass in {} ms (containers: {})",
                    self.id,
                    pace.health_limit_ms,
                    names.join(", ")
                );
                self.stop(now, "its health check did not pass");
                Outcome::Ended(Failure::new(FailureClass::Unhealthy, message))
            }
            Step::Drained if self.state == CopyState::Draining => {
                self.stop(now, "it was stopped");
                Outcome::Left
            }
            Step::Pulled | Step::ContainerEnds(_) | Step::ChecksPass | Step::GiveUp | Step::Drained => Outcome::Nothing,
        }
    }

    fn start(&mut self, used_by: Use, now: Timestamp, pace: &Pace, mut schedule: impl FnMut(u64, Step)) -> Outcome {
        if let Some((script, fault)) = self.program.cannot_start() {
            let failure = Failure::new(fault.class, format!("container `{}`: {}", script.name, fault.message));
            let reason = fault.message.clone();
            self.state = CopyState::Stopped;
            for end in &mut self.ends {
                *end = Some(End { at: now, exit_code: None, reason: Some(reason.clone()) });
            }
            return Outcome::Ended(failure);
        }
        self.state = CopyState::Starting;
        self.started = Some(now);
        // Ends are scheduled before the health check: what ends in the moment in which it would be healthy never is.
        for (at, script) in self.program.containers.iter().enumerate() {
            match (script.behaviour.ends, used_by) {
                (Ends::With { after_ms, .. }, _) => schedule(after_ms, Step::ContainerEnds(at)),
                (Ends::ByUse, Use::Task) => schedule(pace.task_ms, Step::ContainerEnds(at)),
                (Ends::ByUse, Use::Service) | (Ends::Never, _) => {}
            }
        }
        match (self.program.healthy_after_ms(pace), used_by) {
            (Some(after_ms), _) => schedule(after_ms, Step::ChecksPass),
            (None, Use::Service) => schedule(pace.health_limit_ms, Step::GiveUp),
            (None, Use::Task) => {}
        }
        Outcome::Nothing
    }

    /// A container ends by itself. The copy goes with it when the container is essential, or the last one.
    pub(super) fn container_end(&mut self, at: usize, exit_code: i64, now: Timestamp) -> Outcome {
        self.ends[at] = Some(End { at: now, exit_code: Some(exit_code), reason: None });
        let script = &self.program.containers[at];
        if !script.essential && self.ends.iter().any(Option::is_none) {
            return Outcome::Nothing;
        }
        let before = if self.was_healthy { "" } else { " before it was healthy" };
        let message = format!("container `{}` ended with exit code {exit_code}{before}", script.name);
        let failure = Failure::new(FailureClass::Exited, message);
        let reason = format!("the essential container `{}` ended", script.name);
        let outcome = if self.is_wanted() { Outcome::Ended(failure) } else { Outcome::Left };
        self.stop(now, &reason);
        outcome
    }

    /// Stops what still runs.
    pub(super) fn stop(&mut self, now: Timestamp, reason: &str) {
        let exit_code = self.started.map(|_| STOPPED_BY_TERM);
        for end in self.ends.iter_mut().filter(|end| end.is_none()) {
            *end = Some(End { at: now, exit_code, reason: Some(reason.to_owned()) });
        }
        self.state = CopyState::Stopped;
    }

    pub(super) fn seen(&self) -> CopySeen {
        let container = |(script, end): (&Script, &Option<End>)| ContainerSeen {
            name: script.name.clone(),
            status: match (end, self.started) {
                (Some(_), _) => "STOPPED",
                (None, Some(_)) => "RUNNING",
                (None, None) => "PENDING",
            }
            .to_owned(),
            outcome: end.as_ref().map(|end| ContainerOutcome {
                name: script.name.clone(),
                exit_code: end.exit_code,
                reason: end.reason.clone(),
            }),
        };
        CopySeen {
            id: self.id.clone(),
            deployment: self.deployment.clone(),
            state: self.state,
            started: self.started,
            containers: self.program.containers.iter().zip(&self.ends).map(container).collect(),
        }
    }
}
