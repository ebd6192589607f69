//! Port `Account`: what setup asks of an AWS account, and what it does there. Every call may be repeated; none decides anything.

#[cfg(feature = "aws")]
pub mod aws;
mod error;
mod facts;
#[cfg(feature = "fake")]
pub mod fake;
mod remains;
mod servers;
mod stack;

use async_trait::async_trait;

pub use self::error::{AccountError, Trouble};
pub use self::facts::{CertificateSeen, HostedZone, Identity, Quota, SubnetSeen, Vpc, Wanted, Way};
pub use self::remains::{Kind, Remain};
pub use self::servers::{Servers, StoppedServer};
pub use self::stack::{
    Change, ChangeAction, ChangeSet, ChangeSetState, Event, PlanWanted, Replacement, Stack, TEMPLATE_MAX,
};

#[cfg(any(feature = "aws", feature = "fake"))]
use self::stack::fits;
use crate::image::Image;

/// The name of the tag on everything that setup makes; its value is the instance's name.
pub const TAG: &str = "layer0.setup";

/// A text that is shown to nobody but who asked for it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, for the one place that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// An account in one region.
#[async_trait]
pub trait Account: Send + Sync {
    /// Whose the credentials are (STS, `GetCallerIdentity`).
    async fn identity(&self) -> Result<Identity, AccountError>;

    /// The region's availability zones that can be used, in the order of their names.
    async fn zones(&self) -> Result<Vec<String>, AccountError>;

    /// The VPCs of the region, without their subnets.
    async fn vpcs(&self) -> Result<Vec<Vpc>, AccountError>;

    /// A VPC with its subnets, and how each of them reaches what is outside. `None` when there is none of this id.
    async fn vpc(&self, id: &str) -> Result<Option<Vpc>, AccountError>;

    /// A certificate by its ARN; `None` when this region has none. An ARN of another region is looked for there.
    async fn certificate(&self, arn: &str) -> Result<Option<CertificateSeen>, AccountError>;

    /// The hosted zones of the account.
    async fn hosted_zones(&self) -> Result<Vec<HostedZone>, AccountError>;

    /// How much of each quota that a stack draws on is used. A quota that can't be read is left out.
    async fn quotas(&self) -> Result<Vec<Quota>, AccountError>;

    /// A stack by its name; one that was deleted is none.
    async fn stack(&self, name: &str) -> Result<Option<Stack>, AccountError>;

    /// All stacks with the tag [`TAG`].
    async fn stacks(&self) -> Result<Vec<Stack>, AccountError>;

    /// The template that a stack was last made with, as it was handed in. `None` when there is no stack.
    async fn template(&self, stack: &str) -> Result<Option<String>, AccountError>;

    /// Begins to work out what a template would change; what exists already under a name of the template, and is in no stack, is
    /// taken in. Asked again under the same name it does nothing.
    async fn plan(&self, wanted: &PlanWanted) -> Result<(), AccountError>;

    /// What is known of a plan by its name. `None` when there is none.
    async fn planned(&self, stack: &str, plan: &str) -> Result<Option<ChangeSet>, AccountError>;

    /// Begins to carry out a plan.
    async fn execute(&self, stack: &str, plan: &str) -> Result<(), AccountError>;

    /// Forgets a plan, and a stack that there never was but for it.
    async fn plan_forget(&self, stack: &str, plan: &str) -> Result<(), AccountError>;

    /// What happened to a stack, the oldest first, after the event with this id; all that is known of when that is `None`. `stack` is
    /// its name, or its id once it is deleted.
    async fn events(&self, stack: &str, after: Option<&str>) -> Result<Vec<Event>, AccountError>;

    /// Begins to delete a stack; `keep` names resources (by logical id) that are left where they are. One that is not there is
    /// deleted.
    async fn stack_delete(&self, stack: &str, keep: &[String]) -> Result<(), AccountError>;

    /// Goes on with the rollback of an update that failed; `skip` names resources (by logical id) that are left as they are.
    async fn rollback_continue(&self, stack: &str, skip: &[String]) -> Result<(), AccountError>;

    /// What the names of images in the account's registry begin with, for those who pull: its host.
    async fn registry(&self) -> Result<String, AccountError>;

    /// Makes a repository of the servers' image with the tag of an instance, where it is not there. One that others made is refused.
    async fn repository(&self, name: &str, instance: &str) -> Result<(), AccountError>;

    /// Pushes an image under a tag, unless it is there.
    async fn image_push(&self, repository: &str, image: &Image, tag: &str) -> Result<(), AccountError>;

    /// The servers of an instance, by the name that their cluster, their service and their log group have. `None` when there are none.
    async fn servers(&self, name: &str) -> Result<Option<Servers>, AccountError>;

    /// The text of a secret by its ARN or name. `None` when there is none.
    async fn secret(&self, id: &str) -> Result<Option<Secret>, AccountError>;

    /// The text of a parameter of the Parameter Store. `None` when there is none.
    async fn parameter(&self, name: &str) -> Result<Option<String>, AccountError>;

    /// Writes over a parameter that is there.
    async fn parameter_put(&self, name: &str, value: &str) -> Result<(), AccountError>;

    /// All that is in the account for an instance: what setup made, and what its servers made for their users, by tag and, where a
    /// service has none, by name. What is being deleted counts until it is gone.
    async fn remains(&self, instance: &str) -> Result<Vec<Remain>, AccountError>;

    /// Takes one thing away, or begins to; one that is not there any more is gone.
    async fn remove(&self, remain: &Remain) -> Result<(), AccountError>;
}
