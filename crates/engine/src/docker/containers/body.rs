//! A container definition as Docker takes it. Pure.
//!
//! Resources follow ECS on EC2: a container's `cpu` is a share that counts when the machine is busy, the task's `cpu` is
//! a hard limit; `memory` is a hard limit, `memoryReservation` a soft one. The task's limits hold for each of its
//! containers (Docker has no group of containers to put a limit on), unless the container has a lower one of its own.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, DeviceMapping, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig, Mount,
    MountType, NetworkingConfig, ResourcesUlimits,
};
use layer0_domain::model::task_definition::{
    CPU_UNITS_PER_VCPU, ContainerDefinition, ContainerHealthCheck, TaskDefinition, VolumeScope,
};

use super::CopySpec;
use crate::docker::labels::{self, OwnerKind};

/// Least CPU share that Linux knows; ECS gives it to containers that ask for less.
const MIN_CPU_SHARES: i64 = 2;

/// Docker's own log files of one container may take 30 MB, so that a chatty container does not fill the disk.
const LOG_OPTIONS: [(&str, &str); 2] = [("max-size", "10m"), ("max-file", "3")];

/// Where a container's packets go.
#[derive(Debug, Clone)]
pub(super) enum NetworkOf<'a> {
    /// It is connected itself, under these names.
    Own {
        /// Docker's id of the environment's network.
        network: &'a str,
        aliases: Vec<String>,
    },
    /// It shares that of the copy's pause container, whose id this is.
    Shared(&'a str),
    /// It has none.
    None,
}

/// Whether the containers of a definition share a network through a pause container.
pub(super) fn is_shared(definition: &TaskDefinition) -> bool {
    definition.containers.len() > 1
}

/// Whether this container shall have no network.
pub(super) fn is_offline(definition: &TaskDefinition, container: &ContainerDefinition) -> bool {
    container.disable_networking || definition.network_mode.as_deref() == Some("none")
}

/// The names under which a copy is found in its environment. A task has none: it serves nobody, and may be called as a service is.
pub(super) fn aliases(spec: &CopySpec) -> Vec<String> {
    match spec.kind {
        OwnerKind::Service => vec![spec.name.to_string()],
        OwnerKind::Task => Vec::new(),
    }
}

/// The labels of one of a copy's containers; `None` for the pause container.
pub(super) fn labels_of(
    instance: &str,
    spec: &CopySpec,
    container: Option<&ContainerDefinition>,
) -> HashMap<String, String> {
    let mut all: HashMap<String, String> =
        container.map(|container| container.docker_labels.clone().into_iter().collect()).unwrap_or_default();
    let copy = format!("{}-{}", spec.entity, spec.number);
    let mut ours = vec![
        (labels::INSTANCE, instance.to_owned()),
        (labels::KIND, spec.kind.as_str().to_owned()),
        (labels::ENTITY, spec.entity.clone()),
        (labels::NAME, spec.name.to_string()),
        (labels::ENVIRONMENT, spec.environment.to_string()),
        (labels::COPY, copy),
        (labels::SIZE, spec.definition.containers.len().to_string()),
        (labels::ESSENTIALS, spec.definition.containers.iter().filter(|it| it.essential).count().to_string()),
        (labels::ROLE, if container.is_some() { "app" } else { "pause" }.to_owned()),
    ];
    if let Some(deployment) = &spec.deployment {
        ours.push((labels::DEPLOYMENT, deployment.to_string()));
    }
    if let Some(container) = container {
        ours.push((labels::CONTAINER, container.name.clone()));
        ours.push((labels::ESSENTIAL, container.essential.to_string()));
    }
    all.extend(ours.into_iter().map(|(key, value)| (key.to_owned(), value)));
    all
}

