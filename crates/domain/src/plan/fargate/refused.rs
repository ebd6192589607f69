//! What Fargate refuses of a definition (ECS developer guide, "Amazon ECS task definition differences for Fargate", and the
//! notes in `RegisterTaskDefinition`). AWS would refuse it too, at the first key and without the container's name.

use crate::model::task_definition::{ContainerDefinition, Problem, TaskDefinition};

/// The only kernel capability that may be added.
const CAPABILITY: [&str; 2] = ["SYS_PTRACE", "CAP_SYS_PTRACE"];

/// The log drivers that Fargate has.
const LOG_DRIVERS: [&str; 3] = ["awslogs", "splunk", "awsfirelens"];

/// The longest that a container may be given to start or stop, in seconds.
const MAX_TIMEOUT_S: u32 = 120;

/// The least ephemeral storage that can be asked for, in GiB; what is not asked for is 20.
const MIN_STORAGE_GIB: u32 = 21;

/// All that Fargate refuses of a definition but its size. Empty when there is nothing.
#[must_use]
pub fn refusals(definition: &TaskDefinition) -> Vec<Problem> {
    let mut all = Found::default();
    of_task(definition, &mut all);
    for (index, container) in definition.containers.iter().enumerate() {
        of_container(container, &format!("containerDefinitions[{index}]"), &mut all);
    }
    not_modelled(definition, &mut all);
    all.0
}

#[derive(Default)]
struct Found(Vec<Problem>);

impl Found {
    fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { path: path.into(), message: message.into() });
    }
}

fn of_task(definition: &TaskDefinition, all: &mut Found) {
    let asked = &definition.requires_compatibilities;
    if !asked.is_empty() && !asked.iter().any(|name| name == "FARGATE") {
        all.add(
            "requiresCompatibilities",
            format!("asks for {} only; run it with `--stateful`, or put FARGATE there", asked.join(", ")),
        );
    }
    if let Some(mode) = definition.network_mode.as_deref().filter(|mode| *mode != "awsvpc") {
        all.add("networkMode", format!("Fargate has `awsvpc` only, not `{mode}`; leave it out"));
    }
    if let Some(mode) = &definition.ipc_mode {
        all.add("ipcMode", format!("Fargate has no such thing (`{mode}`); leave it out"));
    }
    if definition.pid_mode.as_deref() == Some("host") {
        all.add("pidMode", "Fargate has no host; `task` is what it can do");
    }
    if let Some(gib) = definition.ephemeral_storage_gib.filter(|gib| *gib < MIN_STORAGE_GIB) {
        all.add(
            "ephemeralStorage.sizeInGiB",
            format!("{gib} is less than {MIN_STORAGE_GIB}; leave it out for Fargate's 20 GiB"),
        );
    }
    if let Some(platform) = &definition.runtime_platform
        && platform.platform().os == "windows"
        && platform.cpu_architecture.as_deref() == Some("ARM64")
    {
        all.add("runtimePlatform.cpuArchitecture", "Fargate runs Windows on X86_64 only");
    }
    for (index, volume) in definition.volumes.iter().enumerate() {
        let (path, name) = (format!("volumes[{index}]"), &volume.name);
        if volume.host_path.is_some() {
            all.add(
                format!("{path}.host.sourcePath"),
                format!("volume `{name}`: Fargate has no host; leave `host` out for an empty volume, or use EFS"),
            );
        }
        if volume.docker.is_some() {
            all.add(
                format!("{path}.dockerVolumeConfiguration"),
                format!("volume `{name}`: Fargate has no Docker; use EFS (`efsVolumeConfiguration`)"),
            );
        }
        if volume.unsupported.iter().any(|kind| kind == "fsxWindowsFileServerVolumeConfiguration") {
            all.add(
                format!("{path}.fsxWindowsFileServerVolumeConfiguration"),
                format!("volume `{name}`: FSx can be mounted on machines of the environment's own only"),
            );
        }
    }
}

