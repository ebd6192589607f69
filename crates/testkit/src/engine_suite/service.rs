//! Services.

use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::time::Generation;
use layer0_domain::port::engine::{EngineError, LogQuery, Scope};

use super::{CONTAINER, Role, Subject, entities, identity, live, wish_service};

/// As many copies as wanted become healthy, each of its own.
pub async fn comes_up_healthy(mut subject: Subject) {
    let environment = subject.environment().await;
    let spec = subject.service_wanted(&environment, Role::Serves, 3);
    subject.ensure(wish_service(&spec)).await;
    let seen = subject.service_steady(&spec).await;
    let mut ids: Vec<_> = live(&seen).into_iter().map(|copy| copy.id.clone()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3, "each copy has an id of its own");
    for copy in live(&seen) {
        assert!(copy.started.is_some(), "{copy:?}");
        assert_eq!(copy.containers.len(), 1, "{copy:?}");
        assert_eq!((copy.containers[0].name.as_str(), copy.containers[0].status.as_str()), (CONTAINER, "RUNNING"));
        assert_eq!(copy.containers[0].outcome, None);
    }
    assert_eq!(seen.failures, []);
    subject.leave().await;
}

/// The same wish again changes nothing.
pub async fn ensure_is_idempotent(mut subject: Subject) {
    let environment = subject.environment().await;
    let spec = subject.service_wanted(&environment, Role::Serves, 2);
    subject.ensure(wish_service(&spec)).await;
    subject.ensure(wish_service(&spec)).await;
    let before = identity(&subject.service_steady(&spec).await);
    subject.ensure(wish_service(&spec)).await;
    // A change elsewhere that takes effect after the second wish shows that the wish had its time.
    let other = subject.service_wanted(&environment, Role::Serves, 1);
    subject.ensure(wish_service(&other)).await;
    subject.service_steady(&other).await;
    assert_eq!(identity(&subject.service_steady(&spec).await), before);
    subject.leave().await;
}

/// Copies that stay are not touched when others come and go.
pub async fn scales_up_and_down_and_to_nothing(mut subject: Subject) {
    let environment = subject.environment().await;
    let mut spec = subject.service_wanted(&environment, Role::Serves, 1);
    subject.ensure(wish_service(&spec)).await;
    let one = identity(&subject.service_steady(&spec).await);
    for count in [3, 1, 0, 2] {
        spec.desired_count = count;
        spec.generation = spec.generation.next();
        subject.ensure(wish_service(&spec)).await;
        let seen = identity(&subject.service_steady(&spec).await);
        if count == 3 {
            assert!(one.iter().all(|copy| seen.contains(copy)), "scaling up restarts nothing: {one:?}, {seen:?}");
        }
    }
    subject.leave().await;
}

/// An older generation than the one in force is refused and changes nothing.
pub async fn older_is_refused(mut subject: Subject) {
    let environment = subject.environment().await;
    let mut spec = subject.service_wanted(&environment, Role::Serves, 1);
    spec.generation = Generation(5);
    subject.ensure(wish_service(&spec)).await;
    let mut older = spec.clone();
    older.generation = Generation(4);
    older.desired_count = 4;
    subject.ensure_outdated(wish_service(&older)).await;
    subject.service_steady(&spec).await;
    subject.leave().await;
}

/// Nothing of a removed service is left: no copy, no log.
pub async fn is_removed_without_litter(mut subject: Subject) {
    let environment = subject.environment().await;
    let spec = subject.service_wanted(&environment, Role::Serves, 2);
    subject.ensure(wish_service(&spec)).await;
    subject.service_steady(&spec).await;
    let entity = EntityRef::Service(spec.id.clone());
    assert!(entities(&subject.observe(Scope::All).await).contains(&entity), "all names it");
    subject.remove(&entity).await;
    assert_eq!(subject.service_seen(&spec.id).await, None);
    assert!(!entities(&subject.observe(Scope::All).await).contains(&entity), "nothing is left");
    let logs = subject.engine().logs(&entity, LogQuery::default()).await;
    assert!(matches!(logs, Err(EngineError::Missing { .. })), "logs go with it");
    let idle = subject.service_wanted(&environment, Role::Serves, 0);
    subject.ensure(wish_service(&idle)).await;
    subject.remove(&EntityRef::Service(idle.id.clone())).await;
    assert_eq!(subject.service_seen(&idle.id).await, None, "one without copies goes too");
    subject.leave().await;
}
