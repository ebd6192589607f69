//! Strays: what bears our label in the engine and belongs to nobody.

use std::collections::HashSet;

use layer0_domain::model::audit::KEPT_MS;
use layer0_domain::model::entity::{EntityKind, EntityRef};
use layer0_domain::port::engine::{Observed, Scope};
use tracing::{info, warn};

use super::tell::{TellError, Told};
use crate::app::App;

/// Looks for strays and removes them.
///
/// The engine is looked at first and the store read afterwards. An entity is written to the store before the engine hears
/// of it, so what the engine has and the store then does not know can't be on its way in: it was deleted.
pub(crate) async fn sweep(app: &App, told: &Told) -> Result<(), TellError> {
    let seen = entities(&app.engine.observe(Scope::All).await?);
    let mut known: HashSet<EntityRef> = HashSet::new();
    for kind in [EntityKind::Environment, EntityKind::LoadBalancer, EntityKind::Service, EntityKind::Task] {
        known.extend(app.store.summary_list(kind).await?.into_iter().map(|summary| summary.entity));
    }
    for stray in seen.into_iter().filter(|entity| !known.contains(entity)) {
        info!(entity = %stray, "sweeping {stray}: it belongs to nothing that this instance knows");
        let _turn = told.turn(&stray).await;
        if let Err(why) = app.engine.remove(&stray).await {
            warn!(entity = %stray, error = %why, "a stray could not be swept");
        }
    }
    Ok(())
}

/// What is seen, copies before what they stand in: services and tasks, then load balancers, then environments.
fn entities(seen: &Observed) -> Vec<EntityRef> {
    let services = seen.services.iter().map(|it| EntityRef::Service(it.id.clone()));
    let tasks = seen.tasks.iter().map(|it| EntityRef::Task(it.id.clone()));
    let load_balancers = seen.load_balancers.iter().map(|it| EntityRef::LoadBalancer(it.id.clone()));
    let environments = seen.environments.iter().map(|it| EntityRef::Environment(it.id.clone()));
    services.chain(tasks).chain(load_balancers).chain(environments).collect()
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
