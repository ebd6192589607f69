//! What IAM says a role may do, in few calls: one for all that is not known yet of a role in a region.

use futures_util::future::try_join_all;
use layer0_domain::port::pull::aws::Simulated;

use super::Gathering;
use crate::ecs::aws::AwsError;

/// What stands for all resources. It is asked by itself: IAM documents it as what is given in place of a list.
const ALL: &str = "*";

/// Whether a role may do something to something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    /// The role's ARN.
    pub(super) role: &'a str,
    /// `service:Action`.
    pub(super) action: &'a str,
    /// The ARN of what it is done to, or `*`.
    pub(super) resource: &'a str,
    /// Where it is done.
    pub(super) region: String,
    /// What else is known of the request: a condition key and its value.
    pub(super) more: Option<(&'a str, &'a str)>,
}

/// Some of what is asked that one call can answer.
struct Call<'a> {
    of: Asked<'a>,
    actions: Vec<&'a str>,
    resources: Vec<&'a str>,
}

impl Asked<'_> {
    fn key(&self) -> String {
        format!("{} {} {} {} {:?}", self.role, self.action, self.resource, self.region, self.more)
    }

    fn is_answered_by(&self, result: &Simulated) -> bool {
        result.action == self.action && result.resource == self.resource
    }
}

impl Gathering<'_> {
    /// The answers, in no order; one for each that is asked.
    pub(super) async fn simulations(&self, asked: Vec<Asked<'_>>) -> Result<Vec<Simulated>, AwsError> {
        let mut answers = Vec::new();
        let mut unknown = Vec::new();
        for one in asked {
            match self.kept_before(&self.shared.kept.simulated, &one.key()) {
                Some(answer) => answers.push(answer),
                None => unknown.push(one),
            }
        }
        let results = try_join_all(calls(&unknown).iter().map(|call| self.call(call))).await?;
        let (answered, left): (Vec<_>, Vec<_>) = self.told(unknown, &results.concat());
        answers.extend(answered);
        // Nothing was said of each by itself.
        let alone =
            left.iter().map(|one| Call { of: one.clone(), actions: vec![one.action], resources: vec![one.resource] });
        let alone: Vec<Call<'_>> = alone.collect();
        let results = try_join_all(alone.iter().map(|call| self.call(call))).await?;
        let (answered, left) = self.told(left, &results.concat());
        answers.extend(answered);
        match left.first() {
            Some(one) => {
                Err(AwsError::incomplete("iam:SimulatePrincipalPolicy", &format!("decision about {}", one.action)))
            }
            None => Ok(answers),
        }
    }

    /// Keeps the answers; gives them, and what was asked without one.
    fn told<'a>(&self, asked: Vec<Asked<'a>>, results: &[Simulated]) -> (Vec<Simulated>, Vec<Asked<'a>>) {
        let mut answers = Vec::new();
        let mut left = Vec::new();
        for one in asked {
            match results.iter().find(|result| one.is_answered_by(result)) {
                Some(result) => {
                    self.shared.kept.simulated.put(one.key(), self.began, result.clone());
                    answers.push(result.clone());
                }
                None => left.push(one),
            }
        }
        (answers, left)
    }

    /// Whoever asks the same while another one does waits for its answer.
    async fn call(&self, call: &Call<'_>) -> Result<Vec<Simulated>, AwsError> {
        let Asked { role, region, more, .. } = &call.of;
        let key = format!("{role} {:?} {:?} {region} {more:?}", call.actions, call.resources);
        let ask = self.shared.aws.role_simulated(role, &call.actions, &call.resources, region, *more);
        self.kept(&self.shared.kept.simulations, key, ask).await
    }
}

/// One call for each role, region and what else is known: IAM tries all actions of a call on all of its resources, and what
/// nobody asked for is left out of the answers.
fn calls<'a>(asked: &[Asked<'a>]) -> Vec<Call<'a>> {
    let mut calls: Vec<Call<'a>> = Vec::new();
    let fits = |call: &Call<'_>, one: &Asked<'_>| {
        let of = &call.of;
        let same = (of.role, &of.region, of.more) == (one.role, &one.region, one.more);
        same && (of.resource == ALL) == (one.resource == ALL)
    };
    for one in asked {
        let at = calls.iter().position(|call| fits(call, one)).unwrap_or_else(|| {
            calls.push(Call { of: one.clone(), actions: Vec::new(), resources: Vec::new() });
            calls.len() - 1
        });
        let call = &mut calls[at];
        if !call.actions.contains(&one.action) {
            call.actions.push(one.action);
        }
        if !call.resources.contains(&one.resource) {
            call.resources.push(one.resource);
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_asked_about_all_in_one_call_for_each_region() {
        let ask = |action, resource, region: &str, more| Asked {
            role: "r",
            action,
            resource,
            region: region.to_owned(),
            more,
        };
        let asked = [
            ask("ecr:GetAuthorizationToken", "*", "eu", None),
            ask("ecr:BatchGetImage", "repository", "eu", None),
            ask("logs:PutLogEvents", "group", "eu", None),
            ask("logs:CreateLogStream", "group", "eu", None),
            ask("logs:PutLogEvents", "far", "us", None),
            ask("iam:PassRole", "role", "eu", Some(("key", "value"))),
        ];
        let calls = calls(&asked);
        let seen: Vec<_> = calls.iter().map(|call| (call.actions.clone(), call.resources.clone())).collect();
        assert_eq!(
            seen,
            [
                (vec!["ecr:GetAuthorizationToken"], vec!["*"]),
                (vec!["ecr:BatchGetImage", "logs:PutLogEvents", "logs:CreateLogStream"], vec!["repository", "group"]),
                (vec!["logs:PutLogEvents"], vec!["far"]),
                (vec!["iam:PassRole"], vec!["role"]),
            ]
        );
    }
}
