//! The verification of the registry: one run at a time for the instance, and whoever wants to know how it goes.
//!
//! A run goes on when its listeners leave, since what it marks as damaged is of use to everybody, and ends when the server
//! stops. It is not kept over a restart: it begins anew when somebody asks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use layer0_registry::{Rate, VerifyEvent, VerifyFinding, VerifyTally};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::app::App;
use crate::error::chain;

/// How often listeners hear of progress.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// The run of an instance, if there is one.
#[derive(Default)]
pub(crate) struct Verification {
    run: Mutex<Option<Arc<Run>>>,
}

/// One run.
pub(crate) struct Run {
    /// How fast it reads.
    pub(crate) rate: Rate,
    state: watch::Sender<State>,
}

/// What is known of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    /// How far it is.
    pub(crate) tally: VerifyTally,
    /// All that it has found.
    pub(crate) findings: Vec<Arc<VerifyFinding>>,
    /// Whether it came to its end, and else in what words it did not.
    pub(crate) end: Option<Result<(), String>>,
}

impl Run {
    /// A view of the run that sees each change.
    pub(crate) fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }
}

/// Joins the run that goes on, or begins one at this rate.
pub(crate) fn join(app: &App, rate: Rate) -> Arc<Run> {
    // Nothing here panics in the middle of a change.
    let mut current = app.verification.run.lock().unwrap_or_else(PoisonError::into_inner);
    match current.as_ref().filter(|run| run.state.borrow().end.is_none()) {
        Some(run) => Arc::clone(run),
        None => {
            let run = Arc::new(Run { rate, state: watch::Sender::default() });
            *current = Some(Arc::clone(&run));
            tokio::spawn(go(app.clone(), Arc::clone(&run)));
            run
        }
    }
}

async fn go(app: App, run: Arc<Run>) {
    info!(verify.rate_mib_per_s = run.rate.as_mib_per_s(), "reading all of the registry again");
    let _end = End(&run);
    let mut told: Option<Instant> = None;
    let reading = app.registry.verify(run.rate, |event| match event {
        VerifyEvent::Finding(finding) => run.state.send_modify(|state| state.findings.push(Arc::new(finding))),
        VerifyEvent::Progress(tally) if told.is_none_or(|told| told.elapsed() >= PROGRESS_EVERY) => {
            told = Some(Instant::now());
            run.state.send_modify(|state| state.tally = tally);
        }
        VerifyEvent::Progress(_) => {}
    });
    let end = tokio::select! {
        end = reading => end.map_err(|why| chain(&why)),
        () = app.stop.wait() => Err("the server is stopping".to_owned()),
    };
    match end {
        Ok(tally) => {
            info!(
                verify.blobs = tally.blobs,
                verify.bytes = tally.bytes,
                verify.findings = tally.findings,
                "read {} blobs and {} manifests of the registry again, {} are not as they should be",
                tally.blobs,
                tally.manifests,
                tally.findings
            );
            run.state.send_modify(|state| {
                state.tally = tally;
                state.end = Some(Ok(()));
            });
        }
        Err(why) => {
            warn!(error = why, "reading the registry again came to no end: {why}");
            run.state.send_modify(|state| state.end = Some(Err(why)));
        }
    }
}

/// Ends a run that panicked, so that nobody waits for it and the next may begin.
struct End<'a>(&'a Run);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.state.send_if_modified(|state| {
            let broken = state.end.is_none();
            state.end.get_or_insert_with(|| Err("the server broke down over it; its log says why".to_owned()));
            broken
        });
    }
}
