//! The request that a pull will be, as far as it is known beforehand.

use super::rights::NeededRight;
use crate::plan::policy::{Context, Document, PolicyError, Requester};
use crate::port::pull::aws::{AwsEvidence, EcrEvidence, EndpointKind, RoleEvidence};

/// Who pulls; `None` when not even the account is known.
pub(super) fn requester(aws: &AwsEvidence) -> Option<Requester> {
    let arn = match aws.role.known() {
        Some(RoleEvidence::Found(role)) => Some(role.arn.clone()),
        Some(RoleEvidence::NotGiven | RoleEvidence::Missing { .. }) | None => None,
    };
    let account = account(aws)?.to_owned();
    Some(Requester::Iam { account, arn })
}

/// The tasks' account: as it was looked up, or as the role's ARN has it.
pub(super) fn account(aws: &AwsEvidence) -> Option<&str> {
    if let Some(account) = aws.puller.account.known() {
        return Some(account);
    }
    match aws.role.known() {
        Some(RoleEvidence::Found(role)) => role.arn.split(':').nth(4).filter(|account| !account.is_empty()),
        Some(RoleEvidence::NotGiven | RoleEvidence::Missing { .. }) | None => None,
    }
}

/// What is known of the request that needs a right.
pub(super) fn context_of(right: &NeededRight, aws: &AwsEvidence) -> Context {
    if right.action.starts_with("ecr:") {
        return context(aws);
    }
    // Over which endpoint it goes is not looked at.
    let arn: Vec<&str> = right.resource.split(':').collect();
    let known = |at: usize| arn.get(at).filter(|part| !part.is_empty());
    let mut context = by_role(aws);
    if let Some(region) = known(3) {
        context = context.with("aws:RequestedRegion", *region);
    }
    match known(4) {
        Some(account) => context.with("aws:ResourceAccount", *account),
        None => context,
    }
}

/// What is known of the requests to ECR that the role makes.
pub(super) fn context(aws: &AwsEvidence) -> Context {
    let mut context = by_role(aws);
    if let Some(ecr) = &aws.ecr {
        context = context.with("aws:RequestedRegion", ecr.host.region.clone());
        context = context.with("aws:ResourceAccount", ecr.host.account.clone());
    }
    if passes_no_endpoint(aws) {
        context = context.without("aws:SourceVpce").without("aws:SourceVpc");
    }
    context
}

/// What is known of every request that the role makes.
fn by_role(aws: &AwsEvidence) -> Context {
    let mut context = Context::new()
        .with("aws:SecureTransport", "true")
        .with("aws:PrincipalType", "AssumedRole")
        .with("aws:PrincipalIsAWSService", "false")
        .with("aws:ViaAWSService", "false")
        .without("aws:MultiFactorAuthPresent")
        .without("aws:SourceAccount")
        .without("aws:SourceArn");
    if let Some(account) = account(aws) {
        context = context.with("aws:PrincipalAccount", account);
    }
    if let Some(RoleEvidence::Found(role)) = aws.role.known() {
        context = context.with("aws:PrincipalArn", role.arn.clone());
    }
    match aws.puller.organization.known() {
        Some(Some(organization)) => {
            let context = context.with("aws:PrincipalOrgID", organization.id.clone());
            match &organization.path {
                Some(path) => context.with_all("aws:PrincipalOrgPaths", [path.clone()]),
                None => context,
            }
        }
        Some(None) => context.without("aws:PrincipalOrgID").without("aws:PrincipalOrgPaths"),
        None => context,
    }
}

/// Whether it is certain that ECR is reached through no endpoint of the VPC.
fn passes_no_endpoint(aws: &AwsEvidence) -> bool {
    if aws.ecr.as_ref().is_some_and(|ecr| ecr.host.region != aws.puller.region) {
        return true;
    }
    let endpoints = aws.network.known().and_then(|network| network.endpoints.known());
    endpoints.is_some_and(|all| {
        !all.iter().any(|endpoint| {
            matches!(endpoint.kind, EndpointKind::Interface { private_dns: true, .. })
                && endpoint.service.contains(".ecr.")
        })
    })
}

/// The policies that stand on the repository, for one pull. A registry's policy that is not enforced on every request says
/// nothing about pulls.
pub(super) struct ResourcePolicies {
    pub(super) documents: Vec<Document>,
    /// What of them is not known, in words; a statement in it may deny, and may allow.
    pub(super) unread: Vec<String>,
}

pub(super) fn resource_policies(ecr: &EcrEvidence, path: &str) -> Result<ResourcePolicies, PolicyError> {
    let mut documents = Vec::new();
    let mut unread = Vec::new();
    let account = &ecr.host.account;
    match ecr.repository_policy.get() {
        Ok(Some(text)) => documents.push(Document::parse(&format!("the policy of repository `{path}`"), text)?),
        Ok(None) => {}
        Err(why) => unread.push(format!("the policy of repository `{path}` could not be read: {why}")),
    }
    match ecr.registry_policy.get() {
        Ok(Some(policy)) => match policy.on_every_request.get() {
            Ok(true) => {
                documents.push(Document::parse(&format!("the registry policy of account {account}"), &policy.text)?);
            }
            Ok(false) => {}
            Err(why) => {
                unread.push(format!(
                    "whether the registry policy of account {account} concerns pulls is not known: {why}"
                ));
            }
        },
        Ok(None) => {}
        Err(why) => unread.push(format!("the registry policy of account {account} could not be read: {why}")),
    }
    Ok(ResourcePolicies { documents, unread })
}
