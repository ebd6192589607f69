//! From the canonical document to the typed form, noting what breaks a rule within one object.
//!
//! Types were checked by [`super::canonical`], which has reported what is wrong; here a value of the wrong type counts as absent.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::canonical::quoted;
use super::problem::{Problems, join};
use super::{DockerVolume, RuntimePlatform, TaskDefinition, Volume, VolumeScope, amount};

mod container;

/// Keys of volumes that only AWS can mount.
const AWS_VOLUMES: [&str; 4] = [
    "efsVolumeConfiguration",
    "s3filesVolumeConfiguration",
    "fsxWindowsFileServerVolumeConfiguration",
    "configuredAtLaunch",
];

/// Reads a whole canonical document.
pub(super) fn task_definition(
    document: &Map<String, Value>,
    not_modelled: Vec<String>,
    problems: &mut Problems,
) -> TaskDefinition {
    let mut at = Reader { object: document, path: String::new(), problems };
    let network_mode = at.choice("networkMode", &["bridge", "host", "awsvpc", "none", "default"]);
    let pid_mode = at.choice("pidMode", &["host", "task"]);
    let ipc_mode = at.choice("ipcMode", &["host", "task", "none"]);
    let requires_compatibilities = at.compatibilities();
    let cpu = document.get("cpu").and_then(|v| amount::cpu_units(v).ok());
    if cpu == Some(0) {
        at.problem("cpu", "must be at least 1 CPU unit; leave it out for no limit");
    }
    let runtime_platform = at.child("runtimePlatform", |mut at| RuntimePlatform {
        cpu_architecture: at.choice("cpuArchitecture", &["X86_64", "ARM64"]),
        operating_system_family: at.text("operatingSystemFamily"),
    });
    let ephemeral_storage_gib = at.child("ephemeralStorage", |mut at| at.number("sizeInGiB", 1, 200)).flatten();
    let volumes = at.children("volumes", volume);
    let in_host_namespace = matches!(network_mode.as_deref(), Some("host" | "awsvpc"));
    let containers = at.children("containerDefinitions", |at| container::container(at, in_host_namespace));
    TaskDefinition {
        family: at.text("family"),
        network_mode,
        task_role_arn: at.text("taskRoleArn"),
        execution_role_arn: at.text("executionRoleArn"),
        cpu,
        memory_mib: document.get("memory").and_then(|v| amount::memory_mib(v).ok()),
        requires_compatibilities,
        runtime_platform,
        pid_mode,
        ipc_mode,
        ephemeral_storage_gib,
        volumes,
        containers,
        not_modelled,
        written: None,
    }
}

fn volume(mut at: Reader<'_>) -> Volume {
    let name = at.name("a volume");
    let host_path = at.child("host", |at| at.text("sourcePath")).flatten();
    let docker = at.child("dockerVolumeConfiguration", |mut at| DockerVolume {
        scope: match at.choice("scope", &["task", "shared"]).as_deref() {
            Some("shared") => VolumeScope::Shared,
            _ => VolumeScope::Task,
        },
        autoprovision: at.flag("autoprovision"),
        driver: at.text("driver"),
        driver_opts: at.text_map("driverOpts"),
        labels: at.text_map("labels"),
    });
    let unsupported = AWS_VOLUMES
        .iter()
        .filter(|key| !matches!(at.object.get(**key), None | Some(Value::Bool(false))))
        .map(|key| (*key).to_owned())
        .collect::<Vec<_>>();
    let kinds = usize::from(host_path.is_some()) + usize::from(docker.is_some()) + unsupported.len();
    if kinds > 1 {
        at.problem_here("is of more than one kind; give it one of host, dockerVolumeConfiguration and the others");
    }
    Volume { name, host_path, docker, unsupported }
}

