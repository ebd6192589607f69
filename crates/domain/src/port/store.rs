//! The port `Store`: what an instance remembers about its entities, operations and map rules.

use async_trait::async_trait;

use super::BoxError;
use crate::model::deploy::{Deploy, DeployImage};
use crate::model::entity::{EntityKind, EntityRef};
use crate::model::environment::Environment;
use crate::model::id::{DeployId, EnvironmentId, OperationId};
use crate::model::image_map::MapRule;
use crate::model::load_balancer::LoadBalancer;
use crate::model::name::Name;
use crate::model::operation::{Operation, OperationEvent, Verb};
use crate::model::owner::OwnerName;
use crate::model::service::Service;
use crate::model::tag::Tag;
use crate::model::task::Task;
use crate::model::task_definition::Document;
use crate::model::time::{Generation, Timestamp};

/// An entity that has an operation for each change: all kinds but deploys.
#[expect(
    clippy::large_enum_variant,
    reason = "few exist at a time, and each is moved once; a box would be in every match"
)]
#[derive(Debug, Clone, PartialEq)]
pub enum Entity {
    /// An environment.
    Environment(Environment),
    /// A load balancer.
    LoadBalancer(LoadBalancer),
    /// A service.
    Service(Service),
    /// A task.
    Task(Task),
}

impl Entity {
    /// Which entity this is.
    #[must_use]
    pub fn reference(&self) -> EntityRef {
        match self {
            Entity::Environment(it) => EntityRef::Environment(it.id.clone()),
            Entity::LoadBalancer(it) => EntityRef::LoadBalancer(it.id.clone()),
            Entity::Service(it) => EntityRef::Service(it.id.clone()),
            Entity::Task(it) => EntityRef::Task(it.id.clone()),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Name {
        match self {
            Entity::Environment(it) => &it.name,
            Entity::LoadBalancer(it) => &it.name,
            Entity::Service(it) => &it.name,
            Entity::Task(it) => &it.name,
        }
    }

    /// Its environment; `None` for an environment.
    #[must_use]
    pub fn environment(&self) -> Option<&EnvironmentId> {
        match self {
            Entity::Environment(_) => None,
            Entity::LoadBalancer(it) => Some(&it.environment),
            Entity::Service(it) => Some(&it.environment),
            Entity::Task(it) => Some(&it.environment),
        }
    }

    /// Its generation.
    #[must_use]
    pub fn generation(&self) -> Generation {
        match self {
            Entity::Environment(it) => it.generation,
            Entity::LoadBalancer(it) => it.generation,
            Entity::Service(it) => it.generation,
            Entity::Task(it) => it.generation,
        }
    }

    /// The same entity at another generation.
    #[must_use]
    pub fn at_generation(mut self, generation: Generation) -> Self {
        match &mut self {
            Entity::Environment(it) => it.generation = generation,
            Entity::LoadBalancer(it) => it.generation = generation,
            Entity::Service(it) => it.generation = generation,
            Entity::Task(it) => it.generation = generation,
        }
        self
    }

    /// Whether it is on its way out.
    #[must_use]
    pub fn deleting(&self) -> bool {
        match self {
            Entity::Environment(it) => it.deleting,
            Entity::LoadBalancer(it) => it.deleting,
            Entity::Service(it) => it.deleting,
            Entity::Task(it) => it.deleting,
        }
    }

    /// Whose it is: an environment's owner; the other kinds belong to whom their environment does.
    #[must_use]
    pub fn owner(&self) -> Option<&OwnerName> {
        match self {
            Entity::Environment(it) => it.owner.as_ref(),
            Entity::LoadBalancer(_) | Entity::Service(_) | Entity::Task(_) => None,
        }
    }

    /// The kind's word in a [`Summary`]: the operating system of an environment, the kind of a load balancer, else
    /// nothing.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Entity::Environment(it) => it.operating_system.as_str(),
            Entity::LoadBalancer(it) => it.kind.as_str(),
            Entity::Service(_) | Entity::Task(_) => "",
        }
    }
}

/// What lists show of an entity. Kept beside the entity so that a list of ten thousand reads no whole entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Which entity.
    pub entity: EntityRef,
    /// Its name.
    pub name: String,
    /// Its environment, where it has one.
    pub environment: Option<EnvironmentId>,
    /// A deploy's version; 0 for the other kinds.
    pub version: u32,
    /// Whose it is: of an environment and a deploy; `None` for the other kinds, and for what belongs to the instance.
    pub owner: Option<OwnerName>,
    /// [`Entity::label`]; for a deploy its compatibilities, separated by commas.
    pub label: String,
}

