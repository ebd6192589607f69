//! Tasks on the wire.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::common::{Failure, ImageUse};

/// `POST /task`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreateTaskRequest {
    /// Environment variables over those of the deploy.
    #[serde(default)]
    pub container_overrides: Vec<ContainerOverride>,
    /// Which deploy.
    #[serde(default)]
    pub deploy_id: String,
    /// Where.
    #[serde(default)]
    pub environment_id: String,
    /// The name.
    #[serde(default)]
    pub task_name: String,
    /// Whether it needs machines of its own.
    #[serde(default)]
    pub stateful: bool,
    /// Whether it may run on spare capacity that can be taken back (Fargate Spot); without meaning on one machine.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub spot: bool,
    /// How many times, side by side; absent means 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copies: Option<i64>,
    /// Whether it is run without the pull check.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_pull_check: bool,
}

/// Environment variables for one container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ContainerOverride {
    /// Which container.
    #[serde(default)]
    pub container_name: String,
    /// The variables.
    #[serde(default)]
    pub environment_overrides: BTreeMap<String, String>,
}

/// A task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Task {
    /// Its containers, those of all copies one after the other.
    pub containers: Vec<Container>,
    /// Which deploy.
    pub deploy_id: String,
    /// Its name.
    pub deploy_name: String,
    /// Its version.
    pub deploy_version: String,
    /// Where it runs.
    pub environment_id: String,
    /// That environment's name.
    pub environment_name: String,
    /// `PENDING`, `RUNNING`, `STOPPED`.
    pub status: String,
    /// The id.
    pub task_id: String,
    /// The name.
    pub task_name: String,
    /// Whether it needs machines of its own.
    pub stateful: bool,
    /// Whether it runs on spare capacity that can be taken back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub spot: bool,
    /// How many times it runs.
    #[serde(default)]
    pub copies: i64,
    /// Why it failed to start, or was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Failure>,
    /// What each container runs, pinned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageUse>,
    /// What it waits for now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// What the user should know: fields that the engine can't honour.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A container of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Container {
    /// Its name.
    pub container_name: String,
    /// `PENDING`, `RUNNING`, `STOPPED`.
    pub status: String,
    /// Its exit code; 0 while it has none.
    pub exit_code: i64,
    /// Why it ended.
    pub meta: String,
    /// Which copy it belongs to.
    #[serde(default)]
    pub copy_id: String,
    /// Whether `exit_code` is one: an old client reads 0 for "none yet".
    #[serde(default)]
    pub exited: bool,
}

/// A task in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskSummary {
    /// The id.
    pub task_id: String,
    /// The name.
    pub task_name: String,
    /// Where it runs.
    pub environment_id: String,
    /// That environment's name.
    pub environment_name: String,
}
