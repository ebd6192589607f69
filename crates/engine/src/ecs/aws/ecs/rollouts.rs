//! Service deployments: ECS's own record of one roll-out.

use aws_sdk_ecs::types::StopServiceDeploymentStopType;

use super::super::pace::Family;
use super::super::{Aws, AwsError};

impl Aws {
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
