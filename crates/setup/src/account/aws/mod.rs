//! An account at AWS: CloudFormation, ECR, ECS, DynamoDB and CloudWatch Logs by their SDKs, which the servers use too, and all others by
//! signed calls ([`layer0_aws::signed`]). Nothing outside of it names a type of either.
//!
//! ```text
//! stacks     CloudFormation
//! network    EC2: zones, VPCs, how subnets reach what is outside
//! facts      certificates, hosted zones, quotas
//! registry   the repository of the servers' image
//! push       ECR's registry itself, by the distribution protocol
//! keeps      Secrets Manager and the Parameter Store
//! remains    what there is for an instance
//! clusters   what runs of it
//! remove     how it goes
//! bucket     S3: which buckets there are, and how one is emptied
//! servers    what ECS and their log say of the servers
//! roles      IAM: whose tags no list tells of
//! others     whatever else has the instance's tag
//! json       the services that speak it
//! ```

mod bucket;
mod clusters;
mod error;
mod facts;
mod json;
mod keeps;
mod network;
mod others;
mod push;
mod registry;
mod remains;
mod remove;
mod roles;
mod servers;
mod stacks;
#[cfg(test)]
mod testing;

use std::collections::BTreeMap;
use std::future::Future;

use async_trait::async_trait;
use aws_config::retry::RetryConfig;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use layer0_aws::signed::{Place, Sender};
use layer0_aws::{AwsError, ConnectError, Connection, connect};
use layer0_domain::model::grant::AccountId;

use super::{
    Account, AccountError, CertificateSeen, ChangeSet, Event, HostedZone, Identity, PlanWanted, Quota, Remain, Secret,
    Servers, Stack, Vpc,
};
use crate::image::Image;

/// Tries of one call.
const TRIES: u32 = 6;

/// An account at AWS, in one region.
pub struct AwsAccount {
    connection: Connection,
    stacks: aws_sdk_cloudformation::Client,
    registry: aws_sdk_ecr::Client,
    sts: aws_sdk_sts::Client,
    sender: Sender,
}

impl AwsAccount {
    /// The account that a connection's credentials are of. Nothing is asked yet.
    #[must_use]
    pub fn new(connection: &Connection) -> Self {
        // A few calls now and then: by the adaptive retry one throttle would slow all that follow.
        let retry = RetryConfig::standard().with_max_attempts(TRIES);
        let sdk = connection.sdk.to_builder().retry_config(retry).build();
        Self {
            stacks: aws_sdk_cloudformation::Client::new(&sdk),
            registry: aws_sdk_ecr::Client::new(&sdk),
            sts: aws_sdk_sts::Client::new(&sdk),
            sender: Sender::new(&sdk),
            connection: Connection { sdk, region: connection.region.clone() },
        }
    }

    /// The account that the SDK's default chain leads to, in a region or in the chain's own.
    ///
    /// # Errors
    /// [`ConnectError`]: no region, or no credentials.
    pub async fn connect(region: Option<&str>) -> Result<Self, ConnectError> {
        let connection = connect(region, None).await?;
        connection.credentials_check().await?;
        Ok(Self::new(&connection))
    }

    /// Its region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.connection.region
    }

    /// Makes a call by an SDK. On the heap, as the SDK's futures are tens of kilobytes each.
    async fn send<T, E>(
        &self,
        op: &'static str,
        call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send,
    ) -> Result<T, AwsError>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        Box::pin(call).await.map_err(|error| AwsError::of(op, error))
    }

    /// A service of this region that is called without an SDK; `id` is what its endpoint is set by.
    fn place(&self, service: &'static str, id: &str) -> Place {
        self.sender.place(service, id, &self.connection.region)
    }
}

/// Tags as a map.
fn tags<'a>(pairs: impl Iterator<Item = (Option<&'a str>, Option<&'a str>)>) -> BTreeMap<String, String> {
    pairs.filter_map(|(key, value)| Some((key?.to_owned(), value?.to_owned()))).collect()
}

