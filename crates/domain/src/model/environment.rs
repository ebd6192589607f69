//! Environments: what isolates services, tasks and load balancers from others.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::id::EnvironmentId;
use super::name::Name;
use super::owner::OwnerName;
use super::time::{Generation, Timestamp};

/// An environment as a user wants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// The id, chosen by us.
    pub id: EnvironmentId,
    /// The name, unique in the instance.
    pub name: Name,
    /// Whose it is, with all that stands in it; `None` for the instance, whose admins alone may touch it then.
    #[serde(default)]
    pub owner: Option<OwnerName>,
    /// Only Linux runs containers here.
    pub operating_system: OperatingSystem,
    /// How many machines of its own the environment has. 0: none (Fargate, or the one machine of a local instance).
    pub scale: u32,
    /// The machines' type, kept as given (`t2.small`).
    pub instance_type: String,
    /// The machines' image, kept as given; empty when the default is meant.
    pub ami_id: String,
    /// The machines' start script, kept as given (base64); empty when the default is meant.
    pub user_data_template: String,
    /// The environments whose services this one may reach.
    pub links: BTreeSet<EnvironmentId>,
    /// When it was made.
    pub created: Timestamp,
    /// Counts its changes.
    pub generation: Generation,
    /// Whether it is on its way out.
    pub deleting: bool,
}

/// The operating system of an environment's machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatingSystem {
    /// Linux.
    Linux,
}

impl OperatingSystem {
    /// The wire's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            OperatingSystem::Linux => "linux",
        }
    }
}