fn of_container(container: &ContainerDefinition, path: &str, all: &mut Found) {
    let name = &container.name;
    let host = "run it with `--stateful`, or leave it out";
    let flags = [
        ("privileged", container.privileged, "Fargate gives nobody rights on its host"),
        ("links", !container.links.is_empty(), "the containers of a task reach each other at localhost on Fargate"),
        ("extraHosts", !container.extra_hosts.is_empty(), "Fargate writes the hosts file itself"),
        ("dnsServers", !container.dns_servers.is_empty(), "Fargate uses the VPC's name server"),
        ("dnsSearchDomains", !container.dns_search_domains.is_empty(), "Fargate uses the VPC's name server"),
        ("disableNetworking", container.disable_networking, "a task on Fargate always has its network"),
        ("dockerSecurityOptions", !container.docker_security_options.is_empty(), "Fargate has no Docker"),
        ("hostname", container.hostname.is_some(), "a task with its own network can't choose it"),
        ("linuxParameters.devices", !container.devices.is_empty(), "Fargate has no devices to give"),
        ("linuxParameters.sharedMemorySize", container.shared_memory_mib.is_some(), "Fargate does not change its size"),
    ];
    for (key, is_set, why) in flags {
        if is_set {
            all.add(format!("{path}.{key}"), format!("container `{name}`: {why}; {host}"));
        }
    }
    for (index, mapping) in container.port_mappings.iter().enumerate() {
        if let Some(host_port) = mapping.host_port.filter(|port| *port != mapping.container_port) {
            all.add(
                format!("{path}.portMappings[{index}].hostPort"),
                format!(
                    "container `{name}`: {host_port} differs from containerPort {}, and a task on Fargate has its own address; leave it out (a load balancer has host ports of its own)",
                    mapping.container_port
                ),
            );
        }
    }
    let added: Vec<&str> = container
        .capabilities_add
        .iter()
        .map(String::as_str)
        .filter(|one| !CAPABILITY.contains(&one.to_ascii_uppercase().as_str()))
        .collect();
    if !added.is_empty() {
        all.add(
            format!("{path}.linuxParameters.capabilities.add"),
            format!("container `{name}`: Fargate adds SYS_PTRACE only, not {}; {host}", added.join(", ")),
        );
    }
    for (key, seconds) in [("stopTimeout", Some(container.stop_timeout_s)), ("startTimeout", container.start_timeout_s)]
    {
        if let Some(seconds) = seconds.filter(|seconds| *seconds > MAX_TIMEOUT_S) {
            all.add(
                format!("{path}.{key}"),
                format!("container `{name}`: Fargate waits {MAX_TIMEOUT_S} seconds at most, not {seconds}"),
            );
        }
    }
    if let Some(log) =
        container.log_configuration.as_ref().filter(|log| !LOG_DRIVERS.contains(&log.log_driver.as_str()))
    {
        all.add(
            format!("{path}.logConfiguration.logDriver"),
            format!("container `{name}`: Fargate has {}, not `{}`", LOG_DRIVERS.join(", "), log.log_driver),
        );
    }
}

/// Keys that the typed form does not carry, by what their path ends with.
const NOT_MODELLED: [(&str, &str); 5] = [
    ("placementConstraints", "Fargate places tasks itself"),
    ("inferenceAccelerators", "Fargate has no accelerators"),
    ("maxSwap", "Fargate has no swap space"),
    ("swappiness", "Fargate has no swap space"),
    ("resourceRequirements", "Fargate has no GPUs"),
];

fn not_modelled(definition: &TaskDefinition, all: &mut Found) {
    for path in &definition.not_modelled {
        let key = path.rsplit('.').next().unwrap_or(path);
        let Some((_, why)) =
            NOT_MODELLED.iter().find(|(refused, _)| key == *refused || key.starts_with(&format!("{refused}[")))
        else {
            continue;
        };
        let container = path
            .strip_prefix("containerDefinitions[")
            .and_then(|rest| rest.split_once(']'))
            .and_then(|(index, _)| index.parse::<usize>().ok())
            .and_then(|index| definition.containers.get(index));
        let of = container.map_or_else(String::new, |it| format!("container `{}`: ", it.name));
        all.add(path.clone(), format!("{of}{why}; run it with `--stateful`, or leave it out"));
    }
}