/// The last part of an ARN or of a name with a path.
fn last(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

#[async_trait]
impl Account for AwsAccount {
    async fn identity(&self) -> Result<Identity, AccountError> {
        let op = "sts:GetCallerIdentity";
        let answer = self.send(op, self.sts.get_caller_identity().send()).await?;
        let account = answer.account.and_then(|account| AccountId::parse(&account).ok());
        let account = account.ok_or_else(|| error::refused(op, "the answer has no account"))?;
        Ok(Identity { account, arn: answer.arn.unwrap_or_default() })
    }

    async fn zones(&self) -> Result<Vec<String>, AccountError> {
        Ok(self.zones_available().await?)
    }

    async fn vpcs(&self) -> Result<Vec<Vpc>, AccountError> {
        Ok(self.vpcs_bare().await?)
    }

    async fn vpc(&self, id: &str) -> Result<Option<Vpc>, AccountError> {
        Ok(self.vpc_whole(id).await?)
    }

    async fn certificate(&self, arn: &str) -> Result<Option<CertificateSeen>, AccountError> {
        Ok(self.certificate_read(arn).await?)
    }

    async fn hosted_zones(&self) -> Result<Vec<HostedZone>, AccountError> {
        Ok(self.hosted_zones_all().await?)
    }

    async fn quotas(&self) -> Result<Vec<Quota>, AccountError> {
        Ok(self.quotas_read().await)
    }

    async fn stack(&self, name: &str) -> Result<Option<Stack>, AccountError> {
        self.stack_describe(name).await
    }

    async fn stacks(&self) -> Result<Vec<Stack>, AccountError> {
        self.stacks_ours().await
    }

    async fn template(&self, stack: &str) -> Result<Option<String>, AccountError> {
        self.stack_template(stack).await
    }

    async fn plan(&self, wanted: &PlanWanted) -> Result<(), AccountError> {
        self.change_set_create(wanted).await
    }

    async fn planned(&self, stack: &str, plan: &str) -> Result<Option<ChangeSet>, AccountError> {
        self.change_set(stack, plan).await
    }

    async fn execute(&self, stack: &str, plan: &str) -> Result<(), AccountError> {
        self.change_set_execute(stack, plan).await
    }

    async fn plan_forget(&self, stack: &str, plan: &str) -> Result<(), AccountError> {
        self.change_set_delete(stack, plan).await
    }

    async fn events(&self, stack: &str, after: Option<&str>) -> Result<Vec<Event>, AccountError> {
        self.stack_events(stack, after).await
    }

    async fn stack_delete(&self, stack: &str, keep: &[String]) -> Result<(), AccountError> {
        self.stack_remove(stack, keep).await
    }

    async fn rollback_continue(&self, stack: &str, skip: &[String]) -> Result<(), AccountError> {
        self.rollback_go_on(stack, skip).await
    }

    async fn registry(&self) -> Result<String, AccountError> {
        self.registry_host().await
    }

    async fn repository(&self, name: &str, instance: &str) -> Result<(), AccountError> {
        self.repository_ensure(name, instance).await
    }

    async fn image_push(&self, repository: &str, image: &Image, tag: &str) -> Result<(), AccountError> {
        self.image_send(repository, image, tag).await
    }

    async fn servers(&self, name: &str) -> Result<Option<Servers>, AccountError> {
        self.servers_seen(name).await
    }

    async fn secret(&self, id: &str) -> Result<Option<Secret>, AccountError> {
        self.secret_read(id).await
    }

    async fn parameter(&self, name: &str) -> Result<Option<String>, AccountError> {
        self.parameter_read(name).await
    }

    async fn parameter_put(&self, name: &str, value: &str) -> Result<(), AccountError> {
        self.parameter_write(name, value).await
    }

    async fn remains(&self, instance: &str) -> Result<Vec<Remain>, AccountError> {
        self.remains_all(instance).await
    }

    async fn remove(&self, remain: &Remain) -> Result<(), AccountError> {
        self.remove_one(remain).await
    }
}
