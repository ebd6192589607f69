//! The calls that the engine makes, one function each: from our values to the SDK's and back, errors by what can be done
//! about them, paging inside, each call in its turn ([`pace`]). Nothing else in the engine names a type of the SDK.

mod balancers;
mod ecs;
mod error;
mod logs;
mod pace;
mod stacks;

use std::future::Future;

use aws_config::SdkConfig;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::DateTime;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use layer0_domain::model::time::Timestamp;

pub(super) use self::balancers::TargetHealth;
pub(super) use self::ecs::{
    EcsContainer, EcsDeployment, EcsService, EcsTask, Network, ServiceTarget, ServiceUpdate, ServiceWanted, TargetOf,
    TaskFilter, TaskWanted,
};
pub(super) use self::error::{AwsError, Kind};
pub(super) use self::logs::{LogEvent, Span};
pub use self::pace::{Rate, Rates};
pub(super) use self::stacks::{Stack, StackWanted};

/// The clients and their pace.
pub(super) struct Aws {
    ecs: aws_sdk_ecs::Client,
    stacks: aws_sdk_cloudformation::Client,
    logs: aws_sdk_cloudwatchlogs::Client,
    balancers: aws_sdk_elasticloadbalancingv2::Client,
    pace: pace::Pace,
}

impl Aws {
    pub(super) fn new(sdk: &SdkConfig, rates: Rates) -> Self {
        Self {
            ecs: aws_sdk_ecs::Client::new(sdk),
            stacks: aws_sdk_cloudformation::Client::new(sdk),
            logs: aws_sdk_cloudwatchlogs::Client::new(sdk),
            balancers: aws_sdk_elasticloadbalancingv2::Client::new(sdk),
            pace: pace::Pace::new(rates),
        }
    }
    /// Makes a call in its turn.
    async fn send<T, E>(
        &self,
        op: &'static str,
        family: pace::Family,
        call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, AwsError>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        self.pace.turn(family).await;
        call.await.map_err(|error| AwsError::of(op, error))
    }
}

/// A moment as AWS writes it.
fn moment(at: Option<DateTime>) -> Option<Timestamp> {
    at.and_then(|at| at.to_millis().ok()).map(Timestamp)
}

/// The last part of an ARN or of a name with a path: ECS has long ARNs, `…:service/cluster/name`, and older short ones,
/// `…:service/name`.
fn last_part(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
