//! Following ECS's own record of a roll-out, the service deployment: whether ECS gave it up, and why.
//!
//! It is read only while one runs, twenty a call. Where it can't be (no right, an older endpoint), what `DescribeServices` shows
//! of deployments and events, and our own count of failures, have to do.

use std::time::Duration;

use layer0_domain::model::failure::{Failure, FailureClass};
use layer0_domain::model::id::{DeploymentId, ServiceId};
use layer0_domain::model::time::Generation;
use layer0_domain::plan::service::START_FAILURES;
use layer0_domain::port::engine::{ServiceSpec, StartFailures};
use tokio::time::Instant;

use super::ServiceState;
use crate::ecs::aws::{AwsError, EcsDeployment, EcsRollout, EcsService, RolloutStatus};
use crate::ecs::names::Names;
use crate::ecs::state::Shared;

/// How long the calls are left alone after one of them was refused: a right may be given meanwhile.
const REFUSED: Duration = Duration::from_secs(600);

/// The service deployment that was looked at last.
#[derive(Debug)]
pub(super) struct RolloutKnown {
    /// As ECS had it.
    pub(super) seen: EcsRollout,
    /// The deployment that it rolls out, where that is known.
    pub(super) of: Option<DeploymentId>,
    /// ECS's id of the deployment that it rolls out, where that is known.
    pub(super) by: Option<String>,
}

/// ECS went back *within* the wanted deployment: somebody had it rolled out anew, or it was to be registered elsewhere, and the
/// new copies did not come up. The copies before are of the wanted deployment too, so it stands; only what was to be changed
/// about it is given up.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct WentBack {
    /// By what this is told from the next time: the service deployment, or ECS's deployment where only that is shown.
    mark: String,
    /// What was wanted: the deployment, and its load balancer as it was.
    deployment: DeploymentId,
    balancer: Option<Generation>,
    /// Why, in ECS's words.
    why: String,
    /// Whether ECS is back. Copies of what it gave up may fail until then.
    is_over: bool,
}

impl ServiceState {
    /// Notes that ECS goes back, or went back, within the wanted deployment. Its failed starts are those of what was given up:
    /// they say nothing about the copies that run, or about more of them.
    pub(super) fn went_back_note(&mut self, names: &Names, balancer: Option<Generation>) {
        let (Some(spec), Some(seen)) = (&self.spec, &self.seen) else { return };
        let deployment = spec.revision.deployment.clone();
        let family = names.deployment_family(&spec.id, &deployment);
        let stands = |it: &&EcsDeployment| it.is_primary && it.family == family && !it.has_failed;
        let Some(primary) = seen.deployments.iter().find(stands) else { return };
        let shown = seen.deployments.iter().find(|it| it.family == family && it.has_failed);
        let (mark, why, is_over) = match (self.rollout_wanted(), shown) {
            // What is rolled out is still shown as the primary one: where ECS goes back to is not known yet.
            (Some(_), _)
                if self.rollout.as_ref().is_none_or(|it| it.by.as_ref().is_none_or(|by| *by == primary.id)) =>
            {
                return;
            }
            (Some(it), _) if it.status.is_back() => (&it.arn, words(it), it.status.is_at_end()),
            (None, Some(it)) => (&it.id, it.reason.as_str(), false),
            (Some(_), _) | (None, None) => return,
        };
        let known = self.went_back.as_ref().filter(|known| known.mark == *mark);
        if known.is_some_and(|known| known.is_over) {
            return;
        }
        self.went_back = Some(WentBack {
            mark: mark.clone(),
            deployment: deployment.clone(),
            // What was tried is what was wanted when it began to go back.
            balancer: known.map_or(balancer, |known| known.balancer),
            why: why.to_owned(),
            is_over,
        });
        self.failures.retain(|known| known.deployment != deployment);
    }

    /// Why it stays registered where it is: ECS gave another registration up, and neither the deployment nor the load balancer
    /// changed since. A change of its number of copies alone is no reason to fail once more.
    pub(super) fn stays_registered(&self, balancer: Option<Generation>) -> Option<&str> {
        let wanted = &self.spec.as_ref()?.revision.deployment;
        let known = self.went_back.as_ref().filter(|it| it.deployment == *wanted && it.balancer == balancer)?;
        Some(&known.why)
    }

