//! Operations: one long-running change, durable and resumable, told to whoever watches.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::entity::EntityRef;
use super::failure::Failure;
use super::id::{DeploymentId, EnvironmentId, OperationId};
use super::owner::OwnerName;
use super::time::Timestamp;

/// One change that takes time.
///
/// ```text
/// running -> succeeded
///         -> failed        with a cause; nothing to go back to, or not a roll-out
///         -> rolled back   with a cause; the deployment before took its place again
///         -> superseded    a newer operation on the same entity took over
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// The id, chosen by us.
    pub id: OperationId,
    /// What is done.
    pub verb: Verb,
    /// To what.
    pub entity: EntityRef,
    /// The entity's name, kept for when it is gone.
    pub entity_name: String,
    /// The entity's environment, where it has one.
    pub environment: Option<EnvironmentId>,
    /// Whose the entity is, and the name of its environment: they decide who may see the operation, also when both are
    /// gone. `None` for what belongs to the instance.
    #[serde(default)]
    pub place: Option<(OwnerName, String)>,
    /// The deployment that a service operation rolls out.
    pub deployment: Option<DeploymentId>,
    /// How far it came.
    pub state: OperationState,
    /// Why it failed.
    pub cause: Option<Failure>,
    /// When it was asked for.
    pub created: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Make something that was not there.
    Create,
    /// Change something (links, ports, a service's deploy).
    Update,
    /// Change a service's number of copies.
    Scale,
    /// End a service's roll-out and go back to what ran before it.
    Abort,
    /// Roll out once more what a service ran before.
    Rollback,
    /// Stop a task.
    Stop,
    /// Take something away.
    Delete,
}

impl Verb {
    /// All of them.
    pub const ALL: [Verb; 7] =
        [Verb::Create, Verb::Update, Verb::Scale, Verb::Abort, Verb::Rollback, Verb::Stop, Verb::Delete];

    /// Reads the wire's spelling.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.as_str() == text)
    }

    /// The wire's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Scale => "scale",
            Verb::Abort => "abort",
            Verb::Rollback => "rollback",
            Verb::Stop => "stop",
            Verb::Delete => "delete",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far an operation came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    /// Not at its end.
    Running,
    /// Done.
    Succeeded,
    /// Not done, with a cause.
    Failed,
    /// Undone, with a cause.
    RolledBack,
    /// A newer operation took over.
    Superseded,
}

impl OperationState {
    /// The wire's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            OperationState::Running => "running",
            OperationState::Succeeded => "succeeded",
            OperationState::Failed => "failed",
            OperationState::RolledBack => "rolled_back",
            OperationState::Superseded => "superseded",
        }
    }

    /// Whether nothing more happens.
    #[must_use]
    pub fn ended(self) -> bool {
        !matches!(self, OperationState::Running)
    }
}

/// One thing that happened in an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationEvent {
    /// From 1, without holes, within its operation.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// What, a sentence.
    pub message: String,
}