/// What an entity is held by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The holding entity.
    pub entity: EntityRef,
    /// Its name.
    pub name: String,
}

/// What went wrong in the store, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another entity has the name: choose another, or use that one.
    #[error("{kind} `{name}` exists already")]
    NameTaken {
        /// Of which kind.
        kind: EntityKind,
        /// The name.
        name: String,
        /// Who has it.
        by: EntityRef,
    },
    /// Somebody else changed the entity since it was read: read again, decide again.
    #[error("{entity} was changed by somebody else meanwhile")]
    Conflict {
        /// Which entity.
        entity: EntityRef,
    },
    /// The owner that it is to belong to isn't there (any more).
    #[error("owner `{owner}` does not exist")]
    OwnerMissing {
        /// Which.
        owner: OwnerName,
    },
    /// Others need it: take them away first.
    #[error("{entity} is in use")]
    InUse {
        /// Which entity.
        entity: EntityRef,
        /// By whom; never empty.
        holders: Vec<Holder>,
    },
    /// It isn't there (any more).
    #[error("{entity} does not exist")]
    Missing {
        /// Which entity.
        entity: EntityRef,
    },
    /// No more can be written: free some disk.
    #[error("the disk is full")]
    Full,
    /// The store does not answer, or answered nonsense.
    #[error("the store failed")]
    Failed {
        /// What it said.
        #[source]
        source: BoxError,
    },
}

impl StoreError {
    /// Whether the same call may succeed later without anyone changing what is asked.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            StoreError::Conflict { .. } | StoreError::Full | StoreError::Failed { .. } => true,
            StoreError::NameTaken { .. }
            | StoreError::OwnerMissing { .. }
            | StoreError::InUse { .. }
            | StoreError::Missing { .. } => false,
        }
    }
}

/// A new version of a deploy, to which the store gives the number.
#[derive(Debug, Clone)]
pub struct NewDeploy {
    /// The name.
    pub name: Name,
    /// Whose it is; `None` for the instance.
    pub owner: Option<OwnerName>,
    /// The document.
    pub document: Document,
    /// Its images, as mapped.
    pub images: Vec<DeployImage>,
    /// When it is made.
    pub created: Timestamp,
}

/// Which events a log of operations shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperationLog {
    /// Those of operations on this environment and on what stands in it; `None` for all of the instance.
    pub environment: Option<EnvironmentId>,
    /// From this moment on, itself included.
    pub start: Option<Timestamp>,
    /// Up to this moment, itself included.
    pub end: Option<Timestamp>,
    /// The newest so many.
    pub most: u32,
}

/// One event in a log of operations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationLogLine {
    /// When.
    pub at: Timestamp,
    /// What the operation does.
    pub verb: Verb,
    /// To what.
    pub entity: EntityRef,
    /// The entity's name at that time.
    pub entity_name: String,
    /// The event.
    pub message: String,
}

/// Something that one server at a time does, held by it for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What is held: `operation/<id>`, `resync`.
    pub name: String,
    /// By whom: one life of one server.
    pub holder: String,
    /// Greater than that of every lease of this name that was taken before: of two who both think that they hold it, the one
    /// with the greater number is right.
    pub fence: u64,
    /// Until when, unless it is renewed; at that moment it is held no more.
    pub until: Timestamp,
}

/// What came of asking for a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseAnswer {
    /// The caller holds it now.
    Taken(Lease),
    /// Another one holds it.
    Held(Lease),
}

/// What `operation_progress` changes together with the operation.
#[expect(
    clippy::large_enum_variant,
    reason = "few exist at a time, and each is moved once; a box would be in every match"
)]
#[derive(Debug, Clone)]
pub enum Alongside {
    /// Nothing.
    Nothing,
    /// The entity as it is to be from now on; its `generation` is the one that was read.
    Update(Entity),
    /// The entity goes, and its user tags with it.
    Purge(EntityRef, Generation),
}

