//! Environments, load balancers, services and tasks: how they change. Each function works out what one unit of work writes
//! from what it reads; the conditions in its actions hold the two together.

use std::collections::HashMap;

use layer0_domain::model::entity::{EntityKind, EntityRef};
use layer0_domain::model::operation::Operation;
use layer0_domain::model::time::Generation;
use layer0_domain::port::store::{Entity, StoreError};

use super::action::{ABSENT, Action};
use super::body::{self, Body};
use super::entity::{Head, contents, head_key, link_key, name_key, named, partition, served, serves_key, text_of};
use super::item::{Item, Key, parsed};
use super::table::{Step, Table};
use super::{operation, owned, tag};

/// That an environment is there to stay.
const STAYS: &str = "attribute_exists(#p) AND #deleting = :false";

/// That a load balancer is there to stay, in this environment.
const STAYS_HERE: &str = "#deleting = :false AND #environment = :environment";

/// That an entity is still the one that was read, and nobody has come into it.
const UNCHANGED: &str = "#generation = :generation AND #epoch = :epoch";

/// That a place is still this entity's.
const OURS: &str = "#id = :id";

fn missing(entity: EntityRef) -> StoreError {
    StoreError::Missing { entity }
}

/// Items that were read for a decision.
type Seen = HashMap<Key, Item>;

impl Table {
    pub(super) async fn entity_create_step(&self, entity: &Entity, asked: &Operation) -> Result<Step<()>, StoreError> {
        let reference = entity.reference();
        let text = text_of(entity, entity.generation())?;
        let body = Body::of(&text);
        let head = Head::of(entity, 0, body.parts());
        let name = name_key(&head.environment, reference.kind(), &head.name);
        let mut keys = vec![head_key(&reference), name.clone(), operation::running_key(&reference)];
        keys.extend(environment_key(&head));
        keys.extend(head.owner.as_ref().map(owned::owner_key));
        keys.extend(neighbour_keys(&head, None));
        let seen = self.get_many(&keys).await?;

        let mut actions = Vec::new();
        if let Some(environment) = environment_key(&head) {
            stays(&seen, EntityKind::Environment, &environment)?;
            actions.push(come_in(environment));
        }
        if let Some(owner) = &head.owner {
            if !owned::is_there(seen.get(&owned::owner_key(owner))) {
                return Err(owned::missing(owner));
            }
            actions.extend(owned::give(owner, reference.kind().as_str(), reference.id()));
        }
        name_is_free(&seen, &name, &reference)?;
        if seen.contains_key(&head_key(&reference)) || seen.contains_key(&operation::running_key(&reference)) {
            return Err(StoreError::Conflict { entity: reference });
        }
        actions.extend(neighbours(&seen, &head, None)?);
        actions.push(Action::put(name_item(&head)).only_if(ABSENT));
        actions.push(Action::put(head.item()).only_if(ABSENT));
        actions.extend(body.write(&partition(&reference), head.generation.0, 0));
        actions.extend(operation::create(asked, None)?);
        Ok(Step::Write(actions, ()))
    }

    pub(super) async fn entity_update_step(
        &self,
        entity: &Entity,
        asked: &Operation,
    ) -> Result<Step<Generation>, StoreError> {
        let reference = entity.reference();
        let running = operation::running_key(&reference);
        let seen = self.get_many(&[head_key(&reference), running.clone()]).await?;
        let before = head_at(&seen, entity)?;
        if entity.deleting() {
            let holders = self.holders(&reference).await?;
            if !holders.is_empty() {
                return Err(StoreError::InUse { entity: reference, holders });
            }
        }
        let mut actions = self.rewrite(&before, entity).await?;
        if let (true, EntityRef::LoadBalancer(id)) = (entity.deleting(), &reference) {
            actions.push(Action::check(serves_key(id.as_str()), ABSENT));
        }
        actions.extend(operation::create(asked, seen.get(&running))?);
        Ok(Step::Write(actions, entity.generation().next()))
    }

