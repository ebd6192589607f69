//! Elastic Load Balancing: what its stacks don't tell. Target groups are asked for by the SDK; the machines behind a classic
//! load balancer, for which another API has the one call that is wanted, by the small signed client.

use super::pace::Family;
use super::xml::Element;
use super::{Aws, AwsError, query};

/// The version of the API of classic load balancers.
const CLASSIC_VERSION: &str = "2012-06-01";

/// What is said of a machine that still gets requests which were begun, and no new ones ("Configure connection draining for your
/// Classic Load Balancer"). Its state is `InService` all the same.
const LEAVES: &str = "Instance deregistration currently in progress";

/// How a target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ecs) struct TargetHealth {
    /// Its address; of a machine its EC2 id.
    pub(in crate::ecs) name: String,
    /// Its port; a classic load balancer tells none.
    pub(in crate::ecs) port: Option<u16>,
    /// What the load balancer finds.
    pub(in crate::ecs) finding: Finding,
    /// Why, in words.
    pub(in crate::ecs) reason: String,
}

/// What a load balancer finds of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ecs) enum Finding {
    /// It passes.
    Healthy,
    /// It fails.
    Unhealthy,
    /// It is not asked: the load balancer does not send anything there, or checks nothing ("Target health status").
    Idle,
    /// It is on its way in or out, or can't be told.
    Unsure,
}

impl Aws {
    /// The targets of a target group; none when it isn't there.
    pub(in crate::ecs) async fn targets_health(&self, group: &str) -> Result<Vec<TargetHealth>, AwsError> {
        let call = self.balancers.describe_target_health().target_group_arn(group);
        let op = "elasticloadbalancing:DescribeTargetHealth";
        let answer = match self.send(op, Family::Balancers, call.send()).await {
            Ok(answer) => answer,
            Err(error) if error.is_missing() => return Ok(vec![]),
            Err(error) => return Err(error),
        };
        let found = answer.target_health_descriptions.unwrap_or_default().into_iter().filter_map(|it| {
            let (target, health) = (it.target?, it.target_health?);
            Some(TargetHealth {
                name: target.id?,
                port: Some(u16::try_from(target.port?).ok()?),
                // `initial` and `draining` besides.
                finding: match health.state?.as_str() {
                    "healthy" => Finding::Healthy,
                    "unhealthy" => Finding::Unhealthy,
                    "unused" | "unavailable" => Finding::Idle,
                    _ => Finding::Unsure,
                },
                reason: health.description.unwrap_or_default(),
            })
        });
        Ok(found.collect())
    }

    /// The machines that are registered with a classic load balancer; none when it isn't there.
    pub(in crate::ecs) async fn machines_health(&self, balancer: &str) -> Result<Vec<TargetHealth>, AwsError> {
        let op = "elasticloadbalancing:DescribeInstanceHealth";
        let question = query::question(op, CLASSIC_VERSION, [("LoadBalancerName", balancer)]);
        let answer = match self.ask(Family::Balancers, &self.classic, &question, query::refusal).await {
            Ok(answer) => answer,
            Err(error) if error.is_missing() => return Ok(vec![]),
            Err(error) => return Err(error),
        };
        let root = Element::parse(&answer, "DescribeInstanceHealthResponse");
        let result = root.as_ref().and_then(|root| root.child("DescribeInstanceHealthResult"));
        let result = result.ok_or_else(|| AwsError::incomplete(op, "readable content"))?;
        Ok(result.items("InstanceStates").filter_map(machine).collect())
    }
}

fn machine(item: &Element) -> Option<TargetHealth> {
    let (state, cause) = (item.text("State")?, item.text("ReasonCode"));
    let reason = item.text("Description").filter(|text| *text != "N/A").unwrap_or_default();
    Some(TargetHealth {
        name: item.text("InstanceId")?.to_owned(),
        port: None,
        finding: finding(state, cause, reason),
        reason: reason.to_owned(),
    })
}

/// What a classic load balancer finds of a machine (API reference, `InstanceState`): the reason code says whether a machine that
/// is out of service fails its checks (`Instance`), or the load balancer has not come to it yet (`ELB`: being registered, a
/// transient error, a zone that is not served).
fn finding(state: &str, cause: Option<&str>, reason: &str) -> Finding {
    match (state, cause) {
        ("InService", _) if !reason.contains(LEAVES) => Finding::Healthy,
        ("OutOfService", Some("Instance")) => Finding::Unhealthy,
        _ => Finding::Unsure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_found_by_its_state_and_the_reason_code() {
        let failed = "Instance has failed at least the UnhealthyThreshold number of health checks consecutively.";
        for (state, cause, reason, expected) in [
            ("InService", "N/A", "", Finding::Healthy),
            ("InService", "N/A", "Instance deregistration currently in progress.", Finding::Unsure),
            ("OutOfService", "ELB", "Instance registration is still in progress.", Finding::Unsure),
            ("OutOfService", "Instance", failed, Finding::Unhealthy),
            ("OutOfService", "Instance", "Instance is in stopped state.", Finding::Unhealthy),
            ("Unknown", "ELB", "A transient error occurred. Please try again later.", Finding::Unsure),
        ] {
            assert_eq!(finding(state, Some(cause), reason), expected, "{state} {cause} {reason}");
        }
        assert_eq!(finding("OutOfService", None, ""), Finding::Unsure);
    }
}
