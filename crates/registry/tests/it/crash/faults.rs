//! One fault at one step, for everything that the registry changes through.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process ends: the step does not happen (a write happens by half), and nothing after it.
    Kill,
    /// The machine ends: as a kill, and what was not synced is lost.
    PowerLoss(Kept),
    /// The step fails with an I/O error, this one time. A commit of the store fails without having happened, or, when the
    /// fault falls on its answer, having happened.
    Io,
    /// The disk is full from this step on: whatever takes space fails.
    Full,
}

/// What a power loss leaves of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Nothing.
    Synced,
    /// Any part of it, by this seed.
    Mixture(u64),
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Changes something.
    Change,
    /// Tells that the store has committed.
    Answer,
    /// Only reads.
    Look,
}

impl Fault {
    /// Whether the fault makes a difference at such a step.
    pub(crate) fn fits(self, kind: Kind) -> bool {
        match self {
            Self::Kill | Self::PowerLoss(_) => kind != Kind::Look,
            Self::Io => true,
            Self::Full => kind == Kind::Change,
        }
    }
}

/// What becomes of a step.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It happens.
    Go,
    /// It fails.
    Refused(io::Error),
    /// It is the last thing that this process began.
    Dies,
    /// The process is no more.
    Dead,
}

/// A step: what it does, in words, and how many of the same came before. What runs beside a request may come sooner or
/// later among the steps, so their order alone would not tell them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) kind: Kind,
    pub(crate) label: String,
    pub(crate) before: usize,
}

#[derive(Default)]
struct State {
    armed: bool,
    plan: Option<(Step, Fault)>,
    steps: Vec<Step>,
    dead: bool,
    full: bool,
    hit: bool,
}

/// Shared by the disk and the store of one registry.
#[derive(Clone, Default)]
pub(crate) struct Faults {
    state: Arc<Mutex<State>>,
}

impl Faults {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Steps count from now on, and this fault happens at this one.
    pub(crate) fn arm(&self, plan: Option<(Step, Fault)>) {
        let mut state = self.state();
        (state.armed, state.plan) = (true, plan);
    }

    /// Ends the process, if it lives: nothing that still runs in it has any effect.
    pub(crate) fn kill(&self) {
        self.state().dead = true;
    }

    /// The steps that were counted.
    pub(crate) fn steps(&self) -> Vec<Step> {
        self.state().steps.clone()
    }

    /// Whether the fault has happened.
    pub(crate) fn hit(&self) -> bool {
        self.state().hit
    }

    /// Asks what becomes of a step. `grows` says whether it takes space.
    pub(crate) fn step(&self, kind: Kind, grows: bool, label: impl Into<String>) -> Outcome {
        const EIO: i32 = 5;
        const ENOSPC: i32 = 28;
        let mut state = self.state();
        if state.dead {
            return Outcome::Dead;
        }
        if !state.armed {
            return Outcome::Go;
        }
        let label = label.into();
        let before = state.steps.iter().filter(|step| step.label == label).count();
        let step = Step { kind, label, before };
        let fault = state.plan.as_ref().filter(|(at, _)| *at == step).map(|(_, fault)| *fault);
        state.steps.push(step);
        if let Some(fault) = fault {
            state.hit = true;
            match fault {
                Fault::Kill | Fault::PowerLoss(_) => {
                    state.dead = true;
                    return Outcome::Dies;
                }
                Fault::Io => return Outcome::Refused(io::Error::from_raw_os_error(EIO)),
                Fault::Full => state.full = true,
            }
        }
        if state.full && grows && kind == Kind::Change {
            return Outcome::Refused(io::Error::from_raw_os_error(ENOSPC));
        }
        Outcome::Go
    }
}
