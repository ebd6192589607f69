//! Check 4: whether the role that pulls may do what a start needs.

use super::request::{account, context_of, resource_policies};
use super::rights::{LAYER_RIGHT, NeededRight, layer_right_lacks, may_be_given_elsewhere, needed_rights};
use crate::model::failure::FailureClass;
use crate::model::image_map::partition_of;
use crate::plan::policy::{Answer, Context, Document, PolicyError, Request, Requester, Sides, authorise, evaluate};
use crate::plan::pull_check::Outcome;
use crate::port::pull::aws::{ActedBy, AwsEvidence, Decision, PolicyText, Role, RoleEvidence, RoleRights, Simulated};
use crate::port::pull::{Fact, PullQuestion};

pub(super) fn check(question: &PullQuestion, aws: &AwsEvidence) -> Outcome {
    // Before the account is known the ARNs are not, but whether there are any is.
    let needed = needed_rights(question, account(aws).unwrap_or_default(), &aws.puller.region);
    if needed.is_empty() {
        return Outcome::passed("nothing is asked of AWS for this image");
    }
    let role = match aws.role.get() {
        Ok(RoleEvidence::Found(role)) => role,
        Ok(RoleEvidence::NotGiven) => return not_given(aws),
        Ok(RoleEvidence::Missing { arn }) => return missing(arn, aws),
        Err(why) => return Outcome::unknown(format!("the role that pulls could not be looked at: {why}")),
    };
    let trust = trust(&role.arn, role.acted_by, &role.trust, aws);
    if trust.has_failed() {
        return trust;
    }
    let answers = match answers(&needed, role, question, aws) {
        Ok(answers) => answers,
        Err(why) => return Outcome::unknown(why),
    };
    let lacking: Vec<(&NeededRight, &Answer)> = answers
        .iter()
        .filter(|(_, answer)| matches!(answer, Answer::NotAllowed | Answer::Denied { .. }))
        .map(|(right, answer)| (*right, answer))
        .collect();
    let may_go = |(right, answer): &(&NeededRight, &Answer)| {
        right.action == LAYER_RIGHT || may_be_given_elsewhere(right) && **answer == Answer::NotAllowed
    };
    if !lacking.iter().all(may_go) {
        return lacks(role, &lacking, &aws.puller.region);
    }
    if let Outcome::Unknown { why } = trust {
        return Outcome::unknown(why);
    }
    let unknown = answers.iter().find_map(|(right, answer)| match answer {
        Answer::Unknown { why } => Some(format!("whether it may do {} is not certain: {why}", right.action)),
        Answer::Allowed { .. } | Answer::Denied { .. } | Answer::NotAllowed => None,
    });
    match unknown {
        Some(why) => Outcome::unknown(why),
        None => {
            let mut actions: Vec<&str> = needed.iter().map(|right| right.action).collect();
            actions.dedup();
            actions.retain(|action| !lacking.iter().any(|(right, _)| right.action == *action));
            let evidence = format!("{} is trusted with tasks and may do {}", name(&role.arn), actions.join(", "));
            let mut files: Vec<&str> = lacking
                .iter()
                .map(|(right, _)| *right)
                .filter(|it| may_be_given_elsewhere(it))
                .map(|it| it.action)
                .collect();
            files.dedup();
            if !files.is_empty() {
                let lacking = files.join(" and ");
                return Outcome::unknown(match files.iter().any(|action| action.starts_with("s3:")) {
                    true => format!(
                        "{evidence}; its own policies do not allow {lacking} on the definition's `environmentFiles`, which only the bucket's policy may make good"
                    ),
                    false => format!(
                        "{evidence}; its policies do not allow {lacking} on every secret of the name in `repositoryCredentials`, and which of them is meant only its ARN says"
                    ),
                });
            }
            if !lacking.is_empty() {
                return Outcome::unknown(layer_right_lacks(&format!("{evidence}, all that a start needs")));
            }
            // Which key a secret has is not asked, and one of the user's own needs a right of its own.
            let uses = &question.uses;
            let keys = match uses.secrets.is_empty() && uses.repository_credentials.is_none() {
                true => "",
                false => "; whether a secret has a key of its own, which takes kms:Decrypt, was not looked at",
            };
            Outcome::passed(format!("{evidence}{keys}"))
        }
    }
}

