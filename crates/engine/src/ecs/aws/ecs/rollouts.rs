//! Service deployments: ECS's own record of one roll-out.

use aws_sdk_ecs::types::{ServiceDeployment, ServiceDeploymentRollbackMonitorsStatus, StopServiceDeploymentStopType};

use super::super::pace::Family;
use super::super::{Aws, AwsError};
use super::definitions;

/// The most service deployments that one `DescribeServiceDeployments` takes.
const ROLLOUTS_A_CALL: usize = 20;

/// A service deployment as ECS has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ecs) struct EcsRollout {
    /// Its ARN.
    pub(in crate::ecs) arn: String,
    /// How far it is.
    pub(in crate::ecs) status: RolloutStatus,
    /// Why it is so far and no further, in ECS's words.
    pub(in crate::ecs) reason: String,
    /// Why ECS went back, in its words; empty while it did not.
    pub(in crate::ecs) rollback: String,
    /// The service revision that it is to bring about.
    pub(in crate::ecs) target: String,
    /// How many tasks failed to come up, as the circuit breaker counts; `None` when that did not end it.
    pub(in crate::ecs) broken: Option<u32>,
    /// CloudWatch alarms that ended it.
    pub(in crate::ecs) alarms: Vec<String>,
    /// CloudWatch alarms that may still end it.
    pub(in crate::ecs) watched: Vec<String>,
}

/// How far a service deployment is (`ServiceDeploymentStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ecs) enum RolloutStatus {
    /// `PENDING`, `IN_PROGRESS`, and whatever ECS may call it tomorrow.
    Going,
    /// `STOP_REQUESTED`, `STOPPED`: it ends, and ECS does not go back.
    Stopped,
    /// `ROLLBACK_REQUESTED`, `ROLLBACK_IN_PROGRESS`: ECS goes back.
    GoingBack,
    /// `ROLLBACK_SUCCESSFUL`.
    WentBack,
    /// `ROLLBACK_FAILED`.
    Stuck,
    /// `SUCCESSFUL`.
    Done,
}

impl RolloutStatus {
    fn of(text: &str) -> Self {
        match text {
            "STOP_REQUESTED" | "STOPPED" => Self::Stopped,
            "ROLLBACK_REQUESTED" | "ROLLBACK_IN_PROGRESS" => Self::GoingBack,
            "ROLLBACK_SUCCESSFUL" => Self::WentBack,
            "ROLLBACK_FAILED" => Self::Stuck,
            "SUCCESSFUL" => Self::Done,
            _ => Self::Going,
        }
    }

    /// Whether ECS goes back, or went back.
    pub(in crate::ecs) fn is_back(self) -> bool {
        match self {
            Self::GoingBack | Self::WentBack => true,
            Self::Going | Self::Stopped | Self::Stuck | Self::Done => false,
        }
    }

    /// Whether it changes no more.
    pub(in crate::ecs) fn is_at_end(self) -> bool {
        match self {
            Self::Going | Self::GoingBack => false,
            Self::Stopped | Self::WentBack | Self::Stuck | Self::Done => true,
        }
    }
}

impl Aws {
    /// Service deployments by ARN; those that ECS does not know are left out.
    pub(in crate::ecs) async fn rollouts_describe(&self, arns: &[String]) -> Result<Vec<EcsRollout>, AwsError> {
        let mut rollouts = Vec::new();
        for some in arns.chunks(ROLLOUTS_A_CALL) {
            let call = self.ecs.describe_service_deployments().set_service_deployment_arns(Some(some.to_vec()));
            let answer = self.send("ecs:DescribeServiceDeployments", Family::EcsRead, call.send()).await?;
            rollouts.extend(answer.service_deployments.unwrap_or_default().into_iter().filter_map(rollout));
        }
        Ok(rollouts)
    }

