//! The facts behind the pull check, gathered from AWS ([`AwsEvidence`]; judged by `plan::pull_check`).
//!
//! ```text
//! puller    whose tasks they are           STS, Organizations           here
//! ecr       the image and its policies     ECR                          image, manifest
//! role      who pulls, and may what        IAM, CloudFormation          role
//! network   over what                      EC2, CloudFormation          network
//! passing   the roles that are handed over STS, IAM                     passing
//! ```
//!
//! All are asked for side by side, and each by itself: what can't be looked up is unknown, with the call that failed, and takes
//! nothing else with it. Only when AWS answers to nothing at all there is an error. What changes seldom is kept for ten minutes
//! for questions that bear it ([`kept`], `Age::Recent`), and what is the instance's own is looked at beforehand ([`set_up`]).
//!
//! The rights that the server's role needs for all of it; each that is lacking leaves its facts unknown:
//! - `sts:GetCallerIdentity` (everybody has it), `organizations:DescribeOrganization`, `organizations:ListParents`;
//! - `ecr:BatchGetImage`, `ecr:BatchCheckLayerAvailability`, `ecr:GetDownloadUrlForLayer`, `ecr:DescribeImages`,
//!   `ecr:GetRepositoryPolicy`, `ecr:GetRegistryPolicy`, `ecr:GetAccountSetting`, `ecr:DescribePullThroughCacheRules`;
//! - `iam:GetRole`, `iam:SimulatePrincipalPolicy`, or instead of that `iam:ListAttachedRolePolicies`, `iam:GetPolicy`,
//!   `iam:GetPolicyVersion`, `iam:ListRolePolicies`, `iam:GetRolePolicy`;
//! - `ec2:DescribeSubnets`, `ec2:DescribeRouteTables`, `ec2:DescribeVpcEndpoints`, `ec2:DescribeSecurityGroups`;
//! - `cloudformation:DescribeStacks`, `cloudformation:DescribeStackResources`.

mod image;
mod kept;
mod machine;
mod manifest;
mod network;
mod passing;
mod role;
pub(super) mod set_up;
mod simulations;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use layer0_domain::model::image_map::{EcrHost, partition_of};
use layer0_domain::model::registry::Platform;
use layer0_domain::port::engine::EngineError;
use layer0_domain::port::pull::aws::{AwsEvidence, EcrEvidence, EcrImage, Organization, Passing, Puller};
use layer0_domain::port::pull::{Age, AnsweredBy, Fact, LogGroup, PullEvidence, PullQuestion, StartUses};
use tokio::time::Instant;

pub(super) use self::kept::KeptFacts;
use self::kept::{KEPT_FOR, Kept};
use super::aws::AwsError;
use super::state::Shared;

/// How long each look may take, with all that it asks and repeats: whoever starts something waits for it.
const LOOK_MAX: Duration = Duration::from_secs(20);

/// One gathering.
struct Gathering<'a> {
    shared: &'a Shared,
    question: &'a PullQuestion,
    /// What the image will run on.
    platform: Platform,
    /// Why that is not certain.
    unsure_of_platform: Option<String>,
    /// When it began.
    began: Instant,
    /// Whether something was used that was asked for before that.
    of_before: AtomicBool,
    /// Whether AWS answered to anything.
    answered: AtomicBool,
    /// How it failed to answer first.
    silence: Mutex<Option<AwsError>>,
}

/// What can be found out about a pull.
///
/// # Errors
/// `Unavailable` when AWS answers to nothing.
pub(super) async fn gather(shared: &Shared, question: &PullQuestion) -> Result<PullEvidence, EngineError> {
    let gathering = Gathering::new(shared, question);
    let aws = Box::pin(gathering.all()).await;
    match gathering.silence() {
        Some(error) => Err(error.into()),
        // The registries of others ask for credentials that are the tasks', not this server's; from here nobody asks them.
        None => Ok(PullEvidence { platform: gathering.platform, local: None, remote: None, aws: Some(Box::new(aws)) }),
    }
}

impl<'a> Gathering<'a> {
    fn new(shared: &'a Shared, question: &'a PullQuestion) -> Self {
        let (platform, unsure_of_platform) = machine::platform(shared, question);
        Self {
            shared,
            question,
            platform,
            unsure_of_platform,
            began: Instant::now(),
            of_before: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            silence: Mutex::default(),
        }
    }

    /// How AWS failed to answer, when it answered to nothing.
    fn silence(&self) -> Option<AwsError> {
        let silence = self.silence.lock().unwrap_or_else(PoisonError::into_inner).take();
        silence.filter(|_| !self.answered.load(Ordering::Relaxed))
    }

