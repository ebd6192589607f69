//! One container definition.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;

use super::super::canonical::quoted;
use super::super::{
    ContainerDefinition, ContainerHealthCheck, DEFAULT_STOP_TIMEOUT_S, DependencyCondition, DependsOn, Device,
    EnvironmentFile, ExtraHost, LogConfiguration, MountPoint, PortMapping, Protocol, RestartPolicy, Secret, Tmpfs,
    Ulimit, VolumesFrom,
};
use super::Reader;
use crate::model::image::ImageRef;

/// Longest time that a container may be given to stop or start; ECS has no bound of its own on EC2, a day is beyond every use.
const MAX_TIMEOUT_S: u32 = 86_400;

/// Widest `containerPortRange`: each port of it becomes a mapping of its own.
const MAX_RANGE_PORTS: u16 = 100;

/// `ulimits[].name` of the ECS API (`UlimitName`).
const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Seconds that a container must run before the ECS agent restarts it, by default.
const DEFAULT_RESTART_PERIOD_S: u32 = 300;

/// Reads one container. `shares_ports` is true for network modes in which a port is the same inside and on the host.
pub(super) fn container(mut at: Reader<'_>, shares_ports: bool) -> ContainerDefinition {
    let name = at.name("a container");
    let image = image(&mut at);
    let memory_mib = amount(&at, "memory");
    let memory_reservation_mib = amount(&at, "memoryReservation");
    if let (Some(hard), Some(soft)) = (memory_mib, memory_reservation_mib)
        && soft > hard
    {
        at.problem("memoryReservation", format!("{soft} MiB are more than the hard limit \"memory\", {hard} MiB"));
    }
    let linux = at.child("linuxParameters", linux_parameters).unwrap_or_default();
    let environment = at
        .children("environment", |mut at| {
            let name = at.needed("name");
            if name.contains('=') {
                at.problem("name", "must not hold a \"=\"");
            }
            // An empty value is a value.
            let value = at.object.get("value").and_then(Value::as_str);
            (name, value.unwrap_or_default().to_owned())
        })
        .into_iter()
        .collect();
    let mut ports = Vec::new();
    at.children("portMappings", |at| port_mapping(at, shares_ports, &mut ports));
    ContainerDefinition {
        name,
        image,
        essential: at.flag_or("essential", true),
        environment,
        command: at.texts("command"),
        entry_point: at.texts("entryPoint"),
        port_mappings: ports,
        mount_points: at.children("mountPoints", |mut at| MountPoint {
            source_volume: at.needed("sourceVolume"),
            container_path: absolute_path(&mut at, "containerPath"),
            read_only: at.flag("readOnly"),
        }),
        volumes_from: at.children("volumesFrom", |mut at| VolumesFrom {
            source_container: at.needed("sourceContainer"),
            read_only: at.flag("readOnly"),
        }),
        links: at.texts("links"),
        depends_on: at.children("dependsOn", depends_on).into_iter().flatten().collect(),
        health_check: at.child("healthCheck", health_check),
        memory_mib,
        memory_reservation_mib,
        cpu: amount(&at, "cpu").filter(|units| *units > 0),
        ulimits: at.children("ulimits", ulimit),
        user: at.text("user"),
        working_directory: at.text("workingDirectory"),
        stop_timeout_s: at.number("stopTimeout", 0, MAX_TIMEOUT_S).unwrap_or(DEFAULT_STOP_TIMEOUT_S),
        start_timeout_s: at.number("startTimeout", 0, MAX_TIMEOUT_S),
        hostname: at.text("hostname"),
        dns_servers: at.texts("dnsServers"),
        dns_search_domains: at.texts("dnsSearchDomains"),
        extra_hosts: at.children("extraHosts", extra_host).into_iter().flatten().collect(),
        disable_networking: at.flag("disableNetworking"),
        privileged: at.flag("privileged"),
        readonly_root_filesystem: at.flag("readonlyRootFilesystem"),
        init_process_enabled: linux.init,
        capabilities_add: linux.add,
        capabilities_drop: linux.drop,
        shared_memory_mib: linux.shared_memory_mib,
        tmpfs: linux.tmpfs,
        devices: linux.devices,
        system_controls: system_controls(&mut at),
        docker_labels: at.text_map("dockerLabels"),
        docker_security_options: at.texts("dockerSecurityOptions"),
        pseudo_terminal: at.flag("pseudoTerminal"),
        interactive: at.flag("interactive"),
        log_configuration: at.child("logConfiguration", |mut at| LogConfiguration {
            log_driver: at.needed("logDriver"),
            options: at.text_map("options"),
            secret_options: at.children("secretOptions", secret),
        }),
        secrets: at.children("secrets", secret),
        repository_credentials: at.child("repositoryCredentials", |at| at.text("credentialsParameter")).flatten(),
        environment_files: at.children("environmentFiles", |mut at| EnvironmentFile {
            value: at.needed("value"),
            kind: at.needed("type"),
        }),
        restart_policy: at.child("restartPolicy", restart_policy),
    }
}

