//! STS and IAM: whose account it is, and what a role may do.

use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, EvaluationResult, PolicyEvaluationDecisionType};
use layer0_domain::port::pull::aws::{Decision, PolicyText, Simulated};
use percent_encoding::percent_decode_str;

use super::pace::Family;
use super::{Aws, AwsError};

/// A role as IAM has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ecs) struct RoleSeen {
    /// Its ARN.
    pub(in crate::ecs) arn: String,
    /// Its name, by which IAM is asked for it.
    pub(in crate::ecs) name: String,
    /// Its trust policy.
    pub(in crate::ecs) trust: Option<String>,
    /// The ARN of its permissions boundary.
    pub(in crate::ecs) boundary: Option<String>,
}

/// Whose the credentials are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ecs) struct Caller {
    /// The account.
    pub(in crate::ecs) account: String,
    /// The ARN of the user, or of the session of a role.
    pub(in crate::ecs) arn: String,
}

impl Aws {
    /// Whose the credentials are.
    pub(in crate::ecs) async fn caller(&self) -> Result<Caller, AwsError> {
        let op = "sts:GetCallerIdentity";
        let ask = || async {
            let answer = self.send(op, Family::Identity, self.sts.get_caller_identity().send()).await?;
            let account = answer.account.ok_or_else(|| AwsError::incomplete(op, "account"))?;
            let arn = answer.arn.ok_or_else(|| AwsError::incomplete(op, "ARN"))?;
            Ok(Caller { account, arn })
        };
        self.caller.get_or_try_init(ask).await.cloned()
    }

    /// The account that the credentials are of.
    pub(in crate::ecs) async fn account(&self) -> Result<String, AwsError> {
        Ok(self.caller().await?.account)
    }

    /// A role by name; `None` when it isn't there.
    pub(in crate::ecs) async fn role(&self, name: &str) -> Result<Option<RoleSeen>, AwsError> {
        let op = "iam:GetRole";
        let answer = match self.send(op, Family::Identity, self.iam.get_role().role_name(name).send()).await {
            Ok(answer) => answer,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error),
        };
        let role = answer.role.ok_or_else(|| AwsError::incomplete(op, "role"))?;
        Ok(Some(RoleSeen {
            arn: role.arn,
            name: role.role_name,
            trust: role.assume_role_policy_document.map(|text| decoded(&text)),
            boundary: role.permissions_boundary.and_then(|boundary| boundary.permissions_boundary_arn),
        }))
    }

    /// Whether a role may do actions to resources, by a simulation of all that counts for it. `region` is where it will ask;
    /// `more` is what else is known of the request, a condition key and its value. Answers each action with each resource, as
    /// far as IAM does: of several resources it need not say what holds for which.
    pub(in crate::ecs) async fn role_simulated(
        &self,
        role: &str,
        actions: &[&str],
        resources: &[&str],
        region: &str,
        more: Option<(&str, &str)>,
    ) -> Result<Vec<Simulated>, AwsError> {
        let all = |texts: &[&str]| Some(texts.iter().map(|&text| text.to_owned()).collect());
        let entry = |(key, value): (&str, &str)| {
            let entry = ContextEntry::builder().context_key_name(key).context_key_type(ContextKeyTypeEnum::String);
            entry.context_key_values(value).build()
        };
        let context: Vec<ContextEntry> = [("aws:RequestedRegion", region)].into_iter().chain(more).map(entry).collect();
        let mut results = Vec::new();
        let mut marker = None;
        loop {
            let call = self
                .iam
                .simulate_principal_policy()
                .policy_source_arn(role)
                .set_action_names(all(actions))
                .set_resource_arns(all(resources))
                .set_context_entries(Some(context.clone()))
                .set_marker(marker);
            let answer = self.send("iam:SimulatePrincipalPolicy", Family::Identity, call.send()).await?;
            let some = answer.evaluation_results.unwrap_or_default();
            results.extend(some.into_iter().flat_map(|result| simulated(result, resources)));
            marker = answer.marker.filter(|_| answer.is_truncated);
            if marker.is_none() {
                return Ok(results);
            }
        }
    }

    /// The policies of a role: those attached to it, and its own.
    pub(in crate::ecs) async fn role_policies(&self, role: &str) -> Result<Vec<PolicyText>, AwsError> {
        let (attached, inline) = futures_util::try_join!(self.attached(role), self.inline(role))?;
        Ok(attached.into_iter().chain(inline).collect())
    }

    async fn attached(&self, role: &str) -> Result<Vec<PolicyText>, AwsError> {
        let mut arns = Vec::new();
        let mut marker = None;
        loop {
            let call = self.iam.list_attached_role_policies().role_name(role).set_marker(marker);
            let answer = self.send("iam:ListAttachedRolePolicies", Family::Identity, call.send()).await?;
            let some = answer.attached_policies.unwrap_or_default();
            arns.extend(some.into_iter().filter_map(|policy| policy.policy_arn));
            marker = answer.marker.filter(|_| answer.is_truncated);
            if marker.is_none() {
                break;
            }
        }
        futures_util::future::try_join_all(arns.iter().map(|arn| self.policy(arn))).await
    }

    /// A managed policy, as it is in force.
    pub(in crate::ecs) async fn policy(&self, arn: &str) -> Result<PolicyText, AwsError> {
        let op = "iam:GetPolicy";
        let answer = self.send(op, Family::Identity, self.iam.get_policy().policy_arn(arn).send()).await?;
        let version = answer.policy.and_then(|policy| policy.default_version_id);
        let version = version.ok_or_else(|| AwsError::incomplete(op, "version"))?;
        let op = "iam:GetPolicyVersion";
        let call = self.iam.get_policy_version().policy_arn(arn).version_id(version);
        let answer = self.send(op, Family::Identity, call.send()).await?;
        let text = answer.policy_version.and_then(|version| version.document);
        let text = text.ok_or_else(|| AwsError::incomplete(op, "document"))?;
        Ok(PolicyText { name: super::last_part(arn).to_owned(), text: decoded(&text) })
    }

    async fn inline(&self, role: &str) -> Result<Vec<PolicyText>, AwsError> {
        let mut names = Vec::new();
        let mut marker = None;
        loop {
            let call = self.iam.list_role_policies().role_name(role).set_marker(marker);
            let answer = self.send("iam:ListRolePolicies", Family::Identity, call.send()).await?;
            names.extend(answer.policy_names);
            marker = answer.marker.filter(|_| answer.is_truncated);
            if marker.is_none() {
                break;
            }
        }
        let text = |name: String| async move {
            let call = self.iam.get_role_policy().role_name(role).policy_name(&name);
            let answer = self.send("iam:GetRolePolicy", Family::Identity, call.send()).await?;
            Ok(PolicyText { name, text: decoded(&answer.policy_document) })
        };
        futures_util::future::try_join_all(names.into_iter().map(text)).await
    }
}

