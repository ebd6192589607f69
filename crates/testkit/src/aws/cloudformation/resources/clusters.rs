//! Clusters and what they run on.

use serde_json::{Value, json};

use super::super::super::ecs::machines::Machine;
use super::super::super::ecs::{self, Cluster};
use super::super::super::wire::Input;
use super::super::super::world::World;
use super::{Change, Made, Place, camel, required};

pub(super) fn create(world: &mut World, place: &Place, properties: &Value) -> Made {
    let name = place.named(world, properties, "ClusterName", 255);
    if world.ecs.clusters.contains_key(&name) {
        return Err(format!("{name} already exists"));
    }
    let mut cluster = Cluster::new(world, &name);
    let arn = cluster.arn.clone();
    set(&mut cluster, place, properties);
    world.ecs.clusters.insert(name.clone(), cluster);
    instances_count(world);
    Ok((name, json!({"Arn": arn})))
}

fn set(cluster: &mut Cluster, place: &Place, properties: &Value) {
    cluster.tags = place.tags(properties);
    if let Some(settings) = properties.member("ClusterSettings") {
        cluster.settings = camel(settings);
    }
    cluster.configuration = properties.member("Configuration").map_or(Value::Null, camel);
    if properties.member("CapacityProviders").is_some() {
        cluster.providers = properties.texts("CapacityProviders").into_iter().map(str::to_owned).collect();
    }
    if let Some(strategy) = properties.member("DefaultCapacityProviderStrategy") {
        cluster.default_strategy = camel(strategy);
    }
}

pub(super) fn update(world: &mut World, place: &Place, name: &str, properties: &Value) -> Result<Change, String> {
    let cluster = world.ecs.clusters.get_mut(name).ok_or_else(|| format!("cluster {name} does not exist"))?;
    set(cluster, place, properties);
    instances_count(world);
    Ok(Change::InPlace(None))
}

pub(super) fn delete(world: &mut World, name: &str) -> Result<(), String> {
    let Some(cluster) = world.ecs.clusters.get(name) else { return Ok(()) };
    let refused = |what: &str, code: &str| {
        Err(format!(
            "Resource handler returned message: \"The Cluster cannot be deleted while {what} are active. (Service: AmazonECS; \
             Status Code: 400; Error Code: {code})\""
        ))
    };
    if cluster.active_services(world) > 0 {
        return refused("Services", "ClusterContainsServicesException");
    }
    let alive = |id: &&super::super::super::world::Id| {
        world.ecs.tasks.get(*id).is_some_and(|task| task.times.stopped.is_none())
    };
    if cluster.running.union(&cluster.stopped).any(|id| alive(&id)) {
        return refused("Tasks", "ClusterContainsTasksException");
    }
    if !cluster.machines.is_empty() {
        return refused("Container Instances", "ClusterContainsContainerInstancesException");
    }
    if let Some(cluster) = world.ecs.clusters.remove(name) {
        for arn in cluster.services.values() {
            world.ecs.services.remove(arn);
        }
        for id in cluster.stopped {
            world.ecs.tasks.remove(&id);
        }
    }
    Ok(())
}

/// Sets what a cluster runs on.
pub(super) fn associate(world: &mut World, properties: &Value) -> Made {
    let name = required(properties, "Cluster")?.rsplit('/').next().unwrap_or_default().to_owned();
    let providers: Vec<String> = properties.texts("CapacityProviders").into_iter().map(str::to_owned).collect();
    let unknown = providers.iter().find(|provider| {
        !matches!(provider.as_str(), "FARGATE" | "FARGATE_SPOT") && !world.ec2.providers.contains_key(*provider)
    });
    if let Some(provider) = unknown {
        return Err(format!(
            "The specified capacity provider '{provider}' was not found. Specify a valid name or ARN and try again."
        ));
    }
    let cluster = world.ecs.clusters.get_mut(&name).ok_or_else(|| format!("Cluster {name} not found."))?;
    cluster.providers = providers;
    cluster.default_strategy = properties.member("DefaultCapacityProviderStrategy").map_or_else(|| json!([]), camel);
    instances_count(world);
    Ok((name, json!({})))
}

pub(super) fn dissociate(world: &mut World, name: &str) {
    if let Some(cluster) = world.ecs.clusters.get_mut(name) {
        cluster.providers.clear();
        cluster.default_strategy = json!([]);
    }
    instances_count(world);
}

/// Counts the container instances of all clusters anew: those of their capacity providers' auto scaling groups. A group
/// that ECS scales counts one at least, since it grows when a task waits.
pub(super) fn instances_count(world: &mut World) {
    let mut counts = Vec::new();
    for (name, cluster) in &mut world.ecs.clusters {
        let own: Vec<_> = cluster.providers.iter().filter_map(|provider| world.ec2.providers.get(provider)).collect();
        if own.is_empty() {
            // Its machines go with their groups.
            if !cluster.groups.is_empty() && !cluster.groups.iter().any(|it| world.ec2.scaling_groups.contains_key(it))
            {
                cluster.groups.clear();
                counts.push((name.clone(), 0));
            }
            continue;
        }
        cluster.groups = own.iter().map(|(group, _)| group.clone()).collect();
        let count = |(group, managed): &(String, bool)| match world.ec2.scaling_groups.get(group) {
            Some(desired) if *managed => (*desired).max(1),
            Some(desired) => *desired,
            None => 0,
        };
        counts.push((name.clone(), own.into_iter().map(count).sum()));
    }
    for (name, count) in counts {
        instances_set(world, &name, count);
    }
}

/// Sets how many container instances a cluster has; what waits for one is looked at again.
pub(crate) fn instances_set(world: &mut World, name: &str, count: u64) {
    let Some(cluster) = world.ecs.clusters.get(name) else { return };
    let there = cluster.machines.len() as u64;
    let new: Vec<Machine> = (there..count).map(|_| Machine::new(world)).collect();
    let Some(cluster) = world.ecs.clusters.get_mut(name) else { return };
    cluster.machines.extend(new);
    cluster.machines.truncate(usize::try_from(count).unwrap_or(usize::MAX));
    let services: Vec<_> = cluster.services.values().cloned().collect();
    for service in services {
        ecs::scheduler::poke(world, &service);
    }
}
