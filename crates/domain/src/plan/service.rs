//! Whether a service's operation is done, has failed or goes on.

use super::verdict::Verdict;
use crate::model::failure::{Failure, FailureClass};
use crate::model::service::{DeploymentState, Service};
use crate::model::time::Timestamp;
use crate::port::engine::{CopyState, ServiceSeen};

/// So many equal start failures in a row end a deployment. Three tell a broken image from a hiccup; ECS's circuit breaker
/// waits for at least three too ("How the Amazon ECS deployment circuit breaker detects failures").
pub const START_FAILURES: u32 = 3;

/// A roll-out that has got nowhere after this long has failed. An hour is enough for the largest image on a slow line.
pub const DEADLINE_MS: i64 = 60 * 60 * 1000;

/// What a look at a service's operation comes to. `seen` is `None` while the engine does not know the service; `since` is
/// when somebody began to carry the operation out with an engine that answers: time in which nobody could do anything does
/// not count against it.
#[must_use]
pub fn judge(service: &Service, seen: Option<&ServiceSeen>, since: Timestamp, now: Timestamp) -> Verdict {
    let wanted = service.wanted();
    let Some(seen) = seen.filter(|seen| seen.generation >= Some(service.generation)) else {
        return Verdict::Wait("waiting for the engine to take the change".to_owned());
    };
    let count = |state: CopyState| {
        seen.copies.iter().filter(|copy| copy.deployment.as_ref() == Some(&wanted.id) && copy.state == state).count()
    };
    let lasting = seen.copies.iter().filter(|copy| !matches!(copy.state, CopyState::Draining | CopyState::Stopped));
    let others = lasting.clone().filter(|copy| copy.deployment.as_ref() != Some(&wanted.id)).count();
    let healthy = count(CopyState::Healthy);
    let desired = service.desired_count as usize;
    if healthy == desired && lasting.count() == desired {
        return Verdict::Done(match desired {
            0 => "no copy runs, as wanted".to_owned(),
            1 => "1 copy runs and is healthy".to_owned(),
            n => format!("{n} copies run and are healthy"),
        });
    }
    if service.halted() && desired > 0 {
        let cause = wanted.cause.clone().unwrap_or_else(|| Failure::new(FailureClass::Other, "the deployment failed"));
        return Verdict::Failed(cause);
    }
    if let Some(problem) = &seen.problem {
        return ended(service, problem.clone());
    }
    let failures = seen.failures.iter().find(|failures| failures.deployment == wanted.id);
    if let Some(failures) = failures.filter(|failures| failures.in_a_row >= START_FAILURES) {
        return ended(service, failures.last.clone());
    }
    if now > since.plus_ms(DEADLINE_MS) {
        let waited = seen.waiting_for.clone().unwrap_or_else(|| format!("{healthy} of {desired} copies healthy"));
        let cause = failures.map_or_else(
            || Failure::new(FailureClass::Timeout, format!("not healthy after an hour ({waited})")),
            |failures| failures.last.clone(),
        );
        return ended(service, cause);
    }
    Verdict::Wait(waiting(seen, desired, healthy, others, failures.map(|failures| (failures.in_a_row, &failures.last))))
}

/// A roll-out that failed goes back where there is something to go back to, whichever operation watches it: a scale may have
/// taken over from the update that began it.
fn ended(service: &Service, cause: Failure) -> Verdict {
    let rolls_out = service.wanted().state == DeploymentState::InProgress;
    if rolls_out && service.fallback().is_some() { Verdict::RollBack(cause) } else { Verdict::Failed(cause) }
}

fn waiting(
    seen: &ServiceSeen,
    desired: usize,
    healthy: usize,
    others: usize,
    failed: Option<(u32, &Failure)>,
) -> String {
    let what = match &seen.waiting_for {
        Some(what) => what.clone(),
        None if healthy < desired => format!("{} of {desired} copies to become healthy", desired - healthy),
        None if others > 0 => format!("{others} older copies to finish their requests"),
        None => "copies that are no longer wanted to end".to_owned(),
    };
    let mut text = format!("waiting for {what}");
    if let Some((times, last)) = failed.filter(|(times, _)| *times > 0) {
        text.push_str(&format!("; start failed {times} of {START_FAILURES} times: {}", last.message));
    }
    text
}

/// The service after its wanted deployment is healthy.
#[must_use]
pub fn healthy(mut service: Service, now: Timestamp) -> Service {
    if let Some(wanted) = service.deployments.first_mut()
        && wanted.state != DeploymentState::Healthy
    {
        wanted.state = DeploymentState::Healthy;
        wanted.was_healthy = true;
        wanted.updated = now;
    }
    for older in service.deployments.iter_mut().skip(1) {
        if matches!(older.state, DeploymentState::Healthy | DeploymentState::InProgress) {
            older.state = DeploymentState::Replaced;
            older.updated = now;
        }
    }
    service
}

/// The service after its wanted deployment failed with nothing to go back to.
#[must_use]
pub fn failed(mut service: Service, cause: Failure, now: Timestamp) -> Service {
    if let Some(wanted) = service.deployments.first_mut()
        && wanted.state == DeploymentState::InProgress
    {
        wanted.state = DeploymentState::Failed;
        wanted.cause = Some(cause);
        wanted.updated = now;
    }
    service
}

/// The service after its wanted deployment failed and the newest one that was healthy takes its place again.
#[must_use]
pub fn rolled_back(mut service: Service, cause: Failure, now: Timestamp) -> Service {
    let Some(at) = service.deployments.iter().skip(1).position(|it| it.was_healthy).map(|at| at + 1) else {
        return failed(service, cause, now);
    };
    if let Some(wanted) = service.deployments.first_mut() {
        wanted.state = DeploymentState::RolledBack;
        wanted.cause = Some(cause);
        wanted.updated = now;
    }
    let mut back = service.deployments.remove(at);
    back.state = DeploymentState::Healthy;
    back.updated = now;
    service.deployments.insert(0, back);
    service
}

#[cfg(test)]
mod tests;
