//! Services: N copies of one deploy kept running.

use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::id::{DeployId, DeploymentId, EnvironmentId, LoadBalancerId, ServiceId};
use super::image::ImageRef;
use super::name::Name;
use super::task_definition::TaskDefinition;
use super::time::{Generation, Timestamp};

/// How many deployments a service remembers.
pub const DEPLOYMENTS_KEPT: usize = 10;

/// A service as a user wants it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// The id, chosen by us.
    pub id: ServiceId,
    /// The name, unique in its environment.
    pub name: Name,
    /// Where it runs.
    pub environment: EnvironmentId,
    /// What stands in front of it.
    pub load_balancer: Option<LoadBalancerId>,
    /// Whether it needs machines of its own (EC2 on AWS). Means nothing on one machine, kept as given.
    pub stateful: bool,
    /// Copies wanted.
    pub desired_count: u32,
    /// Its deployments, the newest first; the first is the one that is wanted. Never empty.
    pub deployments: Vec<Deployment>,
    /// When it was made.
    pub created: Timestamp,
    /// Counts its changes.
    pub generation: Generation,
    /// Whether it is on its way out.
    pub deleting: bool,
}

impl Service {
    /// The deployment that is wanted now.
    #[must_use]
    pub fn wanted(&self) -> &Deployment {
        self.deployments.first().expect("a service is made with a deployment and never loses the last one")
    }

    /// The deployment to go back to when the wanted one fails: the newest other one that was healthy.
    #[must_use]
    pub fn fallback(&self) -> Option<&Deployment> {
        self.deployments.iter().skip(1).find(|deployment| deployment.was_healthy)
    }

    /// What a rollback goes to: the newest other deployment that was healthy and is not the same again.
    #[must_use]
    pub fn before(&self) -> Option<&Deployment> {
        self.other_than(self.wanted())
    }

    fn other_than(&self, now: &Deployment) -> Option<&Deployment> {
        let is_other = |it: &&Deployment| {
            it.id != now.id && it.was_healthy && (&it.deploy, &it.definition) != (&now.deploy, &now.definition)
        };
        self.deployments.iter().find(is_other)
    }

    /// What may be gone back to: by itself, by a rollback, and by a rollback after the wanted deployment was given up. What they run has
    /// to stay.
    pub fn ways_back(&self) -> impl Iterator<Item = &Deployment> {
        let fallback = self.fallback();
        fallback.into_iter().chain(self.before()).chain(fallback.and_then(|it| self.other_than(it)))
    }

    /// Whether nothing of the wanted deployment is to be started any more: it failed or was aborted, and there was nothing to
    /// go back to.
    #[must_use]
    pub fn halted(&self) -> bool {
        matches!(self.wanted().state, DeploymentState::Failed | DeploymentState::Aborted)
    }

    /// How many copies are to run now. None after the only roll-out was aborted: before it there were none.
    #[must_use]
    pub fn copies_wanted(&self) -> u32 {
        if self.wanted().state == DeploymentState::Aborted { 0 } else { self.desired_count }
    }

    /// The deployment with this id.
    #[must_use]
    pub fn deployment(&self, id: &DeploymentId) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| deployment.id == *id)
    }
}

/// The roll-out of one deploy, with its images pinned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// The id, chosen by us.
    pub id: DeploymentId,
    /// Which deploy.
    pub deploy: DeployId,
    /// The deploy's name, kept for when the deploy is deleted.
    pub deploy_name: Name,
    /// The deploy's version.
    pub deploy_version: u32,
    /// What each container runs, by digest.
    pub images: Vec<PinnedImage>,
    /// The definition with those images in it, kept whole: the deploy may be deleted while the service runs on.
    pub definition: TaskDefinition,
    /// How far it came.
    pub state: DeploymentState,
    /// Whether it was healthy at some time, so that it is something to go back to.
    pub was_healthy: bool,
    /// Why it failed or was rolled back.
    pub cause: Option<Failure>,
    /// When it began.
    pub created: Timestamp,
    /// When its state last changed.
    pub updated: Timestamp,
}

impl Deployment {
    /// `name:version` of its deploy, for people.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}:{}", self.deploy_name, self.deploy_version)
    }
}

/// How far a deployment came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentState {
    /// Copies are being started.
    InProgress,
    /// All copies run and are healthy.
    Healthy,
    /// It failed and there was nothing to go back to; nothing more is started.
    Failed,
    /// It failed and the one before took its place again.
    RolledBack,
    /// Its user ended it; the one before took its place again, or else nothing of it runs.
    Aborted,
    /// A newer one took its place.
    Replaced,
}

impl DeploymentState {
    /// In words: `rolled back`.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            DeploymentState::InProgress => "in progress",
            DeploymentState::Healthy => "healthy",
            DeploymentState::Failed => "failed",
            DeploymentState::RolledBack => "rolled back",
            DeploymentState::Aborted => "aborted",
            DeploymentState::Replaced => "replaced",
        }
    }
}

/// The image of one container, pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedImage {
    /// The container's name.
    pub container: String,
    /// As the user wrote it.
    pub written: ImageRef,
    /// What the engine pulls; it names a digest, except for an image that is only on the engine itself.
    pub pinned: ImageRef,
    /// What the user should know about it.
    pub warning: Option<String>,
}