/// IAM's documents come percent-encoded (RFC 3986).
fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// What a result says of which resource. Of several IAM says what comes out for each in a list of its own ("EvaluationResult"
/// and "ResourceSpecificResult" in the IAM API); of one alone it need not, nor name it as it was asked.
fn simulated(result: EvaluationResult, resources: &[&str]) -> Vec<Simulated> {
    let action = result.eval_action_name;
    let of = |resource: &str, outcome: &PolicyEvaluationDecisionType, missing: Option<Vec<String>>| Simulated {
        action: action.clone(),
        resource: resource.to_owned(),
        decision: decision(outcome),
        missing_keys: missing.unwrap_or_default(),
    };
    let own = result.resource_specific_results.unwrap_or_default();
    let each: Vec<Simulated> = own
        .into_iter()
        .filter(|own| resources.contains(&own.eval_resource_name.as_str()))
        .map(|own| of(&own.eval_resource_name, &own.eval_resource_decision, own.missing_context_values))
        .collect();
    if !each.is_empty() {
        return each;
    }
    let named = result.eval_resource_name.as_deref();
    let about = match resources {
        [one] => Some(*one),
        several => several.iter().copied().find(|resource| Some(*resource) == named),
    };
    about.map(|resource| of(resource, &result.eval_decision, result.missing_context_values)).into_iter().collect()
}

/// What is new to us lets nothing through.
fn decision(decision: &PolicyEvaluationDecisionType) -> Decision {
    match decision {
        PolicyEvaluationDecisionType::Allowed => Decision::Allowed,
        PolicyEvaluationDecisionType::ExplicitDeny => Decision::ExplicitDeny,
        _ => Decision::ImplicitDeny,
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_iam::types::ResourceSpecificResult;

    use super::*;

    fn result(named: &str, own: &[(&str, PolicyEvaluationDecisionType)]) -> EvaluationResult {
        let own = own.iter().map(|(resource, decision)| {
            let one = ResourceSpecificResult::builder().eval_resource_name(*resource);
            one.eval_resource_decision(decision.clone()).build().expect("all is given")
        });
        EvaluationResult::builder()
            .eval_action_name("s3:GetObject")
            .eval_resource_name(named)
            .eval_decision(PolicyEvaluationDecisionType::ImplicitDeny)
            .set_resource_specific_results(Some(own.collect()))
            .build()
            .expect("all is given")
    }

    #[test]
    fn what_is_said_of_one_resource_counts_for_no_other() {
        let said = |result, resources: &[&str]| -> Vec<(String, Decision)> {
            simulated(result, resources).into_iter().map(|one| (one.resource, one.decision)).collect()
        };
        let denied = |name: &str| (name.to_owned(), Decision::ImplicitDeny);
        let both = [("a", PolicyEvaluationDecisionType::Allowed), ("b", PolicyEvaluationDecisionType::ImplicitDeny)];
        let expected = [("a".to_owned(), Decision::Allowed), denied("b")];
        assert_eq!(said(result("a", &both), &["a", "b"]), expected, "a list for each");
        assert_eq!(said(result("b", &[]), &["a", "b"]), [denied("b")], "a result for each");
        assert_eq!(said(result("*", &[]), &["a", "b"]), [], "one result for all says nothing of each");
        assert_eq!(said(result("*", &[]), &["a"]), [denied("a")], "there is one only");
        assert_eq!(said(result("a", &both), &["a"]), [("a".to_owned(), Decision::Allowed)]);
    }
}
