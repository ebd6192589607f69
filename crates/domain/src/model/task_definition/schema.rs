//! The keys that ECS knows, in its spelling, with their types: one table that canonicalises, checks types and prints the read form.
//!
//! Source: the shapes `RegisterTaskDefinitionRequest` and `TaskDefinition` of the ECS API, version 2014-11-13.

/// What stands behind a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A string.
    Text,
    /// A whole number.
    Int,
    /// `true` or `false`.
    Flag,
    /// A list of strings.
    TextList,
    /// A list of whole numbers.
    IntList,
    /// A map of strings whose keys are the user's own and are never touched.
    TextMap,
    /// An object with known keys.
    Object(&'static [Field]),
    /// A list of objects with known keys.
    List(&'static [Field]),
    /// CPU of the task: a number or a string in the document, a string in the canonical form.
    TaskCpu,
    /// Memory of the task: a number or a string in the document, a string in the canonical form.
    TaskMemory,
    /// CPU of a container: a number or a string in the document, a number in the canonical form.
    ContainerCpu,
    /// Memory of a container: a number or a string in the document, a number in the canonical form.
    ContainerMemory,
    /// Kept as it is: only AWS writes it.
    Any,
}

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// The typed form carries it.
    Typed,
    /// Only the document carries it: engines are told that it was set.
    Other,
    /// AWS writes it when it describes a registered definition; it means nothing when one is made.
    Output,
}

/// One known key of an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// ECS's camelCase spelling.
    pub(super) name: &'static str,
    /// What stands behind it.
    pub(super) kind: Kind,
    /// What becomes of it.
    pub(super) used: Use,
}

/// The field of that name, in any case.
pub(super) fn find(fields: &'static [Field], key: &str) -> Option<&'static Field> {
    fields.iter().find(|field| field.name.eq_ignore_ascii_case(key))
}

/// Keys that belong to the document's container format, not to ECS; kept, ignored, not warned about.
pub(super) fn is_ignored(key: &str) -> bool {
    key.eq_ignore_ascii_case("AWSEBDockerrunVersion") || key == "$schema"
}

const fn typed(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, used: Use::Typed }
}

const fn other(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, used: Use::Other }
}

const fn output(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, used: Use::Output }
}

use Kind::{
    Any, ContainerCpu, ContainerMemory, Flag, Int, IntList, List, Object, TaskCpu, TaskMemory, Text, TextList, TextMap,
};

/// The document itself.
pub(super) const TASK: &[Field] = &[
    output("taskDefinitionArn", Text),
    typed("containerDefinitions", List(CONTAINER)),
    typed("family", Text),
    typed("taskRoleArn", Text),
    typed("executionRoleArn", Text),
    typed("networkMode", Text),
    output("revision", Int),
    typed("volumes", List(VOLUME)),
    output("status", Text),
    output("requiresAttributes", List(ATTRIBUTE)),
    other("placementConstraints", List(PLACEMENT_CONSTRAINT)),
    output("compatibilities", TextList),
    typed("runtimePlatform", Object(RUNTIME_PLATFORM)),
    typed("requiresCompatibilities", TextList),
    typed("cpu", TaskCpu),
    typed("memory", TaskMemory),
    other("inferenceAccelerators", List(INFERENCE_ACCELERATOR)),
    typed("pidMode", Text),
    typed("ipcMode", Text),
    other("proxyConfiguration", Object(PROXY)),
    output("registeredAt", Any),
    output("deregisteredAt", Any),
    output("deleteRequestedAt", Any),
    output("registeredBy", Text),
    typed("ephemeralStorage", Object(EPHEMERAL_STORAGE)),
    other("enableFaultInjection", Flag),
    other("tags", List(AWS_TAG)),
];

const CONTAINER: &[Field] = &[
    typed("name", Text),
    typed("image", Text),
    typed("repositoryCredentials", Object(REPOSITORY_CREDENTIALS)),
    typed("cpu", ContainerCpu),
    typed("memory", ContainerMemory),
    typed("memoryReservation", ContainerMemory),
    typed("links", TextList),
    typed("portMappings", List(PORT_MAPPING)),
    typed("essential", Flag),
    typed("restartPolicy", Object(RESTART_POLICY)),
    typed("entryPoint", TextList),
    typed("command", TextList),
    typed("environment", List(NAME_VALUE)),
    typed("environmentFiles", List(ENVIRONMENT_FILE)),
    typed("mountPoints", List(MOUNT_POINT)),
    typed("volumesFrom", List(VOLUMES_FROM)),
    typed("linuxParameters", Object(LINUX_PARAMETERS)),
    typed("secrets", List(SECRET)),
    typed("dependsOn", List(DEPENDS_ON)),
    typed("startTimeout", Int),
    typed("stopTimeout", Int),
    other("versionConsistency", Text),
    typed("hostname", Text),
    typed("user", Text),
    typed("workingDirectory", Text),
    typed("disableNetworking", Flag),
    typed("privileged", Flag),
    typed("readonlyRootFilesystem", Flag),
    typed("dnsServers", TextList),
    typed("dnsSearchDomains", TextList),
    typed("extraHosts", List(EXTRA_HOST)),
    typed("dockerSecurityOptions", TextList),
    typed("interactive", Flag),
    typed("pseudoTerminal", Flag),
    typed("dockerLabels", TextMap),
    typed("ulimits", List(ULIMIT)),
    typed("logConfiguration", Object(LOG_CONFIGURATION)),
    typed("healthCheck", Object(HEALTH_CHECK)),
    typed("systemControls", List(SYSTEM_CONTROL)),
    other("resourceRequirements", List(RESOURCE_REQUIREMENT)),
    other("firelensConfiguration", Object(FIRELENS)),
    other("credentialSpecs", TextList),
];

