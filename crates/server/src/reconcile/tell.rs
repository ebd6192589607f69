//! Telling the engine what is wanted.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::pin::pin;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use layer0_domain::model::entity::{EntityKind, EntityRef};
use layer0_domain::model::environment::Environment;
use layer0_domain::model::id::EnvironmentId;
use layer0_domain::model::image::ImageRef;
use layer0_domain::model::service::Service;
use layer0_domain::model::task::{Task, TaskWanted};
use layer0_domain::model::task_definition::TaskDefinition;
use layer0_domain::plan::environment::{linked_with, reachable_from};
use layer0_domain::port::engine::{Capacity, EngineError, Revision, ServiceMode, ServiceSpec, TaskRun, TaskSpec, Want};
use layer0_domain::port::pull::Launch;
use layer0_domain::port::store::{Entity, StoreError};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard};

use crate::app::App;

/// How many entities of a kind the engine is told of side by side when it is told of everything: engines that ask a distant
/// service about each can ask about many at once.
const AT_ONCE: usize = 64;

/// What the engine was last told of each entity, so that it is told again only what changed, and whose turn it is to tell.
///
/// Between reading what is wanted and telling it, nobody else may do the same for the same entity: an older wish must never
/// arrive last. Environments and load balancers have one turn together, because what is wanted of one follows from the
/// others (links); each service and task has its own.
#[derive(Default)]
pub(crate) struct Told {
    wants: Mutex<HashMap<EntityRef, Want>>,
    topology: Arc<Mutex<()>>,
    turns: Mutex<HashMap<EntityRef, Arc<Mutex<()>>>>,
    refusals: Mutex<HashMap<EntityRef, String>>,
    again: Mutex<HashSet<EntityRef>>,
    incomplete: Notify,
}

impl Told {
    /// The turn to tell the engine of an entity, or to remove it.
    pub(crate) async fn turn(&self, entity: &EntityRef) -> OwnedMutexGuard<()> {
        let turn = match entity {
            EntityRef::Environment(_) | EntityRef::LoadBalancer(_) => self.topology.clone(),
            EntityRef::Service(_) | EntityRef::Task(_) | EntityRef::Deploy(_) => {
                self.turns.lock().await.entry(entity.clone()).or_default().clone()
            }
        };
        turn.lock_owned().await
    }

    /// Forgets what was told of an entity that is gone.
    pub(crate) async fn forget(&self, entity: &EntityRef) {
        self.wants.lock().await.remove(entity);
        self.turns.lock().await.remove(entity);
        self.refusals.lock().await.remove(entity);
    }

    /// Asks for an entity to be told again soon: it could not be told, and nobody else will try. Whoever resyncs tells
    /// everything.
    pub(crate) async fn ask_again(&self, entity: &EntityRef) {
        self.again.lock().await.insert(entity.clone());
        self.incomplete.notify_one();
    }

    /// Returns when somebody asks.
    pub(crate) async fn asked_again(&self) {
        self.incomplete.notified().await;
    }
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
    let one_way = app.engine.capabilities().one_way_links;
    match entity {
        Entity::Environment(it) => {
            Some(Want::Environment { environment: it.clone(), reachable_from: reachable_from(&it.id, all, one_way) })
        }
        Entity::LoadBalancer(it) => Some(Want::LoadBalancer {
            load_balancer: it.clone(),
            reachable_from: reachable_from(&it.environment, all, one_way),
        }),
        Entity::Service(it) => Some(Want::Service(service(app, it))),
        Entity::Task(it) if it.outcome.is_some() => None,
        Entity::Task(it) => Some(Want::Task(task(app, it))),
    }
}

/// The definition with images of ours named by the registry's present address.
fn present(app: &App, definition: &TaskDefinition) -> TaskDefinition {
    let mut definition = definition.clone();
    for container in &mut definition.containers {
        if let Ok(image) = ImageRef::parse(&container.image) {
            container.image = app.identity.registry.present(&image).to_string();
        }
    }
    definition
}