/// One container of a copy.
pub(super) fn app(
    instance: &str,
    spec: &CopySpec,
    container: &ContainerDefinition,
    network: &NetworkOf<'_>,
) -> ContainerCreateBody {
    let definition = &*spec.definition;
    let shares_network = matches!(network, NetworkOf::Shared(_));
    let mut host = HostConfig {
        cpu_shares: container.cpu.map(|units| i64::from(units).max(MIN_CPU_SHARES)),
        nano_cpus: definition.cpu.map(|units| i64::from(units) * 1_000_000_000 / i64::from(CPU_UNITS_PER_VCPU)),
        memory: container.memory_mib.or(definition.memory_mib).map(bytes),
        memory_reservation: container.memory_reservation_mib.map(bytes),
        ulimits: some(container.ulimits.iter().map(|limit| ResourcesUlimits {
            name: Some(limit.name.clone()),
            soft: Some(limit.soft),
            hard: Some(limit.hard),
        })),
        init: container.init_process_enabled.then_some(true),
        readonly_rootfs: container.readonly_root_filesystem.then_some(true),
        privileged: container.privileged.then_some(true),
        cap_add: some(container.capabilities_add.iter().cloned()),
        cap_drop: some(container.capabilities_drop.iter().cloned()),
        security_opt: some(container.docker_security_options.iter().cloned()),
        shm_size: container.shared_memory_mib.map(bytes),
        tmpfs: some_map(container.tmpfs.iter().map(|tmpfs| {
            let size = std::iter::once(format!("size={}m", tmpfs.size_mib));
            let options: Vec<String> = size.chain(tmpfs.mount_options.iter().cloned()).collect();
            (tmpfs.container_path.clone(), options.join(","))
        })),
        devices: some(container.devices.iter().map(|device| DeviceMapping {
            path_on_host: Some(device.host_path.clone()),
            path_in_container: Some(device.container_path.clone()),
            cgroup_permissions: Some(cgroup_permissions(&device.permissions)),
        })),
        sysctls: some_map(
            container.system_controls.iter().filter(|(name, _)| !(shares_network && is_network_sysctl(name))).map(pair),
        ),
        volumes_from: some(container.volumes_from.iter().map(|from| {
            let name = labels::container_name(&spec.entity, spec.number, &from.source_container);
            format!("{name}:{}", if from.read_only { "ro" } else { "rw" })
        })),
        log_config: Some(log_config(container)),
        ..HostConfig::default()
    };
    mounts(spec, container, &mut host);
    namespaces(definition, network, &mut host);
    let mut body = ContainerCreateBody {
        image: Some(image_of(container)),
        env: some(container.environment.iter().map(|(name, value)| format!("{name}={value}"))),
        cmd: some(container.command.iter().cloned()),
        entrypoint: some(container.entry_point.iter().cloned()),
        user: container.user.clone(),
        working_dir: container.working_directory.clone(),
        healthcheck: Some(container.health_check.as_ref().map_or_else(no_health, health)),
        stop_timeout: Some(i64::from(container.stop_timeout_s)),
        tty: container.pseudo_terminal.then_some(true),
        open_stdin: container.interactive.then_some(true),
        labels: Some(labels_of(instance, spec, Some(container))),
        ..ContainerCreateBody::default()
    };
    match network {
        NetworkOf::Own { network, aliases } => {
            body.hostname = container.hostname.clone();
            names(std::iter::once(container), &mut host);
            attach(network, aliases, &mut host, &mut body);
        }
        NetworkOf::Shared(pause) => host.network_mode = Some(format!("container:{pause}")),
        NetworkOf::None => host.network_mode = Some("none".to_owned()),
    }
    body.host_config = Some(host);
    body
}

