//! What a task is.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::behaviour::Behaviour;
use super::super::elbv2::Target;
use super::super::wire::Input;
use super::super::world::Id;
use super::machines::Machine;
use super::place::{Interface, Launch};
use super::{Definition, Tags};

/// Where a task is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    Provisioning,
    Pending,
    Activating,
    Running,
    Deactivating,
    Stopping,
    Deprovisioning,
    Stopped,
}

impl Status {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Provisioning => "PROVISIONING",
            Self::Pending => "PENDING",
            Self::Activating => "ACTIVATING",
            Self::Running => "RUNNING",
            Self::Deactivating => "DEACTIVATING",
            Self::Stopping => "STOPPING",
            Self::Deprovisioning => "DEPROVISIONING",
            Self::Stopped => "STOPPED",
        }
    }
}

/// What a container does right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContainerStatus {
    Pending,
    Running,
    Stopped,
}

impl ContainerStatus {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Stopped => "STOPPED",
        }
    }
}

/// What a health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    Unknown,
    Healthy,
    Unhealthy,
}

impl Health {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Healthy => "HEALTHY",
            Self::Unhealthy => "UNHEALTHY",
        }
    }
}

/// A container of a task.
#[derive(Debug)]
pub(crate) struct Container {
    /// Its definition with the overrides of the task.
    pub(crate) definition: Value,
    pub(crate) id: String,
    pub(crate) behaviour: Behaviour,
    pub(crate) status: ContainerStatus,
    pub(crate) exit_code: Option<i64>,
    pub(crate) reason: Option<String>,
    pub(crate) health: Health,
    pub(crate) runtime: Option<String>,
}

impl Container {
    pub(crate) fn name(&self) -> &str {
        self.definition.text("name").unwrap_or_default()
    }

    pub(crate) fn is_essential(&self) -> bool {
        self.definition.get("essential") != Some(&Value::Bool(false))
    }

    pub(crate) fn has_check(&self) -> bool {
        self.definition.member("healthCheck").is_some_and(|check| !check.texts("command").is_empty())
    }
}

/// A container's definition with a task's overrides: what is overridden replaces, environment variables are merged.
pub(crate) fn overridden(definition: &Value, overrides: &Value) -> Value {
    let mut merged = definition.clone();
    let name = definition.text("name");
    let mine = overrides.list("containerOverrides").iter().find(|entry| entry.text("name") == name);
    let (Some(members), Some(Value::Object(mine))) = (merged.as_object_mut(), mine) else { return merged };
    for (key, value) in mine {
        if key == "environment" {
            let names: Vec<&str> =
                mine["environment"].as_array().into_iter().flatten().filter_map(|e| e.text("name")).collect();
            let mut list: Vec<Value> = definition.list("environment").to_vec();
            list.retain(|variable| variable.text("name").is_none_or(|name| !names.contains(&name)));
            list.extend(value.as_array().into_iter().flatten().cloned());
            members.insert(key.clone(), json!(list));
        } else {
            members.insert(key.clone(), value.clone());
        }
    }
    merged
}

/// When things happened, in milliseconds since 1970.
#[derive(Debug, Default)]
pub(crate) struct Times {
    pub(crate) created: i64,
    pub(crate) pull_started: Option<i64>,
    pub(crate) pull_stopped: Option<i64>,
    pub(crate) started: Option<i64>,
    pub(crate) stopping: Option<i64>,
    pub(crate) execution_stopped: Option<i64>,
    pub(crate) stopped: Option<i64>,
}

/// A task.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) id: Id,
    pub(crate) arn: String,
    pub(crate) cluster: String,
    pub(crate) cluster_arn: String,
    pub(crate) definition: Arc<Definition>,
    /// The service's ARN and the deployment's id.
    pub(crate) service: Option<(Id, Id)>,
    pub(crate) group: String,
    pub(crate) started_by: Option<String>,
    pub(crate) launch: Launch,
    pub(crate) platform_version: String,
    pub(crate) overrides: Value,
    pub(crate) tags: Tags,
    pub(crate) execute_command: bool,
    pub(crate) status: Status,
    /// Whether it is wanted to run.
    pub(crate) wanted: bool,
    pub(crate) times: Times,
    pub(crate) containers: Vec<Container>,
    pub(crate) interface: Option<Interface>,
    pub(crate) stop_code: Option<&'static str>,
    pub(crate) stopped_reason: Option<String>,
    /// The target groups (ARN) that it is registered in.
    pub(crate) targets: Vec<(Id, Target)>,
    /// The container instance that it runs on; `None` on Fargate.
    pub(crate) machine: Option<Machine>,
    /// The classic load balancers that its machine is registered with.
    pub(crate) classic: Vec<Id>,
    /// Whether it ever ran with all its checks passed.
    pub(crate) was_healthy: bool,
    /// Whether it ends because something is wrong with it, not because nobody wants it any more.
    pub(crate) failing: bool,
    pub(crate) version: u64,
    pub(crate) visible_ms: i64,
}

impl Task {
    pub(crate) fn is_running(&self) -> bool {
        self.status == Status::Running
    }

    /// The classic load balancers that it is behind, each with the EC2 id of its machine.
    pub(crate) fn behind(&self) -> impl Iterator<Item = (&str, &str)> {
        let machine = self.machine.as_ref().map(|machine| machine.ec2.as_str());
        self.classic.iter().filter_map(move |classic| Some((&**classic, machine?)))
    }

    /// What its essential containers' checks say together.
    pub(crate) fn health(&self) -> Health {
        let checked: Vec<Health> =
            self.containers.iter().filter(|c| c.is_essential() && c.has_check()).map(|c| c.health).collect();
        if checked.contains(&Health::Unhealthy) {
            Health::Unhealthy
        } else if checked.is_empty() || checked.contains(&Health::Unknown) {
            Health::Unknown
        } else {
            Health::Healthy
        }
    }

    /// Whether its containers' checks leave nothing to wish for.
    pub(crate) fn checks_passed(&self) -> bool {
        self.containers.iter().filter(|c| c.is_essential() && c.has_check()).all(|c| c.health == Health::Healthy)
    }

    /// The container with this name.
    pub(crate) fn container(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.name() == name)
    }
}
