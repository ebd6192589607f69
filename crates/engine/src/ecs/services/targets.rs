//! What load balancers find of a service's copies: whether a copy is healthy is theirs to say, and not known before they do.
//!
//! An ALB and an NLB know copies, by their addresses. A classic load balancer knows machines: of a copy that has no address of
//! its own ECS tells the container instance, and of that the machine, once and for all. They are asked while something of the
//! service is under way, once each a look. Without the right to ask a classic one, its copies count as those that nobody checks.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use layer0_domain::model::id::ServiceId;
use layer0_domain::model::time::Generation;
use layer0_domain::port::engine::CopyState;
use tokio::time::Instant;

use super::ServiceState;
use super::plan::{self, Place};
use crate::ecs::aws::{AwsError, EcsTask, Finding, Kind, TargetHealth, TargetOf};
use crate::ecs::state::Shared;

/// How long the calls are left alone after one of them was refused: a right may be given meanwhile.
const REFUSED: Duration = Duration::from_secs(600);

/// The most machines that are remembered. To ask for them once more costs a call for a hundred.
const MACHINES_MAX: usize = 10_000;

/// What load balancers find of a service's copies, as it was asked last.
#[derive(Debug, Default)]
pub(super) struct Targets {
    /// How each target is.
    found: Vec<TargetHealth>,
    /// The EC2 ids of the machines of its copies, by container instance.
    machines: HashMap<String, String>,
    /// Why a classic load balancer can't be asked.
    unasked: Option<String>,
}

impl Targets {
    /// That a classic load balancer can't be asked, and why.
    fn unasked(&self) -> Option<String> {
        let why = self.unasked.as_ref()?;
        Some(format!("what the classic load balancer finds of its machines is not known ({why})"))
    }
}

/// Whether a task runs and is to go on.
fn runs(task: &EcsTask) -> bool {
    task.wanted && task.status == "RUNNING"
}

/// What is known of machines behind classic load balancers, of all services.
#[derive(Debug, Default)]
pub(in crate::ecs) struct Machines {
    /// EC2 ids by container instance: neither becomes the other's again.
    known: HashMap<String, String>,
    /// When a call was refused last, and how.
    refused: Option<(Instant, String)>,
}

/// Who is to be asked about a service's copies.
#[derive(Debug, Default)]
struct Asked {
    groups: Vec<String>,
    /// Names of classic load balancers.
    classic: BTreeSet<String>,
    /// The container instances of its copies that run.
    instances: BTreeSet<String>,
}

impl ServiceState {
    /// How load balancers find a task that runs; `None` where none is there that can be asked.
    pub(super) fn found(&self, task: &EcsTask) -> Option<CopyState> {
        let targets = self.seen.as_ref().map(|seen| seen.targets.as_slice()).unwrap_or_default();
        let in_groups = targets.iter().any(|it| matches!(it.of, TargetOf::Group(_)));
        let in_classic = targets.iter().any(|it| matches!(it.of, TargetOf::Classic(_)));
        let in_classic = in_classic && self.targets.unasked.is_none();
        if !in_groups && !in_classic {
            return None;
        }
        let address = task.address.as_deref().filter(|_| in_groups);
        let machine = task.machine.as_ref().and_then(|it| self.targets.machines.get(it)).filter(|_| in_classic);
        let names = [address, machine.map(String::as_str)];
        let of_task = |it: &&TargetHealth| names.contains(&Some(it.name.as_str()));
        let mut findings = self.targets.found.iter().filter(of_task).map(|it| it.finding).peekable();
        if findings.peek().is_none() {
            return Some(CopyState::Starting);
        }
        Some(findings.fold(CopyState::Healthy, |state, finding| match (finding, state) {
            (Finding::Unhealthy, _) | (_, CopyState::Unhealthy) => CopyState::Unhealthy,
            (Finding::Healthy, state) => state,
            (Finding::Idle | Finding::Unsure, _) => CopyState::Starting,
        }))
    }

    /// What the load balancer says of targets that are not healthy: of those that fail, else of those that it does not use,
    /// which never get healthy by themselves.
    pub(super) fn target_trouble(&self) -> Option<String> {
        let of =
            |finding: Finding| self.targets.found.iter().find(move |it| it.finding == finding && !it.reason.is_empty());
        let target = of(Finding::Unhealthy).or_else(|| of(Finding::Idle))?;
        let name = match target.port {
            Some(port) => format!("{}:{port}", target.name),
            None => target.name.clone(),
        };
        Some(format!("the load balancer to find {name} healthy ({})", target.reason))
    }

    /// What the user should know when its classic load balancer can't be asked.
    pub(super) fn unasked(&self, settle: Duration) -> Option<String> {
        let what = self.targets.unasked()?;
        Some(format!("{what}: a copy without a check of its own counts as healthy when it has run for {settle:?}"))
    }

    /// What the user should know when ECS gave up registering it where its load balancer wants it to be.
    pub(super) fn unregistered(&self, place: &Result<Place, String>, balancer: Option<Generation>) -> Option<String> {
        let why = self.stays_registered(balancer)?;
        let (seen, place) = (self.seen.as_ref()?, place.as_ref().ok()?);
        let why = if why.is_empty() { String::new() } else { format!(" (ECS: {why})") };
        (place.targets != plan::sorted(&seen.targets)).then(|| {
            format!(
                "it is not registered for all ports of its load balancer: copies that were did not come up, and ECS went \
                 back{why}; another deploy, or a change of the load balancer, has it tried again"
            )
        })
    }