/// The pause container of a copy: it has the address, the host name, the hosts file and the network's kernel parameters
/// for all of them.
pub(super) fn pause(instance: &str, spec: &CopySpec, image: &str, network: &str) -> ContainerCreateBody {
    let definition = &*spec.definition;
    let mut host = HostConfig {
        sysctls: some_map(
            definition
                .containers
                .iter()
                .flat_map(|container| container.system_controls.iter())
                .filter(|(name, _)| is_network_sysctl(name))
                .map(pair),
        ),
        ipc_mode: (definition.ipc_mode.as_deref() == Some("task")).then(|| "shareable".to_owned()),
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        ..HostConfig::default()
    };
    names(definition.containers.iter(), &mut host);
    let mut body = ContainerCreateBody {
        image: Some(image.to_owned()),
        hostname: definition.containers.iter().find_map(|container| container.hostname.clone()),
        labels: Some(labels_of(instance, spec, None)),
        ..ContainerCreateBody::default()
    };
    attach(network, &aliases(spec), &mut host, &mut body);
    // Containers of one copy reach each other at 127.0.0.1: by their names, and by the aliases of `links`.
    let hosts = host.extra_hosts.get_or_insert_default();
    for container in &definition.containers {
        hosts.push(format!("{}:127.0.0.1", container.name));
        let links = container.links.iter().filter_map(|link| link.split_once(':'));
        hosts.extend(links.map(|(_, alias)| format!("{alias}:127.0.0.1")));
    }
    hosts.sort();
    hosts.dedup();
    body.host_config = Some(host);
    body
}

fn attach(network: &str, aliases: &[String], host: &mut HostConfig, body: &mut ContainerCreateBody) {
    host.network_mode = Some(network.to_owned());
    let endpoint = EndpointSettings { aliases: Some(aliases.to_vec()), ..EndpointSettings::default() };
    let endpoints = HashMap::from([(network.to_owned(), endpoint)]);
    body.networking_config = Some(NetworkingConfig { endpoints_config: Some(endpoints) });
}

/// Name servers and lines of the hosts file.
fn names<'a>(containers: impl Iterator<Item = &'a ContainerDefinition>, host: &mut HostConfig) {
    let (mut servers, mut domains, mut hosts) = (Vec::new(), Vec::new(), Vec::new());
    for container in containers {
        servers.extend(container.dns_servers.iter().cloned());
        domains.extend(container.dns_search_domains.iter().cloned());
        hosts.extend(container.extra_hosts.iter().map(|host| format!("{}:{}", host.hostname, host.ip_address)));
    }
    host.dns = some(servers.into_iter());
    host.dns_search = some(domains.into_iter());
    host.extra_hosts = some(hosts.into_iter());
}

fn namespaces(definition: &TaskDefinition, network: &NetworkOf<'_>, host: &mut HostConfig) {
    let of = |mode: Option<&str>| match (mode, network) {
        (Some("host"), _) => Some("host".to_owned()),
        (Some("task"), NetworkOf::Shared(pause)) => Some(format!("container:{pause}")),
        _ => None,
    };
    host.pid_mode = of(definition.pid_mode.as_deref());
    host.ipc_mode = match definition.ipc_mode.as_deref() {
        Some("none") => Some("none".to_owned()),
        mode => of(mode),
    };
}

fn mounts(spec: &CopySpec, container: &ContainerDefinition, host: &mut HostConfig) {
    let (mut binds, mut mounts) = (Vec::new(), Vec::new());
    for point in &container.mount_points {
        let Some(volume) = spec.definition.volume(&point.source_volume) else { continue };
        let mode = if point.read_only { "ro" } else { "rw" };
        let source = match (&volume.host_path, &volume.docker) {
            (Some(path), _) => path.clone(),
            (None, Some(docker)) if docker.scope == VolumeScope::Shared => volume.name.clone(),
            (None, _) => labels::volume_name(&spec.entity, spec.number, &volume.name),
        };
        if source.contains(':') || point.container_path.contains(':') {
            let typ = if volume.host_path.is_some() { MountType::BIND } else { MountType::VOLUME };
            mounts.push(Mount {
                target: Some(point.container_path.clone()),
                source: Some(source),
                typ: Some(typ),
                read_only: Some(point.read_only),
                ..Mount::default()
            });
        } else {
            // A bind in this form makes a missing directory of the host, as ECS on EC2 does.
            binds.push(format!("{source}:{}:{mode}", point.container_path));
        }
    }
    host.binds = some(binds.into_iter());
    host.mounts = some(mounts.into_iter());
}

/// The image's reference as Docker finds it: with a digest, the tag must go.
pub(super) fn image_of(container: &ContainerDefinition) -> String {
    match layer0_domain::model::image::ImageRef::parse(&container.image) {
        Ok(image) => match image.digest() {
            Some(digest) => image.with_digest(digest.clone()).to_string(),
            None => image.to_string(),
        },
        Err(_) => container.image.clone(),
    }
}