/// What an instance remembers.
///
/// Every method is one unit of work: it happens whole or not at all, and when it has returned `Ok` it survives a crash of
/// the process and of the machine. Reads see everything written before they began. Nothing is ordered unless the
/// method says so. "Missing" is `None` on reads and [`StoreError::Missing`] on writes.
#[async_trait]
pub trait Store: Send + Sync {
    /// Makes an entity together with the operation that will build it.
    ///
    /// In the same unit: the name is free in its environment (environments: in the instance), the environment is there
    /// and not on its way out, a service's load balancer is there and not on its way out, in the same environment, and
    /// serves no other service, the environments that an environment is linked to are there and not on their way out.
    ///
    /// # Errors
    /// `NameTaken`; `OwnerMissing` (an environment's); `Missing` (environment or load balancer); `InUse` (the load balancer serves another service);
    /// `Conflict` (the id is in use).
    async fn entity_create(&self, entity: &Entity, operation: &Operation) -> Result<(), StoreError>;

    /// Writes an entity over the one whose generation it carries, with the operation that will carry the change out.
    /// Every operation that still runs on the entity becomes superseded. Answers the new generation.
    ///
    /// With `deleting` set on an entity this begins a delete: an environment must hold no load balancer, service or task
    /// and no other environment may be linked to it; a load balancer must serve no service.
    ///
    /// Name, load balancer and new links are checked as in [`entity_create`](Store::entity_create).
    ///
    /// # Errors
    /// `Missing`; `Conflict` when the generation is another; `InUse` for a delete, with the list of holders;
    /// what a changed name, load balancer or link leads to in [`entity_create`](Store::entity_create).
    async fn entity_update(&self, entity: &Entity, operation: &Operation) -> Result<Generation, StoreError>;

    /// One entity, whole.
    async fn entity_get(&self, entity: &EntityRef) -> Result<Option<Entity>, StoreError>;

    /// All entities of a kind (never deploys), whole, ordered by id. For the reconciler; lists for users are
    /// [`summary_list`](Store::summary_list).
    async fn entity_list(&self, kind: EntityKind) -> Result<Vec<Entity>, StoreError>;

    /// A number that is another one after each write that anybody was told of: what was read after asking for it is still
    /// true while it stays the same. `None` when the store can't know (others write to it too). So a number also says that
    /// this process is the only one on the store: there is nobody to divide the work with.
    fn version(&self) -> Option<u64>;

    /// What lists show of all entities of a kind, deploys included, ordered by name, then version, then id.
    async fn summary_list(&self, kind: EntityKind) -> Result<Vec<Summary>, StoreError>;

    /// Who must go before the entity may: what stands in an environment or is linked to it, the service behind a load
    /// balancer. Empty for the other kinds, and for what isn't there.
    async fn entity_holders(&self, entity: &EntityRef) -> Result<Vec<Holder>, StoreError>;

    /// Gives the next version of the name to a new deploy and keeps it. Versions start at 1 and are never used twice,
    /// not even after a delete. All versions of a name have one owner.
    ///
    /// # Errors
    /// `NameTaken` when the name's versions have another owner; `OwnerMissing`.
    async fn deploy_create(&self, new: NewDeploy) -> Result<Deploy, StoreError>;

    /// Whose a deploy's name is: the owner of its versions. `None` when it has no version now.
    async fn deploy_owner(&self, name: &Name) -> Result<Option<Option<OwnerName>>, StoreError>;

    /// One deploy.
    async fn deploy_get(&self, id: &DeployId) -> Result<Option<Deploy>, StoreError>;

    /// Takes a deploy away, and its user tags with it, whether or not a service still runs it.
    ///
    /// # Errors
    /// `Missing`.
    async fn deploy_delete(&self, id: &DeployId) -> Result<(), StoreError>;

    /// One operation.
    async fn operation_get(&self, id: &OperationId) -> Result<Option<Operation>, StoreError>;

    /// Operations, the newest first, at most `most` of them.
    async fn operation_list(&self, most: u32) -> Result<Vec<Operation>, StoreError>;

    /// All operations that still run, the oldest first.
    async fn operation_list_running(&self) -> Result<Vec<Operation>, StoreError>;

    /// The operation's events whose sequence is above `after`, in order.
    async fn operation_events(&self, id: &OperationId, after: u64) -> Result<Vec<OperationEvent>, StoreError>;

    /// The newest events of many operations that pass the filter, the oldest of them first; events of the same moment in
    /// the order in which their operations were asked for.
    async fn operation_log(&self, log: &OperationLog) -> Result<Vec<OperationLogLine>, StoreError>;

