//! Which words mean what.
//!
//! Rows are tried in order and the first that fits counts, since texts overlap: `pull access denied …, repository does not
//! exist or may require 'docker login'` is both, and is a denial; a mount that times out is no registry that does.

use super::StoppedContainer;
use crate::model::failure::{Failure, FailureClass};

/// What a text means.
pub(super) struct Found {
    class: FailureClass,
    message: String,
    hint: String,
}

impl Found {
    /// The failure, with ECS's own words behind ours.
    pub(super) fn failure(&self, said: &str) -> Failure {
        let mut failure = Failure::new(self.class, format!("{}{said}", self.message));
        failure.hint = Some(self.hint.clone());
        failure
    }
}

/// A row of the table.
struct Row {
    /// Alternatives, each a list of words that must all occur, in lower case.
    any: &'static [&'static [&'static str]],
    /// One of these must occur too; empty for a row without such a condition.
    only: &'static [&'static str],
    class: FailureClass,
    /// `{image}`, `{container}`, `{service}` and `{right}` stand for what the text is about.
    message: &'static str,
    hint: &'static str,
}

impl Row {
    fn fits(&self, lower: &str) -> bool {
        self.any.iter().any(|all| all.iter().all(|word| lower.contains(word)))
            && (self.only.is_empty() || self.only.iter().any(|word| lower.contains(word)))
    }
}

/// Words that mean that there is no way.
const NO_WAY: &[&[&str]] = &[
    &["i/o timeout"],
    &["connection issue between the task and"],
    &["request canceled while waiting for connection"],
    &["client.timeout exceeded"],
    &["context deadline exceeded"],
    &["request context canceled"],
    &["send request failed"],
    &["tls handshake timeout"],
    &["no such host"],
    &["no route to host"],
    &["network is unreachable"],
    &["connection refused"],
    &["connection reset by peer"],
    &["dial tcp"],
    &["cannotpullcontainererror: context canceled"],
];

