//! Elastic Load Balancing: what its stacks don't tell.

use super::pace::Family;
use super::{Aws, AwsError};

/// How a target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ecs) struct TargetHealth {
    /// Its address.
    pub(in crate::ecs) address: String,
    /// Its port.
    pub(in crate::ecs) port: u16,
    /// `initial`, `healthy`, `unhealthy`, `unused`, `draining`, `unavailable`.
    pub(in crate::ecs) state: String,
    /// Why, in words.
    pub(in crate::ecs) reason: String,
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
                address: target.id?,
                port: u16::try_from(target.port?).ok()?,
                state: health.state?.as_str().to_owned(),
                reason: health.description.unwrap_or_default(),
            })
        });
        Ok(found.collect())
    }
}
