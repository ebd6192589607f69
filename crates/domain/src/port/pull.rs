//! What the pull check asks an engine about an image, and what an engine can say. Judged by `plan::pull_check`.

use crate::model::digest::Digest;
use crate::model::id::EnvironmentId;
use crate::model::image::{ImageRef, RepositoryName};
use crate::model::registry::Platform;
use crate::model::task_definition::{ContainerDefinition, TaskDefinition};

pub mod aws;

pub use aws::AwsEvidence;

/// One image that is to be pulled, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullQuestion {
    /// What is to be pulled.
    pub image: ImageRef,
    /// The repository of the instance that it lies in, somewhere where an account grant opens it; `None` for one that lies
    /// elsewhere.
    pub repository: Option<RepositoryName>,
    /// Who answers for it.
    pub registry: AnsweredBy,
    /// Where it is to run; `None` when that is open: then nothing is asked about networks.
    pub environment: Option<EnvironmentId>,
    /// What it is to run on; `None` for what the engine has, or takes when nothing else is said.
    pub platform: Option<Platform>,
    /// The role that the definition names for pulling; `None` for the instance's own.
    pub execution_role: Option<String>,
    /// The role that the definition gives its containers; `None` for none.
    pub task_role: Option<String>,
    /// On whose machines.
    pub launch: Launch,
    /// What a start needs besides the image, with the same role and over the same network.
    pub uses: StartUses,
    /// How old the facts may be.
    pub age: Age,
}

/// How old facts may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Age {
    /// They are looked up for this question.
    #[default]
    Now,
    /// What changes seldom and is no part of an image (roles, policies of the account, networks) may be ten minutes old.
    /// An engine need not make use of it.
    Recent,
}

/// Who answers for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnsweredBy {
    /// A registry of ours: it was asked already, the engine asks no registry.
    Us,
    /// Whoever the reference names: the engine asks it, where it can.
    Registry,
}

/// On whose machines something runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Launch {
    /// Nobody's in particular: Fargate on AWS, the one machine of a local instance.
    #[default]
    Fargate,
    /// The environment's own (EC2 on AWS).
    Ec2,
}

impl Launch {
    /// The launch type of a service or task that is `stateful`, or is not.
    #[must_use]
    pub fn of_stateful(stateful: bool) -> Self {
        if stateful { Launch::Ec2 } else { Launch::Fargate }
    }
}

/// What a start needs besides its images. Means something only on AWS, where the role that pulls gets these too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartUses {
    /// Log groups that are written to.
    pub log_groups: Vec<LogGroup>,
    /// Whether every container says itself where its output goes, so that an engine that gives the others a place for it adds
    /// none. `false` when nothing is known of the containers.
    pub has_own_logs: bool,
    /// References to secrets, as the definition has them (`valueFrom`).
    pub secrets: Vec<String>,
    /// ARNs of the objects that hold environment variables.
    pub environment_files: Vec<String>,
    /// The secret with the credential for the image's own registry.
    pub repository_credentials: Option<String>,
}

/// A log group in CloudWatch Logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogGroup {
    /// Its name.
    pub name: String,
    /// Its region; `None` for the task's.
    pub region: Option<String>,
    /// Whether the start makes it when it is not there (`awslogs-create-group`).
    pub is_made: bool,
}

impl StartUses {
    /// What starting a container of `definition` needs.
    #[must_use]
    pub fn of(definition: &TaskDefinition, container: &ContainerDefinition) -> Self {
        let mut uses = Self {
            repository_credentials: container.repository_credentials.clone(),
            has_own_logs: definition.containers.iter().all(|it| it.log_configuration.is_some()),
            ..Self::default()
        };
        // A task starts as a whole: what any of its containers lacks keeps all from starting.
        for each in &definition.containers {
            uses.add_secrets(each.secrets.iter().map(|it| &it.value_from));
            uses.add_files(each.environment_files.iter().map(|it| &it.value));
            let Some(log) = &each.log_configuration else { continue };
            uses.add_secrets(log.secret_options.iter().map(|it| &it.value_from));
            if log.log_driver != "awslogs" {
                continue;
            }
            let Some(name) = log.options.get("awslogs-group") else { continue };
            uses.add_log_groups([&LogGroup {
                name: name.clone(),
                region: log.options.get("awslogs-region").cloned(),
                is_made: log.options.get("awslogs-create-group").is_some_and(|made| made == "true"),
            }]);
        }
        uses
    }

    /// Both together, each thing once. The credential, and whether logs have a place, stay this one's.
    #[must_use]
    pub fn and(&self, more: &Self) -> Self {
        let mut both = self.clone();
        both.add_log_groups(&more.log_groups);
        both.add_secrets(&more.secrets);
        both.add_files(&more.environment_files);
        both
    }

    fn add_log_groups<'a>(&mut self, more: impl IntoIterator<Item = &'a LogGroup>) {
        for one in more {
            if !self.log_groups.contains(one) {
                self.log_groups.push(one.clone());
            }
        }
    }

    fn add_files<'a>(&mut self, more: impl IntoIterator<Item = &'a String>) {
        for one in more {
            if !self.environment_files.contains(one) {
                self.environment_files.push(one.clone());
            }
        }
    }

    fn add_secrets<'a>(&mut self, more: impl IntoIterator<Item = &'a String>) {
        for one in more {
            if !self.secrets.contains(one) {
                self.secrets.push(one.clone());
            }
        }
    }
}