fn image(at: &mut Reader<'_>) -> String {
    let image = at.needed("image");
    if !image.is_empty()
        && let Err(error) = ImageRef::parse(&image)
    {
        at.problem("image", error.to_string());
    }
    image
}

/// CPU or memory, which the canonical form holds as a number.
fn amount(at: &Reader<'_>, key: &str) -> Option<u32> {
    at.int(key).and_then(|number| u32::try_from(number).ok())
}

fn port_mapping(mut at: Reader<'_>, shares_ports: bool, ports: &mut Vec<PortMapping>) {
    let protocol = match at.choice("protocol", &["tcp", "udp"]).as_deref() {
        Some("udp") => Protocol::Udp,
        _ => Protocol::Tcp,
    };
    let name = at.text("name");
    let container = port(&mut at, "containerPort", 1);
    // 0 asks for any free port, as leaving it out does.
    let host = port(&mut at, "hostPort", 0).filter(|port| *port > 0);
    if let Some(range) = at.text("containerPortRange") {
        if at.object.contains_key("containerPort") || host.is_some() {
            at.problem("containerPortRange", "stands alone; leave containerPort and hostPort out");
        }
        match port_range(&range) {
            Ok(range) => ports.extend(range.map(|container_port| PortMapping {
                container_port,
                host_port: None,
                protocol,
                name: name.clone(),
            })),
            Err(message) => at.problem("containerPortRange", message),
        }
        return;
    }
    if !at.object.contains_key("containerPort") {
        at.problem("containerPort", "is missing");
    }
    let Some(container_port) = container else {
        return;
    };
    if let Some(host_port) = host
        && shares_ports
        && host_port != container_port
    {
        at.problem(
            "hostPort",
            format!(
                "must be {container_port} like containerPort in this networkMode, not {host_port}; or leave it out"
            ),
        );
    }
    ports.push(PortMapping { container_port, host_port: host, protocol, name });
}

fn port(at: &mut Reader<'_>, key: &str, least: u16) -> Option<u16> {
    at.number(key, u32::from(least), u32::from(u16::MAX)).and_then(|port| u16::try_from(port).ok())
}

fn port_range(text: &str) -> Result<std::ops::RangeInclusive<u16>, String> {
    let wrong = || format!("{} is not a range of ports; write 8000-8010, with ports from 1 to 65535", quoted(text));
    let (first, last) = text.split_once('-').ok_or_else(wrong)?;
    let (Ok(first), Ok(last)) = (first.trim().parse::<u16>(), last.trim().parse::<u16>()) else {
        return Err(wrong());
    };
    if first == 0 || last < first {
        return Err(wrong());
    }
    if last - first >= MAX_RANGE_PORTS {
        return Err(format!("{} is wider than {MAX_RANGE_PORTS} ports", quoted(text)));
    }
    Ok(first..=last)
}

fn absolute_path(at: &mut Reader<'_>, key: &str) -> String {
    let path = at.needed(key);
    // A Windows path starts with its drive.
    let drive = path.as_bytes().get(1) == Some(&b':');
    if !path.is_empty() && !path.starts_with('/') && !drive {
        at.problem(key, format!("{} is not an absolute path", quoted(&path)));
    }
    path
}

fn depends_on(mut at: Reader<'_>) -> Option<DependsOn> {
    let container_name = at.needed("containerName");
    if at.text("condition").is_none() {
        at.needed("condition");
    }
    let condition = match at.choice("condition", &["START", "COMPLETE", "SUCCESS", "HEALTHY"])?.as_str() {
        "START" => DependencyCondition::Start,
        "COMPLETE" => DependencyCondition::Complete,
        "SUCCESS" => DependencyCondition::Success,
        _ => DependencyCondition::Healthy,
    };
    Some(DependsOn { container_name, condition })
}

