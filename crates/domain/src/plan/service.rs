//! Whether a service's operation is done, has failed or goes on.

use super::verdict::Verdict;
use crate::model::failure::{Failure, FailureClass};
use crate::model::operation::Verb;
use crate::model::service::{Deployment, DeploymentState, Service};
use crate::model::time::Timestamp;
use crate::port::engine::{CopyState, ServiceSeen, StartFailures};

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
    let desired = service.copies_wanted() as usize;
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
    // Of what was aborted it doesn't matter any more how it did.
    let counts = |failures: &&StartFailures| failures.deployment == wanted.id && desired > 0;
    let failures = seen.failures.iter().find(counts);
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
    if goes_back(service) { Verdict::RollBack(cause) } else { Verdict::Failed(cause) }
}

/// Whether a roll-out is under way that goes back when it fails, whatever it fails for.
#[must_use]
pub fn goes_back(service: &Service) -> bool {
    is_unproven(service) && service.fallback().is_some()
}

/// Whether no copy of the wanted deployment has shown yet that it comes up: its roll-out is under way, or came to its end while no copy
/// was wanted.
fn is_unproven(service: &Service) -> bool {
    let wanted = service.wanted();
    match wanted.state {
        DeploymentState::InProgress => true,
        DeploymentState::Healthy => !wanted.was_healthy,
        DeploymentState::Failed
        | DeploymentState::Aborted
        | DeploymentState::RolledBack
        | DeploymentState::Replaced => false,
    }
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

/// The service after all copies of its wanted deployment are healthy. No copies prove nothing: what failed stays so, and what
/// never ran is nothing to go back to.
#[must_use]
pub fn healthy(mut service: Service, now: Timestamp) -> Service {
    let ran = service.desired_count > 0;
    if let Some(wanted) = service.deployments.first_mut() {
        let stays = match wanted.state {
            DeploymentState::Healthy | DeploymentState::Aborted => true,
            DeploymentState::Failed => !ran,
            DeploymentState::InProgress | DeploymentState::RolledBack | DeploymentState::Replaced => false,
        };
        if !stays {
            wanted.state = DeploymentState::Healthy;
            wanted.updated = now;
        }
        wanted.was_healthy |= ran && wanted.state == DeploymentState::Healthy;
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
    if is_unproven(&service)
        && let Some(wanted) = service.deployments.first_mut()
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
    if service.fallback().is_none() {
        return failed(service, cause, now);
    }
    give_up(&mut service, DeploymentState::RolledBack, cause, now);
    service
}

/// The service after its user ended the roll-out that is under way: the newest other deployment that was healthy takes its
/// place again; where there is none, nothing of the service is to run ([`Service::copies_wanted`]), as before the roll-out.
/// `None` when no roll-out is under way.
#[must_use]
pub fn aborted(mut service: Service, now: Timestamp) -> Option<Service> {
    if !is_unproven(&service) {
        return None;
    }
    let cause = Failure::new(FailureClass::Stopped, "aborted by its user");
    give_up(&mut service, DeploymentState::Aborted, cause, now);
    Some(service)
}

/// Ends the wanted deployment and puts the fallback, where there is one, in its place.
fn give_up(service: &mut Service, state: DeploymentState, cause: Failure, now: Timestamp) {
    let back = service.deployments.iter().skip(1).position(|it| it.was_healthy).map(|at| at + 1);
    if let Some(wanted) = service.deployments.first_mut() {
        wanted.state = state;
        wanted.cause = Some(cause);
        wanted.updated = now;
    }
    if let Some(at) = back {
        let mut back = service.deployments.remove(at);
        back.state = DeploymentState::Healthy;
        back.updated = now;
        service.deployments.insert(0, back);
    }
}

/// What an operation that is done came to, in words: `text` is what [`judge`] said, to which this adds what the verb is about.
#[must_use]
pub fn told(verb: Verb, service: &Service, text: &str) -> String {
    let wanted = service.wanted().label();
    match verb {
        Verb::Abort if service.wanted().state == DeploymentState::Aborted => {
            format!("{wanted} was aborted, and there was nothing to go back to: no copy runs")
        }
        Verb::Abort => {
            let aborted = service.deployments.iter().find(|it| it.state == DeploymentState::Aborted);
            let aborted = aborted.map_or_else(|| "the roll-out".to_owned(), Deployment::label);
            format!("{aborted} was aborted; the service is back at {wanted}: {text}")
        }
        Verb::Rollback => format!("went back to {wanted}: {text}"),
        Verb::Create | Verb::Update | Verb::Scale | Verb::Stop | Verb::Delete => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
