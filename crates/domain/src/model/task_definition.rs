//! The deploy document: an ECS task definition (`Dockerrun.aws.json`), as a document and as a typed value.
//!
//! [`Document`] is what the user gave, kept whole in one spelling of its keys; [`TaskDefinition`] is what the engines read. Both
//! exist only together and only when every rule holds, so that an engine never meets a dependency cycle, an unknown container or a
//! port out of range. Field meanings, ranges and defaults are those of the ECS API (`RegisterTaskDefinition`); keys that the typed
//! form does not carry are listed in [`TaskDefinition::not_modelled`], so that an engine can name what it will not honour.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::registry::Platform;

mod amount;
mod canonical;
mod check;
mod document;
mod pascal;
mod problem;
mod read;
mod schema;
#[cfg(test)]
mod tests;

pub use document::{Compatibility, Document, DocumentError, MAX_BYTES, MAX_DEPTH};
pub use problem::Problem;

/// How long a container has to stop before it is killed when the document does not say: the ECS agent's default.
pub const DEFAULT_STOP_TIMEOUT_S: u32 = 30;

/// Least memory of a task or container, in MiB, that ECS accepts.
pub const MIN_MEMORY_MIB: u32 = 4;

/// CPU units in one vCPU.
pub const CPU_UNITS_PER_VCPU: u32 = 1024;

/// A task definition that keeps every rule. Empty lists stand for absent ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskDefinition {
    /// ECS family; Layer0 names deploys itself and only keeps this.
    pub family: Option<String>,
    /// `bridge`, `host`, `awsvpc`, `none` or `default`, in lower case; `None` when the document leaves it open.
    pub network_mode: Option<String>,
    /// IAM role that the containers act as (AWS only).
    pub task_role_arn: Option<String>,
    /// IAM role that the engine pulls and logs with (AWS only).
    pub execution_role_arn: Option<String>,
    /// CPU units for the whole task; 1024 are one vCPU.
    pub cpu: Option<u32>,
    /// Memory for the whole task.
    pub memory_mib: Option<u32>,
    /// Launch types that the document asks for, upper case: `EC2`, `FARGATE`, `EXTERNAL`, `MANAGED_INSTANCES`.
    pub requires_compatibilities: Vec<String>,
    /// Architecture and operating system that the images are for.
    pub runtime_platform: Option<RuntimePlatform>,
    /// `host` or `task`: whose process namespace the containers use.
    pub pid_mode: Option<String>,
    /// `host`, `task` or `none`: whose IPC namespace the containers use.
    pub ipc_mode: Option<String>,
    /// Size of the writable layer of a Fargate task.
    pub ephemeral_storage_gib: Option<u32>,
    /// Volumes that mount points name.
    pub volumes: Vec<Volume>,
    /// The containers, in the order written; at least one, at least one of them essential, names unique.
    pub containers: Vec<ContainerDefinition>,
    /// JSON paths of keys that ECS knows and the document sets, but that this type does not carry.
    pub not_modelled: Vec<String>,
    /// The document that it was read from, for engines that pass on what this type does not carry. `None` in what was stored
    /// before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<Written>,
}

/// A document with known keys in ECS's spelling. `Debug` shows nothing of it, since values are often secrets.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Written(pub Value);

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Written(…)")
    }
}

impl TaskDefinition {
    /// The container of that name.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<&ContainerDefinition> {
        self.containers.iter().find(|c| c.name == name)
    }

    /// The volume of that name.
    #[must_use]
    pub fn volume(&self, name: &str) -> Option<&Volume> {
        self.volumes.iter().find(|v| v.name == name)
    }

    /// The fields by which its containers reach the machine that runs them, and with it all else that runs or lies there: its files and
    /// devices, its processes, volumes of others.
    #[must_use]
    pub fn host_reach(&self) -> Vec<&'static str> {
        let any = |has: fn(&ContainerDefinition) -> bool| self.containers.iter().any(has);
        let docker = |has: fn(&DockerVolume) -> bool| self.volumes.iter().filter_map(|it| it.docker.as_ref()).any(has);
        let is_host = |mode: &Option<String>| mode.as_deref() == Some("host");
        let fields = [
            ("privileged", any(|it| it.privileged)),
            ("linuxParameters.capabilities.add", any(|it| !it.capabilities_add.is_empty())),
            ("linuxParameters.devices", any(|it| !it.devices.is_empty())),
            ("dockerSecurityOptions", any(|it| !it.docker_security_options.is_empty())),
            ("pidMode", is_host(&self.pid_mode)),
            ("ipcMode", is_host(&self.ipc_mode)),
            ("volumes.host.sourcePath", self.volumes.iter().any(|it| it.host_path.is_some())),
            ("dockerVolumeConfiguration.scope", docker(|it| it.scope == VolumeScope::Shared)),
            ("dockerVolumeConfiguration.driver", docker(|it| it.driver.is_some())),
            ("dockerVolumeConfiguration.driverOpts", docker(|it| !it.driver_opts.is_empty())),
        ];
        fields.into_iter().filter_map(|(field, is_used)| is_used.then_some(field)).collect()
    }

    /// The containers in an order in which each comes after those that it depends on (`dependsOn`, `links`, `volumesFrom`);
    /// containers that do not depend on each other keep the document's order.
    #[must_use]
    pub fn start_order(&self) -> Vec<&ContainerDefinition> {
        check::start_order(&self.containers)
    }
}

