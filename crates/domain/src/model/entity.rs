//! What kinds of things a user has, and how one of them is named without knowing its type.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::id::{DeployId, EnvironmentId, LoadBalancerId, ServiceId, TaskId};

/// The kinds of entities, spelled as they are on the wire (`entity_type` of a tag).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntityKind {
    /// A deploy.
    Deploy,
    /// An environment.
    Environment,
    /// A load balancer.
    LoadBalancer,
    /// A service.
    Service,
    /// A task.
    Task,
}

impl EntityKind {
    /// All kinds, in the order in which they are listed to users.
    pub const ALL: [EntityKind; 5] =
        [EntityKind::Deploy, EntityKind::Environment, EntityKind::LoadBalancer, EntityKind::Service, EntityKind::Task];

    /// The kind as the wire spells it: `load_balancer`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            EntityKind::Deploy => "deploy",
            EntityKind::Environment => "environment",
            EntityKind::LoadBalancer => "load_balancer",
            EntityKind::Service => "service",
            EntityKind::Task => "task",
        }
    }

    /// Reads the wire's spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// The kind in a sentence: `load balancer`.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            EntityKind::LoadBalancer => "load balancer",
            other => other.as_str(),
        }
    }
}

impl fmt::Display for EntityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// One entity, whatever its kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "snake_case")]
pub enum EntityRef {
    /// A deploy.
    Deploy(DeployId),
    /// An environment.
    Environment(EnvironmentId),
    /// A load balancer.
    LoadBalancer(LoadBalancerId),
    /// A service.
    Service(ServiceId),
    /// A task.
    Task(TaskId),
}

impl EntityRef {
    /// The kind of the entity.
    #[must_use]
    pub fn kind(&self) -> EntityKind {
        match self {
            EntityRef::Deploy(_) => EntityKind::Deploy,
            EntityRef::Environment(_) => EntityKind::Environment,
            EntityRef::LoadBalancer(_) => EntityKind::LoadBalancer,
            EntityRef::Service(_) => EntityKind::Service,
            EntityRef::Task(_) => EntityKind::Task,
        }
    }

    /// The id as text.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            EntityRef::Deploy(id) => id.as_str(),
            EntityRef::Environment(id) => id.as_str(),
            EntityRef::LoadBalancer(id) => id.as_str(),
            EntityRef::Service(id) => id.as_str(),
            EntityRef::Task(id) => id.as_str(),
        }
    }

    /// The id as text, for whoever needs nothing else.
    #[must_use]
    pub fn into_id(self) -> String {
        match self {
            EntityRef::Deploy(id) => id.into(),
            EntityRef::Environment(id) => id.into(),
            EntityRef::LoadBalancer(id) => id.into(),
            EntityRef::Service(id) => id.into(),
            EntityRef::Task(id) => id.into(),
        }
    }

    /// Puts kind and id together.
    ///
    /// # Errors
    /// When the text is no id.
    pub fn from_parts(kind: EntityKind, id: &str) -> Result<Self, super::id::IdError> {
        Ok(match kind {
            EntityKind::Deploy => EntityRef::Deploy(DeployId::parse(id)?),
            EntityKind::Environment => EntityRef::Environment(EnvironmentId::parse(id)?),
            EntityKind::LoadBalancer => EntityRef::LoadBalancer(LoadBalancerId::parse(id)?),
            EntityKind::Service => EntityRef::Service(ServiceId::parse(id)?),
            EntityKind::Task => EntityRef::Task(TaskId::parse(id)?),
        })
    }
}

impl fmt::Display for EntityRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind(), self.id())
    }
}
