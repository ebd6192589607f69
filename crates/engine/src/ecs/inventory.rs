//! Everything that AWS has of this instance, whoever it was made for: what a sweep decides on.
//!
//! Where it is looked, and why it is ours: stacks by their labels, which CloudFormation gives to all that it makes; ECS
//! services and tasks by their names, in the clusters of those stacks alone; task definitions by their family's name and, when
//! we were not told of whom they are for, by the labels of the newest revision: another instance of the same name, whose store
//! is another one, has families that are called alike. Log streams are in the log group of a stack and go with it. What a
//! stack made is not listed by itself: it goes with the stack, and what keeps it is told as the stack's hindrance.

use std::collections::BTreeMap;

use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::id::{EnvironmentId, LoadBalancerId, ServiceId};
use layer0_domain::port::engine::EngineError;
use layer0_domain::port::thing::Thing;

use super::aws::{AwsError, Families, Stack, TaskFilter};
use super::environments::is_kind;
use super::names::{ENTITY, ENVIRONMENT, LOAD_BALANCER};
use super::stacks;
use super::state::Shared;

impl Shared {
    /// Everything of ours.
    pub(super) async fn inventory(&self) -> Result<Vec<Thing>, EngineError> {
        let stacks = self.aws.stacks_list(self.names.prefix()).await?;
        let mut things = Vec::new();
        for stack in stacks.iter().filter(|stack| self.is_ours(stack)) {
            things.push(self.stack_thing(stack).await?);
        }
        for stack in stacks.iter().filter(|stack| self.is_ours(stack) && is_kind(stack, ENVIRONMENT)) {
            self.cluster_things(&stack.name, &mut things).await?;
        }
        self.definition_things(&mut things).await?;
        Ok(things)
    }

    async fn stack_thing(&self, stack: &Stack) -> Result<Thing, AwsError> {
        let id = stack.tags.get(ENTITY).map(String::as_str).unwrap_or_default();
        let entity = if is_kind(stack, ENVIRONMENT) {
            EnvironmentId::parse(id).ok().map(EntityRef::Environment)
        } else if is_kind(stack, LOAD_BALANCER) {
            LoadBalancerId::parse(id).ok().map(EntityRef::LoadBalancer)
        } else {
            None
        };
        Ok(Thing {
            what: "stack",
            name: stack.name.clone(),
            state: stack.status.clone(),
            made_for: entity.into_iter().collect(),
            hindrance: stacks::hindrance(&self.aws, stack).await?,
        })
    }

    /// The services of a cluster, and its tasks but for those of a service that is listed.
    async fn cluster_things(&self, cluster: &str, things: &mut Vec<Thing>) -> Result<(), AwsError> {
        let mut names = self.aws.services_list(cluster).await?;
        names.retain(|name| self.names.id(name).is_some_and(|id| ServiceId::parse(id).is_ok()));
        let services = self.aws.services_describe(cluster, &names).await?;
        let mut listed: Vec<ServiceId> = Vec::new();
        for service in services.iter().filter(|service| !service.is_gone()) {
            let Some(id) = self.names.id(&service.name).and_then(|id| ServiceId::parse(id).ok()) else { continue };
            let state = format!("{}, {} running", service.status, service.running + service.pending);
            things.push(Thing::of("service", &service.name, state, EntityRef::Service(id.clone())));
            listed.push(id);
        }
        let running = self.aws.tasks_list(cluster, TaskFilter::All, true).await?;
        for task in self.aws.tasks_describe(cluster, &running).await? {
            let entity = match self.names.deployment_of(&task.family) {
                Some((id, _)) if listed.contains(&id) => continue,
                Some((id, _)) => EntityRef::Service(id),
                None => match self.names.task_of(&task.family) {
                    Some(id) => EntityRef::Task(id),
                    None => continue,
                },
            };
            things.push(Thing::of("task", &task.id, &task.status, entity));
        }
        Ok(())
    }

    /// The families of task definitions.
    async fn definition_things(&self, things: &mut Vec<Thing>) -> Result<(), AwsError> {
        let active = self.families_ours().await?;
        // Those too that a removal has deregistered and not deleted: they stay for good, and can be read.
        for family in self.aws.definition_families(self.names.prefix(), Families::Inactive).await? {
            if let Some(entity) = self.family_entity(&family)
                && let Some(tags) = self.aws.definition_left(&family).await?
                && self.are_ours(&tags)
            {
                things.push(Thing::of("task definition", family, "INACTIVE", entity));
            }
        }
        things
            .extend(active.into_iter().map(|(family, entity)| Thing::of("task definition", family, "ACTIVE", entity)));
        Ok(())
    }

    /// The families of task definitions that are this instance's, with whom they are for.
    pub(super) async fn families_ours(&self) -> Result<BTreeMap<String, EntityRef>, AwsError> {
        let mut ours = BTreeMap::new();
        for family in self.aws.definition_families(self.names.prefix(), Families::Active).await? {
            let Some(entity) = self.family_entity(&family) else { continue };
            if self.is_told(&entity) || self.family_is_ours(&family).await? {
                ours.insert(family, entity);
            }
        }
        Ok(ours)
    }

    /// Whom a family of task definitions is for, by its name.
    fn family_entity(&self, family: &str) -> Option<EntityRef> {
        let service = self.names.deployment_of(family).map(|(id, _)| EntityRef::Service(id));
        service.or_else(|| self.names.task_of(family).map(EntityRef::Task))
    }

    fn are_ours(&self, tags: &[(String, String)]) -> bool {
        self.names.is_ours(|key| tags.iter().find(|(has, _)| has == key).map(|(_, value)| value.clone()))
    }

    /// Whether we were told of an entity that has task definitions.
    fn is_told(&self, entity: &EntityRef) -> bool {
        let state = self.state();
        match entity {
            EntityRef::Service(id) => state.services.get(id).is_some_and(|it| it.spec.is_some()),
            EntityRef::Task(id) => state.tasks.get(id).is_some_and(|it| it.spec.is_some()),
            EntityRef::Deploy(_) | EntityRef::Environment(_) | EntityRef::LoadBalancer(_) => false,
        }
    }

    /// Whether a family's newest revision bears our labels. Asked once for each family: whose it is never changes, because
    /// ids are never used again.
    async fn family_is_ours(&self, family: &str) -> Result<bool, AwsError> {
        if let Some(known) = self.family_known(family) {
            return Ok(known);
        }
        // Not visible yet, or gone since the list was read: nothing to decide on, and asked again the next time.
        let Some((_, tags)) = self.aws.definition_find(family).await? else { return Ok(false) };
        let ours = self.are_ours(&tags);
        self.family_note(family, ours);
        Ok(ours)
    }
}