    /// Which service deployment is to be read: the one under way, or the one that was and whose end is not known yet.
    fn rollout_due(&self) -> Option<String> {
        let known = self.rollout.as_ref().map(|known| &known.seen);
        match self.seen.as_ref()?.rollout.as_ref() {
            Some(arn) if known.is_some_and(|known| known.arn == *arn && known.status.is_at_end()) => None,
            Some(arn) => Some(arn.clone()),
            None => known.filter(|known| !known.status.is_at_end()).map(|known| known.arn.clone()),
        }
    }

    /// Takes in a service deployment. What it rolls out is ECS's primary deployment, as long as ECS does not go back.
    fn rollout_put(&mut self, names: &Names, rollout: EcsRollout) {
        let (of, by) = match self.rollout.take().filter(|known| known.seen.arn == rollout.arn) {
            Some(known) => (known.of, known.by),
            None => (None, None),
        };
        let primary = self.seen.iter().flat_map(|seen| &seen.deployments).find(|it| it.is_primary);
        let primary = primary.filter(|_| rollout.status == RolloutStatus::Going);
        let of = of.or_else(|| names.deployment_of(&primary?.family).map(|(_, deployment)| deployment));
        let by = by.or_else(|| primary.map(|it| it.id.clone()));
        self.rollout = Some(RolloutKnown { seen: rollout, of, by });
    }

    /// The service deployment of the wanted deployment.
    pub(super) fn rollout_wanted(&self) -> Option<&EcsRollout> {
        let wanted = &self.spec.as_ref()?.revision.deployment;
        self.rollout.as_ref().filter(|known| known.of.as_ref() == Some(wanted)).map(|known| &known.seen)
    }

    /// The alarms that may still end the roll-out of the wanted deployment; empty when there are none.
    pub(super) fn alarms_watched(&self) -> &[String] {
        let going = self.rollout_wanted().filter(|rollout| rollout.status == RolloutStatus::Going);
        going.map_or(&[], |rollout| &rollout.watched)
    }
}

impl Shared {
    /// Reads the service deployments of those services that have one under way.
    pub(in crate::ecs) async fn rollouts_take_in(&self, services: &[&ServiceId]) -> Result<(), AwsError> {
        let due: Vec<(ServiceId, String)> = {
            let state = self.state();
            let due = |id: &&ServiceId| Some(((*id).clone(), state.services.get(*id)?.rollout_due()?));
            services.iter().filter_map(due).collect()
        };
        if due.is_empty() {
            return Ok(());
        }
        let arns: Vec<String> = due.iter().map(|(_, arn)| arn.clone()).collect();
        let Some(mut found) = self.asked(|| self.aws.rollouts_describe(&arns)).await? else { return Ok(()) };
        let mut state = self.state();
        for (id, arn) in due {
            let Some(at) = found.iter().position(|rollout| rollout.arn == arn) else { continue };
            let rollout = found.swap_remove(at);
            if let Some(service) = state.services.get_mut(&id) {
                service.rollout_put(&self.names, rollout);
            }
        }
        Ok(())
    }

    /// Of a service that this server was never told of before: whether ECS gave the wanted deployment up while no server of
    /// ours was there. Else it would be rolled out once more, and fail once more.
    pub(super) async fn rollout_recall(&self, spec: &ServiceSpec) -> Result<(), AwsError> {
        let family = self.names.deployment_family(&spec.id, &spec.revision.deployment);
        let elsewhere = self.state().services.get(&spec.id).and_then(|it| it.seen.as_ref()).is_some_and(|seen| {
            seen.is_active() && seen.deployments.iter().any(|it| it.is_primary && it.family != family)
        });
        if !elsewhere {
            return Ok(());
        }
        let (cluster, name) = (self.names.environment(&spec.environment), self.names.service(&spec.id));
        let newest = async {
            let Some(arn) = self.aws.rollout_newest(&cluster, &name).await? else { return Ok(None) };
            let Some(rollout) = self.aws.rollouts_describe(&[arn]).await?.into_iter().next() else { return Ok(None) };
            if !rollout.status.is_back() || rollout.target.is_empty() {
                return Ok(None);
            }
            let of = self.aws.revision_family(&rollout.target).await?;
            Ok((of.as_deref() == Some(family.as_str())).then_some(rollout))
        };
        if let Some(Some(rollout)) = self.asked(|| newest).await?
            && let Some(service) = self.state().services.get_mut(&spec.id)
        {
            service.rollout =
                Some(RolloutKnown { seen: rollout, of: Some(spec.revision.deployment.clone()), by: None });
        }
        Ok(())
    }

