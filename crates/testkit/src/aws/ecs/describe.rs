//! Services and tasks as the describe operations give them.

use serde_json::{Map, Value, json};

use super::super::wire::Input;
use super::super::wire::time::{seconds, seconds_of};
use super::super::world::{Id, World};
use super::service::{Deployment, Service};
use super::services;
use super::task::{Container, ContainerStatus, Status, Task};
use super::{life, tags_value};

/// A service's tasks that are RUNNING, and those that are wanted to but are not yet; of one deployment or of all.
pub(super) fn counts(world: &World, service: &Service, deployment: Option<&Id>) -> (u64, u64) {
    let (mut running, mut pending) = (0, 0);
    for task in service.live.iter().filter_map(|id| world.ecs.tasks.get(id)) {
        if deployment.is_some_and(|wanted| task.service.as_ref().is_none_or(|(_, id)| id != wanted)) {
            continue;
        }
        match task.status {
            Status::Running => running += 1,
            Status::Provisioning | Status::Pending | Status::Activating if task.wanted => pending += 1,
            _ => {}
        }
    }
    (running, pending)
}

/// A service.
pub(crate) fn describe_service(world: &World, service: &Service, with_tags: bool) -> Value {
    let (running, pending) = counts(world, service, None);
    let mut members = service.settings.as_object().cloned().unwrap_or_else(Map::new);
    for internal in ["serviceConnectConfiguration", "volumeConfigurations"] {
        members.remove(internal);
    }
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            members.insert(key.to_owned(), value);
        }
    };
    put("serviceArn", json!(*service.arn));
    put("serviceName", json!(service.name));
    put("clusterArn", json!(world.arn("ecs", &format!("cluster/{}", service.cluster))));
    put("status", json!(service.status.text()));
    put("desiredCount", json!(service.desired));
    put("runningCount", json!(running));
    put("pendingCount", json!(pending));
    put("createdAt", seconds(service.created_ms));
    put("createdBy", json!(format!("arn:aws:iam::{}:root", world.config.account)));
    put("deploymentController", json!({"type": "ECS"}));
    if let Some(primary) = service.deployments.first() {
        put("taskDefinition", json!(primary.definition.arn));
        put("deployments", service.deployments.iter().map(|d| deployment(world, service, d)).collect());
        let revision = json!([{
            "arn": primary.revision,
            "requestedTaskCount": service.desired,
            "runningTaskCount": running,
            "pendingTaskCount": pending,
        }]);
        put("currentServiceRevisions", revision);
    } else {
        put("deployments", json!([]));
    }
    if let Some(rollout) = service.rollouts.last().filter(|rollout| rollout.is_open()) {
        put("currentServiceDeployment", json!(rollout.arn));
    }
    let events = service.events.iter();
    let event =
        |(at_ms, id, text): &(i64, String, String)| json!({"id": id, "createdAt": seconds(*at_ms), "message": text});
    put("events", events.map(event).collect());
    if with_tags {
        put("tags", services::tags(service));
    }
    Value::Object(members)
}

fn deployment(world: &World, service: &Service, deployment: &Deployment) -> Value {
    let (running, pending) = counts(world, service, Some(&deployment.id));
    let is_primary = service.deployments.first().is_some_and(|primary| primary.id == deployment.id);
    let mut members = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            members.insert(key.to_owned(), value);
        }
    };
    put("id", json!(*deployment.id));
    put("status", json!(if is_primary { "PRIMARY" } else { "ACTIVE" }));
    put("taskDefinition", json!(deployment.definition.arn));
    put("desiredCount", json!(if is_primary { service.desired } else { 0 }));
    put("runningCount", json!(running));
    put("pendingCount", json!(pending));
    put("failedTasks", json!(deployment.failed_tasks));
    put("createdAt", seconds(deployment.created_ms));
    put("updatedAt", seconds(deployment.updated_ms));
    put("rolloutState", json!(deployment.state.text()));
    put("rolloutStateReason", json!(deployment.reason));
    for key in ["launchType", "capacityProviderStrategy", "platformVersion", "networkConfiguration"] {
        put(key, deployment.settings.member(key).cloned().unwrap_or(Value::Null));
    }
    Value::Object(members)
}

