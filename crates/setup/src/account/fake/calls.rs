//! The calls of the port.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::plans::refused;
use super::remains::{PARAMETER, REPOSITORY, SECRET};
use super::{FakeAccount, State, run};
use crate::account::{
    Account, AccountError, CertificateSeen, ChangeSet, Event, HostedZone, Identity, PlanWanted, Quota, Remain, Secret,
    Servers, Stack, TAG, Trouble, Vpc,
};
use crate::image::Image;

impl FakeAccount {
    /// Makes a call: what is set to go wrong before it and after it does.
    fn call<T>(
        &self,
        action: &'static str,
        does: impl FnOnce(&mut State) -> Result<T, AccountError>,
    ) -> Result<T, AccountError> {
        let state = &mut *self.state();
        state.world.faults.begin(action)?;
        let answer = does(state)?;
        state.world.faults.end(action)?;
        Ok(answer)
    }
}

#[async_trait]
impl Account for FakeAccount {
    async fn identity(&self) -> Result<Identity, AccountError> {
        self.call("sts:GetCallerIdentity", |state| {
            let account = state.world.account.clone();
            Ok(Identity { arn: format!("arn:aws:iam::{account}:user/fake"), account })
        })
    }

    async fn zones(&self) -> Result<Vec<String>, AccountError> {
        self.call("ec2:DescribeAvailabilityZones", |state| {
            let mut zones = state.world.zones.clone();
            zones.sort();
            Ok(zones)
        })
    }

    async fn vpcs(&self) -> Result<Vec<Vpc>, AccountError> {
        self.call("ec2:DescribeVpcs", |state| {
            let bare = |vpc: &Vpc| Vpc { subnets: Vec::new(), endpoints: Vec::new(), ..vpc.clone() };
            Ok(state.vpcs.iter().map(bare).collect())
        })
    }

    async fn vpc(&self, id: &str) -> Result<Option<Vpc>, AccountError> {
        self.call("ec2:DescribeVpcs", |state| Ok(state.vpcs.iter().find(|vpc| vpc.id == id).cloned()))
    }

    async fn certificate(&self, arn: &str) -> Result<Option<CertificateSeen>, AccountError> {
        self.call("acm:DescribeCertificate", |state| Ok(state.certificates.get(arn).cloned()))
    }

    async fn hosted_zones(&self) -> Result<Vec<HostedZone>, AccountError> {
        self.call("route53:ListHostedZones", |state| Ok(state.hosted_zones.clone()))
    }

    async fn quotas(&self) -> Result<Vec<Quota>, AccountError> {
        self.call("servicequotas:ListServiceQuotas", |state| Ok(state.quotas.clone()))
    }

    async fn stack(&self, name: &str) -> Result<Option<Stack>, AccountError> {
        self.call("cloudformation:DescribeStacks", |state| {
            state.looked();
            Ok(state.find(name).map(|(stack, _)| stack.seen()))
        })
    }

    async fn stacks(&self) -> Result<Vec<Stack>, AccountError> {
        self.call("cloudformation:DescribeStacks", |state| {
            let living = state.stacks.iter().filter(|stack| !stack.is_gone() && stack.made.tags.contains_key(TAG));
            Ok(living.map(super::stack::FakeStack::seen).collect())
        })
    }

    async fn template(&self, stack: &str) -> Result<Option<String>, AccountError> {
        self.call("cloudformation:GetTemplate", |state| {
            let made = state.find(stack).filter(|(stack, _)| !stack.is_review());
            Ok(made.map(|(stack, _)| stack.made.template.clone()))
        })
    }

    async fn plan(&self, wanted: &PlanWanted) -> Result<(), AccountError> {
        let action = "cloudformation:CreateChangeSet";
        self.call(action, |state| state.plan(action, wanted))
    }

    async fn planned(&self, stack: &str, plan: &str) -> Result<Option<ChangeSet>, AccountError> {
        self.call("cloudformation:DescribeChangeSet", |state| {
            let Some((found, _)) = state.find(stack) else { return Ok(None) };
            let seen = found.plans.iter().find(|it| it.wanted.name == plan).map(super::stack::FakePlan::seen);
            state.looked();
            Ok(seen)
        })
    }

    async fn execute(&self, stack: &str, plan: &str) -> Result<(), AccountError> {
        let action = "cloudformation:ExecuteChangeSet";
        self.call(action, |state| state.execute(action, stack, plan))
    }

    async fn plan_forget(&self, stack: &str, plan: &str) -> Result<(), AccountError> {
        self.call("cloudformation:DeleteChangeSet", |state| {
            if let Some((found, world)) = state.find(stack) {
                found.plans.retain(|it| it.wanted.name != plan);
                if found.is_review() && found.plans.is_empty() {
                    found.turn(world, "DELETE_COMPLETE", "");
                }
            }
            Ok(())
        })
    }

    async fn events(&self, stack: &str, after: Option<&str>) -> Result<Vec<Event>, AccountError> {
        let action = "cloudformation:DescribeStackEvents";
        self.call(action, |state| {
            state.looked();
            let (found, _) = state.existing(action, stack)?;
            let from = after.and_then(|id| found.events.iter().position(|event| event.id == id)).map_or(0, |at| at + 1);
            Ok(found.events[from..].to_vec())
        })
    }