    /// The actions that write an entity over the one whose head was read.
    pub(super) async fn rewrite(&self, before: &Head, entity: &Entity) -> Result<Vec<Action>, StoreError> {
        let reference = entity.reference();
        let generation = entity.generation().next();
        let text = text_of(entity, generation)?;
        let body = Body::of(&text);
        let head = Head { generation, ..Head::of(entity, before.epoch, body.parts()) };
        let (old_name, name) = (
            name_key(&before.environment, reference.kind(), &before.name),
            name_key(&head.environment, reference.kind(), &head.name),
        );
        let mut keys = neighbour_keys(&head, Some(before));
        keys.extend((name != old_name).then(|| name.clone()));
        let new_owner = head.owner.as_ref().filter(|owner| before.owner.as_ref() != Some(*owner));
        keys.extend(new_owner.map(owned::owner_key));
        let seen = self.get_many(&keys).await?;

        let mut actions = vec![
            Action::put(head.item())
                .only_if(UNCHANGED)
                .with_number(":generation", before.generation.0)
                .with_number(":epoch", before.epoch),
        ];
        actions.extend(body.write(&partition(&reference), generation.0, before.parts));
        if name != old_name {
            name_is_free(&seen, &name, &reference)?;
            actions.push(ours(Action::delete(old_name), &reference));
            actions.push(Action::put(name_item(&head)).only_if(ABSENT));
        }
        if before.owner != head.owner {
            if let Some(old) = &before.owner {
                actions.push(Action::delete(owned::thing_key(old, reference.kind().as_str(), reference.id())));
            }
            if let Some(owner) = new_owner {
                if !owned::is_there(seen.get(&owned::owner_key(owner))) {
                    return Err(owned::missing(owner));
                }
                actions.extend(owned::give(owner, reference.kind().as_str(), reference.id()));
            }
        }
        actions.extend(neighbours(&seen, &head, Some(before))?);
        Ok(actions)
    }

    /// The actions that take an entity away, with its user tags.
    pub(super) async fn purge(&self, before: &Head) -> Result<Vec<Action>, StoreError> {
        let reference = &before.entity;
        let mut actions = vec![
            Action::delete(head_key(reference))
                .only_if("#generation = :generation")
                .with_number(":generation", before.generation.0),
            Action::delete(name_key(&before.environment, reference.kind(), &before.name)),
            Action::delete(tag::key(reference.id(), reference.kind().as_str())),
        ];
        actions.extend(body::delete(&partition(reference), 0, before.parts));
        if let Some(load_balancer) = &before.load_balancer {
            actions.push(ours(Action::delete(serves_key(load_balancer)), reference));
        }
        actions.extend(before.links.iter().map(|target| Action::delete(link_key(target, reference.id()))));
        if reference.kind() == EntityKind::Environment {
            actions.extend(self.links_to(reference.id()).await?.into_iter().map(Action::delete));
        }
        if let Some(owner) = &before.owner {
            actions.push(Action::delete(owned::thing_key(owner, reference.kind().as_str(), reference.id())));
        }
        Ok(actions)
    }
}

/// The head that was read of an entity, at the generation that it carries.
fn head_at(seen: &Seen, entity: &Entity) -> Result<Head, StoreError> {
    let reference = entity.reference();
    head(seen.get(&head_key(&reference)), &reference, entity.generation())
}

/// A head that was read, when it has the generation that is asked for.
pub(super) fn head(item: Option<&Item>, entity: &EntityRef, generation: Generation) -> Result<Head, StoreError> {
    let Some(item) = item else { return Err(missing(entity.clone())) };
    let head = Head::read(entity.kind(), item)?;
    if head.generation == generation {
        return Ok(head);
    }
    Err(StoreError::Conflict { entity: entity.clone() })
}

/// The head of the environment that an entity stands in.
fn environment_key(head: &Head) -> Option<Key> {
    (!head.environment.is_empty()).then(|| Key::new(EntityKind::Environment.as_str(), &head.environment))
}

/// The action that counts somebody who comes into an environment that stays.
fn come_in(environment: Key) -> Action {
    let action = Action::update(environment, "SET #epoch = #epoch + :one").only_if(STAYS);
    action.with_number(":one", 1).with_flag(":false", false)
}

/// Demands that an entity was there and not on its way out.
fn stays<'a>(seen: &'a Seen, kind: EntityKind, key: &Key) -> Result<&'a Item, StoreError> {
    match seen.get(key) {
        Some(item) if !item.flag("deleting")? => Ok(item),
        _ => Err(missing(parsed("entity id", EntityRef::from_parts(kind, &key.sort))?)),
    }
}

