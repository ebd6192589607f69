//! The role that pulls, and what it may do: by simulation, which counts all that IAM counts, or by its documents where the
//! simulation is not allowed.

use layer0_domain::model::image_map::EcrHost;
use layer0_domain::plan::pull_check::{NeededRight, needed_rights};
use layer0_domain::port::pull::aws::{ActedBy, Decision, Role, RoleEvidence, RoleRights, Simulated};
use layer0_domain::port::pull::{Fact, Launch, PullQuestion};

use super::Gathering;
use super::simulations::Asked;
use crate::ecs::aws::{AwsError, Kind, RoleSeen};
use crate::ecs::template::MACHINE_ROLE;

impl Gathering<'_> {
    /// The role that pulls: the definition's, the instance's, or on machines without either theirs.
    pub(super) async fn role(
        &self,
        host: Option<&EcrHost>,
        account: impl Future<Output = Fact<String>>,
        policy: impl Future<Output = Fact<Option<String>>>,
    ) -> Fact<RoleEvidence> {
        let given = [&self.question.execution_role, &self.shared.config.execution_role];
        let given = given.into_iter().flatten().find(|role| !role.is_empty());
        let (named, acted_by) = match (given, self.question.launch) {
            (Some(named), _) => (named.clone(), ActedBy::Task),
            (None, Launch::Fargate) => return Fact::Known(RoleEvidence::NotGiven),
            (None, Launch::Ec2) => match self.machine_role().await {
                Fact::Known(named) => (named, ActedBy::Machine),
                Fact::Unknown(why) => return Fact::Unknown(why),
            },
        };
        let account = account.await;
        let is_arn = named.starts_with("arn:");
        let owner = named.split(':').nth(4).filter(|_| is_arn).map(str::to_owned);
        // IAM is asked by name alone: it would show a role of this account instead.
        if let (Some(owner), Some(account)) = (&owner, account.known())
            && owner != account
        {
            return Fact::Unknown(format!("{named} is a role of account {owner}, which can't be asked from {account}"));
        }
        let seen = match self.role_seen(name(&named)).await {
            Fact::Known(None) => return Fact::Known(RoleEvidence::Missing { arn: named }),
            // Another with the same name, on another path.
            Fact::Known(Some(seen)) if is_arn && seen.arn != named => {
                return Fact::Known(RoleEvidence::Missing { arn: named });
            }
            Fact::Known(Some(seen)) => Fact::Known(seen),
            Fact::Unknown(why) if is_arn => Fact::Unknown(why),
            Fact::Unknown(why) => return Fact::Unknown(why),
        };
        let arn = seen.known().map_or(named, |seen| seen.arn.clone());
        let owner = account.known().cloned().or(owner).or_else(|| arn.split(':').nth(4).map(str::to_owned));
        let owner = owner.unwrap_or_default();
        let uses = self.question.uses.and(&self.added());
        let question = PullQuestion { uses, ..self.question.clone() };
        let needed = needed_rights(&question, &owner, &self.shared.config.region);
        let is_own = host.is_some_and(|host| host.account == owner);
        let rights = match self.rights(&arn, &seen, &needed).await {
            Rights::Fact(rights) => rights,
            Rights::NoSuchRole => return Fact::Known(RoleEvidence::Missing { arn }),
        };
        // The simulation leaves the repository's policy out, which may give a role of its own account what its policies do
        // not; judged together with the documents it counts.
        let rights = match rights {
            Fact::Known(RoleRights::Simulated(results))
                if is_own && results.iter().any(lacks_ecr) && matches!(policy.await, Fact::Known(Some(_))) =>
            {
                match self.documents(&seen).await {
                    Fact::Known(documents) => Fact::Known(documents),
                    Fact::Unknown(_) => Fact::Known(RoleRights::Simulated(results)),
                }
            }
            other => other,
        };
        let trust = match seen {
            Fact::Known(seen) => seen.trust.map_or_else(|| Fact::Unknown("IAM shows none".to_owned()), Fact::Known),
            Fact::Unknown(why) => Fact::Unknown(why),
        };
        Fact::Known(RoleEvidence::Found(Role { arn, acted_by, trust, rights }))
    }

    /// A role of this account, by its name.
    pub(super) async fn role_seen(&self, name: &str) -> Fact<Option<RoleSeen>> {
        self.fact(self.kept(&self.shared.kept.roles, name, self.shared.aws.role(name)).await)
    }

    /// The role of the environment's machines: the one that all have, or what its stack made.
    async fn machine_role(&self) -> Fact<String> {
        let Some(environment) = &self.question.environment else {
            return Fact::Unknown("whose machines pull is not known: it was not asked for an environment".to_owned());
        };
        if let Some(name) = &self.shared.config.machine_profile {
            return Fact::Known(name.clone());
        }
        let stack = self.shared.names.environment(environment);
        match self.fact(self.shared.aws.stack_resource(&stack, MACHINE_ROLE).await) {
            Fact::Known(Some(name)) => Fact::Known(name),
            Fact::Known(None) => Fact::Unknown(format!("environment {environment} has no machines yet")),
            Fact::Unknown(why) => Fact::Unknown(why),
        }
    }

    async fn rights(&self, arn: &str, seen: &Fact<RoleSeen>, needed: &[NeededRight]) -> Rights {
        match self.simulated(arn, needed).await {
            Ok(results) => Rights::Fact(self.fact(Ok(RoleRights::Simulated(results)))),
            Err(error) if error.is_missing() => {
                self.reason(error);
                Rights::NoSuchRole
            }
            Err(error) if error.kind == Kind::Denied => {
                let simulation = self.reason(error);
                Rights::Fact(match self.documents(seen).await {
                    Fact::Known(documents) => Fact::Known(documents),
                    Fact::Unknown(why) if why == simulation => Fact::Unknown(why),
                    Fact::Unknown(why) => Fact::Unknown(format!("{simulation}, and {why}")),
                })
            }
            Err(error) => Rights::Fact(Fact::Unknown(self.reason(error))),
        }
    }

    async fn simulated(&self, arn: &str, needed: &[NeededRight]) -> Result<Vec<Simulated>, AwsError> {
        let asked = needed.iter().map(|right| Asked {
            role: arn,
            action: right.action,
            resource: &right.resource,
            region: self.region_of(&right.resource),
            more: None,
        });
        self.simulations(asked.collect()).await
    }

    /// Where something is asked for: in its own region, a token for ECR in the registry's.
    fn region_of(&self, resource: &str) -> String {
        let own = resource.split(':').nth(3).filter(|region| !region.is_empty()).map(str::to_owned);
        let registry = || self.question.image.host().and_then(EcrHost::parse).map(|host| host.region);
        own.or_else(registry).unwrap_or_else(|| self.shared.config.region.clone())
    }

    /// All documents that count for the role.
    pub(super) async fn documents(&self, seen: &Fact<RoleSeen>) -> Fact<RoleRights> {
        let seen = match seen {
            Fact::Known(seen) => seen,
            Fact::Unknown(why) => return Fact::Unknown(why.clone()),
        };
        let (aws, kept) = (&self.shared.aws, &self.shared.kept);
        let boundary = async {
            match &seen.boundary {
                Some(arn) => self.kept(&kept.policies, arn, aws.policy(arn)).await.map(Some),
                None => Ok(None),
            }
        };
        let policies = self.kept(&kept.role_policies, &seen.name, aws.role_policies(&seen.name));
        match futures_util::try_join!(policies, boundary) {
            Ok((policies, boundary)) => self.fact(Ok(RoleRights::Documents { policies, boundary })),
            Err(error) => Fact::Unknown(self.reason(error)),
        }
    }
}

/// What came of the look at a role's rights.
enum Rights {
    Fact(Fact<RoleRights>),
    /// The role that could not be looked at is not there.
    NoSuchRole,
}

fn lacks_ecr(result: &Simulated) -> bool {
    result.decision == Decision::ImplicitDeny && result.action.starts_with("ecr:") && result.resource != "*"
}

/// A role's name: what is behind the last `/` of its ARN.
pub(super) fn name(role: &str) -> &str {
    role.rsplit('/').next().unwrap_or(role)
}