    async fn stack_delete(&self, stack: &str, keep: &[String]) -> Result<(), AccountError> {
        let action = "cloudformation:DeleteStack";
        self.call(action, |state| state.delete(action, stack, keep))
    }

    async fn rollback_continue(&self, stack: &str, skip: &[String]) -> Result<(), AccountError> {
        let action = "cloudformation:ContinueUpdateRollback";
        self.call(action, |state| {
            let (found, world) = state.existing(action, stack)?;
            match found.status.as_str() {
                "UPDATE_ROLLBACK_FAILED" => run::go_on(found, world, skip),
                // It goes on already.
                "UPDATE_ROLLBACK_IN_PROGRESS"
                | "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"
                | "UPDATE_ROLLBACK_COMPLETE" => {}
                status => {
                    let words = format!(
                        "ValidationError: Stack [{}] is in {status} state and its rollback can't be continued.",
                        found.id
                    );
                    return refused(action, Trouble::Refused, words);
                }
            }
            Ok(())
        })
    }

    async fn registry(&self) -> Result<String, AccountError> {
        self.call("sts:GetCallerIdentity", |state| {
            Ok(format!("{}.dkr.ecr.{}.amazonaws.com", state.world.account, state.world.region))
        })
    }

    async fn repository(&self, name: &str, instance: &str) -> Result<(), AccountError> {
        let action = "ecr:CreateRepository";
        self.call(action, |state| {
            let tags = std::iter::once((TAG.to_owned(), instance.to_owned())).collect();
            let there =
                state.world.thing(REPOSITORY, name).map(|thing| thing.tags.get(TAG).is_some_and(|it| it == instance));
            match there {
                Some(true) => {}
                Some(false) => {
                    let words = format!("the repository {name} exists, and has not the tag {TAG}={instance}");
                    return refused(action, Trouble::Refused, words);
                }
                None => {
                    let made = state.world.make(REPOSITORY, json!({ "RepositoryName": name }), &tags, None);
                    made.or_else(|words| refused(action, Trouble::Refused, words))?;
                }
            }
            Ok(())
        })
    }

    async fn image_push(&self, repository: &str, image: &Image, tag: &str) -> Result<(), AccountError> {
        let action = "ecr:PutImage";
        self.call(action, |state| {
            let name = repository.split_once('/').map_or(repository, |(_, name)| name);
            if state.world.thing(REPOSITORY, name).is_none() {
                let words = format!("NAME_UNKNOWN: The repository with name '{name}' does not exist");
                return refused(action, Trouble::Refused, words);
            }
            state.images.insert((name.to_owned(), tag.to_owned()), image.digest());
            Ok(())
        })
    }

    async fn servers(&self, name: &str) -> Result<Option<Servers>, AccountError> {
        self.call("ecs:DescribeServices", |state| {
            let service = state.world.thing("AWS::ECS::Service", name);
            // ECS has a service while CloudFormation still waits for it.
            let comes = state.stacks.iter().any(|stack| stack.name == name && stack.is_moving());
            let wanted = service.map(|thing| thing.properties["DesiredCount"].as_u64().unwrap_or_default());
            let wanted = wanted.or(comes.then_some(0));
            Ok(wanted.and_then(|wanted| u32::try_from(wanted).ok()).map(|wanted| Servers {
                wanted,
                running: wanted.saturating_sub(u32::try_from(state.stopped.len()).unwrap_or(u32::MAX)),
                said: Vec::new(),
                stopped: state.stopped.clone(),
            }))
        })
    }

    async fn secret(&self, id: &str) -> Result<Option<Secret>, AccountError> {
        self.call("secretsmanager:GetSecretValue", |state| {
            let mut secrets = state.world.things.iter().filter(|thing| thing.kind == SECRET);
            Ok(secrets
                .find(|thing| thing.physical == id || thing.name == id)
                .map(|thing| Secret::new(thing.text.clone())))
        })
    }

    async fn parameter(&self, name: &str) -> Result<Option<String>, AccountError> {
        self.call("ssm:GetParameter", |state| {
            let found = state.world.thing(PARAMETER, name);
            Ok(found.and_then(|thing| thing.properties["Value"].as_str().map(str::to_owned)))
        })
    }

    async fn parameter_put(&self, name: &str, value: &str) -> Result<(), AccountError> {
        let action = "ssm:PutParameter";
        self.call(action, |state| {
            let found = state.world.things.iter_mut().find(|thing| thing.kind == PARAMETER && thing.name == name);
            let Some(found) = found else {
                return refused(action, Trouble::Refused, format!("ParameterNotFound: there is no parameter {name}"));
            };
            found.properties["Value"] = Value::from(value);
            Ok(())
        })
    }

    async fn remains(&self, instance: &str) -> Result<Vec<Remain>, AccountError> {
        self.call("tag:GetResources", |state| Ok(state.remains(instance)))
    }

    async fn remove(&self, remain: &Remain) -> Result<(), AccountError> {
        self.call("tag:RemoveOne", |state| state.remove(remain))
    }
}
