//! Strays: what bears our label in the engine and belongs to nobody.
//!
//! The engine is looked at first and the store read afterwards ([`plan::sweep`](layer0_domain::plan::sweep) says why that is
//! enough), and the engine once more where there seem to be any. Before each step the store is asked once more, in the entity's turn: what it knows by now is left alone.
//!
//! What sweeps by itself and what an admin asks for go the same way. Any server may do it, several at a time too: each step
//! may be repeated. By itself it is done by the server that resyncs.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, stream};
use layer0_domain::model::audit::KEPT_MS;
use layer0_domain::model::entity::{EntityKind, EntityRef};
use layer0_domain::plan::sweep::{Stray, Strays, strays, turn};
use layer0_domain::port::engine::{EngineError, Removed};
use tokio::time::Instant;
use tracing::{info, warn};

use super::tell::{TellError, chain};
use crate::app::App;

/// How many strays are taken away side by side.
const AT_ONCE: usize = 8;

/// How often a stray is asked about again when nothing is heard of the engine.
const LOOK: Duration = Duration::from_secs(1);

/// The longest pause that a throttled engine is given.
const THROTTLED_MAX: Duration = Duration::from_secs(5);

/// After so many failed calls in a row a stray is left. The engine's own retries come before.
const FAILURES: u32 = 3;

/// How often a removal may end in vain: what hindered it is there the second time too, and somebody has to look.
const HINDERED: u32 = 2;

/// How long one stray may take: longer than the five minutes in which a load balancer of AWS lets connections end, and a
/// stack after that.
const ONE_MAX: Duration = Duration::from_secs(900);

/// What came of a stray.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing of it is left.
    Gone,
    /// It is still there; why, in words.
    Left(String),
}

/// Hears how a sweep goes.
pub(crate) trait Listener: Sync {
    /// What was found, before anything is done.
    fn found(&self, strays: &Strays);
    /// What is waited for.
    fn waiting(&self, stray: &EntityRef, what: &str);
    /// What came of a stray.
    fn ended(&self, stray: &Stray, fate: &Fate);
}

/// Looks for strays. Changes nothing.
pub(crate) async fn look(app: &App) -> Result<Strays, TellError> {
    let things = app.engine.inventory().await?;
    let mut known: BTreeSet<EntityRef> = BTreeSet::new();
    for kind in [EntityKind::Environment, EntityKind::LoadBalancer, EntityKind::Service, EntityKind::Task] {
        known.extend(app.store.summary_list(kind).await?.into_iter().map(|summary| summary.entity));
    }
    let mut found = strays(things, &known);
    if !found.of_nobody.is_empty() {
        // What was on its way out meanwhile has left the engine before it left the store: a second look tells it from a stray.
        let things = app.engine.inventory().await?;
        let there: BTreeSet<EntityRef> = things.into_iter().flat_map(|thing| thing.made_for).collect();
        found.of_nobody.retain(|stray| there.contains(&stray.entity));
    }
    Ok(found)
}

/// Takes all strays away and waits until each is gone or is left for a reason.
///
/// An environment's turn comes when nothing else is left: taken away around what stands in it, half of it would go.
pub(crate) async fn sweep(app: &App, listener: &dyn Listener) -> Result<(), TellError> {
    let found = look(app).await?;
    listener.found(&found);
    let mut left: Vec<EntityRef> = Vec::new();
    let mut rest = found.of_nobody.as_slice();
    while let Some(first) = rest.first() {
        let now = turn(first.entity.kind());
        let (here, later) = rest.split_at(rest.partition_point(|stray| turn(stray.entity.kind()) <= now));
        rest = later;
        let holds: Option<String> = match first.entity.kind() {
            EntityKind::Environment => left.first().map(|it| format!("{it} has to go first, and is still there")),
            _ => None,
        };
        let ends: Vec<_> = here.iter().map(|stray| one(app, stray, holds.as_deref(), listener).boxed()).collect();
        let ends: Vec<(EntityRef, Fate)> = stream::iter(ends).buffer_unordered(AT_ONCE).collect().await;
        left.extend(ends.into_iter().filter(|(_, fate)| *fate != Fate::Gone).map(|(entity, _)| entity));
    }
    Ok(())
}

/// Takes one stray away, unless something holds it, and says what came of it.
async fn one(app: &App, stray: &Stray, holds: Option<&str>, listener: &dyn Listener) -> (EntityRef, Fate) {
    let fate = match holds {
        Some(why) => Fate::Left(why.to_owned()),
        None => take_away(app, &stray.entity, listener).await,
    };
    listener.ended(stray, &fate);
    (stray.entity.clone(), fate)
}

