//! Environments, load balancers, services and tasks.

use std::collections::BTreeSet;

use layer0_domain::model::entity::{EntityKind, EntityRef};
use layer0_domain::model::id::{EnvironmentId, LoadBalancerId};
use layer0_domain::model::operation::Operation;
use layer0_domain::model::owner::OwnerName;
use layer0_domain::model::time::Generation;
use layer0_domain::port::store::{Entity, Holder, StoreError, Summary};
use rusqlite::{Connection, OptionalExtension, params};

use super::convert::{from_json, parsed, to_integer, to_json};
use super::fault::{Fault, StoreWork};
use super::{deploy, operation, tag};

pub(super) const SUMMARIES: &str =
    "SELECT id, name, environment_id, label, owner FROM entity WHERE kind = ?1 ORDER BY name, id";
pub(super) const BY_ID: &str = "SELECT body FROM entity WHERE kind = ?1 AND id = ?2";
pub(super) const BY_NAME: &str = "SELECT id FROM entity WHERE environment_id = ?1 AND kind = ?2 AND name = ?3";
pub(super) const IN_ENVIRONMENT: &str =
    "SELECT kind, id, name FROM entity WHERE environment_id = ?1 ORDER BY kind, name";
/// `CROSS JOIN` fixes the order: a few links first, then each one's environment.
pub(super) const LINKED_TO: &str = "SELECT entity.id, entity.name FROM environment_link AS link \
     CROSS JOIN entity ON entity.kind = 'environment' AND entity.id = link.source \
     WHERE link.target = ?1 AND link.source <> ?1 ORDER BY entity.name";
pub(super) const SERVED: &str = "SELECT id, name FROM entity WHERE load_balancer_id = ?1";

/// An entity made ready for its row, outside the writer's thread.
pub(super) struct Row {
    entity: Entity,
    body: String,
}

impl Row {
    /// The row of `entity` at `generation`.
    pub(super) fn at(entity: &Entity, generation: Generation) -> Result<Self, Fault> {
        let entity = entity.clone().at_generation(generation);
        let body = match &entity {
            Entity::Environment(it) => to_json("environment", it),
            Entity::LoadBalancer(it) => to_json("load balancer", it),
            Entity::Service(it) => to_json("service", it),
            Entity::Task(it) => to_json("task", it),
        }?;
        Ok(Self { entity, body })
    }

    /// The row of a changed entity that carries the generation that was read.
    pub(super) fn after(entity: &Entity) -> Result<Self, Fault> {
        Self::at(entity, entity.generation().next())
    }

    fn kind(&self) -> EntityKind {
        self.entity.reference().kind()
    }

    /// `''` stands for "the instance" where an environment is due.
    fn environment(&self) -> &str {
        self.entity.environment().map_or("", EnvironmentId::as_str)
    }

    fn load_balancer(&self) -> Option<&LoadBalancerId> {
        match &self.entity {
            Entity::Service(service) => service.load_balancer.as_ref(),
            Entity::Environment(_) | Entity::LoadBalancer(_) | Entity::Task(_) => None,
        }
    }

    fn generation(&self) -> Result<i64, Fault> {
        to_integer("generation", self.entity.generation().0)
    }
}

pub(super) fn create_tx(db: &Connection, row: &Row, asked: &Operation) -> StoreWork<()> {
    if let Some(environment) = row.entity.environment() {
        stays(db, &EntityRef::Environment(environment.clone()))?;
    }
    deploy::owner_is_there(db, row.entity.owner())?;
    let reference = row.entity.reference();
    let sql = "SELECT count(*) FROM entity WHERE kind = ?1 AND id = ?2";
    let same_id: i64 =
        db.prepare_cached(sql)?.query_row(params![row.kind().as_str(), reference.id()], |found| found.get(0))?;
    check_name(db, row)?;
    if same_id > 0 {
        return Err(StoreError::Conflict { entity: reference }.into());
    }
    check_neighbours(db, row)?;
    let sql = "INSERT INTO entity (kind, id, name, environment_id, generation, deleting, label, load_balancer_id, body, \
               owner) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    db.prepare_cached(sql)?.execute(params![
        row.kind().as_str(),
        reference.id(),
        row.entity.name().as_str(),
        row.environment(),
        row.generation()?,
        row.entity.deleting(),
        row.entity.label(),
        row.load_balancer().map(LoadBalancerId::as_str),
        row.body,
        row.entity.owner().map(OwnerName::as_str),
    ])?;
    write_links(db, row)?;
    operation::insert_tx(db, asked)
}

/// Writes a row made by [`Row::after`] over the one with the generation before, with the operation that asked for it.
pub(super) fn update_tx(db: &Connection, row: &Row, asked: &Operation) -> StoreWork<Generation> {
    let read = Generation(row.entity.generation().0.saturating_sub(1));
    check_generation(db, &row.entity.reference(), read)?;
    if row.entity.deleting() {
        let holders = holders_tx(db, &row.entity.reference())?;
        if !holders.is_empty() {
            return Err(StoreError::InUse { entity: row.entity.reference(), holders }.into());
        }
    }
    overwrite(db, row)?;
    operation::supersede_tx(db, &row.entity.reference(), asked.created)?;
    operation::insert_tx(db, asked)?;
    Ok(row.entity.generation())
}