const REPOSITORY_CREDENTIALS: &[Field] = &[typed("credentialsParameter", Text)];

const PORT_MAPPING: &[Field] = &[
    typed("containerPort", Int),
    typed("hostPort", Int),
    typed("protocol", Text),
    typed("name", Text),
    other("appProtocol", Text),
    typed("containerPortRange", Text),
    output("hostPortRange", Text),
];

const RESTART_POLICY: &[Field] =
    &[typed("enabled", Flag), typed("ignoredExitCodes", IntList), typed("restartAttemptPeriod", Int)];

const NAME_VALUE: &[Field] = &[typed("name", Text), typed("value", Text)];

const ENVIRONMENT_FILE: &[Field] = &[typed("value", Text), typed("type", Text)];

const MOUNT_POINT: &[Field] = &[typed("sourceVolume", Text), typed("containerPath", Text), typed("readOnly", Flag)];

const VOLUMES_FROM: &[Field] = &[typed("sourceContainer", Text), typed("readOnly", Flag)];

const LINUX_PARAMETERS: &[Field] = &[
    typed("capabilities", Object(CAPABILITIES)),
    typed("devices", List(DEVICE)),
    typed("initProcessEnabled", Flag),
    typed("sharedMemorySize", Int),
    typed("tmpfs", List(TMPFS)),
    other("maxSwap", Int),
    other("swappiness", Int),
];

const CAPABILITIES: &[Field] = &[typed("add", TextList), typed("drop", TextList)];

const DEVICE: &[Field] = &[typed("hostPath", Text), typed("containerPath", Text), typed("permissions", TextList)];

const TMPFS: &[Field] = &[typed("containerPath", Text), typed("size", Int), typed("mountOptions", TextList)];

const SECRET: &[Field] = &[typed("name", Text), typed("valueFrom", Text)];

const DEPENDS_ON: &[Field] = &[typed("containerName", Text), typed("condition", Text)];

const EXTRA_HOST: &[Field] = &[typed("hostname", Text), typed("ipAddress", Text)];

const ULIMIT: &[Field] = &[typed("name", Text), typed("softLimit", Int), typed("hardLimit", Int)];

const LOG_CONFIGURATION: &[Field] =
    &[typed("logDriver", Text), typed("options", TextMap), typed("secretOptions", List(SECRET))];

const HEALTH_CHECK: &[Field] = &[
    typed("command", TextList),
    typed("interval", Int),
    typed("timeout", Int),
    typed("retries", Int),
    typed("startPeriod", Int),
];

const SYSTEM_CONTROL: &[Field] = &[typed("namespace", Text), typed("value", Text)];

const RESOURCE_REQUIREMENT: &[Field] = &[other("value", Text), other("type", Text)];

const FIRELENS: &[Field] = &[other("type", Text), other("options", TextMap)];

const VOLUME: &[Field] = &[
    typed("name", Text),
    typed("host", Object(HOST_VOLUME)),
    typed("dockerVolumeConfiguration", Object(DOCKER_VOLUME)),
    typed("efsVolumeConfiguration", Object(EFS_VOLUME)),
    typed("s3filesVolumeConfiguration", Object(S3_FILES_VOLUME)),
    typed("fsxWindowsFileServerVolumeConfiguration", Object(FSX_VOLUME)),
    typed("configuredAtLaunch", Flag),
];

const HOST_VOLUME: &[Field] = &[typed("sourcePath", Text)];

const DOCKER_VOLUME: &[Field] = &[
    typed("scope", Text),
    typed("autoprovision", Flag),
    typed("driver", Text),
    typed("driverOpts", TextMap),
    typed("labels", TextMap),
];

const EFS_VOLUME: &[Field] = &[
    typed("fileSystemId", Text),
    typed("rootDirectory", Text),
    typed("transitEncryption", Text),
    typed("transitEncryptionPort", Int),
    typed("authorizationConfig", Object(EFS_AUTHORIZATION)),
];

const EFS_AUTHORIZATION: &[Field] = &[typed("accessPointId", Text), typed("iam", Text)];

const S3_FILES_VOLUME: &[Field] = &[
    typed("fileSystemArn", Text),
    typed("rootDirectory", Text),
    typed("transitEncryptionPort", Int),
    typed("accessPointArn", Text),
];

const FSX_VOLUME: &[Field] = &[
    typed("fileSystemId", Text),
    typed("rootDirectory", Text),
    typed("authorizationConfig", Object(FSX_AUTHORIZATION)),
];

const FSX_AUTHORIZATION: &[Field] = &[typed("credentialsParameter", Text), typed("domain", Text)];

const ATTRIBUTE: &[Field] =
    &[output("name", Text), output("value", Text), output("targetType", Text), output("targetId", Text)];

const PLACEMENT_CONSTRAINT: &[Field] = &[other("type", Text), other("expression", Text)];

const RUNTIME_PLATFORM: &[Field] = &[typed("cpuArchitecture", Text), typed("operatingSystemFamily", Text)];

const INFERENCE_ACCELERATOR: &[Field] = &[other("deviceName", Text), other("deviceType", Text)];

const PROXY: &[Field] = &[other("type", Text), other("containerName", Text), other("properties", List(NAME_VALUE))];

const EPHEMERAL_STORAGE: &[Field] = &[typed("sizeInGiB", Int)];

const AWS_TAG: &[Field] = &[other("key", Text), other("value", Text)];
