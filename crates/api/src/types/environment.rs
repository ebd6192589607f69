//! Environments on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /environment`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreateEnvironmentRequest {
    /// The name.
    #[serde(default)]
    pub environment_name: String,
    /// Whose it is to be; absent for the instance's own, or for the only owner in which the caller may make one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_name: Option<String>,
    /// `linux`.
    #[serde(default)]
    pub operating_system: String,
    /// Machines of its own.
    #[serde(default)]
    pub scale: i64,
    /// The machines' type.
    #[serde(default)]
    pub instance_type: String,
    /// The machines' start script, base64.
    #[serde(default)]
    pub user_data_template: String,
    /// The machines' image.
    #[serde(default)]
    pub ami_id: String,
}

/// An environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Environment {
    /// The id.
    pub environment_id: String,
    /// The name.
    pub environment_name: String,
    /// Whose it is; absent for the instance's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_name: Option<String>,
    /// Machines there are.
    pub current_size: i64,
    /// Machines wanted.
    pub desired_size: i64,
    /// The machines' type.
    pub instance_type: String,
    /// What isolates it: the security group on AWS, the network on a Docker engine.
    pub security_group_id: String,
    /// `linux`.
    pub operating_system: String,
    /// The machines' image.
    pub ami_id: String,
    /// Ids of the environments that it is linked to.
    pub links: Vec<String>,
}

/// An environment in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EnvironmentSummary {
    /// The id.
    pub environment_id: String,
    /// The name.
    pub environment_name: String,
    /// `linux`.
    pub operating_system: String,
}

/// `PATCH /environment/{id}`. What is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UpdateEnvironmentRequest {
    /// Machines wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<i64>,
    /// All links, in place of those that are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub links: Option<Vec<String>>,
    /// Links to add. Unlike `links` this loses nobody else's change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add_links: Vec<String>,
    /// Links to take away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove_links: Vec<String>,
}