fn service(app: &App, it: &Service) -> ServiceSpec {
    let wanted = it.wanted();
    ServiceSpec {
        id: it.id.clone(),
        name: it.name.clone(),
        environment: it.environment.clone(),
        desired_count: it.copies_wanted(),
        revision: Revision {
            deployment: wanted.id.clone(),
            label: wanted.label(),
            definition: present(app, &wanted.definition),
        },
        mode: if it.halted() { ServiceMode::Halted } else { ServiceMode::Run },
        load_balancer: it.load_balancer.clone(),
        launch: Launch::of_stateful(it.stateful),
        generation: it.generation,
    }
}

fn task(app: &App, it: &Task) -> TaskSpec {
    TaskSpec {
        id: it.id.clone(),
        name: it.name.clone(),
        environment: it.environment.clone(),
        copies: it.copies,
        definition: present(app, &it.definition),
        run: match it.wanted {
            TaskWanted::Run => TaskRun::Once,
            TaskWanted::Stop => TaskRun::Stop,
        },
        launch: Launch::of_stateful(it.stateful),
        capacity: if it.spot { Capacity::Spot } else { Capacity::Regular },
        generation: it.generation,
    }
}

/// Tells the engine what is wanted of one entity, and of what it needs: its environment and load balancer first.
///
/// A change of an environment's links changes what is wanted of the environments that it is and was linked with, and of
/// load balancers in all of them; those are told too.
pub(crate) async fn entity(app: &App, told: &Told, entity: &Entity) -> Result<(), TellError> {
    if let Some(id) = entity.environment() {
        tell(app, told, &EntityRef::Environment(id.clone())).await?;
    }
    if let Entity::Service(service) = entity
        && let Some(id) = &service.load_balancer
    {
        tell(app, told, &EntityRef::LoadBalancer(id.clone())).await?;
    }
    let before = linked_before(told, &entity.reference()).await;
    tell(app, told, &entity.reference()).await?;
    if let Entity::Environment(it) = entity {
        neighbours(app, told, &it.id, before).await?;
    }
    Ok(())
}

/// The environments that the engine was last told to be linked with this one, from either side.
async fn linked_before(told: &Told, of: &EntityRef) -> BTreeSet<EnvironmentId> {
    let EntityRef::Environment(of) = of else { return BTreeSet::new() };
    let wants = told.wants.lock().await;
    let mut found = BTreeSet::new();
    for want in wants.values() {
        if let Want::Environment { environment, reachable_from } = want {
            if environment.id == *of {
                found.extend(reachable_from.iter().cloned());
            } else if reachable_from.contains(of) {
                found.insert(environment.id.clone());
            }
        }
    }
    found
}

async fn neighbours(
    app: &App,
    told: &Told,
    of: &EnvironmentId,
    before: BTreeSet<EnvironmentId>,
) -> Result<(), TellError> {
    let mut touched = before;
    touched.extend(linked_with(of, &environments(app).await?));
    for other in &touched {
        tell(app, told, &EntityRef::Environment(other.clone())).await?;
    }
    touched.insert(of.clone());
    for summary in app.store.summary_list(EntityKind::LoadBalancer).await? {
        if summary.environment.is_some_and(|environment| touched.contains(&environment)) {
            tell(app, told, &summary.entity).await?;
        }
    }
    Ok(())
}

