//! The next step of a service, from what is wanted and what ECS has. Pure.

use layer0_domain::model::failure::Failure;
use layer0_domain::model::id::DeploymentId;
use layer0_domain::port::engine::{ServiceMode, ServiceSpec, StartFailures};

use super::rollout::{given_up, given_up_as_shown};
use crate::ecs::aws::{EcsDeployment, EcsRollout, EcsService, Network, ServiceTarget};
use crate::ecs::names::Names;

/// Where the tasks of a service stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The capacity provider; `None` for Fargate.
    pub(super) provider: Option<String>,
    /// `None` unless the tasks have an address of their own.
    pub(super) network: Option<Network>,
    /// What they are registered in.
    pub(super) targets: Vec<ServiceTarget>,
}

/// What is to change of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// Roll out the wanted deployment.
    pub(super) definition: bool,
    /// Another number of copies.
    pub(super) desired: Option<u32>,
    /// Other target groups.
    pub(super) targets: Option<Vec<ServiceTarget>>,
}

/// The next step.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// ECS has it as it is wanted.
    Nothing,
    /// Something else has to be there first.
    Wait(String),
    /// Make it.
    Create {
        /// Where.
        place: Place,
    },
    /// Change it.
    Update(Change),
    /// End the service deployment with this ARN: ECS goes back to the wanted deployment, copies of which still run.
    GoBack(String),
    /// ECS gave the wanted deployment up and went back by itself.
    RolledBack(StartFailures),
}

/// What is known of a service besides how ECS has it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Known<'a> {
    /// The deployment that ECS was seen to work towards.
    pub(super) was_primary: Option<&'a DeploymentId>,
    /// How many copies are healthy; `None` before they were looked at for as long as that takes.
    pub(super) healthy: Option<u32>,
    /// The service deployment of the wanted deployment, where ECS lets us read it.
    pub(super) rollout: Option<&'a EcsRollout>,
    /// The service deployment that was ended, or could not be, and which of the two.
    pub(super) ended: Option<(&'a str, Ended)>,
    /// Whether it stays registered where it is: ECS gave up what is wanted of that.
    pub(super) stays_registered: bool,
    /// Why ECS did not begin copies of the wanted deployment.
    pub(super) not_begun: Option<&'a Failure>,
}

/// What came of ending a service deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// ECS goes back.
    Taken,
    /// It has to be done by an update.
    Refused,
}

/// Decides the next step.
pub(super) fn step(
    spec: &ServiceSpec,
    names: &Names,
    place: Result<Place, String>,
    seen: Option<&EcsService>,
    known: Known<'_>,
) -> Step {
    let Some(seen) = seen else {
        return match (spec.mode, place) {
            (ServiceMode::Halted, _) => Step::Nothing,
            (ServiceMode::Run, Ok(place)) => Step::Create { place },
            (ServiceMode::Run, Err(what)) => Step::Wait(what),
        };
    };
    if !seen.is_active() {
        return Step::Wait("what was there before to be taken away".to_owned());
    }
    if spec.mode == ServiceMode::Halted {
        // What runs goes on, as far as it is wanted, and nothing more is started: ECS starts nothing when no more copies are
        // wanted than are healthy.
        let most = match (spec.desired_count, known.healthy) {
            (0, _) => Some(0),
            (wanted, healthy) => healthy.map(|healthy| healthy.min(wanted)),
        };
        let fewer = most.filter(|most| seen.desired > *most);
        return match fewer {
            Some(_) => Step::Update(Change { desired: fewer, ..Change::default() }),
            None => Step::Nothing,
        };
    }
    let family = names.deployment_family(&spec.id, &spec.revision.deployment);
    let primary = seen.deployments.iter().find(|it| it.is_primary);
    let is_wanted = |deployment: &EcsDeployment| deployment.family == family;
    let is_primary = primary.is_some_and(is_wanted);
    let stands = primary.is_some_and(|it| is_wanted(it) && !it.has_failed);
    if let Some(failures) = known.rollout.and_then(|rollout| given_up(spec, rollout, stands, known.not_begun)) {
        return Step::RolledBack(failures);
    }
    // While it stands, what failed of it was another roll-out of the same.
    if let Some(failed) = seen.deployments.iter().find(|it| is_wanted(it) && it.has_failed && !stands) {
        return Step::RolledBack(given_up_as_shown(spec, seen, failed.failed, &failed.reason, known.not_begun));
    }
    if !is_primary && known.was_primary == Some(&spec.revision.deployment) {
        return Step::RolledBack(given_up_as_shown(spec, seen, 0, "", known.not_begun));
    }
    if let Some(step) = go_back(seen, primary, is_wanted, known.ended) {
        return step;
    }
    let mut change = Change {
        definition: !is_primary,
        desired: (seen.desired != spec.desired_count).then_some(spec.desired_count),
        targets: None,
    };
    match place {
        Ok(place) if !known.stays_registered && place.targets != sorted(&seen.targets) => {
            change.targets = Some(place.targets);
        }
        // A roll-out to target groups that are not there yet would fail.
        Err(what) if change.definition => return Step::Wait(what),
        Ok(_) | Err(_) => {}
    }
    if change == Change::default() { Step::Nothing } else { Step::Update(change) }
}

/// While ECS works at another deployment than the wanted one, and the wanted one still has its place beside it, the service
/// deployment that is under way is ended: ECS then goes back to the copies that still run. After an update it would replace
/// them.
fn go_back(
    seen: &EcsService,
    primary: Option<&EcsDeployment>,
    is_wanted: impl Fn(&EcsDeployment) -> bool,
    ended: Option<(&str, Ended)>,
) -> Option<Step> {
    let under_way = primary.filter(|it| it.is_in_progress() && !is_wanted(it));
    let arn = seen.rollout.as_deref().filter(|_| under_way.is_some() && seen.deployments.iter().any(is_wanted))?;
    match ended.filter(|(ended, _)| *ended == arn) {
        None => Some(Step::GoBack(arn.to_owned())),
        Some((_, Ended::Taken)) => Some(Step::Wait("ECS to end the roll-out and go back".to_owned())),
        Some((_, Ended::Refused)) => None,
    }
}

/// In the order of [`Place::targets`].
pub(super) fn sorted(targets: &[ServiceTarget]) -> Vec<ServiceTarget> {
    let mut targets = targets.to_vec();
    targets.sort();
    targets
}
