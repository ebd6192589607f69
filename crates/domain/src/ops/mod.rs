//! One function for each thing a user can ask for. They read, decide, and write what is wanted in one unit of work;
//! carrying it out is the reconciler's business, so none of them waits for an engine to do anything.

pub mod copy;
pub mod deploy;
pub mod environment;
mod error;
pub mod grant;
pub mod image;
pub mod load_balancer;
pub mod map;
pub mod migration;
pub mod owner;
pub mod person;
pub mod service;
pub mod task;
pub mod token;
pub mod trust;

pub use error::OpsError;

use crate::model::access::Caller;
use crate::model::backing::{BackingPlace, Places};
use crate::model::entity::{EntityKind, EntityRef};
use crate::model::environment::Environment;
use crate::model::id::{EnvironmentId, OperationId, id_text};
use crate::model::image::{ImageRef, RepositoryName};
use crate::model::image_map::{ImageMap, ImageMapError, MapRule, Mapped};
use crate::model::operation::{Operation, OperationState, Verb};
use crate::model::service::PinnedImage;
use crate::port::access_store::AccessStore;
use crate::port::clock::{Clock, ClockExt};
use crate::port::engine::Engine;
use crate::port::image_source::ImageSource;
use crate::port::store::{Entity, Store, StoreError, StoreExt};

/// What every function here works with.
#[derive(Clone, Copy)]
pub struct Ctx<'a> {
    /// What the instance remembers.
    pub store: &'a dyn Store,
    /// Users, owners and tokens.
    pub access: &'a dyn AccessStore,
    /// Who asks.
    pub caller: &'a Caller,
    /// What runs containers. Only asked, never told anything.
    pub engine: &'a dyn Engine,
    /// The registries of ours.
    pub images: &'a dyn ImageSource,
    /// Time and randomness.
    pub clock: &'a dyn Clock,
    /// Map rules that stand from the start (the instance's own registry, and those of its configuration).
    pub fixed_rules: &'a [MapRule],
    /// Where the instance's own registry is and was.
    pub registry: &'a RegistryAddresses,
}

/// Where the instance's own registry is, as the engine reaches it, and where it was before: what deploys and services keep
/// names the address of their day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryAddresses {
    /// Where it is.
    pub current: String,
    /// Where it was, the present address not among them.
    pub former: Vec<String>,
    /// The registries of others in which repositories may lie. The engine pulls from there.
    pub places: Places,
}

impl RegistryAddresses {
    /// An image of ours by the registry's present address; any other as it is.
    #[must_use]
    pub fn present(&self, image: &ImageRef) -> ImageRef {
        match image.host() {
            Some(host) if self.former.iter().any(|former| former == host) => {
                image.with_host(&self.current).unwrap_or_else(|_| image.clone())
            }
            _ => image.clone(),
        }
    }

    /// The repository of our registry that an image lies in, whichever of its addresses names it; `None` for an image that
    /// lies elsewhere.
    #[must_use]
    pub fn repository_of(&self, image: &ImageRef) -> Option<RepositoryName> {
        if self.is_named_by(image) {
            return RepositoryName::parse(image.path()).ok();
        }
        self.places.repository_of(image).map(|(_, repository)| repository)
    }

    /// Whether an image is named by an address of the registry itself.
    fn is_named_by(&self, image: &ImageRef) -> bool {
        let ours = || std::iter::once(&self.current).chain(&self.former);
        image.host().is_some_and(|host| ours().any(|ours| ours.eq_ignore_ascii_case(host)))
    }

    /// Where a repository lies, as whoever pulls from it names it; `place` is `None` for one that lies with the registry itself.
    #[must_use]
    pub fn uri_of(&self, repository: &RepositoryName, place: Option<&BackingPlace>) -> String {
        match place {
            Some(place) => place.uri_of(repository),
            None => format!("{}/{repository}", self.current),
        }
    }

    /// Whether the engine asks the place where an image lies by itself, although it is ours: it is let in there, and knows
    /// more about what else a pull takes.
    #[must_use]
    pub fn engine_asks(&self, image: &ImageRef) -> bool {
        self.places.repository_of(image).is_some()
    }
}

/// A change that was taken down and is being carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// The entity.
    pub entity: EntityRef,
    /// The operation that carries the change out.
    pub operation: OperationId,
    /// What the user should know; what there is to know of an image stands with the image.
    pub warnings: Vec<String>,
    /// What each container's image was pinned to.
    pub images: Vec<PinnedImage>,
}

/// A write that lost against another is read and decided again so many times. Each time somebody else's write came through,
/// so this many at once on one entity all come through; more are told of the conflict.
const CONFLICT_RETRIES: usize = 64;

