//! Faults as data, and what was called how often.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use layer0_domain::model::failure::Failure;
use layer0_domain::port::engine::EngineError;

/// The verbs of the port that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// `ensure`
    Ensure,
    /// `remove`
    Remove,
    /// `observe`
    Observe,
    /// `inventory`
    Inventory,
    /// `logs`
    Logs,
    /// `pull_evidence`
    PullEvidence,
    /// `trail`
    Trail,
}

/// What goes wrong with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The engine asks to slow down; nothing is done.
    Throttled,
    /// The engine does not answer; nothing is done.
    Unavailable,
    /// The call never returns; nothing is done.
    Hang,
    /// The engine refuses; nothing is done.
    Refused(Failure),
    /// The engine answers with an error that nobody has a word for; nothing is done.
    Failed,
    /// The engine does what is asked, but its answer is lost on the way.
    AnswerLost,
}

/// How long a throttled caller is asked to wait.
const THROTTLED_AFTER: Duration = Duration::from_millis(100);

impl Fault {
    /// The error that a caller sees; `None` for a call that never returns.
    pub(super) fn error(self) -> Option<EngineError> {
        match self {
            Fault::Throttled => Some(EngineError::Throttled { after: THROTTLED_AFTER }),
            Fault::Unavailable => Some(unavailable("it was told not to answer")),
            Fault::AnswerLost => Some(unavailable("its answer was lost")),
            Fault::Refused(failure) => Some(EngineError::Refused { failure: Box::new(failure) }),
            Fault::Failed => Some(EngineError::Failed { op: "a scripted fault", source: "it was told to fail".into() }),
            Fault::Hang => None,
        }
    }
}

/// The error of an engine that does not answer.
pub(super) fn unavailable(why: &'static str) -> EngineError {
    EngineError::Unavailable { engine: "the fake engine".to_owned(), source: why.into() }
}

/// Faults to come, and calls that were.
#[derive(Debug, Default)]
pub(super) struct Faults {
    next: BTreeMap<Op, VecDeque<Fault>>,
    /// By how many calls have to come before the one that fails.
    nth: BTreeMap<u64, Fault>,
    calls: BTreeMap<Op, u64>,
    answers: BTreeMap<Op, u64>,
}

impl Faults {
    pub(super) fn fail_next(&mut self, op: Op, fault: Fault) {
        self.next.entry(op).or_default().push_back(fault);
    }

    pub(super) fn fail_nth(&mut self, n: u64, fault: Fault) {
        self.nth.insert(self.total().saturating_add(n), fault);
    }

    /// Counts a call and says what goes wrong with it.
    pub(super) fn begin(&mut self, op: Op) -> Option<Fault> {
        let nth = self.nth.remove(&self.total());
        *self.calls.entry(op).or_default() += 1;
        nth.or_else(|| self.next.get_mut(&op)?.pop_front())
    }

    /// Counts an answer.
    pub(super) fn answer(&mut self, op: Op) {
        *self.answers.entry(op).or_default() += 1;
    }

    pub(super) fn answers(&self, op: Op) -> u64 {
        self.answers.get(&op).copied().unwrap_or(0)
    }

    pub(super) fn calls(&self, op: Op) -> u64 {
        self.calls.get(&op).copied().unwrap_or(0)
    }

    pub(super) fn total(&self) -> u64 {
        self.calls.values().sum()
    }

    /// Forgets the faults that have not come yet.
    pub(super) fn clear(&mut self) {
        self.next.clear();
        self.nth.clear();
    }
}
