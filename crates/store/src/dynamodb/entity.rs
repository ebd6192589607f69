//! Environments, load balancers, services and tasks: what is read of them.
//!
//! The *head* of an entity is a small item that holds all that is listed, compared or decided on; the *body* is the entity
//! as JSON. Both are written in one transaction, always.

use layer0_domain::model::entity::{EntityKind, EntityRef};
use layer0_domain::model::id::EnvironmentId;
use layer0_domain::model::owner::OwnerName;
use layer0_domain::model::time::Generation;
use layer0_domain::port::store::{Entity, Holder, Summary};

use super::fault::Fault;
use super::item::{Item, Key, from_json, parsed, to_json};
use super::table::{Query, Range, Table};
use super::{body, owned};

/// The partition of all heads of a kind.
pub(super) fn heads(kind: EntityKind) -> &'static str {
    kind.as_str()
}

/// The place of an entity's head.
pub(super) fn head_key(entity: &EntityRef) -> Key {
    Key::new(heads(entity.kind()), entity.id())
}

/// The partition of an entity's own items: its body, the service behind a load balancer.
pub(super) fn partition(entity: &EntityRef) -> String {
    format!("{}#{}", entity.kind().as_str(), entity.id())
}

/// The partition of what stands in an environment, by name, and of the links to it. `""` stands for the instance, in which
/// environments stand.
pub(super) fn contents(environment: &str) -> String {
    format!("in#{environment}")
}

/// The place that only one entity of this kind and name can have in an environment.
pub(super) fn name_key(environment: &str, kind: EntityKind, name: &str) -> Key {
    Key::new(contents(environment), format!("name#{}#{name}", kind.as_str()))
}

/// The place that says that an environment is linked to another.
pub(super) fn link_key(target: &str, source: &str) -> Key {
    Key::new(contents(target), format!("link#{source}"))
}

/// The place that only one service behind a load balancer can have.
pub(super) fn serves_key(load_balancer: &str) -> Key {
    Key::new(format!("{}#{load_balancer}", EntityKind::LoadBalancer.as_str()), "serves")
}

/// An entity's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) entity: EntityRef,
    pub(super) name: String,
    /// `""` for an environment.
    pub(super) environment: String,
    pub(super) label: String,
    pub(super) owner: Option<OwnerName>,
    pub(super) generation: Generation,
    pub(super) deleting: bool,
    pub(super) load_balancer: Option<String>,
    /// The environments that an environment is linked to, without itself.
    pub(super) links: Vec<String>,
    /// Counts what has come into an environment since it was made: a delete that found it empty must not miss anybody who
    /// came in meanwhile.
    pub(super) epoch: u64,
    /// How many parts its body has.
    pub(super) parts: usize,
}

impl Head {
    /// The head of an entity as it is given, at `epoch`.
    pub(super) fn of(entity: &Entity, epoch: u64, parts: usize) -> Self {
        let (load_balancer, links) = match entity {
            Entity::Service(it) => (it.load_balancer.as_ref().map(ToString::to_string), vec![]),
            Entity::Environment(it) => {
                let others = it.links.iter().filter(|target| **target != it.id);
                (None, others.map(ToString::to_string).collect())
            }
            Entity::LoadBalancer(_) | Entity::Task(_) => (None, vec![]),
        };
        Self {
            entity: entity.reference(),
            name: entity.name().to_string(),
            environment: entity.environment().map_or(String::new(), ToString::to_string),
            label: entity.label().to_owned(),
            owner: entity.owner().cloned(),
            generation: entity.generation(),
            deleting: entity.deleting(),
            load_balancer,
            links,
            epoch,
            parts,
        }
    }

    pub(super) fn item(&self) -> Item {
        Item::at(&head_key(&self.entity))
            .with_text("name", &self.name)
            .with_text("environment", &self.environment)
            .with_text("label", &self.label)
            .with_text_if("owner", self.owner.as_ref().map(OwnerName::as_str))
            .with_number("generation", self.generation.0)
            .with_flag("deleting", self.deleting)
            .with_text_if("load_balancer", self.load_balancer.as_deref())
            .with_set("links", self.links.clone())
            .with_number("epoch", self.epoch)
            .with_number("parts", self.parts)
    }

    pub(super) fn read(kind: EntityKind, item: &Item) -> Result<Self, Fault> {
        Ok(Self {
            entity: parsed("entity id", EntityRef::from_parts(kind, item.text("s")?))?,
            name: item.text("name")?.to_owned(),
            environment: item.text("environment")?.to_owned(),
            label: item.text("label")?.to_owned(),
            owner: owned::owner_of(item)?,
            generation: Generation(item.number("generation")?),
            deleting: item.flag("deleting")?,
            load_balancer: item.text_if("load_balancer")?.map(str::to_owned),
            links: item.set("links")?.into_iter().map(str::to_owned).collect(),
            epoch: item.number("epoch")?,
            parts: item.number("parts")?,
        })
    }

    pub(super) fn holder(&self) -> Holder {
        Holder { entity: self.entity.clone(), name: self.name.clone() }
    }

    fn summary(self) -> Result<Summary, Fault> {
        let environment = match self.environment.as_str() {
            "" => None,
            id => Some(parsed("entity environment", EnvironmentId::parse(id))?),
        };
        Ok(Summary {
            entity: self.entity,
            name: self.name,
            environment,
            version: 0,
            owner: self.owner,
            label: self.label,
        })
    }
}