/// Tells the engine of everything, whatever it was told before: after a restart it knows nothing. Answers whether it took
/// all of it.
///
/// One entity that the engine refuses, or fails at, keeps no other from being told. Only an engine that does not answer at
/// all ends the round.
pub(crate) async fn everything(app: &App, told: &Told) -> Result<bool, TellError> {
    let mut complete = true;
    told.again.lock().await.clear();
    for kind in [EntityKind::Environment, EntityKind::LoadBalancer, EntityKind::Service, EntityKind::Task] {
        let mut summaries = app.store.summary_list(kind).await?;
        // Neighbours together: an engine may ask about them in one go.
        summaries.sort_by(|a, b| a.environment.cmp(&b.environment));
        let told_of = stream::iter(summaries).map(|summary| async move {
            let result = ensure_present(app, told, &summary.entity, Anew::Yes).await;
            (summary.entity, result)
        });
        let mut told_of = pin!(told_of.buffer_unordered(AT_ONCE));
        while let Some((entity, result)) = told_of.next().await {
            let mut refusals = told.refusals.lock().await;
            match result {
                Ok(()) => drop(refusals.remove(&entity)),
                Err(TellError::Store(why)) => return Err(why.into()),
                Err(TellError::Engine(why @ (EngineError::Unavailable { .. } | EngineError::Throttled { .. }))) => {
                    return Err(why.into());
                }
                Err(TellError::Engine(why)) => {
                    complete = false;
                    let text = chain(&why);
                    // Said once, not at every round.
                    if refusals.insert(entity.clone(), text.clone()).as_ref() != Some(&text) {
                        tracing::warn!(error = text, "the engine did not take {entity}");
                    }
                }
            }
        }
    }
    Ok(complete)
}

/// Tells the engine of those entities that somebody asked for with [`Told::ask_again`]: for a server that does not resync.
/// Asks again for those that it does not take now.
pub(crate) async fn again(app: &App, told: &Told) {
    let asked = std::mem::take(&mut *told.again.lock().await);
    for reference in asked {
        let result = match app.store.entity_get(&reference).await {
            Ok(Some(it)) => entity(app, told, &it).await,
            Ok(None) => Ok(()),
            Err(why) => Err(why.into()),
        };
        if let Err(why) = result {
            tracing::debug!(entity = %reference, error = %why, "the engine could not be told yet");
            told.ask_again(&reference).await;
        }
    }
}

async fn tell(app: &App, told: &Told, entity: &EntityRef) -> Result<(), TellError> {
    ensure_present(app, told, entity, Anew::No).await
}

/// Whether the engine is told what it was told before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Anew {
    Yes,
    No,
}

/// Reads what is wanted of an entity now and tells the engine, in one turn. Of an entity that has gone or is on its way
/// out, nothing is told.
async fn ensure_present(app: &App, told: &Told, of: &EntityRef, anew: Anew) -> Result<(), TellError> {
    let _turn = told.turn(of).await;
    let Some(entity) = app.store.entity_get(of).await? else { return Ok(()) };
    let all = match entity {
        Entity::Environment(_) | Entity::LoadBalancer(_) => environments(app).await?,
        Entity::Service(_) | Entity::Task(_) => vec![],
    };
    let Some(want) = want(app, &entity, &all) else { return Ok(()) };
    if anew == Anew::No && told.wants.lock().await.get(of) == Some(&want) {
        return Ok(());
    }
    let answer = app.engine.ensure(want.clone()).await;
    let is_outdated = matches!(answer, Err(EngineError::Outdated { .. }));
    if !is_outdated && app.store.version().is_none() && went_meanwhile(app, of).await? {
        told.wants.lock().await.remove(of);
        return Ok(());
    }
    match answer {
        Ok(()) => {
            told.wants.lock().await.insert(of.clone(), want);
            Ok(())
        }
        // The engine knows something newer, or is taking the entity away: that is what is wanted.
        Err(EngineError::Outdated { .. }) => Ok(()),
        Err(why) => {
            told.wants.lock().await.remove(of);
            Err(why.into())
        }
    }
}

/// Takes away again what another server took out of the store, or is about to, while the engine was told of it: a turn holds back
/// nobody there, and what it removed may just have been made anew. What does not go at once is a stray, which the sweep takes.
async fn went_meanwhile(app: &App, of: &EntityRef) -> Result<bool, TellError> {
    if app.store.entity_get(of).await?.is_some_and(|entity| !entity.deleting()) {
        return Ok(false);
    }
    app.engine.remove(of).await?;
    Ok(true)
}

/// An error with its sources.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