fn health(check: &ContainerHealthCheck) -> HealthConfig {
    let nanos = |seconds: u32| Some(i64::from(seconds) * 1_000_000_000);
    HealthConfig {
        test: Some(check.command.clone()),
        interval: nanos(check.interval_s),
        timeout: nanos(check.timeout_s),
        retries: Some(i64::from(check.retries)),
        start_period: nanos(check.start_period_s),
        start_interval: None,
    }
}

/// No check at all, also where the image brings one of its own: as on ECS, which does not look at those. Docker would run
/// it, by default for the first time after 30 s, and whoever waits for its verdict would have lost patience by then.
fn no_health() -> HealthConfig {
    HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }
}

/// Whether Docker keeps the log of this driver itself, with options as written.
pub(super) fn is_local_driver(driver: &str) -> bool {
    matches!(driver, "json-file" | "local")
}

fn log_config(container: &ContainerDefinition) -> HostConfigLogConfig {
    let asked = container.log_configuration.as_ref().filter(|asked| is_local_driver(&asked.log_driver));
    let driver = asked.map_or("json-file", |asked| asked.log_driver.as_str());
    let mut options: HashMap<String, String> =
        LOG_OPTIONS.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    if let Some(asked) = asked {
        options.extend(asked.options.clone());
    }
    HostConfigLogConfig { typ: Some(driver.to_owned()), config: Some(options) }
}

fn cgroup_permissions(permissions: &[String]) -> String {
    if permissions.is_empty() {
        return "rwm".to_owned();
    }
    permissions.iter().filter_map(|permission| permission.chars().next()).collect()
}

fn is_network_sysctl(name: &str) -> bool {
    name.starts_with("net.")
}

fn pair((key, value): (&String, &String)) -> (String, String) {
    (key.clone(), value.clone())
}

fn bytes(mib: u32) -> i64 {
    i64::from(mib) * 1024 * 1024
}

fn some<T>(items: impl Iterator<Item = T>) -> Option<Vec<T>> {
    let items: Vec<T> = items.collect();
    (!items.is_empty()).then_some(items)
}

fn some_map(items: impl Iterator<Item = (String, String)>) -> Option<HashMap<String, String>> {
    let items: HashMap<String, String> = items.collect();
    (!items.is_empty()).then_some(items)
}

#[cfg(test)]
mod tests {
    use layer0_domain::model::id::EnvironmentId;
    use layer0_domain::model::name::Name;
    use layer0_domain::model::task_definition::Document;
    use serde_json::{Value, json};

    use super::*;
    use crate::docker::labels::OwnerKind;

    fn spec(document: Value) -> CopySpec {
        let definition = Document::from_canonical(document).expect("a legal document").definition().clone();
        CopySpec {
            kind: OwnerKind::Service,
            entity: "web".into(),
            name: Name::parse("web").expect("a name"),
            environment: EnvironmentId::parse("env").expect("an id"),
            deployment: None,
            number: 3,
            definition: definition.into(),
            making: super::super::Making::default(),
        }
    }

    fn own(spec: &CopySpec) -> ContainerCreateBody {
        let network = NetworkOf::Own { network: "net", aliases: aliases(spec) };
        app("instance", spec, &spec.definition.containers[0], &network)
    }

    #[test]
    fn a_task_is_found_under_no_name() {
        let service = spec(json!({ "containerDefinitions": [{ "name": "a", "image": "app:1", "memory": 64 }] }));
        assert_eq!(aliases(&service), ["web"]);
        assert!(aliases(&CopySpec { kind: OwnerKind::Task, ..service }).is_empty(), "it may be called as a service is");
    }