/// A role's name: what is behind the last `/` of its ARN.
pub(super) fn name(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

/// The managed policy that gives what a start commonly needs.
fn managed_policy(acted_by: ActedBy, region: &str) -> String {
    let name = match acted_by {
        ActedBy::Task => "AmazonECSTaskExecutionRolePolicy",
        ActedBy::Machine => "AmazonEC2ContainerServiceforEC2Role",
    };
    format!("arn:{}:iam::aws:policy/service-role/{name}", partition_of(region))
}

fn creation(name: &str, region: &str) -> String {
    format!(
        "`aws iam create-role --role-name {name} --assume-role-policy-document '{}'`, then `aws iam attach-role-policy --role-name {name} --policy-arn {}`",
        trust_document(ActedBy::Task),
        managed_policy(ActedBy::Task, region)
    )
}

pub(super) fn trust_document(acted_by: ActedBy) -> serde_json::Value {
    serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": { "Service": acted_by.service() },
            "Action": "sts:AssumeRole",
        }],
    })
}

fn not_given(aws: &AwsEvidence) -> Outcome {
    Outcome::failed(
        FailureClass::PullDenied,
        "neither the definition nor the instance names an execution role, and without one ECS gets neither images from ECR nor secrets, and writes no logs",
        format!(
            "make one: {}; then name it in the definition's `executionRoleArn`",
            creation("ecsTaskExecutionRole", &aws.puller.region)
        ),
    )
}

fn missing(arn: &str, aws: &AwsEvidence) -> Outcome {
    Outcome::failed(
        FailureClass::PullDenied,
        format!("the execution role {arn} does not exist"),
        format!("make it: {}", creation(name(arn), &aws.puller.region)),
    )
}

/// Whether the service that acts as the role may.
pub(super) fn trust(arn: &str, acted_by: ActedBy, trust: &Fact<String>, aws: &AwsEvidence) -> Outcome {
    let service = acted_by.service();
    let text = match trust.get() {
        Ok(text) => text,
        Err(why) => return Outcome::unknown(format!("whom {} trusts could not be read: {why}", name(arn))),
    };
    let document = match Document::parse(&format!("the trust policy of {}", name(arn)), text) {
        Ok(document) => document,
        Err(why) => return Outcome::unknown(why.to_string()),
    };
    let mut context = Context::new().with("aws:SecureTransport", "true").without("sts:ExternalId");
    if let Some(account) = account(aws) {
        // Which task it will be is open; that it is one of this account and region is not (ECS developer guide, "Amazon ECS
        // task IAM role", on the confused deputy).
        let (region, partition) = (&aws.puller.region, partition_of(&aws.puller.region));
        context = context.with("aws:SourceAccount", account);
        if acted_by == ActedBy::Task {
            context = context.with_beginning("aws:SourceArn", format!("arn:{partition}:ecs:{region}:{account}:"));
        }
    }
    let request = Request {
        requester: &Requester::Service(service.to_owned()),
        action: "sts:AssumeRole",
        resource: arn,
        context: &context,
    };
    match evaluate(&request, std::slice::from_ref(&document)) {
        Answer::Allowed { statement } => Outcome::passed(statement),
        Answer::Unknown { why } => Outcome::unknown(why),
        answer @ (Answer::NotAllowed | Answer::Denied { .. }) => Outcome::failed(
            FailureClass::PullDenied,
            format!("{} does not trust {service} ({answer})", name(arn)),
            format!(
                "let it act as the role: `aws iam update-assume-role-policy --role-name {} --policy-document '{}'`",
                name(arn),
                trust_document(acted_by)
            ),
        ),
    }
}

