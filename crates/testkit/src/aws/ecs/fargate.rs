//! What Fargate asks of a task definition (ECS developer guide, "task definition differences for Fargate" and
//! "troubleshoot invalid CPU or memory").

use serde_json::Value;

use super::super::wire::Input;

/// The memory sizes, in MiB, that a size in CPU units may have: the least, the most and the step. The sizes of 256
/// and of 32768 units have no step and stand beside it.
const SIZES: [(i64, i64, i64, i64); 6] = [
    (512, 1024, 4096, 1024),
    (1024, 2048, 8192, 1024),
    (2048, 4096, 16_384, 1024),
    (4096, 8192, 30_720, 1024),
    (8192, 16_384, 61_440, 4096),
    (16_384, 32_768, 122_880, 8192),
];

/// Whether Fargate has tasks of this size.
fn is_size(cpu: i64, memory_mib: i64) -> bool {
    match cpu {
        256 => return matches!(memory_mib, 512 | 1024 | 2048),
        32_768 => return matches!(memory_mib, 61_440 | 122_880 | 249_856),
        _ => {}
    }
    SIZES.iter().any(|(size, least, most, step)| {
        *size == cpu && (*least..=*most).contains(&memory_mib) && (memory_mib - least) % step == 0
    })
}

/// Whether a definition with a task's overrides still has a size that Fargate has.
pub(super) fn is_size_with(definition: &Value, overrides: &Value) -> bool {
    let size = |key: &str| overrides.text(key).or_else(|| definition.text(key));
    let cpu = size("cpu").and_then(cpu_units);
    cpu.zip(size("memory").and_then(memory_mib)).is_some_and(|(cpu, memory)| is_size(cpu, memory))
}

/// The size of a whole task: `256`, `.25 vCPU`, `0.25 vcpu`.
pub(super) fn cpu_units(text: &str) -> Option<i64> {
    sized(text, "vcpu")
}

/// The memory of a whole task in MiB: `512`, `1 GB`, `0.5GB`.
pub(super) fn memory_mib(text: &str) -> Option<i64> {
    sized(text, "gb")
}

/// A bare number, or one of 1024 times as much with the unit behind it.
fn sized(text: &str, unit: &str) -> Option<i64> {
    let text = text.trim().to_ascii_lowercase();
    match text.strip_suffix(unit) {
        None => text.parse().ok(),
        Some(number) => {
            let value: f64 = number.trim().parse().ok()?;
            let units = value * 1024.0;
            #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
            (units.fract() == 0.0 && (0.0..1e9).contains(&units)).then_some(units as i64)
        }
    }
}

/// Why a definition can't run on Fargate; `None` when it can.
pub(super) fn problem(definition: &Value) -> Option<String> {
    if definition.text("networkMode") != Some("awsvpc") {
        return Some("Fargate only supports network mode ‘awsvpc’.".to_owned());
    }
    let Some(cpu) = definition.text("cpu") else {
        return Some("Fargate requires that 'cpu' be defined at the task level.".to_owned());
    };
    let Some(memory) = definition.text("memory") else {
        return Some("Fargate requires that 'memory' be defined at the task level.".to_owned());
    };
    match (cpu_units(cpu), memory_mib(memory)) {
        (Some(cpu), Some(memory)) if is_size(cpu, memory) => {}
        _ => return Some("No Fargate configuration exists for given values.".to_owned()),
    }
    for key in ["ipcMode", "inferenceAccelerators", "placementConstraints"] {
        let empty = definition.list(key).is_empty() && definition.text(key).is_none();
        if !empty {
            return Some(format!("Fargate compatible task definitions do not support '{key}'."));
        }
    }
    if definition.text("pidMode").is_some_and(|mode| mode != "task") {
        return Some("Fargate compatible task definitions do not support pidMode 'host'.".to_owned());
    }
    for volume in definition.list("volumes") {
        if volume.member("dockerVolumeConfiguration").is_some() {
            return Some("Fargate compatible task definitions do not support docker volumes.".to_owned());
        }
        if volume.member("host").is_some_and(|host| host.text("sourcePath").is_some()) {
            return Some("Fargate compatible task definitions do not support volumes with a 'sourcePath'.".to_owned());
        }
    }
    if let Some(size) = definition.member("ephemeralStorage").and_then(|storage| storage.number("sizeInGiB"))
        && !(21..=200).contains(&size)
    {
        return Some("The ephemeral storage size must be between 21 and 200 GiB.".to_owned());
    }
    let role = definition.text("executionRoleArn").is_some();
    definition.list("containerDefinitions").iter().find_map(|container| container_problem(container, role))
}