    #[test]
    fn limits_are_those_of_ecs_on_ec2() {
        let spec = spec(json!({ "cpu": "512", "memory": "256", "containerDefinitions": [
            { "name": "a", "image": "app:1", "cpu": 128, "memoryReservation": 32 },
            { "name": "b", "image": "app:1", "cpu": 1, "memory": 64 },
        ]}));
        let hosts: Vec<HostConfig> = spec
            .definition
            .containers
            .iter()
            .map(|container| app("i", &spec, container, &NetworkOf::Shared("pause")).host_config.expect("limits"))
            .collect();
        let mib = |count: i64| Some(count * 1024 * 1024);
        assert_eq!((hosts[0].cpu_shares, hosts[0].nano_cpus), (Some(128), Some(500_000_000)));
        assert_eq!((hosts[0].memory, hosts[0].memory_reservation), (mib(256), mib(32)));
        assert_eq!((hosts[1].cpu_shares, hosts[1].memory), (Some(MIN_CPU_SHARES), mib(64)));
    }

    #[test]
    fn a_user_s_label_can_not_pass_for_one_of_ours() {
        let spec = spec(json!({ "containerDefinitions": [
            { "name": "a", "image": "app:1", "memory": 32, "dockerLabels": { "layer0.instance": "other", "team": "x" } },
        ]}));
        let labels = own(&spec).labels.expect("labels");
        assert_eq!(labels[labels::INSTANCE], "instance");
        assert_eq!(labels["team"], "x");
        assert_eq!(labels[labels::COPY], "web-3");
    }

    #[test]
    fn a_check_of_the_image_s_own_does_not_run() {
        let spec = spec(json!({ "containerDefinitions": [
            { "name": "a", "image": "app:1", "memory": 32 },
            { "name": "b", "image": "app:1", "memory": 32, "healthCheck": { "command": ["CMD", "/up"] } },
        ]}));
        let tests = spec.definition.containers.iter().map(|container| {
            let body = app("i", &spec, container, &NetworkOf::Shared("pause"));
            body.healthcheck.expect("a word on checks, or Docker takes the image's").test
        });
        let tests: Vec<_> = tests.collect();
        assert_eq!(tests, [Some(vec!["NONE".to_owned()]), Some(vec!["CMD".to_owned(), "/up".to_owned()])]);
    }

    #[test]
    fn nothing_is_published_on_the_host_and_the_copy_is_found_by_its_service_s_name() {
        let spec = spec(json!({ "containerDefinitions": [
            { "name": "a", "image": "app:1", "memory": 32, "portMappings": [{ "containerPort": 80, "hostPort": 80 }] },
        ]}));
        let body = own(&spec);
        let host = body.host_config.expect("a host part");
        assert_eq!((host.port_bindings, host.network_mode.as_deref()), (None, Some("net")));
        let endpoints = body.networking_config.and_then(|config| config.endpoints_config).expect("an endpoint");
        assert_eq!(endpoints["net"].aliases, Some(vec!["web".to_owned()]));
    }

    #[test]
    fn the_pause_container_has_what_the_others_share() {
        let spec = spec(json!({ "containerDefinitions": [
            { "name": "a", "image": "app:1", "memory": 32, "hostname": "box", "links": ["b:db"],
              "systemControls": [{ "namespace": "net.core.somaxconn", "value": "9" }] },
            { "name": "b", "image": "app:1", "memory": 32, "extraHosts": [{ "hostname": "x", "ipAddress": "10.0.0.1" }] },
        ]}));
        let body = pause("instance", &spec, "pause:1", "net");
        let host = body.host_config.expect("a host part");
        let hosts = ["a:127.0.0.1", "b:127.0.0.1", "db:127.0.0.1", "x:10.0.0.1"].map(str::to_owned).to_vec();
        assert_eq!((body.hostname.as_deref(), host.extra_hosts), (Some("box"), Some(hosts)));
        assert!(host.sysctls.expect("parameters of the network").contains_key("net.core.somaxconn"));
        let app = app("instance", &spec, &spec.definition.containers[0], &NetworkOf::Shared("p"));
        let host = app.host_config.expect("a host part");
        // Docker refuses all of these together with a shared network.
        assert_eq!((app.hostname, host.extra_hosts, host.sysctls, host.dns), (None, None, None, None));
        assert_eq!(host.network_mode.as_deref(), Some("container:p"));
    }
}
