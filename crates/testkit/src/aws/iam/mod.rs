//! IAM and STS: roles with their policies as data, and a simulation that evaluates them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::wire::request::SESSION_KEY;
use super::wire::time::iso;
use super::wire::{AwsError, Input, Service};
use super::world::{World, unknown_operation};

pub(crate) mod simulate;

/// What IAM holds.
#[derive(Debug, Default)]
pub(crate) struct Iam {
    /// By name.
    pub(crate) roles: BTreeMap<String, Role>,
    /// Managed policies by ARN.
    pub(crate) policies: BTreeMap<String, Value>,
    /// Roles of other accounts that may be assumed, by ARN: the external id that each wants.
    pub(crate) elsewhere: BTreeMap<String, Option<String>>,
    /// Instance profiles by name: the roles.
    pub(crate) profiles: BTreeMap<String, Vec<String>>,
}

/// A role.
#[derive(Debug, Clone)]
pub struct Role {
    /// Who may assume it.
    pub trust: Value,
    /// Its inline policies by name.
    pub inline: BTreeMap<String, Value>,
    /// The ARNs of the policies attached to it.
    pub attached: Vec<String>,
    /// Its permissions boundary, by ARN.
    pub boundary: Option<String>,
}

/// What execution roles of tasks may do as a rule (`AmazonECSTaskExecutionRolePolicy`).
pub const EXECUTION: [&str; 6] = [
    "ecr:GetAuthorizationToken",
    "ecr:BatchCheckLayerAvailability",
    "ecr:GetDownloadUrlForLayer",
    "ecr:BatchGetImage",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
];