impl PullQuestion {
    /// The question about an image of which nothing else is known: for whatever the engine takes by default.
    #[must_use]
    pub fn about(image: ImageRef, registry: AnsweredBy) -> Self {
        Self {
            image,
            repository: None,
            registry,
            environment: None,
            platform: None,
            execution_role: None,
            task_role: None,
            launch: Launch::default(),
            uses: StartUses::default(),
            age: Age::default(),
        }
    }
}

/// A fact, or why it is not known: the caller's rights do not allow the look, the other side is throttled, …. What is not
/// known is shown as such; it never counts as good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact<T> {
    /// It is so.
    Known(T),
    /// Not known; a reason in words, such as `access denied to ecr:GetRepositoryPolicy`.
    Unknown(String),
}

impl<T> Fact<T> {
    /// The fact by reference, or the reason.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn get(&self) -> Result<&T, &str> {
        match self {
            Fact::Known(value) => Ok(value),
            Fact::Unknown(why) => Err(why),
        }
    }

    /// The fact, when it is known.
    #[must_use]
    pub fn known(&self) -> Option<&T> {
        self.get().ok()
    }
}

/// Facts about whether an engine will be able to pull an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullEvidence {
    /// What the image will run on: the one that was asked for, where the engine has a choice, else what it has.
    pub platform: Platform,
    /// The image as it lies on the engine already; `None` when it does not.
    pub local: Option<LocalImage>,
    /// What the image's registry told the engine; `None` when it was not asked (a registry of ours, or one of AWS, whose
    /// answer is among [`aws`](Self::aws)).
    pub remote: Option<RemoteImage>,
    /// What an engine found out that pulls with a role and over a network of the user's; `None` for one on this machine.
    pub aws: Option<Box<AwsEvidence>>,
}

/// An image that lies on the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalImage {
    /// The engine's id of it.
    pub id: String,
    /// Its platform.
    pub platform: Platform,
    /// The digests that it was pulled by.
    pub repo_digests: Vec<ImageRef>,
}

/// What a registry told the engine about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteImage {
    /// It can be pulled.
    Found {
        /// The digest behind the reference.
        digest: Digest,
        /// Its platforms, where the registry said.
        platforms: Vec<Platform>,
    },
    /// The registry says that there is none.
    NotFound,
    /// The registry does not let the engine in.
    Denied,
    /// The registry can't be reached.
    Unreachable {
        /// What the engine said.
        message: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::task_definition::{Document, RuntimePlatform};

    /// A task starts as a whole: one container's log group and secrets are the start of the other, each once; a credential is
    /// for one image alone.
    #[test]
    fn a_start_uses_what_all_its_containers_use() {
        let log = |group: &str, more: &str| {
            format!(
                r#""logConfiguration": {{"logDriver": "awslogs", "options": {{"awslogs-group": "{group}"{more}}}}}"#
            )
        };
        let document = format!(
            r#"{{"containerDefinitions": [
                {{"name": "a", "image": "a", {}, "secrets": [{{"name": "S", "valueFrom": "arn:s"}}],
                  "environmentFiles": [{{"value": "arn:aws:s3:::b/x.env", "type": "s3"}}],
                  "repositoryCredentials": {{"credentialsParameter": "arn:hub"}}}},
                {{"name": "b", "image": "b", {}, "secrets": [{{"name": "T", "valueFrom": "arn:s"}}, {{"name": "U", "valueFrom": "/u"}}]}},
                {{"name": "c", "image": "c", "logConfiguration": {{"logDriver": "splunk", "options": {{"awslogs-group": "no"}},
                  "secretOptions": [{{"name": "token", "valueFrom": "arn:splunk"}}]}}}}]}}"#,
            log("g", ""),
            log("h", r#", "awslogs-region": "eu-west-1", "awslogs-create-group": "true""#),
        );
        let silent = document.replace("logConfiguration", "aKeyOfTomorrow");
        let document = Document::parse(document.as_bytes()).expect("legal");
        let definition = document.definition();
        let uses = StartUses::of(definition, &definition.containers[0]);
        let group = |name: &str, region: Option<&str>, is_made: bool| LogGroup {
            name: name.to_owned(),
            region: region.map(str::to_owned),
            is_made,
        };
        assert_eq!(uses.log_groups, [group("g", None, false), group("h", Some("eu-west-1"), true)]);
        assert_eq!(uses.secrets, ["arn:s", "/u", "arn:splunk"]);
        assert_eq!(uses.environment_files, ["arn:aws:s3:::b/x.env"]);
        assert_eq!(uses.repository_credentials.as_deref(), Some("arn:hub"));
        assert_eq!(StartUses::of(definition, &definition.containers[1]).repository_credentials, None);
        assert_eq!(uses.and(&uses), uses);
        assert!(uses.has_own_logs && !StartUses::default().has_own_logs);
        let silent = Document::parse(silent.as_bytes()).expect("legal");
        let silent = silent.definition();
        assert!(!StartUses::of(silent, &silent.containers[0]).has_own_logs);
    }

    #[test]
    fn a_runtime_platform_is_read_as_images_are_named() {
        let of = |architecture: Option<&str>, system: Option<&str>| {
            let platform = RuntimePlatform {
                cpu_architecture: architecture.map(str::to_owned),
                operating_system_family: system.map(str::to_owned),
            };
            platform.platform().to_string()
        };
        assert_eq!(of(None, None), "linux/amd64");
        assert_eq!(of(Some("ARM64"), Some("LINUX")), "linux/arm64");
        assert_eq!(of(Some("X86_64"), Some("WINDOWS_SERVER_2022_CORE")), "windows/amd64");
    }
}
