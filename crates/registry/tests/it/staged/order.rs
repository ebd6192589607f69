//! Two things at once, in every order that matters: the first one stops at one of its steps, the second one runs from start
//! to end, or until it waits for the first; then the first goes on. Done for every step of the first, this is every order in
//! which one of them is interrupted once.

use std::io;
use std::pin::pin;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use layer0_testkit::until::ends;
use tokio::sync::Notify;

use super::{Stage, Step};

#[derive(Default)]
struct State {
    /// At which step of those that follow one stops.
    at: Option<usize>,
    /// Steps that came since.
    came: Vec<String>,
    stopped: bool,
}

/// A stage on which one stops.
#[derive(Default)]
pub(crate) struct Order {
    state: Mutex<State>,
    /// For those on threads that block, and those that await. Both are told of every change.
    blocked: Condvar,
    changed: Notify,
}

/// What becomes of the second one while the first has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Second {
    /// It runs to its end.
    Runs,
    /// It waits for the first one after its step of this label.
    WaitsAfter(&'static str),
    /// It waits for the first one before it makes a step.
    WaitsAtOnce,
}

impl Second {
    /// How many steps it has made when it begins to wait; `None` when it has not come to that.
    fn begins(self, came: &[String]) -> Option<usize> {
        match self {
            Self::Runs => None,
            Self::WaitsAfter(label) => came.iter().position(|step| step == label).map(|at| at + 1),
            Self::WaitsAtOnce => Some(0),
        }
    }
}

/// How long is watched whether the second one really waits. What does not happen can only be watched for a time: on a machine
/// too slow for this, a test sees less, and fails no more often.
const WATCH: Duration = Duration::from_millis(20);

/// How a step is told apart from others.
fn label(step: &Step<'_>) -> String {
    match step {
        Step::Disk(verb, path) => {
            let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
            let inside = parts.iter().rposition(|part| part == "registry").map_or(0, |at| at + 1);
            format!("{verb} {}", parts.get(inside).map_or("", |part| part.as_ref()))
        }
        Step::Read(..) => "read".to_owned(),
        Step::Store(call, when) => format!("{when:?} {call}"),
    }
}

impl Order {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a step; answers whether it is the one to stop at.
    fn came(&self, step: &Step<'_>) -> bool {
        let mut state = self.state();
        let stops = state.at == Some(state.came.len());
        state.came.push(label(step));
        state.stopped |= stops;
        drop(state);
        self.changed.notify_waiters();
        stops
    }

    async fn until(&self, is_so: impl Fn(&State) -> bool) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if is_so(&self.state()) {
                return;
            }
            changed.await;
        }
    }

    fn release(&self) {
        (self.state().stopped, self.state().at) = (false, None);
        self.blocked.notify_all();
        self.changed.notify_waiters();
    }

    /// Runs `first` up to its step `at`, then `second`, then the rest of `first`. `waits` says, of the label of the step where
    /// the first has stopped, what becomes of the second until it goes on. Answers what both say and that label; no label when
    /// the first has fewer steps.
    pub(crate) async fn interrupt<A, B>(
        &self,
        at: usize,
        waits: impl Fn(&str) -> Second,
        first: impl Future<Output = A>,
        second: impl Future<Output = B>,
    ) -> (A, B, Option<String>) {
        *self.state() = State { at: Some(at), ..State::default() };
        let release = Release(self);
        let (mut first, mut second) = (pin!(first), pin!(second));
        let early = ends("the first stops, or ends", async {
            tokio::select! {
                done = &mut first => Some(done),
                () = self.until(|state| state.stopped) => None,
            }
        });
        if let Some(done) = early.await {
            drop(release);
            return (done, ends("the second ends", second).await, None);
        }
        let stopped = self.state().came[at].clone();
        let waits = waits(&stopped);
        let early = ends("the second ends, or waits", async {
            tokio::select! {
                done = &mut second => Some(done),
                () = self.until(|state| waits.begins(&state.came[at + 1..]).is_some()) => None,
            }
        });
        let mut early = early.await;
        if early.is_none() {
            let goes_on = |state: &State| {
                let came = &state.came[at + 1..];
                waits.begins(came).is_some_and(|begins| came.len() > begins)
            };
            early = tokio::select! {
                done = &mut second => Some(done),
                () = self.until(goes_on) => {
                    panic!("the first is at {stopped:?}, and the second does not wait: {:?}", &self.state().came[at + 1..])
                }
                () = tokio::time::sleep(WATCH) => None,
            };
        }
        drop(release);
        let rest = async {
            match early {
                Some(done) => (first.await, done),
                None => tokio::join!(first, second),
            }
        };
        let (one, other) = ends("both end", rest).await;
        (one, other, Some(stopped))
    }
}

/// Lets go of whoever has stopped, also when the test fails: else it would never end.
struct Release<'a>(&'a Order);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

#[async_trait]
impl Stage for Order {
    fn disk(&self, step: Step<'_>) -> io::Result<()> {
        if self.came(&step) {
            let mut state = self.state();
            while state.stopped {
                state = self.blocked.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        Ok(())
    }

    async fn store(&self, step: Step<'_>) -> io::Result<()> {
        if self.came(&step) {
            self.until(|state| !state.stopped).await;
        }
        Ok(())
    }
}