    /// Writes an operation's state, cause and end, appends events (numbered on from the last), and changes the entity
    /// alongside; all or nothing. An operation that has already ended is left as it is and `false` is answered; then
    /// nothing else is written either. An update alongside counts the generation on.
    ///
    /// # Errors
    /// `Conflict` when the entity alongside has another generation; `Missing` when the operation or entity is gone.
    async fn operation_progress(
        &self,
        operation: &Operation,
        events: &[(Timestamp, String)],
        alongside: Alongside,
    ) -> Result<bool, StoreError>;

    /// All user tags (worked-out ones are not stored).
    async fn tag_list(&self) -> Result<Vec<Tag>, StoreError>;

    /// Adds a tag; a tag with the same entity, type and key is replaced.
    async fn tag_put(&self, tag: &Tag) -> Result<(), StoreError>;

    /// Takes a tag away; answers whether it was there.
    async fn tag_delete(&self, tag: &Tag) -> Result<bool, StoreError>;

    /// All map rules, ordered by prefix.
    async fn map_list(&self) -> Result<Vec<MapRule>, StoreError>;

    /// Writes all map rules over those that `read` shows; answers `false`, and writes nothing, when they were others.
    async fn map_replace(&self, read: &[MapRule], write: &[MapRule]) -> Result<bool, StoreError>;

    /// The value of an instance-wide setting; when there is none yet, `value` is kept and answered. So two servers that
    /// start at once agree (instance id, signing key).
    async fn setting_get_or_put(&self, key: &str, value: &[u8]) -> Result<Vec<u8>, StoreError>;

    /// Writes an instance-wide setting over the value that `read` shows (`None` for none); answers `false`, and writes
    /// nothing, when it was another.
    async fn setting_replace(&self, key: &str, read: Option<&[u8]>, write: &[u8]) -> Result<bool, StoreError>;

    /// The value of an instance-wide setting.
    async fn setting_get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Takes the lease of this name until `until`, unless another holder has it: one who took it, did not release it, and
    /// whose lease has not run out at `now`. A holder who asks again for what it holds gets it anew, with another fence;
    /// what it got before is void then.
    ///
    /// Times are the callers': a lease keeps two servers apart as far as their clocks agree. A store may forget a lease a
    /// day after it ran out; that the fence grows all the same holds as long as no clock is a day behind another.
    async fn lease_take(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<LeaseAnswer, StoreError>;

    /// Holds a lease on until `until`; answers it with its new end. `None`, and nothing changes, when it is not held any
    /// more: it was taken anew or released, or had run out at `now`.
    async fn lease_renew(&self, lease: &Lease, now: Timestamp, until: Timestamp) -> Result<Option<Lease>, StoreError>;

    /// Gives a lease back: from `now` on whoever asks may have it. Answers `false`, and changes nothing, when it is not held
    /// any more.
    async fn lease_release(&self, lease: &Lease, now: Timestamp) -> Result<bool, StoreError>;
}

/// Typed reads on top of [`Store`].
#[async_trait]
pub trait StoreExt: Store {
    /// One environment.
    async fn environment_get(&self, id: &EnvironmentId) -> Result<Option<Environment>, StoreError> {
        Ok(match self.entity_get(&EntityRef::Environment(id.clone())).await? {
            Some(Entity::Environment(it)) => Some(it),
            _ => None,
        })
    }

    /// One load balancer.
    async fn load_balancer_get(
        &self,
        id: &crate::model::id::LoadBalancerId,
    ) -> Result<Option<LoadBalancer>, StoreError> {
        Ok(match self.entity_get(&EntityRef::LoadBalancer(id.clone())).await? {
            Some(Entity::LoadBalancer(it)) => Some(it),
            _ => None,
        })
    }

    /// One service.
    async fn service_get(&self, id: &crate::model::id::ServiceId) -> Result<Option<Service>, StoreError> {
        Ok(match self.entity_get(&EntityRef::Service(id.clone())).await? {
            Some(Entity::Service(it)) => Some(it),
            _ => None,
        })
    }

    /// One task.
    async fn task_get(&self, id: &crate::model::id::TaskId) -> Result<Option<Task>, StoreError> {
        Ok(match self.entity_get(&EntityRef::Task(id.clone())).await? {
            Some(Entity::Task(it)) => Some(it),
            _ => None,
        })
    }
}

impl<T: Store + ?Sized> StoreExt for T {}
