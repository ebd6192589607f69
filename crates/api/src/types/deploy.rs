//! Deploys on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::common::ImageUse;

/// `POST /deploy`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreateDeployRequest {
    /// The name that the versions share.
    #[serde(default)]
    pub deploy_name: String,
    /// The task definition document, base64.
    #[serde(default)]
    pub deploy_file: String,
    /// Whose it is to be; absent for whose the name is already, for the instance's own, or for the only owner in which the
    /// caller may make one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_name: Option<String>,
}

/// A deploy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Deploy {
    /// `stateful` (EC2) and `stateless` (Fargate), whichever it can run on.
    pub compatibilities: Vec<String>,
    /// The document, base64: PascalCase keys and explicit nulls, as the predecessor's API wrote it.
    pub deploy_file: String,
    /// `<name>.<version>`.
    pub deploy_id: String,
    /// The name.
    pub deploy_name: String,
    /// The version, a number as a string.
    pub version: String,
    /// Whose it is; absent for the instance's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_name: Option<String>,
    /// What each container's image became.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageUse>,
    /// When it was made, RFC 3339.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub created: String,
}

/// A deploy in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeploySummary {
    /// `stateful`, `stateless`.
    pub compatibilities: Vec<String>,
    /// `<name>.<version>`.
    pub deploy_id: String,
    /// The name.
    pub deploy_name: String,
    /// The version, a number as a string.
    pub version: String,
    /// Whose it is; absent for the instance's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_name: Option<String>,
}
