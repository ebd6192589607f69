//! Services on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::common::{Failure, ImageUse};

/// `POST /service`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreateServiceRequest {
    /// Which deploy.
    #[serde(default)]
    pub deploy_id: String,
    /// Where.
    #[serde(default)]
    pub environment_id: String,
    /// Behind which load balancer; empty for none.
    #[serde(default)]
    pub load_balancer_id: String,
    /// Copies; absent means 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<i64>,
    /// The name.
    #[serde(default)]
    pub service_name: String,
    /// Whether it needs machines of its own.
    #[serde(default)]
    pub stateful: bool,
    /// Whether it is rolled out without the pull check.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_pull_check: bool,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Service {
    /// Its deployments, the newest first.
    pub deployments: Vec<Deployment>,
    /// Copies wanted.
    pub desired_count: i64,
    /// Where it runs.
    pub environment_id: String,
    /// That environment's name.
    pub environment_name: String,
    /// What stands in front of it; empty for nothing.
    pub load_balancer_id: String,
    /// That load balancer's name.
    pub load_balancer_name: String,
    /// Copies that are being started.
    pub pending_count: i64,
    /// Copies that run.
    pub running_count: i64,
    /// The id.
    pub service_id: String,
    /// The name.
    pub service_name: String,
    /// Whether it needs machines of its own.
    pub stateful: bool,
    /// What it waits for now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// The copies of the wanted deployment that were lost after they had been healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_copies: Option<LostCopies>,
    /// What the user should know: fields that the engine can't honour.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// The roll-out of one deploy. Those that run or are rolled out are listed, and the newest that failed or was aborted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Deployment {
    /// When it began, RFC 3339.
    pub created: String,
    /// Which deploy.
    pub deploy_id: String,
    /// Its name.
    pub deploy_name: String,
    /// Its version.
    pub deploy_version: String,
    /// Copies wanted.
    pub desired_count: i64,
    /// Copies being started.
    pub pending_count: i64,
    /// Copies that run.
    pub running_count: i64,
    /// `PRIMARY` (wanted), `ACTIVE` (still has copies), `INACTIVE`.
    pub status: String,
    /// When its state last changed, RFC 3339.
    pub updated: String,
    /// The id.
    #[serde(default)]
    pub deployment_id: String,
    /// `in progress`, `healthy`, `failed`, `rolled back`, `aborted`, `replaced`.
    #[serde(default)]
    pub state: String,
    /// What each container runs, pinned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageUse>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Failure>,
}

/// Copies that had been healthy and then ended by themselves, or failed their health check for too long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LostCopies {
    /// How many, since the deployment began or the server started.
    pub count: u32,
    /// When the newest of them was seen to be lost, RFC 3339.
    pub at: String,
    /// Why that one was.
    pub cause: Failure,
}

/// A service in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServiceSummary {
    /// The id.
    pub service_id: String,
    /// The name.
    pub service_name: String,
    /// Where it runs.
    pub environment_id: String,
    /// That environment's name.
    pub environment_name: String,
}

/// `PATCH /service/{id}`. What is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UpdateServiceRequest {
    /// The deploy to roll out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy_id: Option<String>,
    /// Copies wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<i64>,
    /// Whether the deploy is rolled out without the pull check.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_pull_check: bool,
}

/// `POST /service/{id}/rollback`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RollbackServiceRequest {
    /// Whether the deployment is rolled out without the pull check.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skip_pull_check: bool,
}