/// A task.
pub(crate) fn describe_task(world: &World, task: &Task, with_tags: bool) -> Value {
    let document = &task.definition.document;
    let mut members = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            members.insert(key.to_owned(), value);
        }
    };
    put("taskArn", json!(task.arn));
    put("clusterArn", json!(task.cluster_arn));
    put("taskDefinitionArn", json!(task.definition.arn));
    put("lastStatus", json!(task.status.text()));
    put("desiredStatus", json!(if task.wanted { "RUNNING" } else { "STOPPED" }));
    put("healthStatus", json!(task.health().text()));
    put("group", json!(task.group));
    put("startedBy", json!(task.started_by));
    put("launchType", json!(task.launch.launch_type));
    put("capacityProviderName", json!(task.launch.provider));
    put("version", json!(task.version));
    put("enableExecuteCommand", json!(task.execute_command));
    put("overrides", life::overrides_value(&task.definition, &task.overrides));
    for key in ["cpu", "memory"] {
        let value = task.overrides.member(key).or_else(|| document.member(key));
        put(key, value.cloned().unwrap_or(Value::Null));
    }
    if task.launch.launch_type == "FARGATE" {
        put("platformVersion", json!(task.platform_version));
        put("platformFamily", json!("Linux"));
        let size = document.member("ephemeralStorage").cloned().unwrap_or(json!({"sizeInGiB": 20}));
        put("ephemeralStorage", size);
    } else {
        put("containerInstanceArn", json!(task.machine.as_ref().map(|machine| machine.arn(world, &task.cluster))));
    }
    let times = &task.times;
    put("createdAt", seconds(times.created));
    put("pullStartedAt", seconds_of(times.pull_started));
    put("pullStoppedAt", seconds_of(times.pull_stopped));
    put("startedAt", seconds_of(times.started));
    put("stoppingAt", seconds_of(times.stopping));
    put("executionStoppedAt", seconds_of(times.execution_stopped));
    put("stoppedAt", seconds_of(times.stopped));
    put("stopCode", json!(task.stop_code));
    put("stoppedReason", json!(task.stopped_reason));
    if task.status >= Status::Pending {
        put("connectivity", json!("CONNECTED"));
        put("connectivityAt", seconds_of(times.pull_started));
    }
    if let Some(interface) = &task.interface {
        put("availabilityZone", json!(interface.zone));
        let status = match task.status {
            Status::Provisioning => "PRECREATED",
            Status::Stopped => "DELETED",
            _ => "ATTACHED",
        };
        put("attachments", json!([interface.value(status)]));
    } else {
        put("attachments", json!([]));
    }
    put("containers", task.containers.iter().map(|c| container(world, task, c)).collect());
    put("attributes", json!([{"name": "ecs.cpu-architecture", "value": architecture(document)}]));
    put("tags", if with_tags { tags_value(&task.tags) } else { json!([]) });
    Value::Object(members)
}

/// The architecture of a definition as the attribute of a task has it.
fn architecture(document: &Value) -> &'static str {
    let platform = document.member("runtimePlatform").and_then(|platform| platform.text("cpuArchitecture"));
    if platform == Some("ARM64") { "arm64" } else { "x86_64" }
}

fn container(world: &World, task: &Task, container: &Container) -> Value {
    let definition = &container.definition;
    let mut members = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            members.insert(key.to_owned(), value);
        }
    };
    let path = format!("container/{}/{}/{}", task.cluster, task.id, container.id);
    put("containerArn", json!(world.arn("ecs", &path)));
    put("taskArn", json!(task.arn));
    put("name", definition["name"].clone());
    put("image", definition["image"].clone());
    if container.status != ContainerStatus::Pending {
        put(
            "imageDigest",
            json!(definition.text("image").and_then(|image| image.split_once('@')).map(|(_, digest)| digest)),
        );
    }
    put("runtimeId", json!(container.runtime));
    put("lastStatus", json!(container.status.text()));
    put("exitCode", json!(container.exit_code));
    put("reason", json!(container.reason));
    put("healthStatus", json!(container.health.text()));
    put("networkBindings", json!([]));
    put(
        "networkInterfaces",
        match &task.interface {
            Some(interface) => json!([{"attachmentId": interface.attachment, "privateIpv4Address": interface.address}]),
            None => json!([]),
        },
    );
    for key in ["cpu", "memory", "memoryReservation"] {
        let text = definition.number(key).map(|number| number.to_string());
        put(key, json!(text));
    }
    Value::Object(members)
}