/// Why a container can't run on Fargate.
fn container_problem(container: &Value, execution_role: bool) -> Option<String> {
    if container.flag("privileged") {
        return Some("Fargate compatible task definitions do not support privileged containers.".to_owned());
    }
    for key in ["links", "extraHosts", "dnsServers", "dnsSearchDomains", "dockerSecurityOptions"] {
        if !container.list(key).is_empty() {
            return Some(format!("Fargate compatible task definitions do not support '{key}'."));
        }
    }
    if container.flag("disableNetworking") || container.text("hostname").is_some() {
        return Some(
            "Fargate compatible task definitions do not support 'disableNetworking' and 'hostname'.".to_owned(),
        );
    }
    if let Some(linux) = container.member("linuxParameters") {
        for key in ["devices", "tmpfs"] {
            if !linux.list(key).is_empty() {
                return Some(format!("Fargate compatible task definitions do not support '{key}'."));
            }
        }
        let refused = ["sharedMemorySize", "maxSwap", "swappiness"];
        if let Some(key) = refused.into_iter().find(|key| linux.member(key).is_some()) {
            return Some(format!("Fargate compatible task definitions do not support '{key}'."));
        }
        let added = linux.member("capabilities").map(|capabilities| capabilities.texts("add")).unwrap_or_default();
        if added.iter().any(|capability| *capability != "SYS_PTRACE") {
            return Some("Fargate only supports adding the 'SYS_PTRACE' kernel capability.".to_owned());
        }
    }
    let driver = container.member("logConfiguration").and_then(|log| log.text("logDriver"));
    if let Some(driver) = driver.filter(|driver| !matches!(*driver, "awslogs" | "splunk" | "awsfirelens")) {
        return Some(format!("Fargate does not support the log driver {driver}."));
    }
    if execution_role {
        return None;
    }
    if driver == Some("awslogs") {
        let text = "Fargate requires task definition to have execution role ARN to support log driver awslogs.";
        return Some(text.to_owned());
    }
    if container.text("image").is_some_and(is_ecr) {
        return Some("Fargate requires task definition to have execution role ARN to support ECR images.".to_owned());
    }
    let secret = !container.list("secrets").is_empty() || container.member("repositoryCredentials").is_some();
    secret.then(|| "Fargate requires task definition to have execution role ARN to support secrets.".to_owned())
}

/// Whether an image lies in a private ECR registry.
fn is_ecr(image: &str) -> bool {
    let host = image.split('/').next().unwrap_or_default();
    host.contains(".dkr.ecr") && host.contains(".amazonaws.com")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_table() {
        for (cpu, memory) in [(256, 512), (256, 2048), (512, 4096), (4096, 30_720), (8192, 20_480), (16_384, 40_960)] {
            assert!(is_size(cpu, memory), "{cpu}, {memory}");
        }
        for (cpu, memory) in [(300, 512), (256, 1536), (512, 512), (512, 1536), (4096, 31_744), (8192, 17_408)] {
            assert!(!is_size(cpu, memory), "{cpu}, {memory}");
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(cpu_units("256"), Some(256));
        assert_eq!(cpu_units(".25 vCPU"), Some(256));
        assert_eq!(memory_mib("1 GB"), Some(1024));
        assert_eq!(memory_mib("0.5GB"), Some(512));
        assert_eq!(memory_mib("lots"), None);
    }

    #[test]
    fn ecr_is_told_by_its_host() {
        assert!(is_ecr("123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app:1"));
        assert!(!is_ecr("team/dkr.ecr.amazonaws.com"));
    }
}
