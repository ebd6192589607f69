//! Clusters.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::super::wire::{AwsError, Input};
use super::super::world::{Id, World};
use super::machines::Machine;
use super::{Ids, Tags, last_part, missing, page, tags_value};

/// A cluster.
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) tags: Tags,
    /// `clusterSettings` and `configuration`, as given.
    pub(crate) settings: Value,
    pub(crate) configuration: Value,
    /// The names of its capacity providers, and what it starts tasks on by default.
    pub(crate) providers: Vec<String>,
    pub(crate) default_strategy: Value,
    /// Its container instances, for the launch type EC2.
    pub(crate) machines: Vec<Machine>,
    /// The auto scaling groups that they are of, whose machines stay registered when the capacity provider has gone.
    pub(crate) groups: BTreeSet<String>,
    pub(crate) visible_ms: i64,
    /// By name, the ARNs of its services, also of those that are INACTIVE.
    pub(crate) services: BTreeMap<String, Id>,
    /// Its tasks that are wanted to run, and those that are not.
    pub(crate) running: Ids,
    pub(crate) stopped: Ids,
}

impl Cluster {
    /// A new cluster.
    pub(crate) fn new(world: &World, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            arn: world.arn("ecs", &format!("cluster/{name}")),
            tags: Tags::new(),
            settings: json!([{"name": "containerInsights", "value": "disabled"}]),
            configuration: Value::Null,
            providers: Vec::new(),
            default_strategy: json!([]),
            machines: Vec::new(),
            groups: BTreeSet::new(),
            visible_ms: world.visible_ms(),
            services: BTreeMap::new(),
            running: Ids::new(),
            stopped: Ids::new(),
        }
    }

    /// How many services it has that are not INACTIVE.
    pub(crate) fn active_services(&self, world: &World) -> usize {
        let active = |arn: &&Id| world.ecs.services.get(*arn).is_some_and(|service| !service.is_inactive());
        self.services.values().filter(active).count()
    }
}

/// The name of the cluster that a request means, which exists and can be seen.
pub(crate) fn named(world: &World, input: &Value) -> Result<String, AwsError> {
    let name = last_part(input.text("cluster").unwrap_or("default"));
    match world.ecs.clusters.get(name) {
        Some(cluster) if cluster.visible_ms <= world.now_ms => Ok(name.to_owned()),
        _ => Err(AwsError::new("ClusterNotFoundException", "Cluster not found.")),
    }
}

pub(super) fn describe(world: &World, input: &Value) -> Result<Value, AwsError> {
    let mut names = input.texts("clusters");
    if names.is_empty() {
        names.push("default");
    }
    if names.len() > 100 {
        return Err(AwsError::invalid_parameter("clusters cannot have more than 100 elements"));
    }
    let (mut clusters, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        let name = last_part(name);
        match world.ecs.clusters.get(name).filter(|cluster| cluster.visible_ms <= world.now_ms) {
            Some(cluster) => clusters.push(value(world, cluster, &input.texts("include"))),
            None => failures.push(missing(world.arn("ecs", &format!("cluster/{name}")))),
        }
    }
    Ok(json!({"clusters": clusters, "failures": failures}))
}

/// A cluster as DescribeClusters gives it.
pub(crate) fn value(world: &World, cluster: &Cluster, include: &[&str]) -> Value {
    let is_running = |id: &&Id| world.ecs.tasks.get(*id).is_some_and(super::Task::is_running);
    let running = cluster.running.iter().filter(is_running).count();
    let mut members = Map::new();
    let mut put = |key: &str, value: Value| members.insert(key.to_owned(), value);
    put("clusterArn", json!(cluster.arn));
    put("clusterName", json!(cluster.name));
    put("status", json!("ACTIVE"));
    put("registeredContainerInstancesCount", json!(cluster.machines.len()));
    put("runningTasksCount", json!(running));
    put("pendingTasksCount", json!(cluster.running.len() - running));
    put("activeServicesCount", json!(cluster.active_services(world)));
    put("statistics", json!([]));
    put("capacityProviders", json!(cluster.providers));
    put("defaultCapacityProviderStrategy", cluster.default_strategy.clone());
    put("tags", if include.contains(&"TAGS") { tags_value(&cluster.tags) } else { json!([]) });
    put("settings", if include.contains(&"SETTINGS") { cluster.settings.clone() } else { json!([]) });
    if include.contains(&"CONFIGURATIONS") && !cluster.configuration.is_null() {
        put("configuration", cluster.configuration.clone());
    }
    Value::Object(members)
}

pub(super) fn list(world: &World, input: &Value) -> Result<Value, AwsError> {
    let visible = world.ecs.clusters.values().filter(|cluster| cluster.visible_ms <= world.now_ms);
    let arn = |name: &str| json!(world.arn("ecs", &format!("cluster/{name}")));
    page(visible.map(|cluster| cluster.name.as_str()), input, "clusterArns", arn)
}
