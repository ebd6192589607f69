//! The calls that the engine makes, one function each: from our values to the SDK's and back, errors by what can be done
//! about them, paging inside, each call in its turn ([`pace`]). Nothing else in the engine names a type of the SDK.

mod balancers;
mod cloudtrail;
mod ecs;
mod identity;
mod logs;
mod network;
mod organizations;
mod pace;
mod registry;
mod stacks;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Mutex;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::DateTime;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use futures_util::future::BoxFuture;
use layer0_aws::signed::{Place, Question};
use layer0_aws::{query, signed, xml};
use layer0_domain::model::time::Timestamp;
use serde_json::Value;

pub(super) use self::balancers::{Finding, TargetHealth};
pub(super) use self::cloudtrail::TrailEvent;
pub(super) use self::ecs::{
    EcsContainer, EcsDeployment, EcsRollout, EcsService, EcsTask, Families, Network, RolloutStatus, ServiceTarget,
    ServiceUpdate, ServiceWanted, TargetOf, TaskFilter, TaskWanted,
};
pub(super) use self::identity::{Caller, RoleSeen};
pub(super) use self::logs::{LogEvent, Span, Stream};
pub(super) use self::network::{EndpointSeen, Reached, RouteTable, SubnetSeen};
pub use self::pace::{Rate, Rates};
pub(super) use self::registry::{AskedBy, Lookup, Manifest};
pub(super) use self::stacks::{FailureOf, Stack, StackWanted};
pub(super) use layer0_aws::{AwsError, Kind};

/// The clients and their pace.
pub(super) struct Aws {
    ecs: aws_sdk_ecs::Client,
    stacks: aws_sdk_cloudformation::Client,
    logs: aws_sdk_cloudwatchlogs::Client,
    balancers: aws_sdk_elasticloadbalancingv2::Client,
    iam: aws_sdk_iam::Client,
    sts: aws_sdk_sts::Client,
    /// By region: an image lies where its name says. Made from `sdk` when one is asked for first.
    registries: Mutex<HashMap<String, aws_sdk_ecr::Client>>,
    sdk: SdkConfig,
    sender: signed::Sender,
    /// The API of classic load balancers.
    classic: Place,
    ec2: Place,
    organizations: Place,
    trail: Place,
    /// Whose the credentials are; that does not change.
    caller: tokio::sync::OnceCell<Caller>,
    pace: pace::Pace,
    /// Who waits for a look at a service.
    together: ecs::Together,
}

impl Aws {
    pub(super) fn new(sdk: &SdkConfig, rates: Rates) -> Self {
        let sender = signed::Sender::new(sdk);
        let looks = looks(sdk);
        let region = sdk.region().map(ToString::to_string).unwrap_or_default();
        Self {
            ecs: aws_sdk_ecs::Client::new(sdk),
            stacks: aws_sdk_cloudformation::Client::new(sdk),
            logs: aws_sdk_cloudwatchlogs::Client::new(sdk),
            balancers: aws_sdk_elasticloadbalancingv2::Client::new(sdk),
            iam: aws_sdk_iam::Client::new(&looks),
            sts: aws_sdk_sts::Client::new(&looks),
            registries: Mutex::default(),
            sdk: looks,
            classic: sender.place("elasticloadbalancing", "Elastic Load Balancing", &region),
            ec2: sender.place("ec2", "EC2", &region),
            organizations: organizations::place(&sender, &region),
            trail: sender.place("cloudtrail", "CloudTrail", &region),
            sender,
            caller: tokio::sync::OnceCell::new(),
            pace: pace::Pace::new(rates),
            together: ecs::Together::default(),
        }
    }

    /// Makes a call in its turn.
    ///
    /// The SDK's futures are tens of kilobytes each. On the heap they take no room in those who wait for them: a look that
    /// makes a dozen of them at once would fill a thread's stack.
    fn send<'a, T, E>(
        &'a self,
        op: &'static str,
        family: pace::Family,
        call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, AwsError>>
    where
        T: 'a,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let call = Box::pin(call);
        Box::pin(async move {
            self.pace.turn(family).await;
            call.await.map_err(|error| AwsError::of(op, error))
        })
    }
}

impl Aws {
    /// Makes a call of a service that has no client here, each try in its turn.
    async fn ask(
        &self,
        family: pace::Family,
        place: &Place,
        question: &Question,
        refusal: fn(&str) -> (String, String),
    ) -> Result<String, AwsError> {
        let turn = || self.turn(family);
        self.sender.ask(place, question, refusal, &turn).await
    }

    /// The same by the JSON protocol: the call's name as IAM writes it, and `X-Amz-Target`.
    async fn ask_json(
        &self,
        family: pace::Family,
        place: &Place,
        (op, target): (&'static str, &'static str),
        asked: &Value,
    ) -> Result<Value, AwsError> {
        let turn = || self.turn(family);
        self.sender.ask_json(place, &Question::json(op, target, asked), &turn).await
    }

    fn turn(&self, family: pace::Family) -> BoxFuture<'_, ()> {
        Box::pin(self.pace.turn(family))
    }
}

/// For clients that make a few calls now and then. The adaptive retry takes the rate at which it was calling for the one that
/// AWS bears: of a client that hardly calls it makes one that waits eight seconds after a single throttle. Here the pace alone
/// keeps the rate.
fn looks(sdk: &SdkConfig) -> SdkConfig {
    let tries = sdk.retry_config().map_or(signed::TRIES, RetryConfig::max_attempts).max(1);
    sdk.to_builder().retry_config(RetryConfig::standard().with_max_attempts(tries)).build()
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