/// Writes a row made by [`Row::after`] over the one with the generation before.
pub(super) fn rewrite_tx(db: &Connection, row: &Row) -> StoreWork<()> {
    let read = Generation(row.entity.generation().0.saturating_sub(1));
    check_generation(db, &row.entity.reference(), read)?;
    overwrite(db, row)
}

/// Takes an entity and its user tags away.
pub(super) fn purge_tx(db: &Connection, entity: &EntityRef, generation: Generation) -> StoreWork<()> {
    check_generation(db, entity, generation)?;
    db.prepare_cached("DELETE FROM entity WHERE kind = ?1 AND id = ?2")?
        .execute(params![entity.kind().as_str(), entity.id()])?;
    if entity.kind() == EntityKind::Environment {
        db.prepare_cached("DELETE FROM environment_link WHERE source = ?1 OR target = ?1")?.execute([entity.id()])?;
    }
    tag::purge_tx(db, entity)
}

pub(super) fn get_tx(db: &Connection, entity: &EntityRef) -> StoreWork<Option<Entity>> {
    let body: Option<String> = db
        .prepare_cached(BY_ID)?
        .query_row(params![entity.kind().as_str(), entity.id()], |row| row.get(0))
        .optional()?;
    match body {
        Some(body) => Ok(read(entity.kind(), &body)?),
        None => Ok(None),
    }
}

pub(super) fn list_tx(db: &Connection, kind: EntityKind) -> StoreWork<Vec<Entity>> {
    let mut select = db.prepare_cached("SELECT body FROM entity WHERE kind = ?1 ORDER BY id")?;
    let mut rows = select.query([kind.as_str()])?;
    let mut entities = Vec::new();
    while let Some(row) = rows.next()? {
        let body = row.get_ref(0)?;
        let body = parsed("entity body", body.as_str())?;
        entities.extend(read(kind, body)?);
    }
    Ok(entities)
}

pub(super) fn summaries_tx(db: &Connection, kind: EntityKind) -> StoreWork<Vec<Summary>> {
    let mut select = db.prepare_cached(SUMMARIES)?;
    let mut rows = select.query([kind.as_str()])?;
    let mut summaries = Vec::new();
    while let Some(row) = rows.next()? {
        let id = row.get_ref(0)?;
        let id = parsed("entity id", id.as_str())?;
        let environment = row.get_ref(2)?;
        let environment = match parsed("entity environment", environment.as_str())? {
            "" => None,
            id => Some(parsed("entity environment", EnvironmentId::parse(id))?),
        };
        summaries.push(Summary {
            entity: parsed("entity id", EntityRef::from_parts(kind, id))?,
            name: row.get(1)?,
            environment,
            version: 0,
            label: row.get(3)?,
            owner: deploy::owner_of(row.get(4)?)?,
        });
    }
    Ok(summaries)
}

fn read(kind: EntityKind, body: &str) -> Result<Option<Entity>, Fault> {
    Ok(Some(match kind {
        EntityKind::Environment => Entity::Environment(from_json("environment", body)?),
        EntityKind::LoadBalancer => Entity::LoadBalancer(from_json("load balancer", body)?),
        EntityKind::Service => Entity::Service(from_json("service", body)?),
        EntityKind::Task => Entity::Task(from_json("task", body)?),
        // Deploys have a table of their own and are never in this one.
        EntityKind::Deploy => return Ok(None),
    }))
}

/// Writes all columns of a row whose generation has been compared.
fn overwrite(db: &Connection, row: &Row) -> StoreWork<()> {
    check_name(db, row)?;
    check_neighbours(db, row)?;
    let sql = "UPDATE entity SET name = ?3, environment_id = ?4, generation = ?5, deleting = ?6, label = ?7, \
               load_balancer_id = ?8, body = ?9, owner = ?10 WHERE kind = ?1 AND id = ?2";
    db.prepare_cached(sql)?.execute(params![
        row.kind().as_str(),
        row.entity.reference().id(),
        row.entity.name().as_str(),
        row.environment(),
        row.generation()?,
        row.entity.deleting(),
        row.entity.label(),
        row.load_balancer().map(LoadBalancerId::as_str),
        row.body,
        row.entity.owner().map(OwnerName::as_str),
    ])?;
    write_links(db, row)
}

fn check_generation(db: &Connection, entity: &EntityRef, read: Generation) -> StoreWork<()> {
    let stored: Option<i64> = db
        .prepare_cached("SELECT generation FROM entity WHERE kind = ?1 AND id = ?2")?
        .query_row(params![entity.kind().as_str(), entity.id()], |row| row.get(0))
        .optional()?;
    match stored {
        None => Err(missing(entity).into()),
        Some(stored) if u64::try_from(stored) == Ok(read.0) => Ok(()),
        Some(_) => Err(StoreError::Conflict { entity: entity.clone() }.into()),
    }
}

