//! What several nouns share.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The answer to a create, an update and a delete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreateEntityResponse {
    /// The entity.
    pub entity_id: String,
    /// The operation that carries the change out; absent where nothing is left to do (deploys).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<String>,
    /// What the user should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What each container's image became: at a deploy's create the mapped reference, at a service's or task's the pinned
    /// one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageUse>,
}

/// What one container's image became.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImageUse {
    /// The container.
    pub container_name: String,
    /// The image as the user wrote it.
    pub image: String,
    /// What the engine pulls.
    pub resolved: String,
    /// The map rule that matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What the user should know about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// `GET /admin/config`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ApiConfig {
    /// The instance's name.
    pub instance: String,
    /// The VPC; empty on one machine.
    pub vpc_id: String,
    /// The server's version.
    pub version: String,
    /// Empty on one machine.
    pub public_subnets: Vec<String>,
    /// Empty on one machine.
    pub private_subnets: Vec<String>,
    /// `local` or `aws`.
    #[serde(default)]
    pub kind: String,
    /// What runs containers: `docker` or `ecs`.
    #[serde(default)]
    pub engine: String,
    /// The name under which images are written in task definitions.
    #[serde(default)]
    pub registry_name: String,
    /// Where that registry really listens, as the engine reaches it.
    #[serde(default)]
    pub registry_address: String,
    /// Which repositories mirror other registries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<Mirror>,
}

/// Repositories that mirror another registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mirror {
    /// How their names begin: `hub`.
    pub prefix: String,
    /// The registry, and what stands before their names there.
    pub upstream: String,
}

/// A failure with its cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    /// The class: `image_not_found`, `unhealthy`, …
    pub class: String,
    /// What happened.
    pub message: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The last lines that the failed copy wrote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log_tail: Vec<LogLine>,
}

/// One line of a container's output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// Which container.
    pub container_name: String,
    /// The line.
    pub line: String,
}
