//! Check 6: whether the roles that a start hands over may be handed over (IAM user guide, "Granting a user permissions to pass
//! a role to an AWS service"), and whether the task's own one is there and trusts tasks. Without it ECS refuses the definition,
//! or the start.

use super::request::account;
use super::rights::NeededRight;
use super::role::{name, simulated, trust, trust_document};
use crate::model::failure::FailureClass;
use crate::plan::policy::{Answer, Context, Document, PolicyError, Request, Requester, Sides, authorise};
use crate::plan::pull_check::Outcome;
use crate::port::pull::Fact;
use crate::port::pull::aws::{ActedBy, AwsEvidence, Passer, Passing, PolicyText, RoleRights, UsedAs};

/// To whom they are handed over: the value of `iam:PassedToService`.
pub const PASSED_TO: &str = "ecs-tasks.amazonaws.com";

pub(super) fn check(passing: &Passing, aws: &AwsEvidence) -> Outcome {
    let mut unknown = None;
    for role in &passing.roles {
        let UsedAs::Task { trust } = &role.used_as else { continue };
        match task_role(&role.arn, trust, aws) {
            failed @ Outcome::Failed { .. } => return failed,
            Outcome::Unknown { why } => unknown = unknown.or(Some(why)),
            Outcome::Passed { .. } => {}
        }
    }
    let passer = match passing.passer.get() {
        Ok(passer) => passer,
        Err(why) => return Outcome::unknown(format!("as whom this server asks could not be looked at: {why}")),
    };
    let mut lacking = Vec::new();
    for role in &passing.roles {
        match may_pass(passer, &role.arn, aws) {
            Answer::Allowed { .. } => {}
            Answer::Denied { statement } => return denied(passer, &role.arn, &statement),
            Answer::NotAllowed => lacking.push(role.arn.as_str()),
            Answer::Unknown { why } => {
                let why = format!("whether {} may pass {} is not certain: {why}", name(&passer.arn), name(&role.arn));
                unknown = unknown.or(Some(why));
            }
        }
    }
    if !lacking.is_empty() {
        return not_allowed(passer, &lacking);
    }
    match unknown {
        Some(why) => Outcome::unknown(why),
        None => {
            let roles: Vec<&str> = passing.roles.iter().map(|role| name(&role.arn)).collect();
            Outcome::passed(format!("{} may pass {} to tasks", name(&passer.arn), roles.join(" and ")))
        }
    }
}

fn task_role(arn: &str, policy: &Fact<Option<String>>, aws: &AwsEvidence) -> Outcome {
    match policy {
        Fact::Known(Some(text)) => trust(arn, ActedBy::Task, &Fact::Known(text.clone()), aws),
        Fact::Unknown(why) => Outcome::unknown(format!("the task role could not be looked at: {why}")),
        Fact::Known(None) => Outcome::failed(
            FailureClass::CannotStart,
            format!("the task role {arn} does not exist"),
            format!(
                "make it: `aws iam create-role --role-name {} --assume-role-policy-document '{}'`, or correct the definition's `taskRoleArn`",
                name(arn),
                trust_document(ActedBy::Task)
            ),
        ),
    }
}

fn may_pass(passer: &Passer, role: &str, aws: &AwsEvidence) -> Answer {
    let right = NeededRight { action: "iam:PassRole", resource: role.to_owned() };
    match passer.rights.get() {
        Err(why) => Answer::Unknown { why: why.to_owned() },
        Ok(RoleRights::Simulated(results)) => simulated(&right, results),
        Ok(RoleRights::Documents { policies, boundary }) => {
            let read = |text: &PolicyText| {
                Document::parse(&format!("policy {} of {}", text.name, name(&passer.arn)), &text.text)
            };
            let documents = policies.iter().map(read).collect::<Result<Vec<_>, PolicyError>>();
            match (documents, boundary.as_ref().map(read).transpose()) {
                (Ok(documents), Ok(boundary)) => by_documents(&right, passer, &documents, boundary.as_ref(), aws),
                (Err(why), _) | (_, Err(why)) => Answer::Unknown { why: why.to_string() },
            }
        }
    }
}

fn by_documents(
    right: &NeededRight,
    passer: &Passer,
    documents: &[Document],
    boundary: Option<&Document>,
    aws: &AwsEvidence,
) -> Answer {
    let Some(account) = account(aws) else {
        return Answer::Unknown { why: "the account is not known".to_owned() };
    };
    let context = Context::new()
        .with("iam:PassedToService", PASSED_TO)
        .with("aws:SecureTransport", "true")
        .with("aws:PrincipalAccount", account)
        .with("aws:PrincipalArn", passer.arn.clone())
        .with("aws:PrincipalIsAWSService", "false")
        .with("aws:ViaAWSService", "false");
    let requester = Requester::Iam { account: account.to_owned(), arn: Some(passer.arn.clone()) };
    let request = Request { requester: &requester, action: right.action, resource: &right.resource, context: &context };
    authorise(&request, &Sides { identity: documents, boundary, resource: &[], resource_account: account })
}

fn denied(passer: &Passer, role: &str, statement: &str) -> Outcome {
    Outcome::failed(
        FailureClass::CannotStart,
        format!(
            "{}, as which this server runs, is denied iam:PassRole on {} by {statement}",
            name(&passer.arn),
            name(role)
        ),
        format!("change {statement}, or name another role in the definition"),
    )
}

fn not_allowed(passer: &Passer, roles: &[&str]) -> Outcome {
    let statement = serde_json::json!({
        "Effect": "Allow",
        "Action": "iam:PassRole",
        "Resource": roles,
        "Condition": { "StringEquals": { "iam:PassedToService": PASSED_TO } },
    });
    let names: Vec<&str> = roles.iter().map(|role| name(role)).collect();
    Outcome::failed(
        FailureClass::CannotStart,
        format!("{}, as which this server runs, may not pass {} to tasks", name(&passer.arn), names.join(" and ")),
        format!("add this statement to a policy of {}: {statement}", name(&passer.arn)),
    )
}
