//! The sweep that an admin asked for: one run at a time in a server, and whoever wants to know how it goes.
//!
//! As a verification it goes on when its listeners leave, and ends when the server stops. It is not kept over a restart:
//! whoever asks again begins another one, which finds what is left.

use std::sync::{Arc, Mutex, PoisonError};

use layer0_domain::model::entity::EntityRef;
use layer0_domain::plan::sweep::{Stray, Strays};
use layer0_domain::port::thing::Thing;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::app::App;
use crate::error::chain;
use crate::reconcile::sweep::{Fate, Listener, sweep};

/// The run of a server, if there is one.
#[derive(Default)]
pub(crate) struct Sweeping {
    run: Mutex<Option<Arc<Run>>>,
}

/// One run.
#[derive(Default)]
pub(crate) struct Run {
    state: watch::Sender<State>,
}

/// What is known of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    /// How many strays it has found; `None` while it is looking.
    pub(crate) found: Option<usize>,
    /// What bears our label and names no entity.
    pub(crate) unclear: Vec<Thing>,
    /// What came of those that ended, in the order of their ends.
    pub(crate) ended: Vec<Arc<(Stray, Fate)>>,
    /// What is waited for.
    pub(crate) waiting_for: Option<String>,
    /// Whether it came to its end, and else in what words it did not.
    pub(crate) end: Option<Result<(), String>>,
}

impl Run {
    /// A view of the run that sees each change.
    pub(crate) fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Ends the run, unless it has ended.
    fn end(&self, end: Result<(), String>) {
        self.state.send_if_modified(|state| {
            let goes_on = state.end.is_none();
            state.end.get_or_insert(end);
            goes_on
        });
    }
}

impl Listener for Run {
    fn found(&self, strays: &Strays) {
        self.state.send_modify(|state| {
            state.found = Some(strays.of_nobody.len());
            state.unclear.clone_from(&strays.unclear);
        });
    }

    fn waiting(&self, stray: &EntityRef, what: &str) {
        self.state.send_modify(|state| state.waiting_for = Some(format!("{stray}: waiting for {what}")));
    }

    fn ended(&self, stray: &Stray, fate: &Fate) {
        self.state.send_modify(|state| state.ended.push(Arc::new((stray.clone(), fate.clone()))));
    }
}

/// Joins the run that goes on, or begins one.
pub(crate) fn join(app: &App) -> Arc<Run> {
    // Nothing here panics in the middle of a change.
    let mut current = app.sweeping.run.lock().unwrap_or_else(PoisonError::into_inner);
    match current.as_ref().filter(|run| run.state.borrow().end.is_none()) {
        Some(run) => Arc::clone(run),
        None => {
            let run = Arc::new(Run::default());
            *current = Some(Arc::clone(&run));
            tokio::spawn(go(app.clone(), Arc::clone(&run)));
            run
        }
    }
}

async fn go(app: App, run: Arc<Run>) {
    info!("sweeping strays, because an admin asked for it");
    let _end = End(&run);
    let end = tokio::select! {
        end = sweep(&app, run.as_ref()) => end.map_err(|why| chain(&why)),
        () = app.stop.wait() => Err("the server is stopping".to_owned()),
    };
    let (gone, left) = {
        let state = run.state.borrow();
        let gone = state.ended.iter().filter(|it| it.1 == Fate::Gone).count();
        (gone, state.ended.len() - gone)
    };
    match &end {
        Ok(()) => info!(sweep.gone = gone, sweep.left = left, "swept {gone} strays, {left} are left"),
        Err(why) => warn!(error = why, "a sweep came to no end: {why}"),
    }
    run.end(end);
}

/// Ends a run that panicked, so that nobody waits for it and the next may begin.
struct End<'a>(&'a Run);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.end(Err("the server broke down over it; its log says why".to_owned()));
    }
}