    /// The ARN of a service's newest service deployment; `None` when it has none.
    pub(in crate::ecs) async fn rollout_newest(&self, cluster: &str, name: &str) -> Result<Option<String>, AwsError> {
        let call = self.ecs.list_service_deployments().cluster(cluster).service(name);
        match self.send("ecs:ListServiceDeployments", Family::EcsRead, call.send()).await {
            Ok(answer) => {
                // The order of the list is not documented; a page holds more than a service has in a day.
                let all = answer.service_deployments.unwrap_or_default();
                let newest = all.into_iter().max_by(|a, b| a.created_at.cmp(&b.created_at));
                Ok(newest.and_then(|it| it.service_deployment_arn))
            }
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The family of the task definition of a service revision.
    pub(in crate::ecs) async fn revision_family(&self, arn: &str) -> Result<Option<String>, AwsError> {
        let call = self.ecs.describe_service_revisions().service_revision_arns(arn);
        let answer = self.send("ecs:DescribeServiceRevisions", Family::EcsRead, call.send()).await?;
        let revision = answer.service_revisions.unwrap_or_default().into_iter().next();
        Ok(revision.and_then(|it| it.task_definition).map(|arn| definitions::family(&arn).to_owned()))
    }

    /// Ends the roll-out that is under way: ECS goes back to the service revision before. `false` when it can't be ended this
    /// way: ECS does not know it, does not let us, or has no such call.
    pub(in crate::ecs) async fn rollout_stop(&self, arn: &str) -> Result<bool, AwsError> {
        let call = self
            .ecs
            .stop_service_deployment()
            .service_deployment_arn(arn)
            // "The valid values are ROLLBACK" (API reference, StopServiceDeployment), though there is a type ABORT.
            .stop_type(StopServiceDeploymentStopType::Rollback);
        match self.send("ecs:StopServiceDeployment", Family::EcsWrite, call.send()).await {
            Ok(_) => Ok(true),
            // It is being ended, or has ended meanwhile; the next look says which.
            Err(error) if error.code == "ConflictException" => Ok(true),
            Err(error) if error.retryable() && !error.is_missing() => Err(error),
            Err(error) => {
                tracing::debug!(error = %error, "a service deployment could not be stopped; the service is updated");
                Ok(false)
            }
        }
    }
}

fn rollout(from: ServiceDeployment) -> Option<EcsRollout> {
    let circuit = from.deployment_circuit_breaker;
    let triggered = |status: Option<&ServiceDeploymentRollbackMonitorsStatus>| {
        status == Some(&ServiceDeploymentRollbackMonitorsStatus::Triggered)
    };
    let alarms = from.alarms;
    let (alarms, watched) = match alarms {
        Some(it) if triggered(it.status.as_ref()) => (it.triggered_alarm_names.unwrap_or_default(), Vec::new()),
        Some(it) if it.status == Some(ServiceDeploymentRollbackMonitorsStatus::Monitoring) => {
            (Vec::new(), it.alarm_names.unwrap_or_default())
        }
        _ => (Vec::new(), Vec::new()),
    };
    Some(EcsRollout {
        arn: from.service_deployment_arn?,
        status: RolloutStatus::of(from.status.as_ref().map_or("", |it| it.as_str())),
        reason: from.status_reason.unwrap_or_default(),
        rollback: from.rollback.and_then(|it| it.reason).unwrap_or_default(),
        target: from.target_service_revision.and_then(|it| it.arn).unwrap_or_default(),
        broken: circuit.filter(|it| triggered(it.status.as_ref())).map(|it| super::uncount(it.failure_count)),
        alarms,
        watched,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_of_the_api_has_its_meaning() {
        for (text, status, at_end) in [
            ("PENDING", RolloutStatus::Going, false),
            ("IN_PROGRESS", RolloutStatus::Going, false),
            ("SOMETHING_NEW", RolloutStatus::Going, false),
            ("STOP_REQUESTED", RolloutStatus::Stopped, true),
            ("STOPPED", RolloutStatus::Stopped, true),
            ("ROLLBACK_REQUESTED", RolloutStatus::GoingBack, false),
            ("ROLLBACK_IN_PROGRESS", RolloutStatus::GoingBack, false),
            ("ROLLBACK_SUCCESSFUL", RolloutStatus::WentBack, true),
            ("ROLLBACK_FAILED", RolloutStatus::Stuck, true),
            ("SUCCESSFUL", RolloutStatus::Done, true),
        ] {
            assert_eq!(RolloutStatus::of(text), status, "{text}");
            assert_eq!(status.is_at_end(), at_end, "{text}");
        }
    }
}
