//! Operations on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::common::Failure;

/// One change that takes time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Operation {
    /// The id.
    pub operation_id: String,
    /// `create`, `update`, `scale`, `stop`, `delete`.
    pub verb: String,
    /// The entity's kind.
    pub entity_type: String,
    /// The entity's id.
    pub entity_id: String,
    /// The entity's name.
    pub entity_name: String,
    /// The entity's environment; empty for an environment.
    #[serde(default)]
    pub environment_id: String,
    /// `running`, `succeeded`, `failed`, `rolled_back`, `superseded`.
    pub state: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Failure>,
    /// When it was asked for, RFC 3339.
    pub created: String,
    /// When it ended, RFC 3339; empty while it runs.
    #[serde(default)]
    pub ended: String,
}

/// One thing that happened in an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OperationEvent {
    /// From 1, without holes.
    pub sequence: u64,
    /// When, RFC 3339 with milliseconds.
    pub at: String,
    /// What.
    pub message: String,
}
