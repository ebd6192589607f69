//! Tasks: one deploy run once, to its exit code.

use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::id::{CopyId, DeployId, EnvironmentId, TaskId};
use super::name::Name;
use super::service::PinnedImage;
use super::task_definition::TaskDefinition;
use super::time::{Generation, Timestamp};

/// A task as a user wants it, and how it ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The id, chosen by us.
    pub id: TaskId,
    /// The name, unique in its environment.
    pub name: Name,
    /// Where it runs.
    pub environment: EnvironmentId,
    /// Which deploy.
    pub deploy: DeployId,
    /// The deploy's name, kept for when the deploy is deleted.
    pub deploy_name: Name,
    /// The deploy's version.
    pub deploy_version: u32,
    /// What each container runs, by digest.
    pub images: Vec<PinnedImage>,
    /// The definition with those images and the overrides in it, kept whole: the deploy may be deleted.
    pub definition: TaskDefinition,
    /// How many times it runs side by side.
    pub copies: u32,
    /// Whether it needs machines of its own (EC2 on AWS). Means nothing on one machine, kept as given.
    pub stateful: bool,
    /// Whether it runs on spare capacity that may be taken back (Fargate Spot on AWS). Means nothing on one machine, kept as
    /// given.
    #[serde(default)]
    pub spot: bool,
    /// Whether it should run or stop.
    pub wanted: TaskWanted,
    /// How it ended; `None` while it has not.
    pub outcome: Option<TaskOutcome>,
    /// When it was made.
    pub created: Timestamp,
    /// Counts its changes.
    pub generation: Generation,
    /// Whether it is on its way out.
    pub deleting: bool,
}

/// What a user wants of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskWanted {
    /// Run to the end.
    Run,
    /// Stop now.
    Stop,
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskOutcome {
    /// When the last copy ended.
    pub ended: Timestamp,
    /// Each copy's end.
    pub copies: Vec<CopyOutcome>,
    /// Why the task counts as failed: a start that did not come about, or a stop. An exit code other than 0 is no
    /// failure of the task itself; clients show the code.
    pub failure: Option<Failure>,
}

/// How one copy of a task ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyOutcome {
    /// Which copy.
    pub copy: CopyId,
    /// Each container's end.
    pub containers: Vec<ContainerOutcome>,
}

/// How one container ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerOutcome {
    /// The container's name.
    pub name: String,
    /// Its exit code; `None` when it never ran.
    pub exit_code: Option<i64>,
    /// Why it ended, where that is known (`out of memory`).
    pub reason: Option<String>,
}
