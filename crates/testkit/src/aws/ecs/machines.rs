//! Container instances: which there are, and on which of them a task runs. They have no sizes and no ports.

use serde_json::{Value, json};

use super::super::wire::time::seconds;
use super::super::wire::{AwsError, Input};
use super::super::world::{Id, World};
use super::{Cluster, cluster, last_part, missing};

/// The most that one call describes (API reference, `DescribeContainerInstances`).
const PAGE_MAX: usize = 100;

/// A container instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Machine {
    /// The last part of its ARN.
    pub(crate) id: String,
    /// Its EC2 id, `i-…`.
    pub(crate) ec2: String,
    pub(crate) registered_ms: i64,
}

impl Machine {
    pub(crate) fn new(world: &mut World) -> Self {
        Self { id: world.hex(32), ec2: format!("i-{}", world.hex(17)), registered_ms: world.now_ms }
    }

    pub(crate) fn arn(&self, world: &World, cluster: &str) -> String {
        world.arn("ecs", &format!("container-instance/{cluster}/{}", self.id))
    }
}

/// Whether an EC2 instance belongs to a cluster.
pub(crate) fn exists(world: &World, ec2: &str) -> bool {
    world.ecs.clusters.values().flat_map(|cluster| &cluster.machines).any(|machine| machine.ec2 == ec2)
}

/// The tasks on a machine that are wanted to run.
fn tasks_on(world: &World, cluster: &Cluster, machine: &Machine) -> usize {
    let on_it = |id: &&Id| world.ecs.tasks.get(*id).is_some_and(|task| task.machine.as_ref() == Some(machine));
    cluster.running.iter().filter(on_it).count()
}

/// Where a new task runs: on the machine with the fewest of its service's tasks, and of all tasks among those.
pub(super) fn choose(world: &World, cluster: &str, service: Option<&Id>) -> Option<Machine> {
    let cluster = world.ecs.clusters.get(cluster)?;
    let own = service.and_then(|arn| world.ecs.services.get(arn));
    let of_service = |machine: &Machine| {
        let live = own.into_iter().flat_map(|service| &service.live).filter_map(|id| world.ecs.tasks.get(id));
        live.filter(|task| task.machine.as_ref() == Some(machine)).count()
    };
    let rank = |machine: &&Machine| (of_service(machine), tasks_on(world, cluster, machine));
    cluster.machines.iter().min_by_key(rank).cloned()
}

pub(super) fn describe(world: &World, input: &Value) -> Result<Value, AwsError> {
    let name = cluster::named(world, input)?;
    let asked = input.texts("containerInstances");
    if asked.is_empty() {
        return Err(AwsError::invalid_parameter("Container instances cannot be empty."));
    }
    if asked.len() > PAGE_MAX {
        return Err(AwsError::invalid_parameter("Container instances can have at most 100 items."));
    }
    let cluster = &world.ecs.clusters[&name];
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for id in asked.into_iter().map(last_part) {
        match cluster.machines.iter().find(|machine| machine.id == id) {
            Some(machine) => found.push(value(world, cluster, machine)),
            None => failures.push(missing(world.arn("ecs", &format!("container-instance/{name}/{id}")))),
        }
    }
    Ok(json!({"containerInstances": found, "failures": failures}))
}

fn value(world: &World, cluster: &Cluster, machine: &Machine) -> Value {
    let is_running = |id: &&Id| {
        let task = world.ecs.tasks.get(*id).filter(|task| task.machine.as_ref() == Some(machine));
        task.is_some_and(super::Task::is_running)
    };
    let running = cluster.running.iter().filter(is_running).count();
    json!({
        "containerInstanceArn": machine.arn(world, &cluster.name),
        "ec2InstanceId": machine.ec2,
        "status": "ACTIVE",
        "agentConnected": true,
        "runningTasksCount": running,
        "pendingTasksCount": tasks_on(world, cluster, machine) - running,
        "registeredAt": seconds(machine.registered_ms),
        "attributes": [],
        "tags": [],
    })
}