    /// Makes calls about service deployments, unless one was refused lately. `None` when they can't be made: nothing depends
    /// on them alone.
    async fn asked<T, F: Future<Output = Result<T, AwsError>>>(
        &self,
        call: impl FnOnce() -> F,
    ) -> Result<Option<T>, AwsError> {
        if self.rollouts_refused().is_some_and(|at| at.elapsed() < REFUSED) {
            return Ok(None);
        }
        match call().await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.retryable() && !error.is_missing() => Err(error),
            Err(error) => {
                tracing::info!(error = %error, "service deployments can't be read; deployments and events have to do");
                self.rollouts_refuse(Instant::now());
                Ok(None)
            }
        }
    }
}

/// Why a roll-out came to nothing, in ECS's words.
fn words(rollout: &EcsRollout) -> &str {
    if rollout.rollback.is_empty() { &rollout.reason } else { &rollout.rollback }
}

/// What ECS says of having given a roll-out up; `None` when it has not. `stands`: whether ECS still works towards it;
/// `not_begun`: why it did not begin copies, which says more than that they are not there.
pub(super) fn given_up(
    spec: &ServiceSpec,
    rollout: &EcsRollout,
    stands: bool,
    not_begun: Option<&Failure>,
) -> Option<StartFailures> {
    let went_back = match rollout.status {
        RolloutStatus::Going | RolloutStatus::Done => return None,
        // A newer service deployment of the same revision takes the place of one, or ECS goes back to copies of the same.
        RolloutStatus::Stopped | RolloutStatus::GoingBack | RolloutStatus::WentBack if stands => return None,
        RolloutStatus::Stopped | RolloutStatus::GoingBack | RolloutStatus::WentBack => "",
        RolloutStatus::Stuck => ", and ECS could not go back",
    };
    let words = words(rollout);
    let words = if words.is_empty() { String::new() } else { format!(" (ECS: {words})") };
    let last = if !rollout.alarms.is_empty() {
        let alarms: Vec<String> = rollout.alarms.iter().map(|alarm| format!("`{alarm}`")).collect();
        let text = format!("ECS gave the deployment up: alarm {} went off{went_back}{words}", alarms.join(", "));
        let mut failure = Failure::new(FailureClass::Unhealthy, text);
        failure.hint = Some("CloudWatch shows what the alarm is about".to_owned());
        failure
    } else if let (Some(failures), Some(cause)) = (rollout.broken, not_begun) {
        let message = &cause.message;
        let message = format!("ECS gave the deployment up after {failures} failed starts{went_back}: {message}");
        Failure { message, ..cause.clone() }
    } else if let Some(failures) = rollout.broken {
        let text = format!("ECS gave the deployment up after {failures} failed starts{went_back}{words}");
        Failure::new(FailureClass::Unhealthy, text)
    } else {
        let text = format!("the roll-out was ended in ECS, and not by Layer0{went_back}{words}");
        Failure::new(FailureClass::Stopped, text)
    };
    let in_a_row = rollout.broken.unwrap_or(0).max(START_FAILURES);
    Some(StartFailures { deployment: spec.revision.deployment.clone(), in_a_row, last })
}

/// The same from what `DescribeServices` shows, for want of more: ECS's circuit breaker gave up, which takes at least three
/// failures ("How the Amazon ECS deployment circuit breaker detects failures").
pub(super) fn given_up_as_shown(
    spec: &ServiceSpec,
    seen: &EcsService,
    failed: u32,
    reason: &str,
    not_begun: Option<&Failure>,
) -> StartFailures {
    let told = seen.events.iter().find_map(|(_, text)| text.split_once("deployment failed: ").map(|(_, why)| why));
    let why = match (reason, told) {
        ("", Some(why)) => why,
        ("", None) => "its copies did not come up",
        (reason, _) => reason,
    };
    let last = match not_begun {
        Some(cause) => Failure { message: format!("ECS gave the deployment up: {}", cause.message), ..cause.clone() },
        None => Failure::new(FailureClass::Unhealthy, format!("ECS gave the deployment up: {why}")),
    };
    StartFailures { deployment: spec.revision.deployment.clone(), in_a_row: failed.max(START_FAILURES), last }
}