fn check_name(db: &Connection, row: &Row) -> StoreWork<()> {
    let kind = row.kind();
    let name = row.entity.name();
    let holder: Option<String> = db
        .prepare_cached(BY_NAME)?
        .query_row(params![row.environment(), kind.as_str(), name.as_str()], |found| found.get(0))
        .optional()?;
    match holder {
        Some(id) if id != row.entity.reference().id() => Err(StoreError::NameTaken {
            kind,
            name: name.to_string(),
            by: parsed("entity id", EntityRef::from_parts(kind, &id))?,
        }
        .into()),
        _ => Ok(()),
    }
}

/// What a row points to must be there to stay: a service's load balancer, for it alone; the environments that an
/// environment is newly linked to.
fn check_neighbours(db: &Connection, row: &Row) -> StoreWork<()> {
    match &row.entity {
        Entity::Service(service) => match &service.load_balancer {
            Some(id) => check_load_balancer(db, row, id),
            None => Ok(()),
        },
        Entity::Environment(environment) => {
            let linked = links(db, &environment.id)?;
            for target in &environment.links {
                if *target != environment.id && !linked.contains(target.as_str()) {
                    stays(db, &EntityRef::Environment(target.clone()))?;
                }
            }
            Ok(())
        }
        Entity::LoadBalancer(_) | Entity::Task(_) => Ok(()),
    }
}

fn check_load_balancer(db: &Connection, service: &Row, id: &LoadBalancerId) -> StoreWork<()> {
    let load_balancer = EntityRef::LoadBalancer(id.clone());
    let environment = stays(db, &load_balancer)?;
    if environment != service.environment() {
        return Err(missing(&load_balancer).into());
    }
    let mut holders = served(db, id)?;
    holders.retain(|holder| holder.entity != service.entity.reference());
    if holders.is_empty() {
        return Ok(());
    }
    Err(StoreError::InUse { entity: load_balancer, holders }.into())
}

/// Demands that an entity is there and not on its way out; answers its environment.
fn stays(db: &Connection, entity: &EntityRef) -> StoreWork<String> {
    let found = db
        .prepare_cached("SELECT environment_id FROM entity WHERE kind = ?1 AND id = ?2 AND deleting = 0")?
        .query_row(params![entity.kind().as_str(), entity.id()], |row| row.get(0))
        .optional()?;
    found.ok_or_else(|| missing(entity).into())
}

/// Who must go before `entity` may.
pub(super) fn holders_tx(db: &Connection, entity: &EntityRef) -> StoreWork<Vec<Holder>> {
    match entity {
        EntityRef::Environment(id) => {
            let mut holders = Vec::new();
            let mut select = db.prepare_cached(IN_ENVIRONMENT)?;
            let mut rows = select.query([id.as_str()])?;
            while let Some(row) = rows.next()? {
                let kind: String = row.get(0)?;
                let kind = parsed("entity kind", EntityKind::parse(&kind).ok_or(()))?;
                holders.push(holder(kind, row, 1)?);
            }
            let mut select = db.prepare_cached(LINKED_TO)?;
            let mut rows = select.query([id.as_str()])?;
            while let Some(row) = rows.next()? {
                holders.push(holder(EntityKind::Environment, row, 0)?);
            }
            Ok(holders)
        }
        EntityRef::LoadBalancer(id) => served(db, id),
        EntityRef::Deploy(_) | EntityRef::Service(_) | EntityRef::Task(_) => Ok(Vec::new()),
    }
}

/// The service behind a load balancer.
fn served(db: &Connection, id: &LoadBalancerId) -> StoreWork<Vec<Holder>> {
    let mut select = db.prepare_cached(SERVED)?;
    let mut rows = select.query([id.as_str()])?;
    let mut holders = Vec::new();
    while let Some(row) = rows.next()? {
        holders.push(holder(EntityKind::Service, row, 0)?);
    }
    Ok(holders)
}

/// A holder out of the columns `first` (id) and the next (name).
fn holder(kind: EntityKind, row: &rusqlite::Row<'_>, first: usize) -> Result<Holder, Fault> {
    let id: String = row.get(first)?;
    Ok(Holder { entity: parsed("entity id", EntityRef::from_parts(kind, &id))?, name: row.get(first + 1)? })
}

fn links(db: &Connection, source: &EnvironmentId) -> StoreWork<BTreeSet<String>> {
    let mut select = db.prepare_cached("SELECT target FROM environment_link WHERE source = ?1")?;
    let targets = select.query_map([source.as_str()], |row| row.get(0))?;
    Ok(targets.collect::<Result<_, _>>()?)
}

fn write_links(db: &Connection, row: &Row) -> StoreWork<()> {
    let Entity::Environment(environment) = &row.entity else {
        return Ok(());
    };
    db.prepare_cached("DELETE FROM environment_link WHERE source = ?1")?.execute([environment.id.as_str()])?;
    let mut insert = db.prepare_cached("INSERT INTO environment_link (source, target) VALUES (?1, ?2)")?;
    for target in &environment.links {
        insert.execute([environment.id.as_str(), target.as_str()])?;
    }
    Ok(())
}

fn missing(entity: &EntityRef) -> StoreError {
    StoreError::Missing { entity: entity.clone() }
}