const ROWS: &[Row] = &[
    Row {
        any: &[&["outofmemoryerror"], &["oom-killed"], &["container killed due to memory usage"]],
        only: &[],
        class: FailureClass::Exited,
        message: "container `{container}` used more memory than it may and was killed",
        hint: "raise its `memory` (and the task's), or let it use less",
    },
    Row {
        any: &[&["efs utils"], &["efs volumes"], &["mount.nfs4"]],
        only: &[],
        class: FailureClass::CannotStart,
        message: "an EFS volume can't be mounted",
        hint: "check that the file system has a mount target in each of the environment's subnets, that its security group lets port 2049 in from the tasks', that the VPC resolves names, and that the directory or access point exists",
    },
    Row {
        any: &[&["pull rate limit"], &["toomanyrequests"], &["too many requests"]],
        only: &[],
        class: FailureClass::Throttled,
        message: "the registry of {image} lets no more pulls through for now",
        hint: "copy the image to a repository of your own and map its name (`l0 map add`), or name `repositoryCredentials` of a paid account",
    },
    Row {
        any: &[&["no space left on device"]],
        only: &[],
        class: FailureClass::NoCapacity,
        message: "there is no room on the disk for {image}",
        hint: "raise `ephemeralStorage.sizeInGiB` (21 to 200) of the definition, give the environment's machines larger disks, or make the image smaller",
    },
    Row {
        any: &[
            &["does not contain descriptor matching platform"],
            &["no matching manifest for"],
            &["no match for platform in manifest"],
            &["does not match the specified platform"],
            &["image operating system", "cannot be used on this platform"],
            &["exec format error"],
        ],
        only: &[],
        class: FailureClass::WrongArchitecture,
        message: "{image} has no variant for what the task runs on",
        hint: "build and push it for that platform (`docker buildx build --platform linux/amd64,linux/arm64 --push …`), or set the definition's `runtimePlatform` to what the image has",
    },
    Row {
        any: &[
            &["invalid reference format"],
            &["failed to parse", "reference"],
            &["repository name must be lowercase"],
        ],
        only: &[],
        class: FailureClass::ImageNotFound,
        message: "{image} has no legal name",
        hint: "correct the image in the definition; `l0 image resolve IMAGE` shows what a name becomes",
    },
    Row {
        any: &[
            &["log group does not exist"],
            &["cannot find the amazon cloudwatch log group", "does not exist"],
            &["failed to create cloudwatch log stream", "resourcenotfoundexception"],
        ],
        only: &[],
        class: FailureClass::CannotStart,
        message: "the log group that the definition names does not exist",
        hint: "make it (`aws logs create-log-group --log-group-name …`), or set the log option `awslogs-create-group` to `true` and give the execution role logs:CreateLogGroup",
    },
    Row {
        any: &[
            &["can't find the specified secret"],
            &["can't find a resource for which the name or arn contains"],
            &["secret", "resourcenotfoundexception"],
            &["parameternotfound"],
            &["invalid ssm parameters"],
            &["invalid parameters:", "ssm"],
            &["did not contain json key"],
            &["retrieved secret", "json key"],
        ],
        only: &[],
        class: FailureClass::CannotStart,
        message: "a secret or parameter that the definition names is not there",
        hint: "correct `valueFrom` of the definition's `secrets` (name or ARN, region, JSON key), or make the secret",
    },
    Row {
        any: &[&["unable to assume the role"], &["unable to assume role"], &["is unable to assume"]],
        only: &[],
        class: FailureClass::PullDenied,
        message: "ECS may not act as the execution role, or as the task's role",
        hint: "let the role's trust policy allow sts:AssumeRole to ecs-tasks.amazonaws.com; `l0 image check IMAGE --environment ENVIRONMENT` shows it for the execution role",
    },
    Row {
        any: &[
            &["not authorized to perform", "secretsmanager:"],
            &["not authorized to perform", "ssm:"],
            &["not authorized to perform", "kms:"],
            &["accessdenied", "from asm"],
            &["accessdenied", "from ssm"],
        ],
        only: &[],
        class: FailureClass::CannotStart,
        message: "the execution role may not read a secret that the definition names: {right}",
        hint: "allow the role that action on that secret; a secret with a key of its own needs kms:Decrypt on the key too",
    },
    Row {
        any: &[&["not authorized to perform", "logs:"], &["accessdenied", "cloudwatch log"]],
        only: &[],
        class: FailureClass::CannotStart,
        message: "the execution role may not write to the log group: {right}",
        hint: "attach AmazonECSTaskExecutionRolePolicy to the execution role; making a group needs logs:CreateLogGroup too",
    },
    Row {
        any: &[
            &["no basic auth credentials"],
            &["pull access denied"],
            &["403 forbidden"],
            &["unexpected status code", "403"],
            &["status code: 403"],
            &["not authorized to perform", "ecr:"],
            &["accessdenied", "ecr"],
            &["unauthorized:"],
            &["requested access to the resource is denied"],
            &["may require 'docker login'"],
            &["cannotpull", "denied: "],
            &["cannotpullecrcontainererror", "accessdenied"],
            &["check that the role has the permissions"],
            &["401 unauthorized"],
        ],
        only: &[],
        class: FailureClass::PullDenied,
        message: "the registry does not let the task pull {image}{right}",
        hint: "`l0 image check IMAGE --environment ENVIRONMENT` shows whether the execution role or the repository's policy is missing something, and the statement to add",
    },
    Row {
        any: &[
            &["manifest unknown"],
            &["name unknown"],
            &["repositorynotfoundexception"],
            &["imagenotfoundexception"],
            &["repository", "does not exist in the registry"],
            &["api error (404)", "repository"],
            &["cannotpullcontainererror", "not found"],
            &["failed to resolve ref", "not found"],
            &["manifest for", "not found"],
            &["requested image not found"],
        ],
        only: &[],
        class: FailureClass::ImageNotFound,
        message: "{image} does not exist in its registry",
        hint: "push it, or correct its name or tag; a tag that was moved or deleted since the deployment began needs a new deployment",
    },
    Row {
        any: NO_WAY,
        only: &["cannotpull", "resourceinitializationerror", "registry auth"],
        class: FailureClass::NoRoute,
        message: "the task has no way to {service}",
        hint: "`l0 image check IMAGE --environment ENVIRONMENT` shows what is missing for each subnet: a NAT gateway, a public address, an endpoint, or a rule of a security group",
    },
    Row {
        any: &[
            &["failed elb health checks"],
            &["is unhealthy in target-group"],
            &["is unhealthy in (target-group"],
            &["failed elastic load balancing"],
        ],
        only: &[],
        class: FailureClass::Unhealthy,
        message: "the load balancer's health check did not pass",
        hint: "check that the container listens on the load balancer's container port at 0.0.0.0, answers the health check's path with the expected code in time, and needs no longer to start than the check waits",
    },
    Row {
        any: &[&["failed container health checks"]],
        only: &[],
        class: FailureClass::Unhealthy,
        message: "the health check of container `{container}` did not pass",
        hint: "run the definition's `healthCheck.command` in the image by hand; the program that it calls must be in the image, and `startPeriod` long enough",
    },
    Row {
        any: &[
            &["resource:eni"],
            &["insufficientfreeaddresses"],
            &["not enough free addresses"],
            &["no free addresses"],
        ],
        only: &[],
        class: FailureClass::NoCapacity,
        message: "there is no free network interface or address for the task",
        hint: "use larger subnets or more of them; on machines of the environment's own, more or larger machines have more interfaces",
    },
    Row {
        any: &[&["timeout waiting for network interface"], &["timeout waiting for eni"]],
        only: &[],
        class: FailureClass::Timeout,
        message: "AWS did not make the task's network interface in time",
        hint: "nothing: ECS tries again; if it lasts, look at the AWS Health dashboard of the region",
    },
    Row {
        any: &[
            &["capacity is unavailable at this time"],
            &["capacity is unavailable"],
            &["insufficient capacity"],
            &["resource:fargate"],
            &["resource:capacity"],
        ],
        only: &[],
        class: FailureClass::NoCapacity,
        message: "AWS has no Fargate capacity for this size in these zones at the moment",
        hint: "wait, use subnets in more zones, a smaller size, or not Spot",
    },
    Row {
        any: &[
            &["limit on the number of vcpus"],
            &["limit on the number of tasks"],
            &["reached the limit"],
            &["vcpu limit exceeded"],
        ],
        only: &[],
        class: FailureClass::NoCapacity,
        message: "the account's quota for running tasks is used up",
        hint: "raise the Fargate vCPU quota in Service Quotas, or stop what is not needed",
    },
    Row {
        any: &[
            &["resource:memory"],
            &["resource:cpu"],
            &["insufficient memory"],
            &["insufficient cpu"],
            &["resource:gpu"],
            &["resource:ports"],
            &["port is already in use"],
        ],
        only: &[],
        class: FailureClass::NoCapacity,
        message: "no machine of the environment has enough free memory, CPU or ports for the task",
        hint: "raise the environment's `--scale`, take a larger machine type, or lower the definition's `cpu` and `memory`",
    },
    Row {
        any: &[
            &["no container instances were found"],
            &["empty capacity provider"],
            &["no container instance met all"],
            &["unable to place a task"],
        ],
        only: &[],
        class: FailureClass::NoCapacity,
        message: "the environment has no machine for the task",
        hint: "give it machines (`l0 environment create --scale N`, or a change of the scale), or run without `--stateful`",
    },
    Row {
        any: &[&["missing an attribute"], &["missing required attribute"]],
        only: &[],
        class: FailureClass::NoCapacity,
        message: "no machine of the environment can do what the definition asks for",
        hint: "see which attribute ECS names: the network mode, a log driver, an architecture or a newer agent",
    },
    Row {
        any: &[&["host ec2", "terminated"], &["host ec2", "stopped"], &["container instance deregistration forced"]],
        only: &[],
        class: FailureClass::NoCapacity,
        message: "the machine that it ran on went away",
        hint: "nothing for a service: another copy is started; run the task again",
    },
    Row {
        any: &[&["executable file not found"], &["no such file or directory"], &["is a directory: unknown"]],
        only: &[],
        class: FailureClass::CannotStart,
        message: "container `{container}` can't be started: its command is not in the image",
        hint: "correct `command`, `entryPoint` and `workingDirectory`; a volume that is mounted over the program's directory hides it",
    },
    Row {
        any: &[&["permission denied"]],
        only: &[],
        class: FailureClass::CannotStart,
        message: "container `{container}` can't be started: its command may not be executed",
        hint: "make the file executable in the image, or correct `user` and `command`",
    },
    Row {
        any: &[&["dockertimeouterror"], &["timed out after waiting"], &["could not transition to"]],
        only: &[],
        class: FailureClass::Timeout,
        message: "container `{container}` did not start in time",
        hint: "look at the machine's load and disk; on Fargate ECS tries again by itself",
    },
    Row {
        any: &[
            &["cannotstartcontainererror"],
            &["cannotcreatecontainererror"],
            &["containerruntimeerror"],
            &["containerruntimetimeouterror"],
        ],
        only: &[],
        class: FailureClass::CannotStart,
        message: "container `{container}` can't be started",
        hint: "correct the definition's command, user, mounts or limits, create the deploy again and update the service",
    },
    Row {
        any: &[&["cannotpullcontainererror"], &["cannotpullecrcontainererror"]],
        only: &[],
        class: FailureClass::PullDenied,
        message: "{image} can't be pulled",
        hint: "`l0 image check IMAGE --environment ENVIRONMENT` shows what a pull needs and lacks",
    },
    Row {
        any: &[&["resourceinitializationerror"]],
        only: &[],
        class: FailureClass::CannotStart,
        message: "what the task needs could not be made ready",
        hint: "`l0 image check IMAGE --environment ENVIRONMENT` shows whether role and network are as they must be",
    },
];

