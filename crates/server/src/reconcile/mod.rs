//! The reconciler: makes what is wanted so, and says of each operation whether it is done.
//!
//! ```text
//! ops write what is wanted ──nudge──┐
//! the engine changed ───────────────┼──> each running operation is looked at again by its follower
//! a timer, the backstop ────────────┘
//! ```
//!
//! One follower goes with each running operation: it reads the entity, tells the engine what is wanted of it
//! ([`tell`]), looks at what the engine sees, lets `domain::plan` judge, and writes the verdict down. Every step may be
//! repeated, by the same follower or by another one after a crash; nothing is remembered here that the store does not
//! know, but for what the engine was last told.
//!
//! At the start, and every [`RESYNC`], the engine is told of everything; until the next time strays are swept ([`sweep`]).
//!
//! Where several servers share a store, each operation has its follower in one of them, and one of them resyncs: whoever
//! holds the lease ([`lease`]).

mod follow;
mod lease;
pub(crate) mod sweep;
pub(crate) mod tell;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use layer0_domain::model::id::OperationId;
use layer0_domain::model::operation::Operation;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::app::{App, Serves};
pub(crate) use lease::{LeaseTimes, Leases, Outcome, in_turns, unless_stopped, with_lease};
use sweep::Logged;
use tell::Told;

/// How often everything is told to the engine again, and strays are looked for, though nothing changed.
const RESYNC: Duration = Duration::from_secs(300);

/// How long to wait before the engine is asked again to take what it refused: a port that somebody else held may be free.
const RETRY_REFUSED: Duration = Duration::from_secs(15);

/// How long after the start what nobody waits for begins.
const REST: Duration = Duration::from_secs(2);

/// How often abandoned uploads are looked for.
const UPLOADS: Duration = Duration::from_secs(600);

/// How long to wait before the start's resync is tried again when the engine did not answer and did not change either.
const RETRY: Duration = Duration::from_secs(2);

/// How long after the start it is usual that the engine can't be told anything yet.
const STARTS: Duration = Duration::from_secs(2);

/// The least between two tries, however often the engine changes meanwhile.
const RETRY_LEAST: Duration = Duration::from_millis(10);

/// How often running operations are looked for though nobody nudged.
const LOOK: Duration = Duration::from_secs(30);

/// The lease of whoever resyncs.
const RESYNC_LEASE: &str = "resync";

/// Wakes the reconciler. Cheap, may be called for no reason.
#[derive(Clone)]
pub(crate) struct Nudge {
    sender: Arc<watch::Sender<u64>>,
}

impl Nudge {
    /// One that nobody listens to yet.
    pub(crate) fn new() -> Self {
        Self { sender: Arc::new(watch::Sender::new(0)) }
    }