    async fn all(&self) -> AwsEvidence {
        let account = async { self.fact(self.shared.aws.account().await) };
        let account = self.within(LOOK_MAX, "the look at the account", account).shared();
        let host = match self.question.registry {
            AnsweredBy::Registry => self.question.image.host().and_then(EcrHost::parse),
            AnsweredBy::Us => None,
        };
        let policy = async {
            match &host {
                Some(host) if self.is_within_reach(host) => {
                    self.fact(self.shared.aws.repository_policy(host, self.question.image.path()).await)
                }
                Some(host) => Fact::Unknown(out_of_reach(host)),
                None => Fact::Known(None),
            }
        };
        let policy = self.within(LOOK_MAX, "the look at the repository's policy", policy).shared();
        let ecr = async {
            match &host {
                Some(host) => Some(Box::pin(self.ecr(host, account.clone(), policy.clone())).await),
                None => None,
            }
        };
        let organization = self.organization(host.is_some(), account.clone());
        let role = self.role(host.as_ref(), account.clone(), policy.clone());
        // On the heap: all the looks in one place are more than the stack of a thread holds in a build for tests.
        let passing = async { Fact::Known(Box::pin(self.passing()).await) };
        let (owner, organization, ecr, role, network, passing) = futures_util::join!(
            account.clone(),
            self.within(LOOK_MAX, "the look at the organization", organization),
            ecr,
            self.within(LOOK_MAX, "the look at the role", role),
            self.within(LOOK_MAX, "the look at the network", self.network()),
            self.within(LOOK_MAX, "the look at the roles that are passed", passing),
        );
        let passing = match passing {
            Fact::Known(passing) => passing,
            Fact::Unknown(why) => Some(Passing { passer: Fact::Unknown(why), roles: Vec::new() }),
        };
        let puller = Puller { account: owner, organization, region: self.shared.config.region.clone() };
        let is_of_now = !self.of_before.load(Ordering::Relaxed);
        let unsure_of_platform = self.unsure_of_platform.clone();
        AwsEvidence { puller, ecr, role, network, passing, added: self.added(), unsure_of_platform, is_of_now }
    }

    /// An answer about what changes seldom: one that was kept, where the question bears that.
    async fn kept<T: Clone>(
        &self,
        of: &Kept<T>,
        key: impl Into<String>,
        ask: impl Future<Output = Result<T, AwsError>>,
    ) -> Result<T, AwsError> {
        let (answer, at) = of.get(key.into(), self.since(), self.began, ask).await?;
        self.note(at);
        Ok(answer)
    }

    /// An answer that was kept, where there is one that the question bears.
    fn kept_before<T: Clone>(&self, of: &Kept<T>, key: &str) -> Option<T> {
        let (answer, at) = of.before(key, self.since(), self.began)?;
        self.note(at);
        Some(answer)
    }

    /// How old an answer may be.
    fn since(&self) -> Instant {
        match self.question.age {
            Age::Now => self.began,
            // Nothing is older when the machine itself is not.
            Age::Recent => self.began.checked_sub(KEPT_FOR).unwrap_or(self.began),
        }
    }

    /// Notes when something was asked for that is used.
    fn note(&self, at: Instant) {
        if at < self.began {
            self.of_before.store(true, Ordering::Relaxed);
        }
    }

    /// The log group that containers write to whose definition says nothing of logs.
    fn added(&self) -> StartUses {
        let environment = self.question.environment.as_ref().filter(|_| !self.question.uses.has_own_logs);
        let group =
            environment.map(|id| LogGroup { name: self.shared.names.environment(id), region: None, is_made: false });
        StartUses { log_groups: group.into_iter().collect(), ..StartUses::default() }
    }

    /// A look, unless it takes too long. On the heap: the SDK's futures are large, and several of them in one another took
    /// more stack than a thread has.
    async fn within<T>(&self, limit: Duration, look: &'static str, fact: impl Future<Output = Fact<T>>) -> Fact<T> {
        match tokio::time::timeout(limit, Box::pin(fact)).await {
            Ok(fact) => fact,
            Err(late) => Fact::Unknown(self.reason(AwsError::late(look, late))),
        }
    }

    /// What came of a look, or why it is not known.
    fn fact<T>(&self, looked: Result<T, AwsError>) -> Fact<T> {
        match looked {
            Ok(value) => {
                self.answered.store(true, Ordering::Relaxed);
                Fact::Known(value)
            }
            Err(error) => Fact::Unknown(self.reason(error)),
        }
    }

