//! Rules between the parts of a document: names that must exist, ports that must not meet, dependencies without a cycle.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};

use super::canonical::quoted;
use super::problem::Problems;
use super::{ContainerDefinition, DependencyCondition, TaskDefinition};

/// How many separate cycles are reported.
const MAX_CYCLES: usize = 10;

/// Notes everything that is wrong between the parts of `definition`.
pub(super) fn check(definition: &TaskDefinition, problems: &mut Problems) {
    let containers = &definition.containers;
    let by_name = container_names(containers, problems);
    let volumes = volume_names(definition, problems);
    if !containers.is_empty() && containers.iter().all(|c| !c.essential) {
        problems.add(
            "containerDefinitions",
            "no container is essential; at least one must be, or the task would have no end",
        );
    }
    for (index, container) in containers.iter().enumerate() {
        let path = format!("containerDefinitions[{index}]");
        mounts(container, &path, &volumes, problems);
        references(containers, container, &path, &by_name, problems);
        for (key, own) in [("memory", container.memory_mib), ("memoryReservation", container.memory_reservation_mib)] {
            if let (Some(task), Some(own)) = (definition.memory_mib, own)
                && own > task
            {
                problems
                    .add(format!("{path}.{key}"), format!("{own} MiB are more than the task's \"memory\", {task} MiB"));
            }
        }
    }
    host_ports(containers, problems);
    for cycle in cycles(containers, &by_name) {
        problems.add(
            format!("containerDefinitions[{}]", cycle.first().copied().unwrap_or_default()),
            format!(
                "depends on itself: {}",
                cycle
                    .iter()
                    .chain(cycle.first())
                    .map(|index| containers[*index].name.as_str())
                    .collect::<Vec<_>>()
                    .join(" -> ")
            ),
        );
    }
}

/// The containers, each after those that it depends on; see [`TaskDefinition::start_order`].
pub(super) fn start_order(containers: &[ContainerDefinition]) -> Vec<&ContainerDefinition> {
    let by_name = containers.iter().enumerate().map(|(index, container)| (container.name.as_str(), index)).collect();
    sort(&dependencies(containers, &by_name)).into_iter().map(|index| &containers[index]).collect()
}

fn container_names<'a>(containers: &'a [ContainerDefinition], problems: &mut Problems) -> HashMap<&'a str, usize> {
    let mut by_name = HashMap::new();
    for (index, container) in containers.iter().enumerate() {
        // A missing name has been reported.
        if container.name.is_empty() {
            continue;
        }
        if let Some(first) = by_name.get(container.name.as_str()) {
            problems.add(
                format!("containerDefinitions[{index}].name"),
                format!(
                    "{} is the name of containerDefinitions[{first}] too; names must differ",
                    quoted(&container.name)
                ),
            );
        } else {
            by_name.insert(container.name.as_str(), index);
        }
    }
    by_name
}

fn volume_names<'a>(definition: &'a TaskDefinition, problems: &mut Problems) -> HashSet<&'a str> {
    let mut names = HashSet::new();
    for (index, volume) in definition.volumes.iter().enumerate() {
        if !names.insert(volume.name.as_str()) && !volume.name.is_empty() {
            problems.add(
                format!("volumes[{index}].name"),
                format!("{} is the name of another volume too", quoted(&volume.name)),
            );
        }
    }
    names
}

fn mounts(container: &ContainerDefinition, path: &str, volumes: &HashSet<&str>, problems: &mut Problems) {
    let mut targets = HashSet::new();
    for (index, mount) in container.mount_points.iter().enumerate() {
        if !mount.source_volume.is_empty() && !volumes.contains(mount.source_volume.as_str()) {
            problems.add(
                format!("{path}.mountPoints[{index}].sourceVolume"),
                format!("names the volume {}, which \"volumes\" does not have", quoted(&mount.source_volume)),
            );
        }
        if !mount.container_path.is_empty() && !targets.insert(mount.container_path.as_str()) {
            problems.add(
                format!("{path}.mountPoints[{index}].containerPath"),
                format!("{} is mounted twice", quoted(&mount.container_path)),
            );
        }
    }
}