/// One object of the document with the path to it.
pub(super) struct Reader<'a> {
    object: &'a Map<String, Value>,
    path: String,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    fn problem(&mut self, key: &str, message: impl Into<String>) {
        self.problems.add(join(&self.path, key), message);
    }

    fn problem_here(&mut self, message: impl Into<String>) {
        self.problems.add(self.path.clone(), message);
    }

    /// A string; an empty one counts as absent.
    fn text(&self, key: &str) -> Option<String> {
        self.object.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// A string that must be there.
    fn needed(&mut self, key: &str) -> String {
        match self.object.get(key) {
            Some(Value::String(text)) if !text.is_empty() => text.clone(),
            Some(Value::String(_)) => {
                self.problem(key, "is empty");
                String::new()
            }
            // The wrong type has been reported.
            Some(_) => String::new(),
            None => {
                self.problem(key, "is missing");
                String::new()
            }
        }
    }

    /// The name of a container or volume: up to 255 letters, digits, hyphens and underscores.
    fn name(&mut self, what: &str) -> String {
        let name = self.needed("name");
        let legal = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if !legal || name.len() > 255 {
            self.problem(
                "name",
                format!(
                    "{} is not a legal name for {what}: up to 255 letters, digits, hyphens and underscores are",
                    quoted(&name)
                ),
            );
        }
        name
    }

    /// One of a few words, in any case; comes back in the spelling of `legal`.
    fn choice(&mut self, key: &str, legal: &[&str]) -> Option<String> {
        let text = self.text(key)?;
        let found = legal.iter().find(|word| word.eq_ignore_ascii_case(&text));
        if found.is_none() {
            self.problem(key, format!("{} is not known; one of {} is", quoted(&text), legal.join(", ")));
        }
        found.map(|word| (*word).to_owned())
    }

    fn flag(&self, key: &str) -> bool {
        self.flag_or(key, false)
    }

    fn flag_or(&self, key: &str, default: bool) -> bool {
        self.object.get(key).and_then(Value::as_bool).unwrap_or(default)
    }

    fn int(&self, key: &str) -> Option<i64> {
        self.object.get(key).and_then(Value::as_i64)
    }

    /// A whole number within a range.
    fn number(&mut self, key: &str, least: u32, most: u32) -> Option<u32> {
        let number = self.int(key)?;
        match u32::try_from(number) {
            Ok(number) if (least..=most).contains(&number) => Some(number),
            _ => {
                self.problem(key, format!("must be from {least} to {most}, not {number}"));
                None
            }
        }
    }

    fn texts(&self, key: &str) -> Vec<String> {
        self.object
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    }

    fn text_map(&self, key: &str) -> BTreeMap<String, String> {
        self.object
            .get(key)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect()
    }

    /// Reads the object behind `key`, when there is one.
    fn child<T>(&mut self, key: &str, read: impl FnOnce(Reader<'_>) -> T) -> Option<T> {
        let object = self.object.get(key)?.as_object()?;
        Some(read(Reader { object, path: join(&self.path, key), problems: self.problems }))
    }

    /// Reads every object of the list behind `key`.
    fn children<T>(&mut self, key: &str, mut read: impl FnMut(Reader<'_>) -> T) -> Vec<T> {
        let path = join(&self.path, key);
        self.object
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .enumerate()
            .filter_map(|(index, item)| {
                Some(read(Reader {
                    object: item.as_object()?,
                    path: format!("{path}[{index}]"),
                    problems: self.problems,
                }))
            })
            .collect()
    }

    fn compatibilities(&mut self) -> Vec<String> {
        const LEGAL: [&str; 4] = ["EC2", "FARGATE", "EXTERNAL", "MANAGED_INSTANCES"];
        let mut named = Vec::new();
        for (index, text) in self.texts("requiresCompatibilities").iter().enumerate() {
            let upper = text.to_ascii_uppercase();
            if !LEGAL.contains(&upper.as_str()) {
                self.problem_here_at(
                    &format!("requiresCompatibilities[{index}]"),
                    format!("{} is not known; one of {} is", quoted(text), LEGAL.join(", ")),
                );
            } else if !named.contains(&upper) {
                named.push(upper);
            }
        }
        named
    }

    /// Notes a problem at a path below this object that is no plain key.
    fn problem_here_at(&mut self, below: &str, message: String) {
        let path = if self.path.is_empty() { below.to_owned() } else { format!("{}.{below}", self.path) };
        self.problems.add(path, message);
    }
}