impl Role {
    /// A role that ECS tasks may assume, with one inline policy that allows these actions on everything.
    #[must_use]
    pub fn for_tasks(actions: &[&str]) -> Self {
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}],
        });
        Self {
            trust: json!({
                "Version": "2012-10-17",
                "Statement": [{
                    "Effect": "Allow",
                    "Principal": {"Service": "ecs-tasks.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                }],
            }),
            inline: BTreeMap::from([("allow".to_owned(), policy)]),
            attached: Vec::new(),
            boundary: None,
        }
    }
}

/// Answers an operation of IAM.
pub(crate) fn answer(world: &mut World, operation: &str, input: &Value) -> Result<Value, AwsError> {
    match operation {
        "GetRole" => {
            let (name, role) = role_of(world, input)?;
            Ok(json!({"Role": role_value(world, name, role)}))
        }
        "ListAttachedRolePolicies" => {
            let (_, role) = role_of(world, input)?;
            let value = |arn: &String| json!({"PolicyName": arn.rsplit('/').next(), "PolicyArn": arn});
            let attached: Vec<Value> = role.attached.iter().map(value).collect();
            Ok(json!({"AttachedPolicies": attached, "IsTruncated": false}))
        }
        "ListRolePolicies" => {
            let (_, role) = role_of(world, input)?;
            Ok(json!({"PolicyNames": role.inline.keys().collect::<Vec<_>>(), "IsTruncated": false}))
        }
        "GetRolePolicy" => {
            let (role_name, role) = role_of(world, input)?;
            let name = input.required("PolicyName", "ValidationError")?;
            let document = role
                .inline
                .get(name)
                .ok_or_else(|| no_entity(format!("The role policy with name {name} cannot be found.")))?;
            Ok(json!({"RoleName": role_name, "PolicyName": name, "PolicyDocument": document_text(document)}))
        }
        "GetPolicy" => {
            let (arn, _) = policy_of(world, input)?;
            Ok(json!({"Policy": {
                "PolicyName": arn.rsplit('/').next(),
                "PolicyId": "ANPAFAKE",
                "Arn": arn,
                "Path": "/",
                "DefaultVersionId": "v1",
                "AttachmentCount": 1,
                "IsAttachable": true,
            }}))
        }
        "GetPolicyVersion" => {
            let (_, document) = policy_of(world, input)?;
            let version = input.required("VersionId", "ValidationError")?;
            if version != "v1" {
                return Err(no_entity(format!("Policy version {version} does not exist.")));
            }
            Ok(json!({"PolicyVersion": {
                "VersionId": "v1", "IsDefaultVersion": true, "Document": document_text(document),
            }}))
        }
        "SimulatePrincipalPolicy" => simulate::answer(world, input),
        _ => Err(unknown_operation(Service::Iam, operation)),
    }
}

/// Answers an operation of STS.
pub(crate) fn answer_sts(world: &mut World, operation: &str, input: &Value) -> Result<Value, AwsError> {
    match operation {
        "GetCallerIdentity" => Ok(json!({
            "Account": world.caller,
            "Arn": format!("arn:aws:sts::{}:assumed-role/layer0/fake", world.caller),
            "UserId": "AROAFAKE:fake",
        })),
        "AssumeRole" => assume(world, input),
        _ => Err(unknown_operation(Service::Sts, operation)),
    }
}

/// A session of a role of another account, where that was set up and the external id is right.
fn assume(world: &World, input: &Value) -> Result<Value, AwsError> {
    let arn = input.required("RoleArn", "ValidationError")?;
    let session = input.required("RoleSessionName", "ValidationError")?;
    let denied = || {
        let who = format!("arn:aws:sts::{}:assumed-role/layer0/fake", world.caller);
        let message = format!("User: {who} is not authorized to perform: sts:AssumeRole on resource: {arn}");
        AwsError::new("AccessDenied", message).with_status(403)
    };
    let account = arn.split(':').nth(4).ok_or_else(denied)?;
    match world.iam.elsewhere.get(arn) {
        Some(wanted) if wanted.as_deref().is_none_or(|wanted| input.text("ExternalId") == Some(wanted)) => {}
        Some(_) | None => return Err(denied()),
    }
    let role = arn.rsplit('/').next().unwrap_or_default();
    let ends_ms = world.now_ms.saturating_add_unsigned(world.config.role_session_ms);
    Ok(json!({
        "Credentials": {
            "AccessKeyId": format!("{SESSION_KEY}{account}"),
            "SecretAccessKey": "fake",
            "SessionToken": "fake",
            "Expiration": iso(ends_ms),
        },
        "AssumedRoleUser": {
            "Arn": format!("arn:aws:sts::{account}:assumed-role/{role}/{session}"),
            "AssumedRoleId": format!("AROAFAKE:{session}"),
        },
    }))
}

fn no_entity(text: String) -> AwsError {
    AwsError::new("NoSuchEntity", text).with_status(404)
}

fn role_of<'a>(world: &'a World, input: &Value) -> Result<(&'a str, &'a Role), AwsError> {
    let name = input.required("RoleName", "ValidationError")?;
    let found = world.iam.roles.get_key_value(name).map(|(name, role)| (name.as_str(), role));
    found.ok_or_else(|| no_entity(format!("The role with name {name} cannot be found.")))
}

fn policy_of<'a>(world: &'a World, input: &Value) -> Result<(&'a str, &'a Value), AwsError> {
    let arn = input.required("PolicyArn", "ValidationError")?;
    let found = world.iam.policies.get_key_value(arn).map(|(arn, document)| (arn.as_str(), document));
    found.ok_or_else(|| no_entity(format!("Policy {arn} does not exist or is not attachable.")))
}

/// A role's ARN.
pub(crate) fn role_arn(world: &World, name: &str) -> String {
    format!("arn:aws:iam::{}:role/{name}", world.config.account)
}

fn role_value(world: &World, name: &str, role: &Role) -> Value {
    let boundary =
        role.boundary.as_ref().map(|arn| json!({"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}));
    json!({
        "Path": "/",
        "RoleName": name,
        "RoleId": "AROAFAKE",
        "Arn": role_arn(world, name),
        "CreateDate": iso(0),
        "AssumeRolePolicyDocument": document_text(&role.trust),
        "MaxSessionDuration": 3600,
        "PermissionsBoundary": boundary,
    })
}

/// Documents travel percent-encoded (RFC 3986).
fn document_text(document: &Value) -> String {
    let mut text = String::new();
    for byte in document.to_string().bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}