/// What the images of a task are built for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimePlatform {
    /// `X86_64` or `ARM64`.
    pub cpu_architecture: Option<String>,
    /// `LINUX` or one of ECS's Windows families.
    pub operating_system_family: Option<String>,
}

impl RuntimePlatform {
    /// As images name it. What is left out is ECS's default: Linux on `X86_64`.
    #[must_use]
    pub fn platform(&self) -> Platform {
        let os = match self.operating_system_family.as_deref() {
            Some(family) if family.to_ascii_uppercase().starts_with("WINDOWS") => "windows",
            _ => "linux",
        };
        let architecture = match self.cpu_architecture.as_deref() {
            Some("ARM64") => "arm64",
            _ => "amd64",
        };
        Platform { os: os.to_owned(), architecture: architecture.to_owned(), variant: None }
    }
}

/// A volume of the task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Volume {
    /// The name that mount points use.
    pub name: String,
    /// A directory of the host to bind; `None` means an empty volume that lives as long as the task.
    pub host_path: Option<String>,
    /// A volume of the Docker engine.
    pub docker: Option<DockerVolume>,
    /// Keys of kinds of volume that only AWS has (`efsVolumeConfiguration`, …); empty for what every engine can mount.
    pub unsupported: Vec<String>,
}

/// `dockerVolumeConfiguration`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DockerVolume {
    /// Whether it outlives the task.
    pub scope: VolumeScope,
    /// Create a shared volume that does not exist.
    pub autoprovision: bool,
    /// Docker's volume driver; `None` means `local`.
    pub driver: Option<String>,
    /// Options of the driver.
    pub driver_opts: BTreeMap<String, String>,
    /// Labels for the volume.
    pub labels: BTreeMap<String, String>,
}

/// How long a Docker volume lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolumeScope {
    /// As long as the task; the default.
    Task,
    /// Beyond the task.
    Shared,
}

/// One container of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerDefinition {
    /// Unique in the task; up to 255 letters, digits, hyphens and underscores.
    pub name: String,
    /// The image as written, known to be a legal reference.
    pub image: String,
    /// Whether the task ends when this container ends; true unless said otherwise.
    pub essential: bool,
    /// Environment variables; when a name is written twice, the last one counts. `Debug` shows names only.
    pub environment: Environment,
    /// Arguments in place of the image's `CMD`; empty means the image's own.
    pub command: Vec<String>,
    /// In place of the image's `ENTRYPOINT`; empty means the image's own.
    pub entry_point: Vec<String>,
    /// Ports that the container listens on.
    pub port_mappings: Vec<PortMapping>,
    /// Where volumes are mounted; every `source_volume` is one of the task's volumes.
    pub mount_points: Vec<MountPoint>,
    /// Containers whose mounts this one takes over.
    pub volumes_from: Vec<VolumesFrom>,
    /// Containers that this one reaches by name, `name` or `name:alias`; the names exist.
    pub links: Vec<String>,
    /// What must have happened before this container starts; free of cycles.
    pub depends_on: Vec<DependsOn>,
    /// The container's own health check.
    pub health_check: Option<ContainerHealthCheck>,
    /// Hard memory limit.
    pub memory_mib: Option<u32>,
    /// Soft memory limit, never above the hard one.
    pub memory_reservation_mib: Option<u32>,
    /// CPU units, 1024 for one vCPU; `None` when absent or zero.
    pub cpu: Option<u32>,
    /// Resource limits of its processes.
    pub ulimits: Vec<Ulimit>,
    /// `user`, `user:group`, `uid`, `uid:gid`, ….
    pub user: Option<String>,
    /// Directory that the command starts in.
    pub working_directory: Option<String>,
    /// Seconds between the stop signal and the kill.
    pub stop_timeout_s: u32,
    /// Seconds after which those who depend on it give up.
    pub start_timeout_s: Option<u32>,
    /// Host name inside the container.
    pub hostname: Option<String>,
    /// Name servers.
    pub dns_servers: Vec<String>,
    /// Search domains.
    pub dns_search_domains: Vec<String>,
    /// Lines for its hosts file.
    pub extra_hosts: Vec<ExtraHost>,
    /// No network at all.
    pub disable_networking: bool,
    /// All rights on the host.
    pub privileged: bool,
    /// Root file system mounted read-only.
    pub readonly_root_filesystem: bool,
    /// An init process reaps children and forwards signals.
    pub init_process_enabled: bool,
    /// Kernel capabilities added, as written.
    pub capabilities_add: Vec<String>,
    /// Kernel capabilities dropped, as written.
    pub capabilities_drop: Vec<String>,
    /// Size of `/dev/shm`.
    pub shared_memory_mib: Option<u32>,
    /// Memory file systems.
    pub tmpfs: Vec<Tmpfs>,
    /// Devices of the host.
    pub devices: Vec<Device>,
    /// Kernel parameters, `namespace` to value.
    pub system_controls: BTreeMap<String, String>,
    /// Docker labels, keys untouched.
    pub docker_labels: BTreeMap<String, String>,
    /// Docker's `--security-opt` values.
    pub docker_security_options: Vec<String>,
    /// Allocate a terminal.
    pub pseudo_terminal: bool,
    /// Keep standard input open.
    pub interactive: bool,
    /// Where its output goes; accepted everywhere, honoured by engines that can.
    pub log_configuration: Option<LogConfiguration>,
    /// References to secrets, by environment name.
    pub secrets: Vec<Secret>,
    /// ARN of the credential for a private registry (AWS only).
    pub repository_credentials: Option<String>,
    /// Files of environment variables (AWS only).
    pub environment_files: Vec<EnvironmentFile>,
    /// Restart inside the task.
    pub restart_policy: Option<RestartPolicy>,
}

