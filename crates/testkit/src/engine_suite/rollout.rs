//! One revision after another.

use layer0_domain::model::failure::FailureClass;
use layer0_domain::port::engine::{ServiceMode, ServiceSpec, StartFailures};

use super::{CopyState, Role, ServiceSeen, Subject, healthy, identity, is_steady, live, wish_service};
use crate::until::until;

/// How many equal failures in a row the suite waits for: more than one shows that they are counted and that starts are
/// tried again.
const FAILURES: u32 = 3;

fn failures_of<'a>(seen: &'a ServiceSeen, spec: &ServiceSpec) -> Option<&'a StartFailures> {
    seen.failures.iter().find(|failures| failures.deployment == spec.revision.deployment)
}

/// The same service with another revision.
fn updated(subject: &Subject, spec: &ServiceSpec, role: Role) -> ServiceSpec {
    let mut next = spec.clone();
    next.revision = subject.revision(role);
    next.generation = spec.generation.next();
    next
}

/// New copies take the place of the old ones, and at each look as many are healthy as are wanted.
pub async fn copies_are_replaced_without_a_gap(mut subject: Subject) {
    let environment = subject.environment().await;
    let first = subject.service_wanted(&environment, Role::Serves, 2);
    subject.ensure(wish_service(&first)).await;
    let before = identity(&subject.service_steady(&first).await);
    let next = updated(&subject, &first, Role::Serves);
    subject.ensure(wish_service(&next)).await;
    let after = until("all copies to be replaced", || async {
        let seen = subject.service_seen(&next.id).await.expect("it was ensured");
        assert!(healthy(&seen) >= 2, "fewer are healthy than wanted: {seen:#?}");
        if is_steady(&seen, &next) { Ok(identity(&seen)) } else { Err(format!("{seen:#?}")) }
    })
    .await;
    assert!(after.iter().all(|copy| !before.contains(copy)), "{before:?}, {after:?}");
    subject.leave().await;
}

/// A revision whose copies end by themselves is tried again and again; its failures are counted, the old copies stay.
pub async fn failing_revision_keeps_the_old_copies(mut subject: Subject) {
    let failure = failed_update(&mut subject, Role::ExitsThree).await;
    assert_eq!(failure.last.class, FailureClass::Exited);
    assert!(failure.last.message.contains('3'), "the exit code is told: {}", failure.last.message);
    subject.leave().await;
}

/// A copy whose health check never passes counts as a failed start.
pub async fn never_healthy_counts_as_failed(mut subject: Subject) {
    let failure = failed_update(&mut subject, Role::NeverHealthy).await;
    assert_eq!(failure.last.class, FailureClass::Unhealthy);
    subject.leave().await;
}

/// A copy that can't be started counts as a failed start.
pub async fn start_that_cannot_be_counts_as_failed(mut subject: Subject) {
    let failure = failed_update(&mut subject, Role::CannotStart).await;
    assert_eq!(failure.last.class, FailureClass::CannotStart);
    assert!(!failure.last.message.is_empty());
    subject.leave().await;
}

/// Updates a healthy service to a revision that can't become healthy, and waits for its failures.
async fn failed_update(subject: &mut Subject, role: Role) -> StartFailures {
    let environment = subject.environment().await;
    let first = subject.service_wanted(&environment, Role::Serves, 1);
    subject.ensure(wish_service(&first)).await;
    let before = identity(&subject.service_steady(&first).await);
    let next = updated(subject, &first, role);
    subject.ensure(wish_service(&next)).await;
    let what = format!("{FAILURES} failures of {}", next.revision.label);
    let seen = subject
        .service_until(&what, &next.id, |seen| failures_of(seen, &next).is_some_and(|known| known.in_a_row >= FAILURES))
        .await;
    let old_and_healthy = |seen: &ServiceSeen| {
        let old = seen.copies.iter().filter(|copy| copy.deployment.as_ref() == Some(&first.revision.deployment));
        old.filter(|copy| copy.state == CopyState::Healthy).map(|copy| (copy.id.to_string(), copy.started)).collect()
    };
    let kept: Vec<_> = old_and_healthy(&seen);
    assert_eq!(kept, before, "the old copies go on as if nothing were");
    failures_of(&seen, &next).cloned().expect("it was just seen")
}

/// After a failed update the revision before makes the service healthy again, with the copies that never went.
pub async fn going_back_is_healthy_again(mut subject: Subject) {
    let environment = subject.environment().await;
    let first = subject.service_wanted(&environment, Role::Serves, 2);
    subject.ensure(wish_service(&first)).await;
    let before = identity(&subject.service_steady(&first).await);
    let broken = updated(&subject, &first, Role::ExitsThree);
    subject.ensure(wish_service(&broken)).await;
    subject.service_until("a failure", &broken.id, |seen| failures_of(seen, &broken).is_some()).await;
    let mut back = first.clone();
    back.generation = broken.generation.next();
    subject.ensure(wish_service(&back)).await;
    assert_eq!(identity(&subject.service_steady(&back).await), before, "the old copies are used again");
    subject.leave().await;
}

/// A halted service starts nothing, and what runs goes on, as far as it is wanted.
pub async fn halted_starts_nothing(mut subject: Subject) {
    let environment = subject.environment().await;
    let mut running = subject.service_wanted(&environment, Role::Serves, 1);
    subject.ensure(wish_service(&running)).await;
    let before = identity(&subject.service_steady(&running).await);
    running.mode = ServiceMode::Halted;
    running.revision = subject.revision(Role::Serves);
    running.generation = running.generation.next();
    subject.ensure(wish_service(&running)).await;
    let mut empty = subject.service_wanted(&environment, Role::Serves, 2);
    empty.mode = ServiceMode::Halted;
    subject.ensure(wish_service(&empty)).await;
    // A service that is wanted later and comes up shows that the halted ones had their time.
    let other = subject.service_wanted(&environment, Role::Serves, 1);
    subject.ensure(wish_service(&other)).await;
    subject.service_steady(&other).await;
    let seen = subject.service_seen(&running.id).await.expect("it was ensured");
    assert_eq!(identity(&seen), before, "what ran goes on, nothing new is started");
    let copies = subject.service_seen(&empty.id).await.map_or(0, |seen| live(&seen).len());
    assert_eq!(copies, 0, "nothing is started");

    running.desired_count = 0;
    running.generation = running.generation.next();
    subject.ensure(wish_service(&running)).await;
    subject.service_until("what is wanted no more to go", &running.id, |seen| live(seen).is_empty()).await;

    empty.mode = ServiceMode::Run;
    empty.generation = empty.generation.next();
    subject.ensure(wish_service(&empty)).await;
    subject.service_steady(&empty).await;
    subject.leave().await;
}