impl Ctx<'_> {
    fn new_id(&self, name: &str) -> String {
        id_text(name, self.clock.random_u64())
    }

    async fn operation(&self, verb: Verb, entity: &Entity) -> Result<Operation, OpsError> {
        let place = match entity {
            Entity::Environment(it) => it.owner.clone().map(|owner| (owner, it.name.to_string())),
            Entity::LoadBalancer(_) | Entity::Service(_) | Entity::Task(_) => {
                let environment = match entity.environment() {
                    Some(id) => self.store.environment_get(id).await?,
                    None => None,
                };
                environment.and_then(|it| it.owner.map(|owner| (owner, it.name.to_string())))
            }
        };
        Ok(Operation {
            id: OperationId::parse(&self.new_id(verb.as_str())).expect("made of letters, digits and `-`"),
            verb,
            entity: entity.reference(),
            entity_name: entity.name().to_string(),
            environment: entity.environment().cloned(),
            place,
            deployment: match entity {
                Entity::Service(service) => Some(service.wanted().id.clone()),
                _ => None,
            },
            state: OperationState::Running,
            cause: None,
            created: self.clock.now(),
            ended: None,
        })
    }

    async fn create(&self, entity: Entity) -> Result<Accepted, OpsError> {
        let operation = self.operation(Verb::Create, &entity).await?;
        self.store.entity_create(&entity, &operation).await?;
        Ok(Accepted { entity: entity.reference(), operation: operation.id, warnings: vec![], images: vec![] })
    }

    /// Reads an entity, changes it and writes it back; when somebody else wrote in between, once more from the start.
    async fn change(
        &self,
        of: &EntityRef,
        verb: Verb,
        mut change: impl FnMut(Entity) -> Result<Entity, OpsError>,
    ) -> Result<Accepted, OpsError> {
        let mut tries = 0;
        loop {
            let entity = self.live(of).await?;
            let entity = change(entity)?;
            let operation = self.operation(verb, &entity).await?;
            match self.store.entity_update(&entity, &operation).await {
                Ok(_) => {
                    return Ok(Accepted {
                        entity: of.clone(),
                        operation: operation.id,
                        warnings: vec![],
                        images: vec![],
                    });
                }
                Err(StoreError::Conflict { .. }) if tries < CONFLICT_RETRIES => tries += 1,
                Err(why) => return Err(why.into()),
            }
        }
    }

    /// An entity that is there and not on its way out.
    async fn live(&self, of: &EntityRef) -> Result<Entity, OpsError> {
        match self.store.entity_get(of).await? {
            Some(entity) if !entity.deleting() => Ok(entity),
            Some(_) => Err(OpsError::Deleting { entity: of.clone() }),
            None => Err(OpsError::missing(of.clone())),
        }
    }

    async fn environment(&self, id: &EnvironmentId) -> Result<Environment, OpsError> {
        match self.store.environment_get(id).await? {
            Some(it) if !it.deleting => Ok(it),
            Some(it) => Err(OpsError::Deleting { entity: EntityRef::Environment(it.id) }),
            None => Err(OpsError::missing(EntityRef::Environment(id.clone()))),
        }
    }

    /// Begins a delete. Of something that is on its way out already, the operation that carries it out is answered.
    async fn delete(&self, of: &EntityRef) -> Result<Accepted, OpsError> {
        let accepted = |operation| Accepted { entity: of.clone(), operation, warnings: vec![], images: vec![] };
        let mut tries = 0;
        loop {
            let entity = self.store.entity_get(of).await?.ok_or_else(|| OpsError::missing(of.clone()))?;
            if entity.deleting() {
                let running = self.store.operation_list_running().await?;
                if let Some(same) = running.into_iter().find(|it| it.entity == *of && it.verb == Verb::Delete) {
                    return Ok(accepted(same.id));
                }
            }
            let entity = mark_deleting(entity);
            let operation = self.operation(Verb::Delete, &entity).await?;
            match self.store.entity_update(&entity, &operation).await {
                Ok(_) => return Ok(accepted(operation.id)),
                Err(StoreError::Conflict { .. }) if tries < CONFLICT_RETRIES => tries += 1,
                Err(why) => return Err(why.into()),
            }
        }
    }

    /// The image map in force: the fixed rules and those that users added.
    ///
    /// # Errors
    /// When the store can't be read. Rules are checked when they are written, so a map that does not hold together here
    /// can only come from a changed configuration; the user is told which rule to remove.
    pub async fn image_map(&self) -> Result<ImageMap, OpsError> {
        let user = self.store.map_list().await?;
        self.combined_map(&user).map_err(OpsError::Map)
    }

    /// What the map made of an image, with the address of where its repository lies now. The rules know where a repository goes
    /// that is made; one that was there before them, or was moved, may lie elsewhere. What was written as an address in one of
    /// the places itself is left alone.
    async fn located(&self, mapped: Mapped) -> Result<Mapped, OpsError> {
        let by_rule = mapped.rule.as_ref().is_some_and(|rule| !rule.is_exemption());
        if !by_rule && !self.registry.is_named_by(&mapped.backing) {
            return Ok(mapped);
        }
        let Some(repository) = self.registry.repository_of(&mapped.backing) else { return Ok(mapped) };
        let place = self.images.place_of(&repository).await?;
        let backing = mapped.backing.with_repository(&self.registry.uri_of(&repository, place.as_ref()));
        let backing = backing.map_err(|why| OpsError::invalid(format!("image {}: {why}", mapped.written)))?;
        Ok(Mapped { backing, ..mapped })
    }

    fn combined_map(&self, user: &[MapRule]) -> Result<ImageMap, ImageMapError> {
        ImageMap::new(self.fixed_rules.iter().chain(user).cloned().collect())
    }
}

fn mark_deleting(mut entity: Entity) -> Entity {
    match &mut entity {
        Entity::Environment(it) => it.deleting = true,
        Entity::LoadBalancer(it) => it.deleting = true,
        Entity::Service(it) => it.deleting = true,
        Entity::Task(it) => it.deleting = true,
    }
    entity
}

/// Deletes an environment, load balancer, service or task: begins it, and answers who carries it out.
///
/// # Errors
/// `Missing`; `Store(InUse)` with the list of what holds it; for a deploy use [`deploy::deploy_delete`].
pub async fn entity_delete(ctx: &Ctx<'_>, of: &EntityRef) -> Result<Accepted, OpsError> {
    debug_assert!(of.kind() != EntityKind::Deploy);
    ctx.delete(of).await
}