/// Environment variables of a container. Derefs to the map; `Debug` shows names only, since values are often secrets.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Environment(pub BTreeMap<String, String>);

impl Deref for Environment {
    type Target = BTreeMap<String, String>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Environment {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(iter: T) -> Self {
        Self(iter.into_iter().collect())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A port that a container listens on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    /// Port inside the container, 1-65535.
    pub container_port: u16,
    /// Port asked for on the host; `None` lets the engine choose.
    pub host_port: Option<u16>,
    /// Transport.
    pub protocol: Protocol,
    /// Name for service discovery.
    pub name: Option<String>,
}

/// Transport of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// The default.
    #[default]
    Tcp,
    /// Datagrams.
    Udp,
}

impl Protocol {
    /// `tcp` or `udp`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a volume is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPoint {
    /// Name of a volume of the task.
    pub source_volume: String,
    /// Absolute path inside the container.
    pub container_path: String,
    /// Whether writing is refused.
    pub read_only: bool,
}

/// Mounts taken over from another container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumesFrom {
    /// Name of a container of the task.
    pub source_container: String,
    /// Whether writing is refused.
    pub read_only: bool,
}

/// One dependency of a container on another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DependsOn {
    /// Name of a container of the task.
    pub container_name: String,
    /// What must be true of it.
    pub condition: DependencyCondition,
}

/// What a dependency waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DependencyCondition {
    /// It has started.
    Start,
    /// It has ended, with whatever code.
    Complete,
    /// It has ended with code 0.
    Success,
    /// Its health check has passed; it has one.
    Healthy,
}

/// A container's health check, with ECS's defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerHealthCheck {
    /// `CMD` with arguments, or `CMD-SHELL` with a command line.
    pub command: Vec<String>,
    /// Seconds between two checks; 5-300, default 30.
    pub interval_s: u32,
    /// Seconds until a check counts as failed; 2-60, default 5.
    pub timeout_s: u32,
    /// Failures in a row that make it unhealthy; 1-10, default 3.
    pub retries: u32,
    /// Seconds in which failures do not count; 0-300, default 0.
    pub start_period_s: u32,
}

/// A resource limit; -1 means unlimited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// `nofile`, `nproc`, ….
    pub name: String,
    /// Soft limit, never above the hard one.
    pub soft: i64,
    /// Hard limit.
    pub hard: i64,
}

/// A line of the container's hosts file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtraHost {
    /// The name.
    pub hostname: String,
    /// Its address.
    pub ip_address: IpAddr,
}

/// A memory file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    /// Absolute path inside the container.
    pub container_path: String,
    /// Its size.
    pub size_mib: u32,
    /// Mount options such as `noexec`.
    pub mount_options: Vec<String>,
}

/// A device of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Path on the host.
    pub host_path: String,
    /// Path in the container; the same as on the host when not written.
    pub container_path: String,
    /// `read`, `write`, `mknod`; empty means all.
    pub permissions: Vec<String>,
}

/// Where a container's output goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogConfiguration {
    /// The driver's name.
    pub log_driver: String,
    /// The driver's options, keys untouched.
    pub options: BTreeMap<String, String>,
    /// Options whose values are secrets.
    pub secret_options: Vec<Secret>,
}

/// A reference to a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// Environment name that it appears under.
    pub name: String,
    /// ARN or name of the secret; not its value.
    pub value_from: String,
}

/// A file of environment variables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentFile {
    /// ARN of the object.
    pub value: String,
    /// Kind of file; ECS knows `s3`.
    pub kind: String,
}

/// Restarting a container inside its task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartPolicy {
    /// Whether it is on.
    pub enabled: bool,
    /// Exit codes that do not restart.
    pub ignored_exit_codes: Vec<i32>,
    /// Seconds that it must run before it may be restarted; ECS's default is 300.
    pub restart_attempt_period_s: u32,
}