fn name_item(head: &Head) -> Item {
    let kind = head.entity.kind();
    Item::at(&name_key(&head.environment, kind, &head.name))
        .with_text("id", head.entity.id())
        .with_text("kind", kind.as_str())
        .with_text("name", &head.name)
}

fn name_is_free(seen: &Seen, name: &Key, of: &EntityRef) -> Result<(), StoreError> {
    let Some(item) = seen.get(name) else { return Ok(()) };
    let by = named(item)?;
    if by.entity == *of {
        // The same id: a conflict, or the entity's own name.
        return Ok(());
    }
    Err(StoreError::NameTaken { kind: of.kind(), name: by.name, by: by.entity })
}

/// Lets an action be only while the place is this entity's.
fn ours(action: Action, entity: &EntityRef) -> Action {
    action.only_if(OURS).with_text(":id", entity.id())
}

/// The load balancer that a service comes to, or comes to under another name.
fn new_load_balancer<'a>(head: &'a Head, before: Option<&Head>) -> Option<&'a str> {
    let same = before.is_some_and(|before| before.load_balancer == head.load_balancer && before.name == head.name);
    head.load_balancer.as_deref().filter(|_| !same)
}

/// The environments that an environment is newly linked to.
fn new_links<'a>(head: &'a Head, before: Option<&'a Head>) -> impl Iterator<Item = &'a String> {
    head.links.iter().filter(move |target| before.is_none_or(|before| !before.links.contains(target)))
}

/// What has to be read of an entity's neighbours.
fn neighbour_keys(head: &Head, before: Option<&Head>) -> Vec<Key> {
    let mut keys: Vec<Key> =
        new_links(head, before).map(|target| Key::new(EntityKind::Environment.as_str(), target)).collect();
    if let Some(id) = new_load_balancer(head, before) {
        keys.extend([Key::new(EntityKind::LoadBalancer.as_str(), id), serves_key(id)]);
    }
    keys
}

/// The actions on an entity's neighbours: its load balancer serves it alone, the environments that it is linked to know of
/// it. What it leaves is told too.
fn neighbours(seen: &Seen, head: &Head, before: Option<&Head>) -> Result<Vec<Action>, StoreError> {
    let id = head.entity.id();
    let mut actions = Vec::new();
    for target in new_links(head, before) {
        let target_key = Key::new(EntityKind::Environment.as_str(), target);
        stays(seen, EntityKind::Environment, &target_key)?;
        actions.push(come_in(target_key));
        actions.push(Action::put(Item::at(&link_key(target, id))));
    }
    let old_links = before.map_or(&[][..], |before| &before.links);
    actions.extend(
        old_links
            .iter()
            .filter(|target| !head.links.contains(target))
            .map(|target| Action::delete(Key::new(contents(target), link_key(target, id).sort))),
    );
    let old = before.and_then(|before| before.load_balancer.as_deref());
    if let Some(old) = old.filter(|old| head.load_balancer.as_deref() != Some(*old)) {
        actions.push(ours(Action::delete(serves_key(old)), &head.entity));
    }
    if let Some(new) = new_load_balancer(head, before) {
        let key = Key::new(EntityKind::LoadBalancer.as_str(), new);
        let load_balancer = stays(seen, EntityKind::LoadBalancer, &key)?;
        let reference = parsed("load balancer id", EntityRef::from_parts(EntityKind::LoadBalancer, new))?;
        if load_balancer.text("environment")? != head.environment {
            return Err(missing(reference));
        }
        if let Some(item) = seen.get(&serves_key(new)) {
            let holder = served(item)?;
            if holder.entity != head.entity {
                return Err(StoreError::InUse { entity: reference, holders: vec![holder] });
            }
        }
        let serves = Item::at(&serves_key(new)).with_text("id", id).with_text("name", &head.name);
        let put = Action::put(serves);
        actions.push(if old == Some(new) { ours(put, &head.entity) } else { put.only_if(ABSENT) });
        actions.push(
            Action::check(key, STAYS_HERE).with_flag(":false", false).with_text(":environment", &head.environment),
        );
    }
    Ok(actions)
}