/// What a text means; `None` when it tells nothing.
pub(super) fn find(text: &str, container: Option<&StoppedContainer<'_>>) -> Option<Found> {
    let lower = text.to_ascii_lowercase().replace('’', "'");
    let row = ROWS.iter().find(|row| row.fits(&lower))?;
    let image = container.map_or_else(|| "the task's image".to_owned(), |it| format!("image `{}`", it.image));
    let right = right(text);
    let right = match (right.is_empty(), row.message.ends_with(": {right}")) {
        (true, true) => "access is denied".to_owned(),
        (false, false) => format!(": {right}"),
        _ => right,
    };
    let message = row
        .message
        .replace("{image}", &image)
        .replace("{container}", container.map_or("?", |it| it.name))
        .replace("{service}", service(&lower))
        .replace("{right}", &right);
    Some(Found {
        class: row.class,
        message: message.replace("container `?`", "a container"),
        hint: row.hint.to_owned(),
    })
}

/// `may not do X on Y`, out of IAM's words.
fn right(text: &str) -> String {
    let Some((_, behind)) = text.split_once("not authorized to perform: ") else {
        return String::new();
    };
    let mut words = behind.split_whitespace();
    let action = words.next().unwrap_or_default().trim_end_matches([',', '.']);
    let resource = behind.split_once("on resource: ").and_then(|(_, rest)| rest.split_whitespace().next());
    match resource {
        Some(resource) => format!("it may not do {action} on {}", resource.trim_end_matches([',', '.'])),
        None => format!("it may not do {action}"),
    }
}

/// What could not be reached.
fn service(lower: &str) -> &'static str {
    let any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if any(&["asm", "secretsmanager", "secrets manager"]) {
        "Secrets Manager"
    } else if any(&["ssm", "parameter store"]) {
        "Systems Manager"
    } else if any(&["logger args", "cloudwatch", "log stream", "logs."]) {
        "CloudWatch Logs"
    } else if any(&[".s3.", "starport", "s3."]) {
        "S3, where ECR keeps its layers"
    } else if any(&[".ecr.", "amazon ecr", "registry auth"]) {
        "ECR"
    } else {
        "the image's registry"
    }
}