    /// What is waited for then, while copies come up.
    pub(super) fn settling(&self, settle: Duration) -> Option<String> {
        let what = self.targets.unasked()?;
        let comes_up = |task: &EcsTask| runs(task) && !self.is_healthy(task, settle);
        self.tasks.iter().any(comes_up).then(|| format!("copies to run for {settle:?}, since {what}"))
    }

    /// Whom to ask about its copies.
    fn asked(&self) -> Asked {
        let mut asked = Asked::default();
        for target in self.seen.iter().flat_map(|seen| &seen.targets) {
            match &target.of {
                TargetOf::Group(arn) => asked.groups.push(arn.clone()),
                TargetOf::Classic(name) => {
                    asked.classic.insert(name.clone());
                }
            }
        }
        asked.instances.extend(self.tasks.iter().filter(|task| runs(task)).filter_map(|task| task.machine.clone()));
        asked
    }
}

impl Shared {
    /// Asks the load balancers of a service how they find its copies.
    pub(in crate::ecs) async fn targets_take_in(&self, cluster: &str, id: &ServiceId) -> Result<(), AwsError> {
        let asked = match self.state().services.get(id).filter(|service| service.seen.is_some()) {
            Some(service) => service.asked(),
            None => return Ok(()),
        };
        let mut targets = Targets::default();
        for group in &asked.groups {
            targets.found.extend(self.aws.targets_health(group).await?);
        }
        // Of copies that don't run nobody asks how their machines are found.
        if !asked.classic.is_empty() && !asked.instances.is_empty() {
            self.classic_take_in(cluster, &asked, &mut targets).await?;
        }
        let mut state = self.state();
        if let Some(service) = state.services.get_mut(id) {
            service.targets = targets;
            // Whether a task is healthy may have changed with it.
            let tasks = std::mem::take(&mut service.tasks);
            // What failed was counted when its tasks were read.
            let _ = service.tasks_put(&self.names, tasks, self.config.settle);
        }
        Ok(())
    }

    /// Asks classic load balancers, unless that was refused lately.
    async fn classic_take_in(&self, cluster: &str, asked: &Asked, targets: &mut Targets) -> Result<(), AwsError> {
        let refused = self.machines().refused.clone();
        if let Some((_, why)) = refused.filter(|(at, _)| at.elapsed() < REFUSED) {
            targets.unasked = Some(why);
            return Ok(());
        }
        let found = async {
            targets.machines = self.machines_of(cluster, &asked.instances).await?;
            for balancer in &asked.classic {
                targets.found.extend(self.aws.machines_health(balancer).await?);
            }
            Ok::<_, AwsError>(())
        };
        match found.await {
            // For want of good credentials all calls fail, and are made again.
            Err(error) if error.is_denial() || error.kind == Kind::Refused => {
                tracing::info!(error = %error, "what classic load balancers find of machines is not known");
                self.machines().refused = Some((Instant::now(), error.reason()));
                targets.unasked = Some(error.reason());
                Ok(())
            }
            found => found,
        }
    }

    /// The EC2 ids of container instances. Those that are not known yet are asked for, together.
    async fn machines_of(
        &self,
        cluster: &str,
        instances: &BTreeSet<String>,
    ) -> Result<HashMap<String, String>, AwsError> {
        let (mut found, mut unknown) = (HashMap::new(), Vec::new());
        {
            let machines = self.machines();
            for id in instances {
                match machines.known.get(id) {
                    Some(machine) => {
                        found.insert(id.clone(), machine.clone());
                    }
                    None => unknown.push(id.clone()),
                }
            }
        }
        if !unknown.is_empty() {
            let new = self.aws.machines_describe(cluster, &unknown).await?;
            let mut machines = self.machines();
            if machines.known.len() + new.len() > MACHINES_MAX {
                machines.known.clear();
            }
            machines.known.extend(new.iter().cloned());
            found.extend(new);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_the_load_balancer_does_not_use_is_told_after_one_that_fails() {
        let target = |name: &str, finding, reason: &str| TargetHealth {
            name: name.to_owned(),
            port: Some(80),
            finding,
            reason: reason.to_owned(),
        };
        let zone = "Target is in an Availability Zone that is not enabled for the load balancer";
        let idle = target("10.0.0.1", Finding::Idle, zone);
        let fails = target("10.0.0.2", Finding::Unhealthy, "Request timed out");
        let rest = [target("10.0.0.3", Finding::Unsure, "Target registration is in progress")];
        let told = |found: &[TargetHealth]| {
            let targets = Targets { found: found.to_vec(), ..Targets::default() };
            ServiceState { targets, ..ServiceState::default() }.target_trouble()
        };
        assert_eq!(told(&rest), None);
        let words = format!("the load balancer to find 10.0.0.1:80 healthy ({zone})");
        assert_eq!(told(&[rest[0].clone(), idle.clone()]), Some(words));
        let words = "the load balancer to find 10.0.0.2:80 healthy (Request timed out)";
        assert_eq!(told(&[idle, fails]).as_deref(), Some(words));
    }
}
