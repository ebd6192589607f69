//! Telling the engine what is wanted.

use std::collections::HashMap;

use layer0_domain::model::entity::{EntityKind, EntityRef};
use layer0_domain::model::environment::Environment;
use layer0_domain::model::service::Service;
use layer0_domain::model::task::{Task, TaskWanted};
use layer0_domain::plan::environment::{linked_with, reachable_from};
use layer0_domain::port::engine::{EngineError, Revision, ServiceMode, ServiceSpec, TaskRun, TaskSpec, Want};
use layer0_domain::port::store::{Entity, StoreError};
use tokio::sync::Mutex;

use crate::app::App;

/// What the engine was last told of each entity, so that it is told again only what changed.
#[derive(Default)]
pub(crate) struct Told {
    wants: Mutex<HashMap<EntityRef, Want>>,
}

/// Why the engine could not be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TellError {
    /// The store could not be read.
    #[error("the store could not be read")]
    Store(#[from] StoreError),
    /// The engine refused or did not answer.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// All environments, those on their way out included.
async fn environments(app: &App) -> Result<Vec<Environment>, StoreError> {
    let entities = app.store.entity_list(EntityKind::Environment).await?;
    Ok(entities
        .into_iter()
        .filter_map(|entity| match entity {
            Entity::Environment(it) => Some(it),
            _ => None,
        })
        .collect())
}

/// What is wanted of an entity; `None` for one on its way out, and for a task that has ended.
fn want(app: &App, entity: &Entity, all: &[Environment]) -> Option<Want> {
    if entity.deleting() {
        return None;
    }
    match entity {
        Entity::Environment(it) => {
            Some(Want::Environment { environment: it.clone(), linked: linked_with(&it.id, all) })
        }
        Entity::LoadBalancer(it) => Some(Want::LoadBalancer {
            load_balancer: it.clone(),
            reachable_from: reachable_from(&it.environment, all, app.engine.capabilities().one_way_links),
        }),
        Entity::Service(it) => Some(Want::Service(service(it))),
        Entity::Task(it) if it.outcome.is_some() => None,
        Entity::Task(it) => Some(Want::Task(task(it))),
    }
}

fn service(it: &Service) -> ServiceSpec {
    let wanted = it.wanted();
    ServiceSpec {
        id: it.id.clone(),
        name: it.name.clone(),
        environment: it.environment.clone(),
        desired_count: it.desired_count,
        revision: Revision {
            deployment: wanted.id.clone(),
            label: format!("{}:{}", wanted.deploy_name, wanted.deploy_version),
            definition: wanted.definition.clone(),
        },
        mode: if it.halted() { ServiceMode::Halted } else { ServiceMode::Run },
        load_balancer: it.load_balancer.clone(),
        generation: it.generation,
    }
}

fn task(it: &Task) -> TaskSpec {
    TaskSpec {
        id: it.id.clone(),
        name: it.name.clone(),
        environment: it.environment.clone(),
        copies: it.copies,
        definition: it.definition.clone(),
        run: match it.wanted {
            TaskWanted::Run => TaskRun::Once,
            TaskWanted::Stop => TaskRun::Stop,
        },
        generation: it.generation,
    }
}

/// Tells the engine what is wanted of one entity, and of what it needs: its environment and load balancer first.
///
/// A change of an environment's links changes what is wanted of other environments and of private load balancers; those
/// are told too.
pub(crate) async fn entity(app: &App, told: &Told, entity: &Entity) -> Result<(), TellError> {
    let all = environments(app).await?;
    if let Some(id) = entity.environment()
        && let Some(environment) = all.iter().find(|it| it.id == *id)
    {
        tell(app, told, &Entity::Environment(environment.clone()), &all).await?;
    }
    if let Entity::Service(service) = entity
        && let Some(id) = &service.load_balancer
        && let Some(load_balancer) = app.store.entity_get(&EntityRef::LoadBalancer(id.clone())).await?
    {
        tell(app, told, &load_balancer, &all).await?;
    }
    tell(app, told, entity, &all).await?;
    if matches!(entity, Entity::Environment(_)) {
        for other in &all {
            tell(app, told, &Entity::Environment(other.clone()), &all).await?;
        }
        for load_balancer in app.store.entity_list(EntityKind::LoadBalancer).await? {
            tell(app, told, &load_balancer, &all).await?;
        }
    }
    Ok(())
}

/// Tells the engine of everything, whatever it was told before: after a restart it knows nothing.
///
/// One entity that the engine refuses keeps no other from being told; its own operation, or its own `get`, shows why.
pub(crate) async fn everything(app: &App, told: &Told) -> Result<(), TellError> {
    let all = environments(app).await?;
    let order = [EntityKind::Environment, EntityKind::LoadBalancer, EntityKind::Service, EntityKind::Task];
    for kind in order {
        for entity in app.store.entity_list(kind).await? {
            let Some(want) = want(app, &entity, &all) else { continue };
            match ensure(app, told, want).await {
                Ok(()) => {}
                Err(why) if why.retryable() => return Err(why.into()),
                Err(why) => tracing::warn!(entity = %entity.reference(), error = %why, "the engine refused an entity"),
            }
        }
    }
    Ok(())
}

async fn tell(app: &App, told: &Told, entity: &Entity, all: &[Environment]) -> Result<(), TellError> {
    let Some(want) = want(app, entity, all) else { return Ok(()) };
    let known = told.wants.lock().await.get(&want.entity()) == Some(&want);
    if !known {
        ensure(app, told, want).await?;
    }
    Ok(())
}

async fn ensure(app: &App, told: &Told, want: Want) -> Result<(), EngineError> {
    let entity = want.entity();
    let result = app.engine.ensure(want.clone()).await;
    let mut wants = told.wants.lock().await;
    match result {
        Ok(()) => {
            wants.insert(entity, want);
            Ok(())
        }
        // Somebody told the engine something newer: that is what is wanted.
        Err(EngineError::Outdated { .. }) => Ok(()),
        Err(why) => {
            wants.remove(&entity);
            Err(why)
        }
    }
}

/// Forgets what was told of an entity that is gone.
pub(crate) async fn forget(told: &Told, entity: &EntityRef) {
    told.wants.lock().await.remove(entity);
}