fn health_check(mut at: Reader<'_>) -> ContainerHealthCheck {
    let command = at.texts("command");
    match command.first().map(String::as_str) {
        Some("CMD" | "CMD-SHELL") if command.len() > 1 => {}
        Some("CMD" | "CMD-SHELL") => at.problem("command", "has nothing after its first word"),
        _ => at.problem(
            "command",
            "must start with CMD or CMD-SHELL, such as [\"CMD-SHELL\", \"curl -f http://localhost/\"]",
        ),
    }
    ContainerHealthCheck {
        command,
        interval_s: at.number("interval", 5, 300).unwrap_or(30),
        timeout_s: at.number("timeout", 2, 60).unwrap_or(5),
        retries: at.number("retries", 1, 10).unwrap_or(3),
        start_period_s: at.number("startPeriod", 0, 300).unwrap_or(0),
    }
}

fn ulimit(mut at: Reader<'_>) -> Ulimit {
    at.needed("name");
    let name = at.choice("name", &ULIMITS).unwrap_or_default();
    let mut limit = |key: &str| match at.int(key) {
        Some(number) if number >= -1 => number,
        Some(number) => {
            at.problem(key, format!("must be 0 or more, or -1 for no limit, not {number}"));
            -1
        }
        None => {
            if !at.object.contains_key(key) {
                at.problem(key, "is missing");
            }
            -1
        }
    };
    let soft = limit("softLimit");
    let hard = limit("hardLimit");
    if hard != -1 && (soft == -1 || soft > hard) && at.int("softLimit").is_some() {
        at.problem("softLimit", format!("is above the hard limit, {hard}"));
    }
    Ulimit { name, soft, hard }
}

fn extra_host(mut at: Reader<'_>) -> Option<ExtraHost> {
    let hostname = at.needed("hostname");
    let address = at.needed("ipAddress");
    match address.parse::<IpAddr>() {
        Ok(ip_address) => Some(ExtraHost { hostname, ip_address }),
        Err(_) => {
            if !address.is_empty() {
                at.problem("ipAddress", format!("{} is not an IP address", quoted(&address)));
            }
            None
        }
    }
}

fn secret(mut at: Reader<'_>) -> Secret {
    Secret { name: at.needed("name"), value_from: at.needed("valueFrom") }
}

fn restart_policy(mut at: Reader<'_>) -> RestartPolicy {
    let codes = at
        .object
        .get("ignoredExitCodes")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_i64)
        .filter_map(|code| i32::try_from(code).ok())
        .collect();
    RestartPolicy {
        enabled: at.flag("enabled"),
        ignored_exit_codes: codes,
        restart_attempt_period_s: at.number("restartAttemptPeriod", 60, 1800).unwrap_or(DEFAULT_RESTART_PERIOD_S),
    }
}

fn system_controls(at: &mut Reader<'_>) -> BTreeMap<String, String> {
    at.children("systemControls", |mut at| (at.needed("namespace"), at.needed("value"))).into_iter().collect()
}

#[derive(Default)]
struct LinuxParameters {
    init: bool,
    add: Vec<String>,
    drop: Vec<String>,
    shared_memory_mib: Option<u32>,
    tmpfs: Vec<Tmpfs>,
    devices: Vec<Device>,
}

fn linux_parameters(mut at: Reader<'_>) -> LinuxParameters {
    /// A bound that keeps bytes far from overflow: 64 TiB.
    const MAX_MIB: u32 = 64 * 1024 * 1024;
    let (add, drop) = at.child("capabilities", |at| (at.texts("add"), at.texts("drop"))).unwrap_or_default();
    LinuxParameters {
        init: at.flag("initProcessEnabled"),
        add,
        drop,
        shared_memory_mib: at.number("sharedMemorySize", 0, MAX_MIB).filter(|mib| *mib > 0),
        tmpfs: at.children("tmpfs", |mut at| {
            if !at.object.contains_key("size") {
                at.problem("size", "is missing; give it in MiB");
            }
            Tmpfs {
                container_path: absolute_path(&mut at, "containerPath"),
                size_mib: at.number("size", 1, MAX_MIB).unwrap_or(1),
                mount_options: at.texts("mountOptions"),
            }
        }),
        devices: at.children("devices", |mut at| {
            let host_path = at.needed("hostPath");
            Device {
                container_path: at.text("containerPath").unwrap_or_else(|| host_path.clone()),
                host_path,
                permissions: at.texts("permissions"),
            }
        }),
    }
}
