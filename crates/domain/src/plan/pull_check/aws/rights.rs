//! What the role that pulls must be allowed.

use crate::model::image_map::{EcrHost, partition_of};
use crate::port::pull::PullQuestion;

/// One thing that a role must be allowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NeededRight {
    /// `service:Action`.
    pub action: &'static str,
    /// The ARN that it is done to; `*` for an action that knows none.
    pub resource: String,
}

/// What whoever pulls from ECR must be allowed, on `*`.
pub const TOKEN_RIGHT: &str = "ecr:GetAuthorizationToken";

/// What pulling from a repository takes (ECR user guide, "Using Amazon ECR images with Amazon ECS").
pub(super) const PULL_ACTIONS: [&str; 3] = [LAYER_RIGHT, "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"];

/// The one of them that a pull most likely does without: AWS's own policies for pulling leave it out (the managed policy
/// AmazonEC2ContainerRegistryPullOnly; ECR user guide, "Private repository policy examples"). We write it, as AWS's execution role
/// has it, and say so where it is lacking; by itself it is no reason to refuse a start.
pub(super) const LAYER_RIGHT: &str = "ecr:BatchCheckLayerAvailability";

/// What is said where only that is lacking.
pub(super) fn layer_right_lacks(evidence: &str) -> String {
    format!(
        "{evidence}, but for {LAYER_RIGHT}: AWS's own policies for pulling leave it out, so the pull most likely goes through; allow it to be certain"
    )
}

/// What the role that pulls must be allowed for a start: the ECR actions for an image of ECR, the log groups, the secrets
/// (ECS developer guide, "Amazon ECS task execution IAM role"), the files of environment variables ("Pass environment variables to an
/// Amazon ECS container"). In this order, each once. `account` and `region` are the task's.
#[must_use]
pub fn needed_rights(question: &PullQuestion, account: &str, region: &str) -> Vec<NeededRight> {
    let mut all: Vec<NeededRight> = Vec::new();
    let mut need = |action: &'static str, resource: String| {
        let right = NeededRight { action, resource };
        if !all.contains(&right) {
            all.push(right);
        }
    };
    if let Some(host) = question.image.host().and_then(EcrHost::parse) {
        need(TOKEN_RIGHT, "*".to_owned());
        for action in PULL_ACTIONS {
            need(action, host.repository_arn(question.image.path()));
        }
    }
    for group in &question.uses.log_groups {
        let region = group.region.as_deref().unwrap_or(region);
        // Policies name a group with `:*` behind it for all that concerns streams (CloudWatch Logs user guide, "Overview of
        // managing access"); which stream it will be is all the same.
        let stream =
            format!("arn:{}:logs:{region}:{account}:log-group:{}:log-stream:any", partition_of(region), group.name);
        if group.is_made {
            need("logs:CreateLogGroup", stream.clone());
        }
        need("logs:CreateLogStream", stream.clone());
        need("logs:PutLogEvents", stream);
    }
    for from in &question.uses.secrets {
        let (action, resource) = secret(from, account, region);
        need(action, resource);
    }
    match &question.uses.repository_credentials {
        Some(arn) if arn.starts_with("arn:") => {
            let (action, resource) = secret(arn, account, region);
            need(action, resource);
        }
        // Other than elsewhere, a name is that of a secret (API reference, `RepositoryCredentials`).
        Some(name) => {
            let partition = partition_of(region);
            let secret = format!("arn:{partition}:secretsmanager:{region}:{account}:secret:{name}{SOME_SUFFIX}");
            need("secretsmanager:GetSecretValue", secret);
        }
        None => {}
    }
    for file in &question.uses.environment_files {
        // `arn:aws:s3:::bucket/path`.
        if let Some((bucket, _)) = file.split_once('/').filter(|_| file.starts_with("arn:")) {
            need("s3:GetObject", file.clone());
            need("s3:GetBucketLocation", bucket.to_owned());
        }
    }
    all
}

/// Stands for what Secrets Manager puts behind a secret's name, where only that is known.
const SOME_SUFFIX: &str = "-layer0";

/// Whether a role of whose policies none gives a right may have it nevertheless: a bucket's policy gives what its own account's roles
/// lack, and a policy that names one secret may name the one that is meant, of which only a part of the name is known.
pub(super) fn may_be_given_elsewhere(right: &NeededRight) -> bool {
    right.action.starts_with("s3:") || right.resource.ends_with(SOME_SUFFIX)
}

/// A reference to a secret is an ARN of Secrets Manager, behind which a key, a stage and a version may follow, an ARN of a
/// parameter, or a parameter's name in the task's region.
fn secret(from: &str, account: &str, region: &str) -> (&'static str, String) {
    let parts: Vec<&str> = from.split(':').collect();
    match parts[..] {
        ["arn", _, "secretsmanager", _, _, "secret", _, ..] => ("secretsmanager:GetSecretValue", parts[..7].join(":")),
        ["arn", ..] => ("ssm:GetParameters", from.to_owned()),
        _ => {
            let partition = partition_of(region);
            let name = from.trim_start_matches('/');
            ("ssm:GetParameters", format!("arn:{partition}:ssm:{region}:{account}:parameter/{name}"))
        }
    }
}