    /// Something changed.
    pub(crate) fn nudge(&self) {
        self.sender.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// A view that sees every nudge from now on.
    pub(crate) fn listen(&self) -> watch::Receiver<u64> {
        self.sender.subscribe()
    }
}

/// Runs until the app stops, then returns when no follower is in the middle of a step.
pub(crate) async fn run(app: App) {
    let told = app.told.clone();
    let mut parts = JoinSet::new();
    // Without an engine nothing is made so: what is wanted waits for a start with one.
    if app.serves == Serves::Everything {
        parts.spawn(pump(app.clone()));
        parts.spawn(followers(app.clone(), told.clone()));
        parts.spawn(resync(app.clone(), told));
    }
    parts.spawn(crate::auth::hear_others(app.clone()));
    parts.spawn(crate::outgrown::watch(app.clone()));
    parts.spawn(crate::grants::run(app.clone()));
    parts.spawn(crate::migrations::run(app.clone()));
    let (collecting, watching, sweeping) = (app.clone(), app.clone(), app);
    parts.spawn(async move { after_start(&collecting, crate::collecting::by_itself(collecting.clone())).await });
    parts.spawn(async move { after_start(&watching, crate::clock_watch::by_itself(watching.clone())).await });
    parts.spawn(async move { after_start(&sweeping, uploads(sweeping.clone())).await });
    while let Some(part) = parts.join_next().await {
        if let Err(why) = part {
            tracing::error!(error = %why, "a part of the reconciler ended");
        }
    }
}

/// Does `work` a moment after the start. It walks through all repositories and all directories of blobs, and nobody waits for it;
/// those who waited for the server to come back do wait for what they ask now.
async fn after_start(app: &App, work: impl Future<Output = ()>) {
    tokio::select! {
        () = tokio::time::sleep(REST) => work.await,
        () = app.stop.wait() => {}
    }
}

/// Turns the engine's changes into nudges.
async fn pump(app: App) {
    while !app.stop.asked() {
        tokio::select! {
            () = app.engine.changed() => app.nudge.nudge(),
            () = app.stop.wait() => {}
        }
    }
}

/// Keeps a follower with each running operation.
async fn followers(app: App, told: Arc<Told>) {
    let followed: Arc<Mutex<HashSet<OperationId>>> = Arc::default();
    let mut running = JoinSet::new();
    let mut nudges = app.nudge.listen();
    let alone = app.store.version().is_some();
    while !app.stop.asked() {
        match app.store.operation_list_running().await {
            Ok(operations) => {
                for operation in operations {
                    let id = operation.id.clone();
                    let new = followed.lock().expect("no holder of this lock panics").insert(id.clone());
                    if new {
                        let (app, told, followed) = (app.clone(), told.clone(), followed.clone());
                        running.spawn(async move {
                            divide(&app, &told, operation).await;
                            followed.lock().expect("no holder of this lock panics").remove(&id);
                        });
                    }
                }
            }
            Err(why) => warn!(error = %why, "running operations could not be read"),
        }
        while running.try_join_next().is_some() {}
        tokio::select! {
            _ = nudges.changed() => {}
            // What another server was asked for nudges nobody here.
            () = tokio::time::sleep(if alone { LOOK } else { app.leases.times.renewal }) => {}
            () = app.stop.wait() => {}
        }
    }
    while running.join_next().await.is_some() {}
}

/// Follows an operation, unless and until another server does, to its end or until the app stops.
async fn divide(app: &App, told: &Told, operation: Operation) {
    let name = format!("operation/{}", operation.id);
    loop {
        let pause = match with_lease(app, &name, follow::follow(app, told, operation.clone())).await {
            Outcome::Done(()) => return,
            Outcome::Elsewhere(again) => again,
            Outcome::Lost => Duration::ZERO,
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = app.stop.wait() => return,
        }
        match app.store.operation_get(&operation.id).await {
            Ok(Some(current)) if !current.state.ended() => {}
            Ok(_) => return,
            Err(why) => warn!(operation.id = %operation.id, error = %why, "an operation could not be looked at"),
        }
    }
}

/// Sweeps abandoned uploads, whatever the engine does.
async fn uploads(app: App) {
    while !app.stop.asked() {
        sweep::registry(&app).await;
        sweep::audit(&app).await;
        sweep::tokens(&app).await;
        tokio::select! {
            () = tokio::time::sleep(UPLOADS) => {}
            () = app.stop.wait() => {}
        }
    }
}

/// Resyncs, unless and until another server does.
async fn resync(app: App, told: Arc<Told>) {
    while !app.stop.asked() {
        let pause = match with_lease(&app, RESYNC_LEASE, rounds(&app, &told)).await {
            Outcome::Done(()) => return,
            Outcome::Elsewhere(again) => again,
            Outcome::Lost => Duration::ZERO,
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = told.asked_again() => {
                tokio::time::sleep(RETRY).await;
                tell::again(&app, &told).await;
            }
            () = app.stop.wait() => {}
        }
    }
}

/// Tells the engine everything at the start and from time to time, and sweeps strays, until the app stops.
async fn rounds(app: &App, told: &Told) {
    let mut nudges = app.nudge.listen();
    let mut complained = String::new();
    let begun = std::time::Instant::now();
    let logged = Arc::new(Logged::default());
    while !app.stop.asked() {
        nudges.mark_unchanged();
        let pause = match tell::everything(app, told).await {
            Ok(complete) => {
                complained.clear();
                if complete { RESYNC } else { RETRY_REFUSED }
            }
            Err(why) => {
                let text = tell::chain(&why);
                // At a start nobody has asked it yet, or what it has is being read. An engine that stays away is one line, not one every two seconds.
                if begun.elapsed() < STARTS {
                    debug!(error = text, "the engine could not be told yet what is wanted");
                } else if text != complained {
                    warn!(error = text, "the engine could not be told what is wanted; trying on");
                    complained = text;
                }
                // Usual at a start: the engine is not connected yet. It nudges when it is, and until it is told no load
                // balancer of ours answers.
                tokio::time::sleep(RETRY_LEAST).await;
                tokio::select! {
                    _ = nudges.changed() => {}
                    () = tokio::time::sleep(RETRY) => {}
                    () = app.stop.wait() => {}
                }
                continue;
            }
        };
        // A sweep waits for what takes minutes to go. It is dropped where it stands when the next round is due, and begun
        // anew after it.
        let sweeping = async {
            sweep::by_itself(app, &logged).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = sweeping => {}
            () = tokio::time::sleep(pause) => {}
            () = told.asked_again() => tokio::time::sleep(RETRY).await,
            () = app.stop.wait() => {}
        }
    }
}