/// The JSON of an entity at a generation.
pub(super) fn text_of(entity: &Entity, generation: Generation) -> Result<String, Fault> {
    match entity.clone().at_generation(generation) {
        Entity::Environment(it) => to_json("environment", &it),
        Entity::LoadBalancer(it) => to_json("load balancer", &it),
        Entity::Service(it) => to_json("service", &it),
        Entity::Task(it) => to_json("task", &it),
    }
}

fn entity_of(kind: EntityKind, text: &str) -> Result<Option<Entity>, Fault> {
    Ok(Some(match kind {
        EntityKind::Environment => Entity::Environment(from_json("environment", text)?),
        EntityKind::LoadBalancer => Entity::LoadBalancer(from_json("load balancer", text)?),
        EntityKind::Service => Entity::Service(from_json("service", text)?),
        EntityKind::Task => Entity::Task(from_json("task", text)?),
        // Deploys have items of their own.
        EntityKind::Deploy => return Ok(None),
    }))
}

impl Table {
    pub(super) async fn entity(&self, entity: &EntityRef) -> Result<Option<Entity>, Fault> {
        if entity.kind() == EntityKind::Deploy {
            return Ok(None);
        }
        match self.body(&partition(entity)).await? {
            Some(text) => entity_of(entity.kind(), &text),
            None => Ok(None),
        }
    }

    pub(super) async fn entities(&self, kind: EntityKind) -> Result<Vec<Entity>, Fault> {
        if kind == EntityKind::Deploy {
            return Ok(Vec::new());
        }
        let heads = self.heads(kind).await?;
        let firsts: Vec<Key> = heads.iter().map(|head| body::key(&partition(&head.entity), 0)).collect();
        let found = self.get_many(&firsts).await?;
        let mut entities = Vec::with_capacity(heads.len());
        for (head, first) in heads.iter().zip(&firsts) {
            // Gone since the heads were read.
            let Some(first) = found.get(first) else { continue };
            entities.extend(match body::whole(first)? {
                Some(text) => entity_of(kind, text)?,
                None => self.entity(&head.entity).await?,
            });
        }
        Ok(entities)
    }

    /// All heads of a kind, by id.
    async fn heads(&self, kind: EntityKind) -> Result<Vec<Head>, Fault> {
        let items = self.query(Query::of(heads(kind))).await?;
        items.iter().map(|item| Head::read(kind, item)).collect()
    }

    pub(super) async fn summaries(&self, kind: EntityKind) -> Result<Vec<Summary>, Fault> {
        let mut heads = self.heads(kind).await?;
        heads.sort_by(|a, b| (&a.name, &a.entity).cmp(&(&b.name, &b.entity)));
        heads.into_iter().map(Head::summary).collect()
    }

    /// Who must go before an entity may.
    pub(super) async fn holders(&self, entity: &EntityRef) -> Result<Vec<Holder>, Fault> {
        match entity {
            EntityRef::Environment(id) => self.holders_of_environment(id.as_str()).await,
            EntityRef::LoadBalancer(id) => match self.get(&serves_key(id.as_str())).await? {
                Some(item) => Ok(vec![served(&item)?]),
                None => Ok(Vec::new()),
            },
            EntityRef::Deploy(_) | EntityRef::Service(_) | EntityRef::Task(_) => Ok(Vec::new()),
        }
    }

    async fn holders_of_environment(&self, id: &str) -> Result<Vec<Holder>, Fault> {
        // By sort key: the links come first, then what stands in it by kind and name.
        let items = self.query(Query::of(contents(id))).await?;
        let (links, names): (Vec<&Item>, Vec<&Item>) = items.iter().partition(|item| !item.has("id"));
        let mut holders = names.into_iter().map(named).collect::<Result<Vec<_>, Fault>>()?;
        let mut sources = Vec::new();
        for link in links {
            let source = link.text("s")?.strip_prefix("link#").ok_or(Fault::Unreadable { what: "link" })?;
            sources.push(Key::new(heads(EntityKind::Environment), source));
        }
        let mut linked = Vec::new();
        for item in self.get_many(&sources).await?.values() {
            linked.push(Head::read(EntityKind::Environment, item)?.holder());
        }
        linked.sort_by(|a, b| a.name.cmp(&b.name));
        holders.extend(linked);
        Ok(holders)
    }

    /// The links to an environment, by source.
    pub(super) async fn links_to(&self, target: &str) -> Result<Vec<Key>, Fault> {
        let items = self.query(Query::of(contents(target)).within(Range::Begin("link#".to_owned()))).await?;
        items.iter().map(Item::key).collect()
    }
}

/// The service out of a load balancer's `serves` item.
pub(super) fn served(item: &Item) -> Result<Holder, Fault> {
    let entity = parsed("service id", EntityRef::from_parts(EntityKind::Service, item.text("id")?))?;
    Ok(Holder { entity, name: item.text("name")?.to_owned() })
}

/// The entity that has a name.
pub(super) fn named(item: &Item) -> Result<Holder, Fault> {
    let kind = EntityKind::parse(item.text("kind")?).ok_or(Fault::Unreadable { what: "kind" })?;
    let entity = parsed("entity id", EntityRef::from_parts(kind, item.text("id")?))?;
    Ok(Holder { entity, name: item.text("name")?.to_owned() })
}