/// Each right with whether the role has it.
fn answers<'a>(
    needed: &'a [NeededRight],
    role: &Role,
    question: &PullQuestion,
    aws: &AwsEvidence,
) -> Result<Vec<(&'a NeededRight, Answer)>, String> {
    let role_name = name(&role.arn);
    match role.rights.get() {
        Err(why) => Err(format!("what {role_name} may do could not be read: {why}")),
        Ok(RoleRights::Simulated(results)) => {
            Ok(needed.iter().map(|right| (right, simulated(right, results))).collect())
        }
        Ok(RoleRights::Documents { policies, boundary }) => {
            let read = |text: &PolicyText| Document::parse(&format!("policy {} of {role_name}", text.name), &text.text);
            let documents = policies.iter().map(read).collect::<Result<Vec<_>, PolicyError>>();
            let boundary = boundary.as_ref().map(read).transpose();
            let (documents, boundary) = (documents.map_err(told)?, boundary.map_err(told)?);
            Ok(needed
                .iter()
                .map(|right| (right, by_documents(right, role, &documents, boundary.as_ref(), question, aws)))
                .collect())
        }
    }
}

fn told(why: PolicyError) -> String {
    why.to_string()
}

pub(super) fn simulated(right: &NeededRight, results: &[Simulated]) -> Answer {
    let result = results
        .iter()
        .find(|result| result.action.eq_ignore_ascii_case(right.action) && result.resource == right.resource);
    match result {
        None => Answer::Unknown { why: "it was not simulated".to_owned() },
        Some(result) if !result.missing_keys.is_empty() && result.decision != Decision::ExplicitDeny => {
            Answer::Unknown { why: format!("it hangs on {}", result.missing_keys.join(", ")) }
        }
        Some(result) => match result.decision {
            Decision::Allowed => Answer::Allowed { statement: "the simulation of its policies".to_owned() },
            Decision::ExplicitDeny => Answer::Denied { statement: "a statement of its policies".to_owned() },
            Decision::ImplicitDeny => Answer::NotAllowed,
        },
    }
}

/// In the repository's own account the repository's policy may give the role what its own policies do not. Between accounts
/// both sides are needed, and the other one is the access check's.
fn by_documents(
    right: &NeededRight,
    role: &Role,
    documents: &[Document],
    boundary: Option<&Document>,
    question: &PullQuestion,
    aws: &AwsEvidence,
) -> Answer {
    let Some(account) = account(aws) else {
        return Answer::Unknown { why: "the account is not known".to_owned() };
    };
    let requester = Requester::Iam { account: account.to_owned(), arn: Some(role.arn.clone()) };
    let context = context_of(right, aws);
    let request = Request { requester: &requester, action: right.action, resource: &right.resource, context: &context };
    let on_resource = match &aws.ecr {
        Some(ecr) if ecr.host.account == account && right.resource != "*" && right.action.starts_with("ecr:") => {
            resource_policies(ecr, question.image.path()).map(|policies| policies.documents).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    authorise(&request, &Sides { identity: documents, boundary, resource: &on_resource, resource_account: account })
}

fn lacks(role: &Role, lacking: &[(&NeededRight, &Answer)], region: &str) -> Outcome {
    let role_name = name(&role.arn);
    let denied = lacking.iter().find_map(|(right, answer)| match answer {
        Answer::Denied { statement } => Some((right.action, statement)),
        Answer::Allowed { .. } | Answer::NotAllowed | Answer::Unknown { .. } => None,
    });
    if let Some((action, statement)) = denied {
        return Outcome::failed(
            FailureClass::PullDenied,
            format!("{role_name} is denied {action} by {statement}"),
            format!("change {statement}, or take another role"),
        );
    }
    let mut actions: Vec<&str> = lacking.iter().map(|(right, _)| right.action).collect();
    actions.dedup();
    let given =
        |action: &str| action.starts_with("ecr:") || ["logs:CreateLogStream", "logs:PutLogEvents"].contains(&action);
    let remedy = if actions.iter().all(|action| given(action)) {
        format!(
            "`aws iam attach-role-policy --role-name {role_name} --policy-arn {}` (a permissions boundary must allow it too)",
            managed_policy(role.acted_by, region)
        )
    } else {
        let mut resources: Vec<&str> = lacking.iter().map(|(right, _)| right.resource.as_str()).collect();
        resources.sort_unstable();
        resources.dedup();
        let statement = serde_json::json!({ "Effect": "Allow", "Action": actions, "Resource": resources });
        format!("add this statement to a policy of {role_name}: {statement}")
    };
    Outcome::failed(FailureClass::PullDenied, format!("{role_name} may not do {}", actions.join(", ")), remedy)
}