fn references(
    containers: &[ContainerDefinition],
    container: &ContainerDefinition,
    path: &str,
    by_name: &HashMap<&str, usize>,
    problems: &mut Problems,
) {
    let mut find = |name: &str, at: String| {
        if name.is_empty() {
            return None;
        }
        let found = by_name.get(name).map(|index| &containers[*index]);
        if found.is_none() {
            problems.add(at, format!("names the container {}, which does not exist", quoted(name)));
        }
        found
    };
    for (index, link) in container.links.iter().enumerate() {
        find(link_target(link), format!("{path}.links[{index}]"));
    }
    for (index, from) in container.volumes_from.iter().enumerate() {
        find(&from.source_container, format!("{path}.volumesFrom[{index}].sourceContainer"));
    }
    let targets = container
        .depends_on
        .iter()
        .enumerate()
        .filter_map(|(index, dependency)| {
            let at = format!("{path}.dependsOn[{index}]");
            let target = find(&dependency.container_name, format!("{at}.containerName"))?;
            Some((at, dependency.condition, target))
        })
        .collect::<Vec<_>>();
    for (at, condition, target) in targets {
        let name = quoted(&target.name);
        match condition {
            DependencyCondition::Healthy if target.health_check.is_none() => {
                problems.add(format!("{at}.condition"), format!("HEALTHY needs a healthCheck on the container {name}"))
            }
            DependencyCondition::Complete | DependencyCondition::Success if target.essential => {
                problems.add(
                    format!("{at}.condition"),
                    format!(
                        "waits for the end of {name}, which is essential, so that its end ends the task; set \"essential\": false there"
                    ),
                );
            }
            DependencyCondition::Start
            | DependencyCondition::Complete
            | DependencyCondition::Success
            | DependencyCondition::Healthy => {}
        }
    }
    for (index, link) in container.links.iter().enumerate() {
        let (target, alias) = link.split_once(':').unwrap_or((link, link));
        if target.is_empty() || alias.is_empty() {
            problems.add(
                format!("{path}.links[{index}]"),
                format!("{} is not a link; write name or name:alias", quoted(link)),
            );
        }
    }
}

/// The container that a link names.
fn link_target(link: &str) -> &str {
    link.split(':').next().unwrap_or_default()
}

fn host_ports(containers: &[ContainerDefinition], problems: &mut Problems) {
    let mut taken = HashMap::new();
    for (index, container) in containers.iter().enumerate() {
        for mapping in &container.port_mappings {
            let Some(port) = mapping.host_port else {
                continue;
            };
            if let Some(first) = taken.insert((port, mapping.protocol), container.name.as_str()) {
                problems.add(
                    format!("containerDefinitions[{index}].portMappings"),
                    format!("host port {port}/{} is asked for by {} already", mapping.protocol, quoted(first)),
                );
            }
        }
    }
}

/// For each container, those that must come before it: what the ECS agent derives from `dependsOn`, `links` and `volumesFrom`.
fn dependencies(containers: &[ContainerDefinition], by_name: &HashMap<&str, usize>) -> Vec<BTreeSet<usize>> {
    containers
        .iter()
        .map(|container| {
            let named = container.depends_on.iter().map(|d| d.container_name.as_str());
            let linked = container.links.iter().map(|link| link_target(link));
            let shared = container.volumes_from.iter().map(|from| from.source_container.as_str());
            named.chain(linked).chain(shared).filter_map(|name| by_name.get(name).copied()).collect()
        })
        .collect()
}

/// Indices in dependency order, smaller index first where both are possible; those on or behind a cycle are left out. Not
/// recursive, so that a long chain cannot exhaust the stack.
fn sort(dependencies: &[BTreeSet<usize>]) -> Vec<usize> {
    let mut waiting: Vec<usize> = dependencies.iter().map(BTreeSet::len).collect();
    let mut dependants = vec![Vec::new(); dependencies.len()];
    for (index, needed) in dependencies.iter().enumerate() {
        for &before in needed {
            dependants[before].push(index);
        }
    }
    let mut ready: BinaryHeap<Reverse<usize>> =
        (0..dependencies.len()).filter(|index| waiting[*index] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(dependencies.len());
    while let Some(Reverse(index)) = ready.pop() {
        order.push(index);
        for &dependant in &dependants[index] {
            waiting[dependant] -= 1;
            if waiting[dependant] == 0 {
                ready.push(Reverse(dependant));
            }
        }
    }
    order
}

/// Some cycle of every knot of dependencies, as indices, up to [`MAX_CYCLES`].
fn cycles(containers: &[ContainerDefinition], by_name: &HashMap<&str, usize>) -> Vec<Vec<usize>> {
    let mut dependencies = dependencies(containers, by_name);
    let mut found = Vec::new();
    while found.len() < MAX_CYCLES {
        let sorted: HashSet<usize> = sort(&dependencies).into_iter().collect();
        let Some(start) = (0..dependencies.len()).find(|index| !sorted.contains(index)) else {
            break;
        };
        // Whatever could not be sorted has a dependency that could not be sorted either: following it leads into a cycle.
        let mut way = Vec::new();
        let mut place = HashMap::new();
        let mut here = start;
        while !place.contains_key(&here) {
            place.insert(here, way.len());
            way.push(here);
            let next = dependencies[here].iter().find(|next| !sorted.contains(*next));
            match next {
                Some(next) => here = *next,
                None => break,
            }
        }
        let mut cycle = way.split_off(place.get(&here).copied().unwrap_or_default());
        // The first named is the first written.
        if let Some(first) = (0..cycle.len()).min_by_key(|at| cycle[*at]) {
            cycle.rotate_left(first);
        }
        for index in &cycle {
            dependencies[*index].clear();
        }
        found.push(cycle);
    }
    found
}