/// Takes one stray away, step by step.
async fn take_away(app: &App, entity: &EntityRef, listener: &dyn Listener) -> Fate {
    let began = Instant::now();
    let (mut failed, mut hindered) = (0, 0);
    let mut nudges = app.nudge.listen();
    loop {
        nudges.mark_unchanged();
        let (waits_for, pause) = match step(app, entity).await {
            Ok(Removed::Gone) => return Fate::Gone,
            Ok(Removed::Going { waiting_for }) => {
                failed = 0;
                (waiting_for, LOOK)
            }
            Ok(Removed::Hindered { waiting_for, why }) => {
                failed = 0;
                hindered += 1;
                if hindered >= HINDERED {
                    return Fate::Left(why);
                }
                (format!("{waiting_for} ({why})"), LOOK)
            }
            Err(Unswept::Known) => return Fate::Left("the instance knows of it by now".to_owned()),
            Err(Unswept::Failed(why)) => {
                failed += 1;
                let text = chain(&why);
                match &why {
                    TellError::Engine(EngineError::Throttled { after }) if failed < FAILURES => {
                        (text, (*after).min(THROTTLED_MAX))
                    }
                    TellError::Engine(why) if !why.retryable() => return Fate::Left(text),
                    _ if failed >= FAILURES => return Fate::Left(text),
                    _ => (text, LOOK),
                }
            }
        };
        if began.elapsed() >= ONE_MAX {
            return Fate::Left(format!("it is still waiting for {waits_for}; it goes on by itself"));
        }
        listener.waiting(entity, &waits_for);
        // After a failure a nudge says nothing: the pause is for whoever failed.
        tokio::select! {
            _ = nudges.changed(), if failed == 0 => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Why a step was not done.
enum Unswept {
    /// It is no stray.
    Known,
    /// Store or engine failed.
    Failed(TellError),
}

/// One step, unless the store knows the entity.
async fn step(app: &App, entity: &EntityRef) -> Result<Removed, Unswept> {
    let _turn = app.told.turn(entity).await;
    match app.store.entity_get(entity).await {
        Ok(None) => {}
        Ok(Some(_)) => return Err(Unswept::Known),
        Err(why) => return Err(Unswept::Failed(why.into())),
    }
    let removed = app.engine.remove(entity).await.map_err(|why| Unswept::Failed(why.into()))?;
    if removed == Removed::Gone {
        app.told.forget(entity).await;
    }
    Ok(removed)
}

/// What the log says of a sweep that nobody asked for. What is left is said once for each cause, not at every round.
#[derive(Default)]
pub(crate) struct Logged {
    left: Mutex<Vec<(EntityRef, String)>>,
}

impl Listener for Logged {
    fn found(&self, strays: &Strays) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.retain(|(entity, _)| strays.of_nobody.iter().any(|stray| stray.entity == *entity));
        for stray in strays.of_nobody.iter().filter(|stray| left.iter().all(|(entity, _)| *entity != stray.entity)) {
            let (entity, things) = (&stray.entity, stray.things.len());
            info!(entity = %entity, "sweeping {entity}, {things} things: it belongs to nothing that this instance knows");
        }
    }

    fn waiting(&self, _: &EntityRef, _: &str) {}

    fn ended(&self, stray: &Stray, fate: &Fate) {
        let Fate::Left(cause) = fate else { return };
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let said = (stray.entity.clone(), cause.clone());
        if !left.contains(&said) {
            warn!(entity = %stray.entity, error = cause, "a stray could not be swept");
            left.retain(|(entity, _)| *entity != stray.entity);
            left.push(said);
        }
    }
}

/// Sweeps by itself; what comes of it is in the log.
pub(crate) async fn by_itself(app: &App, logged: &Arc<Logged>) {
    if let Err(why) = sweep(app, logged.as_ref()).await {
        tracing::debug!(error = %why, "strays could not be looked for");
    }
}

/// Forgets the tokens that trusts gave and that have ended.
pub(crate) async fn tokens(app: &App) {
    match app.access.token_prune(app.clock.now()).await {
        Ok(0) => {}
        Ok(tokens) => info!(token.count = tokens, "forgot {tokens} tokens of trusts that had ended"),
        Err(why) => warn!(error = %why, "tokens of trusts that have ended could not be forgotten"),
    }
}

/// Forgets what stands in the audit log for longer than it is kept.
pub(crate) async fn audit(app: &App) {
    match app.access.audit_prune(app.clock.now().plus_ms(-KEPT_MS)).await {
        Ok(0) => {}
        Ok(records) => info!(audit.records = records, "forgot {records} records of the audit log that were too old"),
        Err(why) => warn!(error = %why, "old records of the audit log could not be forgotten"),
    }
}

/// Sweeps uploads that nobody went on with, and files that no repository holds; the registry itself says how many.
pub(crate) async fn registry(app: &App) {
    if let Err(why) = app.registry.sweep().await {
        warn!(error = super::tell::chain(&why), "the registry could not be swept");
    }
}