    /// Why something is not known.
    fn reason(&self, error: AwsError) -> String {
        let reason = error.reason();
        if error.is_silence() {
            self.silence.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        } else {
            self.answered.store(true, Ordering::Relaxed);
        }
        reason
    }

    /// Credentials are good in one partition only.
    fn is_within_reach(&self, host: &EcrHost) -> bool {
        host.partition() == partition_of(&self.shared.config.region)
    }

    async fn ecr(
        &self,
        host: &EcrHost,
        account: impl Future<Output = Fact<String>> + Clone,
        policy: impl Future<Output = Fact<Option<String>>>,
    ) -> EcrEvidence {
        if !self.is_within_reach(host) {
            let why = out_of_reach(host);
            return EcrEvidence {
                host: host.clone(),
                image: Fact::Unknown(why.clone()),
                repository_policy: Fact::Unknown(why.clone()),
                registry_policy: Fact::Unknown(why.clone()),
                cache_rule: Fact::Unknown(why),
            };
        }
        let (image, repository_policy, registry_policy) = futures_util::join!(
            self.within(LOOK_MAX, "the look at the image", self.image(host)),
            policy,
            self.within(LOOK_MAX, "the look at the registry's policy", self.registry_policy(host, account.clone())),
        );
        let cache_rule = match image {
            Fact::Known(EcrImage::NoRepository | EcrImage::NoImage { .. }) => {
                let rule = self.cache_rule(host, account);
                self.within(LOOK_MAX, "the look at the pull-through cache rules", rule).await
            }
            Fact::Known(EcrImage::Found { .. }) | Fact::Unknown(_) => Fact::Known(None),
        };
        EcrEvidence { host: host.clone(), image, repository_policy, registry_policy, cache_rule }
    }

    /// Where the account stands. Only policies of repositories ask for it.
    async fn organization(
        &self,
        is_wanted: bool,
        account: impl Future<Output = Fact<String>>,
    ) -> Fact<Option<Organization>> {
        if !is_wanted {
            return Fact::Unknown("nothing hangs on it".to_owned());
        }
        let (aws, kept) = (&self.shared.aws, &self.shared.kept);
        let (account, id) = futures_util::join!(account, self.kept(&kept.organization, "", aws.organization()));
        let id = match self.fact(id) {
            Fact::Known(Some(id)) => id,
            Fact::Known(None) => return Fact::Known(None),
            Fact::Unknown(why) => return Fact::Unknown(why),
        };
        let path = match account {
            Fact::Known(account) => {
                let units = self.kept(&kept.units, account.as_str(), aws.organization_units(&account)).await;
                self.fact(units).known().map(|units| format!("{id}/{}/", units.join("/")))
            }
            Fact::Unknown(_) => None,
        };
        Fact::Known(Some(Organization { id, path }))
    }
}

fn out_of_reach(host: &EcrHost) -> String {
    format!(
        "{} is in another partition ({}), where this account's credentials are not good",
        host.region,
        host.partition()
    )
}

#[cfg(test)]
mod tests {
    use layer0_domain::model::image::ImageRef;

    use super::*;
    use crate::ecs::aws::{Aws, Rates};
    use crate::ecs::{EcsConfig, connect};

    #[tokio::test]
    async fn what_takes_too_long_is_unknown_and_counts_as_no_answer() {
        let connection = connect(Some("us-east-1"), Some("http://127.0.0.1:1")).await.expect("a region is given");
        let config = EcsConfig::new("it".to_owned(), "it-1".to_owned(), connection.region);
        let shared = Shared::new(config, Aws::new(&connection.sdk, Rates::default()));
        let image = ImageRef::parse("docker.io/library/nginx:1").expect("a reference");
        let question = PullQuestion::about(image, AnsweredBy::Registry);
        let gathering = Gathering::new(&shared, &question);
        let never = std::future::pending::<Fact<()>>();
        let fact = gathering.within(Duration::ZERO, "the look at the role", never).await;
        assert_eq!(fact, Fact::Unknown("the look at the role was not answered: it took too long".to_owned()));
        assert!(gathering.silence().is_some());

        let never = std::future::pending::<Fact<()>>();
        gathering.within(Duration::ZERO, "the look at the role", never).await;
        assert_eq!(gathering.fact(Ok(1)), Fact::Known(1));
        assert!(gathering.silence().is_none(), "something was answered");
    }
}
